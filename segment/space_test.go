package segment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
	"github.com/edgefs/edgefs/chunk/pack"
)

// everyOwner finds which buckets reach which chunks, by walking each root and overlay for itself.
func (l *lone) everyOwner() map[uint64]map[BucketID]bool {
	l.t.Helper()
	ctx := context.Background()
	owners := map[uint64]map[BucketID]bool{}
	walker := func() *reached {
		return &reached{s: l.Segment, most: markMost, told: func(id chunk.ID, _ string, b *Bucket, _ string) {
			x := idset.Of(id)
			if owners[x] == nil {
				owners[x] = map[BucketID]bool{}
			}
			owners[x][b.id] = true
		}}
	}
	set, err := l.roots()
	if err != nil {
		l.t.Fatal(err)
	}
	roots := set.roots
	for _, o := range set.overs {
		r := walker()
		if err := r.overlay(ctx, o); err != nil {
			l.t.Fatal(err)
		}
		roots = append(roots, r.later...)
	}
	for len(roots) > 0 {
		r := walker()
		if err := r.root(ctx, roots[0]); err != nil {
			l.t.Fatal(err)
		}
		roots = append(roots[1:], r.later...)
	}
	return owners
}

// wantSpace compares a count with what is found one by one, and its sums with the figures of the device.
func (l *lone) wantSpace(when string) *Space {
	l.t.Helper()
	ctx := context.Background()
	l.frozen.forget()
	sp, err := l.CountSpace(ctx, SpaceOptions{})
	if err != nil {
		l.t.Fatalf("%s: %v", when, err)
	}
	want := map[BucketID]*BucketSpace{}
	of := func(id BucketID) *BucketSpace {
		if want[id] == nil {
			want[id] = &BucketSpace{}
		}
		return want[id]
	}
	owners := l.everyOwner()
	var unreached, content, meta, shared Held
	err = l.device.Entries(ctx, func(k pack.Key, e pack.Entry) error {
		one := Held{1, int64(e.Size), (80 + int64(e.Length) + 15) / 16 * 16}
		ids := slices.Collect(maps.Keys(owners[idset.Of(k.ID)]))
		for _, id := range ids {
			s := &of(id).Content
			if e.Class == chunk.Meta {
				s = &of(id).Meta
			}
			if len(ids) == 1 {
				s.Exclusive = s.Exclusive.Add(one)
			} else {
				s.Shared = s.Shared.Add(one)
			}
		}
		switch {
		case len(ids) == 0:
			unreached = unreached.Add(one)
			return nil
		case e.Class == chunk.Meta:
			meta = meta.Add(one)
		default:
			content = content.Add(one)
		}
		if len(ids) > 1 {
			shared = shared.Add(one)
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, b := range sp.Buckets {
		if w := of(b.ID); b.Content != w.Content || b.Meta != w.Meta || b.NotHere != 0 {
			l.t.Errorf("%s: bucket %s takes\n%+v, want\n%+v", when, b.Name, b, *w)
		}
		delete(want, b.ID)
	}
	for id, w := range want {
		if *w != (BucketSpace{}) {
			l.t.Errorf("%s: bucket %v is left out, which takes %+v", when, id, *w)
		}
	}
	d := sp.Domains[0]
	if len(sp.Domains) != 1 || d.Content != content || d.Meta != meta || d.Shared != shared || d.Unreached.Add(d.Underway) != unreached {
		l.t.Errorf("%s: the domain has\n%+v, want content %+v, metadata %+v, shared %+v, unreached %+v", when, d, content, meta, shared, unreached)
	}
	l.wantSums(when, sp)
	l.wantLogical(when)
	return sp
}

// wantSums says which sums are equal, whatever was counted.
func (l *lone) wantSums(when string, sp *Space) {
	l.t.Helper()
	var exclusive, all Held
	for _, b := range sp.Buckets {
		exclusive = exclusive.Add(b.Content.Exclusive).Add(b.Meta.Exclusive)
	}
	for _, d := range sp.Domains {
		reached := d.Content.Add(d.Meta)
		if exclusive.Add(d.Shared) != reached {
			l.t.Errorf("%s: %+v exclusive and %+v shared are not %+v", when, exclusive, d.Shared, reached)
		}
		all = all.Add(reached).Add(d.Underway).Add(d.Unreached)
	}
	all = all.Add(sp.Copies).Add(sp.Foreign)
	n := l.device.Stats().Chunks
	data, meta := n[chunk.Data], n[chunk.Meta]
	if all != (Held{data.Chunks + meta.Chunks, data.Plain + meta.Plain, data.Space + meta.Space}) {
		l.t.Errorf("%s: %+v are counted, and the device has %+v and %+v", when, all, data, meta)
	}
}

// wantLogical compares what buckets know of their size with their versions.
func (l *lone) wantLogical(when string) {
	l.t.Helper()
	for _, info := range l.Buckets() {
		b, err := l.BucketByID(info.ID)
		if err != nil {
			l.t.Fatal(err)
		}
		want := int64(0)
		for v, err := range b.Payload(context.Background()) {
			if err != nil {
				l.t.Fatal(err)
			}
			want += v.Size()
		}
		if got, err := b.Logical(context.Background()); err != nil || got != want {
			l.t.Errorf("%s: bucket %s holds %d bytes, want %d, %v", when, info.Name, got, want, err)
		}
	}
}

func (sp *Space) bucket(name string) BucketSpace {
	i := slices.IndexFunc(sp.Buckets, func(b BucketSpace) bool { return b.Name == name })
	if i < 0 {
		return BucketSpace{}
	}
	return sp.Buckets[i]
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSpaceAddsUp goes through what changes who reaches what, and looks at all sums after each step.
func TestSpaceAddsUp(t *testing.T) {
	l := newLone(t)
	ctx := t.Context()
	a, b := l.bucket("first"), l.bucket("second")
	reopened := func() {
		var err error
		a, err = l.Bucket("first")
		ok(t, err)
		b, err = l.Bucket("second")
		ok(t, err)
	}
	configure := func(b *Bucket, set func(*Settings)) {
		ok(t, b.Configure(ctx, func(s *Settings) error { set(s); return nil }))
	}
	steps := []struct {
		name string
		do   func()
	}{
		{"nothing", func() {}},
		{"puts", func() {
			for n := range 8 {
				l.put(a, fmt.Sprint(n), blob(n))
			}
		}},
		{"the same elsewhere", func() {
			for n := range 4 {
				l.put(b, fmt.Sprint(n), blob(n))
			}
		}},
		{"a start", func() { l.restart(); reopened() }},
		{"a fold", func() { _, err := a.Fold(ctx); ok(t, err) }},
		{"compressed", func() {
			configure(b, func(s *Settings) { s.Compression = chunk.Fast })
			l.put(b, "lines", lines(1, 150_000))
		}},
		{"overwritten", func() { l.put(a, "0", blob(11)); l.put(a, "1", nil) }},
		{"versions", func() {
			configure(a, func(s *Settings) { s.Versioning = Versioned })
			for n := range 4 {
				l.put(a, "many", blob(20+n))
			}
			l.delete(a, "2")
		}},
		{"a snapshot", func() {
			_, err := a.CreateSnapshot(ctx, "s")
			ok(t, err)
			_, err = a.Fold(ctx)
			ok(t, err)
			for n := range 8 {
				l.delete(a, fmt.Sprint(n))
			}
		}},
		{"a branch", func() {
			_, err := l.CreateBranch(ctx, "first", "work")
			ok(t, err)
		}},
		{"written to", func() {
			w, err := l.Bucket("work")
			ok(t, err)
			_, err = w.Fold(ctx)
			ok(t, err)
			l.put(w, "own", blob(33))
		}},
		{"an upload", func() {
			u, err := b.CreateUpload(ctx, "big", Attrs{})
			ok(t, err)
			w, err := b.PartWriter(ctx, "big", u.ID, 1, -1)
			ok(t, err)
			_, err = w.Write(blob(43))
			ok(t, err)
			_, err = w.CommitPart(ctx, Attrs{})
			ok(t, err)
		}},
		{"a crash", func() { l.cutPower(rand.New(rand.NewPCG(1, 1))); reopened() }},
		{"a collection", func() {
			l.collect()
			if n := l.Space().Domains[0].Unreached.Chunks; n > 2 { // the root and the node of what it wrote down
				t.Errorf("%d chunks are unreached after a collection", n)
			}
			l.wantSums("with a collection", l.Space())
		}},
		{"the snapshot deleted", func() { ok(t, a.DeleteSnapshot(ctx, "s")) }},
		{"a bucket emptied", func() {
			for _, key := range []string{"0", "1", "2", "3", "lines"} {
				l.delete(b, key)
			}
			ok(t, b.AbortUpload(ctx, "big", onlyUpload(t, b)))
			ok(t, l.DeleteBucket(ctx, "second"))
		}},
		{"another collection", func() { l.collect() }},
		{"a clean start", func() { l.restart() }},
	}
	for _, s := range steps {
		s.do()
		l.wantSpace(s.name)
	}
}

func onlyUpload(t *testing.T, b *Bucket) string {
	t.Helper()
	p, err := b.Uploads(t.Context(), UploadsOptions{Limit: 10})
	ok(t, err)
	if len(p.Entries) != 1 {
		t.Fatalf("%d uploads", len(p.Entries))
	}
	return p.Entries[0].Upload.ID
}

// TestSpaceSaysWhatIsWhose writes content whose shares are known beforehand.
func TestSpaceSaysWhatIsWhose(t *testing.T) {
	l := newLone(t)
	a, b := l.bucket("first"), l.bucket("second")
	both, own := blob(2), blob(1) // 120,000 and 40,000 bytes, in pieces of 16 KiB
	l.put(a, "both", both)
	l.put(b, "both", both)
	l.put(b, "again", both)
	l.put(b, "own", own)
	sp := l.wantSpace("written")
	x, y := sp.bucket("first"), sp.bucket("second")
	if x.Logical != 120_000 || y.Logical != 280_000 || x.Current != x.Logical || y.Current != y.Logical {
		t.Errorf("%d and %d bytes are logical", x.Logical, y.Logical)
	}
	if x.Content.Exclusive.Bytes != 0 || x.Content.Shared.Bytes != 120_000 || y.Content.Exclusive.Bytes != 40_000 || y.Content.Shared.Bytes != 120_000 {
		t.Errorf("content: %+v and %+v", x.Content, y.Content)
	}
	if d := sp.Domains[0]; d.Content.Bytes != 160_000 {
		t.Errorf("%d bytes are unique", d.Content.Bytes)
	}
	l.delete(b, "own")
	l.put(a, "both", nil)
	l.collect()
	if sp = l.wantSpace("given up"); sp.bucket("second").Content.Exclusive.Bytes != 120_000 || sp.Domains[0].Content.Bytes != 120_000 {
		t.Errorf("%+v", sp)
	}
}

// TestAFewBytesMoreCostLittle stores versions of one file, each with a line that was put in somewhere.
func TestAFewBytesMoreCostLittle(t *testing.T) {
	l := newLone(t)
	b, err := l.CreateBucket(t.Context(), "versions", BucketOptions{Settings: &Settings{Versioning: Versioned}, Cutter: mustParams(t, "content:16KiB")})
	ok(t, err)
	content := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	const versions = 10
	for n := range versions {
		content = slices.Insert(content, n*100_000+n, []byte(fmt.Sprintf("line %d that was not there before\n", n))...)
		l.put(b, "file", content)
	}
	sp := l.wantSpace("written")
	v := sp.bucket("versions")
	if v.Logical < versions<<20 || v.Current != int64(len(content)) {
		t.Errorf("%d bytes are logical, %d current", v.Logical, v.Current)
	}
	if unique := v.Content.All().Bytes; v.Logical/unique < 5 {
		t.Errorf("%d bytes in %d versions are %d", v.Logical, versions, unique)
	}
	l.wantContent(b, "file", content)
}

func TestACountIsMadeInParts(t *testing.T) {
	l := newLone(t, func(c *Config) { c.markMost = 60 })
	a, b := l.bucket("first"), l.bucket("second")
	for n := range 16 {
		l.put(a, fmt.Sprint(n), blob(n))
		l.put(b, fmt.Sprint(n), blob(n+8*(n%2)))
	}
	l.wantSpace("in parts")
	if l.collects.parts < 2 {
		t.Errorf("%d parts", l.collects.parts)
	}
	l.collect()
	l.wantSums("with a collection", l.Space())
}

// TestBranchesDoNotSlowACollection has more of them than a collection may walk one by one. It collects all the same, and what is known of space stays.
func TestBranchesDoNotSlowACollection(t *testing.T) {
	l := newLone(t)
	a := l.bucket("first")
	for n := range 12 {
		l.put(a, fmt.Sprint(n), blob(n))
	}
	r := &reached{s: l.Segment, most: markMost, owners: newOwners(), budget: 5}
	ok(t, r.mark(t.Context()))
	plain := &reached{s: l.Segment, most: markMost}
	ok(t, plain.mark(t.Context()))
	if !r.given || r.len() != plain.len() {
		t.Errorf("%d chunks are reached, of %d", r.len(), plain.len())
	}
	if err := l.newSpaceCount().take(t.Context(), r); !errors.Is(err, errTooMany) {
		t.Errorf("counted: %v", err)
	}
}

func TestSetsOfOwners(t *testing.T) {
	o := newOwners()
	id := func(n int) BucketID { return BucketID{byte(n), byte(n >> 8)} }
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[uint64]map[BucketID]bool{}
	for range 20_000 {
		x, b := rng.Uint64N(500), id(1+rng.IntN(6))
		if want[x] == nil {
			want[x] = map[BucketID]bool{}
		}
		if rng.IntN(3) == 0 {
			o.add(x, nobody)
			continue
		}
		o.add(x, o.bucket(b))
		want[x][b] = true
	}
	for x, w := range want {
		got := o.members(*o.of.Find(x))
		if len(got) != len(w) || slices.ContainsFunc(got, func(b BucketID) bool { return !w[b] }) {
			t.Errorf("%d is of %v, want %v", x, got, w)
		}
	}
	for n := range uint64(40_000) { // more pairs than there are numbers for
		o.add(1000+n, o.bucket(id(10+int(n%200))))
		o.add(1000+n, o.bucket(id(300+int(n/200))))
	}
	if at := o.of.Find(1000); len(o.members(*at)) != 2 {
		t.Errorf("the first pair is %v", o.members(*at))
	}
	if at := o.of.Find(40_999); *at != tooMany || o.members(underway) != nil || len(o.sets) != tooMany {
		t.Errorf("the last pair is %d, of %d", *at, len(o.sets))
	}
}
