package chunktest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

var durable = [...]chunk.Class{chunk.Data, chunk.Meta}

func getYieldsOnce(t *testing.T, h Harness) {
	s := h.Opener.Open(Domain(1), chunk.Data)
	chunks := Chunks(Domain(1), 1, 50, 3000)
	put(t, s, chunks)
	wantHeld(t, s, chunks)
	wantHeld(t, s, slices.Concat(chunks[10:], chunks, chunks[:20]))
	wantHeld(t, s, chunks[7:8])
}

func getAbsent(t *testing.T, h Harness) {
	s := h.Opener.Open(Domain(1), chunk.Data)
	chunks := Chunks(Domain(1), 1, 30, 500)
	put(t, s, chunks[10:20])
	got, err := get(s, IDs(chunks))
	if !errors.Is(err, chunk.ErrNotFound) || errors.Is(err, chunk.ErrUnavailable) || errors.Is(err, chunk.ErrCorrupt) {
		t.Errorf("get of absent chunks: %v", err)
	}
	wantBytes(t, got, chunks[10:20])
	if got, err := get(s, IDs(chunks[:2])); len(got) > 0 || !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("get of absent chunks only: %d, %v", len(got), err)
	}
}

func getYieldError(t *testing.T, h Harness) {
	s := h.Opener.Open(Domain(1), chunk.Data)
	chunks := Chunks(Domain(1), 1, 10, 500)
	put(t, s, chunks)
	stop, calls := errors.New("stop"), 0
	ids := append(IDs(chunks), IDs(Chunks(Domain(1), 2, 1, 5))...)
	err := s.Get(context.Background(), ids, func(chunk.Chunk) error {
		calls++
		if calls == 3 {
			return stop
		}
		return nil
	})
	if err != stop || calls != 3 {
		t.Errorf("after %d calls: %v", calls, err)
	}
}

func getAnyClass(t *testing.T, h Harness) {
	d := Domain(1)
	for i, class := range []chunk.Class{chunk.Cache, chunk.Data, chunk.Meta} {
		chunks := Chunks(d, uint64(i), 5, 700)
		put(t, h.Opener.Open(d, class), chunks)
		for _, other := range []chunk.Class{chunk.Cache, chunk.Data, chunk.Meta} {
			wantHeld(t, h.Opener.Open(d, other), chunks)
		}
	}
}

func leases(t *testing.T, h Harness) {
	d := Domain(1)
	s := h.Opener.Open(d, chunk.Data)
	chunks := Chunks(d, 1, 60, 20_000) // enough for a store that lends only what is worth it
	put(t, s, chunks)
	for round := range 3 {
		var held []chunk.Chunk
		for range 2 {
			must(t, s.Get(t.Context(), IDs(chunks), func(c chunk.Chunk) error {
				if c.Lease() != nil {
					c.Lease().Hold()
					held = append(held, c)
				}
				return nil
			}))
		}
		wantHeld(t, s, chunks) // reads over what nobody holds
		for _, c := range held {
			if again := d.Make(c.Data()); again.ID() != c.ID() {
				t.Fatalf("round %d: a chunk that is held has changed", round)
			}
			c.Lease().Release()
		}
	}
}

func yieldAlone(t *testing.T, h Harness) {
	s := h.Opener.Open(Domain(1), chunk.Data)
	chunks := Chunks(Domain(1), 1, 100, 300)
	put(t, s, chunks)
	var inside atomic.Int32
	must(t, s.Get(context.Background(), IDs(chunks), func(chunk.Chunk) error {
		if inside.Add(1) != 1 {
			t.Error("two calls of yield at once")
		}
		inside.Add(-1)
		return nil
	}))
}

func emptyBatches(t *testing.T, h Harness) {
	s := h.Opener.Open(Domain(1), chunk.Data)
	put(t, s, nil)
	wantHeld(t, s, nil)
	wantMissing(t, s, nil, nil)
}

func putOwnership(t *testing.T, h Harness) {
	d := Domain(1)
	s := h.Opener.Open(d, chunk.Data)
	buf := Bytes(1, 5000)
	c := d.Make(buf)
	want := c.Clone()
	put(t, s, []chunk.Chunk{c})
	clear(buf)
	wantHeld(t, s, []chunk.Chunk{want})
}

