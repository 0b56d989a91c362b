package memnet

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/transport"
)

// backlog is how many streams may be opened that the peer has not accepted.
const backlog = 1024

// conn is one end of a connection.
type conn struct {
	node   *node
	peer   identity.Member
	addr   string
	dialed bool
	pair   pair
	other  *conn

	ctx      context.Context
	cancel   context.CancelCauseFunc
	incoming chan *stream
	received atomic.Uint64 // bytes read
	wire     *wire         // shared by both ends
}

// wire is the way between two ends.
type wire struct {
	mu     sync.Mutex
	change *sync.Cond
	cut    bool
	ended  bool
	idle   *time.Timer
	closes []func() // what the far end learns after healing
}

func (n *Network) connect(from, to *node) (near, far *conn) {
	w := new(wire)
	w.change = sync.NewCond(&w.mu)
	p := pairOf(from.id.Segment, to.id.Segment)
	near = &conn{node: from, peer: to.member(), addr: to.addr, dialed: true, pair: p, wire: w, incoming: make(chan *stream, backlog)}
	far = &conn{node: to, peer: from.member(), addr: from.addr, pair: p, wire: w, incoming: make(chan *stream, backlog)}
	near.other, far.other = far, near
	near.ctx, near.cancel = context.WithCancelCause(context.Background())
	far.ctx, far.cancel = context.WithCancelCause(context.Background())
	n.mu.Lock()
	n.conns[near], n.conns[far] = struct{}{}, struct{}{}
	cut := n.link(p).healed != nil
	n.mu.Unlock()
	if cut {
		near.freeze(n.idle)
	}
	return near, far
}

func (c *conn) Peer() identity.Member    { return c.peer }
func (c *conn) Addr() string             { return c.addr }
func (c *conn) Dialed() bool             { return c.dialed }
func (c *conn) Context() context.Context { return c.ctx }

func (c *conn) Stats() transport.Stats {
	n := c.node.net
	n.mu.Lock()
	defer n.mu.Unlock()
	return transport.Stats{Sent: n.link(c.pair).bytes[c.node.id.Segment], Received: c.received.Load()}
}

func (c *conn) Close(code transport.Code, why string) {
	c.stop(&transport.CloseError{Code: code, Why: why})
	c.wire.deliver(func() { c.other.stop(&transport.CloseError{Code: code, Why: why, Remote: true}) })
}

// end breaks both ends.
func (c *conn) end(err error) {
	c.stop(err)
	c.other.stop(err)
}

// stop ends this end only.
func (c *conn) stop(err error) {
	c.cancel(err)
	n := c.node.net
	n.mu.Lock()
	delete(n.conns, c)
	n.mu.Unlock()
	c.wire.mu.Lock()
	c.wire.change.Broadcast()
	c.wire.mu.Unlock()
}

func (c *conn) err() error { return context.Cause(c.ctx) }

// deliver runs f now, or after healing.
func (w *wire) deliver(f func()) {
	w.mu.Lock()
	if w.cut && !w.ended {
		w.closes = append(w.closes, f)
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	f()
}

func (c *conn) freeze(idle time.Duration) {
	w := c.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return
	}
	w.cut = true
	w.idle = time.AfterFunc(idle, func() { c.lose() })
}

// lose is what both ends conclude after the idle time.
func (c *conn) lose() {
	c.wire.mu.Lock()
	if !c.wire.cut {
		c.wire.mu.Unlock()
		return
	}
	c.wire.ended = true
	c.wire.closes = nil
	c.wire.mu.Unlock()
	c.end(transport.ErrLost)
}

func (c *conn) thaw() {
	w := c.wire
	w.mu.Lock()
	if !w.cut || w.ended {
		w.mu.Unlock()
		return
	}
	w.cut = false
	w.idle.Stop()
	closes := w.closes
	w.closes = nil
	w.change.Broadcast()
	w.mu.Unlock()
	for _, f := range closes {
		f()
	}
}

func (c *conn) Open(ctx context.Context) (transport.Stream, error) {
	if c.ctx.Err() != nil {
		return nil, c.err()
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	there, back := c.pipe(c), c.pipe(c.other)
	near := &stream{conn: c, in: back, out: there}
	far := &stream{conn: c.other, in: there, out: back}
	var err error
	c.wire.deliver(func() {
		select {
		case c.other.incoming <- far:
		default:
			err = errors.New("too many streams")
		}
	})
	return near, err
}

func (c *conn) Accept(ctx context.Context) (transport.Stream, error) {
	select {
	case s := <-c.incoming:
		return s, nil
	case <-c.ctx.Done():
		return nil, c.err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
