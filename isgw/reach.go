package isgw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// bridge is how long a read waits for a link that was lost: a reconnect that is under way takes less.
	bridge = time.Second
	// deaf is how long a peer that sends heartbeats is not heard of when its link is as good as cut. The connection itself gives up later.
	deaf = beat + time.Second
	// glance is how often a wait looks whether it is of any use.
	glance = 250 * time.Millisecond
)

// errUnreached says that no peer could be asked or none answered: to ask once more, now, is of no use.
var errUnreached = errors.New("no peer is reached")

// inLine joins errors in one line, for a log.
func inLine(errs ...error) (all error) {
	for _, err := range errs {
		switch {
		case err == nil:
		case all == nil:
			all = err
		default:
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return all
}

// silent is how long nothing at all was heard of the peer, as far as was looked: heartbeats look regularly.
func (s *session) silent() time.Duration {
	received := s.conn.Stats().Received
	s.mu.Lock()
	defer s.mu.Unlock()
	if received > s.received {
		s.received, s.noticed = received, time.Now()
	}
	return min(time.Since(s.noticed), s.quiet())
}

func (s *session) deaf() bool { return s.silent() >= deaf }

// sessions are the peers that can be asked now: the nearest first, those not heard of last.
func (l *Lazy) sessions() (up []*session, why error) {
	l.mu.Lock()
	links := l.links
	l.mu.Unlock()
	if links == nil {
		return nil, errors.New("there are no links")
	}
	var down []error
	for _, k := range links.all() {
		if s := k.session(); s != nil {
			up = append(up, s)
		} else {
			down = append(down, k.whyDown())
		}
	}
	slices.SortStableFunc(up, func(a, b *session) int {
		return cmp.Or(cmp.Compare(max(a.silent(), deaf), max(b.silent(), deaf)), cmp.Compare(a.roundTrip(), b.roundTrip()))
	})
	return up, inLine(down...)
}

func (k *link) whyDown() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Errorf("the link to %s is %s: %s", k.to.Name, k.state, k.why)
}

// grace is for how long yet the link may come back as if it had not been lost.
func (k *link) grace() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.state == Refused, k.state == Version:
		return 0
	case k.current != nil: // it has ended just now
		return bridge
	}
	return bridge - time.Since(k.left)
}

// awaitPeer waits for some peer to be there, while a link is on its way. A link that has been cut for longer is not waited for: a client that asks
// for many keys is told so at once, each time.
func (l *Lazy) awaitPeer(ctx context.Context) error {
	began := time.Now()
	for {
		l.mu.Lock()
		links, came := l.links, l.came
		l.mu.Unlock()
		var grace time.Duration
		if links != nil {
			for _, k := range links.all() {
				if k.session() != nil {
					return nil
				}
				grace = max(grace, k.grace())
			}
		}
		if grace = min(grace, min(bridge, l.cfg.Timeout)-time.Since(began)); grace <= 0 {
			_, why := l.sessions()
			return fmt.Errorf("%w: %w", errUnreached, cmp.Or(why, errors.New("no segment is linked")))
		}
		t := time.NewTimer(grace)
		select {
		case <-came:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// peerCame tells those that wait for a peer.
func (l *Lazy) peerCame() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.came)
	l.came = make(chan struct{})
}

// slot waits for one of the fetches under way to end, no longer than that can be of use.
func (l *Lazy) slot(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	began := time.Now()
	t := time.NewTicker(min(glance, l.cfg.Timeout))
	defer t.Stop()
	for {
		select {
		case l.slots <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		waited := time.Since(began)
		if waited < min(bridge, l.cfg.Timeout) {
			continue
		}
		peers, _ := l.sessions()
		switch {
		case waited >= l.cfg.Timeout:
			l.counters.timeouts.Add(1)
			return fmt.Errorf("too many fetches are under way from %s: %w", namesOf(peers), errUnreached)
		case len(peers) == 0 || peers[0].deaf():
			return fmt.Errorf("nothing is heard of %s: %w", namesOf(peers), errUnreached)
		}
	}
}

func namesOf(peers []*session) string {
	var names []string
	for _, s := range peers {
		names = append(names, s.conn.Peer().Name)
	}
	if names == nil {
		return "any peer"
	}
	return strings.Join(names, ", ")
}

// patience ends a wait for one peer: when nothing came for as long as it may take, and sooner when the peer is not heard of either.
type patience struct {
	s     *session
	began time.Time // the reader's wait, for other peers and for a slot too
	limit time.Duration
	end   func(error)

	mu    sync.Mutex
	last  time.Time // when something came
	timer *time.Timer
	over  bool
}

func (s *session) patience(began time.Time, limit time.Duration, end func(error)) *patience {
	p := &patience{s: s, began: began, limit: limit, end: end, last: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(min(glance, limit), p.look)
	return p
}

// renew says that something came.
func (p *patience) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
}

func (p *patience) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.timer.Stop()
}

func (p *patience) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	waited := time.Since(p.last)
	silent := p.s.silent()
	switch {
	case waited >= p.limit:
		p.end(fmt.Errorf("nothing came for %v", p.limit))
	case silent >= deaf && time.Since(p.began) >= bridge:
		p.end(fmt.Errorf("nothing was heard of it for %v", silent.Round(100*time.Millisecond)))
	default:
		p.timer.Reset(min(glance, p.limit-waited))
	}
}
