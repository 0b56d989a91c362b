package isgw

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

const (
	dialTime   = 5 * time.Second
	backoffMin = 200 * time.Millisecond
	backoffMax = 3 * time.Second
)

// State is how a link is.
type State string

const (
	Connecting State = "connecting" // never up since the start
	Up         State = "up"
	Cut        State = "cut"     // was up, or could have been
	Clock      State = "clock"   // up, but the peer's stamps are too far ahead: receiving waits
	Refused    State = "refused" // one side does not want the other
	Version    State = "version" // no common version of the protocol
)

// link is the link to one peer: it keeps one session with it going.
type link struct {
	l        *Links
	id       segment.ID
	ctx      context.Context
	cancel   context.CancelCauseFunc
	arrivals chan *session // sessions whose handshake is done
	wake     chan struct{} // dial at once
	patient  bool          // let the peer dial first: it has joined just now, and is opened again
	traffic  traffic
	gap      gap // what the peer has not acknowledged

	mu      sync.Mutex
	to      Peer
	state   State
	why     string
	since   time.Time
	last    error
	wasUp   bool
	current *session
	left    time.Time                  // when the last session ended, or the link was made
	held    wire.Buckets               // as far as is known, also while the link is cut
	behind  wire.Lag                   // how far this segment is behind the peer, as the peer last said
	heard   time.Time                  // when it said so
	reasons map[segment.BucketID]error // why buckets are not received, as far as was found out since the start
}

func newLink(l *Links, p Peer) *link {
	k := &link{l: l, id: p.Segment, to: p, arrivals: make(chan *session), wake: make(chan struct{}, 1)}
	k.state, k.since, k.left = Connecting, l.cfg.Clock(), time.Now()
	k.held, k.reasons = wire.Buckets{}, map[segment.BucketID]error{}
	k.ctx, k.cancel = context.WithCancelCause(context.Background())
	return k
}

func (k *link) peer() Peer {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.to
	p.Addresses = slices.Clone(p.Addresses)
	return p
}

func (k *link) setPeer(p Peer) {
	k.mu.Lock()
	if len(p.Addresses) == 0 {
		p.Addresses = k.to.Addresses
	}
	k.to = p
	k.mu.Unlock()
	k.poke()
}

// poke makes the link dial without waiting any longer.
func (k *link) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// leave ends the link; run returns soon.
func (k *link) leave() { k.cancel(transport.ErrClosed) }

// session is the one that goes on now, or nil.
func (k *link) session() *session {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == nil || k.current.conn.Context().Err() != nil {
		return nil
	}
	return k.current
}

// run keeps a session going until the link ends.
func (k *link) run() {
	var dials sync.WaitGroup
	defer dials.Wait()
	backoff := backoffMin
	if k.patient {
		for s := k.pause(backoffMax); s != nil; {
			s = k.hold(s)
		}
	}
	for k.ctx.Err() == nil {
		s, err := k.connect(&dials)
		if s == nil {
			k.down(err)
			if s = k.pause(backoff); s == nil {
				backoff = min(2*backoff, backoffMax)
				continue
			}
		}
		backoff = backoffMin
		for s != nil {
			s = k.hold(s)
		}
	}
}

// connect dials, unless the peer does meanwhile. It returns nil when dialling failed.
func (k *link) connect(dials *sync.WaitGroup) (*session, error) {
	addresses := k.peer().Addresses
	if len(addresses) == 0 {
		return nil, errNoAddress
	}
	failed := make(chan error, 1)
	dials.Go(func() {
		s, err := k.dial(addresses)
		if err != nil {
			failed <- err
			return
		}
		k.offer(s)
	})
	select {
	case s := <-k.arrivals:
		return s, nil // a dial that succeeds after it is judged as a second session
	case err := <-failed:
		return nil, err
	case <-k.ctx.Done():
		return nil, context.Cause(k.ctx)
	}
}

var errNoAddress = errors.New("the peer has no address known here: waiting for it to dial")

