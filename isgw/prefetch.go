package isgw

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

const (
	maxQueue      = 4096                  // versions of a bucket that wait; beyond it the bucket is looked through
	prefetchers   = 2                     // buckets at one time
	prefetchEvery = 20 * time.Millisecond // a bucket is looked at, so that news come in batches
	prefetchFirst = time.Second           // wait after a failure, doubled up to the last
	prefetchLast  = 5 * time.Minute
)

// prefetcher fetches payload that is to be here before it is read, and knows up to where all payload of a bucket is here durably.
type prefetcher struct {
	l *Links

	mu      sync.Mutex
	buckets map[segment.BucketID]*holding
	wake    chan struct{} // closed, and made anew, when there may be work
	changed chan struct{} // closed, and made anew, when something held has changed
}

// holding is what is here of one bucket's payload.
type holding struct {
	id    segment.BucketID
	scan  bool              // all versions have to be looked at
	queue []segment.Version // news since the last look
	busy  bool              // somebody works on it
	after time.Time         // not before, for something failed
	pause time.Duration

	seen segment.Vector            // every version up to here has been looked at
	hole map[segment.Origin]uint64 // the first write of an origin whose payload is not here
	held segment.Vector            // told to peers
}

func newPrefetcher(l *Links) *prefetcher {
	p := &prefetcher{l: l, buckets: map[segment.BucketID]*holding{}, wake: make(chan struct{}), changed: make(chan struct{})}
	p.scanAll()
	return p
}

// run ends when ctx does, and nothing of it runs any more then.
func (p *prefetcher) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for range prefetchers {
		wg.Go(func() { p.work(ctx) })
	}
	news, stop := p.l.seg.Watch()
	defer stop()
	p.scanAll() // what was applied before Watch
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-news:
			p.hear(a)
		}
	}
}

func (p *prefetcher) scanAll() {
	for id := range p.l.seg.LinkedBuckets() {
		p.hear(segment.Applied{Bucket: id, Lost: true})
	}
}

// hear queues one piece of news.
func (p *prefetcher) hear(a segment.Applied) {
	if a.Bucket == (segment.BucketID{}) {
		p.scanAll()
		return
	}
	if a.Bucket == segment.FederationBucket { // its documents have no payload
		return
	}
	linked := p.l.linked()
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.buckets[a.Bucket]
	if h == nil {
		h = &holding{id: a.Bucket, scan: true, seen: segment.Vector{}, hole: map[segment.Origin]uint64{}, held: segment.Vector{}}
		p.buckets[a.Bucket] = h
	}
	switch {
	case a.Lost || len(h.queue) >= maxQueue || !linked: // alone there is nobody to tell, nor to ask
		h.scan, h.queue = true, nil
	case !h.scan || h.busy: // a scan that has not begun will see it
		h.queue = append(h.queue, a.Version)
		if len(h.queue) > 1 { // somebody knows already
			return
		}
	}
	if linked {
		p.signal()
	}
}

// signal wakes the workers. The caller holds mu.
func (p *prefetcher) signal() {
	close(p.wake)
	p.wake = make(chan struct{})
}

// again tries at once what failed: a link has come up.
func (p *prefetcher) again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.buckets {
		h.after = time.Time{}
	}
	p.signal()
}

// news are the vectors that are other than those told, and a channel that is closed when that may have changed again.
func (p *prefetcher) news(told wire.Buckets) (wire.Buckets, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := wire.Buckets{}
	for id, h := range p.buckets {
		if t, ok := told[id]; !ok && len(h.held) > 0 || ok && !t.Equal(h.held) {
			out[id] = h.held
		}
	}
	return out, p.changed
}

// work takes one bucket after the other.
func (p *prefetcher) work(ctx context.Context) {
	for ctx.Err() == nil {
		h, scan, queue, wake, due := p.take()
		if h == nil {
			t := time.NewTimer(due)
			select {
			case <-ctx.Done():
			case <-wake:
			case <-t.C:
			}
			t.Stop()
			continue
		}
		r := &round{p: p, h: h, scan: scan, queue: queue, hole: map[segment.Origin]uint64{}}
		p.finish(h, r, r.run(ctx))
	}
}

// take picks a bucket to work on, or says when there may be one.
func (p *prefetcher) take() (h *holding, scan bool, queue []segment.Version, wake <-chan struct{}, due time.Duration) {
	linked := p.l.linked()
	p.mu.Lock()
	defer p.mu.Unlock()
	due = time.Minute
	if !linked {
		return nil, false, nil, p.wake, due
	}
	now := time.Now()
	for _, o := range p.buckets {
		if o.busy || !o.scan && len(o.queue) == 0 {
			continue
		}
		if wait := o.after.Sub(now); wait > 0 {
			due = min(due, wait)
			continue
		}
		scan, queue = o.scan, o.queue
		o.busy, o.scan, o.queue = true, false, nil
		return o, scan, queue, nil, 0
	}
	return nil, false, nil, p.wake, due
}

