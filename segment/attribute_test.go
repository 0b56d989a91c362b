package segment

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTagsChangeAndTheVersionStays(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	b, err := a.CreateBucket(w.ctx, "box", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.Put(w.ctx, "k", Attrs{ETag: "e", Tags: map[string]string{"t": "1", "u": "1"}}, Cond{}, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(want map[string]string) {
		t.Helper()
		for range 3 { // in the overlay, in the trees, after a restart
			got, err := b.Stat(w.ctx, "k", VersionRef{})
			if err != nil || !maps.Equal(got.Tags(), want) {
				t.Fatalf("tags %v, %v, want %v", got.Tags(), err, want)
			}
			if got.VersionID != v.VersionID || !got.Modified().Equal(v.Modified()) || got.Attrs.ETag != "e" {
				t.Fatalf("the version is another: %v", got.VersionID)
			}
			if s := b.Stats(); s.Versions != 1 || s.Conflicts != 0 {
				t.Fatalf("stats %+v", s)
			}
			if _, err := b.Fold(w.ctx); err != nil {
				t.Fatal(err)
			}
			a.restart()
			b, _ = a.Bucket("box")
		}
	}
	check(map[string]string{"t": "1", "u": "1"})
	for _, tags := range []map[string]string{{"t": "2"}, nil, {"x": "3"}} {
		w.tick(time.Second)
		got, err := b.SetTags(w.ctx, "k", VersionRef{}, tags, Cond{Match: []string{"e"}})
		if err != nil || !maps.Equal(got.Tags(), tags) {
			t.Fatalf("%v, %v", got.Tags(), err)
		}
		check(tags)
	}
	if _, err := b.SetAttribute(w.ctx, "k", VersionRef{}, ACL, []byte("mine"), Cond{}); err != nil {
		t.Fatal(err)
	}
	check(map[string]string{"x": "3"})
	w.verify()
}

func TestWhatCannotBeSetIsRefused(t *testing.T) {
	w, b := lockWorld(t, "a")
	v := w.site("a").put("box", "k", "x")
	w.site("a").put("box", "k", "y")
	if _, err := b.Delete(w.ctx, "gone", Cond{}); err != nil {
		t.Fatal(err)
	}
	before := b.Stats().Seen
	var marker *MarkerError
	for name, c := range map[string]struct {
		key  string
		ref  VersionRef
		attr Attribute
		size int
		cond Cond
		want error
	}{
		"no such key":     {"none", VersionRef{}, Tags, 0, Cond{}, ErrNoSuchKey},
		"a marker":        {"gone", VersionRef{}, Tags, 0, Cond{}, ErrNoSuchKey},
		"no such version": {"gone", VersionRef{ID: v.VersionID}, Tags, 0, Cond{}, ErrNoSuchVersion},
		"no such name":    {"k", VersionRef{}, "owner", 0, Cond{}, ErrInvalidArgument},
		"too much":        {"k", VersionRef{}, ACL, maxAttribute + 1, Cond{}, ErrInvalidArgument},
		"no tags":         {"k", VersionRef{}, Tags, 5, Cond{}, ErrForeign},
		"another version": {"k", VersionRef{}, ACL, 5, Cond{Version: &v.VersionID}, ErrPrecondition},
		"another ETag":    {"k", VersionRef{}, ACL, 5, Cond{Match: []string{"e"}}, ErrPrecondition},
	} {
		_, err := b.SetAttribute(w.ctx, c.key, c.ref, c.attr, []byte(strings.Repeat("x", c.size)), c.cond)
		if !errors.Is(err, c.want) || errors.As(err, &marker) != (name == "a marker") {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if !b.Stats().Seen.Equal(before) {
		t.Error("something was written")
	}
}

func TestCopiesCarryAttributesAndNoLocks(t *testing.T) {
	w, b := lockWorld(t, "a", "b")
	a := w.site("a")
	other, _ := w.site("b").Bucket("box")
	a.put("box", "k", "from a")
	a.put("box", "k", "from a still")
	w.tick(time.Second)
	if _, err := other.Put(w.ctx, "k", Attrs{}, Cond{}, strings.NewReader("from b")); err != nil {
		t.Fatal(err)
	}
	loser, err := b.Stat(w.ctx, "k", VersionRef{})
	if err != nil {
		t.Fatal(err)
	}
	at := VersionRef{ID: loser.VersionID}
	tags := map[string]string{"is": "a loser"}
	if _, err := b.SetTags(w.ctx, "k", at, tags, Cond{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetAttribute(w.ctx, "k", at, ACL, []byte("mine"), Cond{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Lock(w.ctx, "k", at, legalHold(true), Cond{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	carried := func(what string, v Version, err error) {
		t.Helper()
		if err != nil || !maps.Equal(v.Tags(), tags) || string(v.Attribute(ACL)) != "mine" || v.Lock() != (Lock{}) {
			t.Errorf("%s has tags %v, ACL %q, lock %+v, %v", what, v.Tags(), v.Attribute(ACL), v.Lock(), err)
		}
	}
	kept, err := other.Resolve(w.ctx, "k", at, Cond{})
	carried("what a resolution keeps", kept, err)
	o, err := other.Open(w.ctx, "k", at)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := other.Copy(w.ctx, o, "copy", Attrs{Tags: o.v.Tags()}, Cond{})
	carried("a copy", copied, err)
	w.settle()
	for _, key := range []string{"k", "copy"} {
		v, err := b.Stat(w.ctx, key, VersionRef{})
		carried(key+" elsewhere", v, err)
	}
	w.verify()
}

func TestASnapshotKeepsTagsAndGivesThemBack(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	b, err := a.CreateBucket(w.ctx, "box", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v := a.put("box", "k", "x")
	a.put("box", "same", "x")
	tag := func(value string) {
		t.Helper()
		if _, err := b.SetTags(w.ctx, "k", VersionRef{}, map[string]string{"t": value}, Cond{}); err != nil {
			t.Fatal(err)
		}
	}
	tag("before")
	if _, err := b.CreateSnapshot(w.ctx, "one"); err != nil {
		t.Fatal(err)
	}
	tag("after")
	if _, err := b.SetTags(w.ctx, "same", VersionRef{}, nil, Cond{}); err != nil { // as it was
		t.Fatal(err)
	}
	snap, err := b.At(w.ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snap.SetTags(w.ctx, "k", VersionRef{}, nil, Cond{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a snapshot is tagged: %v", err)
	}
	if _, err := snap.Lock(w.ctx, "k", VersionRef{}, legalHold(true), Cond{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a snapshot is locked: %v", err)
	}
	var differ []string
	for d, err := range Diff(w.ctx, snap, b, "") {
		if err != nil {
			t.Fatal(err)
		}
		differ = append(differ, d.Key+" "+d.From.Tags()["t"]+" "+d.To.Tags()["t"])
	}
	if got := strings.Join(differ, ", "); got != "k before after" {
		t.Errorf("these differ: %s", got)
	}
	if r, err := b.Restore(w.ctx, snap, "", nil); err != nil || r != (Restored{Put: 1, Differed: 1}) {
		t.Errorf("restored %+v, %v", r, err)
	}
	got, err := b.Stat(w.ctx, "k", VersionRef{})
	if err != nil || got.Tags()["t"] != "before" || got.VersionID != v.VersionID {
		t.Errorf("restored to %v, tags %v, %v", got.VersionID, got.Tags(), err)
	}
	for _, err := range Diff(w.ctx, snap, b, "") {
		t.Errorf("something differs still: %v", err)
	}
}

// TestHostileVersionsAreRefused: a record whose versions are not as a writer has them would be in the log of everybody, and nobody could apply it, or
// read what it made.
func TestHostileVersionsAreRefused(t *testing.T) {
	stranger := Dot{Origin{77, 1}, 5}
	put := func(edit func(*Version)) func(r *record, b []byte) []byte {
		return func(r *record, b []byte) []byte {
			v := &Version{VersionID: r.VersionID, Key: "k", Null: true, Holds: []Dot{r.Dot}}
			edit(v)
			r.effects = append(r.effects, effect{key: "k", hold: v})
			return r.appendTo(b)
		}
	}
	whole := func(edit func(*Version)) func(r *record, b []byte) []byte {
		return func(r *record, b []byte) []byte {
			v := &Version{VersionID: r.VersionID, Key: "k", Null: true, Holds: []Dot{r.Dot}}
			edit(v)
			return putPart(r.appendTo(b), recordFieldEffect, func(b []byte) []byte { return putPart(b, effectFieldLock, v.appendWhole) })
		}
	}
	for name, encode := range map[string]func(r *record, b []byte) []byte{
		"nothing holds it":          whole(func(v *Version) { v.Holds = nil }),
		"a write unseen holds it":   whole(func(v *Version) { v.Holds = []Dot{stranger} }),
		"it is locked by its write": put(func(v *Version) { v.Holds, v.locks = []Dot{stranger}, []heldLock{{stranger, lock{legal: true}}} }),
		"attributes of another hold": put(func(v *Version) {
			v.Holds, v.registers = []Dot{stranger}, []register{{name: "acl", value: "x", on: []Dot{stranger}}}
		}),
		"an attribute has two values": put(func(v *Version) { v.registers = []register{{name: "acl", value: "x"}, {name: "acl", value: "y"}} }),
		"a lock's attributes are of another hold": func(r *record, b []byte) []byte {
			v := &Version{VersionID: VersionID{Stamp{Epoch{}, r.HLC - 1}, Dot{r.Dot.Origin, r.Dot.N - 1}}, Key: "k", Null: true}
			v.Holds, v.registers = []Dot{v.Dot, stranger}, []register{{name: "acl", value: "x", on: []Dot{stranger}}}
			slices.SortFunc(v.Holds, Dot.Compare)
			r.effects = []effect{{key: "k", hold: v, lock: lock{legal: true}}}
			return r.appendTo(b)
		},
		"it is put twice": func(r *record, b []byte) []byte {
			put(func(*Version) {})(r, nil)
			return put(func(*Version) {})(r, b)
		},
		"it is of another key": func(r *record, b []byte) []byte {
			v := &Version{VersionID: r.VersionID, Key: "other", Null: true}
			return putPart(r.appendTo(b), recordFieldEffect, func(b []byte) []byte {
				return putBytes(putPart(b, effectFieldPut, v.appendOwn), effectFieldKey, "k")
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, b := lockWorld(t, "a", "b")
			hostile, honest := w.site("a"), w.site("b")
			hostile.put("box", "k", "x")
			w.settle()
			mine, err := honest.Bucket("box")
			if err != nil {
				t.Fatal(err)
			}
			seen := mine.Seen()
			r := &record{deps: seen.Clone()}
			delete(r.deps, hostile.Origin())
			r.VersionID = VersionID{Stamp{Epoch{}, honest.clock.now()}, Dot{hostile.Origin(), seen[hostile.Origin()] + 1}}
			cur, _ := honest.Cursor(hostile.ID())
			item := FeedItem{Pos: cur.Pos, Bucket: b.ID(), Record: encode(r, nil), Dot: r.Dot}
			_, err = honest.Receive(w.ctx, hostile.ID(), []FeedItem{item}, Cursor{cur.Inc, cur.Pos + 1})
			var stop *StopError
			if !errors.As(err, &stop) || !errors.Is(err, ErrRefused) {
				t.Errorf("it is taken in: %v", err)
			}
			if now := mine.Seen(); !now.Equal(seen) {
				t.Errorf("%v was seen, and is now %v", seen, now)
			}
			if v, err := mine.Stat(w.ctx, "k", VersionRef{}); err != nil || len(v.Holds) != 1 {
				t.Errorf("the key is %+v, %v", v, err)
			}
		})
	}
}

// TestHostileAmendmentsAreRefused: what no segment writes is taken in neither by a feed nor by trees.
func TestHostileAmendmentsAreRefused(t *testing.T) {
	future := func(v VersionID) VersionID { v.HLC += HLC(time.Hour.Milliseconds()) << 16; return v }
	for name, c := range map[string]struct {
		effect   func(v *Version) effect
		by       string // "feed" alone, "trees" too
		want     error
		versions int // of the key at the peer, afterwards
	}{
		"a lock of a version that nobody wrote": {func(v *Version) effect {
			w := *v.bare()
			w.Dot.N += 40
			return effect{key: "k", hold: &w, lock: lock{legal: true}}
		}, "trees", ErrRefused, 1},
		"a lock of a version from the future": {func(v *Version) effect {
			w := *v.bare()
			w.VersionID = future(v.VersionID)
			return effect{key: "k", hold: &w, lock: lock{legal: true}}
		}, "trees", ErrClockAhead, 1},
		"an attribute that is not known": {func(v *Version) effect {
			return effect{key: "k", set: []setAttribute{{v.VersionID, "owner", "me"}}}
		}, "trees", ErrRefused, 1},
		"an attribute of absurd size": {func(v *Version) effect {
			return effect{key: "k", set: []setAttribute{{v.VersionID, "acl", strings.Repeat("x", maxAttribute+1)}}}
		}, "trees", ErrRefused, 1},
		"tags that are none": {func(v *Version) effect {
			return effect{key: "k", set: []setAttribute{{v.VersionID, "tags", "tags"}}}
		}, "trees", ErrRefused, 1},
		"an attribute twice": {func(v *Version) effect {
			return effect{key: "k", set: []setAttribute{{v.VersionID, "acl", "a"}, {v.VersionID, "acl", "b"}}}
		}, "feed", ErrRefused, 1},
		"an attribute of a version that nobody wrote": {func(v *Version) effect {
			id := v.VersionID
			id.Dot.N += 40
			return effect{key: "k", set: []setAttribute{{id, "acl", "a"}}}
		}, "feed", ErrRefused, 1},
		"a lock that carries attributes from the future": {func(v *Version) effect {
			w := v.bare()
			w.registers = []register{{name: "acl", value: "x", by: future(v.VersionID)}}
			return effect{key: "k", hold: w, lock: lock{legal: true}}
		}, "trees", ErrClockAhead, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w, b := lockWorld(t, "a", "b")
			hostile, honest := w.site("a"), w.site("b")
			v := hostile.put("box", "k", "x")
			w.settle()
			view := b.view("k")
			r := &record{deps: view.deps, effects: []effect{c.effect(&v)}}
			if err := hostile.submit(plan{b: b, r: r, own: view.own}); err != nil {
				t.Fatal(err)
			}
			cur, _ := honest.Cursor(hostile.ID())
			items, next, err := hostile.FeedFrom(w.ctx, cur.Pos, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			_, err = honest.Receive(w.ctx, hostile.ID(), items, Cursor{cur.Inc, next})
			var stop *StopError
			if !errors.As(err, &stop) || !errors.Is(err, ErrRefused) {
				t.Errorf("the feed is taken in: %v", err)
			}
			if c.by == "trees" {
				if err := w.sync(honest, hostile, b.ID()); !errors.Is(err, c.want) {
					t.Errorf("the trees are taken in: %v", err)
				}
			}
			mine, _ := honest.Bucket("box")
			versions := 0
			for got, err := range mine.eachVersion(w.ctx, "k", nil) {
				versions++
				if err != nil || len(got.Holds) != 1 || len(got.registers) != 0 {
					t.Errorf("it holds %v, %+v, %v", got.Holds, got.registers, err)
				}
			}
			if versions != c.versions {
				t.Errorf("%d versions", versions)
			}
		})
	}
}

// A peer whose clock is far ahead waits with its tags, as with all it writes.
func TestTagsFromFarAheadWait(t *testing.T) {
	w, b := lockWorld(t, "a", "b")
	a, c := w.site("a"), w.site("b")
	a.put("box", "k", "x")
	w.settle()
	a.skew = 2 * MaxClockAhead
	if _, err := b.SetTags(w.ctx, "k", VersionRef{}, map[string]string{"t": "ahead"}, Cond{}); err != nil {
		t.Fatal(err)
	}
	if err := w.pull(c, a); !errors.Is(err, ErrClockAhead) {
		t.Errorf("by the feed: %v", err)
	}
	if err := w.sync(c, a, b.ID()); !errors.Is(err, ErrClockAhead) {
		t.Errorf("by trees: %v", err)
	}
	w.tick(2 * MaxClockAhead)
	if err := w.sync(c, a, b.ID()); err != nil {
		t.Fatal(err)
	}
	mine, _ := c.Bucket("box")
	w.tick(-2 * MaxClockAhead) // whoever tags it after that is the later, whatever his clock says
	v, err := mine.SetTags(w.ctx, "k", VersionRef{}, map[string]string{"t": "after"}, Cond{})
	if err != nil || v.Tags()["t"] != "after" {
		t.Errorf("tags %v, %v", v.Tags(), err)
	}
}

// TestWhatAPeerHasNotSeenHoldsNothing: a version whose holds or attributes are beyond what its peer says that it has seen is refused.
func TestWhatAPeerHasNotSeenHoldsNothing(t *testing.T) {
	w, b := lockWorld(t, "a")
	v := w.site("a").put("box", "k", "x")
	seen, unseen := b.Seen(), Dot{Origin{9, 1}, 1}
	late := VersionID{Stamp{HLC: v.HLC + 1}, unseen}
	for name, edit := range map[string]func(*Version){
		"a hold":       func(v *Version) { v.hold(unseen, lock{legal: true}, nil) },
		"an attribute": func(v *Version) { v.registers = []register{{name: "acl", value: "x", by: late}} },
		"an attribute from before the version": func(v *Version) {
			v.registers = []register{{name: "acl", value: "x", by: VersionID{Stamp{HLC: 1}, v.Dot}}}
		},
		"too many locks": func(v *Version) {
			for n := range uint64(maxHolds + 1) {
				v.Holds = withDot(v.Holds, Dot{v.Dot.Origin, n + 1})
			}
		},
	} {
		hostile := v
		edit(&hostile)
		var newest HLC
		if err := b.checkIncoming("k", &hostile, seen, &newest); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var newest HLC
	if err := b.checkIncoming("k", &v, seen, &newest); err != nil {
		t.Error(err)
	}
}

// A merge of a branch brings the tags that its files have now, not those that they were written with.
func TestAMergeBringsTags(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	if _, err := a.CreateBucket(w.ctx, "box", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	a.put("box", "k", "x")
	branch, err := a.CreateBranch(w.ctx, "box", "side")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := branch.SetTags(w.ctx, "k", VersionRef{}, map[string]string{"is": "tagged there"}, Cond{}); err != nil {
		t.Fatal(err)
	}
	a.merge("side", "box", MergeOptions{})
	v, err := a.bucketNamed("box").Stat(w.ctx, "k", VersionRef{})
	if err != nil || v.Tags()["is"] != "tagged there" {
		t.Errorf("tags %v, %v", v.Tags(), err)
	}
}

// Who asks a home to write cannot give a version attributes that no version begins with.
func TestARequestCannotBringAttributesFromElsewhere(t *testing.T) {
	by := VersionID{Stamp{HLC: 1}, Dot{Origin{9, 1}, 1}}
	for name, g := range map[string]register{
		"a stamp":            {name: "acl", value: "x", by: by},
		"holds":              {name: "acl", value: "x", on: []Dot{by.Dot}},
		"an unknown name":    {name: "owner", value: "x"},
		"a value too large":  {name: "acl", value: strings.Repeat("x", maxAttribute+1)},
		"tags that are none": {name: "tags", value: "x"},
	} {
		r := &Request{key: "k", put: &Version{registers: []register{g}}}
		if err := r.check(); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := &Request{key: "k", put: &Version{registers: []register{{name: "acl", value: "x"}}}}
	if err := r.check(); err != nil {
		t.Error(err)
	}
}
