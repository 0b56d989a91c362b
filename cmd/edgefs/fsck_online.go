package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/finding"
)

// fsckOnline is the outcome of a check of a segment that serves, for JSON.
type fsckOnline struct {
	admin.CheckEvent
	Damage   int64             `json:"damage"`
	Notes    int64             `json:"notes"`
	Kinds    map[string]int64  `json:"kinds"`
	Findings []finding.Finding `json:"findings"`
}

func (r *fsckOnline) take(f finding.Finding) {
	r.Kinds[f.Kind]++
	if f.Grade == finding.Damage {
		r.Damage++
	} else {
		r.Notes++
	}
	if len(r.Findings) < maxFaults {
		r.Findings = append(r.Findings, f)
	}
}

// fsckServing checks a segment that serves. With data, all content is read as edgefs verify does.
func (a *app) fsckServing(cmd *cobra.Command, data bool) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	bar := a.progress("fsck", -1)
	defer bar.done()
	r := fsckOnline{Kinds: map[string]int64{}, Findings: []finding.Finding{}}
	err = client.Check(cmd.Context(), func(e admin.CheckEvent) error {
		bar.describe("fsck: " + e.Phase + " " + e.Bucket)
		bar.at(e.Versions)
		if f := e.Finding; f != nil {
			a.tellFinding(bar, *f)
			r.take(*f)
		}
		r.CheckEvent = e
		return nil
	})
	bar.done()
	if err != nil {
		return err
	}
	r.Finding = nil
	if data && r.BrokenOff == "" {
		err = a.verifyAfter(cmd, client, &r)
	}
	if err != nil {
		return err
	}
	if err := a.show(r, func(w io.Writer) { writeFsckOnline(w, r) }); err != nil {
		return err
	}
	switch {
	case r.Damage > 0:
		return failed(codeCorrupt, "%s found", counted(r.Damage, "damaged place"))
	case r.BrokenOff != "":
		return failed(codeUnavailable, "the check was broken off: %s", r.BrokenOff)
	}
	return nil
}

// verifyAfter reads all content. What another segment has is repaired on the way, and is no damage any more.
func (a *app) verifyAfter(cmd *cobra.Command, client *admin.Client, r *fsckOnline) error {
	bar := a.progress("fsck: content", -1)
	defer bar.done()
	return client.Verify(cmd.Context(), admin.VerifyRequest{}, func(e admin.VerifyEvent) error {
		bar.describe("fsck: content of " + e.Bucket)
		bar.at(e.Bytes)
		if f := e.Fault; f != nil {
			found := finding.Finding{Grade: finding.Damage, Kind: "content.damaged", Bucket: f.Bucket, Key: f.Key, What: "version " + f.Version + ": " + f.Why}
			a.tellFinding(bar, found)
			r.take(found)
		}
		r.BrokenOff = e.BrokenOff
		return nil
	})
}

func (a *app) tellFinding(bar progress, f finding.Finding) {
	if !a.json {
		bar.clear()
		fmt.Fprintln(a.errs, printable(findingLine(f)))
	}
}

func writeFsckOnline(w io.Writer, r fsckOnline) {
	fmt.Fprintf(w, "%s, %s, %s, %s, %s\n", counted(r.Packs, "pack"), counted(int64(r.Buckets), "bucket"), counted(int64(r.Roots), "state"), counted(r.Nodes, "node"), counted(r.Versions, "version"))
	if r.Absent > 0 {
		fmt.Fprintf(w, "%s not here, in whole or in part: other segments may have them\n", counted(r.Absent, "version"))
	}
	if r.Damage == 0 && r.BrokenOff == "" {
		fmt.Fprintln(w, "no damage")
	}
}
