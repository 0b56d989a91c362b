package segment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/segment/tree"
)

// TestACheckCountsHeadsAndFigures checks bases whose heads or figures are not what their history says, though every node is whole.
func TestACheckCountsHeadsAndFigures(t *testing.T) {
	l := lived(t)
	if err := l.foldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := l.Segment.Bucket("bucket")
	if err != nil {
		t.Fatal(err)
	}
	key := headKey(regionShown, "dir/5")
	raw, ok, err := b.base.headTree.Get(t.Context(), key)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	h, err := parseHead("dir/5", raw)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Segment.weave()()
	other := *h.versions[0]
	other.Superseded = !other.Superseded
	for what, tc := range map[string]struct {
		edits []tree.Edit
		stats func(*counters)
		kind  string
	}{
		"nothing":        {},
		"a figure":       {stats: func(c *counters) { c.bytes++ }, kind: "bucket.figures"},
		"no head":        {edits: []tree.Edit{{Key: key, Delete: true}}, kind: "tree.heads"},
		"another head":   {edits: []tree.Edit{{Key: key, Value: head{[]*Version{&other}, h.count}.appendTo(nil)}}, kind: "tree.heads"},
		"one too many":   {edits: []tree.Edit{{Key: headKey(regionShown, "dir/5x"), Value: raw}}, kind: "tree.heads"},
		"hidden":         {edits: []tree.Edit{{Key: key, Delete: true}, {Key: headKey(regionHidden, "dir/5"), Value: raw}}, kind: "tree.head"},
		"rubbish":        {edits: []tree.Edit{{Key: key, Value: []byte("rubbish")}}, kind: "tree.head"},
		"another region": {edits: []tree.Edit{{Key: []byte{7, 'x'}, Value: raw}}, kind: "tree.head"},
	} {
		n := *b.base
		here := *n.here
		here.headTree, err = here.headTree.Apply(t.Context(), func(yield func(tree.Edit, error) bool) {
			for _, e := range tc.edits {
				if !yield(e, nil) {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(what, err)
		}
		if tc.stats != nil {
			tc.stats(&n.stats)
		}
		n.headTree, n.here = here.headTree, &here
		was := b.base
		b.mu.Lock()
		b.base = &n
		b.mu.Unlock()
		found := checked(t, l.Segment)
		b.mu.Lock()
		b.base = was
		b.mu.Unlock()
		if tc.kind == "" && len(found) > 0 || tc.kind != "" && !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Kind == tc.kind && f.Bucket == "bucket" }) {
			t.Errorf("%s: %v", what, found)
		}
	}
}

// TestACheckOfContentThatIsElsewhere: what other segments may have is counted, and is no damage.
func TestACheckOfContentThatIsElsewhere(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	if _, err := a.CreateBucket(t.Context(), "bucket", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	a.put("bucket", "k", strings.Repeat("content", 10_000))
	if err := w.syncAll(b, a); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*site{a, b} {
		var found []finding.Finding
		r, err := s.Check(t.Context(), CheckOptions{Tell: func(f finding.Finding) { found = append(found, f) }, Progress: func(CheckReport) {}})
		if err != nil || len(found) > 0 || r.Versions == 0 || (r.Absent > 0) != (s == b) {
			t.Errorf("%s: %+v, %v, %v", s.Name(), r, found, err)
		}
	}
}

// TestWhatWasDeletedIsNotSalvaged, neither before nor after it was folded; what a snapshot holds of it is.
func TestWhatWasDeletedIsNotSalvaged(t *testing.T) {
	l := newLone(t)
	b := l.bucket("bucket")
	for i := range 30 {
		l.put(b, fmt.Sprintf("k%d", i), blob(i))
	}
	if err := l.foldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.delete(b, "k3")
	if _, err := b.CreateSnapshot(t.Context(), "snap"); err != nil {
		t.Fatal(err)
	}
	l.delete(b, "k4")
	if err := b.foldSeals(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.put(b, "late", blob(1))
	if err := l.foldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.delete(b, "k5")
	l.delete(b, "late")
	l.close()
	device, err := pack.Inspect(t.Context(), pack.InspectOptions{FS: l.fs, Dir: "device", Index: l.index}, func(finding.Finding) {})
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	cfg := l.cfg
	cfg.FS, cfg.Chunks = l.fs, stage.New(device)
	s, err := Inspect(t.Context(), cfg, func(f finding.Finding) { t.Error(f) })
	if err != nil {
		t.Fatal(err)
	}
	current, all := map[string]bool{}, map[string]int{}
	err = s.Salvage(context.Background(), func(v Salvaged) error {
		all[v.Version.Key]++
		if v.Current {
			current[v.Version.Key] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(current) != 27 || current["k3"] || current["k4"] || current["k5"] {
		t.Errorf("current are %d: %v", len(current), current)
	}
	if all["k3"] > 0 || all["late"] > 0 || all["k4"] != 1 || all["k5"] != 1 || all["k6"] != 1 {
		t.Errorf("salvaged are %v", all)
	}
}
