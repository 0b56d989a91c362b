package segment

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// scheduled makes the one bucket one with a home that is another's in name, and a schedule: what a branch must not begin with.
func (s *site) scheduled(versioning Versioning) {
	s.w.t.Helper()
	err := s.bucketNamed("photos").Configure(s.w.ctx, func(set *Settings) error {
		set.Versioning, set.Policy = versioning, Home
		set.Snapshots, _ = ParseSchedule("1h:24")
		return nil
	})
	if err != nil {
		s.w.t.Fatal(err)
	}
}

// wantOwn checks that a branch made here is at home here, by the life it was made in, without a schedule.
func (s *site) wantOwn(b *Bucket) {
	s.w.t.Helper()
	set := b.Settings()
	if !b.isHome(set) || set.Snapshots != "" || set.Home == (Origin{}) != (set.Policy != Home) {
		s.w.t.Errorf("%s: the branch has %+v", s.Name(), set)
	}
}

func TestABranchIsThereBeforeItsRoot(t *testing.T) {
	w, a := sealingWorld(t, "a", "b")
	b := w.site("b")
	a.scheduled(Versioned)
	for i := range 8 {
		a.put("photos", fmt.Sprint("k", i), "folded")
	}
	w.settle()
	if _, err := a.bucketNamed("photos").Fold(w.ctx); err != nil {
		t.Fatal(err)
	}
	old := a.put("photos", "k3", "not folded")
	before := a.holds("photos")
	work := a.bud("photos", "work")
	a.put("photos", "k3", "after")
	a.remove("photos", "k5")
	want := maps.Clone(before)
	a.put("work", "k3", "of the branch")
	a.put("work", "l", "of the branch")
	a.remove("work", "k4")
	want["k3"], want["l"] = "of the branch", "of the branch"
	delete(want, "k4")
	twig := a.bud("work", "twig")
	a.put("twig", "t", "twig")
	wantTwig := maps.Clone(want)
	wantTwig["t"] = "twig"
	if _, err := work.CreateSnapshot(w.ctx, "s"); err != nil {
		t.Fatal(err)
	}
	a.remove("work", "l")
	past := maps.Clone(want)
	delete(want, "l")
	look := func(after string) {
		t.Helper()
		t.Log("after", after)
		a.wantHolds("work", want)
		a.wantHolds("work@s", past)
		a.wantHolds("twig", wantTwig)
		for _, name := range []string{"work", "twig"} {
			a.wantOwn(a.bucketNamed(name))
			if got, err := a.read(a.bucketNamed(name), "k3", VersionRef{ID: old.VersionID}); got != "not folded" || err != nil {
				t.Errorf("history of %s: %q, %v", name, got, err)
			}
		}
		if n := a.bucketNamed("work").Stats().Objects; n != int64(len(want)) {
			t.Errorf("%d objects are counted, not %d", n, len(want))
		}
		if got := a.snapshotNames("photos"); len(got) > 0 {
			t.Errorf("a branch shows as a snapshot of its parent: %q", got)
		}
		if _, err := a.CreateBucket(w.ctx, "work", BucketOptions{}); !errors.Is(err, ErrBucketExists) {
			t.Errorf("its name is given again: %v", err)
		}
		all := a.Branches(BucketID{})
		if len(all) != 2 || all[0].Name != "work" || all[0].Writes != 4 || !all[0].Ready || all[1].Parent != "work" {
			t.Errorf("%+v", all)
		}
	}
	a.outlive(func(after string) {
		look(after)
		if !a.bucketNamed("work").pending() || !a.bucketNamed("twig").pending() {
			t.Fatal("it has a root")
		}
		w.settle()
		if _, err := b.Bucket("work"); !errors.Is(err, ErrNoSuchBucket) {
			t.Errorf("peers were told: %v", err)
		}
	})
	if err := a.foldAllSeals(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.outlive(func(after string) {
		look("its root and " + after)
		if a.bucketNamed("work").pending() || !a.bucketNamed("photos").unsealed() {
			t.Fatal("it has no root")
		}
	})
	w.settle()
	w.carry()
	for _, s := range w.sites {
		s.wantHolds("work", want)
		s.wantHolds("twig", wantTwig)
	}
	b.restart()
	a.put("work", "k3", "later")
	w.settle()
	for _, id := range []BucketID{work.id, twig.id} {
		if r := w.roots(id); r[0] != r[1] {
			t.Errorf("roots %v", r)
		}
		if x, y := a.bucket(id).settingsNow(), b.bucket(id).settingsNow(); x != y || x.Snapshots != "" {
			t.Errorf("settings %+v and %+v", x, y)
		}
	}
}

// TestABranchOfWhatIsSealed is of a snapshot that has no root yet, in whatever order the two are done with.
func TestABranchOfWhatIsSealed(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		w, a := sealingWorld(t, "a")
		for i := range 8 {
			a.put("photos", fmt.Sprint("k", i), "1")
		}
		a.seal("s")
		a.put("photos", "k0", "2")
		if _, err := a.bucketNamed("photos").CreateSnapshot(w.ctx, "later"); err != nil {
			t.Fatal(err)
		}
		a.put("photos", "k0", "3")
		before := a.holds("photos@s")
		a.bud("photos@s", "past")
		a.put("past", "k1", "past")
		want := maps.Clone(before)
		want["k1"] = "past"
		if deleted {
			if err := a.bucketNamed("photos").DeleteSnapshot(w.ctx, "s"); err != nil {
				t.Fatal(err)
			}
		}
		look := func(string) {
			a.wantHolds("past", want)
			if got, _ := a.read(a.bucketNamed("photos@later"), "k0", VersionRef{}); got != "2" {
				t.Errorf("the later snapshot has %q", got)
			}
		}
		a.outlive(look)
		if err := a.foldAllSeals(w.ctx); err != nil {
			t.Fatal(err)
		}
		a.outlive(look)
		if o := a.bucketNamed("past").doc.Load().origin; o.pending || o.snapshot == (SnapshotID{}) {
			t.Errorf("%+v", o)
		}
	}
}

