package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) logCommand() *cobra.Command {
	var most int
	c := &cobra.Command{
		Use:   "log BUCKET[/KEY]",
		Short: "Tell what happened to a bucket, or to a file",
		Long: `Tell what happened to a bucket, the newest first: snapshots, branches and merges, and its states that this segment remembers, with how many
writes of which segment came since the one before. A bucket that was written to is remembered every ten minutes for a day, and every hour for a week
(storage.history); BUCKET@TIME is the last such state, or snapshot made here, at that time, as 2026-11-20T12:00:00Z, 20261120T120000Z or 2h for two hours ago.

Of a file: its versions, by whom and when. A bucket without versioning has the last one only.`,
		Example: `  edgefs log photos
  edgefs log photos/2026/cat.jpg
  edgefs ls -r photos@2h
  edgefs restore photos@2026-11-20T12:00:00Z/2026/`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parsePlace(args[0])
			switch {
			case err != nil:
				return err
			case most < 1:
				return usagef("--limit: at least 1")
			case p.key != "":
				return a.keyLog(cmd.Context(), p, most)
			}
			return a.bucketLog(cmd.Context(), p.bucket, most)
		},
	}
	c.Flags().IntVarP(&most, "limit", "n", 50, "tell so much at the most")
	return c
}

func (a *app) bucketLog(ctx context.Context, bucket string, most int) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	all, next := a.document("events"), ""
	for told := 0; told < most; {
		page, err := client.Log(ctx, bucket, next, min(most-told, admin.MaxPage))
		if err != nil {
			return all.end(err)
		}
		for _, e := range page.Events {
			if err := all.add(e, eventText(e)); err != nil {
				return err
			}
		}
		if next = page.Next; next == "" {
			break
		}
		told += len(page.Events)
	}
	return all.end(nil)
}

// eventText is an event in a line.
func eventText(e admin.Event) string {
	text := stamp(e.Time) + "  "
	held := fmt.Sprintf("%s, %s", counted(e.Objects, "object"), bytesText(e.Bytes))
	switch e.Kind {
	case "created":
		text += "created at " + e.Segment
		if e.Name != "" {
			text += fmt.Sprintf(" as a branch of %s: %s", e.Name, held)
		}
	case "root":
		text += "remembered: " + held
		for _, name := range slices.Sorted(maps.Keys(e.Writes)) {
			text += fmt.Sprintf(", %s at %s", counted(int64(e.Writes[name]), "write"), name)
		}
		if e.Settings != nil {
			text += "; settings: " + settingsText(*e.Settings)
		}
	case "snapshot":
		text += fmt.Sprintf("snapshot %s made at %s: %s", e.Name, e.Segment, held)
	case "branch":
		text += fmt.Sprintf("branch %s made at %s: %s", e.Name, e.Segment, held)
	case "merged":
		text += fmt.Sprintf("%s merged into it at %s: %s", e.Name, e.Segment, mergedText(e.Merged))
	case "merge":
		text += fmt.Sprintf("merged into %s at %s: %s", e.Name, e.Segment, mergedText(e.Merged))
	default:
		text += e.Kind
	}
	return text
}

func mergedText(m *admin.Merged) string {
	if m == nil {
		return ""
	}
	return fmt.Sprintf("%s put, %d deleted, %d changed on both sides", counted(m.Put, "key"), m.Deleted, m.Conflicts)
}

func (a *app) keyLog(ctx context.Context, p place, most int) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	all, next := a.document("versions"), ""
	for told := 0; told < most; {
		page, err := client.KeyLog(ctx, p.bucket, p.key, next, min(most-told, admin.MaxPage))
		if err != nil {
			return all.end(fmt.Errorf("log %s: %w", p, err))
		}
		for _, v := range page.Versions {
			if err := all.add(v, versionText(v)); err != nil {
				return err
			}
		}
		if next = page.Next; next == "" {
			break
		}
		told += len(page.Versions)
	}
	return all.end(nil)
}

// versionText is a version in a line.
func versionText(v admin.KeyVersion) string {
	what := bytesText(v.Size)
	if v.Marker {
		what = "deleted"
	}
	var notes []string
	if v.Current {
		notes = append(notes, "current")
	}
	if v.Open {
		notes = append(notes, "in conflict")
	}
	text := fmt.Sprintf("%s  %s  %-10s at %s", stamp(v.Modified), v.Version, what, v.Segment)
	if len(notes) > 0 {
		text += "  (" + strings.Join(notes, ", ") + ")"
	}
	return text
}
