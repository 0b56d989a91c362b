package daemon

import (
	"errors"
	"net"
	"testing"
)

func TestFurtherConnectionsWaitForRoom(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limited(inner, 2)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	second := <-accepted
	if n := len(l.(*limitedListener).slots); n != 2 {
		t.Errorf("%d slots are taken", n)
	}
	select {
	case <-accepted:
		t.Fatal("a third connection was accepted")
	default:
	}
	first.Close()
	first.Close() // gives one slot back, not two
	third := <-accepted
	defer third.Close()
	defer second.Close()
	l.Close() // also while it waits for room
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
