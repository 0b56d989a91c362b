package dedup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// build makes the manifest of entries whose pieces need not exist.
func (p place) build(t testing.TB, entries []Entry) Manifest {
	t.Helper()
	b := builder{domain: testDomain, meta: p.meta}
	for _, e := range entries {
		if err := b.piece(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	m, err := b.finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func randomEntries(seed byte, n int) []Entry {
	raw := noise(seed, n*chunk.IDSize)
	entries := make([]Entry, n)
	for i := range entries {
		id := chunk.ID(raw[i*chunk.IDSize:])
		entries[i] = Entry{id, 1 + int64(id[0])<<8 + int64(id[1])}
	}
	return entries
}

// flat is all pieces that m reaches, checked for their offsets.
func (p place) flat(t testing.TB, m Manifest) (pieces []Entry, nodes int) {
	t.Helper()
	var at int64
	for piece, err := range NewReader(p.open, m).Pieces(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if piece.Offset != at {
			t.Fatalf("piece at %d, want %d", piece.Offset, at)
		}
		if len(piece.Path) != m.Level()-piece.Level {
			t.Fatalf("path of %d for level %d of %d", len(piece.Path), piece.Level, m.Level())
		}
		if piece.Level > 0 {
			nodes++
			continue
		}
		at += piece.Size
		pieces = append(pieces, piece.Entry)
	}
	return pieces, nodes
}

func TestTreeHoldsWhatItWasGiven(t *testing.T) {
	for _, n := range []int{0, 1, MaxInline, MaxInline + 1, minFan, maxFan, maxFan + 1, 1000, 50_000} {
		p := newPlace()
		entries := randomEntries(1, n)
		m := p.build(t, entries)
		got, nodes := p.flat(t, m)
		if !slices.Equal(got, entries) {
			t.Fatalf("%d entries differ", n)
		}
		if n >= 1000 {
			fan := float64(n) / float64(nodes)
			t.Logf("%d entries: level %d, %d nodes, %.0f per node", n, m.Level(), nodes, fan)
			if fan < 64 || fan > 128 {
				t.Errorf("%d entries: %d nodes", n, nodes)
			}
		}
		if len(m.Entries()) > MaxInline {
			t.Errorf("%d entries inline", len(m.Entries()))
		}
	}
}

func TestInsertionAtTheFrontChangesAHandfulOfNodes(t *testing.T) {
	p := newPlace()
	entries := randomEntries(2, 200_000)
	p.build(t, entries)
	for _, front := range []int{1, 40, 300} {
		before := p.meta.snapshot()
		p.build(t, slices.Concat(randomEntries(byte(front), front), entries))
		fresh := 0
		for id := range p.meta.snapshot() {
			if !before[id] {
				fresh++
			}
		}
		if fresh > 12+front/minFan {
			t.Errorf("%d entries in front of %d: %d new nodes of %d", front, len(entries), fresh, len(before))
		}
		t.Logf("%d entries in front: %d new nodes of %d", front, fresh, len(before))
	}
}

func TestRepetitionOfOnePieceStaysSmall(t *testing.T) {
	p := newPlace()
	entries := slices.Repeat(randomEntries(3, 1), 100_000)
	m := p.build(t, entries)
	if got, _ := p.flat(t, m); !slices.Equal(got, entries) {
		t.Error("entries differ")
	}
	if n := len(p.meta.held); n > 20 {
		t.Errorf("%d distinct nodes", n)
	}
}

func TestConcatOfManyPartsCopiesNothing(t *testing.T) {
	p := newPlace()
	var parts []Manifest
	var all []Entry
	for i := range 10_000 {
		entries := randomEntries(byte(i), 80)
		entries[0].ID[5] = byte(i >> 8)
		parts = append(parts, p.build(t, entries))
		all = append(all, entries...)
	}
	before := len(p.meta.held)
	p.meta.resetCounts()
	m, err := Concat(t.Context(), p.meta, testDomain, parts)
	if err != nil {
		t.Fatal(err)
	}
	fresh, gets := len(p.meta.held)-before, p.meta.gets
	if got, _ := p.flat(t, m); !slices.Equal(got, all) {
		t.Fatal("entries differ")
	}
	if fresh > 400 || gets > 100 || p.data.gets+p.data.puts > 0 {
		t.Errorf("%d new nodes, %d nodes read, level %d", fresh, gets, m.Level())
	}
	t.Logf("%d parts: %d new nodes, %d nodes read, level %d", len(parts), fresh, gets, m.Level())
}

func TestConcatOfAnything(t *testing.T) {
	seed := uint64(rand.Uint32())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	p := newPlace()
	source := randomEntries(4, 300_000)
	for range unlessRace(60, 15) {
		var parts []Manifest
		var all []Entry
		for range 1 + random.IntN(12) {
			n := random.IntN(1 << (1 + random.IntN(15)))
			at := random.IntN(len(source) - n)
			parts = append(parts, p.build(t, source[at:at+n]))
			all = append(all, source[at:at+n]...)
		}
		m, err := Concat(t.Context(), p.meta, testDomain, parts)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := p.flat(t, m); !slices.Equal(got, all) {
			t.Fatalf("entries differ: %d, want %d", len(got), len(all))
		}
		again, err := Concat(t.Context(), p.meta, testDomain, parts)
		if err != nil || !again.Equal(m) {
			t.Fatalf("concatenated again: %v", err)
		}
	}
}

func TestAppendingPieceByPieceGivesTheTreeOfAllAtOnce(t *testing.T) {
	p := newPlace()
	entries := randomEntries(5, 3000)
	var m Manifest
	for i, e := range entries {
		p.meta.resetCounts()
		var err error
		if m, err = Concat(t.Context(), p.meta, testDomain, []Manifest{m, p.build(t, []Entry{e})}); err != nil {
			t.Fatal(err)
		}
		if p.meta.gets > m.Level()+1 || len(p.meta.putIDs) > m.Level()+2 {
			t.Fatalf("piece %d: %d nodes read, %d put at level %d", i, p.meta.gets, len(p.meta.putIDs), m.Level())
		}
	}
	if !m.Equal(p.build(t, entries)) {
		t.Error("the trees differ")
	}
}

func TestPrependingPieceByPieceKeepsTheTreeLow(t *testing.T) {
	p := newPlace()
	entries := randomEntries(6, 3000)
	var m Manifest
	for i := len(entries) - 1; i >= 0; i-- {
		var err error
		if m, err = Concat(t.Context(), p.meta, testDomain, []Manifest{p.build(t, entries[i:i+1]), m}); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := p.flat(t, m); !slices.Equal(got, entries) {
		t.Error("entries differ")
	}
	if m.Level() > 2 {
		t.Errorf("level %d", m.Level())
	}
}

func TestConcatAndSliceOfContent(t *testing.T) {
	seed := uint64(rand.Uint32())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	p := newPlace()
	params := Params{Content, 4 << 10}
	data := noise(11, 2<<20)
	m, _ := p.write(t, params, data)
	for range unlessRace(40, 10) {
		n := random.Int64N(m.Size() + 1)
		if random.IntN(2) == 0 {
			n = random.Int64N(20_000)
		}
		off := random.Int64N(m.Size() - n + 1)
		p.data.resetCounts()
		p.meta.resetCounts()
		part, stats, err := Slice(t.Context(), p.stores(), testDomain, params, m, off, n)
		if err != nil {
			t.Fatal(err)
		}
		if p.data.gets > 2 || stats.NewBytes > 2*int64(params.MaxSize()) || stats.Bytes != n || len(p.meta.putIDs) > 12 {
			t.Errorf("%d at %d: %d pieces read, %+v, %d nodes put", n, off, p.data.gets, stats, len(p.meta.putIDs))
		}
		p.check(t, part, data[off:off+n])
		rest, _, err := Slice(t.Context(), p.stores(), testDomain, params, m, off+n, m.Size()-off-n)
		if err != nil {
			t.Fatal(err)
		}
		joined, err := Concat(t.Context(), p.meta, testDomain, []Manifest{part, rest, m})
		if err != nil {
			t.Fatal(err)
		}
		p.check(t, joined, slices.Concat(data[off:], data))
	}
	whole, stats, err := Slice(t.Context(), p.stores(), testDomain, params, m, 0, m.Size())
	if err != nil || !whole.Equal(m) || stats.NewNodes+stats.NewChunks > 0 {
		t.Errorf("the whole of it: %+v, %v", stats, err)
	}
	if _, _, err := Slice(t.Context(), p.stores(), testDomain, params, m, 1, m.Size()); !errors.Is(err, ErrRange) {
		t.Errorf("beyond the end: %v", err)
	}
}

func TestReachesProvesWhatAReaderAsks(t *testing.T) {
	p := newPlace()
	data := noise(12, 4<<20)
	m, _ := p.write(t, Params{Content, 4 << 10}, data)
	other, _ := p.write(t, Params{Content, 4 << 10}, noise(13, 4<<20))
	if m.Level() < 2 {
		t.Fatalf("level %d is too low for the test", m.Level())
	}
	asks := 0
	r := NewReader(func(path []chunk.ID) chunk.Store {
		return proving{p.open(nil), func(ids []chunk.ID) error {
			asks++
			return Reaches(t.Context(), p.meta, m, path, ids)
		}}
	}, m)
	var b bytes.Buffer
	if _, err := r.ReadRange(t.Context(), &b, 0, m.Size()); err != nil || !bytes.Equal(b.Bytes(), data) {
		t.Fatalf("read: %v", err)
	}
	var deepest Piece
	for piece, err := range r.Pieces(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := Reaches(t.Context(), p.meta, m, piece.Path, []chunk.ID{piece.ID}); err != nil {
			t.Fatalf("piece at %d: %v", piece.Offset, err)
		}
		deepest = piece
	}
	if asks < 10 {
		t.Errorf("%d asks", asks)
	}
	foreign := other.Entries()[0].ID
	for name, ask := range map[string]struct {
		path, ids []chunk.ID
	}{
		"a piece without its path":    {nil, []chunk.ID{deepest.ID}},
		"a piece on half its path":    {deepest.Path[:1], []chunk.ID{deepest.ID}},
		"another manifest's root":     {nil, []chunk.ID{foreign}},
		"below another root":          {[]chunk.ID{foreign}, []chunk.ID{deepest.ID}},
		"one good, one foreign":       {deepest.Path, []chunk.ID{deepest.ID, foreign}},
		"a piece as a node":           {append(slices.Clone(deepest.Path), deepest.ID), []chunk.ID{deepest.ID}},
		"a path in the wrong order":   {[]chunk.ID{deepest.Path[1], deepest.Path[0]}, []chunk.ID{deepest.ID}},
		"a path that skips its start": {deepest.Path[1:], []chunk.ID{deepest.ID}},
	} {
		if err := Reaches(t.Context(), p.meta, m, ask.path, ask.ids); !errors.Is(err, ErrNotReached) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Reaches(t.Context(), failing{chunk.ErrUnavailable}, m, deepest.Path, nil); !errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("a node that cannot be read: %v", err)
	}
}

// proving is a store that checks each Get.
type proving struct {
	chunk.Store
	check func([]chunk.ID) error
}

func (p proving) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	if err := p.check(ids); err != nil {
		return fmt.Errorf("refused: %w", err)
	}
	return p.Store.Get(ctx, ids, yield)
}
