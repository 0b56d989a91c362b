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
	"time"

	"github.com/edgefs/edgefs/chunk"
)

// branch makes one, with a root.
func (s *site) branch(from, name string) *Bucket {
	s.w.t.Helper()
	b := s.bud(from, name)
	if _, err := b.Fold(s.w.ctx); err != nil {
		s.w.t.Fatal(err)
	}
	return b
}

// bud makes a branch and leaves its root to others.
func (s *site) bud(from, name string) *Bucket {
	s.w.t.Helper()
	b, err := s.CreateBranch(s.w.ctx, from, name)
	if err != nil {
		s.w.t.Fatal(err)
	}
	return b
}

func (s *site) remove(bucket, key string) {
	s.w.t.Helper()
	if _, err := s.bucketNamed(bucket).Delete(s.w.ctx, key, Cond{}); err != nil {
		s.w.t.Fatal(err)
	}
}

func TestABranchIsABucketOfItsOwn(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	if err := a.bucketNamed("photos").Configure(w.ctx, func(s *Settings) error { s.Versioning = Versioned; return nil }); err != nil {
		t.Fatal(err)
	}
	old := a.put("photos", "k", "older")
	a.put("photos", "k", "old")
	a.put("photos", "gone", "x")
	a.snap("photos", "s")
	a.put("photos", "k", "new")
	now := a.holds("photos")
	a.branch("photos", "work")
	a.branch("photos@s", "past")
	a.branch("past", "past2")
	for range 2 {
		a.wantHolds("work", now)
		a.wantHolds("past", a.holds("photos@s"))
		a.wantHolds("past2", a.holds("photos@s"))
		if got, err := a.read(a.bucketNamed("past2"), "k", VersionRef{ID: old.VersionID}); got != "older" || err != nil {
			t.Errorf("history of a branch of a branch: %q, %v", got, err)
		}
		a.restart()
	}
	a.put("work", "k", "work")
	a.remove("work", "gone")
	a.put("past", "only", "past")
	a.wantHolds("photos", now)
	a.wantHolds("work", map[string]string{"k": "work"})
	a.wantHolds("past", map[string]string{"k": "old", "gone": "x", "only": "past"})
	a.restart()
	a.wantHolds("work", map[string]string{"k": "work"})
	if st := a.bucketNamed("work").Stats(); st.Objects != 1 || st.Versions != 6 {
		t.Errorf("%+v", st)
	}
	if set := a.bucketNamed("work").Settings(); set.Versioning != Versioned {
		t.Errorf("%+v", set)
	}
	for from, want := range map[string]error{"none": ErrNoSuchBucket, "photos@none": ErrNoSuchSnapshot, "photos": ErrBucketExists} {
		if _, err := a.CreateBranch(w.ctx, from, "work"); !errors.Is(err, want) {
			t.Errorf("branch of %s: %v", from, err)
		}
	}
	if _, err := a.CreateBranch(w.ctx, "photos", "No"); !errors.Is(err, ErrInvalidName) {
		t.Error(err)
	}
	all := a.Branches(a.bucketNamed("photos").ID())
	if len(all) != 2 || all[0].Name != "work" || all[0].Parent != "photos" || all[0].Writes != 2 || !all[0].Ready || all[1].Name != "past" || all[1].Writes != 1 {
		t.Errorf("%+v", all)
	}
	if got := a.differences("photos", "work", ""); strings.Join(got, " ") != "-gone ~k" {
		t.Errorf("%q", got)
	}
}

// carry brings all payload everywhere.
func (w *world) carry() {
	for _, r := range w.sites {
		for _, s := range w.sites {
			from := s.cfg.Chunks.(mapStore)
			from.mu.Lock()
			all := slices.Collect(maps.Values(from.chunks))
			from.mu.Unlock()
			_ = r.cfg.Chunks.(mapStore).Put(w.ctx, all)
		}
	}
}

// nodes counts what is read of a store.
type nodes struct {
	mapStore
	n *int
}

