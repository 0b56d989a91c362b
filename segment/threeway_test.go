package segment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// merge merges at a site, and tells what it did by key.
func (s *site) merge(from, into string, o MergeOptions) (map[string]MergeAction, Merged) {
	s.w.t.Helper()
	told := map[string]MergeAction{}
	o.Step = func(st MergeStep, _ Merged) { told[st.Key] = st.Action }
	m, err := Merge(s.w.ctx, s.bucketNamed(from), s.bucketNamed(into), o)
	if err != nil {
		s.w.t.Fatal(err)
	}
	return told, m
}

// losers are the open losers' content, by key.
func (s *site) losers(bucket string) map[string][]string {
	s.w.t.Helper()
	b := s.bucketNamed(bucket)
	all, err := b.Conflicts(s.w.ctx, "", 1000)
	if err != nil {
		s.w.t.Fatal(err)
	}
	out := map[string][]string{}
	for _, c := range all {
		for _, v := range c.Losers {
			text, err := s.content(b.object(v))
			if err != nil {
				s.w.t.Fatal(err)
			}
			out[c.Key] = append(out[c.Key], text)
		}
		slices.Sort(out[c.Key])
	}
	return out
}

// naive is a branch and its parent as maps, and what a merge of them is.
type naive struct{ base, branch, parent map[string]string }

// merge merges from into into, and returns what it does to each key.
func (n *naive) merge(from, into map[string]string, p MergePolicy) map[string]MergeAction {
	did := map[string]MergeAction{}
	keys := maps.Clone(n.base)
	maps.Copy(keys, from)
	for k := range keys {
		old, hadOld := n.base[k]
		theirs, has := from[k]
		ours, hasOurs := into[k]
		changed := has != hadOld || theirs != old
		switch {
		case !changed, has == hasOurs && theirs == ours:
			continue
		case hasOurs == hadOld && ours == old && has:
			did[k] = MergePut
		case hasOurs == hadOld && ours == old:
			did[k] = MergeDelete
		default:
			did[k] = MergeConflict
		}
		switch {
		case did[k] == MergeConflict && (p == MergeOurs || p == MergeBoth && !has):
		case has:
			into[k] = theirs
		default:
			delete(into, k)
		}
	}
	n.base = maps.Clone(from)
	return did
}

// TestMergeAgainstMaps changes a branch and its parent at random and merges one into the other, again and again.
func TestMergeAgainstMaps(t *testing.T) {
	for seed := range uint64(12) {
		w := newSeededWorld(t, seed, "a")
		a := w.site("a")
		rng := rand.New(rand.NewPCG(seed, 9))
		set := DefaultSettings()
		set.Versioning = Versioning(seed % 3)
		if _, err := a.CreateBucket(w.ctx, "photos", BucketOptions{Settings: &set}); err != nil {
			t.Fatal(err)
		}
		n := &naive{parent: map[string]string{}}
		names := map[string]map[string]string{"photos": n.parent}
		change := func(name string, times int) {
			for range times {
				k := fmt.Sprintf("%c/%d", 'a'+rng.IntN(3), rng.IntN(6))
				if rng.IntN(3) == 0 {
					a.remove(name, k)
					delete(names[name], k)
					continue
				}
				data := fmt.Sprint("data ", rng.IntN(4)) // the same on both sides at times
				a.put(name, k, data)
				names[name][k] = data
			}
		}
		change("photos", 20)
		a.branch("photos", "work")
		n.base, n.branch = maps.Clone(n.parent), maps.Clone(n.parent)
		names["work"] = n.branch
		for range 8 {
			change("photos", rng.IntN(8))
			change("work", rng.IntN(8))
			from, into := "work", "photos"
			if rng.IntN(3) == 0 {
				from, into = into, from
			}
			policy := mergePolicies()[rng.IntN(3)]
			if looked, _ := a.merge(from, into, MergeOptions{Policy: policy, DryRun: true}); rng.IntN(2) == 0 {
				clone := naive{base: n.base}
				if want := clone.merge(names[from], maps.Clone(names[into]), policy); !maps.Equal(looked, want) {
					t.Fatalf("seed %d: a look at %s into %s tells %v, want %v", seed, from, into, looked, want)
				}
			}
			a.wantHolds(into, names[into])
			want := n.merge(names[from], names[into], policy)
			got, sums := a.merge(from, into, MergeOptions{Policy: policy})
			if !maps.Equal(got, want) || sums.Put+sums.Deleted+sums.Conflicts != int64(len(want)) {
				t.Fatalf("seed %d: %s into %s by %v did %v, want %v; %+v", seed, from, into, policy, got, want, sums)
			}
			a.wantHolds("photos", n.parent)
			a.wantHolds("work", n.branch)
			if t.Failed() {
				t.Fatalf("seed %d: after %s into %s by %v: %v", seed, from, into, policy, want)
			}
			if again, sums := a.merge(from, into, MergeOptions{Policy: policy}); len(again) > 0 || sums != (Merged{}) {
				t.Fatalf("seed %d: once more: %v, %+v", seed, again, sums)
			}
			if rng.IntN(3) == 0 {
				a.restart()
			}
		}
	}
}

