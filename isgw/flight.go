package isgw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// order is chunks to be fetched for versions of one bucket, or of its trees.
type order struct {
	domain chunk.Domain
	bucket segment.BucketID
	class  chunk.Class // to keep them at
	repair bool        // they were held, and damaged
	groups []group
}

// group is chunks that one version reaches, or one chunk of a bucket's tree.
type group struct {
	segment.Reading
	node *node // instead of a version
	ids  []chunk.ID
}

// flight is one chunk on its way, however many wait for it.
type flight struct {
	id    chunk.ID
	group int
	batch *batch
	done  chan struct{} // closed when what follows is set
	chunk chunk.Chunk   // with bytes of its own; zero when it was kept here and is to be read here
	err   error

	waiters int   // guarded by the Lazy's mu
	held    int64 // bytes counted as waiting
}

// batch is what one fetch asks for.
type batch struct {
	order
	flights []*flight
	began   time.Time
	cancel  context.CancelFunc
	waiters int // of all flights; without any the fetch is given up
}

// fetch gets the chunks of an order and yields them, unless yield is nil. What is on its way already is waited for, not asked for again.
func (l *Lazy) fetch(ctx context.Context, o order, yield func(chunk.Chunk) error) error {
	failed, err := l.tryFetch(ctx, o, yield)
	if len(failed) > 0 {
		// They were asked for on behalf of another version, which a peer may refuse where it does not refuse this one.
		o.groups = failed
		_, err = l.tryFetch(ctx, o, yield)
	}
	return err
}

// tryFetch also returns what failed in a fetch that somebody else began, if nothing failed in its own.
func (l *Lazy) tryFetch(ctx context.Context, o order, yield func(chunk.Chunk) error) (failed []group, err error) {
	flights, mine, err := l.join(o)
	if err != nil {
		return nil, err
	}
	own := false
	i := 0
	for _, g := range o.groups {
		var again []chunk.ID
		for range g.ids {
			f := flights[i]
			if e := l.await(ctx, o, f, yield); e != nil {
				var theirs *yieldError
				if ctx.Err() != nil || errors.As(e, &theirs) {
					l.leave(flights[i:])
					return nil, e
				}
				err = e // one says enough
				own = own || f.batch == mine
				if !errors.Is(e, errUnreached) {
					again = append(again, f.id)
				}
			}
			l.leave(flights[i : i+1])
			i++
		}
		if len(again) > 0 {
			failed = append(failed, group{g.Reading, g.node, again})
		}
	}
	if own {
		return nil, err
	}
	return failed, err
}

// join finds the flights of an order, and starts a batch of those that nobody has begun.
func (l *Lazy) join(o order) (flights []*flight, mine *batch, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil {
		return nil, nil, fmt.Errorf("no peer can be asked: %w", chunk.ErrUnavailable)
	}
	b := &batch{order: o, began: time.Now()}
	for g := range o.groups {
		for _, id := range o.groups[g].ids {
			f := l.flights[id]
			if f == nil {
				f = &flight{id: id, group: g, batch: b, done: make(chan struct{})}
				l.flights[id] = f
				b.flights = append(b.flights, f)
			}
			f.waiters++
			f.batch.waiters++
			flights = append(flights, f)
		}
	}
	if len(b.flights) > 0 {
		var ctx context.Context
		ctx, b.cancel = context.WithCancel(l.ctx)
		l.work.Go(func() {
			defer b.cancel()
			l.fly(ctx, b)
		})
	}
	return flights, b, nil
}

// leave gives up an interest in flights.
func (l *Lazy) leave(flights []*flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range flights {
		f.batch.waiters--
		if f.waiters--; f.waiters == 0 {
			l.waiting.Add(-f.held)
			f.held, f.chunk = 0, chunk.Chunk{}
		}
		if f.batch.waiters == 0 {
			f.batch.cancel()
			for _, o := range f.batch.flights { // nobody is to join what is given up
				l.forget(o)
			}
		}
	}
}

