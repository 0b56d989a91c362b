package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// rename is a random rename of a directory, or of a key.
func (m *sim) rename(b *Bucket) error {
	o := RenameOptions{Replace: m.rng.IntN(2) == 0}
	if m.rng.IntN(3) == 0 {
		keys := []string{"k", "d/x", "d/y", "e", "f/x"}
		src, dst := keys[m.rng.IntN(len(keys))], keys[m.rng.IntN(len(keys))]
		m.step = "rename key " + src + " to " + dst
		_, err := b.Rename(m.ctx, src, dst, o)
		return allow(err, ErrNoSuchKey, ErrTargetExists, ErrInvalidArgument)
	}
	dirs := []string{"d/", "f/", "d/", "f/", "d\x00/"}
	at := m.rng.IntN(len(dirs))
	src, dst := dirs[at], dirs[(at+1)%len(dirs)]
	m.step = "rename " + src + " to " + dst
	_, err := b.RenamePrefix(m.ctx, src, dst, o)
	return allow(err, ErrNoSuchKey, ErrTargetExists, ErrInvalidArgument)
}

// pair is two linked sites with a bucket, box, that both know.
func pair(t *testing.T, set Settings) (w *world, a, b *site, atA, atB *Bucket) {
	t.Helper()
	w = newWorld(t, "a", "b")
	a, b = w.site("a"), w.site("b")
	atA, err := a.CreateBucket(w.ctx, "box", BucketOptions{Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	return w, a, b, atA, b.bucket(atA.id)
}

func listed(t *testing.T, b *Bucket) (out []string) {
	t.Helper()
	page, err := b.List(t.Context(), ListOptions{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		out = append(out, e.Version.Key)
	}
	return out
}

func renamed(t *testing.T, b *Bucket, src, dst string) Renamed {
	t.Helper()
	r, err := b.RenamePrefix(t.Context(), src, dst, RenameOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestADirectoryIsRenamedInOneSmallRecord(t *testing.T) {
	w, a, b, atA, atB := pair(t, DefaultSettings())
	const keys = 1000
	fillBelow(t, atA, "d/", keys)
	a.put("box", "d/own", "of d/own")
	w.settle()
	from := a.LogEnd()
	a.keeper.mu.Lock()
	before := a.keeper.total.bytes
	a.keeper.mu.Unlock()
	if r := renamed(t, atA, "d/", "another directory/"); r.Keys != keys+1 || r.Versions != keys+1 {
		t.Fatalf("%+v", r)
	}
	a.keeper.mu.Lock()
	logged := a.keeper.total.bytes - before
	a.keeper.mu.Unlock()
	items, _, err := a.FeedFrom(w.ctx, from, 1<<20)
	if err != nil || len(items) != 1 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	t.Logf("%d bytes in the log, %d in the feed", logged, len(items[0].Record))
	if logged > 1<<10 || len(items[0].Record) > 1<<10 {
		t.Errorf("%d bytes in the log, %d in the feed", logged, len(items[0].Record))
	}
	b.syncs = 0
	if err := w.pull(b, a); err != nil || b.syncs > 0 {
		t.Fatalf("%d syncs, %v", b.syncs, err)
	}
	for _, bucket := range []*Bucket{atA, atB} {
		if s := bucket.Stats(); s.Objects != keys+1 || s.Versions != keys+1 {
			t.Errorf("%+v", s)
		}
		if all := listed(t, bucket); len(all) != keys+1 || !strings.HasPrefix(all[0], "another directory/000/") || !strings.HasPrefix(all[keys], "another directory/own") {
			t.Errorf("%d keys from %q to %q", len(all), all[0], all[len(all)-1])
		}
	}
	if got, err := a.read(atA, "another directory/own", VersionRef{}); err != nil || got != "of d/own" {
		t.Errorf("%q, %v", got, err)
	}
	w.verify()
}

func TestARefusedRenameLeavesNothing(t *testing.T) {
	w, a, b, atA, _ := pair(t, DefaultSettings())
	for _, k := range []string{"d/x", "d/" + strings.Repeat("k", MaxKey-2), "e/y", "f/"} {
		a.put("box", k, "v")
	}
	w.settle()
	end := a.LogEnd()
	for _, c := range []struct {
		src, dst string
		want     error
	}{
		{"d/", "d/", ErrInvalidArgument}, {"d/", "d/x/", ErrInvalidArgument}, {"d/x/", "d/", ErrInvalidArgument},
		{"d", "g/", ErrInvalidArgument}, {"d/", "g", ErrInvalidArgument}, {"", "g/", ErrInvalidArgument}, {"d/", "", ErrInvalidArgument}, {"/", "g/", ErrInvalidArgument},
		{"d/", "g\xff/", ErrInvalidArgument}, {"\x00d/", "g/", ErrInvalidArgument},
		{"d/", "longer/", ErrInvalidArgument}, // a key would be
		{"d/", "e/", ErrTargetExists}, {"nothing/", "g/", ErrNoSuchKey},
	} {
		if _, err := atA.RenamePrefix(w.ctx, c.src, c.dst, RenameOptions{}); !errors.Is(err, c.want) {
			t.Errorf("%q to %q: %v, want %v", c.src, c.dst, err, c.want)
		}
	}
	for _, c := range []struct {
		src, dst string
		want     error
	}{{"d/x", "d/x", ErrInvalidArgument}, {"d/x", "", ErrInvalidArgument}, {"no", "g", ErrNoSuchKey}, {"d/x", "e/y", ErrTargetExists}} {
		if _, err := atA.Rename(w.ctx, c.src, c.dst, RenameOptions{}); !errors.Is(err, c.want) {
			t.Errorf("%q to %q: %v, want %v", c.src, c.dst, err, c.want)
		}
	}
	if a.LogEnd() != end {
		t.Error("something was logged")
	}
	if _, err := atA.RenamePrefix(w.ctx, "d/", "f/", RenameOptions{}); err != nil {
		t.Errorf("onto a directory that is empty: %v", err)
	}
	if _, err := b.bucket(atA.id).RenamePrefix(w.ctx, "e/", "f/", RenameOptions{Replace: true}); err != nil {
		t.Errorf("into a directory: %v", err)
	}
	w.verify()
}

func TestASnapshotIsNotRenamed(t *testing.T) {
	w, a, _, atA, _ := pair(t, DefaultSettings())
	a.put("box", "d/x", "v")
	if _, err := atA.CreateSnapshot(w.ctx, "monday"); err != nil {
		t.Fatal(err)
	}
	monday, err := a.Bucket("box@monday")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := monday.RenamePrefix(w.ctx, "d/", "e/", RenameOptions{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := monday.Rename(w.ctx, "d/x", "e", RenameOptions{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a key: %v", err)
	}
}

// Memory that renames take is given back by folds, which those that need it do themselves.
func TestRenamesMakeRoomForOneAnother(t *testing.T) {
	w, a, _, atA, _ := pair(t, DefaultSettings())
	fillBelow(t, atA, "d/", 200)
	if _, err := atA.Fold(w.ctx); err != nil {
		t.Fatal(err)
	}
	renamed(t, atA, "d/", "e/")
	most := a.renamed()
	if most < 40<<10 {
		t.Fatalf("a rename of 200 keys takes %d bytes", most)
	}
	a.Segment.cfg.RenameBytes = 500 << 10
	for i := range 12 {
		renamed(t, atA, []string{"e/", "d/"}[i%2], []string{"d/", "e/"}[i%2])
		if n := a.renamed(); n > 500<<10 {
			t.Fatalf("renames take %d bytes", n)
		}
	}
	w.verify()
}

// craftedRename is a rename as no segment writes it.
func craftedRename(b *Bucket, at HLC, m rename, edit func(*record)) FeedItem {
	r := &record{VersionID: VersionID{Stamp{HLC: at}, Dot{Origin{99, 1}, 1}}, deps: b.Seen(), rename: &m}
	if edit != nil {
		edit(r)
	}
	return FeedItem{Pos: 1, Bucket: b.id, Record: r.appendTo(nil), Dot: r.last()}
}

func TestHostileRenamesLeaveNothing(t *testing.T) {
	t.Run("in memory", func(t *testing.T) { testHostileRenames(t, func(*site) {}) })
	t.Run("in parts", func(t *testing.T) { testHostileRenames(t, (*site).noRoomToRename) })
}

func testHostileRenames(t *testing.T, begin func(*site)) {
	w, a, _, box, _ := pair(t, DefaultSettings())
	begin(a)
	box = a.bucket(box.id)
	for _, k := range []string{"d/x", "d/y", "k"} {
		a.put("box", k, "v")
	}
	x, err := box.look(w.ctx, &expander{m: &rename{src: "d/", dst: "e/"}, most: math.MaxInt64, limit: 1 << 30, sees: box.Seen().Has}, false)
	if err != nil || x.count != 2 {
		t.Fatal(x, err)
	}
	at, end, before := hlcAt(w.now), a.LogEnd(), box.Stats()
	good := rename{count: x.count, src: "d/", dst: "e/", digest: x.digest}
	with := func(edit func(*rename)) rename { m := good; edit(&m); return m }
	for what, c := range map[string]struct {
		item  FeedItem
		doubt bool // a sync may help; else it is refused
	}{
		"a digest of other effects":      {craftedRename(box, at, with(func(m *rename) { m.digest[7]++ }), nil), true},
		"another mode":                   {craftedRename(box, at, with(func(m *rename) { m.mode = Versioned }), nil), true},
		"one dot too few":                {craftedRename(box, at, with(func(m *rename) { m.count-- }), nil), true},
		"one dot too many":               {craftedRename(box, at, with(func(m *rename) { m.count++ }), nil), true},
		"a great many dots":              {craftedRename(box, at, with(func(m *rename) { m.count = math.MaxInt64 }), nil), true},
		"more dots than there are":       {craftedRename(box, at, with(func(m *rename) { m.count = math.MaxUint64 }), nil), false},
		"no dots":                        {craftedRename(box, at, with(func(m *rename) { m.count = 0 }), nil), false},
		"a dot that leaves no room":      {craftedRename(box, at, good, func(r *record) { r.Dot.N = math.MaxUint64 }), false},
		"no source":                      {craftedRename(box, at, with(func(m *rename) { m.src = "" }), nil), false},
		"all of the bucket":              {craftedRename(box, at, with(func(m *rename) { m.src = "/" }), nil), false},
		"no directory":                   {craftedRename(box, at, with(func(m *rename) { m.src = "d" }), nil), false},
		"a target in its source":         {craftedRename(box, at, with(func(m *rename) { m.dst = "d/e/" }), nil), false},
		"a target of any length":         {craftedRename(box, at, with(func(m *rename) { m.dst = strings.Repeat("e", maxFederatedKey) + "/" }), nil), false},
		"keys that become too long":      {craftedRename(box, at, with(func(m *rename) { m.dst = strings.Repeat("e", MaxKey-2) + "/" }), nil), true},
		"a mode that there is not":       {craftedRename(box, at, with(func(m *rename) { m.mode = 9 }), nil), false},
		"what it depends on is not here": {craftedRename(box, at, good, func(r *record) { r.deps = r.deps.With(Dot{Origin{77, 1}, 5}) }), true},
		"settings beside it":             {craftedRename(box, at, good, func(r *record) { r.settings = &settingsRecord{} }), false},
		"the federation's documents":     {craftedRename(a.federation, at, with(func(m *rename) { m.src, m.dst = "bucket/", "gone/" }), nil), false},
		"dots without versions":          {craftedRename(box, at, rename{count: 5}, nil), false},
	} {
		_, err := a.Receive(w.ctx, 99, []FeedItem{c.item}, Cursor{1, 2})
		var doubt *DoubtError
		var stop *StopError
		if errors.As(err, &doubt) != c.doubt || errors.As(err, &stop) == c.doubt {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := box.Stats(); a.LogEnd() != end+1 || got.Objects != before.Objects || !got.Seen.Equal(before.Seen) { // the cursor of a peer that was not known is one
		t.Errorf("log position %d, was %d; %+v, was %+v", a.LogEnd(), end, got, before)
	}
	if _, err := a.Receive(w.ctx, 99, []FeedItem{craftedRename(box, at, good, nil)}, Cursor{1, 2}); err != nil {
		t.Errorf("one that is right: %v", err)
	}
	if got := listed(t, box); strings.Join(got, " ") != "e/x e/y k" {
		t.Errorf("%q", got)
	}
}

// lock is what a lock of a version writes.
func (s *site) lock(b *Bucket, key string) {
	s.w.t.Helper()
	v, err := b.Stat(s.w.ctx, key, VersionRef{})
	if err != nil {
		s.w.t.Fatal(err)
	}
	view := b.view(key)
	v.Key = key
	if err := s.submit(plan{b: b, r: &record{deps: view.deps, effects: []effect{{key: key, hold: &v}}}, own: view.own}); err != nil {
		s.w.t.Fatal(err)
	}
}

func TestLockedVersionsStayWhereTheyAre(t *testing.T) {
	for _, mode := range []Versioning{Unversioned, Versioned} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			set := DefaultSettings()
			set.Versioning = mode
			w, a, b, atA, atB := pair(t, set)
			a.put("box", "d/x", "locked")
			a.put("box", "d/y", "locked elsewhere meanwhile")
			a.lock(atA, "d/x")
			w.settle()
			b.lock(atB, "d/y")
			renamed(t, atA, "d/", "e/")
			b.syncs = 0
			if err := errors.Join(w.pull(b, a), w.pull(a, b)); err != nil || b.syncs > 0 {
				t.Errorf("%d syncs, %v", b.syncs, err)
			}
			for _, bucket := range []*Bucket{atA, atB} {
				for key, wantHolds := range map[string][]int{"d/x": {1, 2}, "d/y": nil, "e/x": {1}, "e/y": {1}} {
					var holds []int
					for v, err := range bucket.eachVersion(w.ctx, key, nil) {
						if err != nil || v.Key != key {
							break
						}
						holds = append(holds, len(v.Holds))
					}
					if key != "d/y" && fmt.Sprint(holds) != fmt.Sprint(wantHolds) {
						t.Errorf("versions of %q have %v holds, want %v", key, holds, wantHolds)
					}
					if key == "d/y" && len(holds) == 0 {
						t.Errorf("what was locked elsewhere is gone")
					}
				}
			}
			w.verify()
		})
	}
}

// Whoever lists sees a directory under one name or under the other, and all of it.
func TestARenameIsSeenAtOnce(t *testing.T) {
	t.Run("in memory", func(t *testing.T) { testSeenAtOnce(t, func(*site) {}) })
	t.Run("in parts", func(t *testing.T) { testSeenAtOnce(t, func(s *site) { s.renameWithin(128 << 10) }) })
}

func testSeenAtOnce(t *testing.T, begin func(*site)) {
	w, a, _, box, _ := pair(t, DefaultSettings())
	const keys = 300
	fillBelow(t, box, "d/", keys)
	begin(a)
	box = a.bucket(box.id)
	ctx, stop := context.WithCancel(w.ctx)
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			for ctx.Err() == nil {
				page, err := box.List(w.ctx, ListOptions{Limit: 2 * keys})
				if err != nil || len(page.Entries) != keys || page.Entries[0].Version.Key[0] != page.Entries[keys-1].Version.Key[0] {
					t.Errorf("%d keys are listed, %v", len(page.Entries), err)
					return
				}
			}
		})
	}
	for i := range 6 {
		renamed(t, box, []string{"d/", "e/"}[i%2], []string{"e/", "d/"}[i%2])
		if i%2 == 0 {
			if _, err := box.Fold(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	work.Wait()
}

// Writers, renames, folds and what comes from a peer take turns in any order. Nothing is lost, and a start repeats it.
func TestWritesAndRenamesTakeTurns(t *testing.T) {
	t.Run("in memory", func(t *testing.T) { testTurns(t, func(*site) {}) })
	t.Run("in parts", func(t *testing.T) { testTurns(t, func(s *site) { s.renameWithin(8 << 10) }) })
}

func testTurns(t *testing.T, begin func(*site)) {
	w, a, b, atA, atB := pair(t, DefaultSettings())
	begin(a)
	atA = a.bucket(atA.id)
	for i := range 20 {
		a.put("box", fmt.Sprintf("d/old%d", i), "v")
	}
	w.settle()
	for i := range 20 {
		b.put("box", fmt.Sprintf("d/of-b%d", i), "v")
	}
	renamed(t, atB, "d/", "f/")
	b.put("box", "e/of-b", "v")
	var work sync.WaitGroup
	for n := range 3 {
		work.Go(func() {
			for i := range 30 {
				if _, err := atA.Put(w.ctx, fmt.Sprintf("%s/%d-%d", []string{"d", "e"}[i%2], n, i), Attrs{}, Cond{}, strings.NewReader("v")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Go(func() {
		for i := range 15 {
			if _, err := atA.RenamePrefix(w.ctx, []string{"d/", "e/"}[i%2], []string{"e/", "d/"}[i%2], RenameOptions{Replace: true}); err != nil && !errors.Is(err, ErrNoSuchKey) {
				t.Error(err)
			}
		}
	})
	work.Go(func() {
		if err := w.pull(a, b); err != nil {
			t.Error(err)
		}
	})
	work.Go(func() {
		for range 5 {
			if _, err := atA.Fold(w.ctx); err != nil {
				t.Error(err)
			}
		}
	})
	work.Wait()
	if n := atA.Stats().Objects; n < 3*30+40 {
		t.Errorf("%d keys are left", n)
	}
	w.verify()
}

// A rename that comes while a fold is made lies over its base, also for a start that has only the log.
func TestARenameDuringAFoldStays(t *testing.T) {
	w, a, _, box, _ := pair(t, DefaultSettings())
	for i := range 6 {
		a.put("box", fmt.Sprintf("d/%d", i), "v")
	}
	n := 0
	a.hook(func() {
		if n++; n%2 == 0 && n < 12 {
			box := a.bucket(box.id)
			_, err := box.RenamePrefix(w.ctx, []string{"d/", "e/"}[n/2%2], []string{"e/", "d/"}[n/2%2], RenameOptions{Replace: true})
			if err != nil && !errors.Is(err, ErrNoSuchKey) {
				t.Error(err)
			}
		}
	})
	for i := range 4 {
		a.put("box", fmt.Sprintf("d/more%d", i), "v")
		if _, err := a.bucket(box.id).Fold(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n < 4 {
		t.Fatalf("%d nodes were written", n)
	}
	m := &sim{world: w, oracle: newOracle(), learnt: map[string]uint64{"a": 1, "b": 1}, rng: rand.New(rand.NewPCG(1, 1))}
	m.reopen(a, a.fs) // no state was written since: the log has the folds, too
	if err := m.check(a); err != nil {
		t.Error(err)
	}
	w.verify()
}

// A merge puts another base under the records since its fold. No rename is among them: on another base it would move something else.
func TestNoRenameComesInAMerge(t *testing.T) {
	w, a, b, atA, atB := pair(t, DefaultSettings())
	for i := range 6 {
		a.put("box", fmt.Sprintf("d/%d", i), "v")
	}
	w.settle()
	n, kept := 0, 0
	b.hook(func() {
		box := b.bucket(atB.id)
		if n++; !box.intake.TryLock() {
			kept++
			return
		}
		box.intake.Unlock()
		_, err := box.RenamePrefix(w.ctx, []string{"d/", "e/"}[n%2], []string{"e/", "d/"}[n%2], RenameOptions{Replace: true})
		if err != nil && !errors.Is(err, ErrNoSuchKey) {
			t.Error(err)
		}
	})
	for i := range 4 {
		if _, err := atA.Delete(w.ctx, fmt.Sprintf("d/%d", i), Cond{}); err != nil {
			t.Fatal(err)
		}
		a.put("box", fmt.Sprintf("e/%d", i), "v")
		b.put("box", fmt.Sprintf("d/new%d", i), "v")
		if err := w.sync(b, a, atA.id); err != nil {
			t.Fatal(err)
		}
	}
	if kept == 0 || n == kept {
		t.Fatalf("%d of %d writes of nodes kept renames out", kept, n)
	}
	w.verify()
}

// A write below a directory between the look at it and the rename is moved, too.
func TestARenameKnowsWhatCameSinceItsLook(t *testing.T) {
	w, a, _, box, _ := pair(t, DefaultSettings())
	a.put("box", "d/x", "v")
	look := func() uint64 {
		x, err := box.look(w.ctx, &expander{m: &rename{src: "d/", dst: "e/"}, most: 100, limit: 1 << 20}, false)
		if err != nil {
			t.Fatal(err)
		}
		return x.seq
	}
	fold := func() {
		if _, err := box.Fold(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct {
		happens func()
		touched bool
	}{
		"nothing":                  {func() {}, false},
		"a write elsewhere":        {func() { a.put("box", "k", "v") }, false},
		"one below the source":     {func() { a.put("box", "d/new", "v") }, true},
		"one below the target":     {func() { a.put("box", "e/new", "v") }, true},
		"a fold of nothing new":    {func() { fold() }, false},
		"a write and a fold":       {func() { a.put("box", "d/z", "v"); fold() }, true},
		"a rename from the source": {func() { renamed(t, box, "d/", "g/"); renamed(t, box, "g/", "d/") }, true},
	} {
		fold()
		seq := look()
		c.happens()
		if box.untouched(seq, "d/", "e/") == c.touched {
			t.Errorf("%s: touched is not %t", what, c.touched)
		}
	}
}

// A damaged bucket is not put on another base while its log has a rename that the other has not seen.
func TestADamagedBucketIsNotTakenAnewUnderARename(t *testing.T) {
	w, a, b, atA, _ := pair(t, DefaultSettings())
	a.put("box", "d/x", "v")
	w.settle()
	w.roots(atA.id)
	renamed(t, atA, "d/", "e/")
	b.put("box", "k", "of b")
	a.lose(atA.base.history)
	a.Suspect(atA.id)
	if err := w.healed(a, b, atA.id); !errors.Is(err, ErrUnavailable) {
		t.Errorf("taken anew from who had not seen the rename: %v", err)
	}
	if err := w.pull(b, a); err != nil { // the log still has it
		t.Fatal(err)
	}
	if err := w.healed(a, b, atA.id); err != nil {
		t.Errorf("not healed: %v", err)
	}
	w.verify()
}

func TestARenameIsRefusedByBuildsThatDoNotKnowIt(t *testing.T) {
	for _, r := range []*record{sampleRename(), sampleMove(t)} {
		raw := r.appendTo(nil)
		if !bytes.HasPrefix(raw, []byte{recordFieldFormat << 3, recordFormatRename}) {
			t.Errorf("the format of %x is another", raw)
		}
		for _, format := range []byte{recordFormat, recordFormatHomed, recordFormatLast + 1} {
			raw[1] = format
			if _, err := parseRecord(raw); !errors.Is(err, ErrForeign) {
				t.Errorf("read as of format %d: %v", format, err)
			}
		}
	}
}
