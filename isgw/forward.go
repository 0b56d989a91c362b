package isgw

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

const (
	// maxForwards bounds the requests of one peer that are done at one time; more of them wait.
	maxForwards = 64
	// homeSilence is how long nothing may come of a home that is heard of: it takes payload in meanwhile.
	homeSilence = time.Hour
)

// Forward hands a write to the home of a bucket, as segment.Config.Forward wants it. The home needs a link of its own with this segment: nobody
// passes requests on.
func (l *Lazy) Forward(ctx context.Context, home segment.ID, r *segment.Request) (*segment.Answer, error) {
	s, err := l.sessionOf(home, r.Protocol())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, segment.ErrNotAsked)
	}
	return s.forward(ctx, r)
}

// sessionOf is the session with a peer that can be handed requests of a version of the protocol.
func (l *Lazy) sessionOf(peer segment.ID, protocol uint64) (*session, error) {
	l.mu.Lock()
	links := l.links
	l.mu.Unlock()
	if links == nil {
		return nil, errors.New("there are no links")
	}
	k := links.linkTo(peer)
	if k == nil {
		return nil, fmt.Errorf("%s: %w", links.seg.SegmentName(peer), ErrNoLink)
	}
	s := k.session()
	switch {
	case s == nil:
		return nil, k.whyDown()
	case s.deaf():
		return nil, fmt.Errorf("nothing is heard of %s", s.conn.Peer().Name)
	case s.hello.Protocol < protocol:
		return nil, fmt.Errorf("%s is of an older build, which takes no such requests", s.conn.Peer().Name)
	}
	return s, nil
}

// forward sends a request and waits for its answer, as long as the peer is heard of.
func (s *session) forward(ctx context.Context, r *segment.Request) (*segment.Answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	waiting := s.patience(time.Now(), homeSilence, func(err error) { cancel(err) })
	defer waiting.stop()
	x, done, err := s.ask(ctx, &wire.Request{Forward: r.Append(nil)}, payloadBytes)
	if err != nil { // perhaps sent in part, which is not answered
		return nil, fmt.Errorf("ask %s: %w", s.conn.Peer().Name, err)
	}
	defer done()
	var a wire.Answer
	if err := x.in.Read(&a, wire.MaxControl); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("ask %s: %w", s.conn.Peer().Name, err)
	}
	return segment.ParseAnswer(a.Body)
}

// serveForward does a request of the peer. It is given up when the peer has given up, as long as nothing is written.
func (s *session) serveForward(ctx context.Context, x exchange, body []byte) error {
	r, err := segment.ParseRequest(body)
	if err != nil {
		return fmt.Errorf("%w: %w", err, wire.ErrMalformed)
	}
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() { // the peer sends no more, and ends the stream when it has its answer
		var none wire.Answer
		_ = x.in.Read(&none, 1)
		cancel()
	})
	defer ended.Wait()
	defer x.stream.Abort() // what was written before the stream's end still comes
	defer cancel()
	defer x.stream.CloseWrite()
	select {
	case s.forwards <- struct{}{}:
		defer func() { <-s.forwards }()
	case <-ctx.Done():
		return ctx.Err()
	}
	answer := s.k.l.seg.ServeRequest(ctx, r, func(d chunk.Domain, path []chunk.ID) chunk.Store { return requested{s, d, r, path} })
	return x.out.Write(&wire.Answer{Body: answer.Append(nil)})
}

// requested reads the payload of a request from the peer that made it. What it yields is verified.
type requested struct {
	s      *session
	domain chunk.Domain
	r      *segment.Request
	path   []chunk.ID
}

func (q requested) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	f := &wire.Fetch{Bucket: q.r.Bucket, Groups: []wire.Group{{Request: q.r.Name, Path: q.path, IDs: ids}}}
	came := make([]bool, len(ids))
	statuses, err := q.s.fetch(ctx, f, func(pieces []wire.Piece) error {
		for _, p := range pieces {
			c, err := q.domain.Verify(ids[p.Index], p.Data)
			if err != nil {
				return err
			}
			if came[p.Index] {
				return fmt.Errorf("a chunk came twice: %w", wire.ErrMalformed)
			}
			came[p.Index] = true
			if err := yield(c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, ok := range came {
		if !ok {
			return fmt.Errorf("chunk %v of a request did not come, status %d: %w", ids[i], statuses[0], chunk.ErrUnavailable)
		}
	}
	return nil
}

func (q requested) Put(context.Context, []chunk.Chunk) error { panic("a peer's store is read") }

func (q requested) Missing(context.Context, []chunk.ID) ([]chunk.ID, error) {
	panic("a peer's store is read")
}
