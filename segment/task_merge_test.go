package segment

import (
	"context"
	"errors"
	"testing"
)

// branchedHome is a bucket that a is the home of, and a branch of it that b writes.
func branchedHome(t *testing.T) (w *world, a, b *site) {
	w, a, b = newHome(t, Settings{}, "a", "b")
	for _, key := range []string{"k", "l", "gone"} {
		a.put("box", key, "base of "+key)
	}
	a.branch("box", "work")
	if err := a.bucketNamed("work").Configure(w.ctx, func(s *Settings) error { s.Policy = Newest; return nil }); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.carry()
	b.put("work", "k", "branch")
	b.put("work", "new", "branch")
	b.remove("work", "gone")
	w.carry()
	return w, a, b
}

// A merge that is asked for elsewhere is made at the home of what is merged into, with all that who asks has seen of the branch; once, for it is the
// merge that the next one begins from; and what it counted is told although the answer is lost.
func TestAMergeIsMadeAtTheHome(t *testing.T) {
	w, a, b := branchedHome(t)
	asked := 0
	b.Segment.cfg.Forward = func(ctx context.Context, home ID, r *Request) (*Answer, error) {
		if asked++; asked == 1 { // the home has not seen the branch yet
			if answer, err := b.forward(ctx, home, r); err != nil || !errors.Is(answer.refused(), ErrUnavailable) {
				t.Errorf("a merge of what the home has not: %+v, %v", answer, err)
			}
			if err := w.pull(a, b); err != nil {
				t.Error(err)
			}
		}
		w.lossy = asked < 3
		return b.forward(ctx, home, r)
	}
	b.Segment.cfg.ForwardPatience = 1 << 40
	a.Segment.cfg.ForwardPatience = 1
	told, m := b.merge("work", "box", MergeOptions{Policy: MergeTheirs})
	if want := (Merged{Put: 2, Deleted: 1}); m != want || len(told) != 0 {
		t.Errorf("%+v, told %v", m, told)
	}
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
	if n := len(a.Segment.names.mergesOf(a.bucketNamed("work").ID())); n != 1 {
		t.Errorf("%d merges are remembered", n)
	}
	if n := b.box().Seen()[b.Origin()]; n != 0 {
		t.Errorf("%d writes are made elsewhere than at the home", n)
	}
	w.settle()
	w.carry()
	for _, s := range w.sites {
		s.wantHolds("box", map[string]string{"k": "branch", "l": "base of l", "new": "branch"})
	}
	b.put("work", "l", "branch")
	w.settle()
	w.carry()
	if _, m := b.merge("work", "box", MergeOptions{Policy: MergeFail}); m != (Merged{Put: 1}) {
		t.Errorf("the next merge: %+v", m)
	}
}

func TestAMergeThatTheHomeRefusesIsRefused(t *testing.T) {
	w, a, b := branchedHome(t)
	a.put("box", "k", "changed")
	w.settle()
	before := a.holds("box")
	if _, err := Merge(w.ctx, b.bucketNamed("work"), b.box(), MergeOptions{Policy: MergeFail}); !errors.Is(err, ErrMergeConflict) {
		t.Errorf("a merge in conflict: %v", err)
	}
	if _, m := b.merge("work", "box", MergeOptions{Policy: MergeFail, DryRun: true}); m.Conflicts != 1 {
		t.Errorf("a trial: %+v", m)
	}
	if _, err := Merge(w.ctx, b.box(), b.box(), MergeOptions{}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("of itself: %v", err)
	}
	b.peers["a"] = false
	if _, err := Merge(w.ctx, b.bucketNamed("work"), b.box(), MergeOptions{}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrHomeAway) {
		t.Errorf("with no home: %v", err)
	}
	a.wantHolds("box", before)
}

// A home that was lost with a part of what it merged: who asks the one that was made in its place says that the merge is to be done again.
func TestAMergeOfALostHomeIsDoneAgainAtTheNewOne(t *testing.T) {
	w, a, b := newHome(t, Settings{}, "a", "b", "c")
	c := w.site("c")
	a.put("box", "k", "base")
	a.branch("box", "work")
	if err := a.bucketNamed("work").Configure(w.ctx, func(s *Settings) error { s.Policy = Newest; return nil }); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.carry()
	c.put("work", "k", "branch")
	w.settle()
	w.carry()
	a.merge("work", "box", MergeOptions{})
	if err := w.sync(b, a, FederationBucket); err != nil { // the document alone; the rest is lost
		t.Fatal(err)
	}
	b.peers["a"], c.peers["a"] = false, false
	if err := b.box().TakeHome(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.settle()
	b.Segment.cfg.ForwardPatience, c.Segment.cfg.ForwardPatience = 1, 1
	from, into := c.bucketNamed("work"), c.box()
	if _, err := Merge(w.ctx, from, into, MergeOptions{Policy: MergeFail}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without the merge before it: %v", err)
	}
	c.Segment.cfg.ForwardPatience = 1 << 40
	if m, err := Merge(w.ctx, from, into, MergeOptions{Policy: MergeFail, Redo: true}); err != nil || m != (Merged{Put: 1}) {
		t.Errorf("%+v, %v", m, err)
	}
	c.wantHolds("box", map[string]string{"k": "branch"})
}
