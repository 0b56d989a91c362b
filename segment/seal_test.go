package segment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// sealingWorld is a world whose first site keeps no more of the log than it needs.
func sealingWorld(t *testing.T, names ...string) (*world, *site) {
	w := oneBucket(t, names...)
	a := w.sites[0]
	a.cfg.LogFileSize, a.cfg.LogKeep = 16<<10, 1
	a.restart()
	return w, a
}

// seal makes a snapshot and leaves its root to others.
func (s *site) seal(name string) SnapshotInfo {
	s.w.t.Helper()
	i, err := s.bucketNamed("photos").CreateSnapshot(s.w.ctx, name)
	if err != nil {
		s.w.t.Fatal(err)
	}
	return i
}

func (s *site) root(i SnapshotInfo) SnapshotInfo {
	s.w.t.Helper()
	got, err := s.bucketNamed("photos").WaitSnapshot(s.w.ctx, i.ID)
	if err != nil {
		s.w.t.Fatalf("%s: root of %s: %v", s.Name(), i.Name, err)
	}
	return got
}

// sealed counts the snapshots without a root.
func (s *site) sealed() int { return len(s.bucketNamed("photos").sealDocs()) }

// outlive has a site go through what may happen to it, and look each time.
func (s *site) outlive(look func(after string)) {
	look("nothing")
	s.restart()
	look("a restart")
	s.losePower(rand.New(rand.NewPCG(1, 2)))
	look("a power cut")
	for range statesKept + 1 {
		for i := range 20 { // more than [markEvery], so that the log may be cut
			s.put("photos", fmt.Sprint("filler", i), strings.Repeat(fmt.Sprint(s.LogEnd(), " "), 4000))
		}
		for _, b := range s.allBuckets() {
			if f, _ := b.toFold(); len(f.seals) > 0 || b.pending() { // a fold would end them
				continue
			}
			if _, err := b.Fold(s.w.ctx); err != nil {
				s.w.t.Fatal(err)
			}
		}
		if err := s.checkpoint(s.w.ctx); err != nil {
			s.w.t.Fatal(err)
		}
	}
	look("checkpoints")
	s.losePower(rand.New(rand.NewPCG(3, 4)))
	look("checkpoints and a power cut")
}

