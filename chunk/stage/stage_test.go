package stage_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/chunk/stage"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestContractOfAnEmptyStage(t *testing.T) {
	chunktest.Run(t, func(t *testing.T) chunktest.Harness {
		base := memory.New()
		return chunktest.Harness{Opener: stage.New(base), Damage: base.Damage}
	})
}

// holder puts durable chunks by holding them, as a segment does with small ones.
type holder struct {
	*stage.Stage
	settle bool
}

func (h holder) Open(d chunk.Domain, c chunk.Class) chunk.Store {
	return holding{h.Stage.Open(d, c), h, d, c}
}

type holding struct {
	chunk.Store
	h      holder
	domain chunk.Domain
	class  chunk.Class
}

func (s holding) Put(ctx context.Context, chunks []chunk.Chunk) error {
	if err := ctx.Err(); err != nil || !s.class.Durable() {
		return errors.Join(err, s.Store.Put(ctx, chunks))
	}
	var own []chunk.Chunk // the contract of Put leaves the caller his bytes
	for _, c := range chunks {
		own = append(own, c.Clone())
	}
	s.h.Hold(s.domain, own)
	if s.h.settle {
		return s.h.Settle(ctx)
	}
	return nil
}

func TestContractOfHeldChunks(t *testing.T) {
	chunktest.Run(t, func(*testing.T) chunktest.Harness {
		return chunktest.Harness{Opener: holder{stage.New(memory.New()), false}}
	})
}

func TestContractOfSettledChunks(t *testing.T) {
	chunktest.Run(t, func(*testing.T) chunktest.Harness {
		base := memory.New()
		return chunktest.Harness{Opener: holder{stage.New(base), true}, Damage: base.Damage}
	})
}

func TestSettleMovesWhatIsHeld(t *testing.T) {
	base := memory.New()
	s := stage.New(base)
	a, b := chunktest.Chunks(chunktest.Domain(1), 1, 20, 1000), chunktest.Chunks(chunktest.Domain(2), 1, 20, 1000)
	s.Hold(chunktest.Domain(1), a[:10])
	s.Hold(chunktest.Domain(2), b)
	s.Hold(chunktest.Domain(1), a)
	want := int64(0)
	for _, c := range slices.Concat(a, b) {
		want += int64(c.Size())
	}
	if s.Held() != want {
		t.Errorf("%d bytes are held, want %d", s.Held(), want)
	}
	must(t, s.Settle(t.Context()))
	if n, bytes := base.Len(); n != 40 || bytes != want || s.Held() != 0 {
		t.Errorf("the base has %d chunks of %d bytes, the stage %d", n, bytes, s.Held())
	}
	missing, err := base.Open(chunktest.Domain(1), chunk.Data).Missing(t.Context(), chunktest.IDs(a))
	if err != nil || len(missing) > 0 {
		t.Errorf("%d chunks are missing, %v", len(missing), err)
	}
}

// broken refuses every Put.
type broken struct{ chunk.Opener }

type brokenStore struct{ chunk.Store }

func (b broken) Open(d chunk.Domain, c chunk.Class) chunk.Store {
	return brokenStore{b.Opener.Open(d, c)}
}

func (brokenStore) Put(context.Context, []chunk.Chunk) error { return chunk.ErrFull }

func TestWhatCannotBeSettledStaysHeld(t *testing.T) {
	s := stage.New(broken{memory.New()})
	chunks := chunktest.Chunks(chunktest.Domain(1), 1, 5, 100)
	s.Hold(chunktest.Domain(1), chunks)
	if err := s.Settle(t.Context()); !errors.Is(err, chunk.ErrFull) {
		t.Errorf("settle: %v", err)
	}
	must(t, s.Open(chunktest.Domain(1), chunk.Data).Get(t.Context(), chunktest.IDs(chunks), func(chunk.Chunk) error { return nil }))
}

func TestReadsNeverSeeAGap(t *testing.T) {
	s := stage.New(memory.New())
	d := chunktest.Domain(1)
	chunks := chunktest.Chunks(d, 1, 400, 50)
	var wg sync.WaitGroup
	held := make(chan []chunk.ID, len(chunks))
	wg.Go(func() {
		defer close(held)
		for i := range chunks {
			s.Hold(d, chunks[i:i+1])
			held <- chunktest.IDs(chunks[:i+1])
			if i%10 == 0 {
				wg.Go(func() {
					if err := s.Settle(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
		}
	})
	view := s.Open(d, chunk.Data)
	for ids := range held {
		if missing, err := view.Missing(t.Context(), ids); err != nil || len(missing) > 0 {
			t.Fatalf("%d of %d are missing, %v", len(missing), len(ids), err)
		}
		must(t, view.Get(t.Context(), ids, func(chunk.Chunk) error { return nil }))
	}
	wg.Wait()
}