func TestWhatAMergeConflictLeaves(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	for _, k := range []string{"both", "mine", "gone there", "gone here", "alike"} {
		a.put("photos", k, "base")
	}
	a.branch("photos", "work")
	a.put("photos", "both", "parent")
	a.put("photos", "gone there", "parent")
	a.put("photos", "alike", "new")
	a.remove("photos", "gone here")
	a.put("work", "both", "branch")
	a.put("work", "mine", "branch")
	a.put("work", "alike", "new")
	a.put("work", "gone here", "branch")
	a.remove("work", "gone there")

	_, err := Merge(w.ctx, a.bucketNamed("work"), a.bucketNamed("photos"), MergeOptions{Policy: MergeFail})
	if !errors.Is(err, ErrMergeConflict) {
		t.Fatal(err)
	}
	a.wantHolds("photos", map[string]string{"both": "parent", "mine": "base", "gone there": "parent", "alike": "new"})
	told, sums := a.merge("work", "photos", MergeOptions{})
	if want := (Merged{Put: 1, Conflicts: 3, Same: 1}); sums != want || told["both"] != MergeConflict || told["mine"] != MergePut {
		t.Errorf("%v, %+v", told, sums)
	}
	a.wantHolds("photos", map[string]string{"both": "branch", "mine": "branch", "gone there": "parent", "gone here": "branch", "alike": "new"})
	if got := a.losers("photos"); len(got) != 1 || !slices.Equal(got["both"], []string{"parent"}) {
		t.Errorf("losers %v", got)
	}
	// The conflict is settled as any, and the other way the answer comes by a merge.
	b := a.bucketNamed("photos")
	all, err := b.Conflicts(w.ctx, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Resolve(w.ctx, "both", all[0].Losers[0].ref(), Cond{}); err != nil {
		t.Fatal(err)
	}
	a.merge("photos", "work", MergeOptions{Policy: MergeFail})
	a.wantHolds("work", a.holds("photos"))
	if err := a.DeleteBranch(w.ctx, "work", false); err != nil {
		t.Errorf("a branch that is merged: %v", err)
	}
}

// A segment that merged is lost before all that it did is elsewhere: the merge is done again from the state before, and finds what did come.
func TestAMergeOfALostSegmentIsDoneAgain(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	for _, k := range []string{"j", "k", "l"} {
		a.put("photos", k, "base")
	}
	a.branch("photos", "work")
	w.settle()
	w.carry()
	b.put("work", "k", "branch")
	b.remove("work", "l")
	w.settle()
	a.merge("work", "photos", MergeOptions{oneByOne: true})
	if err := w.sync(b, a, FederationBucket); err != nil { // the document alone; the rest is lost
		t.Fatal(err)
	}
	from, into := b.bucketNamed("work"), b.bucketNamed("photos")
	for range 2 {
		if _, err := Merge(w.ctx, from, into, MergeOptions{}); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("without the merge before it: %v", err)
		}
		b.restart()
		from, into = b.bucketNamed("work"), b.bucketNamed("photos")
	}
	if told, _ := b.merge("work", "photos", MergeOptions{Redo: true, Policy: MergeFail}); len(told) != 2 || told["k"] != MergePut || told["l"] != MergeDelete {
		t.Errorf("%v", told)
	}
	b.put("photos", "j", "parent")
	if told, _ := b.merge("photos", "work", MergeOptions{}); len(told) != 1 || told["j"] != MergePut { // the merge that was done again is the base
		t.Errorf("%v", told)
	}
	w.settle() // it was not lost after all
	w.carry()
	for _, s := range w.sites {
		s.wantHolds("photos", map[string]string{"j": "parent", "k": "branch"})
		s.wantHolds("work", map[string]string{"j": "parent", "k": "branch"})
	}
	a.put("photos", "k", "newer")
	if told, _ := a.merge("work", "photos", MergeOptions{Redo: true}); len(told) > 0 { // nothing is passed over that is here
		t.Errorf("%v", told)
	}
}