// TestBirthsSurviveEachCrash cuts the power after each operation: a branch that was acknowledged is there, as it was; any that is there is at home.
func TestBirthsSurviveEachCrash(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 4
	}
	for n, over := 0, false; !over; n += step {
		w := newSeededWorld(t, 6, "a")
		a := w.sites[0]
		a.cfg.sealsWait = n%2 == 0
		a.restart()
		if _, err := a.CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
			t.Fatal(err)
		}
		a.scheduled(Unversioned)
		a.fs.CutAfter(n)
		want, trying := liveWithBirths(a)
		over = trying == ""
		a.losePower(rand.New(rand.NewPCG(uint64(n), 7)))
		for range 2 {
			for _, br := range a.Branches(BucketID{}) {
				b := a.bucketNamed(br.Name)
				a.wantOwn(b)
				v, acknowledged := want[br.Name]
				if got := a.versionsIn(b); acknowledged && br.Name != trying && !maps.Equal(got, v) {
					t.Errorf("after %d operations: %s holds\n%v, want\n%v", n, br.Name, got, v)
				}
			}
			for name := range want {
				if _, err := a.Bucket(name); err != nil {
					t.Errorf("after %d operations: %s is lost", n, name)
				}
			}
			if err := a.foldAllSeals(w.ctx); err != nil {
				t.Fatal(err)
			}
			a.restart()
		}
		if t.Failed() {
			return
		}
	}
}

// liveWithBirths makes branches, and writes to them, until something fails. It returns what is acknowledged, and what the write under way is to.
func liveWithBirths(a *site) (want map[string]map[string]VersionID, trying string) {
	want = map[string]map[string]VersionID{}
	put := func(bucket, key string) error {
		_, err := a.bucketNamed(bucket).Put(a.w.ctx, key, Attrs{}, Cond{}, strings.NewReader(""))
		return err
	}
	from := "photos"
	for i := range 6 {
		name := fmt.Sprint("branch", i)
		if put("photos", fmt.Sprint("k", i)) != nil {
			return want, "photos"
		}
		if _, err := a.CreateBranch(a.w.ctx, from, name); err != nil {
			return want, name
		}
		want[name] = a.versionsIn(a.bucketNamed(name))
		if put(name, "own") != nil {
			return want, name
		}
		want[name] = a.versionsIn(a.bucketNamed(name))
		var err error
		switch i % 3 {
		case 0:
			from = name
		case 1:
			_, err = a.bucketNamed(from).Fold(a.w.ctx)
		case 2:
			err = a.checkpoint(a.w.ctx)
		}
		if err != nil {
			return want, "-"
		}
	}
	return want, ""
}

