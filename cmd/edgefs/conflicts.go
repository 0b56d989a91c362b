package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) conflictsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "conflicts [BUCKET]",
		Short: "List files that were written at two segments at once",
		Long: `List files that were written at two segments at once, neither knowing of the other's write. Nothing is lost: a read answers the newer
version, and the older one is kept. To settle a conflict read both, put what is right if neither is, and remove the versions that are not
by their version: a plain put never buries what its writer has not seen.`,
		Example: `  edgefs conflicts
  edgefs conflicts photos --json
  edgefs cat --version VERSION photos/cat.jpg
  edgefs rm --version VERSION photos/cat.jpg`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.conflicts(cmd.Context(), args) },
	}
}

// inConflict is a conflict and where it is, for JSON.
type inConflict struct {
	Bucket string `json:"bucket"`
	admin.Conflict
}

func (a *app) conflicts(ctx context.Context, names []string) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if len(names) == 0 {
		buckets, err := client.Buckets(ctx)
		if err != nil {
			return err
		}
		for _, b := range buckets {
			names = append(names, b.Name)
		}
	}
	all := []inConflict{}
	for _, name := range names {
		for after := ""; ; {
			page, err := client.Conflicts(ctx, name, after)
			if err != nil {
				return fmt.Errorf("conflicts of %s: %w", name, err)
			}
			for _, c := range page.Conflicts {
				all = append(all, inConflict{name, c})
			}
			if after = page.Next; after == "" {
				break
			}
		}
	}
	return a.show(all, func(w io.Writer) {
		for _, c := range all {
			writeConflict(w, c, a.names())
		}
		if len(all) == 0 {
			fmt.Fprintln(w, "no conflicts")
		}
	})
}

func writeConflict(w io.Writer, c inConflict, name func(string) string) {
	fmt.Fprintf(w, "%s/%s\n", c.Bucket, name(c.Key))
	line := func(what string, o admin.Object) {
		size := bytesText(o.Size)
		if o.Marker {
			size = "deleted"
		}
		fmt.Fprintf(w, "  %-8s %s  %10s  version %s", what, stamp(o.Modified), size, o.Version)
		if o.Segment != "" {
			fmt.Fprintf(w, "  written at %s", o.Segment)
		}
		fmt.Fprintln(w)
	}
	line("current", c.Current)
	for _, l := range c.Losers {
		line("kept", l)
	}
}
