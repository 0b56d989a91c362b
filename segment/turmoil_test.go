package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCompletingAndDeletingDoNotWaitForEachOther: an upload is completed while its bucket is deleted.
func TestCompletingAndDeletingDoNotWaitForEachOther(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	b := a.bucketNamed("photos")
	u, err := b.CreateUpload(w.ctx, "k", Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	pw, err := b.PartWriter(w.ctx, "k", u.ID, 1, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pw.ReadFrom(strings.NewReader("part")); err != nil {
		t.Fatal(err)
	}
	p, err := pw.CommitPart(w.ctx, Attrs{ETag: "x"})
	if err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error, 1)
	check := func([]Part) error {
		go func() { deleted <- a.DeleteBucket(w.ctx, "photos") }()
		until(func() bool { // the deletion waits for the gate
			if !b.gate.TryRLock() {
				return true
			}
			b.gate.RUnlock()
			return false
		})
		return nil
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.CompleteUpload(w.ctx, "k", u.ID, []PartRef{{1, p.ETag}}, Completion{Check: check}, Cond{})
		done <- err
	}()
	for what, c := range map[string]chan error{"completing": done, "deleting": deleted} {
		select {
		case err := <-c:
			if what == "completing" && err != nil || what == "deleting" && !errors.Is(err, ErrBucketNotEmpty) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s waits for ever", what)
		}
	}
}

// TestTurmoil does everything to two buckets at once that takes more than one lock.
func TestTurmoil(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 40
	}
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	fine := []error{ErrNoSuchBucket, ErrBucketNotEmpty, ErrBucketExists, ErrNoSuchSnapshot, ErrSnapshotExists, ErrNoSuchKey, ErrPrecondition, ErrNoSuchUpload}
	var all sync.WaitGroup
	for g := range 6 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range rounds {
				if err := a.anything(r); err != nil && !slices.ContainsFunc(fine, func(e error) bool { return errors.Is(err, e) }) {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Go(func() {
		for range rounds / 10 {
			for id := range a.LinkedBuckets() {
				for _, err := range []error{w.sync(b, a, id), w.sync(a, b, id)} {
					if err != nil && !errors.Is(err, ErrNoSuchBucket) {
						t.Error(err)
					}
				}
			}
			missing, err := b.MissingSnapshots(w.ctx)
			if err != nil {
				t.Error(err)
			}
			for _, ref := range missing {
				if _, err := a.OfferSnapshot(w.ctx, ref); err != nil {
					continue // deleted meanwhile
				}
				if err := b.AdoptSnapshot(w.ctx, ref, a.cfg.Chunks.(mapStore)); err != nil && !errors.Is(err, ErrNoSuchSnapshot) {
					t.Error(err)
				}
			}
		}
	})
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		panic("they wait for each other")
	}
	w.settle()
	w.verify()
}

// anything is one step of turmoil.
func (s *site) anything(r *rand.Rand) error {
	ctx, name := s.w.ctx, fmt.Sprint("bucket-", r.IntN(2))
	b, err := s.Bucket(name)
	if err != nil {
		_, err = s.CreateBucket(ctx, name, BucketOptions{})
		return err
	}
	key, snapshot := fmt.Sprint("k", r.IntN(20)), fmt.Sprint("s", r.IntN(3))
	switch r.IntN(10) {
	case 0:
		_, err = b.CreateSnapshot(ctx, snapshot)
	case 1:
		err = b.DeleteSnapshot(ctx, snapshot)
	case 2:
		err = s.DeleteBucket(ctx, name)
	case 3:
		_, err = b.Fold(ctx)
	case 4:
		err = b.Configure(ctx, func(x *Settings) error { x.Full = !x.Full; return nil })
	case 5:
		var at *Bucket
		if at, err = b.At(ctx, snapshot); err == nil {
			_, err = b.Restore(ctx, at, "", nil)
		}
	case 6:
		_, err = b.Delete(ctx, key, Cond{})
	case 7:
		var u Upload
		if u, err = b.CreateUpload(ctx, key, Attrs{}); err == nil {
			err = b.AbortUpload(ctx, key, u.ID)
		}
	default:
		_, err = b.Put(ctx, key, Attrs{}, Cond{}, strings.NewReader("x"))
	}
	return err
}
