package dedup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

var testDomain = chunk.NewDomain([32]byte{1, 2, 3})

// mapStore is a store in memory that counts, yields in an order of its choice, and may forget payload at once.
type mapStore struct {
	backwards bool
	discard   bool // keep the names only
	onPut     func(chunks []chunk.Chunk) error

	mu     sync.Mutex
	held   map[chunk.ID][]byte
	puts   int
	gets   int
	asked  [][]chunk.ID // per Get
	putIDs []chunk.ID
}

func newStore() *mapStore { return &mapStore{held: make(map[chunk.ID][]byte)} }

func (s *mapStore) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	s.gets++
	s.asked = append(s.asked, slices.Clone(ids))
	found := make(map[chunk.ID][]byte)
	for _, id := range ids {
		if data, ok := s.held[id]; ok {
			found[id] = data
		}
	}
	s.mu.Unlock()
	order := slices.Clone(ids)
	if s.backwards {
		slices.Reverse(order)
	}
	var missing error
	done := make(map[chunk.ID]bool)
	for _, id := range order {
		if done[id] {
			continue
		}
		done[id] = true
		data, ok := found[id]
		if !ok {
			missing = fmt.Errorf("get %v: %w", id, chunk.ErrNotFound)
			continue
		}
		scratch := slices.Clone(data) // not the caller's after yield
		c, err := testDomain.Verify(id, scratch)
		if err != nil {
			return err
		}
		if err := yield(c); err != nil {
			return err
		}
		clear(scratch)
	}
	return missing
}

func (s *mapStore) Put(ctx context.Context, chunks []chunk.Chunk) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.onPut != nil {
		if err := s.onPut(chunks); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	for _, c := range chunks {
		s.putIDs = append(s.putIDs, c.ID())
		if s.discard {
			s.held[c.ID()] = nil
		} else {
			s.held[c.ID()] = slices.Clone(c.Data())
		}
	}
	return nil
}

func (s *mapStore) Missing(ctx context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []chunk.ID
	seen := make(map[chunk.ID]bool)
	for _, id := range ids {
		if _, ok := s.held[id]; !ok && !seen[id] {
			missing = append(missing, id)
		}
		seen[id] = true
	}
	return missing, ctx.Err()
}

// add keeps what a segment would keep beside the manifest.
func (s *mapStore) add(t testing.TB, chunks []chunk.Chunk) {
	t.Helper()
	if err := s.Put(t.Context(), chunks); err != nil {
		t.Fatal(err)
	}
}

// snapshot is the names held.
func (s *mapStore) snapshot() map[chunk.ID]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make(map[chunk.ID]bool)
	for id := range maps.Keys(s.held) {
		names[id] = true
	}
	return names
}

func (s *mapStore) resetCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts, s.gets, s.asked, s.putIDs = 0, 0, nil, nil
}

// place is where tests keep objects.
type place struct{ data, meta *mapStore }

func newPlace() place { return place{newStore(), newStore()} }

func (p place) stores() Stores { return Stores{p.data, p.meta} }

// open answers from both, as a place does.
func (p place) open([]chunk.ID) chunk.Store { return both{p} }

type both struct{ place }

func (b both) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	var data, meta []chunk.ID
	b.meta.mu.Lock()
	for _, id := range ids {
		if _, ok := b.meta.held[id]; ok {
			meta = append(meta, id)
		} else {
			data = append(data, id)
		}
	}
	b.meta.mu.Unlock()
	if len(meta) > 0 {
		if err := b.meta.Get(ctx, meta, yield); err != nil {
			return err
		}
	}
	if len(data) > 0 {
		return b.data.Get(ctx, data, yield)
	}
	return nil
}

func (b both) Put(context.Context, []chunk.Chunk) error { panic("a reader does not put") }
func (b both) Missing(context.Context, []chunk.ID) ([]chunk.ID, error) {
	panic("a reader does not ask")
}

// write stores data and returns its manifest.
func (p place) write(t testing.TB, params Params, data []byte) (Manifest, Stats) {
	t.Helper()
	w := NewWriter(t.Context(), p.stores(), testDomain, params, Options{})
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	m, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	p.data.add(t, w.Pending())
	return m, w.Stats()
}
