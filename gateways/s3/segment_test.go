package s3

import (
	"context"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/segment"
)

func newSegment(t testing.TB) *segment.Segment { return newSegmentOn(t, memory.New()) }

// newSegmentOn starts a segment whose chunks are in a place.
func newSegmentOn(t testing.TB, place chunk.Opener) *segment.Segment {
	t.Helper()
	s, err := segment.Open(context.Background(), segment.Config{
		Dir: t.TempDir(), ID: 1, Name: "hawaii", Secret: [32]byte{1}, Chunks: stage.New(place),
	})
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

// faulty is a place whose reads fail when told to.
type faulty struct {
	chunk.Opener
	fail func() error
}

func (f faulty) Open(d chunk.Domain, c chunk.Class) chunk.Store {
	return faultyStore{f.Opener.Open(d, c), f}
}

type faultyStore struct {
	chunk.Store
	place faulty
}

func (f faultyStore) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	if err := f.place.fail(); err != nil {
		return err
	}
	return f.Store.Get(ctx, ids, yield)
}
