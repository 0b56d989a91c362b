package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) conflictsCommand() *cobra.Command {
	list := a.conflictsListCommand()
	c := &cobra.Command{
		Use:   "conflicts [BUCKET[/PREFIX]]",
		Short: "List, show and settle files that were written at two segments at once",
		Long: `List files that were written at two segments at once, neither knowing of the other's write. Nothing is lost: a read answers the newer
version, and the older one is kept. To settle a conflict read both, put what is right if neither is, and say which one to keep: a plain put
never buries what its writer has not seen. "edgefs conflicts show" has the commands.

A bucket's settings --keep-losers and --loser-days say how much is kept; what went by them is counted. With --policy keep-both the older
versions are listed as files of their own.`,
		Example: `  edgefs conflicts
  edgefs conflicts photos/2026/ --json
  edgefs conflicts show photos/cat.jpg
  edgefs conflicts resolve photos/cat.jpg --keep VERSION`,
		Args: cobra.MaximumNArgs(1),
		RunE: list.RunE,
	}
	c.AddCommand(list, a.conflictsShowCommand(), a.resolveCommand())
	return c
}

func (a *app) conflictsListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list [BUCKET[/PREFIX]]",
		Short:   "List files in conflict, each with its versions",
		Example: "  edgefs conflicts list photos/2026/",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.conflicts(cmd.Context(), args) },
	}
}

// inConflict is a conflict and where it is, for JSON.
type inConflict struct {
	Bucket string `json:"bucket"`
	admin.Conflict
}

// conflictTotals are of all the buckets that were looked through.
type conflictTotals struct {
	total, dropped int64
}

