package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/spf13/cobra"
)

// The scripts in testdata show what commands say, and with which exit status. "go test -rewrite" writes them again.
func TestWhatCommandsSay(t *testing.T) {
	t.Setenv("EDGEFS_ENDPOINT", "")
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			for line := range strings.Lines(d.Input) {
				r := edgefs(t, "", strings.Fields(line)...)
				b.WriteString(r.out + r.errs)
				fmt.Fprintf(&b, "exit %d\n", r.code)
			}
			return b.String()
		})
	})
}

// A person learns a verb from its help: what it is for, and how it is used.
func TestEachVerbExplainsItself(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" || c.Name() == "completion" {
			return
		}
		if c.Short == "" || c.RunE != nil && !c.HasSubCommands() && c.Example == "" {
			t.Errorf("%s has no short text or no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: the example %q is not indented", c.CommandPath(), line)
			}
		}
		for _, s := range c.Commands() {
			walk(s)
		}
	}
	walk(newRoot(&app{}))
}
