package segment

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// A bucket that was suspected, and has lost nothing, takes in what a peer offers as any other does.
func TestABucketThatOnlySeemsDamagedIsSyncedToo(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	photos := versionedBucket(t, a, "photos")
	a.put("photos", "k", "x")
	w.settle()
	w.roots(photos.id)
	b.put("photos", "new", "y")
	a.Suspect(photos.id)
	if err := w.syncAll(a, b); err != nil { // and the cursor is set behind the write
		t.Fatal(err)
	}
	a.restart()
	w.settle()
	if !a.bucket(photos.id).Seen().Covers(b.bucket(photos.id).Seen()) {
		t.Error("it lacks the other's write, and its cursor is behind it")
	}
	w.verify()
}

// A debt is not paid by a sync that only found nothing damaged.
func TestHealingPaysNoDebt(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	photos := versionedBucket(t, a, "photos")
	a.put("photos", "k", "x")
	w.settle()
	w.roots(photos.id)
	if err := a.PassOver(w.ctx, b.ID(), photos.id); err != nil {
		t.Fatal(err)
	}
	b.put("photos", "new", "y")
	if err := w.pull(a, b); err != nil {
		t.Fatal(err)
	}
	cur, _ := a.Cursor(b.ID())
	if err := a.SetCursor(w.ctx, b.ID(), Cursor{cur.Inc, b.LogEnd()}); err != nil { // as any write of another bucket moves it
		t.Fatal(err)
	}
	a.restart()
	a.Suspect(photos.id)
	if err := w.sync(a, b, photos.id); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.verify()
}

// manyBuckets fill the federation's tree with leaves, some of which site a then loses. mend is asked for them.
func manyBuckets(t *testing.T, mend func(a, b *site, l Lost, yield func(chunk.Chunk) error) error) (w *world, a, b *site) {
	w = newWorld(t, "a", "b")
	a, b = w.site("a"), w.site("b")
	for i := range 400 {
		if _, err := a.CreateBucket(w.ctx, fmt.Sprintf("bucket-%03d", i), BucketOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w.settle()
	w.roots(FederationBucket)
	a.cfg.NodeCache = 1
	a.cfg.Mend = func(_ context.Context, _ chunk.Domain, l Lost, yield func(chunk.Chunk) error) error {
		return mend(a, b, l, yield)
	}
	a.restart()
	if _, err := b.CreateBucket(w.ctx, "zzz", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	var leaves []chunk.ID
	for id, err := range a.federation.tree(a.federation.trees.here, a.federation.base.heads).Nodes(w.ctx, nil) {
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, id)
	}
	leaves = slices.DeleteFunc(leaves, func(id chunk.ID) bool { return id == a.federation.base.heads })
	a.cfg.Chunks.(mapStore).lose(leaves[:3]...)
	return w, a, b
}

func TestTheLogAsksNobody(t *testing.T) {
	var asked, applying atomic.Int64
	w, a, b := manyBuckets(t, func(a, b *site, l Lost, yield func(chunk.Chunk) error) error {
		asked.Add(1)
		if a.applying.TryLock() {
			a.applying.Unlock()
		} else {
			applying.Add(1)
		}
		return b.ServeNodes(a.w.ctx, l, func(c chunk.Chunk) error {
			if err := a.cfg.Chunks.(mapStore).Put(a.w.ctx, []chunk.Chunk{c}); err != nil {
				return err
			}
			return yield(c)
		})
	})
	if err := w.sync(a, b, FederationBucket); err != nil {
		t.Fatal(err)
	}
	if applying.Load() > 0 || asked.Load() == 0 {
		t.Errorf("peers were asked %d times, %d of them while entries of the log were applied", asked.Load(), applying.Load())
	}
	if _, err := a.Bucket("zzz"); err != nil {
		t.Error(err)
	}
}

func TestDamageOfTheFederationsTreeEndsASyncAndNotTheSegment(t *testing.T) {
	w, a, b := manyBuckets(t, func(*site, *site, Lost, func(chunk.Chunk) error) error { return chunk.ErrUnavailable })
	if err := w.sync(a, b, FederationBucket); err == nil {
		t.Error("what is lost was synced")
	}
	if a.Err() != nil {
		t.Errorf("the segment stopped: %v", a.Err())
	}
}
