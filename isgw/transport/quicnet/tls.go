package quicnet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/segment"
	"github.com/quic-go/quic-go"
)

const (
	protocolLink = "edgefs/1"
	protocolJoin = "edgefs-join/1"
)

// memberTLS is both sides of a link. Names in certificates are no host names, so verification is ours, and each side insists on it.
func (n *Net) memberTLS(accept func(identity.Member) error) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{n.id.Certificate()},
		NextProtos:             []string{protocolLink},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // VerifyConnection verifies
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			m, err := n.id.Verify(s.PeerCertificates)
			if err != nil {
				return err
			}
			return accept(m)
		},
	}
}

func (n *Net) serverTLS() *tls.Config {
	link := n.memberTLS(func(m identity.Member) error { return nil })
	join := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           link.Certificates,
		NextProtos:             []string{protocolJoin},
		SessionTicketsDisabled: true,
	}
	entry := link.Clone()
	entry.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if n.join != nil && slices.Contains(h.SupportedProtos, protocolJoin) {
			return join, nil
		}
		return link, nil
	}
	return entry
}

func (n *Net) clientTLS(want segment.ID) *tls.Config {
	return n.memberTLS(func(m identity.Member) error {
		if m.Segment != want {
			return fmt.Errorf("segment %v (%s) answers, not %v: %w", m.Segment, m.Name, want, identity.ErrStranger)
		}
		return nil
	})
}

// Join asks the inviter of a token, at any of its addresses, for membership. ask speaks on the connection, once its other end was verified.
func Join(ctx context.Context, token identity.Token, ask func(io.ReadWriter) error) error {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	var errs []error
	for _, addr := range token.Addresses {
		asked, err := joinAt(ctx, addr, token, ask)
		if asked {
			return err // it may have spent the token
		}
		errs = append(errs, fmt.Errorf("%s: %w", addr, err))
	}
	return fmt.Errorf("join: the inviter cannot be reached: %w", errors.Join(errs...))
}

func joinAt(ctx context.Context, addr string, token identity.Token, ask func(io.ReadWriter) error) (asked bool, err error) {
	to, err := resolve(ctx, addr)
	if err != nil {
		return false, err
	}
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return false, err
	}
	t := &quic.Transport{Conn: socket}
	defer func() { _ = errors.Join(t.Close(), socket.Close()) }()
	conf := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{protocolJoin},
		InsecureSkipVerify: true, // the token verifies
		VerifyConnection:   func(s tls.ConnectionState) error { return token.Verify(s.PeerCertificates) },
	}
	qc, err := t.Dial(ctx, to, conf, quicConfig())
	if err != nil {
		return false, mapError(err)
	}
	defer func() { _ = qc.CloseWithError(quic.ApplicationErrorCode(transport.Leaving), "") }()
	s, err := qc.OpenStreamSync(ctx)
	if err != nil {
		return false, mapError(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = qc.CloseWithError(quic.ApplicationErrorCode(transport.Leaving), "too slow") })
	defer stop()
	return true, ask(s)
}

func peerOf(id *identity.Identity, certs []*x509.Certificate) (identity.Member, error) {
	m, err := id.Verify(certs)
	if err == nil && m.Segment == id.Segment {
		err = fmt.Errorf("the peer shows our own certificate: %w", transport.ErrRefused)
	}
	return m, err
}
