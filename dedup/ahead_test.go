package dedup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// lender is a store that lends the bytes of every other chunk, and spoils all that it yields as soon as nobody holds it.
type lender struct {
	chunk.Store
	l *loans
}

type loans struct {
	mu          sync.Mutex
	held, ended int
	turn        int
}

type loan struct {
	l    *loans
	data []byte
	n    int
}

func (o *loan) Hold() {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	o.n++
	o.l.held++
}

func (o *loan) Release() {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	o.n--
	o.l.ended++
	if o.n <= 0 {
		clear(o.data)
	}
}

func (s lender) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	return s.Store.Get(ctx, ids, func(c chunk.Chunk) error {
		c = c.Clone()
		s.l.mu.Lock()
		s.l.turn++
		lends := s.l.turn%2 == 0
		s.l.mu.Unlock()
		o := &loan{l: s.l, data: c.Data()}
		if lends {
			c = c.On(o)
		}
		err := yield(c)
		s.l.mu.Lock()
		defer s.l.mu.Unlock()
		if o.n == 0 {
			clear(o.data)
		}
		return err
	})
}

func lendingReader(p place, m Manifest) (*Reader, *loans) {
	l := &loans{}
	return NewReader(func(path []chunk.ID) chunk.Store { return lender{p.open(path), l} }, m), l
}

func TestReadingAheadHoldsWhatIsLentAndCopiesWhatIsNot(t *testing.T) {
	p := newPlace()
	part := noise(41, 6<<20)
	data := bytes.Join([][]byte{part, words(42, 9<<20), part, part}, nil) // chunks come twice, also within a stretch
	m, _ := p.write(t, Params{Content, 16 << 10}, data)
	r, l := lendingReader(p, m)
	r.Buffers = NewBuffers(12 << 20)
	for _, at := range []int64{0, 777, 5 << 20} {
		var b bytes.Buffer
		if _, err := r.ReadRange(t.Context(), &b, at, m.Size()-at); err != nil || !bytes.Equal(b.Bytes(), data[at:]) {
			t.Errorf("from %d: %v, or other bytes", at, err)
		}
	}
	if l.held < 100 || l.held != l.ended || r.Buffers.Lent() != 0 {
		t.Errorf("%d chunks held, %d released, %d bytes still on loan", l.held, l.ended, r.Buffers.Lent())
	}
}

// brokenPipe takes so many bytes.
type brokenPipe struct{ left int }

func (w *brokenPipe) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestAReaderThatGoesAwayHoldsNothing(t *testing.T) {
	p := newPlace()
	m, _ := p.write(t, Default(), noise(43, 32<<20))
	r, l := lendingReader(p, m)
	r.Buffers = NewBuffers(12 << 20)
	if n, err := r.ReadRange(t.Context(), &brokenPipe{6 << 20}, 0, m.Size()); !errors.Is(err, io.ErrClosedPipe) || n > 6<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	for id := range p.data.held { // any
		delete(p.data.held, id)
		break
	}
	if _, err := r.ReadRange(t.Context(), io.Discard, 0, m.Size()); err == nil {
		t.Error("what is lost was read")
	}
	if l.held == 0 || l.held != l.ended || r.Buffers.Lent() != 0 {
		t.Errorf("%d chunks held, %d released, %d bytes still on loan", l.held, l.ended, r.Buffers.Lent())
	}
}
