package segment

import (
	"context"
	"fmt"
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
)

// answering is what a write that does a request notes of it.
type answering struct {
	name    RequestName
	forgets []Dot
	done    bool // a record was made for it
}

// note makes a record remember the request that c came with, if any, and how it was answered; own says that its outcome is the record's version.
func (c Cond) note(r *record, out outcome, own bool) {
	if c.request != nil {
		r.request = &answered{c.request.name, out, own, c.request.forgets}
		c.request.done = true
	}
}

// PayloadFunc opens what a request's payload is read from, on behalf of the nodes above it. What it yields is verified.
type PayloadFunc func(d chunk.Domain, path []chunk.ID) chunk.Store

// ServeRequest does a request of another segment, once however often it comes: under one name all get the first answer. Payload that it lacks
// it reads from remote, on behalf of the nodes above it, and has it durably before anything is written.
func (s *Segment) ServeRequest(ctx context.Context, r *Request, remote PayloadFunc) *Answer {
	f := &s.forwards
	f.mu.Lock()
	same, again := f.serving[r.Name]
	if !again {
		same = &serving{done: make(chan struct{})}
		f.serving[r.Name] = same
	}
	f.mu.Unlock()
	if again { // the first may have been given up: then this one is told that nothing is known, and comes again
		select {
		case <-same.done:
			return same.answer
		case <-ctx.Done():
			return &Answer{code: unavailable, why: ctx.Err().Error()}
		}
	}
	same.answer = s.serveRequest(ctx, r, remote)
	f.mu.Lock()
	delete(f.serving, r.Name)
	f.mu.Unlock()
	close(same.done)
	return same.answer
}

func (s *Segment) serveRequest(ctx context.Context, r *Request, remote PayloadFunc) *Answer {
	b := s.bucket(r.Bucket)
	if b == nil || !b.Linked() || b.id == FederationBucket {
		return &Answer{code: refusalOf(ErrNoSuchBucket), why: fmt.Sprintf("bucket %v: %v", r.Bucket, ErrNoSuchBucket)}
	}
	a := new(Answer)
	err := r.check()
	if err == nil && b.elsewhere() {
		err = b.notHome(b.Settings())
	}
	if err == nil && r.put != nil {
		list, stores := b.list()
		defer list.End()
		err = b.bring(ctx, r, stores.Data, remote)
	}
	if err == nil {
		a.outcome, a.acked, err = b.performAcked(ctx, r)
	}
	if a.code = refusalOf(err); err != nil {
		a.why = err.Error()
	}
	a.seen = b.Seen()
	return a
}

// perform does a request here.
func (b *Bucket) perform(ctx context.Context, r *Request) (outcome, error) {
	out, _, err := b.performAcked(ctx, r)
	return out, err
}

// performAcked also says whether what the request acknowledges is forgotten.
func (b *Bucket) performAcked(ctx context.Context, r *Request) (out outcome, acked bool, err error) {
	all := b.doneNow()
	if d, ok := all.find(r.Name); ok {
		return d.outcome, false, nil
	}
	forgets := all.forgettable(r.acks, b.s.clock.now())
	if len(all)-len(forgets) >= maxDone {
		return out, false, fmt.Errorf("too many requests have not been acknowledged: %w", ErrUnavailable)
	}
	c := r.cond
	c.request = &answering{name: r.Name, forgets: forgets}
	if r.task != nil {
		out, err = r.task.do(ctx, b, r, c)
		if d, ok := b.doneNow().find(r.Name); ok && err == nil { // the first answer is the one that is remembered
			out = d.outcome
		}
		return out, c.request.done && err == nil, err
	}
	switch r.verb {
	case verbPut:
		var v Version
		v, err = b.put(ctx, c, r.template(), r.chunks(b.domain))
		out = outcome{version: v.VersionID, null: v.Null}
	case verbDelete:
		var d Deleted
		d, err = b.Delete(ctx, r.key, c)
		out = d.outcome()
	case verbRemove:
		var d Deleted
		d, err = b.Remove(ctx, r.key, r.ref, c)
		out = d.outcome()
	case verbResolve:
		var v Version
		v, err = b.Resolve(ctx, r.key, r.ref, c)
		out = outcome{version: v.VersionID, null: v.Null, marker: v.Marker}
	}
	return out, c.request.done && err == nil, err
}

func (d Deleted) outcome() outcome {
	return outcome{version: d.Version, null: d.Null, marker: d.Marker}
}

func (o outcome) deleted() Deleted { return Deleted{o.marker, o.version, o.null} }

// bring makes all payload of a request durable here but what comes with it: what is here is not asked for.
func (b *Bucket) bring(ctx context.Context, r *Request, into chunk.Store, remote PayloadFunc) error {
	carried := map[chunk.ID]bool{}
	for _, c := range r.chunks(b.domain) {
		carried[c.ID()] = true
	}
	nodes := dedup.NewReader(func(path []chunk.ID) chunk.Store {
		return bringing{into, remote(b.domain, slices.Clone(path))}
	}, r.put.Content)
	var path, ids []chunk.ID
	flush := func() error {
		if len(ids) == 0 {
			return nil
		}
		err := bringing{into, remote(b.domain, path)}.bring(ctx, ids)
		ids = nil
		return err
	}
	for p, err := range nodes.Pieces(ctx) {
		if err != nil {
			return fmt.Errorf("payload from the one who asks: %w", err)
		}
		if p.Level > 0 || carried[p.ID] {
			continue
		}
		if len(ids) == maxBring || len(ids) > 0 && !slices.Equal(path, p.Path) {
			if err := flush(); err != nil {
				return err
			}
		}
		if len(ids) == 0 {
			path = slices.Clone(p.Path)
		}
		ids = append(ids, p.ID)
	}
	return flush()
}

const (
	maxBring   = 64      // chunks of one request for payload
	bringBytes = 1 << 20 // that are put at one time, about
)

// bringing is a durable store that gets what it lacks from another and keeps it.
type bringing struct {
	chunk.Store
	remote chunk.Store
}

func (s bringing) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	if err := s.bring(ctx, ids); err != nil {
		return err
	}
	return s.Store.Get(ctx, ids, yield)
}

// bring makes chunks durable.
func (s bringing) bring(ctx context.Context, ids []chunk.ID) error {
	missing, err := s.Missing(ctx, ids)
	if err != nil || len(missing) == 0 {
		return err
	}
	var got []chunk.Chunk
	size := 0
	put := func() error {
		err := s.Put(ctx, got)
		got, size = nil, 0
		return err
	}
	err = s.remote.Get(ctx, missing, func(c chunk.Chunk) error {
		got = append(got, c.Clone())
		if size += c.Size(); size < bringBytes {
			return nil
		}
		return put()
	})
	if err == nil {
		err = put()
	}
	if err != nil {
		return fmt.Errorf("payload from the one who asks: %w", err)
	}
	return nil
}
