package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) statCommand() *cobra.Command {
	var version string
	c := &cobra.Command{
		Use:   "stat BUCKET/KEY",
		Short: "Describe a file, without reading it",
		Example: `  edgefs stat photos/2026/cat.jpg
  edgefs stat --json --version null photos/2026/cat.jpg`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.stat(cmd.Context(), args[0], version) },
	}
	c.Flags().StringVar(&version, "version", "", "describe this version, not the current one")
	return c
}

func (a *app) stat(ctx context.Context, arg, version string) error {
	p, err := parseKey(arg)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	o, err := client.Stat(ctx, p.bucket, p.key, version)
	if err != nil {
		return fmt.Errorf("stat %s: %w", p, err)
	}
	described := struct {
		admin.Object
		AsOf []admin.AsOf `json:"asOf,omitempty"`
	}{o, a.states}
	return a.show(described, func(w io.Writer) { writeObject(w, p.bucket, o, a.names()) })
}

func writeObject(w io.Writer, bucket string, o admin.Object, name func(string) string) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-10s "+format+"\n", append([]any{name}, args...)...)
	}
	line("key", "%s/%s", bucket, name(o.Key))
	line("version", "%s", o.Version)
	if o.Marker {
		line("deleted", "%s", stamp(o.Modified))
		return
	}
	line("size", "%d (%s)", o.Size, humanize.IBytes(uint64(o.Size)))
	line("modified", "%s", stamp(o.Modified))
	line("etag", "%s", o.ETag)
	if o.Segment != "" {
		line("written at", "%s", o.Segment)
	}
	for _, k := range slices.Sorted(maps.Keys(o.Meta)) {
		line("meta", "%s: %s", name(k), name(o.Meta[k]))
	}
	for _, k := range slices.Sorted(maps.Keys(o.Tags)) {
		line("tag", "%s: %s", name(k), name(o.Tags[k]))
	}
	if o.Lock != nil {
		line("lock", "%s", lockText(o.Lock))
	}
}
