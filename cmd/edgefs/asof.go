package main

import (
	"fmt"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
)

// readAsOf takes in that a state as of a time is read, and tells people which it is, before what is read of it.
func (a *app) readAsOf(s admin.AsOf) {
	a.states = append(a.states, s)
	if !a.json {
		fmt.Fprintln(a.errs, printable(asOfText(s)))
	}
}

func asOfText(s admin.AsOf) string {
	text := fmt.Sprintf("%s: as it was at %s", s.Bucket, stamp(s.Time))
	if before := s.Asked.Sub(s.Time).Round(time.Second); before > 0 {
		text += fmt.Sprintf(", %v before the time asked for", before)
	}
	if s.State != s.Bucket {
		text += " (" + s.State + ")"
	}
	return text
}

// tellStates is what a command with no document of its own says with --json, on standard error.
func (a *app) tellStates() {
	if !a.json || len(a.states) == 0 {
		return
	}
	if text, err := marshal(map[string][]admin.AsOf{"asOf": a.states}); err == nil {
		fmt.Fprintf(a.errs, "%s\n", text)
	}
}
