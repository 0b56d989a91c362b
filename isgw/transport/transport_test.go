package transport_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/identity/identitytest"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/transport/memnet"
	"github.com/edgefs/edgefs/isgw/transport/quicnet"
)

// open makes a Net of one member; all of one test are on one network.
type open func(id *identity.Identity) transport.Net

func onEach(t *testing.T, test func(t *testing.T, open open)) {
	t.Run("memory", func(t *testing.T) {
		n := memnet.New(15 * time.Second)
		test(t, func(id *identity.Identity) transport.Net {
			v, err := n.Join(id, id.Name)
			return opened(t, v, err)
		})
	})
	t.Run("quic", func(t *testing.T) {
		test(t, func(id *identity.Identity) transport.Net {
			v, err := quicnet.Open(quicnet.Config{Identity: id, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
			return opened(t, v, err)
		})
	})
}

func opened(t *testing.T, n transport.Net, err error) transport.Net {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func found(t *testing.T, name string) *identity.Identity {
	t.Helper()
	id, err := identity.Found(name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// two are members of one federation.
func two(t *testing.T) (a, b *identity.Identity) {
	t.Helper()
	ids := identitytest.Federation(t, "a", "b")
	return ids[0], ids[1]
}

// connect returns both ends.
func connect(t *testing.T, from, to transport.Net, want *identity.Identity) (near, far transport.Conn) {
	t.Helper()
	accepted := make(chan transport.Conn, 1)
	go func() {
		c, err := to.Accept(t.Context())
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	near, err := from.Dial(t.Context(), to.Addr(), want.Segment)
	if err != nil {
		t.Fatal(err)
	}
	return near, <-accepted
}

func TestBothEndsKnowEachOther(t *testing.T) {
	onEach(t, func(t *testing.T, open open) {
		a, b := two(t)
		near, far := connect(t, open(a), open(b), b)
		if near.Peer() != (identity.Member{Segment: b.Segment, Name: "b"}) || !near.Dialed() {
			t.Errorf("near: %v", near.Peer())
		}
		if far.Peer() != (identity.Member{Segment: a.Segment, Name: "a"}) || far.Dialed() {
			t.Errorf("far: %v", far.Peer())
		}
	})
}

func TestStreamsCarryBothWays(t *testing.T) {
	onEach(t, func(t *testing.T, open open) {
		a, b := two(t)
		near, far := connect(t, open(a), open(b), b)
		body := make([]byte, 3<<20) // more than a window
		_, _ = rand.Read(body)
		echoed := make(chan error, 1)
		go func() { echoed <- echo(t.Context(), far) }()
		s, err := near.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() {
			_, err := s.Write(body)
			s.CloseWrite()
			sent <- err
		}()
		got, err := io.ReadAll(s)
		if err := errors.Join(err, <-sent, <-echoed); err != nil {
			t.Fatal(err)
		}
		s.Abort()
		if !bytes.Equal(got, body) {
			t.Fatal("other bytes came back")
		}
		if st := near.Stats(); st.Sent < 3<<20 || st.Received < 3<<20 {
			t.Errorf("stats %+v", st)
		}
	})
}

// echo ends, and aborts, its side before the other has read all: nothing may be lost by that.
func echo(ctx context.Context, c transport.Conn) error {
	s, err := c.Accept(ctx)
	if err != nil {
		return err
	}
	_, err = io.Copy(s, s)
	s.CloseWrite()
	s.Abort()
	return err
}

func TestAbortEndsPendingCalls(t *testing.T) {
	onEach(t, func(t *testing.T, open open) {
		a, b := two(t)
		near, far := connect(t, open(a), open(b), b)
		s, err := near.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		there, err := far.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error, 2)
		go func() { _, err := io.ReadAll(s); read <- err }()
		go func() { _, err := io.ReadAll(there); read <- err }()
		s.Abort()
		for range 2 {
			if <-read == nil {
				t.Error("an aborted stream ended well")
			}
		}
		there.Abort()
	})
}

func TestCloseTellsThePeerWhy(t *testing.T) {
	onEach(t, func(t *testing.T, open open) {
		a, b := two(t)
		near, far := connect(t, open(a), open(b), b)
		near.Close(transport.Refused, "removed")
		<-far.Context().Done()
		<-near.Context().Done()
		var e *transport.CloseError
		if err := context.Cause(far.Context()); !errors.As(err, &e) || e.Why != "removed" || !e.Remote || !errors.Is(err, transport.ErrRefused) {
			t.Errorf("far: %v", err)
		}
		if _, err := far.Open(t.Context()); !errors.Is(err, transport.ErrRefused) {
			t.Errorf("open on a closed connection: %v", err)
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	onEach(t, func(t *testing.T, open open) {
		a, b := two(t)
		stranger := found(t, "stranger")
		here, there := open(a), open(stranger)
		if _, err := here.Dial(t.Context(), there.Addr(), stranger.Segment); !errors.Is(err, transport.ErrRefused) {
			t.Errorf("a member dials a stranger: %v", err)
		}
		c, err := there.Dial(t.Context(), here.Addr(), a.Segment)
		if err == nil {
			<-c.Context().Done()
			err = context.Cause(c.Context())
		}
		if !errors.Is(err, transport.ErrRefused) {
			t.Errorf("a stranger dials a member: %v", err)
		}
		if _, err := here.Dial(t.Context(), open(b).Addr(), b.Segment+1); !errors.Is(err, transport.ErrRefused) {
			t.Errorf("another segment answers: %v", err)
		}
	})
}

func TestNobodyThere(t *testing.T) {
	onEach(t, func(t *testing.T, open open) {
		a, b := two(t)
		here, there := open(a), open(b)
		addr := there.Addr()
		if err := there.Close(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := here.Dial(ctx, addr, b.Segment); err == nil {
			t.Error("somebody answered")
		}
	})
}

func TestCloseOfTheNetEndsItsConnections(t *testing.T) {
	onEach(t, func(t *testing.T, open open) {
		a, b := two(t)
		here, there := open(a), open(b)
		near, _ := connect(t, here, there, b)
		if err := here.Close(); err != nil {
			t.Fatal(err)
		}
		<-near.Context().Done()
		if _, err := here.Accept(t.Context()); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("accept after close: %v", err)
		}
	})
}
