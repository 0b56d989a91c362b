package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) listCommand() *cobra.Command {
	var recursive, versions bool
	c := &cobra.Command{
		Use:   "ls [BUCKET[/PREFIX]]",
		Short: "List buckets, or the files of a bucket",
		Long: `List buckets, or the files of a bucket. What lies below a slash is folded into one line, unless --recursive is given.

On a terminal a name with characters that cannot be seen is written as $'...', which the shell reads back.

With --versions each version is listed, the newest first, with the id that get, cat, stat and rm take as --version.`,
		Example: `  edgefs ls
  edgefs ls photos
  edgefs ls photos/2026/
  edgefs ls --recursive photos
  edgefs ls --versions photos/2026/cat.jpg`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.bucketList(cmd.Context())
			}
			return a.list(cmd.Context(), args[0], recursive, versions)
		},
	}
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "list every file, however deep")
	c.Flags().BoolVar(&versions, "versions", false, "list all versions and delete markers")
	return c
}

// list prints pages as they come, so that a bucket of any number of objects is listed in bounded memory. JSON is one document.
func (a *app) list(ctx context.Context, arg string, recursive, versions bool) error {
	p, err := parsePlace(arg)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	r := admin.ListRequest{Prefix: p.key, Versions: versions}
	if !recursive {
		r.Delimiter = "/"
	}
	doc, prefixes := a.document("objects"), []string{}
	err = eachPage(ctx, client, p.bucket, r, func(l admin.List) error {
		if !a.json {
			return a.show(nil, func(w io.Writer) { writeList(w, l, a.names(), versions) })
		}
		prefixes = append(prefixes, l.Prefixes...)
		for _, o := range l.Objects {
			if err := doc.add(o, ""); err != nil {
				return err
			}
		}
		return nil
	})
	return doc.end(err, field{"prefixes", prefixes})
}

// writeList writes a page; prefixes and objects are both in order, and are merged.
func writeList(w io.Writer, l admin.List, name func(string) string, versions bool) {
	prefixes := l.Prefixes
	for _, o := range l.Objects {
		for len(prefixes) > 0 && prefixes[0] < o.Key {
			fmt.Fprintf(w, "%19s  %10s  %s\n", "", "", name(prefixes[0]))
			prefixes = prefixes[1:]
		}
		size := humanize.IBytes(uint64(o.Size))
		if o.Marker {
			size = "deleted"
		}
		fmt.Fprintf(w, "%s  %10s  %s", stamp(o.Modified), size, name(o.Key))
		if versions {
			fmt.Fprintf(w, "  %s", o.Version)
			if o.Latest {
				fmt.Fprint(w, "  latest")
			}
		}
		fmt.Fprintln(w)
	}
	for _, p := range prefixes {
		fmt.Fprintf(w, "%19s  %10s  %s\n", "", "", name(p))
	}
}

// stamp is a moment as a listing shows it.
func stamp(t time.Time) string { return t.Local().Format(time.DateTime) }

// eachPage walks a listing.
func eachPage(ctx context.Context, client *admin.Client, bucket string, r admin.ListRequest, page func(admin.List) error) error {
	for {
		l, err := client.List(ctx, bucket, r)
		if err != nil {
			return fmt.Errorf("list %s: %w", bucket, err)
		}
		if err := page(l); err != nil || !l.Truncated {
			return err
		}
		r.After = l.Next
	}
}

// eachObject walks everything below a prefix.
func eachObject(ctx context.Context, client *admin.Client, p place, versions bool, one func(admin.Object) error) error {
	r := admin.ListRequest{Prefix: p.key, Versions: versions}
	return eachPage(ctx, client, p.bucket, r, func(l admin.List) error {
		for _, o := range l.Objects {
			if err := one(o); err != nil {
				return err
			}
		}
		return nil
	})
}