func (c nodes) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	*c.n += len(ids)
	return c.mapStore.Get(ctx, ids, yield)
}

func (c nodes) Open(chunk.Domain, chunk.Class) chunk.Store { return c }

// A segment that has the parent, or the snapshot, fetches what differs from it and no more.
func TestABranchCrossesALinkAtTheCostOfTheDifference(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	for i := range 3000 {
		a.put("photos", fmt.Sprintf("%05d", i*7919%3000), fmt.Sprint(i))
	}
	a.snap("photos", "s")
	w.settle()
	w.adopt(b, a)
	for i := range 200 {
		a.put("photos", fmt.Sprintf("%05d", i*13), fmt.Sprint("second ", i))
	}
	a.branch("photos@s", "past")
	a.put("photos", "00500", "third")
	a.branch("photos", "work")
	if err := w.pull(b, a); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"past", "work"} {
		if err := b.bucketNamed(name).Err(); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("before its nodes are here: %v", err)
		}
		if _, err := b.bucketNamed(name).Put(w.ctx, "k", Attrs{}, Cond{}, strings.NewReader("x")); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("a write before its nodes are here: %v", err)
		}
		refs := b.Beginnings(b.bucketNamed(name).ID())
		read := 0
		if err := b.AdoptSnapshot(w.ctx, refs[0], nodes{a.cfg.Chunks.(mapStore), &read}); err != nil || len(refs) != 1 {
			t.Fatal(refs, err)
		}
		if read > 4 { // the root, and what differs: nothing
			t.Errorf("%s: %d chunks were read of the peer", name, read)
		}
		if len(b.Beginnings(b.bucketNamed(name).ID())) > 0 {
			t.Errorf("%s has not begun", name)
		}
	}
	want := a.holds("photos")
	a.put("work", "k", "at a")
	b.put("work", "l", "at b")
	w.settle()
	want["k"], want["l"] = "at a", "at b"
	w.carry()
	for _, s := range w.sites {
		s.wantHolds("work", want)
		s.restart()
		s.wantHolds("work", want)
	}
	if r := w.roots(a.bucketNamed("work").ID()); r[0] != r[1] {
		t.Errorf("roots %v", r)
	}
}

func TestABranchThatWasBroughtInPartDoesNotBegin(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	b.peers["a"] = false
	for i := range 400 {
		a.put("photos", fmt.Sprintf("%05d", i), strings.Repeat(fmt.Sprint(i), 200))
	}
	id := a.branch("photos", "work").ID()
	if err := w.syncOrStop(b, a, FederationBucket); err != nil {
		t.Fatal(err)
	}
	for left := 0; ; left++ {
		ref := b.Beginnings(id)[0]
		err := b.AdoptSnapshot(w.ctx, ref, &breaking{a.cfg.Chunks.(mapStore), left})
		if err == nil {
			break
		}
		for range 2 {
			if missing, err := b.MissingSnapshots(w.ctx); len(missing) != 1 || err != nil {
				t.Fatalf("in part: %v, %v", missing, err)
			}
			if err := b.bucketNamed("work").Err(); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("in part: %v", err)
			}
			b.restart()
		}
	}
	w.carry()
	b.wantHolds("work", a.holds("work"))
}

// Records of a branch that come before what it begins with make a sync, which begins it.
func TestRecordsOfABranchBeginIt(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	a.put("photos", "k", "first")
	w.settle()
	a.put("photos", "k", "second")
	a.branch("photos", "work")
	a.put("work", "l", "branch")
	if err := w.pull(b, a); err != nil {
		t.Fatal(err)
	}
	w.carry()
	b.wantHolds("work", map[string]string{"k": "second", "l": "branch"})
	if d := b.Debts(a.ID()); len(d) > 0 {
		t.Errorf("it is owed %v", d)
	}
	if got := b.Origin(); got.Inc != 1 {
		t.Errorf("a new life began: %v", got)
	}
}