func TestOneOfTwoBranchesOfAName(t *testing.T) {
	w, a := sealingWorld(t, "a")
	a.put("photos", "k", "1")
	a.snap("photos", "s")
	for i := range 20 {
		name := fmt.Sprint("branch", i)
		made := make(chan error)
		for _, from := range []string{"photos", "photos@s", "photos"} {
			go func() {
				_, err := a.CreateBranch(w.ctx, from, name)
				made <- err
			}()
		}
		errs := []error{<-made, <-made, <-made}
		if n := len(slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, ErrBucketExists) })); n != 1 {
			t.Fatalf("%d of three were made or failed otherwise", n)
		}
	}
	if n := len(a.Buckets()); n != 21 {
		t.Errorf("%d buckets", n)
	}
}

func TestABranchOrItsParentIsDeletedBeforeTheRoot(t *testing.T) {
	w, a := sealingWorld(t, "a", "b")
	b := w.site("b")
	a.put("photos", "k", "1")
	w.settle()
	a.put("photos", "k", "2")
	a.bud("photos", "kept")
	a.bud("photos", "gone")
	a.put("kept", "l", "x")
	a.remove("photos", "k")
	if err := a.DeleteBranch(w.ctx, "kept", false); !errors.Is(err, ErrUnmerged) {
		t.Errorf("with changes: %v", err)
	}
	a.bud("kept", "twig")
	if err := a.DeleteBucket(w.ctx, "photos"); err != nil {
		t.Fatal(err)
	}
	if err := a.DeleteBranch(w.ctx, "kept", true); err != nil {
		t.Fatal(err)
	}
	if err := a.DeleteBranch(w.ctx, "gone", false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		a.restart()
		if all := a.Buckets(); len(all) != 1 || all[0].Name != "twig" {
			t.Fatalf("%+v", all)
		}
		a.wantHolds("twig", map[string]string{"k": "2", "l": "x"})
		if err := a.foldAllSeals(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	w.settle()
	w.carry()
	if all := b.Buckets(); len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	b.wantHolds("twig", map[string]string{"k": "2", "l": "x"})
}

// TestARestoredBackupBearsNoBranchTwice: the federation knows the document of a branch that a backup has without a root, and what was written to it.
func TestARestoredBackupBearsNoBranchTwice(t *testing.T) {
	for _, heard := range []bool{false, true} { // before the root is made once more
		w, a := sealingWorld(t, "a", "b")
		b := w.site("b")
		a.put("photos", "k", "1")
		work := a.bud("photos", "work").id
		a.put("work", "l", "in the backup")
		backup := a.fs.Crash(rand.New(rand.NewPCG(1, 1)))
		a.put("work", "m", "not in the backup")
		if err := a.foldAllSeals(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.settle()
		b.put("work", "n", "at the other")
		began := b.bucket(work).doc.Load().origin.root
		a.cfg.Restored = true
		a.fs.Kill()
		_ = a.Close(w.ctx)
		a.fs, a.cfg.FS = backup, backup
		a.open()
		a.cfg.Restored = false
		if heard {
			w.settle()
		}
		a.put("work", "o", "restored")
		if err := a.foldAllSeals(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.carry()
		for _, s := range w.sites {
			if !slices.Equal(s.bucket(work).doc.Load().origin.root, began) {
				t.Errorf("%s: it began as another root", s.Name())
			}
			s.wantHolds("work", map[string]string{"k": "1", "l": "in the backup", "m": "not in the backup", "n": "at the other", "o": "restored"})
			s.restart()
		}
		if r := w.roots(work); r[0] != r[1] {
			t.Errorf("roots %v", r)
		}
	}
}

// TestADocumentThatComesIsNoRoot: of a branch that a restored backup has without one, which a start makes of its parent as any.
func TestADocumentThatComesIsNoRoot(t *testing.T) {
	w, a := sealingWorld(t, "a", "b")
	a.put("photos", "k", "1")
	work := a.bud("photos", "work").id
	a.put("work", "l", "in the backup")
	backup := a.fs.Crash(rand.New(rand.NewPCG(1, 1)))
	if err := a.foldAllSeals(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.settle()
	a.cfg.Restored = true
	a.fs.Kill()
	_ = a.Close(w.ctx)
	a.fs, a.cfg.FS = backup, backup
	a.open()
	a.cfg.Restored = false
	if err := w.syncOrStop(a, w.site("b"), FederationBucket); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"k": "1", "l": "in the backup"}
	look := func() {
		t.Helper()
		if !a.bucket(work).pending() {
			t.Error("the branch has a root")
		}
		a.wantHolds("work", want)
	}
	look()
	if err := a.checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.restart()
	look()
	if _, err := a.RenameBucket(w.ctx, "work", "play"); err != nil {
		t.Fatal(err)
	}
	want["m"] = "renamed"
	a.put("play", "m", "renamed")
	if err := a.checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.restart()
	if err := a.foldAllSeals(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.carry()
	for _, s := range w.sites {
		s.wantHolds("play", want)
	}
	if r := w.roots(work); r[0] != r[1] {
		t.Errorf("roots %v", r)
	}
}

// TestABranchIsRenamedBeforeItsRoot, and is called so by whoever starts from the log, and by peers.
func TestABranchIsRenamedBeforeItsRoot(t *testing.T) {
	w, a := sealingWorld(t, "a", "b")
	a.put("photos", "k", "1")
	work := a.bud("photos", "work").id
	if _, err := a.RenameBucket(w.ctx, "work", "play"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	a.outlive(func(after string) {
		if name := a.bucket(work).doc.Load().name; name != "play" {
			t.Errorf("after %s it is called %q", after, name)
		}
		a.wantHolds("play", map[string]string{"k": "1"})
	})
	if err := a.foldAllSeals(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.carry()
	w.site("b").wantHolds("play", map[string]string{"k": "1"})
}

// TestABranchOfABucketThatBreaks: a start finds the parent damaged, before it comes by the entry that the branch is born by.
func TestABranchOfABucketThatBreaks(t *testing.T) {
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
	v, err := b.view("k").head(w.ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = b.Remove(w.ctx, "k", VersionRef{ID: v.current().VersionID}, Cond{}); err != nil { // needs the history
		t.Fatal(err)
	}
	a.bud("photos", "work")
	a.put("work", "l", "y")
	want := a.versionsIn(a.bucketNamed("work"))
	m := a.cfg.Chunks.(mapStore)
	lost := m.lose(b.base.history)
	a.restart()
	for _, name := range []string{"photos", "work"} {
		if err := a.bucketNamed(name).Err(); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("%s is not broken: %v", name, err)
		}
	}
	if err := a.checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.restart()
	if err := m.Put(w.ctx, lost); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"photos", "work"} {
		if err := a.revive(w.ctx, a.bucketNamed(name)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if got := a.versionsIn(a.bucketNamed("work")); !maps.Equal(got, want) {
			t.Errorf("it holds %v, want %v", got, want)
		}
		a.restart()
	}
}

// TestWhatIsWrittenWhileTheRootIsMadeIsTold: peers hear nothing of those records by the feed, which has gone by.
func TestWhatIsWrittenWhileTheRootIsMadeIsTold(t *testing.T) {
	w, a := sealingWorld(t, "a", "b")
	a.put("photos", "k", "1")
	w.settle()
	a.put("photos", "k", "2")
	a.bud("photos", "work")
	armed := false
	a.hook(func() {
		if armed {
			armed = false
			a.put("work", "l", "meanwhile")
			if err := w.pull(w.site("b"), a); err != nil {
				t.Error(err)
			}
		}
	})
	armed = true
	if err := a.foldAllSeals(w.ctx); err != nil {
		t.Fatal(err)
	}
	if armed {
		t.Fatal("the test does not reach what it is for")
	}
	b := w.site("b")
	if err := errors.Join(w.pull(b, a), w.begin(b, a)); err != nil { // and no sync of all that differs, as when a link comes up
		t.Fatal(err)
	}
	w.carry()
	b.wantHolds("work", map[string]string{"k": "2", "l": "meanwhile"})
}