func putTwice(t *testing.T, h Harness) {
	d := Domain(1)
	chunks := Chunks(d, 1, 20, 900)
	for _, class := range durable {
		s := h.Opener.Open(d, class)
		put(t, s, chunks[:15])
		put(t, s, chunks[5:])
		put(t, s, chunks)
		wantHeld(t, s, chunks)
		wantMissing(t, s, IDs(chunks), nil)
	}
	put(t, h.Opener.Open(d, chunk.Cache), chunks)
	wantMissing(t, h.Opener.Open(d, chunk.Data), IDs(chunks), nil)
}

func putRepeated(t *testing.T, h Harness) {
	s := h.Opener.Open(Domain(1), chunk.Data)
	chunks := Chunks(Domain(1), 1, 5, 900)
	put(t, s, slices.Concat(chunks, chunks[:3], chunks))
	wantHeld(t, s, chunks)
}

func putSizes(t *testing.T, h Harness) {
	d := Domain(1)
	s := h.Opener.Open(d, chunk.Data)
	var chunks []chunk.Chunk
	for _, size := range []int{0, 1, 15, 16, 17, 4095, 4096, 4097, 1 << 16, 1<<20 + 3, chunk.MaxSize} {
		chunks = append(chunks, d.Make(Bytes(uint64(size), size)))
	}
	put(t, s, chunks)
	wantHeld(t, s, chunks)
	for _, c := range chunks {
		wantHeld(t, s, []chunk.Chunk{c})
	}
}

func missingOrder(t *testing.T, h Harness) {
	s := h.Opener.Open(Domain(1), chunk.Data)
	chunks := Chunks(Domain(1), 1, 9, 100)
	put(t, s, chunks[:3])
	ids := IDs(chunks)
	ask := []chunk.ID{ids[8], ids[0], ids[4], ids[8], ids[3], ids[1], ids[4]}
	wantMissing(t, s, ask, []chunk.ID{ids[8], ids[4], ids[3]})
	wantMissing(t, s, ids[:3], nil)
}

func missingClasses(t *testing.T, h Harness) {
	d := Domain(1)
	chunks := Chunks(d, 1, 9, 100)
	ids := IDs(chunks)
	put(t, h.Opener.Open(d, chunk.Cache), chunks[:3])
	put(t, h.Opener.Open(d, chunk.Data), chunks[3:6])
	put(t, h.Opener.Open(d, chunk.Meta), chunks[6:])
	wantMissing(t, h.Opener.Open(d, chunk.Cache), ids, nil)
	wantMissing(t, h.Opener.Open(d, chunk.Data), ids, ids[:3])
	wantMissing(t, h.Opener.Open(d, chunk.Meta), ids, ids[:3])
}

func promote(t *testing.T, h Harness) {
	d := Domain(1)
	chunks := Chunks(d, 1, 9, 100)
	put(t, h.Opener.Open(d, chunk.Cache), chunks)
	for i, class := range durable {
		s := h.Opener.Open(d, class)
		wantMissing(t, s, IDs(chunks[i:i+1]), IDs(chunks[i:i+1]))
		put(t, s, chunks[i:i+1])
		wantMissing(t, s, IDs(chunks[i:i+1]), nil)
		wantHeld(t, s, chunks)
	}
}

func domains(t *testing.T, h Harness) {
	a, b := h.Opener.Open(Domain(1), chunk.Data), h.Opener.Open(Domain(2), chunk.Data)
	of1, of2 := Chunks(Domain(1), 1, 10, 400), Chunks(Domain(2), 1, 10, 400)
	put(t, a, of1)
	wantMissing(t, b, IDs(of1), IDs(of1))
	wantMissing(t, b, IDs(of2), IDs(of2))
	if got, err := get(b, IDs(of1)); len(got) > 0 || !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("chunks of another domain: %d, %v", len(got), err)
	}
	put(t, b, of2[:5])
	wantHeld(t, b, of2[:5])
	wantHeld(t, a, of1)
	wantHeld(t, h.Opener.Open(Domain(1), chunk.Data), of1)
}

