package isgw

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment"
)

// LazyConfig says how to read what is elsewhere. Zero limits stand for the defaults.
type LazyConfig struct {
	// Chunks is where the segment keeps its chunks, those that are fetched too.
	Chunks chunk.Opener
	// Timeout is how long a read waits without anything coming in from a peer that is up. Where none is, it waits for a second at the most:
	// for a link to come back that was lost just now. Default: 10 s.
	Timeout time.Duration
	// Parallel bounds the fetches under way. Default: 32.
	Parallel int
	// Memory bounds the bytes of fetched chunks that wait for their readers; beyond it they are read again from Chunks. Default: 64 MiB.
	Memory int64
	Logger *slog.Logger
}

// Lazy makes stores that ask the segment's peers for what is not here. It has no peers until [Links] are opened with it, and none after they
// are closed; it then serves what is here. It is safe for concurrent use.
type Lazy struct {
	cfg   LazyConfig
	slots chan struct{} // one for each fetch under way

	mu      sync.Mutex
	links   *Links // nil without
	flights map[chunk.ID]*flight
	came    chan struct{} // closed when a link comes up
	work    sync.WaitGroup
	ctx     context.Context // of the links
	stop    context.CancelFunc

	waiting  atomic.Int64 // bytes that wait for their readers
	counters lazyCounters
}

type lazyCounters struct {
	lost, refused, timeouts atomic.Uint64
}

// NewLazy makes a Lazy without peers.
func NewLazy(c LazyConfig) *Lazy {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Parallel == 0 {
		c.Parallel = 32
	}
	if c.Memory == 0 {
		c.Memory = 64 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Lazy{cfg: c, slots: make(chan struct{}, c.Parallel), flights: map[chunk.ID]*flight{}, came: make(chan struct{})}
}

// attach gives the peers to ask; with nil it ends what is under way, and waits for it.
func (l *Lazy) attach(links *Links) {
	l.mu.Lock()
	if l.stop != nil {
		l.stop()
	}
	l.links, l.ctx, l.stop = links, nil, nil
	if links != nil {
		l.ctx, l.stop = context.WithCancel(links.ctx)
	}
	l.mu.Unlock()
	if links == nil {
		l.work.Wait()
	}
}

// Store is the store that payload is read from on behalf of a version, as segment.Config.Read wants it. What is missing or damaged here is
// asked of the peers, verified, kept, and then yielded. Where none can be asked, or none has it, Get fails with chunk.ErrUnavailable: a
// version names it, so it exists or is lost, which is never absence. Put and Missing are those of the durable store.
func (l *Lazy) Store(d chunk.Domain, r segment.Reading) chunk.Store {
	return &lazyStore{Store: l.cfg.Chunks.Open(d, chunk.Data), l: l, domain: d, reading: r}
}

type lazyStore struct {
	chunk.Store // what is here
	l           *Lazy
	domain      chunk.Domain
	reading     segment.Reading
}

// maxAsk bounds the chunks of one request for a reader, and so the memory it takes.
const maxAsk = 64

func (s *lazyStore) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	here := local{yield: yield}
	err := s.Store.Get(ctx, ids, here.take)
	switch {
	case err == nil || here.failed != nil || ctx.Err() != nil:
		return err
	case s.reading.Bucket == segment.BucketID{}: // no version, so nothing to show to a peer
		return err
	}
	missing := here.missing(ids)
	o := order{domain: s.domain, bucket: s.reading.Bucket, class: chunk.Cache}
	if damaged := errors.Is(err, chunk.ErrCorrupt); damaged || s.l.settings(s.reading.Bucket).Full {
		o.class, o.repair = chunk.Data, damaged
	}
	var failure error
	for part := range slices.Chunk(missing, maxAsk) {
		o.groups = []group{{Reading: s.reading, ids: part}}
		err := s.l.fetch(ctx, o, yield)
		var own *yieldError
		if errors.As(err, &own) {
			return own.err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failure = errors.Join(failure, err)
		if errors.Is(err, errUnreached) { // what is left would wait as long, and be had as little
			break
		}
	}
	return failure
}

// Repair asks the peers for chunks that were held durably here and are lost, and keeps them durably, as segment.Config.Repair wants it.
func (l *Lazy) Repair(ctx context.Context, d chunk.Domain, r segment.Reading, ids []chunk.ID) error {
	var failure error
	for part := range slices.Chunk(ids, maxAsk) {
		err := l.fetch(ctx, order{domain: d, bucket: r.Bucket, class: chunk.Data, repair: true, groups: []group{{Reading: r, ids: part}}}, nil)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errUnreached) {
			return fmt.Errorf("%w: %w", segment.ErrNobody, err)
		}
		failure = errors.Join(failure, err)
	}
	return failure
}

// local notes what a Get has yielded.
type local struct {
	yield  func(chunk.Chunk) error
	got    []chunk.ID
	failed error
}

func (l *local) take(c chunk.Chunk) error {
	l.got = append(l.got, c.ID())
	l.failed = l.yield(c)
	return l.failed
}

// missing are the ids that were not yielded, once each.
func (l *local) missing(ids []chunk.ID) []chunk.ID {
	got := make(map[chunk.ID]struct{}, len(ids))
	for _, id := range l.got {
		got[id] = struct{}{}
	}
	return slices.DeleteFunc(slices.Clone(distinct(ids)), func(id chunk.ID) bool {
		_, ok := got[id]
		return ok
	})
}

// yieldError is an error of a caller's yield, which is not ours.
type yieldError struct{ err error }

func (e *yieldError) Error() string { return e.err.Error() }

// settings are those of a bucket that is read: whether its payload is to be kept durably, and how it is stored.
func (l *Lazy) settings(id segment.BucketID) segment.Settings {
	l.mu.Lock()
	links := l.links
	l.mu.Unlock()
	if links == nil {
		return segment.Settings{}
	}
	b, err := links.seg.BucketByID(id)
	if err != nil {
		return segment.Settings{}
	}
	return b.Settings()
}