// A peer that wrote to the parent has not written to the branch: it is told nothing of itself that it does not know.
func TestWritesOfTheParentAreNoWritesOfTheBranch(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	b.put("photos", "k", "at b")
	w.settle()
	a.branch("photos", "work")
	if err := b.SelfSeen(w.ctx, a.LinkedBuckets()); err != nil {
		t.Fatal(err)
	}
	if got := b.Origin(); got.Inc != 1 {
		t.Fatalf("a new life began: %v", got)
	}
	w.settle()
	b.put("work", "k", "branch at b")
	if err := b.SelfSeen(w.ctx, a.LinkedBuckets()); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if err := b.SelfSeen(w.ctx, a.LinkedBuckets()); err != nil {
		t.Fatal(err)
	}
	if got := b.Origin(); got.Inc != 1 {
		t.Errorf("a new life began: %v", got)
	}
	w.carry()
	a.wantHolds("work", map[string]string{"k": "branch at b"})
}

// garbage is a document of a branch that no segment has made, written as a peer could write it.
func (s *site) garbage(change func(*bucketDoc)) BucketID {
	s.w.t.Helper()
	src := s.bucketNamed("photos")
	n, err := src.foldNow(s.w.ctx)
	if err != nil {
		s.w.t.Fatal(err)
	}
	doc := *src.doc.Load()
	doc.name = "garbage"
	_ = s.random(doc.id[:])
	doc.origin = &origin{parent: src.id, id: SnapshotID(doc.id), root: n.bytes, stats: n.stats}
	change(&doc)
	doc.created = s.clock.now()
	if err := s.putDoc(s.w.ctx, docBucket+doc.id.String(), doc.appendTo(nil)); err != nil {
		s.w.t.Fatal(err)
	}
	return doc.id
}

