package memnet_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/transport/memnet"
)

const idle = 15 * time.Second

// pair is a connection of two Nets of one identity but two addresses: who is who matters only by the segment, and both are the same.
func pair(t *testing.T, n *memnet.Network) (id *identity.Identity, dial func() (near, far transport.Conn, err error)) {
	t.Helper()
	id, err := identity.Found("a", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := n.Join(id, "a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.Join(id, "b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return id, func() (transport.Conn, transport.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		accepted := make(chan transport.Conn, 1)
		go func() {
			c, _ := b.Accept(ctx)
			accepted <- c
		}()
		near, err := a.Dial(ctx, "b", id.Segment)
		return near, <-accepted, err
	}
}

func TestCutDelaysUntilHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(idle)
		id, dial := pair(t, n)
		near, far, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		n.Cut(id.Segment, id.Segment)
		s, err := near.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		s.CloseWrite()
		began := time.Now()
		time.AfterFunc(idle-time.Second, func() { n.Heal(id.Segment, id.Segment) })
		there, err := far.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(there); err != nil || string(b) != "late" {
			t.Fatalf("%q, %v", b, err)
		}
		if took := time.Since(began); took != idle-time.Second {
			t.Errorf("took %v", took)
		}
		if got := n.Sent(id.Segment, id.Segment); got != 4 {
			t.Errorf("counted %d bytes", got)
		}
	})
}

func TestLongCutLosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(idle)
		id, dial := pair(t, n)
		near, far, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		n.Cut(id.Segment, id.Segment)
		began := time.Now()
		<-near.Context().Done()
		<-far.Context().Done()
		if took := time.Since(began); took != idle || !errors.Is(context.Cause(near.Context()), transport.ErrLost) {
			t.Errorf("after %v: %v", took, context.Cause(near.Context()))
		}
		if _, _, err := dial(); !errors.Is(err, transport.ErrLost) {
			t.Errorf("dial over a cut link: %v", err)
		}
		n.Heal(id.Segment, id.Segment)
		if _, _, err := dial(); err != nil {
			t.Errorf("dial after healing: %v", err)
		}
	})
}
