package tree

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// sizes are the numbers of entries of all nodes, by level; it checks what parents say about their children.
func sizes(t *testing.T, tr Tree) [][]int {
	t.Helper()
	var out [][]int
	var visit func(n *node, lo []byte)
	visit = func(n *node, lo []byte) {
		for len(out) <= n.level {
			out = append(out, nil)
		}
		out[n.level] = append(out[n.level], n.len())
		for i := 0; n.level > 0 && i < n.len(); i++ {
			c, err := tr.store.node(t.Context(), n.id(i))
			if err != nil {
				t.Fatal(err)
			}
			if err := n.admit(i, lo, c); err != nil {
				t.Fatal(err)
			}
			visit(c, lo)
			lo = n.key(i)
		}
	}
	root, err := tr.rootNode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	visit(root, nil)
	return out
}

func TestShapeIsThatOfAnyOrder(t *testing.T) {
	r := newRandom(t)
	s, _ := newStore(NewCache(16 << 20))
	m := r.model(1500, 1<<20)
	want := build(t, s, m).Root()
	keys := slices.Sorted(maps.Keys(m))
	for _, batch := range []int{1, 7, 400} {
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		tr := New(s, testSalt, chunk.ID{})
		for part := range slices.Chunk(keys, batch) {
			sub := model{}
			for _, k := range part {
				sub[k] = m[k]
			}
			var err error
			if tr, err = tr.Apply(t.Context(), sub.edits()); err != nil {
				t.Fatal(err)
			}
		}
		if tr.Root() != want {
			t.Errorf("batches of %d: another root", batch)
		}
	}
}

func TestDeletingRestoresTheTree(t *testing.T) {
	r := newRandom(t)
	s, _ := newStore(NewCache(16 << 20))
	m := r.model(2000, 1<<20)
	tr := build(t, s, m)
	for range 100 {
		k := "new" + r.key(1<<20)
		with, err := tr.Apply(t.Context(), seqOf([]Edit{{Key: []byte(k), Value: []byte("v")}}))
		if err != nil || with.Root() == tr.Root() {
			t.Fatal("nothing changed", err)
		}
		without, err := with.Apply(t.Context(), seqOf([]Edit{{Key: []byte(k), Delete: true}}))
		if err != nil || without.Root() != tr.Root() {
			t.Fatalf("deleting %q leaves another tree, %v", k, err)
		}
	}
}

func TestSaltChangesTheShape(t *testing.T) {
	s, _ := newStore(nil)
	m := numbered(1000)
	other, err := New(s, [16]byte{9}, chunk.ID{}).Apply(t.Context(), m.edits())
	if err != nil {
		t.Fatal(err)
	}
	if other.Root() == build(t, s, m).Root() {
		t.Fatal("the same root under another salt")
	}
}

// attack makes a map of n keys that the predicate on their hash lets through.
func attack(n int, keep func(hash uint64) bool) model {
	m := model{}
	split := newSplitter(testSalt)
	for i := 0; len(m) < n; i++ {
		if k := fmt.Sprintf("crafted/%07d", i); keep(split.hash([]byte(k))) {
			m[k] = entry{"v", 1}
		}
	}
	return m
}

