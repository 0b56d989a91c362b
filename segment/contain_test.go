package segment

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

// crafted is a record of a stranger, as a feed brings it.
func crafted(bucket BucketID, n uint64, at HLC, key string, data []byte) FeedItem {
	r := &record{effects: []effect{{key: key, hold: &Version{Key: key, Null: true, Data: data}}}}
	r.name(VersionID{Stamp{HLC: at}, Dot{Origin{99, 1}, n}})
	return FeedItem{Pos: n, Bucket: bucket, Record: r.appendTo(nil), Dot: r.Dot}
}

func TestADocumentThatCannotBeReadStopsNothing(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	system := sampleDoc()
	system.id = localBucket
	for i, doc := range []struct {
		key  string
		data []byte
	}{
		{docBucket + strings.Repeat("00", 16), []byte{0x50, 1}},
		{docBucket + localBucket.String(), system.appendTo(nil)},
		{docDeleted + "x", nil}, {docSegment + "x", nil}, {"something/else", nil},
	} {
		item := crafted(FederationBucket, uint64(i+1), hlcAt(w.now), doc.key, doc.data)
		if _, err := a.Receive(w.ctx, 99, []FeedItem{item}, Cursor{1, uint64(i + 2)}); err != nil {
			t.Fatalf("%s: %v", doc.key, err)
		}
	}
	a.restart()
	if _, err := a.CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	w.settle() // by sync, too
	for _, s := range w.sites {
		if names := s.Buckets(); len(names) != 1 || names[0].Name != "photos" {
			t.Errorf("%s shows %+v", s.Name(), names)
		}
	}
	_ = b
}

func TestARecordThatNoSegmentWritesIsRefused(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	b, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", strings.Repeat("k", maxFederatedKey+1)} {
		if _, err := a.Receive(w.ctx, 99, []FeedItem{crafted(b.id, 1, hlcAt(w.now), key, nil)}, Cursor{1, 2}); !errors.Is(err, ErrRefused) {
			t.Errorf("a key of %d bytes: %v", len(key), err)
		}
	}
	if _, err := b.Delete(w.ctx, strings.Repeat("k", MaxKey+1), Cond{}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("delete: %v", err)
	}
}

func TestDamageInOneBucketLeavesTheOthersBe(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	set := DefaultSettings()
	set.Versioning = Versioned
	b, err := a.CreateBucket(w.ctx, "photos", BucketOptions{Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.CreateBucket(w.ctx, "other", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		a.put("photos", "k", "x")
	}
	if _, err := b.Fold(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.restart()
	m := a.cfg.Chunks.(mapStore)
	history := a.bucket(b.id).base.history
	lost := m.lose(history)
	b, _ = a.Bucket("photos")
	if _, err := b.Delete(w.ctx, "k", Cond{}); err != nil {
		t.Fatal(err)
	}
	marker, _ := b.view("k").head(w.ctx, "k")
	if _, err := b.Remove(w.ctx, "k", VersionRef{ID: marker.current().VersionID}, Cond{}); !errors.Is(err, ErrUnavailable) && !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("remove, which needs the history: %v", err)
	}
	check := func() {
		t.Helper()
		photos, err := a.Bucket("photos")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := photos.List(w.ctx, ListOptions{Limit: 1}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("list of the damaged bucket: %v", err)
		}
		if _, err := photos.Put(w.ctx, "k", Attrs{}, Cond{}, strings.NewReader("y")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("put into the damaged bucket: %v", err)
		}
		a.put("other", "k", "goes on")
		if err := a.checkpoint(w.ctx); err != nil {
			t.Errorf("checkpoint: %v", err)
		}
	}
	check()
	a.restart()
	check()
	if err := m.Put(w.ctx, lost); err != nil { // the disk was mended
		t.Fatal(err)
	}
	a.restart()
	b, _ = a.Bucket("photos")
	v, err := b.Stat(w.ctx, "k", VersionRef{})
	if err != nil || v.Marker || b.Stats().Versions != 3 {
		t.Errorf("mended: %+v, %+v, %v", v, b.Stats(), err)
	}
}

func TestAClockPutBackDoesNotStopASync(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	if _, err := a.CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	a.skew = 10 * time.Minute
	a.put("photos", "k", "ahead")
	a.skew = 0
	b.put("photos", "l", "x")
	if err := w.syncAll(a, b); err != nil {
		t.Errorf("a adopts what is not ahead: %v", err)
	}
	if err := w.syncAll(b, a); !errors.Is(err, ErrClockAhead) {
		t.Errorf("b adopts what is ahead: %v", err)
	}
	w.tick(10 * time.Minute)
}

func TestConditionsOfARemovalAreOfItsVersion(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	b, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.Put(w.ctx, "k", Attrs{ETag: "right"}, Cond{}, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Remove(w.ctx, "k", VersionRef{ID: v.VersionID}, Cond{Match: []string{"wrong"}}); !errors.Is(err, ErrPrecondition) {
		t.Errorf("wrong ETag: %v", err)
	}
	if _, err := b.Remove(w.ctx, "none", VersionRef{ID: v.VersionID}, Cond{Match: []string{"*"}}); err == nil {
		t.Error("a condition of what is not there holds")
	}
	if _, err := b.Remove(w.ctx, "k", VersionRef{ID: v.VersionID}, Cond{Match: []string{"right"}}); err != nil {
		t.Error(err)
	}
}

func TestAPartIsNoUpload(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	b, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u, err := b.CreateUpload(w.ctx, "k", Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.PartWriter(w.ctx, "k", u.ID, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.CommitPart(w.ctx, Attrs{ETag: "e"}); err != nil {
		t.Fatal(err)
	}
	if err := b.AbortUpload(w.ctx, "k\x00"+u.ID, "00001"); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("a part is taken for an upload: %v", err)
	}
	if err := a.DeleteBucket(w.ctx, "photos"); err != nil { // uploads go with it
		t.Error(err)
	}
	if _, err := b.Upload(w.ctx, "k", u.ID); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("an upload of a deleted bucket: %v", err)
	}
}