func contexts(t *testing.T, h Harness) {
	s := h.Opener.Open(Domain(1), chunk.Data)
	chunks := Chunks(Domain(1), 1, 5, 400)
	put(t, s, chunks[:4])
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Get(ctx, IDs(chunks[:4]), func(chunk.Chunk) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	if err := s.Put(ctx, chunks); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.Missing(ctx, IDs(chunks)); !errors.Is(err, context.Canceled) {
		t.Errorf("missing: %v", err)
	}
}

func concurrent(t *testing.T, h Harness) {
	d := Domain(1)
	chunks := Chunks(d, 1, 64, 2000)
	var wg sync.WaitGroup
	for w := range 8 {
		s := h.Opener.Open(d, []chunk.Class{chunk.Data, chunk.Meta, chunk.Cache}[w%3])
		wg.Go(func() {
			for i := range chunks {
				at := (i*7 + w*8) % len(chunks)
				part := chunks[at:min(at+5, len(chunks))]
				if err := s.Put(context.Background(), part); err != nil {
					t.Errorf("put: %v", err)
				}
				wantHeld(t, s, part)
				wantMissing(t, s, IDs(part), nil)
			}
		})
	}
	wg.Wait()
	wantMissing(t, h.Opener.Open(d, chunk.Data), IDs(chunks), nil)
	wantHeld(t, h.Opener.Open(d, chunk.Data), chunks)
}

func reopen(t *testing.T, h Harness) {
	if h.Reopen == nil {
		return // the place knows nothing of it
	}
	d := Domain(1)
	data, meta := Chunks(d, 1, 40, 3000), Chunks(d, 2, 40, 300)
	for round := range 3 {
		put(t, h.Opener.Open(d, chunk.Data), data[round*10:round*10+10])
		put(t, h.Opener.Open(d, chunk.Meta), meta[round*10:round*10+10])
		h.Opener = h.Reopen()
		s := h.Opener.Open(d, chunk.Data)
		wantHeld(t, s, slices.Concat(data[:round*10+10], meta[:round*10+10]))
		wantMissing(t, s, slices.Concat(IDs(data), IDs(meta)), slices.Concat(IDs(data[round*10+10:]), IDs(meta[round*10+10:])))
	}
}

func damaged(t *testing.T, h Harness) {
	if h.Damage == nil {
		return // the place knows nothing of it
	}
	d := Domain(1)
	s := h.Opener.Open(d, chunk.Data)
	chunks := Chunks(d, 1, 12, 3000)
	put(t, s, chunks)
	h.Damage(d, chunks[4].ID())
	h.Damage(d, chunks[5].ID())
	got, err := get(s, IDs(chunks))
	if !errors.Is(err, chunk.ErrCorrupt) || errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("get of damaged chunks: %v", err)
	}
	wantBytes(t, got, slices.Concat(chunks[:4], chunks[6:]))
	wantMissing(t, s, IDs(chunks), IDs(chunks[4:6]))
	wantMissing(t, h.Opener.Open(d, chunk.Cache), IDs(chunks), IDs(chunks[4:6]))
}

func damagedAndAbsent(t *testing.T, h Harness) {
	if h.Damage == nil {
		return // the place knows nothing of it
	}
	d := Domain(1)
	s := h.Opener.Open(d, chunk.Data)
	chunks := Chunks(d, 1, 3, 3000)
	put(t, s, chunks[:2])
	h.Damage(d, chunks[0].ID())
	if got, err := get(s, IDs(chunks)); len(got) != 1 || !errors.Is(err, chunk.ErrCorrupt) {
		t.Errorf("get of damaged and absent chunks: %d, %v", len(got), err)
	}
}

func damagedPut(t *testing.T, h Harness) {
	if h.Damage == nil {
		return // the place knows nothing of it
	}
	d := Domain(1)
	s := h.Opener.Open(d, chunk.Data)
	chunks := Chunks(d, 1, 5, 3000)
	put(t, s, chunks)
	h.Damage(d, chunks[2].ID())
	if _, err := get(s, IDs(chunks)); !errors.Is(err, chunk.ErrCorrupt) {
		t.Errorf("get of a damaged chunk: %v", err)
	}
	put(t, s, chunks)
	wantHeld(t, s, chunks)
	wantMissing(t, s, IDs(chunks), nil)
}

func unavailable(t *testing.T, h Harness) {
	if h.Down == nil {
		return // the place knows nothing of it
	}
	s := h.Opener.Open(Domain(1), chunk.Data)
	chunks := Chunks(Domain(1), 1, 5, 300)
	put(t, s, chunks[:2])
	restore := h.Down()
	if _, err := get(s, IDs(chunks)); !errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("get while down: %v", err)
	}
	restore()
	wantHeld(t, s, chunks[:2])
}
