package quicnet

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/quic-go/quic-go"
)

type conn struct {
	qc     *quic.Conn
	peer   identity.Member
	dialed bool
	ctx    context.Context
}

func (n *Net) newConn(qc *quic.Conn, dialed bool) (*conn, error) {
	peer, err := peerOf(n.id, qc.ConnectionState().TLS.PeerCertificates)
	if err != nil {
		_ = qc.CloseWithError(quic.ApplicationErrorCode(transport.Refused), "refused")
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	context.AfterFunc(qc.Context(), func() { cancel(mapError(context.Cause(qc.Context()))) })
	return &conn{qc: qc, peer: peer, dialed: dialed, ctx: ctx}, nil
}

func (c *conn) Peer() identity.Member    { return c.peer }
func (c *conn) Addr() string             { return c.qc.RemoteAddr().String() }
func (c *conn) Dialed() bool             { return c.dialed }
func (c *conn) Context() context.Context { return c.ctx }

func (c *conn) Close(code transport.Code, why string) {
	_ = c.qc.CloseWithError(quic.ApplicationErrorCode(code), why)
}

func (c *conn) Stats() transport.Stats {
	s := c.qc.ConnectionStats()
	return transport.Stats{Sent: s.BytesSent, Received: s.BytesReceived, RTT: s.SmoothedRTT}
}

func (c *conn) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.qc.OpenStreamSync(ctx)
	if err != nil {
		return nil, mapError(err)
	}
	return &stream{Stream: s}, nil
}

func (c *conn) Accept(ctx context.Context) (transport.Stream, error) {
	s, err := c.qc.AcceptStream(ctx)
	if err != nil {
		return nil, mapError(err)
	}
	return &stream{Stream: s}, nil
}

type stream struct {
	*quic.Stream
	ended atomic.Bool
}

func (s *stream) CloseWrite() {
	s.ended.Store(true)
	_ = s.Close() // fails only when the peer has given up reading
}

// Abort cancels writing only where it was not ended: after an end it would take back what is under way.
func (s *stream) Abort() {
	s.CancelRead(0)
	if !s.ended.Load() {
		s.CancelWrite(0)
	}
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	return n, mapError(err)
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	return n, mapError(err)
}

// TLS alerts, RFC 8446, 6.2, as QUIC numbers them (RFC 9001, 4.8).
const (
	alert                      = 0x100
	alertBadCertificate        = alert + 42
	alertCertificateUnknown    = alert + 46
	alertUnknownCA             = alert + 48
	alertAccessDenied          = alert + 49
	alertCertificateRequired   = alert + 116
	alertNoApplicationProtocol = alert + 120
)

// mapError says an error of QUIC in the words of package transport.
func mapError(err error) error {
	if err == nil {
		return nil
	}
	var app *quic.ApplicationError
	if errors.As(err, &app) {
		return &transport.CloseError{Code: transport.Code(app.ErrorCode), Why: app.ErrorMessage, Remote: app.Remote}
	}
	var crypto *quic.TransportError
	if errors.As(err, &crypto) {
		switch crypto.ErrorCode {
		case alertBadCertificate, alertCertificateUnknown, alertUnknownCA, alertAccessDenied, alertCertificateRequired:
			return fmt.Errorf("%w: %w", transport.ErrRefused, err)
		case alertNoApplicationProtocol:
			return fmt.Errorf("%w: %w", transport.ErrVersion, err)
		}
		return err
	}
	for _, lost := range []any{new(*quic.IdleTimeoutError), new(*quic.HandshakeTimeoutError), new(*quic.StatelessResetError)} {
		if errors.As(err, lost) {
			return fmt.Errorf("%w: %w", transport.ErrLost, err)
		}
	}
	if version := new(*quic.VersionNegotiationError); errors.As(err, version) {
		return fmt.Errorf("%w: %w", transport.ErrVersion, err)
	}
	return err
}