func TestCraftedKeysStayWithinBounds(t *testing.T) {
	const low = 1<<fanoutBits - 1
	for name, m := range map[string]model{
		"no boundary at all":       attack(6000, func(h uint64) bool { return h&low != 0 && h>>6&low != 0 && h>>12&low != 0 }),
		"only boundaries":          attack(3000, func(h uint64) bool { return h&low == 0 }),
		"boundaries on two levels": attack(100, func(h uint64) bool { return h&low == 0 && h>>6&low == 0 }),
		"boundaries above only":    attack(3000, func(h uint64) bool { return h&low != 0 && h>>6&low == 0 }),
		"one key":                  {"k": {"v", 1}},
		"the empty key":            {"": {"v", 1}, "a": {"", 2}},
		"long keys":                longKeys(600, MaxKey),
	} {
		s, _ := newStore(NewCache(64 << 20))
		tr := build(t, s, m)
		if !maps.Equal(content(t, tr), m) {
			t.Errorf("%s: content differs", name)
		}
		shape := sizes(t, tr)
		for level, nodes := range shape {
			if slices.Max(nodes) > maxEntries {
				t.Errorf("%s: a node of %d entries", name, slices.Max(nodes))
			}
			if level > 0 && len(nodes) > (len(shape[level-1])+1)/2 {
				t.Errorf("%s: level %d has %d nodes above %d", name, level, len(nodes), len(shape[level-1]))
			}
		}
		if top := shape[len(shape)-1]; len(top) != 1 || len(shape) > 1 && top[0] < 2 {
			t.Errorf("%s: root of %v", name, top)
		}
		checkSingleEdits(t, s, tr, m)
	}
}

// checkSingleEdits deletes and brings back the first, a middle and the last key.
func checkSingleEdits(t *testing.T, s *Store, tr Tree, m model) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(m))
	for _, k := range []string{keys[0], keys[len(keys)/2], keys[len(keys)-1]} {
		less := maps.Clone(m)
		delete(less, k)
		cut, err := tr.Apply(t.Context(), seqOf([]Edit{{Key: []byte(k), Delete: true}}))
		if err != nil || cut.Root() != build(t, s, less).Root() {
			t.Errorf("without %.20q: another root, %v", k, err)
		}
		back, err := cut.Apply(t.Context(), model{k: m[k]}.edits())
		if err != nil || back.Root() != tr.Root() {
			t.Errorf("with %.20q again: another root, %v", k, err)
		}
	}
}

func longKeys(n, size int) model {
	m := model{}
	for i := range n {
		m[strings.Repeat("k", size-8)+fmt.Sprintf("%08d", i)] = entry{strings.Repeat("v", MaxInline), 1}
	}
	return m
}

func TestApplyRefuses(t *testing.T) {
	s, _ := newStore(nil)
	tr := build(t, s, model{"m": {"v", math.MaxInt64}})
	for name, edits := range map[string][]Edit{
		"equal keys":      {{Key: []byte("a")}, {Key: []byte("a")}},
		"empty key twice": {{}, {}},
		"descending keys": {{Key: []byte("b")}, {Key: []byte("a"), Delete: true}},
		"long key":        {{Key: make([]byte, MaxKey+1)}},
		"long value":      {{Value: make([]byte, MaxValue+1)}},
		"weights":         {{Key: []byte("a"), Weight: 1}},
	} {
		if got, err := tr.Apply(t.Context(), seqOf(edits)); !errors.Is(err, ErrEdit) {
			t.Errorf("%s: %v, %v", name, got.Root(), err)
		}
	}
}

func TestApplyReturnsErrorsOfItsEdits(t *testing.T) {
	s, _ := newStore(nil)
	boom := errors.New("boom")
	edits := func(yield func(Edit, error) bool) {
		_ = yield(Edit{Key: []byte("a")}, nil) && yield(Edit{}, boom)
	}
	if _, err := build(t, s, numbered(10)).Apply(t.Context(), edits); err != boom {
		t.Fatal(err)
	}
}

func TestLargestValueComesBack(t *testing.T) {
	s, _ := newStore(nil)
	for _, size := range []int{0, 1, MaxInline, MaxInline + 1, MaxValue} {
		m := model{"k": {strings.Repeat("x", size), int64(size)}}
		if got := content(t, build(t, s, m)); !maps.Equal(got, m) {
			t.Errorf("a value of %d bytes does not come back", size)
		}
	}
}

