package segment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/linear"
)

// linearClient does random operations on a bucket and notes them.
type linearClient struct {
	id    int
	b     *Bucket
	h     *linear.History
	puts  *atomic.Int64 // of all clients
	rng   *rand.Rand
	known [linear.Keys]Version // what it saw last of each key
}

func linearKey(i int) string { return []string{"a", "b/c", "b/d"}[i] }

// errCut says that the power is cut: the client goes no further, so that few outcomes are unknown.
var errCut = errors.New("cut")

// step is one operation. An error but errCut is what must not be.
func (c *linearClient) step(ctx context.Context) error {
	op := linear.Op{Kind: linear.Kind(c.rng.IntN(4)), Key: c.rng.IntN(linear.Keys)}
	if op.Kind == linear.Delete && c.rng.IntN(2) == 0 {
		op.Kind = linear.Put
	}
	var cond Cond
	if known := c.known[op.Key]; op.Kind <= linear.Delete {
		switch c.rng.IntN(4) {
		case 0:
			op.Absent, cond.Absent = true, true
		case 1:
			if op.Match = known.Attrs.ETag; op.Match != "" {
				cond.Match = []string{op.Match}
			}
		case 2:
			if op.Match = known.Attrs.ETag; op.Match != "" {
				cond.Match, cond.Version = []string{"*"}, &known.VersionID // the version has that ETag, and no other has
			}
		}
	}
	call := c.h.Call()
	seen, err := c.do(ctx, &op, cond)
	switch {
	case errors.Is(err, ErrPrecondition):
		seen.Result, err = linear.Refused, nil
	case errors.Is(err, ErrNoSuchKey):
		seen.Result, err = linear.Missing, nil
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrClosed):
		seen.Result, err = linear.Unknown, errCut
		if op.Kind > linear.Delete { // a read that was not answered says nothing
			return err
		}
	}
	c.h.Return(c.id, call, op, seen)
	return err
}

func (c *linearClient) do(ctx context.Context, op *linear.Op, cond Cond) (seen linear.Seen, err error) {
	key := linearKey(op.Key)
	var v Version
	switch op.Kind {
	case linear.Put:
		op.Tag = fmt.Sprint(c.puts.Add(1))
		if v, err = c.b.Put(ctx, key, Attrs{ETag: op.Tag}, cond, strings.NewReader(op.Tag)); err == nil {
			c.known[op.Key] = v
		}
	case linear.Delete:
		_, err = c.b.Delete(ctx, key, cond)
	case linear.Get:
		v, err = c.b.Stat(ctx, key, VersionRef{})
		if errors.Is(err, ErrNoSuchKey) {
			err = nil
		} else if err == nil {
			seen.Tags[op.Key], c.known[op.Key] = v.Attrs.ETag, v
		}
	case linear.List:
		var page ListPage
		page, err = c.b.List(ctx, ListOptions{Limit: 10})
		for _, e := range page.Entries {
			for i := range linear.Keys {
				if linearKey(i) == e.Version.Key {
					seen.Tags[i] = e.Version.Attrs.ETag
				}
			}
		}
	}
	return seen, err
}

const (
	linearClients = 4
	linearSteps   = 12 // of each client between two power cuts
	linearCuts    = 3
)

// TestASegmentIsLinearizable: several clients write, on conditions and without, read and list at once, through folds and power cuts. Of what
// was under way in a power cut either all happened or nothing.
func TestASegmentIsLinearizable(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed+1), func(t *testing.T) { linearRun(t, seed+1) })
	}
}

func linearRun(t *testing.T, seed uint64) {
	w := newSeededWorld(t, seed, "a")
	s := w.site("a")
	rng := rand.New(rand.NewPCG(seed, 5))
	set := Settings{Versioning: Versioning(rng.IntN(3))}
	if _, err := s.CreateBucket(w.ctx, "box", BucketOptions{Settings: &set}); err != nil {
		t.Fatal(err)
	}
	h := new(linear.History)
	var puts atomic.Int64
	for cut := range linearCuts + 1 {
		if cut < linearCuts {
			s.fs.CutAfter(s.fs.Ops() + rng.IntN(60))
		}
		linearPhase(t, s, h, &puts, rng)
		old := s.Segment
		s.fs = s.fs.Crash(rng)
		s.cfg.FS = s.fs
		_ = old.Close(w.ctx)
		s.open()
		h.Settle()
	}
	if err := h.Check(time.Minute); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
}

// linearPhase lets all clients do their steps, while the bucket is folded.
func linearPhase(t *testing.T, s *site, h *linear.History, puts *atomic.Int64, rng *rand.Rand) {
	b := s.box()
	var wg sync.WaitGroup
	for i := range linearClients {
		c := &linearClient{id: i, b: b, h: h, puts: puts, rng: rand.New(rand.NewPCG(rng.Uint64(), 6))}
		wg.Go(func() {
			for range linearSteps {
				err := c.step(s.w.ctx)
				if err == errCut {
					return
				}
				if err != nil {
					t.Errorf("client %d: %v", c.id, err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 3 {
			_, _ = b.Fold(s.w.ctx) // a power cut ends it
		}
	})
	wg.Wait()
}
