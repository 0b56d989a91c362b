package segment

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// apart makes a bucket at a, its home, that b has too.
func apart(t *testing.T, bounds LoserBounds, versioning Versioning) (*world, *Bucket) {
	t.Helper()
	w := newWorld(t, "a", "b")
	set := DefaultSettings()
	set.Versioning, set.Losers = versioning, bounds
	box, err := w.site("a").CreateBucket(w.ctx, "box", BucketOptions{Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	return w, box
}

// clash makes both sites write the key before they exchange.
func (w *world) clash(key string) {
	w.t.Helper()
	for _, s := range w.sites {
		w.tick(time.Second)
		s.put("box", key, s.Name())
	}
	w.settle()
}

func losersOf(t *testing.T, b *Bucket, key string) []*Version {
	t.Helper()
	h, err := b.view(key).head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return h.losers()
}

// until waits for something that the segment does by itself.
func (s *site) until(what string, ok func() bool) {
	s.w.t.Helper()
	limit := time.After(time.Minute)
	for {
		s.mu.RLock()
		news := s.applied
		s.mu.RUnlock()
		if ok() {
			return
		}
		select {
		case <-news:
		case <-limit:
			s.w.t.Fatalf("%s: it does not come about", what)
		}
	}
}

// A file that two sites each write once per exchange: each exchange makes a loser, and the home keeps as many as it is told to.
func TestAHeartbeatFileKeepsFewLosers(t *testing.T) {
	w, box := apart(t, LoserBounds{Keep: 4}, Unversioned)
	a, b := w.site("a"), w.site("b")
	const rounds = 30
	for i := range rounds {
		for _, s := range w.sites {
			w.tick(time.Second)
			at := must1(s.BucketByID(box.id))
			if _, err := at.Put(w.ctx, "beat", Attrs{ETag: fmt.Sprint(i + 1)}, Cond{}, strings.NewReader(s.Name())); err != nil {
				t.Fatal(err)
			}
		}
		w.settle()
		a.until("the home bounds a crowded key", func() bool { return len(losersOf(t, box, "beat")) <= 4 })
		a.bounded()
	}
	w.settle()
	there, err := b.BucketByID(box.id)
	if err != nil {
		t.Fatal(err)
	}
	if roots := w.roots(box.id); roots[0] != roots[1] {
		t.Errorf("roots %v", roots)
	}
	for _, at := range []*Bucket{box, there} {
		losers := losersOf(t, at, "beat")
		if len(losers) != 4 || at.Dropped().Count != rounds-4 || at.Stats().Versions != 5 {
			t.Errorf("%s: %d losers, %d dropped, %+v", at.s.Name(), len(losers), at.Dropped().Count, at.Stats())
		}
		for i, l := range losers { // a writes before b in each round, so the losers are a's, those of the last rounds
			if want := uint64(rounds - i); l.Attrs.ETag != fmt.Sprint(want) {
				t.Errorf("%s: loser %d is of round %s, want %d", at.s.Name(), i, l.Attrs.ETag, want)
			}
		}
		if current, err := at.Stat(w.ctx, "beat", VersionRef{}); err != nil || len(losers) > 0 && losers[0].Compare(current.VersionID) >= 0 {
			t.Errorf("%s: the newest loser is %v of %v, %v", at.s.Name(), losers[0].VersionID, current.VersionID, err)
		}
	}
	a.restart()
	if n := must1(a.BucketByID(box.id)).Dropped().Count; n != rounds-4 {
		t.Errorf("after a restart %d were dropped", n)
	}
}

// bounded waits until the entry that bounds a key is applied wholly.
func (s *site) bounded() {
	s.bounding.mu.Lock()
	defer s.bounding.mu.Unlock()
}

func must1(b *Bucket, err error) *Bucket {
	if err != nil {
		panic(err)
	}
	return b
}

// With versions what is beyond the bounds is no loser any more, and stays in history.
func TestVersionsBeyondTheBoundsStayInHistory(t *testing.T) {
	w, box := apart(t, LoserBounds{}, Versioned)
	for range 5 {
		w.clash("k")
	}
	if n, err := box.boundKey(w.ctx, "k", LoserBounds{Keep: 2}); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	w.settle()
	for _, s := range w.sites {
		at := must1(s.BucketByID(box.id))
		if n := at.Stats(); n.Versions != 10 || len(losersOf(t, at, "k")) != 2 {
			t.Errorf("%s: %+v, %d losers", s.Name(), n, len(losersOf(t, at, "k")))
		}
	}
}

// A loser's days begin when the home sees it lose, not when it was written.
func TestLosersGoWhenTheirDaysAreOver(t *testing.T) {
	w, box := apart(t, LoserBounds{Keep: 100, Days: 30}, Unversioned)
	const day = 24 * time.Hour
	bound := func(want int64) {
		t.Helper()
		if n, err := box.BoundLosers(w.ctx); n != want || err != nil {
			t.Errorf("%d losers are dropped, %v, want %d", n, err, want)
		}
		w.settle()
	}
	for _, s := range w.sites {
		w.tick(time.Second)
		s.put("box", "old", s.Name())
	}
	w.tick(40 * day) // the sites are cut off
	w.settle()
	bound(0)
	w.tick(29 * day)
	w.clash("new")
	bound(0)
	w.site("a").restart()
	box = must1(w.site("a").BucketByID(box.id))
	w.tick(2 * day)
	bound(1)
	if len(losersOf(t, box, "old")) != 0 || len(losersOf(t, box, "new")) != 1 {
		t.Error("another loser was dropped than the old one")
	}
	w.tick(30 * day)
	bound(1)
	bound(0)
	if n := box.Stats(); n.Conflicts != 0 || n.Objects != 2 {
		t.Errorf("%+v", n)
	}
	for v, err := range w.site("a").local.eachCurrent(w.ctx, docLoss) {
		if err != nil || v.Key[:len(docLoss)] != docLoss {
			break
		}
		t.Errorf("the note %q was not taken away", v.Key)
	}
}

// Nobody but the home takes losers away, nor does the home where there is no bound.
func TestOnlyTheHomeBoundsLosers(t *testing.T) {
	w, box := apart(t, LoserBounds{}, Unversioned)
	for range 3 {
		w.clash("k")
	}
	if n, err := box.BoundLosers(w.ctx); n != 0 || err != nil {
		t.Errorf("without a bound %d are dropped, %v", n, err)
	}
	there := must1(w.site("b").BucketByID(box.id))
	if n, err := there.boundKey(w.ctx, "k", LoserBounds{Keep: 1}); n != 0 || err != nil {
		t.Errorf("elsewhere %d are dropped, %v", n, err)
	}
	if err := box.Configure(w.ctx, func(set *Settings) error { set.Losers.Keep = 1; return nil }); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if n, err := there.BoundLosers(w.ctx); n != 0 || err != nil || len(losersOf(t, there, "k")) != 3 {
		t.Errorf("elsewhere %d are dropped, %v", n, err)
	}
	if n, err := box.BoundLosers(w.ctx); n != 2 || err != nil {
		t.Errorf("at the home %d are dropped, %v", n, err)
	}
}

// A key that was deleted while it was in conflict is gone with its last loser.
func TestTheLastLoserTakesTheMarkerWithIt(t *testing.T) {
	w, box := apart(t, LoserBounds{Days: 1}, Unversioned)
	w.clash("k")
	if _, err := box.Delete(w.ctx, "k", Cond{}); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if n, err := box.BoundLosers(w.ctx); int(n) != i || err != nil {
			t.Fatal(n, err)
		}
		w.tick(25 * time.Hour)
	}
	if n := box.Stats(); n.Versions != 0 {
		t.Errorf("left: %+v", n)
	}
}

func TestCountsOfOtherSegmentsAreDocuments(t *testing.T) {
	w, box := apart(t, LoserBounds{}, Unversioned)
	b := w.site("b")
	for i, doc := range []string{"", "no document", string(droppedDoc{7, 0x77}.appendTo(nil))} {
		key := droppedKey(box.id, b.ID())
		if i == 1 {
			key = docDropped + "x"
		}
		if err := b.putDoc(w.ctx, key, []byte(doc)); err != nil {
			t.Fatal(err)
		}
		w.settle()
		if n, want := box.Dropped().Count, []int64{0, 0, 7}[i]; n != want {
			t.Errorf("after %q: %d dropped, want %d", doc, n, want)
		}
	}
}

// TestACrowdIsOfTheSegmentsBucket: a bucket that is made anew aside sees crowds of the past, and writes nothing.
func TestACrowdIsOfTheSegmentsBucket(t *testing.T) {
	w, box := apart(t, LoserBounds{Keep: 1}, Unversioned)
	a := w.site("a")
	a.bounding.mu.Lock() // nobody looks at a crowd yet
	from := a.LogEnd()
	for range 4 {
		w.clash("k")
	}
	for len(a.bounding.crowded) > 0 {
		select {
		case <-a.bounding.crowded:
		default:
		}
	}
	twin := newBucket(a.Segment, box.id, box.doc.Load())
	twin.patient = true
	_, err := a.relive(w.ctx, twin, from, a.LogEnd()-1)
	seen := <-a.bounding.crowded
	a.bounding.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // whoever comes first
		if _, err := a.disperse(w.ctx, seen); err != nil {
			t.Fatal(err)
		}
	}
	a.put("box", "other", "x")
	if v, err := box.Stat(w.ctx, "other", VersionRef{}); err != nil || v.Size() != 1 {
		t.Errorf("what was acknowledged is %+v, %v", v, err)
	}
	if n := len(losersOf(t, box, "k")); n != 1 {
		t.Errorf("%d losers stay", n)
	}
	dots := map[Dot]bool{}
	items, _, err := a.FeedFrom(w.ctx, from, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if item.Bucket == box.id && len(item.Record) > 0 {
			if dots[item.Dot] {
				t.Errorf("two writes are called %v", item.Dot)
			}
			dots[item.Dot] = true
		}
	}
}
