package s3

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment"
)

func newSegment(t testing.TB) *segment.Segment {
	t.Helper()
	store := &keptChunks{chunks: map[chunk.ID]chunk.Chunk{}}
	s, err := segment.Open(context.Background(), segment.Config{Dir: t.TempDir(), ID: 1, Name: "hawaii", Secret: [32]byte{1}, Chunks: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// keptChunks keeps chunks in memory.
type keptChunks struct {
	mu     sync.Mutex
	chunks map[chunk.ID]chunk.Chunk
}

func (m *keptChunks) Open(chunk.Domain, chunk.Class) chunk.Store { return m }
func (m *keptChunks) Hold(_ chunk.Domain, cs []chunk.Chunk)      { _ = m.Put(context.Background(), cs) }
func (m *keptChunks) Held() int64                                { return 0 }
func (m *keptChunks) Settle(context.Context) error               { return nil }

func (m *keptChunks) Put(_ context.Context, cs []chunk.Chunk) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range cs {
		m.chunks[c.ID()] = c.Clone()
	}
	return nil
}

func (m *keptChunks) Get(_ context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	missing := 0
	for _, id := range ids {
		m.mu.Lock()
		c, ok := m.chunks[id]
		m.mu.Unlock()
		if !ok {
			missing++
			continue
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d: %w", missing, len(ids), chunk.ErrNotFound)
	}
	return nil
}

func (m *keptChunks) Missing(_ context.Context, ids []chunk.ID) (out []chunk.ID, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if _, ok := m.chunks[id]; !ok {
			out = append(out, id)
		}
	}
	return out, nil
}
