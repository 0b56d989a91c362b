// Command demo shows what EdgeFS is, on real input: two segments in processes of their own, joined by a link that counts every byte, and a
// tree of source files that goes through both. Each of its steps says what it measured and checks what it claims; the exit status is 1 when
// a claim was false. docs/demo.md tells the steps.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/edgefs/edgefs/test/demo/story"
)

// options are the flags.
type options struct {
	binary string
	tree   string
	below  string
	keep   bool
	seed   uint64
}

const (
	statusFalse       = 1   // something claimed is not true
	statusUsage       = 2   // the demo could not begin
	statusInterrupted = 130 // as shells say it of SIGINT
)

func main() { os.Exit(run(os.Args)) }

func run(args []string) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return statusUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := story.New(os.Stdout)
	d := &demo{options: o, story: s}
	err = d.tell(ctx)
	if ctx.Err() != nil {
		stop() // a second signal does not wait: the segments end with this process
		s.Say("\ninterrupted: ending what was started")
		err = nil // whatever it was, the interruption brought it about
	}
	err = errors.Join(err, d.end())
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	switch {
	case ctx.Err() != nil:
		return statusInterrupted
	case !s.End() || err != nil:
		return statusFalse
	}
	return 0
}

// parse reads the command line. What it does not say is found: the command beside this one, the source tree of the Go that is installed.
func parse(args []string) (o options, err error) {
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	f := flag.NewFlagSet(filepath.Base(args[0]), flag.ContinueOnError)
	f.StringVar(&o.binary, "edgefs", filepath.Join(filepath.Dir(self), "edgefs"), "the edgefs `command` to run")
	f.StringVar(&o.tree, "tree", "", "`directory` of the files to use (default: the Go source tree)")
	f.StringVar(&o.below, "dir", "", "`directory` below which a new one is made for the data (default: the system's for temporary files)")
	f.BoolVar(&o.keep, "keep", false, "keep the data and the logs of the segments")
	f.Uint64Var(&o.seed, "seed", 1, "what is chosen at random is chosen by this `number`")
	if err := f.Parse(args[1:]); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if _, err := os.Stat(o.binary); err != nil {
		return o, fmt.Errorf("%w (make build makes it, --edgefs names another)", err)
	}
	if o.tree == "" {
		root, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return o, fmt.Errorf("where the Go source tree is: %w (--tree names another tree)", err)
		}
		o.tree = filepath.Join(strings.TrimSpace(string(root)), "src")
	}
	return o, nil
}
