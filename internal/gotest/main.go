// Command gotest runs "go test -json" with the arguments behind "--" and tells what matters: failures with their output, each package with its time,
// and the tests that were skipped. With -skips FILE a skip that the file does not list is a failure: on a machine that has everything,
// nothing may be left untested in silence.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	skips := flag.String("skips", "", "file of the tests that may be skipped, one PACKAGE TEST a line; # begins a comment")
	flag.Parse()
	allowed, err := readSkips(*skips)
	if err == nil {
		err = run(os.Stdout, allowed, *skips != "", flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, allowed []string, strict bool, args []string) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r := newReport(out)
	err = errors.Join(r.read(events), cmd.Wait())
	return errors.Join(err, r.judge(allowed, strict))
}

// event is what test2json writes (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// report gathers the events of all packages, and forgets the output of what passed.
type report struct {
	out     io.Writer
	output  map[string]*bytes.Buffer // by test
	skipped []string                 // as "PACKAGE TEST"
	failed  []string
	passed  int
}

func newReport(out io.Writer) *report { return &report{out: out, output: map[string]*bytes.Buffer{}} }

// maxOutput bounds what is kept of one test's output: its beginning.
const maxOutput = 256 << 10

func (r *report) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		_, _ = r.out.Write(line) // what the compiler says
		return
	}
	name := strings.TrimSpace(e.Package + " " + e.Test)
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		b := r.output[name]
		if b == nil {
			b = new(bytes.Buffer)
			r.output[name] = b
		}
		if b.Len() < maxOutput {
			b.WriteString(e.Output)
		}
	case "pass", "fail", "skip":
		r.end(name, e)
	}
}

func (r *report) end(name string, e event) {
	switch {
	case e.Action == "fail":
		r.failed = append(r.failed, name)
		if b := r.output[name]; b != nil {
			_, _ = b.WriteTo(r.out)
		}
	case e.Action == "skip" && e.Test != "":
		r.skipped = append(r.skipped, name)
	case e.Action == "pass" && e.Test != "":
		r.passed++
	}
	delete(r.output, name)
	if e.Test == "" && e.Action != "skip" {
		fmt.Fprintf(r.out, "%-5s %-60s %6.1fs\n", e.Action, e.Package, e.Elapsed)
	}
}

// judge tells the sum, and whether it will do.
func (r *report) judge(allowed []string, strict bool) error {
	fmt.Fprintf(r.out, "%d tests passed, %d failed, %d skipped\n", r.passed, len(r.failed), len(r.skipped))
	var faults []error
	for _, name := range r.skipped {
		known := slices.Contains(allowed, name)
		fmt.Fprintf(r.out, "skipped: %s\n", name)
		if strict && !known {
			faults = append(faults, fmt.Errorf("%s was skipped, and may not be here", name))
		}
	}
	if len(r.failed) > 0 {
		faults = append(faults, fmt.Errorf("failed: %s", strings.Join(r.failed, ", ")))
	}
	return errors.Join(faults...)
}

// readSkips reads the list of skips that are allowed.
func readSkips(file string) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var allowed []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 {
			allowed = append(allowed, strings.Join(f, " "))
		}
	}
	return allowed, nil
}