func TestASnapshotIsThereBeforeItsRoot(t *testing.T) {
	w, a := sealingWorld(t, "a", "b")
	for i := range 8 {
		a.put("photos", fmt.Sprintf("k%d", i), fmt.Sprint("first ", i))
	}
	w.settle()
	before := a.holds("photos")
	b := w.site("b")
	want, err := b.bucketNamed("photos").Fold(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	made := a.seal("monday")
	if !made.Root.IsZero() || !made.Complete || made.Objects != 8 {
		t.Errorf("%+v", made)
	}
	a.put("photos", "k3", "second")
	if _, err := a.bucketNamed("photos").Delete(w.ctx, "k5", Cond{}); err != nil {
		t.Fatal(err)
	}
	a.outlive(func(after string) {
		t.Log("after", after)
		if a.sealed() != 1 {
			t.Fatal("it has a root")
		}
		a.wantHolds("photos@monday", before)
		if st := a.bucketNamed("photos@monday").Stats(); st.Objects != 8 || st.Versions != 8 {
			t.Errorf("%+v", st)
		}
		all, err := a.bucketNamed("photos").Snapshots(w.ctx)
		if err != nil || len(all) != 1 || all[0] != made {
			t.Errorf("%+v, %v, want %+v", all, err, made)
		}
		if _, err := a.bucketNamed("photos").CreateSnapshot(w.ctx, "monday"); !errors.Is(err, ErrSnapshotExists) {
			t.Errorf("the name is given again: %v", err)
		}
		if err := a.DeleteBucket(w.ctx, "photos"); !errors.Is(err, ErrBucketNotEmpty) {
			t.Errorf("the bucket is deleted: %v", err)
		}
		if _, err := a.OfferSnapshot(w.ctx, SnapshotRef{made.BucketID(a), made.ID}); !errors.Is(err, ErrNoSuchSnapshot) {
			t.Errorf("it is offered: %v", err)
		}
	})
	read := a.bucketNamed("photos@monday")
	if got := a.root(made); got.Root != want || got.Created != made.Created {
		t.Errorf("%+v, want the root %v of %+v", got, want, made)
	}
	if n, err := read.Fold(w.ctx); err != nil || n != want {
		t.Errorf("the root of what was read before it had one: %v, %v", n, err)
	}
	a.outlive(func(after string) {
		t.Log("with a root, after", after)
		a.wantHolds("photos@monday", before)
		if a.sealed() != 0 {
			t.Error("sealed still")
		}
	})
	w.settle()
	w.adopt(b, a)
	if v, err := b.bucketNamed("photos@monday").Stat(w.ctx, "k5", VersionRef{}); err != nil || v.Size() != int64(len("first 5")) {
		t.Errorf("at the other segment: %+v, %v", v, err)
	}
}

// BucketID is that of the one bucket.
func (i SnapshotInfo) BucketID(s *site) BucketID { return s.bucketNamed("photos").ID() }

// TestEachSnapshotIsWhatWasThereThen makes many before one has a root, with writes between and without.
func TestEachSnapshotIsWhatWasThereThen(t *testing.T) {
	w, a := sealingWorld(t, "a")
	want := map[string]map[string]VersionID{}
	for i := range 300 {
		a.put("photos", fmt.Sprint("old", i), "x")
	}
	for i := range 24 {
		switch i % 4 {
		case 0:
			a.put("photos", fmt.Sprint("old", i), fmt.Sprint(i))
		case 1:
			if _, err := a.bucketNamed("photos").Delete(w.ctx, fmt.Sprint("old", i), Cond{}); err != nil {
				t.Fatal(err)
			}
		case 2:
			a.put("photos", fmt.Sprint("new", i), fmt.Sprint(i))
		}
		name := fmt.Sprint("s", i)
		a.seal(name)
		want[name] = a.versionsIn(a.bucketNamed("photos"))
	}
	look := func(after string) {
		t.Helper()
		for name, v := range want {
			if got := a.versionsIn(a.bucketNamed("photos@" + name)); !maps.Equal(got, v) {
				t.Errorf("after %s: %s holds %d versions that are not those %d", after, name, len(got), len(v))
			}
		}
	}
	a.outlive(look)
	now := a.versionsIn(a.bucketNamed("photos"))
	if _, err := a.bucketNamed("photos").Fold(w.ctx); err != nil {
		t.Fatal(err)
	}
	if a.sealed() > 0 {
		t.Errorf("a fold went past %d seals", a.sealed())
	}
	if got := a.versionsIn(a.bucketNamed("photos")); !maps.Equal(got, now) {
		t.Errorf("after a fold of all snapshots the bucket holds %d versions that are not those %d", len(got), len(now))
	}
	look("a fold")
	roots := map[any]bool{}
	all, err := a.bucketNamed("photos").Snapshots(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		roots[i.Root] = true
	}
	if len(roots) != 18 { // one in four was made with nothing written since
		t.Errorf("%d roots of %d snapshots", len(roots), len(all))
	}
	a.outlive(look)
}

// TestAMergeLeavesSealsAlone makes snapshots in each moment of a merge: those made after its last fold lie over a base that it replaces.
func TestAMergeLeavesSealsAlone(t *testing.T) {
	w, a := sealingWorld(t, "a", "b")
	b := w.site("b")
	for i := range 30 {
		a.put("photos", fmt.Sprint("k", i), "a")
	}
	w.settle()
	for i := range 30 {
		a.put("photos", fmt.Sprint("k", i), "a again")
		b.put("photos", fmt.Sprint("k", i+10), "b")
	}
	want := map[string]map[string]VersionID{}
	n, armed := 0, false
	a.hook(func() {
		if n++; !armed || n > 20 {
			return
		}
		a.put("photos", fmt.Sprint("k", n), fmt.Sprint("during ", n))
		name := fmt.Sprint("s", n)
		a.seal(name)
		want[name] = a.versionsIn(a.bucketNamed("photos"))
	})
	armed = true
	if err := w.sync(a, b, a.bucketNamed("photos").ID()); err != nil {
		t.Fatal(err)
	}
	armed = false
	if a.sealed() == 0 || len(want) <= a.sealed() {
		t.Fatalf("%d of %d have no root: the test does not reach what it is for", a.sealed(), len(want))
	}
	now := a.versionsIn(a.bucketNamed("photos"))
	look := func(after string) {
		t.Helper()
		for name, v := range want {
			if got := a.versionsIn(a.bucketNamed("photos@" + name)); !maps.Equal(got, v) {
				t.Errorf("after %s: %s holds\n%v want\n%v", after, name, got, v)
			}
		}
		for key, id := range now {
			if v, err := a.bucketNamed("photos").Stat(w.ctx, key, VersionRef{}); err != nil || v.VersionID != id {
				t.Errorf("after %s: %q is %v, %v", after, key, v.VersionID, err)
			}
		}
	}
	a.outlive(look)
	if _, err := a.bucketNamed("photos").Fold(w.ctx); err != nil { // holds up no seal that lies elsewhere
		t.Fatal(err)
	}
	look("a fold")
	a.outlive(look)
	first := a.log.First()
	if err := a.foldAllSeals(w.ctx); err != nil || a.sealed() > 0 {
		t.Fatal(a.sealed(), err)
	}
	a.outlive(look)
	if a.log.First() <= first {
		t.Error("the log is not cut once the roots are there: the test did not see that it is kept before")
	}
	w.settle()
	w.adopt(b, a)
	for name, v := range want {
		if got := b.versionsIn(b.bucketNamed("photos@" + name)); !maps.Equal(got, v) {
			t.Errorf("at the other segment %s holds\n%v want\n%v", name, got, v)
		}
	}
}

func TestASnapshotIsDeletedBeforeItsRootIsMade(t *testing.T) {
	w, a := sealingWorld(t, "a")
	a.put("photos", "k", "1")
	i := a.seal("s")
	if err := a.bucketNamed("photos").DeleteSnapshot(w.ctx, "s"); err != nil {
		t.Fatal(err)
	}
	a.outlive(func(after string) {
		if got := a.snapshotNames("photos"); len(got) > 0 || a.sealed() > 0 {
			t.Errorf("deleted, and after %s there: %q", after, got)
		}
	})
	if _, err := a.bucketNamed("photos").WaitSnapshot(w.ctx, i.ID); !errors.Is(err, ErrNoSuchSnapshot) {
		t.Errorf("wait: %v", err)
	}
	a.seal("s")
	if _, err := a.bucketNamed("photos").Delete(w.ctx, "k", Cond{}); err != nil {
		t.Fatal(err)
	}
	if err := a.bucketNamed("photos").DeleteSnapshot(w.ctx, "s"); err != nil {
		t.Fatal(err)
	}
}

func TestASnapshotIsDeletedWhileItsRootIsMade(t *testing.T) {
	w, a := sealingWorld(t, "a")
	a.put("photos", "k", "1")
	a.seal("kept")
	gone := a.seal("gone")
	armed := false
	a.hook(func() {
		if armed {
			armed = false
			if err := a.bucketNamed("photos").DeleteSnapshot(w.ctx, "gone"); err != nil {
				t.Error(err)
			}
		}
	})
	armed = true
	if _, err := a.bucketNamed("photos").WaitSnapshot(w.ctx, gone.ID); !errors.Is(err, ErrNoSuchSnapshot) {
		t.Errorf("wait: %v", err)
	}
	a.outlive(func(after string) {
		if got := a.snapshotNames("photos"); len(got) != 1 || got[0] != "kept" || a.sealed() > 0 {
			t.Errorf("after %s: %q", after, got)
		}
		a.wantHolds("photos@kept", map[string]string{"k": "1"})
	})
}

func TestManySnapshotsWaitForRoom(t *testing.T) {
	w, a := sealingWorld(t, "a")
	for i := range maxSeals {
		a.seal(fmt.Sprint("s", i))
	}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := a.bucketNamed("photos").CreateSnapshot(ctx, "more"); !errors.Is(err, context.Canceled) {
		t.Fatalf("one more: %v", err)
	}
	made := make(chan error)
	go func() {
		_, err := a.bucketNamed("photos").CreateSnapshot(w.ctx, "more")
		made <- err
	}()
	if err := a.foldAllSeals(w.ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	if err := a.foldAllSeals(w.ctx); err != nil {
		t.Fatal(err)
	}
	if got := len(a.snapshotNames("photos")); got != maxSeals+1 {
		t.Errorf("%d snapshots", got)
	}
	if n := len(a.sealer.tickets); n > 0 {
		t.Errorf("%d tickets are lost", n)
	}
}

// TestRootsAreMadeByThemselves, those of a start too; and marks that stand for nothing go.
func TestRootsAreMadeByThemselves(t *testing.T) {
	w, a := sealingWorld(t, "a", "b")
	b := w.site("b")
	a.put("photos", "k", "1")
	first := a.seal("first")
	a.cfg.sealsWait = false
	a.restart()
	a.put("photos", "k", "2")
	second := a.seal("second")
	eventually(t, func() bool { return a.sealed() == 0 })
	for _, i := range []SnapshotInfo{first, second} {
		if got := a.root(i); got.Root.IsZero() {
			t.Errorf("%+v", got)
		}
	}
	w.settle()
	w.adopt(b, a)
	if err := b.bucketNamed("photos").DeleteSnapshot(w.ctx, "first"); err != nil {
		t.Fatal(err)
	}
	if !a.hasSnapshot(first.ID) {
		t.Error("no mark is left to be taken away")
	}
	if err := w.pull(a, b); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !a.hasSnapshot(first.ID) })
	if !a.hasSnapshot(second.ID) {
		t.Error("the other's mark is gone")
	}
}