func TestApplyWithoutEffectWritesNothing(t *testing.T) {
	s, ms := newStore(nil)
	m := numbered(5000)
	tr := build(t, s, m)
	puts := ms.puts.Load()
	for name, edits := range map[string]iter.Seq2[Edit, error]{
		"no edit":         seqOf(nil),
		"absent deleted":  seqOf([]Edit{{Key: []byte("zzz"), Delete: true}}),
		"the same values": m.edits(),
	} {
		same, err := tr.Apply(t.Context(), edits)
		if err != nil || same.Root() != tr.Root() || ms.puts.Load() != puts {
			t.Errorf("%s: %v, %d puts", name, err, ms.puts.Load()-puts)
		}
	}
}

func TestEditCostsItsPathOnly(t *testing.T) {
	r := newRandom(t)
	s, ms := newStore(nil)
	m := numbered(100_000)
	tr := build(t, s, m)
	height := int64(len(sizes(t, tr)))
	var read, written int64
	const edits = 200
	for range edits {
		before := s.Stats()
		k := fmt.Sprintf("key/%08d", r.IntN(100_000))
		e := Edit{Key: []byte(k), Value: []byte("another")}
		switch r.IntN(3) {
		case 0:
			e.Delete = true
		case 1:
			e.Key = append(e.Key, "/new"...)
		}
		if _, err := tr.Apply(t.Context(), seqOf([]Edit{e})); err != nil {
			t.Fatal(err)
		}
		after := s.Stats()
		read, written = read+after.ChunksRead-before.ChunksRead, written+after.ChunksWritten-before.ChunksWritten
	}
	t.Logf("height %d; an edit reads %.2f and writes %.2f nodes", height, float64(read)/edits, float64(written)/edits)
	if written > edits*(height+1) || read > edits*(3*height+1) {
		t.Error("an edit costs more than its path")
	}

	gets := ms.gets.Load()
	var spread []Edit
	for i := range 500 {
		spread = append(spread, Edit{Key: fmt.Appendf(nil, "key/%08d", i*200), Value: []byte("another")})
	}
	if _, err := tr.Apply(t.Context(), seqOf(spread)); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d edits all over the tree: %d gets", len(spread), ms.gets.Load()-gets)
	if ms.gets.Load()-gets > 40 {
		t.Error("the nodes of many edits are not read together")
	}
}

