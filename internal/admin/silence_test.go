package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

const limit = 30 * time.Second

// pipes is a network within a bubble of virtual time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// against runs a test in virtual time, with a client of what serves.
func against(t *testing.T, serve http.HandlerFunc, test func(t *testing.T, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := pipes{make(chan net.Conn), make(chan struct{})}
		lives, end := context.WithCancel(t.Context())
		server := &http.Server{Handler: serve, BaseContext: func(net.Listener) context.Context { return lives }}
		var done sync.WaitGroup
		done.Go(func() { _ = server.Serve(p) })
		c := &Client{base: "http://segment", where: "DIR", limit: limit, http: &http.Client{Transport: &http.Transport{
			DialContext: p.dial, ExpectContinueTimeout: continueTime,
		}}}
		test(t, c)
		end()
		c.Close()
		close(p.closed)
		server.Close()
		done.Wait()
	})
}

// hang is what a stopped process does.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// silentAfter fails unless the error says that nothing came, after so much time.
func silentAfter(t *testing.T, err error, begun time.Time, want time.Duration) {
	t.Helper()
	var u *Unreachable
	if !errors.As(err, &u) || u.Hint == "" || u.Unsent || !strings.Contains(err.Error(), "no word from the segment at DIR") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took != want {
		t.Errorf("after %v, want %v", took, want)
	}
}

func TestASilentSegmentIsGivenUp(t *testing.T) {
	against(t, hang, func(t *testing.T, c *Client) {
		begun := time.Now()
		_, err := c.Buckets(t.Context())
		silentAfter(t, err, begun, limit)
		begun = time.Now()
		_, err = c.Status(t.Context()) // which may be long in counting, but not when not even its health is told
		silentAfter(t, err, begun, limit+livesTime)
		begun = time.Now()
		_, err = c.Delete(t.Context(), "b", DeleteRequest{Key: "k"})
		silentAfter(t, err, begun, limit)
		if !strings.Contains(err.Error(), "not known") {
			t.Errorf("who deletes is not told that it may have been done: %v", err)
		}
	})
}

func TestASegmentThatLivesMayCountForLong(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == Version1+"/status" {
			select {
			case <-time.After(10 * limit):
			case <-r.Context().Done():
			}
		}
		fmt.Fprint(w, `{"name":"hawaii"}`)
	}
	against(t, serve, func(t *testing.T, c *Client) {
		if s, err := c.Status(t.Context()); err != nil || s.Name != "hawaii" {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// slowly gives a byte each step.
type slowly struct {
	n    int
	step time.Duration
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.n == 0 {
		return 0, io.EOF
	}
	<-time.After(s.step)
	s.n--
	p[0] = 'x'
	return 1, nil
}

func TestContentMayTakeAsLongAsItMoves(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, `{"size":%d}`, n)
			return
		}
		w.Header().Set(HeaderObject, "e30=")
		out := http.NewResponseController(w)
		for range 5 {
			<-time.After(limit * 9 / 10)
			_, _ = io.WriteString(w, "x")
			_ = out.Flush()
		}
	}
	against(t, serve, func(t *testing.T, c *Client) {
		o, err := c.Put(t.Context(), "b", PutRequest{Key: "k"}, &slowly{5, 10 * limit})
		if err != nil || o.Size != 5 {
			t.Errorf("content that is long in coming: %+v, %v", o, err)
		}
		_, content, err := c.Get(t.Context(), "b", GetRequest{Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		defer content.Close()
		for range 5 {
			if _, err := content.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			<-time.After(10 * limit) // what is done with it takes as long as it likes
		}
	})
}

func TestContentThatStandsStillIsGivenUp(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set(HeaderObject, "e30=")
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
		} else {
			_, _ = r.Body.Read(make([]byte, 1))
		}
		hang(w, r)
	}
	against(t, serve, func(t *testing.T, c *Client) {
		_, content, err := c.Get(t.Context(), "b", GetRequest{Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, err = io.Copy(io.Discard, content)
		content.Close()
		silentAfter(t, err, begun, limit)
		begun = time.Now()
		_, err = c.Put(t.Context(), "b", PutRequest{Key: "k"}, strings.NewReader(strings.Repeat("x", 1<<20)))
		silentAfter(t, err, begun, limit)
	})
}

func TestWhatCannotBeReadIsNoFaultOfTheSegment(t *testing.T) {
	broken := errors.New("bad sector")
	serve := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	against(t, serve, func(t *testing.T, c *Client) {
		_, err := c.Put(t.Context(), "b", PutRequest{Key: "k"}, io.MultiReader(strings.NewReader("x"), failing{broken}))
		if !errors.Is(err, broken) || errors.As(err, new(*Unreachable)) {
			t.Errorf("got %v", err)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAnAnswerThatBreaksOffIsNoEnd(t *testing.T) {
	serve := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(HeaderObject, "e30=")
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "x")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	against(t, serve, func(t *testing.T, c *Client) {
		_, content, err := c.Get(t.Context(), "b", GetRequest{Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		defer content.Close()
		if _, err := io.Copy(io.Discard, content); !errors.As(err, new(*Unreachable)) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
	})
}

// A process that is stopped leaves connections waiting, until no more may wait.
func TestAFullQueueOfConnectionsIsExplained(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, SocketName)}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		c, err := DialSocket(t.Context(), dir)
		if err != nil {
			break
		}
		defer c.Close()
	}
	c, err := Dial(dir, Options{Silence: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Buckets(t.Context())
	var u *Unreachable
	if !errors.As(err, &u) || !u.Unsent || !strings.Contains(err.Error(), "takes no more connections") {
		t.Errorf("got %v", err)
	}
}

// Who gives up on a call that asked for a change is told that it may have been made; not of one that only asks, or was not asked to its end.
func TestWhoGivesUpOnAChangeIsToldThatItIsNotKnown(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		hang(w, r)
	}
	against(t, serve, func(t *testing.T, c *Client) {
		for name, call := range map[string]struct {
			do   func(context.Context) error
			want bool
		}{
			"a listing": {func(ctx context.Context) error { _, err := c.Buckets(ctx); return err }, false},
			"a rename":  {func(ctx context.Context) error { _, err := c.Rename(ctx, "b", Rename{From: "k", To: "l"}); return err }, true},
			"a delete":  {func(ctx context.Context) error { _, err := c.Delete(ctx, "b", DeleteRequest{Key: "k"}); return err }, true},
			"a put that is half sent": {func(ctx context.Context) error {
				_, err := c.Put(ctx, "b", PutRequest{Key: "k"}, &slowly{100, time.Second})
				return err
			}, false},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(5*time.Second, cancel)
			err := call.do(ctx)
			if !errors.Is(err, context.Canceled) || errors.As(err, new(*Undecided)) != call.want {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