// forget takes a flight out of those that can be joined. The caller holds mu.
func (l *Lazy) forget(f *flight) {
	if l.flights[f.id] == f {
		delete(l.flights, f.id)
	}
}

func (l *Lazy) await(ctx context.Context, o order, f *flight, yield func(chunk.Chunk) error) error {
	select {
	case <-f.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case f.err != nil || yield == nil:
		return f.err
	case f.chunk.ID() == f.id:
		if err := yield(f.chunk); err != nil {
			return &yieldError{err}
		}
		return nil
	}
	var own error
	err := l.cfg.Chunks.Open(o.domain, chunk.Data).Get(ctx, []chunk.ID{f.id}, func(c chunk.Chunk) error {
		own = yield(c)
		return own
	})
	if own != nil {
		return &yieldError{own}
	}
	if err != nil {
		return fmt.Errorf("chunk %v came and is gone again: %w: %w", f.id, err, chunk.ErrUnavailable)
	}
	return nil
}

// fly asks one peer after the other for what is still missing of a batch.
func (l *Lazy) fly(ctx context.Context, b *batch) {
	left := b.flights
	err := l.awaitPeer(ctx)
	if err == nil {
		err = l.slot(ctx)
	}
	if err == nil {
		defer func() { <-l.slots }()
		left, err = l.askAll(ctx, b, left)
	}
	if len(left) == 0 {
		return
	}
	err = fmt.Errorf("%d chunks of %d cannot be had: %w: %w", len(left), len(b.flights), err, chunk.ErrUnavailable)
	for _, f := range left {
		l.land(f, chunk.Chunk{}, err)
	}
}

var (
	errLost       = errors.New("no peer holds it")
	errPeerFailed = errors.New("the peer failed")
)

// askAll asks all peers, and once more when a connection ended under it.
func (l *Lazy) askAll(ctx context.Context, b *batch, left []*flight) ([]*flight, error) {
	left, ended, err := l.askEach(ctx, b, left)
	if len(left) == 0 || !ended || ctx.Err() != nil {
		return left, err
	}
	if down := l.awaitPeer(ctx); down != nil {
		return left, inLine(err, down)
	}
	left, _, err = l.askEach(ctx, b, left)
	return left, err
}

// askEach asks one peer after the other; ended says that a connection ended meanwhile.
func (l *Lazy) askEach(ctx context.Context, b *batch, left []*flight) (_ []*flight, ended bool, _ error) {
	peers, down := l.sessions()
	var errs []error
	answered := 0
	for i, s := range peers {
		if len(left) == 0 || ctx.Err() != nil {
			break
		}
		patience := max(l.cfg.Timeout/time.Duration(len(peers)-i), min(time.Second, l.cfg.Timeout))
		var err error
		if left, err = l.askOne(ctx, b, left, s, patience); err != nil {
			errs = append(errs, fmt.Errorf("asked %s at %s: %w", s.conn.Peer().Name, s.conn.Addr(), err))
		}
		if err == nil || errors.Is(err, errPeerFailed) {
			answered++
		}
		ended = ended || s.conn.Context().Err() != nil
	}
	if len(left) == 0 {
		return nil, ended, nil
	}
	if down == nil && len(errs) == 0 && len(peers) > 0 && ctx.Err() == nil {
		l.counters.lost.Add(uint64(len(left)))
		return left, ended, errLost
	}
	err := inLine(append(errs, down, ctx.Err())...)
	if answered == 0 {
		err = fmt.Errorf("%w: %w", errUnreached, cmp.Or(err, errors.New("there is none any more")))
	}
	return left, ended, err
}