func TestApplyFailsWithItsStore(t *testing.T) {
	s, ms := newStore(nil)
	tr := build(t, s, numbered(5000))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.Apply(ctx, numbered(10).edits()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for id := range ms.written {
		ms.lost[id] = id != tr.Root()
	}
	edit := seqOf([]Edit{{Key: []byte("key/00003000"), Value: []byte("v")}})
	if _, err := tr.Apply(t.Context(), edit); !errors.Is(err, chunk.ErrNotFound) {
		t.Error(err)
	}
	if _, _, err := tr.Get(t.Context(), []byte("key/00003000")); !errors.Is(err, chunk.ErrNotFound) {
		t.Error(err)
	}
}

// reference builds a tree from nothing as docs/format/tree.md says it, level by level.
func reference(m model) chunk.ID {
	if len(m) == 0 {
		return chunk.ID{}
	}
	var seq []item
	for _, k := range slices.Sorted(maps.Keys(m)) {
		it := item{key: []byte(k), value: []byte(m[k].value), size: uint32(len(m[k].value)), count: 1, weight: m[k].weight}
		if len(it.value) > MaxInline {
			it.ref, it.id = true, testDomain.Name(encodeValue(it.value))
		}
		seq = append(seq, it)
	}
	split := newSplitter(testSalt)
	for level := 0; ; level++ {
		var above, open []item
		for i, it := range seq {
			open = append(open, it)
			natural := split.hash(it.key)>>(6*(level%10))%64 == 0 && (level == 0 || len(open) > 1)
			if !natural && len(open) < 256 && i < len(seq)-1 {
				continue
			}
			up := item{key: it.key, ref: true, id: testDomain.Name(encodeNode(level, open))}
			for _, e := range open {
				up.count += e.count
				up.weight += e.weight
			}
			above, open = append(above, up), nil
		}
		if len(above) == 1 {
			return above[0].id
		}
		seq = above
	}
}

func TestShapeIsThatOfTheFormat(t *testing.T) {
	r := newRandom(t)
	s, _ := newStore(nil)
	for _, n := range []int{0, 1, 2, 63, 200, 5000, 20_000} {
		m := r.model(n, 1<<20)
		if got, want := build(t, s, m).Root(), reference(m); got != want {
			t.Errorf("%d entries: root %v, want %v", len(m), got, want)
		}
	}
	for i := range 30 {
		m := attack(2+10*i, func(h uint64) bool { return h>>(6*(i%3))&63 == 0 || i > 20 && h&63 != 0 })
		if build(t, s, m).Root() != reference(m) {
			t.Errorf("crafted keys %d: another root", i)
		}
	}
}

// TestSmallStepsOverBoundaries changes a few keys at a time of a map whose keys are mostly boundaries, of several levels: nodes appear, vanish and
// get neighbours at every step, the root and the ends of the tree most of all.
func TestSmallStepsOverBoundaries(t *testing.T) {
	r := newRandom(t)
	s, _ := newStore(NewCache(16 << 20))
	var pool []string
	for _, bits := range []uint64{0, 63, 63 << 6, 63 << 12, 63<<6 | 63} {
		pool = append(pool, slices.Collect(maps.Keys(attack(60, func(h uint64) bool { return h&bits == 0 })))...)
	}
	slices.Sort(pool)
	pool = slices.Compact(pool)
	for round := range 60 {
		m, tr := model{}, New(s, testSalt, chunk.ID{})
		for i := 0; i < 60; i++ {
			from, n := i, 1+r.IntN(3)
			if round%3 > 0 { // else ascending, one behind the other
				from = r.IntN(len(pool) - n)
			}
			var edits []Edit
			for _, k := range pool[from : from+n] {
				e := Edit{Key: []byte(k), Delete: round%3 == 2 && r.IntN(2) == 0}
				if m[k] = (entry{}); e.Delete {
					delete(m, k)
				}
				edits = append(edits, e)
			}
			var err error
			if tr, err = tr.Apply(t.Context(), seqOf(edits)); err != nil || tr.Root() != reference(m) {
				t.Fatalf("round %d, step %d: another root of %d entries, %v", round, i, len(m), err)
			}
		}
	}
}

// A leaf that ends by its last key and is the whole tree stays as it is when a key is added behind it, and gets a level above.
func TestAnOldRootThatStaysIsListedAboveIt(t *testing.T) {
	s, _ := newStore(nil)
	for salt := range 300 {
		tr := New(s, [16]byte{byte(salt), byte(salt >> 8)}, chunk.ID{})
		for i, key := range []string{"e", "k"} {
			var err error
			if tr, err = tr.Apply(t.Context(), seqOf([]Edit{{Key: []byte(key), Value: []byte("v")}})); err != nil {
				t.Fatal(err)
			}
			if n, err := tr.Len(t.Context()); err != nil || n != int64(i+1) {
				t.Fatalf("salt %d: %d entries after %q, %v", salt, n, key, err)
			}
		}
	}
}

func TestShrinkingTreeLosesItsLevels(t *testing.T) {
	r := newRandom(t)
	s, _ := newStore(NewCache(16 << 20))
	m := numbered(20_000)
	tr := build(t, s, m)
	for len(m) > 0 {
		keys := slices.Sorted(maps.Keys(m))
		n := len(keys)/2 + 1
		from := r.IntN(len(keys) - n + 1)
		var edits []Edit
		for _, k := range keys[from : from+n] {
			edits = append(edits, Edit{Key: []byte(k), Delete: true})
			delete(m, k)
		}
		var err error
		if tr, err = tr.Apply(t.Context(), seqOf(edits)); err != nil || tr.Root() != reference(m) {
			t.Fatalf("%d entries left: another root, %v", len(m), err)
		}
	}
}