func TestWhatCannotBeMerged(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	a.put("photos", "k", "v")
	a.snap("photos", "s")
	a.branch("photos", "one")
	a.branch("photos", "two")
	a.branch("one", "twig")
	if _, err := a.CreateBucket(w.ctx, "other", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	for pair, want := range map[[2]string]error{
		{"one", "two"}:      ErrInvalidArgument,
		{"one", "one"}:      ErrInvalidArgument,
		{"other", "photos"}: ErrInvalidArgument,
		{"twig", "photos"}:  ErrInvalidArgument,
		{"photos@s", "one"}: ErrReadOnly,
		{"one", "photos@s"}: ErrReadOnly,
	} {
		if _, err := Merge(w.ctx, a.bucketNamed(pair[0]), a.bucketNamed(pair[1]), MergeOptions{}); !errors.Is(err, want) {
			t.Errorf("%v: %v", pair, err)
		} else if way := strings.Contains(err.Error(), `merge one into "photos"`); way != (pair == [2]string{"one", "two"}) {
			t.Errorf("%v: the way by the parent: %v", pair, err)
		}
	}
}

// What is written to the target while a merge goes on is judged by it, and never lost under it.
func TestAMergeBuriesNoWriteMeanwhile(t *testing.T) {
	for _, p := range []MergePolicy{MergeBoth, MergeOurs, MergeFail} {
		w := oneBucket(t, "a")
		a := w.site("a")
		b := a.bucketNamed("photos")
		const keys = 200
		for i := range keys {
			a.put("photos", fmt.Sprintf("k%03d", i), "base")
		}
		work := a.branch("photos", "work")
		for i := range keys {
			a.put("work", fmt.Sprintf("k%03d", i), "branch")
		}
		once := false
		_, err := Merge(w.ctx, work, b, MergeOptions{Policy: p, Step: func(s MergeStep, m Merged) {
			if !once && m.Put == 1 && m.Conflicts == 0 {
				once = true
				a.put("photos", fmt.Sprintf("k%03d", keys-1), "meanwhile")
			}
		}})
		if err != nil && (p != MergeFail || !errors.Is(err, ErrMergeConflict)) {
			t.Errorf("%v: %v", p, err)
		}
		last := fmt.Sprintf("k%03d", keys-1)
		kept := append(a.losers("photos")[last], a.holds("photos")[last])
		if !slices.Contains(kept, "meanwhile") {
			t.Errorf("%v: %q holds %q", p, last, kept)
		}
	}
}

// A merge that was stopped, by its caller or by the power, is done again and comes to the same.
func TestAMergeThatWasStoppedIsDoneAgain(t *testing.T) {
	for ops := 1; ; ops += 7 {
		w := oneBucket(t, "a")
		a := w.site("a")
		for i := range 12 {
			a.put("photos", fmt.Sprint("k", i), "base")
		}
		a.branch("photos", "work")
		for i := range 8 {
			a.put("work", fmt.Sprint("k", i), fmt.Sprint("branch ", i))
		}
		for i := 6; i < 10; i++ {
			a.put("photos", fmt.Sprint("k", i), fmt.Sprint("parent ", i))
		}
		a.remove("work", "k5")
		a.remove("work", "k9")
		a.fs.CutAfter(a.fs.Ops() + ops)
		_, failed := Merge(w.ctx, a.bucketNamed("work"), a.bucketNamed("photos"), MergeOptions{})
		a.fs = a.fs.Crash(rand.New(rand.NewPCG(uint64(ops), 1)))
		old := a.Segment
		a.cfg.FS = a.fs
		_ = old.Close(w.ctx)
		a.open()
		ctx, stop := context.WithCancel(w.ctx)
		_, _ = Merge(ctx, a.bucketNamed("work"), a.bucketNamed("photos"), MergeOptions{Step: func(MergeStep, Merged) { stop() }})
		stop()
		a.merge("work", "photos", MergeOptions{})
		want := map[string]string{"k8": "parent 8", "k9": "parent 9", "k10": "base", "k11": "base"}
		for i := range 8 {
			want[fmt.Sprint("k", i)] = fmt.Sprint("branch ", i)
		}
		delete(want, "k5")
		a.wantHolds("photos", want)
		if got := a.losers("photos"); len(got) != 2 || !slices.Equal(got["k6"], []string{"parent 6"}) || !slices.Equal(got["k7"], []string{"parent 7"}) {
			t.Errorf("after %d operations: losers %v", ops, got)
		}
		if t.Failed() || failed == nil {
			return
		}
	}
}

// A merge made elsewhere is the base of the next one, once all that it did is here; before, a merge would undo it.
func TestAMergeElsewhereIsTheBase(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	a.put("photos", "k", "base")
	a.put("photos", "l", "base")
	a.branch("photos", "work")
	w.settle()
	w.carry()
	a.put("work", "k", "branch")
	w.settle()
	a.merge("work", "photos", MergeOptions{})
	if err := w.sync(b, a, FederationBucket); err != nil { // the document alone
		t.Fatal(err)
	}
	if _, err := Merge(w.ctx, b.bucketNamed("photos"), b.bucketNamed("work"), MergeOptions{}); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("before the base is here: %v", err)
	}
	w.adopt(b, a)
	if _, err := Merge(w.ctx, b.bucketNamed("photos"), b.bucketNamed("work"), MergeOptions{}); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("before what was merged is here: %v", err)
	}
	if err := w.pull(b, a); err != nil {
		t.Fatal(err)
	}
	w.carry()
	if told, _ := b.merge("photos", "work", MergeOptions{}); len(told) > 0 {
		t.Errorf("the branch has it all: %v", told)
	}
	b.put("photos", "l", "parent")
	if told, _ := b.merge("photos", "work", MergeOptions{Policy: MergeFail}); len(told) != 1 || told["l"] != MergePut {
		t.Errorf("%v", told)
	}
	w.settle()
	w.carry()
	for _, s := range w.sites {
		s.wantHolds("work", map[string]string{"k": "branch", "l": "parent"})
		s.wantHolds("photos", map[string]string{"k": "branch", "l": "parent"})
	}
}

