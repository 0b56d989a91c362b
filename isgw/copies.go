package isgw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

const (
	copyHedge = 500 * time.Millisecond // the nearest peer may be silent that long before the next is asked too
	copyRetry = time.Second            // between two tries to ask a peer that breaks off
)

// Copies lets writes wait for a second segment, as segment.Config.Copied wants it. It has no peers until [Links] are opened with it. It is safe
// for concurrent use; who waits costs some hundred bytes.
type Copies struct {
	patience time.Duration

	mu    sync.Mutex
	links *Links        // nil without
	came  chan struct{} // closed when a link comes up

	waiting          atomic.Int64
	confirmed, given atomic.Uint64
}

// CopyStats counts writes that wait, or waited, for a second segment.
type CopyStats struct {
	Waiting   int64
	Confirmed uint64
	GivenUp   uint64
}

// NewCopies makes one whose writes wait for that long without any word from a peer.
func NewCopies(patience time.Duration) *Copies {
	return &Copies{patience: patience, came: make(chan struct{})}
}

// Stats counts since the start.
func (c *Copies) Stats() CopyStats {
	return CopyStats{c.waiting.Load(), c.confirmed.Load(), c.given.Load()}
}

func (c *Copies) attach(l *Links) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links = l
}

// peerCame tells who waits that there is somebody to ask.
func (c *Copies) peerCame() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.came)
	c.came = make(chan struct{})
}

// copyWait is a write that waits.
type copyWait struct {
	ref   segment.Ref
	once  sync.Once
	done  chan struct{} // closed when a peer has it
	alive chan struct{} // of one: a peer is about to have it
}

func (w *copyWait) confirm() { w.once.Do(func() { close(w.done) }) }

// Await returns when a peer says that it holds a write durably, the record and the payload. It asks the nearest one, and the next when that one
// is silent. It fails when no word came for as long as there is patience, or ctx ends.
func (c *Copies) Await(ctx context.Context, r segment.Ref) error {
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	w := &copyWait{ref: r, done: make(chan struct{}), alive: make(chan struct{}, 1)}
	err := c.await(ctx, w)
	if err != nil {
		c.given.Add(1)
		return err
	}
	c.confirmed.Add(1)
	return nil
}

func (c *Copies) await(ctx context.Context, w *copyWait) error {
	var asked []*session
	defer func() {
		for _, s := range asked {
			s.copies.drop(w)
		}
	}()
	patience, hedge := time.NewTimer(c.patience), time.NewTimer(0)
	defer patience.Stop()
	defer hedge.Stop()
	came := c.news()
	for {
		select {
		case <-w.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-patience.C:
			return c.silence(asked)
		case <-w.alive:
			patience.Reset(c.patience)
			hedge.Reset(copyHedge)
			continue
		case <-came:
		case <-hedge.C:
		}
		came = c.news() // before the look, so that none is missed
		if s := c.nearest(asked); s != nil {
			asked = append(asked, s)
			s.copies.add(w)
			hedge.Reset(copyHedge)
		}
	}
}

func (c *Copies) news() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.came
}

// nearest is the session of the shortest way that was not asked.
func (c *Copies) nearest(asked []*session) (best *session) {
	c.mu.Lock()
	l := c.links
	c.mu.Unlock()
	if l == nil {
		return nil
	}
	for _, k := range l.all() {
		s := k.session()
		if s == nil || slices.Contains(asked, s) {
			continue
		}
		if best == nil || s.roundTrip() < best.roundTrip() {
			best = s
		}
	}
	return best
}

// silence says who did not answer.
func (c *Copies) silence(asked []*session) error {
	if len(asked) == 0 {
		return fmt.Errorf("no link to another segment was up for %v", c.patience)
	}
	var names []string
	for _, s := range asked {
		names = append(names, s.conn.Peer().Name)
	}
	return fmt.Errorf("no word of %s for %v", strings.Join(names, ", "), c.patience)
}

// asker asks the peer of a session for copies, all on one stream. What comes while a message is on its way is the next message.
type asker struct {
	mu      sync.Mutex
	queue   []*copyWait // not asked for yet
	out     map[uint64]*copyWait
	numbers map[*copyWait]uint64 // of those in out
	dropped []uint64
	last    uint64
	wake    chan struct{} // of one
}

func newAsker() *asker {
	return &asker{out: map[uint64]*copyWait{}, numbers: map[*copyWait]uint64{}, wake: make(chan struct{}, 1)}
}

func (a *asker) add(w *copyWait) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, w)
	signal(a.wake)
}

// drop ends the interest in w, if there is any still.
func (a *asker) drop(w *copyWait) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.queue, w); i >= 0 {
		a.queue = slices.Delete(a.queue, i, i+1)
		return
	}
	if n, ok := a.numbers[w]; ok {
		a.forget(n)
		a.dropped = append(a.dropped, n)
		signal(a.wake)
	}
}

// forget takes a number out of those that are out. The caller holds mu.
func (a *asker) forget(n uint64) {
	delete(a.numbers, a.out[n])
	delete(a.out, n)
}

// next is what is to be said now; false for nothing.
func (a *asker) next() (m wire.CopyAsk, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m.Dropped, a.dropped = a.dropped, nil
	n := min(len(a.queue), wire.MaxCopies-len(a.out))
	for _, w := range a.queue[:n] {
		a.last++
		a.out[a.last], a.numbers[w] = w, a.last
		m.Copies = append(m.Copies, wire.Copy{Number: a.last, Ref: w.ref})
	}
	a.queue = slices.Delete(a.queue, 0, n)
	return m, len(m.Copies)+len(m.Dropped) > 0
}

// answered takes an answer in.
func (a *asker) answered(m wire.Copied) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range m.Done {
		if w := a.out[n]; w != nil {
			w.confirm()
			a.forget(n)
		}
	}
	for _, n := range m.Working {
		if w := a.out[n]; w != nil {
			signal(w.alive)
		}
	}
	if len(a.queue) > 0 {
		signal(a.wake)
	}
}

// again makes all that was asked for wait to be asked anew: its stream is gone.
func (a *asker) again() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, w := range a.out {
		a.queue = append(a.queue, w)
		a.forget(n)
	}
	a.dropped = nil
	if len(a.queue) > 0 {
		signal(a.wake)
	}
}

// askCopies asks the peer for copies while writes wait for them.
func (s *session) askCopies(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.copies.wake:
		}
		err := s.askOn(ctx)
		if errors.Is(err, wire.ErrMalformed) {
			return err
		}
		s.copies.again()
		wait(ctx, copyRetry) // an older build aborts the stream
	}
}

// askOn opens a stream and asks on it until it ends.
func (s *session) askOn(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x, done, err := s.ask(ctx, &wire.Request{Copies: true}, controlBytes)
	if err != nil {
		return err
	}
	var answers sync.WaitGroup
	defer answers.Wait()
	defer done()
	answers.Go(func() {
		for {
			var m wire.Copied
			if err := x.in.Read(&m, wire.MaxControl); err != nil {
				cancel(unexpected(err))
				return
			}
			s.copies.answered(m)
		}
	})
	for {
		if m, ok := s.copies.next(); ok {
			if err := x.out.Write(&m); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.copies.wake:
		}
	}
}
