package isgw

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

const (
	handshakeTime = 10 * time.Second
	beat          = 2 * time.Second
	beatGap       = 100 * time.Millisecond
	silence       = 15 * time.Second // without a heartbeat: the peer's process is stuck
	maxServed     = 256              // streams served at one time; the transport bounds them too
)

// session is one connection to a peer whose handshake is done. It ends with the connection.
type session struct {
	k       *link
	conn    transport.Conn
	control transport.Stream
	in      *wire.Reader
	out     *wire.Writer
	hello   wire.Hello // the peer's

	heard atomic.Int64 // when, in nanoseconds of time.Now
	rtt   atomic.Int64
	skew  atomic.Int64 // the peer's clock minus ours, in nanoseconds

	taking  sync.Mutex    // held while the feed moves on
	syncing chan struct{} // one for each sync that the peer is served
	copies  *asker        // of the peer, to hold what was written here
	asked   chan struct{} // one for each stream of such asks of the peer's

	forwards chan struct{} // one for each of its requests that is done here

	mu   sync.Mutex
	seen wire.Buckets // what the peer is known to have seen; entries are replaced, never changed
	last wire.Heartbeat
	at   time.Time // when it came

	received uint64    // bytes of the connection, when it was looked
	noticed  time.Time // that there were more of them
}

// handshake exchanges hellos on a new connection, and closes it when nothing comes of that.
func (k *link) handshake(ctx context.Context, c transport.Conn) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.Close(transport.Lost, "no handshake in time") })
	defer stop()
	s := &session{k: k, conn: c, seen: wire.Buckets{}, syncing: make(chan struct{}, maxSyncs), forwards: make(chan struct{}, maxForwards)}
	s.copies, s.asked = newAsker(), make(chan struct{}, 1)
	err := s.greet(ctx)
	if err == nil {
		err = s.check()
	}
	if err == nil { // before it is told anything that it may ask for later
		err = k.l.seg.Shared(ctx, s.hello.Segment, c.Peer().Name)
	}
	if err == nil {
		// If the peer has seen more of this segment than it knows itself, a new life begins before anything is served.
		err = k.l.seg.SelfSeen(ctx, s.hello.Seen)
	}
	if err != nil {
		if cause := context.Cause(c.Context()); cause != nil {
			err = cause // says more than the error of a stream
		}
		c.Close(codeOf(err), err.Error())
		return nil, fmt.Errorf("handshake with %s: %w", c.Peer().Name, err)
	}
	s.heard.Store(time.Now().UnixNano())
	s.silent()
	for id, seen := range s.hello.Seen {
		s.seen[id] = seen
	}
	return s, nil
}

func codeOf(err error) transport.Code {
	switch {
	case errors.Is(err, transport.ErrVersion):
		return transport.Version
	case errors.Is(err, wire.ErrMalformed):
		return transport.Protocol
	}
	return transport.Leaving
}

// greet opens or takes the control stream; who dialled speaks first.
func (s *session) greet(ctx context.Context) (err error) {
	if !s.conn.Dialed() {
		if s.control, err = s.conn.Accept(ctx); err != nil {
			return err
		}
		s.meter(s.control, controlBytes)
		var r wire.Request
		if err := s.in.Read(&r, wire.MaxControl); err != nil {
			return err
		}
		if r.Hello == nil {
			return fmt.Errorf("no hello: %w", wire.ErrMalformed)
		}
		s.hello = *r.Hello
		return s.out.Write(s.k.l.hello())
	}
	if s.control, err = s.conn.Open(ctx); err != nil {
		return err
	}
	s.meter(s.control, controlBytes)
	if err := s.out.Write(&wire.Request{Hello: s.k.l.hello()}); err != nil {
		return err
	}
	return s.in.Read(&s.hello, wire.MaxControl)
}

func (s *session) meter(stream transport.Stream, kind kind) {
	m := s.k.traffic.meter(stream, kind)
	s.in, s.out = wire.NewReader(m), wire.NewWriter(m)
}

func (l *Links) hello() *wire.Hello {
	return &wire.Hello{
		Protocol: wire.Protocol, MinProtocol: wire.MinProtocol,
		Segment: l.seg.ID(), Inc: l.seg.Origin().Inc, Process: l.process,
		Addresses: l.Addresses(), Clock: l.cfg.Clock(),
		Seen: wire.Buckets(l.seg.LinkedBuckets()),
	}
}

func (s *session) check() error {
	h := &s.hello
	if h.Protocol < wire.MinProtocol || h.MinProtocol > wire.Protocol {
		return fmt.Errorf("the peer speaks versions %d to %d, this segment %d to %d: %w",
			h.MinProtocol, h.Protocol, wire.MinProtocol, wire.Protocol, transport.ErrVersion)
	}
	if h.Segment != s.conn.Peer().Segment {
		return fmt.Errorf("the hello is of segment %v: %w", h.Segment, wire.ErrMalformed)
	}
	return nil
}

