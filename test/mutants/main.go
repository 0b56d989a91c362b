// Command mutants shows that the tests notice the bugs that matter: it plants each bug of testdata/mutants in a copy of the tree and runs the test
// that must then fail. A mutant that survives, does not apply or does not compile makes the exit status 1.
//
//	go run ./test/mutants                    all of them
//	go run ./test/mutants -run '^segment-'   those whose names match
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"
)

func main() {
	dir := flag.String("dir", ".", "root of the module")
	pattern := flag.String("run", "", "plant only those whose names match")
	limit := flag.Duration("timeout", 4*time.Minute, "of one test run; a test that hangs has noticed")
	list := flag.Bool("list", false, "tell what there is, and plant nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := run(ctx, os.Stdout, *dir, *pattern, *limit, *list)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	if !ok || err != nil {
		stop()
		os.Exit(1)
	}
}

// run plants the mutants one after the other, and says whether all were caught.
func run(ctx context.Context, out io.Writer, dir, pattern string, limit time.Duration, list bool) (ok bool, err error) {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return false, err
	}
	all, err := load(dir, match)
	if err != nil {
		return false, err
	}
	if list {
		for _, m := range all {
			fmt.Fprintf(out, "%-32s %s\n", m.name, m.why)
		}
		return true, nil
	}
	t, err := copyTree(dir, limit)
	if err != nil {
		return false, err
	}
	defer func() { _ = t.remove() }()
	return t.plantAll(ctx, out, all)
}
