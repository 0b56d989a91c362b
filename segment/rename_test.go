package segment

import (
	"errors"
	"strings"
	"testing"
)

// rename is a random rename of a directory, or of a key.
func (m *sim) rename(s *site, b *Bucket) error {
	o := RenameOptions{Replace: m.rng.IntN(2) == 0}
	if m.rng.IntN(3) == 0 {
		keys := []string{"k", "d/x", "d/y", "e", "f/x"}
		src, dst := keys[m.rng.IntN(len(keys))], keys[m.rng.IntN(len(keys))]
		m.step = "rename key " + src + " to " + dst
		_, err := b.Rename(m.ctx, src, dst, o)
		return allow(err, ErrNoSuchKey, ErrTargetExists, ErrInvalidArgument)
	}
	dirs := []string{"d/", "f/", "d/", "f/", "d\x00/"}
	at := m.rng.IntN(len(dirs))
	src, dst := dirs[at], dirs[(at+1)%len(dirs)]
	m.step = "rename " + src + " to " + dst
	_, err := b.RenamePrefix(m.ctx, src, dst, o)
	return allow(err, ErrNoSuchKey, ErrTargetExists, ErrInvalidArgument)
}

func TestARenameMovesADirectoryInOneSmallRecord(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	if _, err := a.CreateBucket(w.ctx, "box", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	box, _ := a.Bucket("box")
	for _, k := range []string{"d/", "d/x", "d/y/z", "e", "k"} {
		a.put("box", k, "of "+k)
	}
	w.settle()
	r, err := box.RenamePrefix(w.ctx, "d/", "f/", RenameOptions{})
	if err != nil || r.Keys != 3 || r.Versions != 3 {
		t.Fatalf("renamed %+v, %v", r, err)
	}
	syncs := b.syncs
	w.settle()
	if b.syncs != syncs {
		t.Errorf("it took %d syncs", b.syncs-syncs)
	}
	for _, s := range w.sites {
		box, _ := s.Bucket("box")
		if got := strings.Join(listed(t, box), " "); got != "e f/ f/x f/y/z k" {
			t.Errorf("%s lists %s", s.Name(), got)
		}
	}
	if got, err := a.read(box, "f/y/z", VersionRef{}); err != nil || got != "of d/y/z" {
		t.Errorf("a reads %q, %v", got, err)
	}
}

func listed(t *testing.T, b *Bucket) (out []string) {
	t.Helper()
	page, err := b.List(t.Context(), ListOptions{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		out = append(out, e.Version.Key)
	}
	return out
}

var _ = errors.Is
