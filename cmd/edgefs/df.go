package main

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/edgefs/edgefs/internal/admin"
)

func (a *app) dfCommand() *cobra.Command {
	var exact bool
	c := &cobra.Command{
		Use:   "df",
		Short: "Tell what takes space: by bucket, and by device",
		Long: `Tell what takes space: by bucket, and by device.

CURRENT is what listings show, LOGICAL all versions that are held, each with its whole size. UNIQUE is the content that they are made of here, each chunk once, with that of snapshots,
remembered states and uploads; EXCLUSIVE is the part that no other bucket has: about what deleting the bucket would give back, before compression. STORED is what UNIQUE takes of
the devices. DEDUP is LOGICAL to UNIQUE, PACKED is UNIQUE to STORED. In the last line what buckets share is counted once.

The first two are known at once. The others are counted with each collection (every six hours where something was written), and by --exact, which reads all
metadata: interrupted, it changes nothing. Of devices, OTHER is what packs take that no chunk does: garbage, padding, and room for what is to come.`,
		Example: `  edgefs df
  edgefs df --exact
  edgefs df --json | jq .total`,
		Args: cobra.NoArgs,
		RunE: a.asking(func(cmd *cobra.Command, client *admin.Client, _ []string) error {
			if exact {
				return a.dfExact(cmd, client)
			}
			s, err := client.Space(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) { writeSpace(w, s) })
		}),
	}
	c.Flags().BoolVar(&exact, "exact", false, "count now, and wait for it")
	return c
}

func (a *app) dfExact(cmd *cobra.Command, client *admin.Client) error {
	bar := a.progress("counting", -1)
	defer bar.done()
	var last admin.SpaceEvent
	err := client.CountSpace(cmd.Context(), func(e admin.SpaceEvent) error {
		last = e
		bar.describe("counting: " + humanize.Comma(e.Named) + " chunks")
		return nil
	})
	bar.done()
	if err != nil {
		return err
	}
	if last.BrokenOff != "" || last.Space == nil {
		return failed(codeUnavailable, "the count was broken off: %s", last.BrokenOff)
	}
	return a.show(last.Space, func(w io.Writer) { writeSpace(w, *last.Space) })
}

func writeSpace(w io.Writer, s admin.Space) {
	writeBucketSpace(w, s)
	fmt.Fprintln(w)
	writeDeviceSpace(w, s)
	fmt.Fprintln(w)
	writeSpaceCount(w, s)
}

func writeBucketSpace(w io.Writer, s admin.Space) {
	t := table{left: map[int]bool{0: true}}
	t.row("BUCKET", "OBJECTS", "CURRENT", "LOGICAL", "UNIQUE", "EXCLUSIVE", "STORED", "DEDUP", "PACKED")
	var exclusive int64
	for _, b := range s.Buckets {
		cells := []string{b.Bucket, humanize.Comma(b.Objects), bytesText(b.Current), knownText(b.Logical)}
		if c := b.Count; c != nil {
			exclusive += c.Exclusive.Bytes
			cells = append(cells, bytesText(c.Unique.Bytes), bytesText(c.Exclusive.Bytes), bytesText(c.Unique.Stored), ratioText(c.DedupRatio), ratioText(c.CompressionRatio))
		} else {
			cells = append(cells, "-", "-", "-", "-", "-")
		}
		t.row(cells...)
	}
	cells := []string{"total", humanize.Comma(s.Total.Objects), bytesText(s.Total.Current), knownText(s.Total.Logical)}
	if s.Count == nil {
		cells = append(cells, "-", "-", "-", "-", "-")
	} else {
		u := uniqueOf(s)
		cells = append(cells, bytesText(u.Bytes), bytesText(exclusive), bytesText(u.Stored), ratioText(dedupOf(s, u)), ratioText(per(u.Bytes, u.Stored)))
	}
	t.row(cells...)
	t.write(w)
}

// uniqueOf is the content that all buckets have together.
func uniqueOf(s admin.Space) (sum admin.Use) {
	for _, d := range s.Count.Domains {
		sum = sum.Add(d.Unique)
	}
	return sum
}

// dedupOf is the ratio of all buckets together, 0 where it is not known.
func dedupOf(s admin.Space, unique admin.Use) float64 {
	logical := int64(0)
	for _, b := range s.Buckets {
		if b.Count == nil {
			continue
		}
		if b.Count.NotHere > 0 {
			return 0
		}
		logical += b.Count.Logical
	}
	return per(logical, unique.Bytes)
}

func per(a, b int64) float64 {
	if b <= 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func ratioText(r float64) string {
	if r <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", r)
}

func knownText(n int64) string {
	if n < 0 {
		return "-"
	}
	return bytesText(n)
}

func writeDeviceSpace(w io.Writer, s admin.Space) {
	t := table{left: map[int]bool{0: true, 1: true, 7: true}}
	t.row("DEVICE", "STATE", "CONTENT", "METADATA", "CACHED", "OTHER", "FREE", "PATH")
	for _, d := range s.Devices {
		other := max(0, d.PackBytes-d.Content.Stored-d.Meta.Stored-d.Cached.Stored)
		t.row(d.ID[:min(shortID, len(d.ID))], d.State, bytesText(d.Content.Stored), bytesText(d.Meta.Stored), bytesText(d.Cached.Stored), bytesText(other), bytesText(d.FreeBytes), d.Path)
	}
	n := s.Total
	t.row("total", "", bytesText(n.Content.Stored), bytesText(n.Meta.Stored), bytesText(n.Cached.Stored), bytesText(n.Other), bytesText(n.Free))
	t.write(w)
}

// writeSpaceCount says of when the figures of buckets are, and what is no bucket's.
func writeSpaceCount(w io.Writer, s admin.Space) {
	if s.Total.Staged > 0 {
		fmt.Fprintf(w, "%s in the log are on their way to a device\n", bytesText(s.Total.Staged))
	}
	c := s.Count
	if c == nil {
		fmt.Fprintln(w, "what buckets take was not counted since the start; edgefs df --exact counts it")
		return
	}
	var shared, unreached, underway admin.Use
	for _, d := range c.Domains {
		shared, unreached, underway = shared.Add(d.Shared), unreached.Add(d.Unreached), underway.Add(d.Underway)
	}
	for _, n := range []struct {
		use  admin.Use
		what string
	}{
		{shared, "several buckets share"}, {unreached, "nothing reaches: the next collection gives it back"}, {underway, "only reads and writes under way need"},
		{c.Copies, "are on two devices"}, {c.Foreign, "belong to buckets that are not known here"},
	} {
		if n.use.Chunks > 0 {
			fmt.Fprintf(w, "%s stored %s\n", bytesText(n.use.Stored), n.what)
		}
	}
	missing := int64(0)
	for _, b := range s.Buckets {
		if b.Count != nil {
			missing += b.Count.NotHere
		}
	}
	if missing > 0 {
		fmt.Fprintf(w, "%s of what buckets have are not here: DEDUP is not known of these\n", counted(missing, "chunk"))
	}
	fmt.Fprintf(w, "counted %s, in %s; edgefs df --exact counts now\n", ageText(time.Since(c.At)), c.Took)
}

func ageText(d time.Duration) string {
	if d < time.Minute {
		return "just now"
	}
	return humanize.RelTime(time.Now().Add(-d), time.Now(), "ago", "from now")
}