// eventually waits a minute at the most for what is done in the background.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !ok(); <-tick.C {
		if time.Since(began) > time.Minute {
			t.Fatal("it does not come about")
		}
	}
}

// TestSealsSurviveEachCrash cuts the power after each operation of a few snapshots' lives.
func TestSealsSurviveEachCrash(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 3
	}
	for n, over := 0, false; !over; n += step {
		w := newSeededWorld(t, 5, "a")
		a := w.sites[0]
		a.cfg.sealsWait = n%2 == 0
		a.restart()
		if _, err := a.CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
			t.Fatal(err)
		}
		a.fs.CutAfter(n)
		want, trying := liveWithSeals(a)
		over = trying == ""
		a.losePower(rand.New(rand.NewPCG(uint64(n), 7)))
		b := a.bucketNamed("photos")
		there := map[string]bool{}
		for _, name := range a.snapshotNames("photos") {
			there[name] = true
			v, acknowledged := want[name]
			if !acknowledged && name != trying {
				t.Errorf("after %d operations: %s was deleted, and is there", n, name)
			}
			if f, err := b.At(w.ctx, name); err != nil || acknowledged && !maps.Equal(a.versionsIn(f), v) {
				t.Errorf("after %d operations: %s is not what it was: %v", n, name, err)
			}
		}
		for name := range want {
			if !there[name] && name != trying {
				t.Errorf("after %d operations: %s is lost", n, name)
			}
		}
		if err := a.foldAllSeals(w.ctx); err != nil {
			t.Fatal(err)
		}
		for name := range there {
			if v, ok := want[name]; ok && !maps.Equal(a.versionsIn(a.bucketNamed("photos@"+name)), v) {
				t.Errorf("after %d operations: %s has a root that it should not have", n, name)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// liveWithSeals makes and deletes snapshots until something fails. It returns what is acknowledged, and the name of the one under way.
func liveWithSeals(a *site) (want map[string]map[string]VersionID, trying string) {
	want = map[string]map[string]VersionID{}
	b, ctx := a.bucketNamed("photos"), a.w.ctx
	do := func(name string, f func() error) bool {
		if trying = name; f() != nil {
			return false
		}
		trying = ""
		return true
	}
	put := func(i int) error {
		_, err := b.Put(ctx, fmt.Sprint("k", i%7), Attrs{ETag: fmt.Sprint(i)}, Cond{}, strings.NewReader(""))
		return err
	}
	for i := range 12 {
		name := fmt.Sprint("s", i)
		if !do("-", func() error { return put(i) }) || !do(name, func() error { _, err := b.CreateSnapshot(ctx, name); return err }) {
			return want, trying
		}
		want[name] = a.versionsIn(b)
		ok := true
		switch i % 4 {
		case 0:
			ok = do("-", func() error { return put(i + 3) })
		case 1:
			ok = do("-", func() error { _, err := b.Fold(ctx); return err })
		case 2:
			ok = do("-", func() error { return a.checkpoint(ctx) })
		case 3:
			ok = do(name, func() error { return b.DeleteSnapshot(ctx, name) })
			if ok {
				delete(want, name)
			}
		}
		if !ok {
			return want, trying
		}
	}
	return want, ""
}

func TestABranchIsSealedAsABucketIs(t *testing.T) {
	w, a := sealingWorld(t, "a")
	a.put("photos", "k", "1")
	a.seal("s")
	a.put("photos", "k", "2")
	for _, from := range []string{"photos", "photos@s"} {
		if _, err := a.CreateBranch(w.ctx, from, "branch"); err != nil {
			t.Fatal(err)
		}
		before := a.holds(from)
		if _, err := a.bucketNamed("branch").CreateSnapshot(w.ctx, "t"); err != nil {
			t.Fatal(err)
		}
		a.put("branch", "k", "3")
		if err := a.sweepMarks(w.ctx); err != nil {
			t.Fatal(err)
		}
		a.outlive(func(string) {
			a.wantHolds("branch@t", before)
			a.wantHolds("branch", map[string]string{"k": "3"})
		})
		if err := a.bucketNamed("branch").DeleteSnapshot(w.ctx, "t"); err != nil {
			t.Fatal(err)
		}
		if err := a.DeleteBranch(w.ctx, "branch", true); err != nil {
			t.Fatal(err)
		}
	}
}

// TestASnapshotWaitsForNoWriter makes one while something has the bucket to itself, as the rename of a directory does.
func TestASnapshotWaitsForNoWriter(t *testing.T) {
	_, a := sealingWorld(t, "a")
	a.put("photos", "k", "1")
	b := a.bucketNamed("photos")
	b.gate.Lock()
	b.fold.Lock()
	a.seal("s")
	b.fold.Unlock()
	b.gate.Unlock()
	a.wantHolds("photos@s", map[string]string{"k": "1"})
}

// TestSnapshotsAndDeletionsOfABucketTakeTurns: of a bucket that is deleted and made a snapshot of at once, one is refused.
func TestSnapshotsAndDeletionsOfABucketTakeTurns(t *testing.T) {
	w, a := sealingWorld(t, "a")
	a.seal("s")
	if err := a.DeleteBucket(w.ctx, "photos"); !errors.Is(err, ErrBucketNotEmpty) {
		t.Fatalf("an empty bucket with a snapshot is deleted: %v", err)
	}
	if err := a.bucketNamed("photos").DeleteSnapshot(w.ctx, "s"); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		b := a.bucketNamed("photos")
		made := make(chan error)
		go func() {
			_, err := b.CreateSnapshot(w.ctx, "s")
			made <- err
		}()
		dropped := a.DeleteBucket(w.ctx, "photos")
		switch err := <-made; {
		case err == nil && errors.Is(dropped, ErrBucketNotEmpty):
			if err := b.DeleteSnapshot(w.ctx, "s"); err != nil {
				t.Fatal(err)
			}
		case dropped == nil && errors.Is(err, ErrNoSuchBucket):
			if _, err := a.CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("snapshot: %v, deletion: %v", err, dropped)
		}
	}
}

func TestADeletionYieldsToASnapshotWithoutARoot(t *testing.T) {
	w, a := sealingWorld(t, "a", "b")
	b := w.site("b")
	a.put("photos", "k", "1")
	i := a.seal("s")
	if _, err := a.bucketNamed("photos").Delete(w.ctx, "k", Cond{}); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteBucket(w.ctx, "photos"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	a.wantHolds("photos@s", map[string]string{"k": "1"})
	a.root(i)
	w.settle()
	w.adopt(b, a)
	for _, s := range w.sites {
		if got := s.snapshotNames("photos"); len(got) != 1 {
			t.Errorf("%s: %q", s.Name(), got)
		}
	}
}

// TestARestoredBackupMakesNoSnapshotTwice: the federation knows the document of a snapshot that a backup has without a root.
func TestARestoredBackupMakesNoSnapshotTwice(t *testing.T) {
	for _, heard := range []bool{false, true} { // before the root is made once more
		w, a := sealingWorld(t, "a", "b")
		b := w.site("b")
		a.put("photos", "k", "1")
		i := a.seal("s")
		backup := a.fs.Crash(rand.New(rand.NewPCG(1, 1)))
		want := a.root(i).Root
		w.settle()
		a.cfg.Restored = true
		a.fs.Kill()
		_ = a.Close(w.ctx)
		a.fs, a.cfg.FS = backup, backup
		a.open()
		a.cfg.Restored = false
		if heard {
			w.settle()
		}
		if got := a.root(i).Root; got != want {
			t.Errorf("its root is %v, and was %v", got, want)
		}
		a.wantHolds("photos@s", map[string]string{"k": "1"})
		w.settle()
		for _, s := range w.sites {
			if got := s.snapshotNames("photos"); len(got) != 1 {
				t.Errorf("%s: %q", s.Name(), got)
			}
		}
		if err := b.bucketNamed("photos").DeleteSnapshot(w.ctx, "s"); err != nil {
			t.Fatal(err)
		}
		w.settle()
		for _, s := range w.sites {
			if got := s.snapshotNames("photos"); len(got) != 0 {
				t.Errorf("deleted, and at %s there: %q", s.Name(), got)
			}
		}
	}
}

// TestASnapshotOutlivesItsBucketsDamage: the bucket breaks after the snapshot was made, and before it has a root.
func TestASnapshotOutlivesItsBucketsDamage(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w, a := sealingWorld(t, "a")
		b := a.bucketNamed("photos")
		if err := b.Configure(w.ctx, func(s *Settings) error { s.Versioning = Versioned; return nil }); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			a.put("photos", "k", "x")
		}
		if _, err := b.Fold(w.ctx); err != nil {
			t.Fatal(err)
		}
		a.restart() // forgets the nodes that it has read
		b = a.bucketNamed("photos")
		a.put("photos", "l", "not folded")
		before := a.versionsIn(b)
		i := a.seal("before")
		m := a.cfg.Chunks.(mapStore)
		lost := m.lose(b.base.history)
		if _, err := b.Delete(w.ctx, "k", Cond{}); err != nil {
			t.Fatal(err)
		}
		v, err := b.view("k").head(w.ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = b.Remove(w.ctx, "k", VersionRef{ID: v.current().VersionID}, Cond{}) // needs the history
		if restart {
			a.restart()
			b = a.bucketNamed("photos")
		}
		if err := b.Err(); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("the bucket is not broken: %v", err)
		}
		if _, err := b.CreateSnapshot(w.ctx, "broken"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a snapshot of a broken bucket: %v", err)
		}
		if err := a.foldAllSeals(w.ctx); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a root in a broken bucket: %v", err)
		}
		if err := m.Put(w.ctx, lost); err != nil {
			t.Fatal(err)
		}
		if err := a.revive(w.ctx, b); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := a.versionsIn(a.bucketNamed("photos@before")); !maps.Equal(got, before) {
				t.Errorf("it holds %v, want %v", got, before)
			}
			a.root(i)
		}
		if got := a.snapshotNames("photos"); len(got) != 1 {
			t.Errorf("%q", got)
		}
	}
}