// conflicts prints pages as they come, so that any number of them is listed in bounded memory.
func (a *app) conflicts(ctx context.Context, args []string) error {
	var p place
	var err error
	if len(args) > 0 {
		if p, err = parsePlace(args[0]); err != nil {
			return err
		}
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	doc, shown := a.document("conflicts"), 0
	totals, err := eachConflict(ctx, client, p, func(c inConflict) error {
		shown++
		return doc.add(c, conflictText(c, a.names()))
	})
	if err == nil {
		a.said("%s", totalsText(shown, totals, p.key != ""))
	}
	return doc.end(err, field{"total", totals.total}, field{"dropped", totals.dropped})
}

// eachConflict walks the conflicts below a place: of all buckets when it names none.
func eachConflict(ctx context.Context, client *admin.Client, p place, one func(inConflict) error) (t conflictTotals, err error) {
	var named []string
	if p.bucket != "" {
		named = []string{p.bucket}
	}
	names, err := bucketsNamed(ctx, client, named)
	if err != nil {
		return t, err
	}
	for _, name := range names {
		for after := ""; ; {
			page, err := client.Conflicts(ctx, name, p.key, after)
			if p.bucket == "" && errors.Is(err, &admin.Error{Code: admin.NoSuchBucket}) { // deleted meanwhile
				break
			}
			if err != nil {
				return t, fmt.Errorf("conflicts of %s: %w", name, err)
			}
			if after == "" {
				t.total, t.dropped = t.total+page.Total, t.dropped+page.Dropped
			}
			for _, c := range page.Conflicts {
				if err := one(inConflict{name, c}); err != nil {
					return t, err
				}
			}
			if after = page.Next; after == "" {
				break
			}
		}
	}
	return t, nil
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

func totalsText(shown int, t conflictTotals, below bool) string {
	text := "no conflicts"
	switch {
	case below && t.total > 0:
		text = fmt.Sprintf("%d of %s", shown, counted(t.total, "conflict"))
	case t.total > 0:
		text = counted(t.total, "conflict")
	}
	if t.dropped > 0 {
		text += fmt.Sprintf("; %s went before, by the buckets' bounds (--keep-losers, --loser-days)", counted(t.dropped, "version"))
	}
	return text
}

// conflictText is a conflict in a few lines: the versions, the one that reads answer first.
func conflictText(c inConflict, name func(string) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s", c.Bucket, name(c.Key))
	line := func(what string, o admin.Object) {
		size := bytesText(o.Size)
		if o.Marker {
			size = "deleted"
		}
		fmt.Fprintf(&b, "\n  %-8s %s  %10s  version %s", what, stamp(o.Modified), size, o.Version)
		if o.Segment != "" {
			fmt.Fprintf(&b, "  written at %s", o.Segment)
		}
	}
	line("current", c.Current)
	for _, l := range c.Losers {
		line("kept", l)
	}
	return b.String()
}

func (a *app) conflictsShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show BUCKET/KEY",
		Short: "Show all about one conflict, and the commands that read and settle it",
		Example: `  edgefs conflicts show photos/cat.jpg
  edgefs conflicts show photos/cat.jpg --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parseKey(args[0])
			if err != nil {
				return err
			}
			return a.showConflict(cmd.Context(), p)
		},
	}
}

// shownVersion is one version of a conflict, and what can be done with it.
type shownVersion struct {
	admin.Object
	Current bool   `json:"current"`
	Get     string `json:"get,omitempty"` // the command that reads it; none of a delete marker
	Keep    string `json:"keep"`          // the command that settles the conflict in its favour
}

// shownConflict is a conflict, the version that reads answer first, and the command that puts other content in the place of all of them.
type shownConflict struct {
	Bucket   string         `json:"bucket"`
	Key      string         `json:"key"`
	Versions []shownVersion `json:"versions"`
	Merge    string         `json:"merge"`
}

func (a *app) showConflict(ctx context.Context, p place) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := conflictOf(ctx, client, p)
	if err != nil {
		return err
	}
	doc := shownConflict{Bucket: p.bucket, Key: p.key, Merge: a.command("put", "--resolve", "FILE", p.bucket+"/"+p.key)}
	for i, o := range append([]admin.Object{found.Current}, found.Losers...) {
		v := shownVersion{Object: o, Current: i == 0, Keep: a.command("conflicts", "resolve", p.bucket+"/"+p.key, "--keep", o.Version)}
		if !o.Marker {
			v.Get = a.command("get", "--version", o.Version, p.bucket+"/"+p.key, fmt.Sprintf("version-%d", i+1))
		}
		doc.Versions = append(doc.Versions, v)
	}
	return a.show(doc, func(w io.Writer) { writeShown(w, doc, a.names()) })
}

// command is a line that a shell takes as it is.
func (a *app) command(words ...string) string {
	line := []string{"edgefs"}
	if a.endpoint != "" {
		words = append([]string{"--endpoint", a.endpoint}, words...)
	}
	for _, w := range words {
		if visible(w) {
			line = append(line, quoted(w))
		} else {
			line = append(line, word(w))
		}
	}
	return strings.Join(line, " ")
}

func writeShown(w io.Writer, c shownConflict, name func(string) string) {
	fmt.Fprintf(w, "%s/%s\n", c.Bucket, name(c.Key))
	for i, v := range c.Versions {
		what := "kept"
		if v.Current {
			what = "current: a read answers this one"
		}
		fmt.Fprintf(w, "\n%d  %s\n", i+1, what)
		line := func(what, format string, args ...any) {
			fmt.Fprintf(w, "   %-8s %s\n", what, fmt.Sprintf(format, args...))
		}
		line("version", "%s", v.Version)
		line("written", "%s, at %s", stamp(v.Modified), v.Segment)
		if v.Marker {
			line("content", "none: it was deleted")
		} else {
			line("content", "%s, %s", bytesText(v.Size), hereText(v.Object))
			line("etag", "%s", v.ETag)
			if t := v.Meta["content-type"]; t != "" {
				line("type", "%s", printable(t))
			}
		}
		if v.Name != "" {
			line("listed", "%s", name(v.Name))
		}
		if v.Get != "" {
			line("read", "%s", v.Get)
		}
		line("keep", "%s", v.Keep)
	}
	fmt.Fprintf(w, "\nTo put a merge of them in their place:\n   %s\n", c.Merge)
}

// hereText says how much of a version can be read while other segments are away.
func hereText(o admin.Object) string {
	switch {
	case o.Here == nil || *o.Here >= o.Size:
		return "all of it here"
	case *o.Here == 0:
		return "at another segment"
	}
	return fmt.Sprintf("%s of it here", humanize.IBytes(uint64(*o.Here)))
}
