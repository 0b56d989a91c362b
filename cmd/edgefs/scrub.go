package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
)

func (a *app) scrubCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "scrub",
		Short: "Read all chunks from the disks, and repair what is damaged: run it, tell how it stands, stop it",
		Long: `Read all chunks from the disks, check each against its name, and repair what is damaged: from another copy that is here, else from another
segment. A segment does that by itself, every two weeks unless its configuration says otherwise (storage.scrub), at a limited rate (storage.scrubRate),
and goes on where it was after a restart.`,
		Example: `  edgefs scrub run
  edgefs scrub status
  edgefs scrub stop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.scrubRunCommand(), a.scrubStatusCommand(), a.scrubStopCommand())
	return c
}

func (a *app) scrubRunCommand() *cobra.Command {
	var rate config.Size
	c := &cobra.Command{
		Use:   "run",
		Short: "Scrub all devices now, or go on where it was stopped",
		Long: `Scrub all devices now, or go on where it was stopped. The segment does it: when this command is interrupted, the scrub is not. Run it again to see
how far it is.

The exit status is 1 when chunks are lost: damaged, and neither here nor at another segment as they should be.`,
		Example: `  edgefs scrub run
  edgefs scrub run --rate 200MiB`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			defer client.Close()
			var q admin.ScrubRequest
			if cmd.Flags().Changed("rate") {
				q.Rate = new(int64(rate))
			}
			return a.scrubRun(cmd, client, q)
		},
	}
	c.Flags().Var(&rate, "rate", "bytes a second that are read of each device at the most, as 200MiB; 0: nothing bounds it (default: storage.scrubRate)")
	return c
}

func (a *app) scrubRun(cmd *cobra.Command, client *admin.Client, q admin.ScrubRequest) error {
	if err := client.StartScrub(cmd.Context(), q); err != nil {
		return err
	}
	bar := a.progress("scrub", -1)
	defer bar.done()
	var last admin.Scrub
	err := client.FollowScrub(cmd.Context(), func(s admin.Scrub) error {
		last = s
		files, all, bytes := 0, 0, int64(0)
		for _, d := range s.Devices {
			files, all, bytes = files+d.Files, all+d.AllFiles, bytes+d.Bytes
		}
		bar.describe(fmt.Sprintf("scrub: file %d of %d", files, all))
		bar.at(bytes)
		return nil
	})
	bar.done()
	if err != nil {
		return err
	}
	if err := a.show(last, func(w io.Writer) { writeScrub(w, last) }); err != nil {
		return err
	}
	switch {
	case last.LostChunks > 0:
		return failed(codeCorrupt, "%s lost", counted(int64(last.LostChunks), "chunk"))
	case last.Failed != "":
		return failed(codeUnavailable, "the scrub does not get on, and tries again: %s", last.Failed)
	case last.Stopped:
		return failed(codeUnavailable, "the scrub was stopped")
	}
	return nil
}

func (a *app) scrubStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Tell how far the scrub is, what the last one found, and what names chunks that are lost",
		Example: "  edgefs scrub status",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			defer client.Close()
			s, err := client.Scrub(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) { writeScrub(w, s) })
		},
	}
}

func (a *app) scrubStopCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the scrub where it is",
		Long: `Stop the scrub where it is. "edgefs scrub run" goes on from there; so does the segment by itself when the next one is due, or after a restart. To
have none by itself, set storage.scrub to 0s.`,
		Example: "  edgefs scrub stop",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			defer client.Close()
			if err := client.StopScrub(cmd.Context()); err != nil {
				return err
			}
			s, err := client.Scrub(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) { writeScrub(w, s) })
		},
	}
}

func writeScrub(w io.Writer, s admin.Scrub) {
	switch {
	case s.Running && s.Rate > 0:
		fmt.Fprintf(w, "running, at %s a second of each device\n", bytesText(s.Rate))
	case s.Running:
		fmt.Fprintln(w, "running")
	case s.Next.IsZero():
		fmt.Fprintf(w, "%s\n", cmp.Or(map[bool]string{true: "stopped"}[s.Stopped], "not running; it runs when it is asked to"))
	default:
		fmt.Fprintf(w, "%s; the next one is due %s\n", cmp.Or(map[bool]string{true: "stopped"}[s.Stopped], "not running"), stamp(s.Next))
	}
	if s.Failed != "" {
		fmt.Fprintf(w, "it does not get on, and tries again: %s\n", printable(s.Failed))
	}
	for _, d := range s.Devices {
		writeScrubDevice(w, d)
	}
	if s.RepairedChunks > 0 {
		fmt.Fprintf(w, "%s repaired since the start\n", counted(s.RepairedChunks, "chunk"))
	}
	if s.LostChunks > 0 {
		fmt.Fprintf(w, "%s LOST\n", counted(int64(s.LostChunks), "chunk"))
	}
	for _, l := range s.Lost {
		writeLost(w, l)
	}
	if s.LostUnknown != "" {
		fmt.Fprintf(w, "what names them is not all known: %s\n", printable(s.LostUnknown))
	}
}

func writeScrubDevice(w io.Writer, d admin.ScrubDevice) {
	switch {
	case d.Began.IsZero():
		fmt.Fprintf(w, "%s: never scrubbed\n", printable(d.Path))
	case d.Ended.IsZero():
		fmt.Fprintf(w, "%s: since %s, file %d of %d: %s, %s\n", printable(d.Path), stamp(d.Began), d.Files, d.AllFiles, counted(d.Chunks, "chunk"), bytesText(d.Bytes))
	default:
		fmt.Fprintf(w, "%s: ended %s: %s, %s\n", printable(d.Path), stamp(d.Ended), counted(d.Chunks, "chunk"), bytesText(d.Bytes))
	}
	for _, n := range []struct {
		n    int64
		what string
	}{
		{d.Damaged, "damaged"},
		{d.Rewritten, "of these whole but for their headers, and written once more"},
		{d.Unreadable, "not given by the disk"},
		{d.Unknown, "in a form that this build does not know"},
		{d.Footers, "lists of files damaged"},
	} {
		if n.n > 0 {
			fmt.Fprintf(w, "  %d %s\n", n.n, n.what)
		}
	}
	if d.Why != "" {
		fmt.Fprintf(w, "  it is not scrubbed: %s\n", printable(d.Why))
	}
}

func writeLost(w io.Writer, l admin.LostChunk) {
	switch {
	case l.Key != "" && l.Version != "":
		fmt.Fprintf(w, "  %s version %s: %s\n", place{l.Bucket, l.Key}, l.Version, printable(l.Why))
	case l.Key != "":
		fmt.Fprintf(w, "  %s: %s\n", place{l.Bucket, l.Key}, printable(l.Why))
	default:
		fmt.Fprintf(w, "  trees of %s: %s\n", printable(l.Bucket), printable(l.Why))
	}
}
