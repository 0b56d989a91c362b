package tree

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/memory"
)

// watched is a store in memory that counts its calls and can lose chunks. What it yields it spoils afterwards, as the contract allows.
type watched struct {
	chunk.Store
	gets, puts atomic.Int64

	mu               sync.Mutex
	written, lost    map[chunk.ID]bool
	largest, longest int // ids and bytes of one Get
}

func (s *watched) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	s.gets.Add(1)
	s.mu.Lock()
	there := slices.DeleteFunc(slices.Clone(ids), func(id chunk.ID) bool { return s.lost[id] })
	s.largest = max(s.largest, len(ids))
	s.mu.Unlock()
	size := 0
	err := s.Store.Get(ctx, there, func(c chunk.Chunk) error {
		size += c.Size()
		spoilt := c.Clone()
		defer clear(spoilt.Data())
		return yield(spoilt)
	})
	s.mu.Lock()
	s.longest = max(s.longest, size)
	s.mu.Unlock()
	if err == nil && len(there) < len(ids) {
		return fmt.Errorf("%d chunks: %w", len(ids)-len(there), chunk.ErrNotFound)
	}
	return err
}

func (s *watched) Put(ctx context.Context, chunks []chunk.Chunk) error {
	s.puts.Add(1)
	s.mu.Lock()
	for _, c := range chunks {
		s.written[c.ID()] = true
	}
	s.mu.Unlock()
	return s.Store.Put(ctx, chunks)
}

// add puts bytes that no tree wrote.
func (s *watched) add(t *testing.T, data []byte) chunk.ID {
	t.Helper()
	c := testDomain.Make(data)
	if err := s.Put(t.Context(), []chunk.Chunk{c}); err != nil {
		t.Fatal(err)
	}
	return c.ID()
}

func (s *watched) data(t testing.TB, id chunk.ID) (data []byte) {
	t.Helper()
	err := s.Store.Get(t.Context(), []chunk.ID{id}, func(c chunk.Chunk) error {
		data = c.Clone().Data()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var (
	testSalt   = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	testDomain = chunk.NewDomain([32]byte{'k'})
)

func newStore(cache *Cache) (*Store, *watched) {
	w := &watched{
		Store:   memory.New().Open(testDomain, chunk.Meta),
		written: map[chunk.ID]bool{},
		lost:    map[chunk.ID]bool{},
	}
	return NewStore(w, testDomain, cache), w
}

// model is the map that a tree should be.
type model map[string]entry

type entry struct {
	value  string
	weight int64
}

func (m model) edits() iter.Seq2[Edit, error] {
	return func(yield func(Edit, error) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			e := m[k]
			if !yield(Edit{Key: []byte(k), Value: []byte(e.value), Weight: e.weight}, nil) {
				return
			}
		}
	}
}

func seqOf(edits []Edit) iter.Seq2[Edit, error] {
	return func(yield func(Edit, error) bool) {
		for _, e := range edits {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func build(t testing.TB, s *Store, m model) Tree {
	t.Helper()
	tr, err := New(s, testSalt, chunk.ID{}).Apply(t.Context(), m.edits())
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// content is all that the tree holds.
func content(t testing.TB, tr Tree) model {
	t.Helper()
	m, err := readAll(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// readAll scans the whole tree and checks its order and totals on the way.
func readAll(ctx context.Context, tr Tree) (model, error) {
	m := model{}
	c := tr.Cursor()
	var prev []byte
	var weight int64
	for err := c.Seek(ctx, nil); err != nil || c.Valid(); err = c.Next(ctx) {
		if err != nil {
			return nil, err
		}
		if len(m) > 0 && bytes.Compare(c.Key(), prev) <= 0 {
			return nil, fmt.Errorf("key %q after %q", c.Key(), prev)
		}
		v, err := c.Value(ctx)
		if err != nil {
			return nil, err
		}
		m[string(c.Key())] = entry{string(v), c.Weight()}
		prev, weight = c.Key(), weight+c.Weight()
	}
	n, err := tr.Len(ctx)
	if err != nil || n != int64(len(m)) {
		return nil, fmt.Errorf("length %d (%w), want %d", n, err, len(m))
	}
	if w, err := tr.Weight(ctx); err != nil || w != weight {
		return nil, fmt.Errorf("weight %d (%w), want %d", w, err, weight)
	}
	return m, nil
}

// random makes keys of several kinds, some values beyond MaxInline.
type random struct{ *rand.Rand }

func newRandom(t testing.TB) random {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return random{rand.New(rand.NewPCG(seed, 0))}
}

func (r random) key(space int) string {
	switch n := r.IntN(space); n % 4 {
	case 0:
		return fmt.Sprintf("dir/%08d", n)
	case 1:
		return fmt.Sprintf("%d", n)
	case 2:
		return string(bytes.Repeat([]byte{'x'}, n%1024))
	default:
		return fmt.Sprintf("a/long/prefix/that/all/share/%x/file", n*7919)
	}
}

func (r random) entry() entry {
	size := r.IntN(40)
	if r.IntN(20) == 0 {
		size = MaxInline - 2 + r.IntN(2000)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return entry{string(b), r.Int64N(1000) - 100}
}

func (r random) model(n, space int) model {
	m := model{}
	for range n {
		m[r.key(space)] = r.entry()
	}
	return m
}

// change makes n random edits of m and returns them in order.
func (r random) change(m model, n, space int) []Edit {
	edits := map[string]Edit{}
	for range n {
		k := r.key(space)
		if r.IntN(2) == 0 {
			edits[k] = Edit{Key: []byte(k), Delete: true}
			delete(m, k)
			continue
		}
		e := r.entry()
		edits[k] = Edit{Key: []byte(k), Value: []byte(e.value), Weight: e.weight}
		m[k] = e
	}
	var out []Edit
	for _, k := range slices.Sorted(maps.Keys(edits)) {
		out = append(out, edits[k])
	}
	return out
}

func TestRandomEditsMatchModelAndFreshBuild(t *testing.T) {
	r := newRandom(t)
	for _, cache := range []*Cache{nil, NewCache(1 << 20)} {
		s, _ := newStore(cache)
		m := model{}
		tr := New(s, testSalt, chunk.ID{})
		for step := range 50 {
			space := 1 + r.IntN(8000)
			n := 1 + r.IntN([]int{3, 30, 1500}[r.IntN(3)])
			var err error
			tr, err = tr.Apply(t.Context(), seqOf(r.change(m, n, space)))
			if err != nil {
				t.Fatal(err)
			}
			fresh := build(t, s, m)
			if tr.Root() != fresh.Root() {
				t.Fatalf("step %d: root of %d entries depends on history", step, len(m))
			}
			if step%10 == 0 && !maps.Equal(content(t, tr), m) {
				t.Fatalf("step %d: content differs", step)
			}
			for range 20 {
				k := r.key(8000)
				v, ok, err := tr.Get(t.Context(), []byte(k))
				want, has := m[k]
				if err != nil || ok != has || string(v) != want.value {
					t.Fatalf("Get %q: %v, %v", k, ok, err)
				}
			}
		}
		var all []Edit
		for _, k := range slices.Sorted(maps.Keys(m)) {
			all = append(all, Edit{Key: []byte(k), Delete: true})
		}
		tr, err := tr.Apply(t.Context(), seqOf(all))
		if err != nil || !tr.Root().IsZero() {
			t.Fatalf("all deleted: root %v, %v", tr.Root(), err)
		}
	}
}
