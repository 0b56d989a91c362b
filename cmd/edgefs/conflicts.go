package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) conflictsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "conflicts [BUCKET]",
		Short: "List files that were written at two segments at once",
		Long: `List files that were written at two segments at once, neither knowing of the other's write. Nothing is lost: a read answers the newer
version, and the older one is kept. To settle a conflict read both, put what is right if neither is, and say which one to keep: a plain put
never buries what its writer has not seen.`,
		Example: `  edgefs conflicts
  edgefs conflicts photos --json
  edgefs cat --version VERSION photos/cat.jpg
  edgefs conflicts resolve photos/cat.jpg --keep VERSION`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.conflicts(cmd.Context(), args) },
	}
	c.AddCommand(a.resolveCommand())
	return c
}

func (a *app) resolveCommand() *cobra.Command {
	var keep string
	c := &cobra.Command{
		Use:   "resolve BUCKET/KEY --keep VERSION",
		Short: "Settle a conflict in favour of one version",
		Long: `Settle a conflict in favour of one of the versions that edgefs conflicts shows: it becomes the current one, and the others are replaced
by it. In a bucket with versioning they stay in its history, without it they are gone. Nothing is done when another version has come since
they were looked at; one that comes from elsewhere later, written without knowledge of this, is a conflict again.`,
		Example: `  edgefs conflicts photos
  edgefs conflicts resolve photos/cat.jpg --keep current
  edgefs conflicts resolve photos/cat.jpg --keep VERSION --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parseKey(args[0])
			if err != nil {
				return err
			}
			if keep == "" {
				return usagef("which version? Say --keep current or --keep VERSION, as edgefs conflicts shows it")
			}
			return a.resolve(cmd.Context(), p, keep)
		},
	}
	c.Flags().StringVar(&keep, "keep", "", "the version to keep, or \"current\"")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) resolve(ctx context.Context, p place, keep string) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := conflictOf(ctx, client, p)
	if err != nil {
		return err
	}
	if keep == "current" {
		keep = found.Current.Version
	}
	r := admin.Resolution{Key: p.key, Keep: keep, Open: []string{found.Current.Version}}
	for _, l := range found.Losers {
		r.Open = append(r.Open, l.Version)
	}
	if err := a.confirm(ctx, "Keep version %s of %s, and replace the other %d", keep, a.place(p), len(found.Losers)); err != nil {
		return err
	}
	o, err := client.Resolve(ctx, p.bucket, r)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", p, err)
	}
	return a.show(o, func(w io.Writer) { fmt.Fprintf(w, "%s is version %s now\n", a.place(p), o.Version) })
}

// conflictOf finds the conflict of one key.
func conflictOf(ctx context.Context, client *admin.Client, p place) (admin.Conflict, error) {
	for after := p.key[:len(p.key)-1]; ; { // no key lies between that and the key, but those that begin with it
		page, err := client.Conflicts(ctx, p.bucket, after)
		if err != nil {
			return admin.Conflict{}, fmt.Errorf("conflicts of %s: %w", p.bucket, err)
		}
		for _, c := range page.Conflicts {
			if c.Key == p.key {
				return c, nil
			}
			if c.Key > p.key {
				page.Next = ""
			}
		}
		if after = page.Next; after == "" {
			return admin.Conflict{}, failed(codeNotFound, "%s is not in conflict", p)
		}
	}
}

// bucketsNamed are the names given, or, without any, those of all buckets.
func bucketsNamed(ctx context.Context, client *admin.Client, names []string) ([]string, error) {
	if len(names) > 0 {
		return names, nil
	}
	buckets, err := client.Buckets(ctx)
	for _, b := range buckets {
		names = append(names, b.Name)
	}
	return names, err
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
	if names, err = bucketsNamed(ctx, client, names); err != nil {
		return err
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
