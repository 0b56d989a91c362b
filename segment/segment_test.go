package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

func TestWhatIsWrittenIsReadListedAndThereAfterARestart(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	if _, err := a.CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	const n = 300
	for i := range n {
		a.put("photos", fmt.Sprintf("k%04d", i), fmt.Sprint("data ", i))
	}
	check := func() {
		t.Helper()
		b, err := a.Bucket("photos")
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for o := (ListOptions{Limit: 7}); ; {
			page, err := b.List(w.ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				keys = append(keys, e.Version.Key)
			}
			if o.After = page.Next; !page.Truncated {
				break
			}
		}
		if len(keys) != n || keys[0] != "k0000" || keys[n-1] != fmt.Sprintf("k%04d", n-1) {
			t.Fatalf("%d keys: %v", len(keys), keys)
		}
		if got, err := a.read(b, "k0042", VersionRef{}); err != nil || got != "data 42" {
			t.Fatalf("read %q, %v", got, err)
		}
		if s := b.Stats(); s.Objects != n || s.Versions != n {
			t.Errorf("stats %+v", s)
		}
	}
	check()
	a.restart()
	check()
	b, _ := a.Bucket("photos")
	if _, err := b.Fold(w.ctx); err != nil {
		t.Fatal(err)
	}
	check()
	a.put("photos", "k0042", "data 42") // over a base
	check()
	a.restart()
	check()
}

func TestAPowerCutLosesNothingAcknowledged(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	if _, err := a.CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		a.put("photos", fmt.Sprint("k", i), "x")
	}
	old := a.Segment
	a.fs = a.fs.Crash(rand.New(rand.NewPCG(1, 2)))
	a.cfg.FS = a.fs
	a.open()
	_ = old.Close(w.ctx)
	b, err := a.Bucket("photos")
	if err != nil {
		t.Fatal(err)
	}
	if n := b.Stats().Objects; n != 50 {
		t.Errorf("%d of 50 objects", n)
	}
}

func TestTwoSitesConvergeAndKeepBothSidesOfAConflict(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		a.put("photos", fmt.Sprint("k", i), "x")
	}
	w.settle()
	if r := w.roots(bucket.ID()); r[0] != r[1] || r[0].IsZero() {
		t.Fatalf("roots %v", r)
	}
	a.put("photos", "both", "from a")
	w.tick(time.Second)
	b.put("photos", "both", "from b")
	b.put("photos", "b", "x")
	w.settle()
	if r := w.roots(bucket.ID()); r[0] != r[1] {
		t.Fatalf("roots %v", r)
	}
	for _, s := range w.sites {
		bk, _ := s.Bucket("photos")
		c, err := bk.Conflicts(w.ctx, "", 10)
		if err != nil || len(c) != 1 || c[0].Key != "both" || len(c[0].Losers) != 1 {
			t.Fatalf("%s: conflicts %+v, %v", s.Name(), c, err)
		}
		if bk.Stats().Objects != 102 {
			t.Errorf("%s: %+v", s.Name(), bk.Stats())
		}
	}
}

func TestALogThatIsCutIsMadeUpForByASync(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	b.syncs = 0
	a.cfg.LogKeep = 1
	a.restart()
	for i := range 3 {
		for j := range 30 {
			a.put("photos", fmt.Sprint(i, "-", j, strings.Repeat("k", 900)), strings.Repeat(fmt.Sprintf("%8d", 100*i+j), 4000))
		}
		if _, err := a.buckets[bucket.ID()].Fold(w.ctx); err != nil {
			t.Fatal(err)
		}
		if err := a.checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	if a.log.First() == 1 {
		t.Fatal("the log was not cut")
	}
	w.settle()
	if r := w.roots(bucket.ID()); r[0] != r[1] || b.syncs == 0 {
		t.Fatalf("roots %v, %d syncs", r, b.syncs)
	}
	a.restart()
	b.restart()
	if r := w.roots(bucket.ID()); r[0] != r[1] {
		t.Fatalf("roots %v", r)
	}
}

func TestConditionsAreJudgedWithTheWrite(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	b, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wins := make(chan bool)
	for i := range 8 {
		go func() {
			_, err := b.Put(w.ctx, "lock", Attrs{ETag: fmt.Sprint(i)}, Cond{Absent: true}, strings.NewReader(""))
			if err != nil && !errors.Is(err, ErrPrecondition) {
				t.Error(err)
			}
			wins <- err == nil
		}()
	}
	won := 0
	for range 8 {
		if <-wins {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d writers made the key", won)
	}
	if _, err := b.Put(w.ctx, "none", Attrs{}, Cond{Match: []string{"x"}}, strings.NewReader("")); !errors.Is(err, ErrNoSuchKey) {
		t.Error(err)
	}
}

func TestOnlyTheNewestVersionWithoutAnIDIsNull(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	a.put("photos", "k", "loser")
	w.tick(time.Second)
	b.put("photos", "k", "winner")
	w.settle()
	for range 2 { // over the overlay, and from the tree
		var refs, contents []string
		for o := (ListVersionsOptions{Limit: 1}); ; {
			page, err := bucket.ListVersions(w.ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				ref, err := ParseVersionRef(e.Version.Ref())
				if err != nil {
					t.Fatal(err)
				}
				v, err := bucket.Stat(w.ctx, "k", ref)
				if err != nil || v.Ref() != e.Version.Ref() {
					t.Errorf("%s is %s, %v", e.Version.Ref(), v.Ref(), err)
				}
				data, err := a.read(bucket, "k", ref)
				if err != nil && !errors.Is(err, chunk.ErrNotFound) {
					t.Fatal(err)
				}
				refs, contents = append(refs, e.Version.Ref()), append(contents, data)
			}
			if o.KeyMarker, o.VersionMarker = page.NextKeyMarker, page.NextVersionMarker; !page.Truncated {
				break
			}
		}
		if len(refs) != 2 || refs[0] != "null" || refs[1] == "null" || contents[1] != "loser" {
			t.Errorf("versions %q hold %q", refs, contents)
		}
		c, err := bucket.Conflicts(w.ctx, "", 1)
		if err != nil || c[0].Losers[0].Ref() != refs[1] {
			t.Errorf("conflicts %+v, %v", c, err)
		}
		if _, err := bucket.Fold(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
}
