package segment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/internal/vfs"
)

// unsettled is a store that cannot bring what is held to its place.
type unsettled struct {
	mapStore
	err error
}

func (u *unsettled) Settle(context.Context) error { return u.err }

func TestNoStateIsWrittenBeforePayloadNeedsNoLog(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	u := &unsettled{mapStore: a.cfg.Chunks.(mapStore)}
	a.cfg.Chunks = u
	a.restart()
	if _, err := a.CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	before, err := a.stateFiles()
	if err != nil {
		t.Fatal(err)
	}
	u.err = errors.New("no place")
	if err := a.checkpoint(w.ctx); !errors.Is(err, u.err) {
		t.Errorf("checkpoint: %v", err)
	}
	after, err := a.stateFiles()
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("state files %q, before %q, %v", after, before, err)
	}
	u.err = nil
	if err := a.checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	if after, err = a.stateFiles(); err != nil || slices.Equal(before, after) {
		t.Errorf("state files %q, before %q, %v", after, before, err)
	}
}

// TestTheLogIsKeptAsFarAsAStartNeedsIt cuts as much of the log as may be while one bucket is never folded.
func TestTheLogIsKeptAsFarAsAStartNeedsIt(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	a.cfg.LogFileSize, a.cfg.LogKeep = 32<<10, 1
	a.restart()
	for _, name := range []string{"folded", "never"} {
		if _, err := a.CreateBucket(w.ctx, name, BucketOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	a.put("never", "k", "first")
	never, err := a.Bucket("never")
	if err != nil {
		t.Fatal(err)
	}
	left, puts := never.ID(), 0
	work := func(round int) {
		t.Helper()
		puts++
		for i := range 20 {
			a.put("folded", fmt.Sprint("k", i, strings.Repeat("k", 900)), strings.Repeat(fmt.Sprintf("%8d", 100*puts+i), 2500))
		}
		a.put("never", fmt.Sprint("k", round), "later")
		for _, b := range a.allBuckets() {
			if b.ID() == left {
				continue
			}
			if _, err := b.Fold(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 4 {
		work(round)
	}
	w.verify()
	if first := a.log.First(); first > 10 {
		t.Fatalf("the log begins at %d, and a bucket was not folded", first)
	}
	left = BucketID{}
	for round := range 4 {
		work(round)
	}
	if first := a.log.First(); first < 20 {
		t.Fatalf("the log begins at %d: nothing was cut", first)
	}
	a.restart()
	for name, want := range map[string]int64{"folded": 20, "never": 5} {
		b, err := a.Bucket(name)
		if err != nil {
			t.Fatal(err)
		}
		if s := b.Stats(); s.Objects != want {
			t.Errorf("%s: %+v, want %d objects", name, s, want)
		}
	}
}

// TestALifeSurvivesARestart: names of writes are those of the life in which they were given, whatever was started or folded since.
func TestALifeSurvivesARestart(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	if _, err := a.CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	a.put("photos", "k", "in the first life")
	a.cfg.Restored = true
	a.restart()
	a.cfg.Restored = false
	life := a.Origin()
	if life.Inc < 2 {
		t.Fatalf("life %v", life)
	}
	a.put("photos", "k", "in the second")
	if err := a.foldAll(w.ctx); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the entry that began the life is not replayed
		if err := a.checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	a.restart()
	if a.Origin() != life {
		t.Errorf("life %v, was %v", a.Origin(), life)
	}
	if v := a.put("photos", "k", "still in the second"); v.Dot.Origin != life || v.Dot.N != 2 {
		t.Errorf("a write of the name %v", v.Dot)
	}
	w.verify()
}

// TestADamagedStateIsMadeUpForByTheOneBefore damages the newest state, which was written twice at one position.
func TestADamagedStateIsMadeUpForByTheOneBefore(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	a.cfg.LogFileSize, a.cfg.LogKeep = 32<<10, 1
	a.restart()
	if _, err := a.CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		for i := range 40 {
			a.put("photos", fmt.Sprintf("%d-%02d", round, i), strings.Repeat(fmt.Sprintf("%8d", 100*round+i), 2500))
		}
		if err := a.foldAll(w.ctx); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := a.checkpoint(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := a.log.First()
	if first == 1 {
		t.Fatal("nothing was cut")
	}
	files, err := a.stateFiles()
	if err != nil || len(files) != statesKept {
		t.Fatal(files, err)
	}
	if err := a.Close(w.ctx); err != nil { // which waits for the cut
		t.Fatal(err)
	}
	f, err := a.fs.Open(a.cfg.Dir+"/"+files[0], vfs.Write)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("?"), 30); err != nil {
		t.Fatal(err)
	}
	a.open()
	b, err := a.Bucket("photos")
	if err != nil {
		t.Fatal(err)
	}
	if s := b.Stats(); s.Objects != 120 {
		t.Errorf("%+v", s)
	}
}