func (k *link) dial(addresses []string) (*session, error) {
	var errs []error
	for _, a := range addresses {
		ctx, cancel := context.WithTimeout(k.ctx, dialTime)
		c, err := k.l.net.Dial(ctx, a, k.id)
		if err == nil {
			var s *session
			if s, err = k.handshake(ctx, c); err == nil {
				cancel()
				return s, nil
			}
		}
		cancel()
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// pause waits between two dials, for the peer to dial, too.
func (k *link) pause(d time.Duration) *session {
	d += rand.N(d/2 + 1)
	if len(k.peer().Addresses) == 0 {
		d = time.Hour
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case s := <-k.arrivals:
		return s
	case <-t.C:
	case <-k.wake:
	case <-k.ctx.Done():
	}
	return nil
}

// offer hands a session to run, which may already have a better one.
func (k *link) offer(s *session) {
	select {
	case k.arrivals <- s:
	case <-k.ctx.Done():
		s.conn.Close(transport.Leaving, "segment stops")
	case <-s.conn.Context().Done():
	}
}

// hold runs a session until it ends, and returns the one that took its place, if any.
func (k *link) hold(s *session) *session {
	k.up(s)
	done := make(chan error, 1)
	go func() { done <- s.run(k.ctx) }()
	next, err := k.watch(s, done)
	k.mu.Lock()
	k.current, k.left = nil, time.Now()
	k.mu.Unlock()
	var closed *transport.CloseError
	switch {
	case next != nil:
		return next
	case errors.As(err, &closed) && closed.Code == transport.Duplicate && closed.Remote: // the other connection is on its way
		return k.pause(backoffMin)
	}
	k.down(err)
	return nil
}

// watch returns when s has ended: with the session that took its place, or why it ended.
func (k *link) watch(s *session, done <-chan error) (next *session, err error) {
	for {
		select {
		case err := <-done:
			return nil, err
		case n := <-k.arrivals:
			if !n.supersedes(s) {
				n.conn.Close(transport.Duplicate, "another connection is kept")
				continue
			}
			s.conn.Close(transport.Duplicate, "another connection is kept")
			<-done
			return n, nil
		}
	}
}

func (k *link) up(s *session) {
	if p := k.l.prefetch; p != nil {
		p.again()
	}
	if z := k.l.cfg.Lazy; z != nil {
		defer z.peerCame()
	}
	if c := k.l.cfg.Copies; c != nil {
		defer c.peerCame()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current, k.wasUp = s, true
	k.to.Name = s.conn.Peer().Name
	k.become(Up, "", nil)
	signal(k.l.snapshots)
}

// down says why there is no session.
func (k *link) down(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case errors.Is(err, errNoAddress):
		state := Connecting
		if k.wasUp {
			state = Cut
		}
		k.become(state, err.Error(), k.last)
	case errors.Is(err, transport.ErrRefused):
		k.become(Refused, reason(err), err)
	case errors.Is(err, transport.ErrVersion):
		k.become(Version, reason(err), err)
	default:
		k.become(Cut, reason(err), err)
	}
}

// become changes the state. The caller holds mu.
func (k *link) become(state State, why string, last error) {
	if state != k.state {
		k.since = k.l.cfg.Clock()
		if k.ctx.Err() == nil {
			k.l.log.Info("link", "peer", k.to.Name, "state", string(state), "why", why)
		}
	}
	k.state, k.why = state, why
	if last != nil {
		k.last = last
	}
}

// receiving says whether the peer's clock lets its records in.
func (k *link) receiving(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.current == nil:
	case errors.Is(err, segment.ErrClockAhead):
		k.become(Clock, err.Error(), err)
	case k.state == Clock:
		k.become(Up, "", nil)
	}
}

func reason(err error) string {
	if err == nil {
		return "the connection ended"
	}
	var e *transport.CloseError
	if errors.As(err, &e) && e.Remote {
		return fmt.Sprintf("the peer closed: %s", e.Why)
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}
