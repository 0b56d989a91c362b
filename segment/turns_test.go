package segment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/vfs"
)

// onSlowDisk opens a segment on a disk that can be made slow.
func onSlowDisk(t *testing.T) (*Segment, *slowDisk) {
	t.Helper()
	d := &slowDisk{FS: vfs.NewCrash(), outcome: make(chan error)}
	d.left.Store(1 << 60)
	s, err := Open(context.Background(), Config{FS: d, Dir: "/a", ID: 1, Name: "a", Chunks: newMapStore(), LogFileSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, d
}

// until polls, for as long as somebody who is not kept from it would need to go on.
func until(ok func() bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 300 {
		if ok() {
			return
		}
		<-tick.C
	}
}

func TestABucketIsNotDeletedWhileItIsWritten(t *testing.T) {
	s, d := onSlowDisk(t)
	ctx := t.Context()
	b, err := s.CreateBucket(ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.left.Store(0)
	put, deleted := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := b.Put(ctx, "k", Attrs{}, Cond{}, strings.NewReader("v"))
		put <- err
	}()
	until(func() bool { // the put is on its way, and waits for the disk
		if b.gate.TryLock() {
			b.gate.Unlock()
			return false
		}
		return true
	})
	go func() { deleted <- s.DeleteBucket(ctx, "photos") }()
	until(func() bool {
		if b.gate.TryRLock() {
			b.gate.RUnlock()
			return false
		}
		return true // the delete waits
	})
	close(d.outcome)
	if err := <-put; err != nil {
		t.Errorf("put: %v", err)
	}
	if err := <-deleted; !errors.Is(err, ErrBucketNotEmpty) {
		t.Errorf("delete: %v", err)
	}
	if _, err := s.Bucket("photos"); err != nil {
		t.Errorf("the bucket with an acknowledged write: %v", err)
	}
}

// TestAPeerIsToldOfWhatCanBeReadHere commits a write that is not applied yet.
func TestAPeerIsToldOfWhatCanBeReadHere(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	b, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pos := a.LogEnd()
	a.applying.Lock()
	put, fed := make(chan error, 1), make(chan []FeedItem, 1)
	go func() {
		_, err := b.Put(w.ctx, "k", Attrs{}, Cond{}, strings.NewReader("v"))
		put <- err
	}()
	until(func() bool { return a.log.Last() >= pos })
	go func() {
		items, _, err := a.FeedFrom(w.ctx, pos, 1<<20)
		if err != nil {
			t.Error(err)
		}
		fed <- items
	}()
	until(func() bool { return len(fed) > 0 })
	if len(fed) > 0 {
		t.Error("a peer was told of a write that is not applied")
	}
	a.applying.Unlock()
	if err := <-put; err != nil {
		t.Error(err)
	}
	if items := <-fed; len(items) != 1 {
		t.Errorf("%d items", len(items))
	}
}

func TestOneOfManyMakesABucket(t *testing.T) {
	s, d := onSlowDisk(t)
	ctx := t.Context()
	d.left.Store(0)
	var all, started sync.WaitGroup
	made := make(chan bool, 20)
	for range cap(made) {
		started.Add(1)
		all.Go(func() {
			started.Done()
			_, err := s.CreateBucket(ctx, "photos", BucketOptions{})
			if err != nil && !errors.Is(err, ErrBucketExists) {
				t.Error(err)
			}
			made <- err == nil
		})
	}
	started.Wait()
	until(func() bool { return false }) // they look at what is there before the first is done
	d.left.Store(1 << 60)
	close(d.outcome)
	all.Wait()
	n := 0
	for range cap(made) {
		if <-made {
			n++
		}
	}
	if n != 1 || len(s.Buckets()) != 1 {
		t.Errorf("%d made the bucket, there are %d", n, len(s.Buckets()))
	}
}

func TestAnUploadIsCompletedInOneEntry(t *testing.T) {
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
	part, err := b.PartWriter(w.ctx, "k", u.ID, 1, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.ReadFrom(strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	if _, err := part.CommitPart(w.ctx, Attrs{ETag: "e"}); err != nil {
		t.Fatal(err)
	}
	end := a.LogEnd()
	if _, err := b.CompleteUpload(w.ctx, "k", u.ID, []PartRef{{1, "e"}}, Completion{ETag: "w"}, Cond{}); err != nil {
		t.Fatal(err)
	}
	if a.LogEnd() != end+1 {
		t.Errorf("it took %d entries: a crash between them leaves half of it", a.LogEnd()-end)
	}
	if got, err := a.read(b, "k", VersionRef{}); got != "content" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := b.Upload(w.ctx, "k", u.ID); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("the upload: %v", err)
	}
}

// TestOneOfManyDeletesABucket: whoever found the bucket too, and comes to it when it was deleted, is told that there is none.
func TestOneOfManyDeletesABucket(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	b, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.drop(w.ctx, "photos", nil); err != nil {
		t.Fatal(err)
	}
	end := a.LogEnd()
	if err := b.drop(w.ctx, "photos", nil); !errors.Is(err, ErrNoSuchBucket) {
		t.Errorf("deleted once more: %v", err)
	}
	if a.LogEnd() != end {
		t.Error("a deletion that did nothing is in the log")
	}
}

// TestBucketsAreMadeSideBySide is for the race detector: a bucket that appears is in nobody's way.
func TestBucketsAreMadeSideBySide(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 10 {
				b, err := a.CreateBucket(w.ctx, fmt.Sprintf("bucket-%d-%d", i, n), BucketOptions{})
				if err == nil {
					_, err = b.CreateUpload(w.ctx, "k", Attrs{})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(a.Buckets()); n != 40 {
		t.Errorf("%d buckets", n)
	}
}
