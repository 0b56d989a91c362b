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
	"strings"

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
	d, err := dialAny(ctx, token)
	if err != nil {
		return err
	}
	defer d.close()
	s, err := d.qc.OpenStreamSync(ctx)
	if err != nil {
		return fmt.Errorf("join: %w", mapError(err))
	}
	stop := context.AfterFunc(ctx, func() { _ = d.qc.CloseWithError(quic.ApplicationErrorCode(transport.Leaving), "too slow") })
	defer stop()
	return ask(s)
}

// dialed is a connection to an inviter, on a socket of its own.
type dialed struct {
	i     int // which of the addresses
	qc    *quic.Conn
	close func()
	err   error
}

// dialAny dials all addresses of a token at once and keeps the first that the inviter answers. Otherwise the error tells of each.
func dialAny(ctx context.Context, token identity.Token) (kept dialed, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of dials; a connection that is made outlives it
	came := make(chan dialed, len(token.Addresses))
	for i, addr := range token.Addresses {
		go func() {
			d := dialInviter(ctx, addr, token)
			d.i = i
			came <- d
		}()
	}
	errs := make([]error, len(token.Addresses))
	for range token.Addresses {
		d := <-came
		switch {
		case d.err != nil:
			errs[d.i] = d.err
		case kept.qc != nil:
			d.close()
		default:
			kept = d
			cancel()
		}
	}
	if kept.qc != nil {
		return kept, nil
	}
	var tried []string
	for i, addr := range token.Addresses {
		tried = append(tried, fmt.Sprintf("%s: %s", addr, whyNot(errs[i])))
	}
	return kept, fmt.Errorf("join %s: %w: %s", token.InviterName, transport.ErrUnreached, strings.Join(tried, "; "))
}

// whyNot is why an address gave no connection, for those who must find out.
func whyNot(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, transport.ErrLost) {
		return "no answer (nothing listens there, or UDP does not get through)"
	}
	return err.Error()
}

func dialInviter(ctx context.Context, addr string, token identity.Token) dialed {
	to, err := resolve(ctx, addr)
	if err != nil {
		return dialed{err: err}
	}
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return dialed{err: err}
	}
	t := &quic.Transport{Conn: socket}
	done := func() { _ = errors.Join(t.Close(), socket.Close()) }
	conf := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{protocolJoin},
		InsecureSkipVerify: true, // the token verifies
		VerifyConnection:   func(s tls.ConnectionState) error { return token.Verify(s.PeerCertificates) },
	}
	qc, err := t.Dial(ctx, to, conf, quicConfig())
	if err != nil {
		done()
		return dialed{err: mapError(err)}
	}
	return dialed{qc: qc, close: func() {
		_ = qc.CloseWithError(quic.ApplicationErrorCode(transport.Leaving), "")
		done()
	}}
}

func peerOf(id *identity.Identity, certs []*x509.Certificate) (identity.Member, error) {
	m, err := id.Verify(certs)
	if err == nil && m.Segment == id.Segment {
		err = fmt.Errorf("the peer shows our own certificate: %w", transport.ErrRefused)
	}
	return m, err
}