// askOne asks one peer, and returns what did not come from it. That it has no more is no error.
func (l *Lazy) askOne(ctx context.Context, b *batch, left []*flight, s *session, patience time.Duration) ([]*flight, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	waiting := s.patience(b.began, patience, func(err error) {
		l.counters.timeouts.Add(1)
		cancel(err)
	})
	defer waiting.stop()
	request, index := b.request(left)
	missing := make(map[*flight]struct{}, len(left))
	for _, f := range left {
		missing[f] = struct{}{}
	}
	statuses, err := s.fetch(ctx, request, func(pieces []wire.Piece) error {
		waiting.renew()
		return l.arrive(ctx, b, s, pieces, index, missing)
	})
	var rest []*flight
	for _, f := range left {
		if _, ok := missing[f]; ok {
			rest = append(rest, f)
		}
	}
	s.k.traffic.missed.Add(uint64(len(rest)))
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	for _, st := range statuses {
		switch {
		case st == wire.Refused:
			l.counters.refused.Add(1)
		case st == wire.Failed && err == nil && len(rest) > 0:
			err = errPeerFailed
		}
	}
	return rest, err
}

// request is what is asked of a peer, and which flight each of its chunks is.
func (b *batch) request(left []*flight) (*wire.Fetch, [][]*flight) {
	f := &wire.Fetch{Bucket: b.bucket}
	var index [][]*flight
	at := -1
	for _, v := range left { // flights are in the order of their groups
		if len(index) == 0 || v.group != at {
			at = v.group
			f.Groups = append(f.Groups, b.groups[at].request())
			index = append(index, nil)
		}
		n := len(index) - 1
		f.Groups[n].IDs = append(f.Groups[n].IDs, v.id)
		index[n] = append(index[n], v)
	}
	return f, index
}

// arrive verifies what a message brought, keeps it, and lets it land. What is not what was asked for ends the fetch from that peer.
func (l *Lazy) arrive(ctx context.Context, b *batch, s *session, pieces []wire.Piece, index [][]*flight, missing map[*flight]struct{}) error {
	var flights []*flight
	var chunks []chunk.Chunk
	var bad error
	for _, p := range pieces {
		f := index[p.Group][p.Index]
		if _, ok := missing[f]; !ok {
			return fmt.Errorf("a chunk came twice: %w", wire.ErrMalformed)
		}
		c, err := b.domain.Verify(f.id, p.Data)
		if err != nil {
			bad = err
			continue
		}
		delete(missing, f)
		flights, chunks = append(flights, f), append(chunks, c)
	}
	if len(chunks) == 0 {
		return bad
	}
	if wish := l.settings(b.bucket).Compression; wish != chunk.Off {
		for i, c := range chunks {
			chunks[i] = c.Wishing(wish)
		}
	}
	err := l.cfg.Chunks.Open(b.domain, b.class).Put(ctx, chunks)
	switch {
	case err != nil:
		l.cfg.Logger.Warn("fetched chunks cannot be kept", "class", b.class, "error", err)
	case b.repair:
		s.k.traffic.repaired.Add(uint64(len(chunks)))
		l.cfg.Logger.Warn("damaged chunks were repaired", "from", s.conn.Peer().Name, "class", b.class, "chunks", len(chunks))
	}
	for i, f := range flights {
		l.landKept(f, chunks[i], err == nil)
	}
	return bad
}

// landKept lets a chunk land, with bytes of its own where memory allows or nothing else has them.
func (l *Lazy) landKept(f *flight, c chunk.Chunk, kept bool) {
	size := int64(c.Size())
	l.mu.Lock()
	carry := f.waiters > 0 && (!kept || l.waiting.Load()+size <= l.cfg.Memory)
	if carry {
		f.held = size
		l.waiting.Add(size)
	}
	l.mu.Unlock()
	if !carry {
		l.land(f, chunk.Chunk{}, nil)
		return
	}
	l.land(f, c.Clone(), nil)
}

func (l *Lazy) land(f *flight, c chunk.Chunk, err error) {
	l.mu.Lock()
	l.forget(f)
	if f.waiters > 0 {
		f.chunk = c
	}
	f.err = err
	l.mu.Unlock()
	close(f.done)
}
