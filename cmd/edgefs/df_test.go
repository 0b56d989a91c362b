package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

// TestSpaceByBucketAndDevice looks at what people see, and at the sums in what programs do.
func TestSpaceByBucketAndDevice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "photos")
	good(t, "bucket", "create", "logs", "--compression", "fast")
	if out := good(t, "bucket", "show", "logs"); !strings.Contains(out, "compression  fast") {
		t.Errorf("%q", out)
	}
	bad(t, 1, "want off or fast", "bucket", "set", "logs", "--compression", "dense")
	goodWith(t, strings.Repeat("shared ", 100_000), "put", "-", "photos/a")
	goodWith(t, strings.Repeat("shared ", 100_000), "put", "-", "logs/a")
	goodWith(t, strings.Repeat("of its own ", 100_000), "put", "-", "logs/b")
	before := good(t, "df")
	if !strings.Contains(before, "was not counted") || !strings.Contains(before, "684 KiB") {
		t.Errorf("before anything was counted:\n%s", before)
	}
	s := quietSpace(t, "df", "--exact")
	logs, photos := s.Buckets[0], s.Buckets[1]
	if logs.Bucket != "logs" || logs.Logical != 1_800_000 || logs.Current != 1_800_000 || logs.Objects != 2 || photos.Logical != 700_000 {
		t.Errorf("%+v and %+v", logs, photos)
	}
	if n := photos.Count; n.Exclusive.Bytes != 0 || n.Shared != n.Unique || n.Shared != logs.Count.Shared || n.DedupRatio < 1 {
		t.Errorf("photos: %+v", n)
	}
	if n := logs.Count; n.Exclusive.Stored > n.Exclusive.Bytes/2 || n.CompressionRatio < 1 {
		t.Errorf("logs: %+v", n)
	}
	out := good(t, "df")
	for _, want := range []string{"BUCKET", "EXCLUSIVE", "PACKED", "\ntotal", "DEVICE", "METADATA", "several buckets share", "\ncounted "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	good(t, "rm", "logs/b")
	good(t, "gc", "run")
	s = quietSpace(t, "df")
	if s.Count == nil || s.Buckets[0].Count.Exclusive.Chunks != 0 {
		t.Errorf("after a collection: %+v", s.Buckets[0])
	}
	if out := good(t, "df"); strings.Contains(out, "nothing reaches") {
		t.Errorf("after a collection:\n%s", out)
	}
}

// quietSpace is an answer that was counted while the segment wrote nothing by itself, as it may now and then.
func quietSpace(t *testing.T, args ...string) (s admin.Space) {
	t.Helper()
	var unequal []string
	for range 5 {
		s = jsonOf[admin.Space](t, args...)
		if unequal = unequalSums(s); len(unequal) == 0 {
			return s
		}
		good(t, "gc", "run")
	}
	t.Fatalf("%s: %s", strings.Join(args, " "), strings.Join(unequal, "\n"))
	return s
}

// unequalSums says what is not equal, and must be in an answer that was counted just now, with nothing written since.
func unequalSums(s admin.Space) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if s.Count == nil || len(s.Count.Domains) != 1 || len(s.Devices) == 0 {
		return []string{fmt.Sprintf("%+v", s)}
	}
	d := s.Count.Domains[0]
	exclusive := s.Count.System.Exclusive.Add(s.Count.System.MetaExclusive)
	var logical, current int64
	for _, b := range s.Buckets {
		n := b.Count
		if n.Unique != n.Exclusive.Add(n.Shared) {
			say("%s: %+v", b.Bucket, n)
		}
		exclusive = exclusive.Add(n.Exclusive).Add(n.MetaExclusive)
		logical, current = logical+b.Logical, current+b.Current
	}
	if reached := d.Unique.Add(d.Meta); exclusive.Add(d.Shared) != reached {
		say("%+v exclusive and %+v shared are not %+v", exclusive, d.Shared, reached)
	}
	counted := d.Unique.Add(d.Meta).Add(d.Underway).Add(d.Unreached).Add(s.Count.Copies).Add(s.Count.Foreign)
	var devices admin.Use
	packs := int64(0)
	for _, v := range s.Devices {
		devices = devices.Add(v.Content).Add(v.Meta)
		packs += v.PackBytes
	}
	if devices != s.Total.Content.Add(s.Total.Meta) || devices != counted {
		say("the devices have %+v, the total %+v and %+v, and %+v are counted", devices, s.Total.Content, s.Total.Meta, counted)
	}
	if s.Total.Packs != packs || s.Total.Other != packs-devices.Stored-s.Total.Cached.Stored || s.Total.Other < 0 {
		say("packs of %d bytes: %+v", packs, s.Total)
	}
	if s.Total.Logical != logical || s.Total.Current != current {
		say("total %+v, of %d logical and %d current", s.Total, logical, current)
	}
	return wrong
}
