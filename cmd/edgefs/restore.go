package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) restoreCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "restore BUCKET@NAME[/PREFIX]",
		Short: "Make a bucket, or a part of it, what a snapshot holds, or what it was at a time",
		Long: `Make what a bucket lists, or lists below a prefix, what a snapshot of it, or its state at a time, lists there: keys that differ are put back,
keys that are not there are deleted. These are ordinary writes; with versioning the versions of today stay. No content moves. Keys that
somebody writes at the same time are left alone and counted. edgefs diff shows beforehand what will be done.

One that was interrupted has done a part; done again it does the rest.`,
		Example: `  edgefs diff photos photos@monday
  edgefs restore photos@monday
  edgefs restore photos@monday/2026/trip/ --yes
  edgefs restore photos@2h`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.restore(cmd.Context(), args[0]) },
	}
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) restore(ctx context.Context, what string) error {
	from, prefix, _ := strings.Cut(strings.TrimPrefix(what, "s3://"), "/")
	bucket, _, err := parseSnapshot(from)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if !a.yes {
		if _, err := client.Bucket(ctx, from, false); err != nil { // who is asked is told which state it is
			return err
		}
	}
	if err := a.confirm(ctx, "Make %s/%s what %s holds, and delete what it does not hold", bucket, prefix, from); err != nil {
		return err
	}
	show := !a.json && isTerminal(a.errs)
	done, err := client.Restore(ctx, bucket, admin.Restore{From: from, Prefix: prefix}, func(e admin.RestoreEvent) {
		if show && !e.Done {
			fmt.Fprintf(a.errs, "\r%s\x1b[K", restoreText(e))
		}
	})
	if show {
		fmt.Fprint(a.errs, "\r\x1b[K")
	}
	if err != nil {
		return a.restoreEnded(done, from, prefix, err)
	}
	told := struct {
		admin.RestoreEvent
		AsOf []admin.AsOf `json:"asOf,omitempty"`
	}{done, a.states}
	return a.show(told, func(w io.Writer) {
		fmt.Fprintf(w, "%s put back, %d deleted", counted(done.Put, "key"), done.Deleted)
		if done.Skipped > 0 {
			fmt.Fprintf(w, ", %d left alone: they were written meanwhile", done.Skipped)
		}
		fmt.Fprintln(w)
	})
}

func restoreText(e admin.RestoreEvent) string {
	n := e.Put + e.Deleted + e.Skipped
	if n == 0 {
		return counted(e.Differed, "key") + " to do"
	}
	return fmt.Sprintf("%d of %s done", n, counted(e.Differed, "key"))
}

// restoreEnded says how far one came that did not come to its end, and how the rest is done.
func (a *app) restoreEnded(at admin.RestoreEvent, from, prefix string, err error) error {
	if at == (admin.RestoreEvent{}) {
		return err
	}
	for _, s := range a.states {
		if s.Bucket == from {
			from = s.State // the same words may mean a later state by then
		}
	}
	rest := fmt.Sprintf("edgefs restore %s does the rest", word(from+"/"+prefix))
	f := explain(err)
	switch {
	case f.Code == codeInterrupted:
		f.Message = "interrupted: " + restoreText(at)
		f.Hint = rest
	case f.Hint == "":
		f.Message = restoreText(at) + ": " + f.Message
		f.Hint = rest
	default:
		f.Message = restoreText(at) + ": " + f.Message
		f.Hint += "; " + rest
	}
	return &partialError{f}
}
