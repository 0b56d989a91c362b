package segment

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

// pressed is a store whose held payload is what the test says, until it is settled. folding is called when a fold writes a root.
type pressed struct {
	mapStore
	held    *atomic.Int64
	folding func()
}

func (p pressed) Open(_ chunk.Domain, class chunk.Class) chunk.Store {
	if class == chunk.Meta {
		return p
	}
	return p.mapStore
}

func (p pressed) Held() int64 { return p.held.Load() }

func (p pressed) Settle(context.Context) error {
	if p.held.Load() > 0 {
		until(func() bool { return false }) // as long as a disk takes
	}
	p.held.Store(0)
	return nil
}

func (p pressed) Put(ctx context.Context, cs []chunk.Chunk) error {
	if p.folding != nil {
		p.folding()
	}
	return p.mapStore.Put(ctx, cs)
}

// TestWritersGoOnWhenACheckpointHasSettled: payload that fills the stage while a fold goes on is settled by the checkpoint behind the fold, after
// which nothing is due any more. Whoever waits for room then must be told.
func TestWritersGoOnWhenACheckpointHasSettled(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	admitted := make(chan error, 1)
	var held atomic.Int64
	var began atomic.Bool
	p := pressed{mapStore: a.cfg.Chunks.(mapStore), held: &held}
	p.folding = func() {
		if !began.CompareAndSwap(false, true) {
			return
		}
		held.Store(1 << 30)
		go func() { admitted <- a.admit(w.ctx) }()
		until(func() bool { return len(admitted) > 0 }) // it finds no room
	}
	a.cfg.Chunks, a.cfg.StartWrites = p, 10
	a.restart()
	if _, err := a.CreateBucket(w.ctx, "box", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		a.put("box", fmt.Sprint(i), "v")
	}
	select {
	case err := <-admitted:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("a writer waits, and there is room")
		a.relieved(nil)
	}
}

// TestAStartHasFewWritesToApply: however small writes are, the state is written after so many of them.
func TestAStartHasFewWritesToApply(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	a.cfg.StartWrites = 50
	a.restart()
	b, err := a.CreateBucket(w.ctx, "box", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	write := func(n int) {
		for range n {
			written++
			if _, err := b.Put(w.ctx, fmt.Sprint(written), Attrs{}, Cond{}, strings.NewReader("v")); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(450)
	left := a.LogEnd()
	for tries := 0; left > 100 && tries < 30; tries++ { // the housekeeping comes to it by and by
		write(1)
		until(func() bool {
			st, err := a.loadState()
			if err != nil {
				t.Fatal(err)
			}
			left = a.LogEnd() - st.need()
			return left <= 100
		})
	}
	if left > 100 {
		t.Errorf("a start goes through %d of %d log records", left, a.LogEnd())
	}
}
