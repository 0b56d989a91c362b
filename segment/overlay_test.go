package segment

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// madeVersion is a version that stands for one that somebody wrote.
func madeVersion(key string, n uint64) *Version {
	dot := Dot{Origin{ID(1 + n%3), 1}, n}
	return &Version{VersionID: VersionID{Stamp{HLC: HLC(n << 16)}, dot}, Key: key, Holds: []Dot{dot}, Attrs: Attrs{ETag: fmt.Sprint("e", n)}}
}

// TestADeltaIsASortedMap holds deltas of few and of many versions against a map, and sees that none is changed by those made from it.
func TestADeltaIsASortedMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	for round := range 24 {
		var d delta
		model := map[VersionID]*Version{}
		for range rng.IntN(6 << (round % 4)) {
			before, was := packKey(nil, head{}, d), maps.Clone(model)
			var changes []change
			for range 1 + rng.IntN(3) {
				v := madeVersion("k", 1+rng.Uint64N(60))
				if slices.ContainsFunc(changes, func(c change) bool { return c.id() == v.VersionID }) {
					continue
				}
				if rng.IntN(3) == 0 {
					changes = append(changes, change{was: v})
					model[v.VersionID] = nil
				} else {
					v.Superseded = rng.IntN(2) == 0
					changes = append(changes, change{now: v})
					model[v.VersionID] = v
				}
			}
			d = d.with(changes)
			checkDelta(t, d, model)
			checkDelta(t, mustDelta(t, before), was)
		}
		h := head{}
		for _, id := range newestFirst(model) { // versions that the head has are not stored twice
			if v := model[id]; v != nil && len(h.versions) < 2 {
				h = head{append(h.versions, v), h.count + 1}
			}
		}
		o := packKey(nil, h, d)
		checkDelta(t, mustDelta(t, o), model)
		got, err := o.head("k")
		if err != nil || string(got.appendTo(nil)) != string(h.appendTo(nil)) || o.in(regionShown) != (h.count > 0 && h.region() == regionShown) {
			t.Fatalf("head %v, want %v, %v", got, h, err)
		}
	}
}

func newestFirst(m map[VersionID]*Version) []VersionID {
	var ids []VersionID
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b VersionID) int { return b.Compare(a) })
	return ids
}

func mustDelta(t *testing.T, o *overlayKey) delta {
	t.Helper()
	d, err := o.delta("k")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func checkDelta(t *testing.T, d delta, model map[VersionID]*Version) {
	t.Helper()
	ids := newestFirst(model)
	for from := -1; from < len(ids); from += 1 + len(ids)/4 {
		var at *VersionID
		want := ids
		if from >= 0 {
			at, want = &ids[from], ids[from:]
		}
		w, err := d.from("k", at)
		for ; err == nil && w.ok && len(want) > 0; err = w.next() {
			if w.v.id != want[0] || !sameStored(w.v.now, model[want[0]]) {
				t.Fatalf("walked to %v, want %v", w.v, want[0])
			}
			want = want[1:]
		}
		if err != nil || w.ok || len(want) > 0 {
			t.Fatalf("the walk ended with %v left, %v", want, err)
		}
	}
	for n := range uint64(62) {
		id := madeVersion("k", n).VersionID
		want, held := model[id]
		got, ok, err := d.find("k", id)
		if err != nil || ok != held || !sameStored(got.now, want) {
			t.Fatalf("found %v %t, want %v %t, %v", got, ok, want, held, err)
		}
	}
}

func sameStored(a, b *Version) bool {
	if a == nil || b == nil {
		return a == b
	}
	return string(a.appendStored(nil)) == string(b.appendStored(nil))
}

// TestAHotKeyCostsItsWritesOnly writes versions of one key between two folds: what one costs does not grow with those before it.
func TestAHotKeyCostsItsWritesOnly(t *testing.T) {
	w := newWorld(t, "a")
	b, err := w.site("a").CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	records := madeRecords(12000, func(int) string { return "hot" })
	apply := func(from, to int) (allocated uint64) { // for each ten, at the least: others allocate, too
		t.Helper()
		allocated = math.MaxUint64
		for ; from < to; from += 10 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b.applyAll(w.ctx, t, records, from, min(from+10, to))
			runtime.ReadMemStats(&after)
			allocated = min(allocated, after.TotalAlloc-before.TotalAlloc)
		}
		return allocated
	}
	apply(0, 100)
	few := apply(100, 200)
	apply(200, 11900)
	if many := apply(11900, 12000); many > 5*few { // a path in a tree is longer by a few nodes
		t.Errorf("ten writes allocate %d bytes behind 100 others, and %d behind 11,900", few, many)
	}
	v, err := b.view("hot").version(w.ctx, "hot", records[6000].VersionID)
	if err != nil || v == nil || !v.Superseded {
		t.Errorf("the version in the middle is %v, %v", v, err)
	}
	for i := range records { // take them away, the newest first
		id := VersionID{Stamp{HLC: HLC(20000+i) << 16}, Dot{Origin{98, 1}, uint64(i + 1)}}
		last := records[len(records)-1-i].VersionID
		records[i] = &record{VersionID: id, effects: []effect{{key: "hot", gone: []goneHold{{last, last.Dot}}}}}
		if i >= len(records)/2 {
			break
		}
	}
	few = apply(0, 100)
	apply(100, 5800)
	if many := apply(5800, 5900); many > 5*few {
		t.Errorf("to remove ten versions allocates %d bytes, and %d behind 5,800 others", few, many)
	}
	if h, err := b.view("hot").head(w.ctx, "hot"); err != nil || h.count != 6100 || h.current().Dot.N != 6100 {
		t.Errorf("%d versions are left of %v, %v", h.count, h.current(), err)
	}
}

