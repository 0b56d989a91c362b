// Command mutants plants the bugs of testdata/mutants, one at a time, and runs the tests that should find each. A bug that no test finds is a
// hole in the tests, and the exit status is 1. The tree itself is never changed: the compiler is shown another text (go help build, -overlay).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	only := flag.String("only", "", "plant only the bugs with this in their name")
	flag.Parse()
	err := run(ctx, os.Stdout, ".", *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// errSurvived says that a bug was not found, or could not be planted.
var errSurvived = errors.New("not all bugs are found")

func run(ctx context.Context, out io.Writer, root, only string) error {
	all, err := load(root)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	r := runner{root: root, temp: temp, sound: map[string]error{}}
	bad := 0
	for _, m := range all {
		if !strings.Contains(m.name, only) {
			continue
		}
		began := time.Now()
		verdict := "found"
		if err := r.try(ctx, m); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			verdict = "NOT FOUND: " + err.Error()
			bad++
		}
		fmt.Fprintf(out, "%-48s %5.1fs  %s\n", m.name, time.Since(began).Seconds(), verdict)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d: %w", bad, len(all), errSurvived)
	}
	return nil
}

// load reads all mutants, by name.
func load(root string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(root, "testdata", "mutants", "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m, err := parse(strings.TrimSuffix(filepath.Base(file), ".txt"), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, m)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no bugs in %s", filepath.Join(root, "testdata", "mutants"))
	}
	return all, nil
}
