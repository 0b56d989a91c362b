package segment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// mendFrom makes the site mend its trees from another, as links do. Chunks that are lost are those deleted from its store.
func (s *site) mendFrom(other *site) {
	s.cfg.Mend = func(ctx context.Context, _ chunk.Domain, l Lost, yield func(chunk.Chunk) error) error {
		return other.ServeNodes(ctx, l, func(c chunk.Chunk) error {
			if err := s.cfg.Chunks.(mapStore).Put(ctx, []chunk.Chunk{c}); err != nil {
				return err
			}
			return yield(c)
		})
	}
	s.restart()
}

// lose takes a chunk away, and makes the segment forget what it knows of it.
func (s *site) lose(id chunk.ID) (lost chunk.Chunk) {
	for _, lost = range s.cfg.Chunks.(mapStore).lose(id) {
	}
	s.restart()
	return lost
}

func versionedBucket(t *testing.T, s *site, name string) *Bucket {
	t.Helper()
	set := DefaultSettings()
	set.Versioning = Versioned
	b, err := s.CreateBucket(s.w.ctx, name, BucketOptions{Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// uncover writes a record that makes who applies it look a version up in the history.
func (s *site) uncover(bucket, key string) {
	s.w.t.Helper()
	b, err := s.Bucket(bucket)
	if err != nil {
		s.w.t.Fatal(err)
	}
	d, err := b.Delete(s.w.ctx, key, Cond{})
	if err != nil {
		s.w.t.Fatal(err)
	}
	if _, err := b.Remove(s.w.ctx, key, VersionRef{ID: d.Version}, Cond{}); err != nil {
		s.w.t.Fatal(err)
	}
}

func TestTheLogWaitsForNoPeer(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	photos := versionedBucket(t, a, "photos")
	for range 3 {
		a.put("photos", "k", "x")
	}
	w.settle()
	w.roots(photos.id)
	history := photos.base.history
	asked := make(chan struct{}, 100)
	a.cfg.Mend = func(ctx context.Context, _ chunk.Domain, l Lost, _ func(chunk.Chunk) error) error {
		if l.Tree == HistoryTree {
			asked <- struct{}{}
			<-ctx.Done() // a peer that never answers
		}
		return errors.Join(ctx.Err(), chunk.ErrUnavailable)
	}
	a.restart()
	a.lose(history)
	b.uncover("photos", "k")
	if err := w.pull(a, b); err != nil && !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	got, err := a.BucketByID(photos.id)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Err(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("applied without its history: %v", err)
	}
	<-asked // what revives the bucket does wait
	if _, err := a.CreateBucket(w.ctx, "other", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	a.put("other", "k", "goes on")
}

func TestABucketIsRevivedFromItsBaseAndTheLog(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	photos := versionedBucket(t, a, "photos")
	for i := range 3 {
		a.put("photos", "k", fmt.Sprint(i))
	}
	w.settle()
	w.roots(photos.id)
	a.uncover("photos", "k")
	a.put("photos", "own", "not folded")
	a.put("photos", "own", "nor this")
	lost := a.lose(photos.base.history)
	got, err := a.Bucket("photos")
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Err(); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("applied without its history: %v", err)
	}
	if err := a.SelfSeen(w.ctx, map[BucketID]Vector{photos.id: {}}); err != nil { // a peer's hello: it looks at which names were given
		t.Fatal(err)
	}
	b.put("photos", "while", "it was broken")
	if err := w.pull(a, b); err != nil {
		t.Errorf("other buckets wait for the one that is broken: %v", err)
	}
	if err := a.revive(w.ctx, got); !errors.Is(err, chunk.ErrNotFound) || got.Err() == nil {
		t.Errorf("revived without its history: %v", err)
	}
	if err := a.cfg.Chunks.(mapStore).Put(w.ctx, []chunk.Chunk{lost}); err != nil {
		t.Fatal(err)
	}
	if err := a.revive(w.ctx, got); err != nil || got.Err() != nil {
		t.Fatal(err, got.Err())
	}
	a.put("photos", "own", "a third")
	w.settle()
	w.verify()
	if roots := w.roots(photos.id); roots[0] != roots[1] {
		t.Errorf("%v", roots)
	}
	a.restart()
	w.verify()
}

// What a peer has is asked of it wherever trees are read; it folds, so that it has what was folded here.
func TestTreesAreMendedWhereverTheyAreRead(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	photos := versionedBucket(t, a, "photos")
	for i := range 300 {
		a.put("photos", fmt.Sprintf("k%03d", i), "x")
	}
	w.settle()
	if _, err := photos.Fold(w.ctx); err != nil { // b does not
		t.Fatal(err)
	}
	a.mendFrom(b)
	for what, read := range map[string]func(*Bucket) error{
		"list":     func(b *Bucket) error { _, err := b.List(w.ctx, ListOptions{Limit: 1000}); return err },
		"versions": func(b *Bucket) error { _, err := b.ListVersions(w.ctx, ListVersionsOptions{Limit: 1000}); return err },
		"stat":     func(b *Bucket) error { _, err := b.Stat(w.ctx, "k123", VersionRef{}); return err },
		"put": func(b *Bucket) error {
			_, err := b.Put(w.ctx, "k123", Attrs{}, Cond{}, strings.NewReader("y"))
			return err
		},
		"fold": func(b *Bucket) error { _, err := b.Fold(w.ctx); return err },
	} {
		got, err := a.BucketByID(photos.id)
		if err != nil {
			t.Fatal(err)
		}
		m := a.cfg.Chunks.(mapStore)
		var ids []chunk.ID
		for _, tr := range []chunk.ID{got.base.heads, got.base.history} {
			for id, err := range got.tree(got.trees.here, tr).Nodes(w.ctx, nil) {
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
		}
		lost := m.lose(ids...)
		a.restart()
		if got, err = a.BucketByID(photos.id); err != nil {
			t.Fatal(err)
		}
		if err := read(got); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := got.Err(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := m.Put(w.ctx, lost); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.roots(photos.id)
	}
	w.settle()
	w.verify()
}