// A document of a merge that no segment wrote is the base of none.
func TestABaseOfGarbageIsNone(t *testing.T) {
	for name, change := range map[string]func(*mergeDoc, *site){
		"no nodes": func(d *mergeDoc, _ *site) {
			d.root = root{heads: chunk.ID{1}, history: chunk.ID{2}, seen: Vector{}}.appendTo(nil)
		},
		"other counters": func(d *mergeDoc, _ *site) { d.stats.objects++ },
		"seen less": func(d *mergeDoc, s *site) {
			r, err := parseRoot(d.root)
			if err != nil {
				t.Fatal(err)
			}
			r.seen = Vector{}
			defer s.weave()()
			if d.root, err = s.bucketNamed("photos").putRoot(s.w.ctx, r); err != nil {
				t.Fatal(err)
			}
		},
		"no root":          func(d *mergeDoc, _ *site) { d.root = []byte("x") },
		"of no branch":     func(d *mergeDoc, _ *site) { d.branch, d.into = d.from, d.branch },
		"of the local one": func(d *mergeDoc, _ *site) { d.from = localBucket },
	} {
		w := oneBucket(t, "a", "b")
		a, b := w.site("a"), w.site("b")
		a.put("photos", "k", "v")
		work := a.branch("photos", "work")
		w.settle()
		n, err := a.bucketNamed("photos").foldNow(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		d := &mergeDoc{branch: work.id, id: SnapshotID{7}, from: a.bucketNamed("photos").id, into: work.id, created: a.clock.now(), by: a.ID(), root: n.bytes, stats: n.stats}
		change(d, a)
		if err := a.putDoc(w.ctx, d.key(), d.appendTo(nil)); err != nil {
			t.Fatal(err)
		}
		w.settle()
		missing, err := b.MissingSnapshots(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range missing {
			if err := b.AdoptSnapshot(w.ctx, ref, a.cfg.Chunks.(mapStore)); err == nil {
				t.Errorf("%s: it was taken", name)
			}
		}
		_, err = Merge(w.ctx, b.bucketNamed("work"), b.bucketNamed("photos"), MergeOptions{})
		if len(missing) > 0 && !errors.Is(err, ErrUnavailable) || len(missing) == 0 && err != nil {
			t.Errorf("%s: %d bases, merge: %v", name, len(missing), err)
		}
		b.put("photos", "l", strings.Repeat("x", 10))
	}
}
