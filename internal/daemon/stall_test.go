package daemon

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

const shortStall = 200 * time.Millisecond

func TestAClientThatStopsSendingIsCutOff(t *testing.T) {
	got := make(chan error, 1)
	s := httptest.NewServer(unstalled(shortStall, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		got <- err
	})))
	defer s.Close()
	c := connect(t, s)
	fmt.Fprint(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfive.")
	if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAClientThatStopsTakingIsCutOff(t *testing.T) {
	got := make(chan error, 1)
	s := httptest.NewServer(unstalled(shortStall, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				got <- err
				return
			}
		}
	})))
	defer s.Close()
	fmt.Fprint(connect(t, s), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A request may take far longer than the limit in the daemon, and content may move slowly; the connection goes on serving.
func TestWhatMovesIsNotCutOff(t *testing.T) {
	s := httptest.NewServer(unstalled(shortStall, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		select {
		case <-time.After(2 * shortStall):
		case <-r.Context().Done():
			t.Error("the request was taken for dead")
		}
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = w.Write(body)
	})))
	defer s.Close()
	c := connect(t, s)
	in := bufio.NewReader(c)
	for _, method := range []string{"PUT", "POST", "PUT"} {
		fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n", method)
		tick := time.NewTicker(shortStall / 2)
		for _, b := range "sloooow"[1:] {
			<-tick.C
			fmt.Fprint(c, string(b))
		}
		tick.Stop()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(method, err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode == 200 && !strings.HasSuffix(string(body), "ow") {
			t.Errorf("%s: %d %q %v", method, res.StatusCode, body, err)
		}
	}
}

func connect(t *testing.T, s *httptest.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
