// Package quicnet is the transport between segments over QUIC (RFC 9000) with mutual TLS 1.3 under the federation's authority.
//
// A segment has one UDP socket: links are told from requests to join by the application protocol (RFC 7301) they ask for, and what the
// segment dials goes out of the same port.
package quicnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/segment"
	"github.com/quic-go/quic-go"
)

const (
	joinTime = 10 * time.Second
	maxJoins = 16 // at one time
)

// Config says how to open a [Net].
type Config struct {
	Identity *identity.Identity
	// Listen is HOST:PORT; port 0 is any free one. Empty only dials.
	Listen string
	// Join serves a segment that asks to join. Without it the transport knows no joining.
	Join func(from string, rw io.ReadWriter)
	Log  *slog.Logger
}

// Net is a [transport.Net].
type Net struct {
	id   *identity.Identity
	join func(from string, rw io.ReadWriter)
	log  *slog.Logger

	socket   *net.UDPConn
	quic     *quic.Transport
	listener *quic.Listener // nil when it only dials
	accepted chan *conn
	joins    chan struct{} // a token for each that is served

	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	close  func() error
}

var _ transport.Net = (*Net)(nil)

// Open takes the socket and begins to listen.
func Open(c Config) (*Net, error) {
	addr := &net.UDPAddr{}
	if c.Listen != "" {
		var err error
		if addr, err = net.ResolveUDPAddr("udp", c.Listen); err != nil {
			return nil, fmt.Errorf("listen for links on %s: %w", c.Listen, err)
		}
	}
	socket, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for links on %s: %w", c.Listen, err)
	}
	n := &Net{id: c.Identity, join: c.Join, log: c.Log, socket: socket, accepted: make(chan *conn), joins: make(chan struct{}, maxJoins)}
	n.close = sync.OnceValue(n.closeOnce)
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	// A peer whose connection a restart has forgotten learns of it at its next packet, not by silence.
	reset := quic.StatelessResetKey(c.Identity.Key("quic stateless reset"))
	n.quic = &quic.Transport{Conn: socket, StatelessResetKey: &reset}
	if c.Listen == "" {
		return n, nil
	}
	if n.listener, err = n.quic.Listen(n.serverTLS(), quicConfig()); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for links on %s: %w", c.Listen, err), n.quic.Close(), socket.Close())
	}
	n.wg.Go(n.acceptAll)
	return n, nil
}

func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           5 * time.Second,
		MaxIdleTimeout:                 15 * time.Second,
		KeepAlivePeriod:                5 * time.Second,
		InitialStreamReceiveWindow:     1 << 20,
		MaxStreamReceiveWindow:         16 << 20,
		InitialConnectionReceiveWindow: 2 << 20,
		MaxConnectionReceiveWindow:     32 << 20,
		MaxIncomingStreams:             512,
		MaxIncomingUniStreams:          -1,
	}
}

// Addr is the address listened on.
func (n *Net) Addr() string {
	if n.listener == nil {
		return ""
	}
	return n.socket.LocalAddr().String()
}

// Close ends all connections and waits for what was started.
func (n *Net) Close() error { return n.close() }

func (n *Net) closeOnce() error {
	n.cancel(transport.ErrClosed)
	var err error
	if n.listener != nil {
		err = n.listener.Close()
	}
	err = errors.Join(err, n.quic.Close(), n.socket.Close())
	n.wg.Wait()
	return err
}

// Dial implements [transport.Net].
func (n *Net) Dial(ctx context.Context, addr string, want segment.ID) (transport.Conn, error) {
	to, err := resolve(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	qc, err := n.quic.Dial(ctx, to, n.clientTLS(want), quicConfig())
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, mapError(err))
	}
	c, err := n.newConn(qc, true)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return c, nil
}

func resolve(ctx context.Context, addr string) (*net.UDPAddr, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	p, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, err
	}
	return &net.UDPAddr{IP: ips[0].Unmap().AsSlice(), Port: p, Zone: ips[0].Zone()}, nil
}

// Accept implements [transport.Net].
func (n *Net) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case c := <-n.accepted:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-n.ctx.Done():
		return nil, transport.ErrClosed
	}
}

func (n *Net) acceptAll() {
	for {
		qc, err := n.listener.Accept(n.ctx)
		if err != nil {
			return // only when closed
		}
		if qc.ConnectionState().TLS.NegotiatedProtocol == protocolJoin {
			n.acceptJoin(qc)
			continue
		}
		c, err := n.newConn(qc, false)
		if err != nil {
			n.log.Warn("link refused", "from", qc.RemoteAddr(), "error", err)
			continue
		}
		select {
		case n.accepted <- c:
		case <-n.ctx.Done():
			return
		}
	}
}

func (n *Net) acceptJoin(qc *quic.Conn) {
	select {
	case n.joins <- struct{}{}:
	default:
		_ = qc.CloseWithError(quic.ApplicationErrorCode(transport.Refused), "too many join at once")
		return
	}
	n.wg.Go(func() {
		defer func() { <-n.joins }()
		n.serveJoin(qc)
	})
}

func (n *Net) serveJoin(qc *quic.Conn) {
	ctx, cancel := context.WithTimeout(n.ctx, joinTime)
	defer cancel()
	defer func() { _ = qc.CloseWithError(quic.ApplicationErrorCode(transport.Leaving), "") }()
	s, err := qc.AcceptStream(ctx)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = qc.CloseWithError(quic.ApplicationErrorCode(transport.Leaving), "too slow") })
	defer stop()
	host, _, _ := net.SplitHostPort(qc.RemoteAddr().String())
	n.join(host, s)
	_ = s.Close()
	_, _ = io.Copy(io.Discard, s) // the peer closes when it has the answer; to close first could lose it
	select {
	case <-qc.Context().Done():
	case <-ctx.Done():
	}
}