// A branch that begins as no state is begun nowhere, and harms nothing.
func TestABranchOfGarbageDoesNotBegin(t *testing.T) {
	rooted := func(change func(*root)) func(*bucketDoc, *site) {
		return func(d *bucketDoc, s *site) {
			r, err := parseRoot(d.origin.root)
			if err != nil {
				t.Fatal(err)
			}
			change(&r)
			defer s.weave()()
			if d.origin.root, err = s.bucketNamed("photos").putRoot(s.w.ctx, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, change := range map[string]func(*bucketDoc, *site){
		"no nodes":              rooted(func(r *root) { r.heads = chunk.ID{1} }),
		"no history":            rooted(func(r *root) { r.history = chunk.ID{1} }),
		"heads of less":         rooted(func(r *root) { r.heads = chunk.ID{} }),
		"history of less":       rooted(func(r *root) { r.history = chunk.ID{} }),
		"the trees exchanged":   rooted(func(r *root) { r.heads, r.history = r.history, r.heads }),
		"settings of next year": rooted(func(r *root) { r.settings.by.HLC = hlcAt(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) }),
		"seen less":             rooted(func(r *root) { r.seen = Vector{} }),
		"one write not seen":    rooted(func(r *root) { r.seen = r.seen.Clone(); r.seen[Origin{r.seen.Origins()[0].Segment, 1}]-- }),
		"another salt":          func(d *bucketDoc, _ *site) { d.salt[0]++ },
		"other counters":        func(d *bucketDoc, _ *site) { d.origin.stats.bytes++ },
		"more twins than keys":  func(d *bucketDoc, _ *site) { d.origin.stats.twinned = 1 },
		"no root":               func(d *bucketDoc, _ *site) { d.origin.root = []byte("garbage") },
		"the local bucket's":    func(d *bucketDoc, _ *site) { d.origin.parent = localBucket },
	} {
		t.Run(name, func(t *testing.T) {
			w := oneBucket(t, "a", "b")
			a, b := w.site("a"), w.site("b")
			for i := range 50 {
				a.put("photos", fmt.Sprint("k", i), fmt.Sprint(i))
			}
			w.settle()
			id := a.garbage(func(d *bucketDoc) { change(d, a) })
			if err := w.pull(b, a); err != nil {
				t.Fatal(err)
			}
			if g := b.bucket(id); g != nil {
				refs := b.Beginnings(id)
				if len(refs) == 0 {
					t.Fatal("it has begun")
				}
				if err := b.AdoptSnapshot(w.ctx, refs[0], a.cfg.Chunks.(mapStore)); err == nil {
					t.Errorf("%v began", refs[0])
				}
				if err := g.Err(); !errors.Is(err, ErrUnavailable) {
					t.Errorf("%v", err)
				}
				if err := b.checkpoint(w.ctx); err != nil {
					t.Error(err)
				}
			}
			b.put("photos", "k0", "second")
			b.restart()
			a.put("photos", "k1", "second")
			if err := w.pull(b, a); err != nil {
				t.Fatal(err)
			}
			w.carry()
			if got, err := b.read(b.bucketNamed("photos"), "k1", VersionRef{}); got != "second" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// A root that has seen less than the parent as it is here is checked from the newest state within it that is remembered, not from nothing.
func TestAnOlderRootIsCheckedFromWhatIsRemembered(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	photos := a.bucketNamed("photos")
	var bases []*base
	for i := range 3 {
		a.put("photos", fmt.Sprint(i), "v")
		if err := photos.remember(w.ctx); err != nil {
			t.Fatal(err)
		}
		n, err := photos.foldNow(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		bases = append(bases, n)
		w.tick(time.Hour)
	}
	work := a.branch("photos", "work")
	for i, want := range bases {
		if got, err := work.knownWithin(w.ctx, bases[2], want.seen); err != nil || got.id != want.id {
			t.Errorf("within state %d: %v, %v", i, got.id, err)
		}
	}
	if got, err := work.knownWithin(w.ctx, bases[2], Vector{}); err != nil || !got.history.IsZero() {
		t.Errorf("within nothing: %v, %v", got.id, err)
	}
}

// Twins are counted by nobody who began in an earlier build, so a branch of such a one counts fewer than those who count them all.
func TestABranchBeginsWhoeverCountsItsTwins(t *testing.T) {
	for name, twinned := range map[string]int64{"counted": 1, "not counted": 0, "one that was not counted went": -1} {
		t.Run(name, func(t *testing.T) {
			w := oneBucket(t, "a", "b")
			a, b := w.site("a"), w.site("b")
			a.put("photos", "k", "same")
			b.put("photos", "k", "same")
			w.settle()
			id := a.garbage(func(d *bucketDoc) {
				if d.origin.stats.twinned != 1 {
					t.Fatalf("%+v", d.origin.stats)
				}
				d.origin.stats.twinned = twinned
			})
			w.settle()
			if err := b.bucket(id).Err(); err != nil || len(b.Beginnings(id)) > 0 {
				t.Fatalf("it has not begun: %v", err)
			}
			w.carry()
			b.wantHolds("garbage", map[string]string{"k": "same"})
			b.put("garbage", "k", "other")
			if st := b.bucketNamed("garbage").Stats(); st.Conflicts != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestParentAndBranchAreDeletedApart(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	a.put("photos", "k", "v")
	a.branch("photos", "work")
	a.branch("photos", "other")
	w.settle()
	w.carry()
	want := a.holds("work")
	a.remove("photos", "k")
	if err := a.DeleteBucket(w.ctx, "photos"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	b.wantHolds("work", want)
	if all := b.Branches(BucketID{}); len(all) != 2 || all[0].Parent != "" || !all[0].Ready {
		t.Errorf("%+v", all)
	}
	if err := a.DeleteBucket(w.ctx, "work"); !errors.Is(err, ErrBucketNotEmpty) {
		t.Errorf("a plain deletion: %v", err)
	}
	a.put("work", "new", "x")
	if err := a.DeleteBranch(w.ctx, "work", false); !errors.Is(err, ErrUnmerged) {
		t.Errorf("with changes: %v", err)
	}
	b.put("work", "unseen", "y")
	if err := a.DeleteBranch(w.ctx, "work", true); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Bucket("work"); !errors.Is(err, ErrNoSuchBucket) {
		t.Errorf("a deleted branch: %v", err)
	}
	if err := a.DeleteBranch(w.ctx, "other", false); err != nil {
		t.Errorf("a branch without changes: %v", err)
	}
	a.restart()
	if _, err := a.Bucket("other"); !errors.Is(err, ErrNoSuchBucket) {
		t.Errorf("a deleted branch: %v", err)
	}
	w.settle() // b wrote without knowledge of the deletion
	w.carry()
	want["new"], want["unseen"] = "x", "y"
	for _, s := range w.sites {
		s.wantHolds("work", want)
		if _, err := s.Bucket("other"); !errors.Is(err, ErrNoSuchBucket) {
			t.Errorf("a deleted branch at %s: %v", s.Name(), err)
		}
	}
	if err := b.DeleteBranch(w.ctx, "work", true); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if n := len(a.Buckets()); n != 0 {
		t.Errorf("%d buckets", n)
	}
	if err := a.DeleteBranch(w.ctx, "work", true); !errors.Is(err, ErrNoSuchBucket) {
		t.Error(err)
	}
}

// Nobody's history is told by an ordinary bucket's deletion, whatever it says that it had seen.
func TestOnlyABranchIsDeletedWithWhatItHolds(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	a.put("photos", "k", "v")
	b := a.bucketNamed("photos")
	if err := a.putDoc(w.ctx, docDeleted+b.id.String(), b.Seen().appendTo(nil)); err != nil {
		t.Fatal(err)
	}
	a.wantHolds("photos", map[string]string{"k": "v"})
	if err := a.DeleteBranch(w.ctx, "photos", true); !errors.Is(err, ErrInvalidArgument) {
		t.Error(err)
	}
}

// A power cut at any step of making a branch leaves one that is whole, or none.
func TestPowerCutsWhileABranchIsMade(t *testing.T) {
	for ops := 0; ; ops++ {
		w := oneBucket(t, "a")
		a := w.site("a")
		a.put("photos", "k", "v")
		a.fs.CutAfter(a.fs.Ops() + ops)
		_, failed := a.CreateBranch(w.ctx, "photos", "work")
		a.fs = a.fs.Crash(rand.New(rand.NewPCG(uint64(ops), 1)))
		old := a.Segment
		a.cfg.FS = a.fs
		_ = old.Close(w.ctx)
		a.open()
		_, err := a.Bucket("work")
		switch {
		case err == nil:
			a.wantHolds("work", map[string]string{"k": "v"})
			a.put("work", "l", "w")
		case failed == nil:
			t.Fatalf("after %d operations a branch that was made is gone", ops)
		}
		if failed == nil {
			return
		}
	}
}

// TestABranchWithALockedVersionStays: neither a deletion by force nor a merge, which takes no locks, is a way around a lock. What the branch began
// with is its parent's to keep.
func TestABranchWithALockedVersionStays(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	set := DefaultSettings()
	set.Versioning, set.Locks.Enabled = Versioned, true
	parent, err := a.CreateBucket(w.ctx, "photos", BucketOptions{Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	lock := func(b *Bucket, name, key string, until time.Duration) {
		t.Helper()
		a.put(name, key, key)
		r := Retention{Compliance, w.now.Add(until)}
		if _, err := b.Lock(w.ctx, key, VersionRef{}, LockChange{Retention: &r}, Cond{}); err != nil {
			t.Fatal(err)
		}
	}
	lock(parent, "photos", "inherited", 100*time.Hour)
	a.branch("photos", "work")
	work, err := a.Bucket("work")
	if err != nil {
		t.Fatal(err)
	}
	lock(work, "work", "new", time.Hour)
	if _, err := Merge(w.ctx, work, parent, MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, force := range []bool{false, true} {
		if err := a.DeleteBranch(w.ctx, "work", force); !errors.Is(err, ErrLocked) {
			t.Errorf("force %t: %v", force, err)
		}
	}
	w.tick(2 * time.Hour)
	if err := a.DeleteBranch(w.ctx, "work", false); err != nil {
		t.Errorf("when the lock is over: %v", err)
	}
}
