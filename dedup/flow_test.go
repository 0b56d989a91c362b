package dedup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/edgefs/edgefs/chunk"
)

func TestWritingGoesOnDuringAPutButNotWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		release := make(chan struct{})
		p.data.onPut = func([]chunk.Chunk) error { <-release; return nil }
		const size = 40 << 20
		var taken atomic.Int64
		source := io.TeeReader(bytes.NewReader(noise(30, size)), countingWriter{&taken})
		w := NewWriter(t.Context(), p.stores(), testDomain, Default(), Options{Buffers: NewBuffers(1 << 30)})
		done := make(chan error)
		go func() {
			_, err := w.ReadFrom(source)
			done <- err
		}()
		synctest.Wait() // the writer can do nothing more
		if n := taken.Load(); n < 2*batchSize || n > (maxFlight+1)*batchSize {
			t.Errorf("while the first put hangs the writer took %d KiB", n>>10)
		}
		close(release)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if m, err := w.Finish(); err != nil || m.Size() != size {
			t.Errorf("size %d, %v", m.Size(), err)
		}
	})
}

func TestWhatAnObjectRepeatsIsPutOnce(t *testing.T) {
	block := noise(37, 5<<20)
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		release := make(chan struct{})
		p.data.onPut = func([]chunk.Chunk) error { <-release; return nil }
		w := NewWriter(t.Context(), p.stores(), testDomain, Default(), Options{})
		done := make(chan error)
		go func() {
			_, err := w.Write(slices.Repeat(block, 4))
			done <- err
		}()
		synctest.Wait() // several batches are in flight, the first is being put
		close(release)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		seen := make(map[chunk.ID]bool)
		for _, id := range p.data.putIDs {
			if seen[id] {
				t.Errorf("%v was put twice", id)
			}
			seen[id] = true
		}
		if s := w.Stats(); s.NewBytes > 6<<20 || s.Deduped() != 20<<20-s.NewBytes {
			t.Errorf("%+v", s)
		}
	})
}

type countingWriter struct{ n *atomic.Int64 }

func (w countingWriter) Write(p []byte) (int, error) {
	w.n.Add(int64(len(p)))
	return len(p), nil
}

func TestReadingAheadIsBounded(t *testing.T) {
	p := newPlace()
	data := noise(31, 40<<20)
	m, _ := p.write(t, Default(), data)
	synctest.Test(t, func(t *testing.T) {
		p.data.resetCounts()
		release := make(chan struct{})
		w := &slowWriter{release: release}
		done := make(chan error)
		r := NewReader(p.open, m)
		go func() {
			_, err := r.ReadRange(t.Context(), w, 0, m.Size())
			done <- err
		}()
		synctest.Wait()
		asked := int64(0)
		p.data.mu.Lock()
		for _, id := range slices.Concat(p.data.asked...) {
			asked += int64(len(p.data.held[id]))
		}
		p.data.mu.Unlock()
		if asked < aheadWaits || asked > aheadReserve {
			t.Errorf("while the first write hangs %d KiB were read", asked>>10)
		}
		close(release)
		if err := <-done; err != nil || !bytes.Equal(w.Bytes(), data) {
			t.Errorf("%v, or other bytes", err)
		}
	})
}

type slowWriter struct {
	bytes.Buffer
	release chan struct{}
}

func (w *slowWriter) Write(p []byte) (int, error) {
	<-w.release
	return w.Buffer.Write(p)
}

func TestNoNodeIsPutBeforeWhatItNames(t *testing.T) {
	p := newPlace()
	nodes := 0
	p.meta.onPut = func(chunks []chunk.Chunk) error {
		known := p.data.snapshot()
		for id := range p.meta.snapshot() {
			known[id] = true
		}
		for _, c := range chunks {
			known[c.ID()] = true // one put is durable as a whole
		}
		for _, c := range chunks {
			l, err := parseList(c.Data(), maxFan)
			if err != nil {
				return err
			}
			for _, e := range l.entries {
				if !known[e.ID] {
					t.Errorf("node %v names %v, which is not held", c.ID(), e.ID)
				}
			}
			nodes++
		}
		return nil
	}
	p.write(t, Params{Content, 4 << 10}, noise(32, 40<<20))
	if p.meta.puts < 2 || nodes < 50 {
		t.Errorf("%d puts of %d nodes are too few for the test", p.meta.puts, nodes)
	}
}

func TestFailureToPutNodesFailsTheWrite(t *testing.T) {
	p := newPlace()
	p.meta.onPut = func([]chunk.Chunk) error { return chunk.ErrUnavailable }
	w := NewWriter(t.Context(), p.stores(), testDomain, Default(), Options{})
	if _, err := w.Write(noise(33, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(); !errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// shuffled answers Missing against the contract.
type shuffled struct{ *mapStore }

func (s shuffled) Missing(ctx context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	missing, err := s.mapStore.Missing(ctx, ids)
	slices.Reverse(missing)
	return missing, err
}

func TestAStoreThatAnswersWronglyLosesNothing(t *testing.T) {
	p := newPlace()
	w := NewWriter(t.Context(), Stores{shuffled{p.data}, p.meta}, testDomain, Default(), Options{})
	if _, err := w.Write(noise(34, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(); !errors.Is(err, errOrder) {
		t.Errorf("%v", err)
	}
}

func TestAWalkGoesOnBehindANodeThatIsNotThere(t *testing.T) {
	p := newPlace()
	entries := randomEntries(35, 2000)
	m := p.build(t, entries)
	r := NewReader(p.open, m)
	var lost Piece
	for piece, err := range r.Pieces(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if piece.Level == 1 && piece.Offset > 0 {
			lost = piece
			break
		}
	}
	delete(p.meta.held, lost.ID)
	reached, failed := int64(0), 0
	for piece, err := range NewReader(p.open, m).Pieces(t.Context()) {
		switch {
		case err != nil:
			failed++
			if piece.ID != lost.ID || !errors.Is(err, chunk.ErrNotFound) {
				t.Errorf("at %d: %v", piece.Offset, err)
			}
		case piece.Level == 0:
			reached += piece.Size
		}
	}
	if failed != 1 || reached != m.Size()-lost.Size {
		t.Errorf("%d failures, %d of %d bytes reached, %d are below the lost node", failed, reached, m.Size(), lost.Size)
	}
}

func TestOneReaderServesManyAtOnce(t *testing.T) {
	p := newPlace()
	data := noise(36, 8<<20)
	m, _ := p.write(t, Params{Content, 4 << 10}, data)
	r := NewReader(p.open, m)
	r.Buffers = NewBuffers(20 << 20) // enough for one to read ahead
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var b bytes.Buffer
			if _, err := r.ReadRange(t.Context(), &b, 0, m.Size()); err != nil || !bytes.Equal(b.Bytes(), data) {
				t.Errorf("%v, or other bytes", err)
			}
			for off := i * 1000; off < len(data); off += 500_000 {
				got := make([]byte, min(3000, len(data)-off))
				if _, err := r.ReadAt(t.Context(), got, int64(off)); err != nil || !bytes.Equal(got, data[off:off+len(got)]) {
					t.Errorf("at %d: %v, or other bytes", off, err)
				}
			}
		})
	}
	wg.Wait()
}
