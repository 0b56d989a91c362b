package isgw

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

const (
	secureBatch  = 256         // writes whose payload is looked at together
	secureSmall  = 256 << 10   // an object above it is fetched by itself, and holds up no other
	secureRounds = 4           // of small ones at one time for a peer, and as many of large ones
	secureEvery  = time.Second // who waits is told that it goes on; what failed is tried again
)

// securing makes writes of the peer durable here, and says so. A write is when its record was applied, so is in this segment's log, and its
// payload is among the durable chunks.
type securing struct {
	*session
	x exchange

	writing sync.Mutex // of answers

	mu      sync.Mutex
	pending map[uint64]*toSecure
	wake    chan struct{} // of one
	small   chan struct{} // one for each round under way
	large   chan struct{}
	work    sync.WaitGroup
}

// toSecure is a write that the peer waits for.
type toSecure struct {
	wire.Copy
	working bool
	after   time.Time // not before: it failed
}

// serveCopies answers a stream of the peer's asks until it ends.
func (s *session) serveCopies(ctx context.Context, x exchange) error {
	if s.k.l.prefetch == nil {
		return errors.New("this segment fetches nothing")
	}
	select {
	case s.asked <- struct{}{}:
		defer func() { <-s.asked }()
	default:
		return errors.New("one stream of asks is enough")
	}
	c := &securing{session: s, x: x, pending: map[uint64]*toSecure{}, wake: make(chan struct{}, 1),
		small: make(chan struct{}, secureRounds), large: make(chan struct{}, secureRounds)}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var asks sync.WaitGroup
	asks.Go(func() { cancel(c.take()) })
	err := c.run(ctx)
	cancel(err)
	x.stream.Abort()
	asks.Wait()
	c.work.Wait()
	return err
}

// take takes what the peer asks.
func (c *securing) take() error {
	for {
		var m wire.CopyAsk
		if err := c.x.in.Read(&m, wire.MaxControl); err != nil {
			return unexpected(err)
		}
		if err := c.asked(m); err != nil {
			return err
		}
	}
}

func (c *securing) asked(m wire.CopyAsk) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range m.Dropped {
		delete(c.pending, n)
	}
	if len(c.pending)+len(m.Copies) > wire.MaxCopies {
		return fmt.Errorf("more than %d copies: %w", wire.MaxCopies, wire.ErrMalformed)
	}
	for _, w := range m.Copies {
		c.pending[w.Number] = &toSecure{Copy: w}
	}
	signal(c.wake)
	return nil
}

func (c *securing) run(ctx context.Context) error {
	tick := time.NewTicker(secureEvery)
	defer tick.Stop()
	for {
		applied := c.k.l.seg.Progress() // before the look, so that nothing is missed
		if !c.begin(ctx) {
			applied = nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-applied:
		case <-c.wake:
		case <-tick.C:
			if err := c.tellWorking(); err != nil {
				return err
			}
		}
	}
}

// begin works on what has been seen by now. It says whether some has not.
func (c *securing) begin(ctx context.Context) (more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[segment.BucketID]segment.Vector{}
	ready := map[segment.BucketID][]*toSecure{}
	now := time.Now()
	for _, n := range slices.Sorted(maps.Keys(c.pending)) {
		w := c.pending[n]
		if w.working || w.after.After(now) {
			continue
		}
		v, ok := seen[w.Bucket]
		if !ok {
			if b, err := c.k.l.seg.BucketByID(w.Bucket); err == nil && b.Linked() {
				v = b.Seen()
			}
			seen[w.Bucket] = v
		}
		if !v.Has(w.Version.Dot) {
			more = true
			continue
		}
		ready[w.Bucket] = append(ready[w.Bucket], w)
	}
	for id, all := range ready {
		for batch := range slices.Chunk(all, secureBatch) {
			select {
			case c.small <- struct{}{}:
			default: // whoever ends wakes
				return more
			}
			for _, w := range batch {
				w.working = true
			}
			c.work.Go(func() {
				defer signal(c.wake)
				defer func() { <-c.small }()
				c.secure(ctx, id, batch)
			})
		}
	}
	return more
}

// secure makes payload durable that writes of one bucket need, and answers.
func (c *securing) secure(ctx context.Context, id segment.BucketID, batch []*toSecure) {
	var done, failed, few []*toSecure
	needs := map[*toSecure]segment.Version{}
	for _, w := range batch {
		v, err := c.k.l.seg.Needed(ctx, w.Ref)
		switch {
		case err != nil:
			failed = append(failed, w)
		case v == nil:
			done = append(done, w)
		case v.Size() > secureSmall:
			c.secureLarge(ctx, id, w, *v)
		default:
			needs[w] = *v
			few = append(few, w)
		}
	}
	fetched, lacking := c.fetchAll(ctx, id, few, needs)
	c.answer(append(done, fetched...), append(failed, lacking...))
}

// secureLarge fetches one large object, unless as many are fetched as may be: then its turn comes later.
func (c *securing) secureLarge(ctx context.Context, id segment.BucketID, w *toSecure, v segment.Version) {
	select {
	case c.large <- struct{}{}:
	default:
		c.answer(nil, []*toSecure{w})
		return
	}
	c.work.Go(func() {
		defer signal(c.wake)
		defer func() { <-c.large }()
		c.answer(c.fetchAll(ctx, id, []*toSecure{w}, map[*toSecure]segment.Version{w: v}))
	})
}

// fetchAll fetches what is not here durably, and says of which writes all is here then.
func (c *securing) fetchAll(ctx context.Context, id segment.BucketID, all []*toSecure, needs map[*toSecure]segment.Version) (done, lacking []*toSecure) {
	if len(all) == 0 {
		return nil, nil
	}
	r := &round{p: c.k.l.prefetch, h: &holding{id: id}, all: true, hole: map[segment.Origin]uint64{}, lacking: map[segment.Dot]bool{}}
	for _, w := range all {
		r.queue = append(r.queue, needs[w])
	}
	err := r.run(ctx)
	for _, w := range all {
		if err != nil || r.lacking[needs[w].Dot] {
			lacking = append(lacking, w)
		} else {
			done = append(done, w)
		}
	}
	return done, lacking
}

// answer says what is durable, and lets what is not be tried again.
func (c *securing) answer(done, failed []*toSecure) {
	var m wire.Copied
	c.mu.Lock()
	for _, w := range failed {
		w.working, w.after = false, time.Now().Add(secureEvery)
	}
	for _, w := range done {
		if c.pending[w.Number] == w {
			delete(c.pending, w.Number)
			m.Done = append(m.Done, w.Number)
		}
	}
	c.mu.Unlock()
	if len(m.Done) > 0 {
		_ = c.write(&m) // if it cannot be said, the stream has ended
	}
}

func (c *securing) tellWorking() error {
	var m wire.Copied
	c.mu.Lock()
	for n, w := range c.pending {
		if w.working {
			m.Working = append(m.Working, n)
		}
	}
	c.mu.Unlock()
	if len(m.Working) == 0 {
		return nil
	}
	slices.Sort(m.Working)
	return c.write(&m)
}

func (c *securing) write(m *wire.Copied) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.x.out.Write(m)
}
