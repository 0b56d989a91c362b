package quicnet_test

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/transport/quicnet"
	"github.com/quic-go/quic-go"
)

// inviter listens for who joins.
type inviter struct {
	id *identity.Identity
	*identity.Authority
	net    *quicnet.Net
	served chan error
}

func newInviter(t *testing.T) *inviter {
	t.Helper()
	v := &inviter{served: make(chan error, 10)}
	var err error
	if v.id, err = identity.Found("hawaii", rand.Reader); err != nil {
		t.Fatal(err)
	}
	if v.Authority, err = identity.OpenAuthority(vfs.OS{}, t.TempDir(), v.id, time.Now, rand.Reader); err != nil {
		t.Fatal(err)
	}
	v.net = listen(t, v.id, func(from string, rw io.ReadWriter) {
		_, _, err := v.Serve(from, rw)
		v.served <- err
	})
	return v
}

func listen(t *testing.T, id *identity.Identity, join func(string, io.ReadWriter)) *quicnet.Net {
	t.Helper()
	n, err := quicnet.Open(quicnet.Config{Identity: id, Listen: "127.0.0.1:0", Join: join, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func (v *inviter) invite(t *testing.T) identity.Token {
	t.Helper()
	token, err := v.Invite(time.Hour, []string{"127.0.0.1:1", v.net.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	token.Addresses = token.Addresses[1:]
	return token
}

func ask(token identity.Token, got **identity.Identity) func(io.ReadWriter) error {
	return func(rw io.ReadWriter) (err error) {
		*got, err = token.Join(rw, "tokyo", 7, nil, rand.Reader)
		return err
	}
}

func TestJoinAndLinkThroughOnePort(t *testing.T) {
	v := newInviter(t)
	token := v.invite(t)
	var member *identity.Identity
	if err := quicnet.Join(t.Context(), token, ask(token, &member)); err != nil {
		t.Fatal(err)
	}
	if err := <-v.served; err != nil {
		t.Fatal(err)
	}
	n := listen(t, member, nil)
	c, err := n.Dial(t.Context(), v.net.Addr(), v.id.Segment)
	if err != nil {
		t.Fatal(err)
	}
	there, err := v.net.Accept(t.Context())
	if err != nil || there.Peer().Name != "tokyo" || c.Peer().Name != "hawaii" {
		t.Fatal(err)
	}
	if err := quicnet.Join(t.Context(), token, ask(token, &member)); !errors.Is(err, identity.ErrInvitationUsed) {
		t.Fatalf("second use: %v", err)
	}
}

// The secret must not be shown to somebody else who answers at the address.
func TestJoinPinsTheAuthority(t *testing.T) {
	v, thief := newInviter(t), newInviter(t)
	token := v.invite(t)
	token.Addresses = []string{thief.net.Addr()}
	asked := false
	err := quicnet.Join(t.Context(), token, func(io.ReadWriter) error { asked = true; return nil })
	if err == nil || asked {
		t.Fatalf("asked %v: %v", asked, err)
	}
}

func TestUnknownProtocolIsAVersionError(t *testing.T) {
	v := newInviter(t)
	id, err := identity.Found("later", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{id.Certificate()}, NextProtos: []string{"edgefs/2"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if _, err := v.net.Dial(t.Context(), ln.Addr().String(), id.Segment); !errors.Is(err, transport.ErrVersion) {
		t.Fatalf("dial: %v", err)
	}
}

func TestPeerLearnsOfClose(t *testing.T) {
	v := newInviter(t)
	token := v.invite(t)
	var member *identity.Identity
	if err := quicnet.Join(t.Context(), token, ask(token, &member)); err != nil {
		t.Fatal(err)
	}
	c, err := listen(t, member, nil).Dial(t.Context(), v.net.Addr(), v.id.Segment)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.net.Close(); err != nil {
		t.Fatal(err)
	}
	<-c.Context().Done()
}