// finish takes in what a round found.
func (p *prefetcher) finish(h *holding, r *round, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.busy = false
	switch {
	case errors.Is(err, segment.ErrNoSuchBucket):
		delete(p.buckets, h.id)
		return
	case err != nil:
		h.scan = true
	case r.scan:
		h.seen, h.hole = r.seen, r.hole
	default:
		h.seen = h.seen.Join(r.seen)
		for o, n := range r.hole {
			if m, ok := h.hole[o]; !ok || n < m {
				h.hole[o] = n
			}
		}
	}
	if err != nil || r.failed {
		h.pause = min(max(2*h.pause, prefetchFirst), prefetchLast)
		h.scan, h.after = true, time.Now().Add(h.pause)
	} else {
		h.pause, h.after = 0, time.Now().Add(prefetchEvery)
	}
	held := segment.Vector{}
	for o, n := range h.seen {
		if m, ok := h.hole[o]; ok {
			n = min(n, m-1)
		}
		if n > 0 {
			held[o] = n
		}
	}
	if !held.Equal(h.held) {
		h.held = held
		close(p.changed)
		p.changed = make(chan struct{})
	}
	p.signal()
}

const (
	roundIDs    = 1024
	roundBytes  = 8 << 20
	roundAtOnce = 4
)

// round looks at versions of one bucket, all or some, and fetches what is wanted.
type round struct {
	p     *prefetcher
	h     *holding
	scan  bool
	queue []segment.Version

	settings segment.Settings
	domain   chunk.Domain
	durable  chunk.Store
	here     chunk.Store

	seen   segment.Vector
	hole   map[segment.Origin]uint64
	failed bool // something wanted did not come

	all     bool                 // everything is wanted, whatever the settings
	lacking map[segment.Dot]bool // unless nil: versions whose payload is not all here

	batch  []wanted
	ids    int
	bytes  int64
	flying sync.WaitGroup
	room   chan struct{}
	mu     sync.Mutex // guards hole and failed while batches fly
}

// wanted is a version, or a part of a large one, with the ids that must be here.
type wanted struct {
	v     segment.Version
	fetch bool
	parts []group
}

func (r *round) run(ctx context.Context) error {
	b, err := r.p.l.seg.BucketByID(r.h.id)
	if err != nil {
		return err
	}
	r.settings, r.domain, r.room = b.Settings(), r.p.l.seg.Domain(), make(chan struct{}, roundAtOnce)
	r.durable, r.here = r.p.l.cfg.Chunks.Open(r.domain, chunk.Data), r.p.l.cfg.Chunks.Open(r.domain, chunk.Cache)
	defer r.flying.Wait()
	if r.scan {
		err = r.lookAtAll(ctx, b)
	} else {
		err = r.lookAtNews(ctx)
	}
	if err != nil {
		return err
	}
	r.flush(ctx)
	r.flying.Wait()
	return ctx.Err()
}

