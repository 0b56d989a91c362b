// Package relay is a cable between two processes: it carries UDP datagrams over loopback, counts them each way, and can be cut.
//
// QUIC, with which segments are linked, goes through it unharmed and unread: what the relay counts is everything that one segment tells
// the other, headers and acknowledgements of QUIC included, those of IP and UDP not.
package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

const (
	// maxCallers bounds the sockets that face the target. The caller that came first makes room for one more.
	maxCallers = 64
	// socketBuffer holds a burst while the relay is not scheduled; the kernel may give less.
	socketBuffer = 4 << 20
	maxDatagram  = 64 << 10
)

// Traffic counts what was carried in one direction.
type Traffic struct{ Datagrams, Bytes uint64 }

// Count is what a relay has carried so far. Up is from callers to the target.
type Count struct {
	Up, Down Traffic
	Lost     uint64 // datagrams that met a cut
}

// Bytes is what was carried both ways.
func (c Count) Bytes() uint64 { return c.Up.Bytes + c.Down.Bytes }

// Relay carries datagrams between whoever calls it and one target. It is safe for concurrent use.
type Relay struct {
	front  *net.UDPConn
	target *net.UDPAddr
	cut    atomic.Bool
	up     counter
	down   counter
	lost   atomic.Uint64

	mu      sync.Mutex // guards what follows
	closed  bool
	callers map[netip.AddrPort]*net.UDPConn // each with a socket to the target, by which the target tells them apart
	order   []netip.AddrPort                // as they came
	wg      sync.WaitGroup
}

type counter struct{ datagrams, bytes atomic.Uint64 }

func (c *counter) add(datagrams, n int) {
	c.datagrams.Add(uint64(datagrams))
	c.bytes.Add(uint64(n))
}

func (c *counter) traffic() Traffic { return Traffic{c.datagrams.Load(), c.bytes.Load()} }

// Listen opens a relay to target, HOST:PORT, on a free port of loopback. The target need not be there yet, and may come and go.
func Listen(target string) (*Relay, error) {
	to, err := net.ResolveUDPAddr("udp", target)
	if err != nil {
		return nil, fmt.Errorf("relay to %s: %w", target, err)
	}
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("relay to %s: %w", target, err)
	}
	enlarge(front)
	r := &Relay{front: front, target: to, callers: map[netip.AddrPort]*net.UDPConn{}}
	r.wg.Go(r.carryUp)
	return r, nil
}

// enlarge asks for buffers that hold a burst. With the kernel's own the relay loses more, which QUIC repairs.
func enlarge(c *net.UDPConn) {
	_ = c.SetReadBuffer(socketBuffer)
	_ = c.SetWriteBuffer(socketBuffer)
}

// Addr is where the relay is called.
func (r *Relay) Addr() string { return r.front.LocalAddr().String() }

// Cut loses all datagrams from now on, both ways, and tells nobody: as a cable does.
func (r *Relay) Cut() { r.cut.Store(true) }

// Heal carries datagrams again.
func (r *Relay) Heal() { r.cut.Store(false) }

// Count is what was carried until now.
func (r *Relay) Count() Count {
	return Count{Up: r.up.traffic(), Down: r.down.traffic(), Lost: r.lost.Load()}
}

// Close ends the relay and waits for what it started.
func (r *Relay) Close() error {
	err := r.front.Close()
	r.mu.Lock()
	r.closed = true
	for _, c := range r.callers {
		c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
	return err
}

// carryUp takes what callers send to the target.
func (r *Relay) carryUp() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := r.front.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if r.cut.Load() {
			r.lost.Add(1)
			continue
		}
		back, err := r.facing(from)
		if err != nil {
			r.lost.Add(1)
			continue
		}
		// An error tells that the target is not there now: a datagram is then lost, as on any network.
		r.up.add(1, n) // first, so that who has the datagram finds it counted
		if _, err := back.Write(buf[:n]); err != nil {
			r.up.add(-1, -n)
		}
	}
}

// facing is the socket by which the target sees a caller.
func (r *Relay) facing(caller netip.AddrPort) (*net.UDPConn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.callers[caller]; c != nil {
		return c, nil
	}
	if r.closed {
		return nil, net.ErrClosed
	}
	if len(r.order) == maxCallers {
		r.callers[r.order[0]].Close()
		delete(r.callers, r.order[0])
		r.order = r.order[1:]
	}
	c, err := net.DialUDP("udp", nil, r.target)
	if err != nil {
		return nil, err
	}
	enlarge(c)
	r.callers[caller] = c
	r.order = append(r.order, caller)
	r.wg.Go(func() { r.carryDown(c, caller) })
	return c, nil
}

// carryDown takes what the target answers to a caller, until their socket is closed.
func (r *Relay) carryDown(c *net.UDPConn, caller netip.AddrPort) {
	buf := make([]byte, maxDatagram)
	for {
		n, err := c.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the target is not there now, and may come back
		}
		if r.cut.Load() {
			r.lost.Add(1)
			continue
		}
		r.down.add(1, n)
		if _, err := r.front.WriteToUDPAddrPort(buf[:n], caller); err != nil {
			r.down.add(-1, -n)
		}
	}
}