// supersedes says whether s is to take the place of another session with the same peer. Both sides come to the same answer: of two
// connections of the same two processes, the one that the smaller segment dialled stays; of one direction, or when a process has
// restarted or the old connection is silent, the newer.
func (s *session) supersedes(old *session) bool {
	if s.hello.Process != old.hello.Process || s.preferred() == old.preferred() || old.quiet() > 2*beat {
		return true
	}
	return s.preferred()
}

func (s *session) preferred() bool {
	return s.conn.Dialed() == (s.k.l.seg.ID() < s.k.id)
}

func (s *session) quiet() time.Duration {
	return time.Duration(time.Now().UnixNano() - s.heard.Load())
}

// run serves the peer and receives from it until the connection ends, and returns why it did.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	end := func(code transport.Code, err error) {
		s.conn.Close(code, err.Error()) // only the first close counts
		cancel()
	}
	stop := context.AfterFunc(ctx, func() { end(transport.Leaving, s.k.l.leaving()) })
	defer stop()
	for _, f := range []func(context.Context) error{s.serveAll, s.beats, s.listen, s.receive, s.catchUp, s.heal, s.askCopies} {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				end(codeOf(err), err)
			}
		})
	}
	<-s.conn.Context().Done()
	cancel()
	wg.Wait()
	s.k.gap.cut()
	return context.Cause(s.conn.Context())
}

// leaving is why this side ends a session that is well.
func (l *Links) leaving() error {
	if l.ctx.Err() != nil {
		return fmt.Errorf("%s stops", l.cfg.Identity.Name)
	}
	return fmt.Errorf("the link was removed at %s", l.cfg.Identity.Name)
}

// serveAll answers the streams that the peer opens.
func (s *session) serveAll(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	room := make(chan struct{}, maxServed)
	for {
		stream, err := s.conn.Accept(ctx)
		if err != nil {
			return err
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			stream.Abort()
			return context.Cause(ctx)
		}
		wg.Go(func() {
			defer func() { <-room }()
			defer stream.Abort()
			if err := s.serve(ctx, stream); err != nil && ctx.Err() == nil {
				s.k.l.log.Debug("a request of a peer failed", "peer", s.conn.Peer().Name, "error", err)
			}
		})
	}
}

// serve answers one stream.
func (s *session) serve(ctx context.Context, stream transport.Stream) error {
	var r wire.Request
	m := s.k.traffic.meter(stream, controlBytes)
	in := wire.NewReader(m)
	if err := in.Read(&r, wire.MaxControl); err != nil {
		return err
	}
	x := exchange{m, in, wire.NewWriter(m)}
	switch {
	case r.Subscribe != nil:
		m.become(feedBytes)
		return s.serveFeed(ctx, x, r.Subscribe.From)
	case r.Survey:
		m.become(syncBytes)
		return s.serveSurvey(x)
	case r.Sync != nil:
		m.become(syncBytes)
		return s.serveSync(ctx, x, r.Sync)
	case r.Copies:
		return s.serveCopies(ctx, x)
	case r.Fetch != nil:
		m.become(payloadBytes)
		return s.serveFetch(ctx, x, r.Fetch)
	case r.Forward != nil:
		m.become(payloadBytes)
		return s.serveForward(ctx, x, r.Forward)
	}
	return fmt.Errorf("a request of an unknown kind: %w", wire.ErrMalformed)
}

// exchange is one stream with its frames.
type exchange struct {
	stream *metered
	in     *wire.Reader
	out    *wire.Writer
}

// ask opens a stream and writes a request. The stream is aborted when ctx ends; the caller calls done in the end.
func (s *session) ask(ctx context.Context, r *wire.Request, kind kind) (x exchange, done func(), err error) {
	stream, err := s.conn.Open(ctx)
	if err != nil {
		return x, nil, err
	}
	stop := context.AfterFunc(ctx, stream.Abort)
	done = func() {
		stop()
		stream.Abort()
	}
	m := s.k.traffic.meter(stream, kind)
	x = exchange{m, wire.NewReader(m), wire.NewWriter(m)}
	if err := x.out.Write(r); err != nil {
		done()
		return x, nil, err
	}
	return x, done, nil
}

// knows notes that the peer has seen a write, or more.
func (s *session) knows(id segment.BucketID, d segment.Dot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.seen[id]; !c.Has(d) {
		s.seen[id] = c.With(d)
	}
}

func (s *session) knowsAll(id segment.BucketID, seen segment.Vector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.seen[id]; !c.Covers(seen) {
		s.seen[id] = c.Join(seen)
	}
}

// peerSeen is what the peer is known to have seen of a bucket.
func (s *session) peerSeen(id segment.BucketID) segment.Vector {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[id]
}
