package relay_test

import (
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/edgefs/edgefs/test/demo/relay"
)

// echo answers each datagram with itself, twice as long.
func echo(t *testing.T, addr string) *net.UDPConn {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := c.ReadFromUDP(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDP(append(buf[:n:n], buf[:n]...), from)
		}
	}()
	return c
}

func listen(t *testing.T, target string) *relay.Relay {
	t.Helper()
	r, err := relay.Listen(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func dial(t *testing.T, r *relay.Relay) *net.UDPConn {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialUDP("udp", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends text and waits for what comes back.
func ask(t *testing.T, c *net.UDPConn, text string, patience time.Duration) (string, error) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

func TestRelayCarriesAndCountsEachWay(t *testing.T) {
	r := listen(t, echo(t, "127.0.0.1:0").LocalAddr().String())
	one, two := dial(t, r), dial(t, r)
	for _, c := range []struct {
		*net.UDPConn
		text string
	}{{one, "aloha"}, {two, "konnichiwa"}} {
		if got, err := ask(t, c.UDPConn, c.text, 10*time.Second); err != nil || got != c.text+c.text {
			t.Fatalf("answer to %q: %q, %v", c.text, got, err)
		}
	}
	want := relay.Count{Up: relay.Traffic{Datagrams: 2, Bytes: 15}, Down: relay.Traffic{Datagrams: 2, Bytes: 30}}
	if got := r.Count(); got != want || got.Bytes() != 45 {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestCutLosesEverythingUntilItHeals(t *testing.T) {
	r := listen(t, echo(t, "127.0.0.1:0").LocalAddr().String())
	c := dial(t, r)
	r.Cut()
	if got, err := ask(t, c, "anybody?", 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("through a cut came %q, %v", got, err)
	}
	for deadline := time.Now().Add(time.Minute); r.Count().Lost == 0 && time.Now().Before(deadline); {
		runtime.Gosched() // it may not have come to the relay yet
	}
	if got := r.Count(); got.Bytes() != 0 || got.Lost != 1 {
		t.Errorf("counted %+v, want one lost and none carried", got)
	}
	r.Heal()
	if got, err := ask(t, c, "x", 10*time.Second); err != nil || got != "xx" {
		t.Errorf("after it healed: %q, %v", got, err)
	}
}

func TestTargetMayBeAwayAndComeBack(t *testing.T) {
	target := echo(t, "127.0.0.1:0")
	addr := target.LocalAddr().String()
	r := listen(t, addr)
	c := dial(t, r)
	if _, err := ask(t, c, "x", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	target.Close()
	if got, err := ask(t, c, "x", 100*time.Millisecond); err == nil {
		t.Fatalf("a target that is away answered %q", got)
	}
	echo(t, addr)
	// The kernel may hand the refusal of the datagram before to this one's write.
	for range 100 {
		if got, err := ask(t, c, "y", 200*time.Millisecond); err == nil && got == "yy" {
			return
		}
	}
	t.Error("a target that came back is not reached")
}
