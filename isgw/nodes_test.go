package isgw_test

import (
	"io"
	"testing"

	"github.com/edgefs/edgefs/segment"
)

// TestNodesDoNotStandForWhatIsBelowThem: a copy of a part of an object makes new nodes where it is made, over payload that is elsewhere. Where a
// bucket is to be full, that payload comes; where it is not here, nobody is told that it is held.
func TestNodesDoNotStandForWhatIsBelowThem(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		ctx := t.Context()
		a, b := pair(t, w, lazyBucket())
		const size = 3 << 20
		a.put("bkt", "tree", text(size))
		b.lists("bkt", "tree", size)
		src, err := b.bucket("bkt").Open(ctx, "tree", segment.VersionRef{})
		if err != nil {
			t.Fatal(err)
		}
		u, err := b.bucket("bkt").CreateUpload(ctx, "copy", segment.Attrs{})
		if err != nil {
			t.Fatal(err)
		}
		part, err := b.bucket("bkt").CopyPart(ctx, "copy", u.ID, 1, src, 1, size-2)
		if err != nil {
			t.Fatal(err)
		}
		refs := []segment.PartRef{{Number: 1, ETag: part.ETag}}
		v, err := b.bucket("bkt").CompleteUpload(ctx, "copy", u.ID, refs, segment.Completion{}, segment.Cond{})
		if err != nil {
			t.Fatal(err)
		}
		if v.Content.Level() == 0 {
			t.Fatal("the copy has no nodes")
		}
		a.lists("bkt", "copy", size-2)
		if _, err := a.bucket("bkt").Delete(ctx, "tree", segment.Cond{}); err != nil {
			t.Fatal(err)
		}
		w.converge("bkt", "a", "b")
		if err := b.holdsOwn("bkt"); err == nil {
			t.Fatal("the payload is at b: there is nothing to see")
		}
		if err := a.bucket("bkt").Configure(ctx, func(s *segment.Settings) error { s.Full = true; return nil }); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*site{a, b} {
			w.eventually(s.id.Name+" holds what is below the nodes", func() error { return s.holdsOwn("bkt") })
		}
		a.exposed("bkt", 0) // b says that it holds all: it does
		b.exposed("bkt", 0)
	})
}

// holdsOwn is as holdsAll, and asks nobody else.
func (s *site) holdsOwn(bucket string) error {
	b := s.bucket(bucket)
	for v, err := range s.Payload(s.w.t.Context(), b.ID()) {
		if err != nil {
			return err
		}
		o, err := s.ObjectHere(b.ID(), v)
		if err != nil {
			return err
		}
		if _, err := o.ReadRange(s.w.t.Context(), io.Discard, 0, v.Size()); err != nil {
			return err
		}
	}
	return nil
}
