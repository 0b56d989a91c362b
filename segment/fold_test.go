package segment

import (
	"context"
	"fmt"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// hooked tells of each Put of tree nodes and roots, and when a store is opened.
type hooked struct {
	mapStore
	put    func()
	opened func() // a store
}

type hookedStore struct {
	mapStore
	put func()
}

func (h *hooked) Open(_ chunk.Domain, c chunk.Class) chunk.Store {
	h.opened()
	if c != chunk.Meta {
		return h.mapStore
	}
	return hookedStore{h.mapStore, func() { h.put() }}
}

func (h hookedStore) Put(ctx context.Context, cs []chunk.Chunk) error {
	h.put()
	return h.mapStore.Put(ctx, cs)
}

// hook makes a site whose writes of nodes call put.
func (s *site) hook(put func()) *hooked {
	h := &hooked{s.cfg.Chunks.(mapStore), put, func() {}}
	s.w.t.Helper()
	if err := s.Close(s.w.ctx); err != nil {
		s.w.t.Fatal(err)
	}
	s.cfg.Chunks = h
	s.open()
	s.cfg.Chunks = h.mapStore // the peers read from it
	return h
}

// verify holds all sites against the oracle, now and after a restart, and compares their roots when all is exchanged.
func (w *world) verify() {
	w.t.Helper()
	m := &sim{world: w, oracle: newOracle(), learnt: map[string]uint64{}}
	for _, s := range w.sites {
		m.learnt[s.Name()] = s.log.First()
	}
	for _, s := range w.sites {
		if err := m.check(s); err != nil {
			w.t.Fatal(err)
		}
		s.restart()
		if err := m.check(s); err != nil {
			w.t.Fatalf("after a restart: %v", err)
		}
	}
	w.settle()
	for id := range w.sites[0].LinkedBuckets() {
		roots := w.roots(id)
		for _, r := range roots {
			if r != roots[0] {
				w.t.Errorf("bucket %v has roots %v", id, roots)
			}
		}
	}
}

func TestWhatIsWrittenDuringAFoldStays(t *testing.T) {
	w := newWorld(t, "a", "b")
	a := w.site("a")
	n := 0
	a.hook(func() {
		if n++; n < 10 {
			a.put("photos", fmt.Sprint("k", n%3), fmt.Sprint("during ", n))
		}
	})
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		a.put("photos", fmt.Sprint("k", i), "before")
		if _, err := bucket.Fold(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n < 5 {
		t.Fatalf("%d writes during folds", n)
	}
	w.verify()
}

func TestWhatIsWrittenDuringASyncStays(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		a.put("photos", fmt.Sprint("k", i), "from a")
	}
	w.settle()
	n := 0
	b.hook(func() {
		if n++; n < 10 {
			b.put("photos", fmt.Sprint("k", n%7), fmt.Sprint("during ", n))
		}
	})
	for i := range 4 {
		a.put("photos", fmt.Sprint("k", i), fmt.Sprint("from a ", i))
		b.put("photos", fmt.Sprint("k", i+2), "from b")
		if err := w.sync(b, a, bucket.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if n < 5 {
		t.Fatalf("%d writes during syncs", n)
	}
	w.verify()
}

func TestAFoldOfAnotherBaseIsRefused(t *testing.T) {
	w := newWorld(t, "a", "b")
	a := w.site("a")
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	empty := foldItem{bucket: bucket.id, prev: bucket.base.at, covers: a.pos, root: bucket.base.root.appendTo(nil)}
	a.put("photos", "k", "v")
	if _, err := bucket.Fold(w.ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.commit(&entry{folds: []foldItem{empty}}); err != nil {
		t.Fatal(err)
	}
	if s := bucket.Stats(); s.Objects != 1 {
		t.Errorf("a fold that was made of an earlier base counts: %+v", s)
	}
	w.verify()
}

// TestAFoldBeginsBetweenEntries begins one while an entry of several records is applied.
func TestAFoldBeginsBetweenEntries(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	w.settle()
	from := a.LogEnd()
	for i := range 3 {
		if _, err := a.CreateBucket(w.ctx, fmt.Sprint("bucket", i), BucketOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	items, next, err := a.FeedFrom(w.ctx, from, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	began := make(chan sealed, 1)
	h := b.hook(func() {})
	h.opened = func() { // by the first record, which makes a bucket
		h.opened = func() {}
		go func() {
			f, _ := b.bucket(FederationBucket).toFold()
			began <- f.sealed
		}()
		until(func() bool { return len(began) > 0 })
	}
	if n, err := b.Receive(w.ctx, a.ID(), items, Cursor{1, next}); err != nil || n != 3 {
		t.Fatal(n, err)
	}
	all, some := b.bucket(FederationBucket).Seen(), (<-began).root.seen
	if !some.Equal(all) {
		t.Errorf("it begins with %v, the entry goes to %v", some, all)
	}
	w.verify()
}