// TestAFoldLeavesTheVersionsSince: what a fold covers of a key that is written on and on is not kept over it.
func TestAFoldLeavesTheVersionsSince(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	folding := false
	a.hook(func() {
		if folding {
			folding = false
			a.put("photos", "hot", "during")
			a.put("photos", "other", "during")
		}
	})
	b, err := a.CreateBucket(w.ctx, "photos", BucketOptions{Settings: &Settings{Versioning: Versioned}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * fewVersions {
		a.put("photos", "hot", "before")
	}
	folding = true
	if _, err := b.Fold(w.ctx); err != nil {
		t.Fatal(err)
	}
	d, err := b.view("hot").over.delta("hot")
	if err != nil {
		t.Fatal(err)
	}
	if d.many != nil || len(d.few) != 2 { // the new version, and the one that it superseded
		t.Errorf("%+v lies over the fold", d)
	}
	if n := b.Stats().Pending; n != 2 {
		t.Errorf("%d keys lie over the fold", n)
	}
	w.verify()
}

// TestTheOverlaysMemoryIsCounted compares what is accounted for with what the heap grows by.
func TestTheOverlaysMemoryIsCounted(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	for name, key := range map[string]func(int) string{
		"new-keys": func(i int) string { return fmt.Sprintf("folder/%09d", i*7919%10000) },
		"hot-key":  func(int) string { return "hot" },
	} {
		b, err := a.CreateBucket(w.ctx, name, BucketOptions{Settings: &Settings{Versioning: Versioned}})
		if err != nil {
			t.Fatal(err)
		}
		records := madeRecords(10000, key)
		before := heapInUse()
		b.applyAll(w.ctx, t, records, 0, len(records))
		grew, counted := int64(heapInUse())-int64(before), b.unfolded().cost
		runtime.KeepAlive(records)
		if counted < grew/3 || counted > 3*grew {
			t.Errorf("%s: %d bytes are accounted for, and the heap grew by %d", name, counted, grew)
		}
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// madeRecords are puts, as another segment would have written them.
func madeRecords(n int, key func(int) string) []*record {
	out := make([]*record, n)
	for i := range out {
		id := VersionID{Stamp{HLC: HLC(i+1) << 16}, Dot{Origin{99, 1}, uint64(i + 1)}}
		v := &Version{VersionID: id, Key: key(i), Holds: []Dot{id.Dot}, Attrs: Attrs{ETag: "d41d8cd98f00b204e9800998ecf8427e"}}
		e := effect{key: v.Key, hold: v}
		if i > 0 && key(i-1) == v.Key {
			e.over = []VersionID{out[i-1].VersionID}
		}
		out[i] = &record{VersionID: id, effects: []effect{e}}
	}
	return out
}

// applyAll makes records part of the state that the log does not have.
func (b *Bucket) applyAll(ctx context.Context, t *testing.T, records []*record, from, to int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, r := range records[from:to] {
		if err := b.apply(ctx, uint64(1000+from+i), r, nil, r.appendTo(nil)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACheckpointFoldsWhatHoldsTheLog: of many buckets, those that were written lately stay as they are.
func TestACheckpointFoldsWhatHoldsTheLog(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	a.cfg.StartWrites = 6 * markWrites
	a.restart()
	for _, name := range []string{"idle", "old", "busy", "late"} {
		if _, err := a.CreateBucket(w.ctx, name, BucketOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	a.put("old", "k", "long ago")
	for i := range 3*markWrites + 100 {
		a.put("busy", fmt.Sprint(i), "")
	}
	a.put("late", "k", "just now")
	if err := a.foldWorth(w.ctx, false, true); err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, name := range []string{"idle", "old", "busy", "late"} {
		b, err := a.Bucket(name)
		if err != nil {
			t.Fatal(err)
		}
		left[name] = b.unfolded().oldest > 0
	}
	if left["idle"] || left["old"] || left["busy"] || !left["late"] {
		t.Errorf("records lie over the folds of %v, want only those of late", left)
	}
	if err := a.checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	st, err := a.loadState()
	if err != nil {
		t.Fatal(err)
	}
	if n := a.LogEnd() - st.need(); n > markWrites {
		t.Errorf("a start goes through %d log records", n)
	}
	w.verify()
}
