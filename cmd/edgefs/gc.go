package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
)

func (a *app) gcCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "gc",
		Short: "Collect what nothing reaches any more: run it, tell how it stands, explain a chunk",
		Long: `Collect what nothing reaches any more: the content of deleted objects and of versions that were overwritten, of writes and uploads that were
given up, of snapshots and branches that were deleted, and nodes of trees that others took the place of. A segment does that by itself, every
six hours unless its configuration says otherwise (storage.collect); the space is back then. Reading and writing go on meanwhile.

A segment that is, or was, linked with others keeps everything: what they may still ask for is not known to it yet.`,
		Example: `  edgefs gc run
  edgefs gc status
  edgefs gc explain 5e9f1cc6f6b1d8a5b7d25c2bb3e5a1f0c2a1b0d9e8f7a6b5c4d3e2f1a0b9c8d7`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.gcRunCommand(), a.gcStatusCommand(), a.gcExplainCommand())
	return c
}

func (a *app) gcRunCommand() *cobra.Command {
	var q admin.CollectRequest
	var rate config.Size
	c := &cobra.Command{
		Use:   "run",
		Short: "Remove what nothing reaches, and give its space back",
		Long: `Remove what nothing reaches, and give its space back. Interrupted, it stops where it is: what was removed stays removed, and nothing else is
touched. What has become of no use while it ran goes with the next one.

A bucket that was written to is remembered as it was, every ten minutes, for as long as the configuration says (storage.history, a week): what was deleted
takes space as long as a remembered state has it, and the answer says how much that is. --forget-history forgets these states of a bucket at once:
it cannot be read as of a time before now any more (BUCKET@2h), but for its snapshots.`,
		Example: `  edgefs gc run
  edgefs gc run --forget-history photos
  edgefs gc run --rate 20MiB --dead 50
  edgefs gc run --json`,
		Args: cobra.NoArgs,
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, _ []string) error {
			q.Rate = int64(rate)
			if len(q.ForgetHistory) > 0 {
				if err := a.confirm(cmd.Context(), "Forget for ever what %s was, but for snapshots", strings.Join(q.ForgetHistory, ", ")); err != nil {
					return err
				}
			}
			return a.gcRun(cmd, client, q)
		}),
	}
	c.Flags().IntVar(&q.Dead, "dead", 30, "copy the rest of files of which this part is of no use, in percent; 100: none")
	c.Flags().Var(&rate, "rate", "bytes a second that are copied at the most, as 20MiB; 0: nothing bounds it")
	c.Flags().StringSliceVar(&q.ForgetHistory, "forget-history", nil, "buckets of which it is forgotten first how they were")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) gcRun(cmd *cobra.Command, client *admin.Client, q admin.CollectRequest) error {
	bar := a.progress("gc", -1)
	defer bar.done()
	var last admin.CollectEvent
	err := client.Collect(cmd.Context(), q, func(e admin.CollectEvent) error {
		last = e
		bar.describe("gc: " + e.Phase)
		bar.at(e.Compacted.Freed)
		return nil
	})
	bar.done()
	if err != nil {
		return err
	}
	if last.BrokenOff != "" {
		return failed(codeUnavailable, "the collection was broken off: %s", last.BrokenOff)
	}
	return a.show(last.Collection, func(w io.Writer) { writeCollection(w, last.Collection) })
}

func writeCollection(w io.Writer, c admin.Collection) {
	if len(c.Kept) > 0 {
		fmt.Fprintf(w, "nothing is collected: %s may still ask for it\n", strings.Join(c.Kept, ", "))
		return
	}
	fmt.Fprintf(w, "%s removed, %s; %s of use\n", counted(c.Gone.Chunks, "chunk"), bytesText(c.Gone.Bytes), counted(c.Reached, "chunk"))
	if c.Compacted.Files > 0 {
		fmt.Fprintf(w, "%s given back, %s copied\n", bytesText(c.Compacted.Freed), bytesText(c.Compacted.Copied))
	}
	if c.Compacted.Dead > 0 {
		fmt.Fprintf(w, "%s are still to be given back\n", bytesText(c.Compacted.Dead))
	}
	for _, k := range c.History {
		fmt.Fprintln(w, historyText(k))
	}
}

// historyText says what keeps content that was deleted.
func historyText(k admin.KeptHistory) string {
	return fmt.Sprintf("%s that were deleted are kept by %s of %s, until %s (edgefs gc run --forget-history %[3]s)",
		bytesText(k.Bytes), counted(int64(k.States), "remembered state"), printable(k.Bucket), stamp(k.Until))
}

func (a *app) gcStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Tell what collections have done, and whether one runs",
		Example: "  edgefs gc status",
		Args:    cobra.NoArgs,
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, _ []string) error {
			s, err := client.CollectStatus(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) { writeCollectStatus(w, s) })
		}),
	}
}

func writeCollectStatus(w io.Writer, s admin.CollectStatus) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-8s "+format+"\n", append([]any{name}, args...)...)
	}
	if len(s.Kept) > 0 {
		line("kept", "everything, for %s: what they may still ask for is not known", strings.Join(s.Kept, ", "))
	}
	switch {
	case s.Running != nil:
		line("now", "%s, since %s", s.Running.Phase, stamp(s.Running.Began))
	case s.Every == "0s":
		line("now", "nothing; it runs when it is asked to")
	default:
		line("now", "nothing; it runs every %s where something was written, and sooner when room is short", s.Every)
	}
	if c := s.Last; c != nil {
		line("last", "%s: %s removed, %s; %s given back", stamp(c.Ended), counted(c.Gone.Chunks, "chunk"), bytesText(c.Gone.Bytes), bytesText(c.Compacted.Freed))
	}
	if s.Last != nil {
		for _, k := range s.Last.History {
			line("history", "%s", historyText(k))
		}
	}
	if s.Failed != "" {
		line("failed", "%s", s.Failed)
	}
}

func (a *app) gcExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain CHUNK-ID",
		Short: "Tell what keeps a chunk",
		Long: `Tell what keeps a chunk: the objects whose content it is part of, in buckets as they are, snapshots and states that are remembered, or the trees
that it is a node of; or a write that has not ended. It reads all metadata once, and what several share as a whole it names by one of them.`,
		Example: "  edgefs gc explain 5e9f1cc6f6b1d8a5b7d25c2bb3e5a1f0c2a1b0d9e8f7a6b5c4d3e2f1a0b9c8d7",
		Args:    cobra.ExactArgs(1),
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, args []string) error {
			e, err := client.Explain(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(e, func(w io.Writer) { writeExplanation(w, e) })
		}),
	}
}

func writeExplanation(w io.Writer, e admin.Explanation) {
	for _, h := range e.Holders {
		switch {
		case h.Key != "":
			fmt.Fprintf(w, "%s, %s\n", place{h.Bucket, h.Key}, h.Why)
		case h.Bucket != "":
			fmt.Fprintf(w, "trees of %s, %s\n", printable(h.Bucket), h.Why)
		default:
			fmt.Fprintln(w, h.Why)
		}
	}
	switch {
	case len(e.Holders) > 0 && !e.Here:
		fmt.Fprintln(w, "it is not here")
	case len(e.Holders) == 0 && e.Here:
		fmt.Fprintln(w, "nothing: the next collection removes it")
	case len(e.Holders) == 0:
		fmt.Fprintln(w, "nothing, and it is not here")
	}
}
