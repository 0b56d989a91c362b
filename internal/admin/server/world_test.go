package server

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// memory keeps chunks for the tests of the API, which are not about their durability.
type memory struct {
	mu     sync.Mutex
	chunks map[chunk.ID]chunk.Chunk
}

func (m *memory) Open(chunk.Domain, chunk.Class) chunk.Store { return m }
func (m *memory) Hold(_ chunk.Domain, cs []chunk.Chunk)      { _ = m.Put(context.Background(), cs) }
func (m *memory) Held() int64                                { return 0 }
func (m *memory) Settle(context.Context) error               { return nil }

func (m *memory) Put(_ context.Context, cs []chunk.Chunk) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range cs {
		m.chunks[c.ID()] = c.Clone()
	}
	return nil
}

func (m *memory) Get(_ context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	missing := 0
	for _, id := range ids {
		m.mu.Lock()
		c, ok := m.chunks[id]
		m.mu.Unlock()
		if !ok {
			missing++
		} else if err := yield(c); err != nil {
			return err
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d chunks: %w", missing, chunk.ErrNotFound)
	}
	return nil
}

func (m *memory) Missing(_ context.Context, ids []chunk.ID) (out []chunk.ID, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if _, ok := m.chunks[id]; !ok {
			out = append(out, id)
		}
	}
	return out, nil
}

// noLinks is a segment without any.
type noLinks struct{}

func (noLinks) List() []admin.Link { return []admin.Link{} }

func (noLinks) Invite(_ context.Context, valid time.Duration, addresses []string) (admin.Invitation, error) {
	return admin.Invitation{Invitation: "from " + strings.Join(addresses, ","), Expires: time.Unix(0, 0).Add(valid).UTC()}, nil
}

func (noLinks) Join(context.Context, string) (admin.Link, error) {
	return admin.Link{}, &admin.Error{Code: admin.Invalid, Message: "not an invitation"}
}

func (noLinks) Remove(_ context.Context, peer string) error {
	return &admin.Error{Code: admin.NoSuchLink, Message: "no link with " + peer}
}

func (noLinks) Pending(segment.BucketID) []segment.ID { return nil }

func newServer(t *testing.T) *Server {
	t.Helper()
	chunks := &memory{chunks: map[chunk.ID]chunk.Chunk{}}
	seg, err := segment.Open(t.Context(), segment.Config{Dir: t.TempDir(), ID: 7, Name: "hawaii", Chunks: chunks})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := seg.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return New(Config{
		Segment: seg, Local: chunks.Open(seg.Domain(), chunk.Cache), Links: noLinks{},
		Base:        func() (admin.Status, error) { return admin.Status{Name: "hawaii", Ready: true}, nil },
		Exposed:     func(context.Context, segment.BucketID) (int64, error) { return 42, nil },
		Health:      func() admin.Health { return admin.Health{Live: true, Ready: true} },
		Metrics:     http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "edgefs_ready 1\n") }),
		Credentials: admin.Credentials{AccessKey: "access", SecretKey: "secret", Endpoint: "http://127.0.0.1:9000", Region: "us-east-1"},
		Stopping:    make(chan struct{}),
		Logger:      slog.New(slog.DiscardHandler),
	})
}

// onSocket is the client of a new server behind a socket.
func onSocket(t *testing.T) *admin.Client {
	t.Helper()
	return socketOf(t, newServer(t))
}

func socketOf(t *testing.T, server *Server) *admin.Client {
	t.Helper()
	return socketWith(t, server, admin.Options{})
}

func socketWith(t *testing.T, server *Server, o admin.Options) *admin.Client {
	t.Helper()
	dir := t.TempDir()
	l, err := admin.ListenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: server}}
	s.Start()
	t.Cleanup(s.Close)
	return dial(t, dir, o)
}

func dial(t *testing.T, endpoint string, o admin.Options) *admin.Client {
	t.Helper()
	c, err := admin.Dial(endpoint, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t *testing.T, err error, code admin.Code) {
	t.Helper()
	if !errors.Is(err, &admin.Error{Code: code}) {
		t.Errorf("got %v, want %s", err, code)
	}
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
