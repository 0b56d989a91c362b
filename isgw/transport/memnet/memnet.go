// Package memnet is a network of segments in memory, for tests: deterministic but for the scheduler, right under testing/synctest, with links
// that can be cut and healed.
//
// A cut link loses nothing and delivers nothing, as a real one whose packets vanish: what is under way arrives after healing, and a
// connection that hears nothing for the network's idle time ends on both sides with transport.ErrLost.
package memnet

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/segment"
)

// Window is how many bytes a stream takes that its reader has not read.
const Window = 1 << 20

// Network joins nodes. Make one with [New].
type Network struct {
	idle time.Duration

	mu    sync.Mutex
	nodes map[string]*node
	links map[pair]*link
	conns map[*conn]struct{}
}

// New makes a network whose cut connections end after idle.
func New(idle time.Duration) *Network {
	return &Network{idle: idle, nodes: map[string]*node{}, links: map[pair]*link{}, conns: map[*conn]struct{}{}}
}

// pair is two segments, the smaller first.
type pair [2]segment.ID

func pairOf(a, b segment.ID) pair { return pair{min(a, b), max(a, b)} }

// link is what all connections of a pair share.
type link struct {
	healed chan struct{} // nil while not cut; closed by Heal
	bytes  map[segment.ID]uint64
}

func (n *Network) link(p pair) *link {
	l := n.links[p]
	if l == nil {
		l = &link{bytes: map[segment.ID]uint64{}}
		n.links[p] = l
	}
	return l
}

// Cut stops everything between two segments.
func (n *Network) Cut(a, b segment.ID) {
	n.mu.Lock()
	l := n.link(pairOf(a, b))
	if l.healed == nil {
		l.healed = make(chan struct{})
	}
	conns := n.between(pairOf(a, b))
	n.mu.Unlock()
	for _, c := range conns {
		c.freeze(n.idle)
	}
}

// Heal lets it go on.
func (n *Network) Heal(a, b segment.ID) {
	n.mu.Lock()
	l := n.link(pairOf(a, b))
	if l.healed != nil {
		close(l.healed)
		l.healed = nil
	}
	conns := n.between(pairOf(a, b))
	n.mu.Unlock()
	for _, c := range conns {
		c.thaw()
	}
}

// Break ends all connections between two segments at once, on both sides.
func (n *Network) Break(a, b segment.ID) {
	n.mu.Lock()
	conns := n.between(pairOf(a, b))
	n.mu.Unlock()
	for _, c := range conns {
		c.end(transport.ErrLost)
	}
}

// Sent is the number of bytes of streams that have gone from one segment to another.
func (n *Network) Sent(from, to segment.ID) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.link(pairOf(from, to)).bytes[from]
}

// Connections is the number of connections between two segments.
func (n *Network) Connections(a, b segment.ID) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.between(pairOf(a, b))) / 2
}

func (n *Network) between(p pair) (conns []*conn) {
	for c := range n.conns {
		if c.pair == p {
			conns = append(conns, c)
		}
	}
	return conns
}

// Join makes a member reachable at an address; an empty one only dials. Members of different federations refuse each other.
func (n *Network) Join(id *identity.Identity, addr string) (transport.Net, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	v := &node{net: n, id: id, addr: addr, accepted: make(chan *conn), ctx: ctx, cancel: cancel}
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr == "" {
		return v, nil
	}
	if n.nodes[addr] != nil {
		return nil, fmt.Errorf("address %s is taken", addr)
	}
	n.nodes[addr] = v
	return v, nil
}

type node struct {
	net      *Network
	id       *identity.Identity
	addr     string
	accepted chan *conn
	ctx      context.Context
	cancel   context.CancelCauseFunc
}

func (v *node) Addr() string { return v.addr }

func (v *node) member() identity.Member {
	return identity.Member{Segment: v.id.Segment, Name: v.id.Name}
}

// Close ends all connections of the node.
func (v *node) Close() error {
	v.net.mu.Lock()
	if v.net.nodes[v.addr] == v {
		delete(v.net.nodes, v.addr)
	}
	var mine []*conn
	for c := range v.net.conns {
		if c.node == v {
			mine = append(mine, c)
		}
	}
	v.net.mu.Unlock()
	v.cancel(transport.ErrClosed)
	for _, c := range mine {
		c.Close(transport.Leaving, "segment stops")
	}
	return nil
}

func (v *node) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case c := <-v.accepted:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-v.ctx.Done():
		return nil, transport.ErrClosed
	}
}

func (v *node) Dial(ctx context.Context, addr string, want segment.ID) (transport.Conn, error) {
	n := v.net
	n.mu.Lock()
	to := n.nodes[addr]
	n.mu.Unlock()
	if to == nil || to == v {
		return nil, fmt.Errorf("dial %s: nobody listens there: %w", addr, transport.ErrLost)
	}
	if err := v.pass(ctx, pairOf(v.id.Segment, to.id.Segment)); err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	if to.id.Fingerprint() != v.id.Fingerprint() || to.id.Segment != want {
		return nil, fmt.Errorf("dial %s: %w", addr, transport.ErrRefused)
	}
	near, far := n.connect(v, to)
	select {
	case to.accepted <- far:
		return near, nil
	case <-ctx.Done():
		near.end(transport.ErrLost)
		return nil, context.Cause(ctx)
	case <-v.ctx.Done():
		near.end(transport.ErrLost)
		return nil, transport.ErrClosed
	case <-to.ctx.Done():
		near.end(transport.ErrLost)
		return nil, fmt.Errorf("dial %s: %w", addr, transport.ErrLost)
	}
}

// pass waits while the link is cut.
func (v *node) pass(ctx context.Context, p pair) error {
	for {
		v.net.mu.Lock()
		healed := v.net.link(p).healed
		v.net.mu.Unlock()
		if healed == nil {
			return nil
		}
		select {
		case <-healed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", transport.ErrLost, context.Cause(ctx))
		case <-v.ctx.Done():
			return transport.ErrClosed
		}
	}
}
