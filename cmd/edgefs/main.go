// Command edgefs runs segments and administers them. "edgefs help" says how.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back: a second one ends the process where it stands.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole command, apart from the process it runs in. The context ends when the user wants it to end.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	a := &app{in: in, out: out, errs: errs, silence: config.Duration(admin.DefaultSilence)}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	verb, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !a.began { // the flags, or what is not a flag, could not be understood
		err = usageError{err}
		a.json = a.json || asksForJSON(args)
	}
	f := explain(err)
	if errors.As(err, new(usageError)) {
		f.Hint = fmt.Sprintf("usage: %s (%s --help explains)", verb.UseLine(), verb.CommandPath())
	}
	a.tellFailure(f)
	return f.exit()
}

// tellFailure is the last that a command says, on standard error: a line of JSON, or one or two for people.
func (a *app) tellFailure(f failure) {
	if a.json {
		f.writeJSON(a.errs)
		return
	}
	usage, ok := strings.CutPrefix(f.Hint, "usage: ")
	if ok {
		f.Hint = ""
	}
	f.write(a.errs)
	if ok {
		fmt.Fprintf(a.errs, "usage: %s\n", usage)
	}
}

// asksForJSON looks for --json where flags were not understood, so that a script can read why.
func asksForJSON(args []string) bool {
	for _, arg := range args {
		switch arg {
		case "--":
			return false
		case "--json", "--json=true":
			return true
		}
	}
	return false
}