// lookAtAll looks at all versions. What is seen before it begins has been looked at when it ends.
func (r *round) lookAtAll(ctx context.Context, b *segment.Bucket) error {
	r.seen = b.Seen()
	for v, err := range r.p.l.seg.Payload(ctx, r.h.id) {
		if err == nil {
			err = r.look(ctx, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lookAtNews looks at versions that came one by one. News come in the order of the log and none is left out unless it is said, so the last
// write of an origin stands for all before it.
func (r *round) lookAtNews(ctx context.Context) error {
	r.seen = segment.Vector{}
	for _, v := range r.queue {
		r.seen[v.Dot.Origin] = max(r.seen[v.Dot.Origin], v.Dot.N)
		if err := r.look(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// wants says whether a version's payload is to be here before it is read.
func (r *round) wants(v segment.Version) bool {
	return r.all || r.settings.Full || v.Size() <= min(r.settings.EagerBytes, r.p.l.cfg.EagerBytes)
}

func (r *round) ref(v segment.Version) segment.Ref {
	return segment.Ref{Bucket: r.h.id, Key: v.Key, Version: v.VersionID}
}

// look gathers what a version needs.
func (r *round) look(ctx context.Context, v segment.Version) error {
	if v.Marker || v.Size() == 0 {
		return ctx.Err()
	}
	w := wanted{v: v, fetch: r.wants(v)}
	top := group{Reading: segment.Reading{Ref: r.ref(v)}}
	for _, e := range v.Content.Entries() {
		top.ids = append(top.ids, e.ID)
	}
	if v.Content.Level() == 0 {
		w.parts = []group{top}
		r.add(ctx, w)
		return ctx.Err()
	}
	return r.lookInto(ctx, w)
}

// lookInto gathers a large object part by part. Reading its nodes fetches those that are not here, if its payload is to be here. Nodes do not
// stand for what is below them: a copy makes new ones over payload that is elsewhere.
func (r *round) lookInto(ctx context.Context, w wanted) error {
	open := r.p.l.seg.ObjectHere
	if w.fetch {
		open = r.p.l.seg.Object
	}
	o, err := open(r.h.id, w.v)
	if err != nil {
		return err
	}
	for piece, err := range o.Pieces(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.miss(w.v, w.fetch)
			continue
		}
		if n := len(w.parts); n > 0 && slices.Equal(w.parts[n-1].Path, piece.Path) {
			w.parts[n-1].ids = append(w.parts[n-1].ids, piece.ID)
		} else {
			w.parts = append(w.parts, group{Reading: segment.Reading{Ref: r.ref(w.v), Path: slices.Clone(piece.Path)}, ids: []chunk.ID{piece.ID}})
		}
		if piece.Level == 0 {
			r.bytes += piece.Size
		}
		if r.ids++; r.ids >= roundIDs || r.bytes >= roundBytes {
			r.batch = append(r.batch, w)
			w.parts = nil
			r.flush(ctx)
		}
	}
	if len(w.parts) > 0 {
		r.batch = append(r.batch, w)
	}
	return ctx.Err()
}

func (r *round) add(ctx context.Context, w wanted) {
	r.batch = append(r.batch, w)
	r.ids += len(w.parts[0].ids)
	if w.fetch {
		r.bytes += w.v.Size()
	}
	if r.ids >= roundIDs || r.bytes >= roundBytes || len(r.batch) >= wire.MaxGroups {
		r.flush(ctx)
	}
}

// flush works on what was gathered while more is gathered.
func (r *round) flush(ctx context.Context) {
	batch := r.batch
	r.batch, r.ids, r.bytes = nil, 0, 0
	if len(batch) == 0 {
		return
	}
	select {
	case r.room <- struct{}{}:
	case <-ctx.Done():
		return
	}
	r.flying.Go(func() {
		defer func() { <-r.room }()
		r.fulfil(ctx, batch)
	})
}

// miss notes that a version's payload is not all here.
func (r *round) miss(v segment.Version, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = r.failed || failed
	if r.lacking != nil {
		r.lacking[v.Dot] = true
	}
	if n, ok := r.hole[v.Dot.Origin]; !ok || v.Dot.N < n {
		r.hole[v.Dot.Origin] = v.Dot.N
	}
}

// fulfil fetches what a batch wants and lacks, and notes the versions that lack something in the end.
func (r *round) fulfil(ctx context.Context, batch []wanted) {
	absent, err := r.absent(ctx, batch)
	if err == nil && len(absent) > 0 {
		if o := r.order(batch, absent); len(o.groups) > 0 {
			r.promote(ctx, o)
			if o = r.order(batch, r.still(ctx, o)); len(o.groups) > 0 {
				err = r.p.l.cfg.Lazy.fetch(ctx, o, nil)
			}
		}
		var again error
		absent, again = r.absent(ctx, batch)
		if again != nil {
			err = again
		}
	}
	for _, w := range batch {
		if err != nil && absent == nil || w.lacks(absent) {
			r.miss(w.v, w.fetch)
		}
	}
}

type idSet map[chunk.ID]struct{}

func (w wanted) lacks(absent idSet) bool {
	for _, g := range w.parts {
		for _, id := range g.ids {
			if _, ok := absent[id]; ok {
				return true
			}
		}
	}
	return false
}

// absent are the ids of a batch that are not here durably.
func (r *round) absent(ctx context.Context, batch []wanted) (idSet, error) {
	var ids []chunk.ID
	for _, w := range batch {
		for _, g := range w.parts {
			ids = append(ids, g.ids...)
		}
	}
	missing, err := r.durable.Missing(ctx, ids)
	if err != nil {
		return nil, err
	}
	set := make(idSet, len(missing))
	for _, id := range missing {
		set[id] = struct{}{}
	}
	return set, nil
}

// order asks for what is absent of what is wanted.
func (r *round) order(batch []wanted, absent idSet) order {
	o := order{domain: r.domain, bucket: r.h.id, class: chunk.Data}
	asked := make(idSet, len(absent))
	for _, w := range batch {
		for _, g := range w.parts {
			if !w.fetch {
				continue
			}
			ids := slices.DeleteFunc(slices.Clone(g.ids), func(id chunk.ID) bool {
				_, want := absent[id]
				_, have := asked[id]
				asked[id] = struct{}{}
				return !want || have
			})
			if len(ids) > 0 {
				o.groups = append(o.groups, group{Reading: g.Reading, ids: ids})
			}
		}
	}
	return o
}

// promote makes durable what is cached.
func (r *round) promote(ctx context.Context, o order) {
	var ids, cached []chunk.ID
	for _, g := range o.groups {
		ids = append(ids, g.ids...)
	}
	missing, err := r.here.Missing(ctx, ids)
	if err != nil {
		return
	}
	for _, id := range ids { // both in the same order
		if len(missing) > 0 && missing[0] == id {
			missing = missing[1:]
		} else {
			cached = append(cached, id)
		}
	}
	if len(cached) == 0 {
		return
	}
	_ = r.durable.Get(ctx, cached, func(c chunk.Chunk) error { // what cannot be read is fetched
		return r.durable.Put(ctx, []chunk.Chunk{c})
	})
}

// still is what an order lacks now.
func (r *round) still(ctx context.Context, o order) idSet {
	w := wanted{parts: o.groups}
	set, err := r.absent(ctx, []wanted{w})
	if err != nil {
		return idSet{}
	}
	return set
}
