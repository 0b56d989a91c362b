package daemon

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble serves h, guarded against clients that stall, to one client in virtual time.
func inBubble(t *testing.T, h http.HandlerFunc, client func(t *testing.T, c net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		l := &oneConn{c: far, closed: make(chan struct{})}
		s := &http.Server{Handler: unstalled(stallTime, h), ReadHeaderTimeout: headerTime, IdleTimeout: idleTime}
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		client(t, near)
		near.Close()
		s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// oneConn is a listener with one connection.
type oneConn struct {
	c      net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.c; c != nil {
		l.c = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	close(l.closed)
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

func TestAClientThatStopsSendingIsCutOff(t *testing.T) {
	var got error
	inBubble(t, func(_ http.ResponseWriter, r *http.Request) {
		_, got = io.Copy(io.Discard, r.Body)
	}, func(t *testing.T, c net.Conn) {
		began := time.Now()
		fmt.Fprint(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfive.")
		_, _ = io.Copy(io.Discard, c) // until it is cut
		if took := time.Since(began); took != stallTime {
			t.Errorf("cut off after %v", took)
		}
	})
	if !errors.Is(got, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", got)
	}
}

func TestAClientThatStopsTakingIsCutOff(t *testing.T) {
	var got error
	inBubble(t, func(w http.ResponseWriter, _ *http.Request) {
		for got == nil {
			_, got = w.Write(make([]byte, 1<<20))
		}
	}, func(t *testing.T, c net.Conn) {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(stallTime + time.Second) // in virtual time
	})
	if !errors.Is(got, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", got)
	}
}

// A request may take far longer than the limit, in the daemon and on the way, as long as bytes move; the connection goes on serving.
func TestWhatMovesIsNotCutOff(t *testing.T) {
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		select {
		case <-time.After(3 * stallTime):
		case <-r.Context().Done():
			t.Error("the request was taken for dead")
		}
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = w.Write(body)
	}, func(t *testing.T, c net.Conn) {
		in := bufio.NewReader(c)
		for _, method := range []string{"PUT", "POST", "PUT"} {
			fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n", method)
			for _, b := range "slooow" {
				time.Sleep(stallTime / 2) // in virtual time
				fmt.Fprint(c, string(b))
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(method, err)
			}
			if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode == 200 && !strings.HasSuffix(string(body), "ow") {
				t.Errorf("%s: %d %q %v", method, res.StatusCode, body, err)
			}
		}
	})
}
