package dedup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/edgefs/edgefs/chunk"
)

func (p place) read(t testing.TB, m Manifest, offset, length int64) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := NewReader(p.open, m).ReadRange(t.Context(), &b, offset, length)
	if err != nil || n != length {
		t.Fatalf("read %d at %d of %d: %d, %v", length, offset, m.Size(), n, err)
	}
	return b.Bytes()
}

func (p place) check(t testing.TB, m Manifest, want []byte) {
	t.Helper()
	if m.Size() != int64(len(want)) {
		t.Fatalf("size %d, want %d", m.Size(), len(want))
	}
	if !bytes.Equal(p.read(t, m, 0, m.Size()), want) {
		t.Fatal("other bytes")
	}
}

// writeInSteps writes data by Write and ReadFrom in turn, in pieces of random length.
func writeInSteps(w *Writer, data []byte, random *rand.Rand) error {
	for len(data) > 0 {
		n := min(len(data), 1+random.IntN(1<<(1+random.IntN(22))))
		var err error
		switch random.IntN(3) {
		case 0:
			_, err = w.ReadFrom(bytes.NewReader(data[:n]))
		case 1:
			_, err = w.ReadFrom(iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(data[:n]))))
		default:
			_, err = w.Write(data[:n])
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func TestWhatIsWrittenIsReadHoweverItArrives(t *testing.T) {
	seed := uint64(rand.Uint32())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	params := []Params{{Content, 4 << 10}, {Content, 64 << 10}, {Content, 1 << 20}, {Fixed, 64 << 10}, {Fixed, 8 << 20}}
	sizes := []int{0, 1, 4096, DefaultInlineMax, DefaultInlineMax + 1, 64 << 10, 4 << 20, 4<<20 + 1, 9<<20 + 5, unlessRace(50<<20, 17<<20)}
	for range 20 {
		sizes = append(sizes, random.IntN(1<<(1+random.IntN(unlessRace(24, 21)))))
	}
	source := slices.Concat(noise(1, 30<<20), make([]byte, 3<<20), noise(2, 17<<20))
	buffers := NewBuffers(24 << 20)
	for i, size := range sizes {
		p := newPlace()
		p.data.backwards = i%2 == 0
		data := source[:size]
		how := params[random.IntN(len(params))]
		o := Options{Buffers: buffers, SizeHint: []int64{0, int64(size), 100, 1 << 40}[random.IntN(4)]}
		w := NewWriter(t.Context(), p.stores(), testDomain, how, o)
		if err := writeInSteps(w, data, random); err != nil {
			t.Fatal(err)
		}
		m, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if s := w.Stats(); s.Bytes != int64(size) {
			t.Fatalf("%d bytes counted as %d", size, s.Bytes)
		}
		p.data.add(t, w.Pending())
		p.check(t, m, data)
		for range 5 {
			off := random.Int64N(int64(size) + 1)
			n := random.Int64N(int64(size) - off + 1)
			if !bytes.Equal(p.read(t, m, off, n), data[off:off+n]) {
				t.Fatalf("%v: %d bytes at %d of %d differ", how, n, off, size)
			}
		}
		if again, _ := p.write(t, how, data); !again.Equal(m) {
			t.Fatalf("%v: %d bytes written again have another manifest", how, size)
		}
	}
	if n := buffers.Lent(); n != 0 {
		t.Errorf("%d bytes are still on loan", n)
	}
}

func TestReadAtIsAReaderAt(t *testing.T) {
	p := newPlace()
	data := noise(3, 30_000) // TestReader reads it byte by byte
	m, _ := p.write(t, Params{Content, 4 << 10}, data)
	if m.Level() < 1 {
		t.Fatalf("level %d is too low for the test", m.Level())
	}
	r := NewReader(p.open, m)
	if err := iotest.TestReader(io.NewSectionReader(readerAt{t.Context(), r}, 0, m.Size()), data); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(t.Context(), make([]byte, 1), m.Size()+1); !errors.Is(err, ErrRange) {
		t.Errorf("behind the end: %v", err)
	}
	if n, err := r.ReadAt(t.Context(), make([]byte, 10), m.Size()-3); n != 3 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if _, err := r.ReadRange(t.Context(), io.Discard, 1, m.Size()); !errors.Is(err, ErrRange) {
		t.Errorf("range beyond the end: %v", err)
	}
}

type readerAt struct {
	ctx context.Context
	r   *Reader
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r.r.ReadAt(r.ctx, p, off) }

func TestSmallObjectsAreHandedBackUnlessHeld(t *testing.T) {
	p := newPlace()
	data := noise(4, 4096)
	for i, held := range []bool{false, true} {
		w := NewWriter(t.Context(), p.stores(), testDomain, Default(), Options{SizeHint: 4096})
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		m, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if p.data.puts != i || len(w.Pending()) != 1-i || m.Size() != 4096 {
			t.Fatalf("held %v: %d puts, %d pending", held, p.data.puts, len(w.Pending()))
		}
		if s := w.Stats(); s.Deduped() != int64(i*4096) || s.NewChunks != 1-i {
			t.Errorf("held %v: %+v", held, s)
		}
		if n := len(m.Append(nil)); n > 41 {
			t.Errorf("the manifest has %d bytes", n)
		}
		p.data.add(t, w.Pending())
	}
	w := NewWriter(t.Context(), p.stores(), testDomain, Default(), Options{InlineMax: -1})
	if _, err := w.Write([]byte("other")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(); err != nil || len(w.Pending()) != 0 || len(p.data.held) != 2 {
		t.Errorf("without inlining: %v, %d pending, %d held", err, len(w.Pending()), len(p.data.held))
	}
}

func TestPutFailureIsFinalAndNothingIsLeftOnLoan(t *testing.T) {
	full := fmt.Errorf("disk 3: %w", chunk.ErrFull)
	for fails := range 4 {
		p := newPlace()
		n := 0
		p.data.onPut = func([]chunk.Chunk) error {
			if n++; n > fails {
				return full
			}
			return nil
		}
		buffers := NewBuffers(64 << 20)
		w := NewWriter(t.Context(), p.stores(), testDomain, Default(), Options{Buffers: buffers})
		_, err := w.ReadFrom(bytes.NewReader(noise(5, 16<<20)))
		if err == nil {
			_, err = w.Finish()
		}
		if !errors.Is(err, chunk.ErrFull) {
			t.Errorf("after %d puts: %v", fails, err)
		}
		if _, err := w.Write([]byte("more")); !errors.Is(err, chunk.ErrFull) {
			t.Errorf("the error is not final: %v", err)
		}
		w.Abort()
		w.Abort()
		if buffers.Lent() != 0 {
			t.Errorf("%d bytes on loan", buffers.Lent())
		}
	}
}

func TestAbortEndsAWriteThatHangs(t *testing.T) {
	p := newPlace()
	ctx, cancel := context.WithCancel(t.Context())
	p.data.onPut = func([]chunk.Chunk) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}
	w := NewWriter(ctx, p.stores(), testDomain, Default(), Options{})
	_, err := w.Write(noise(6, 30<<20))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	w.Abort()
	if _, err := w.Write([]byte{1}); err == nil {
		t.Error("an aborted writer writes")
	}
	if _, err := w.Finish(); err == nil {
		t.Error("an aborted writer finishes")
	}
}

func TestEditsInTheMiddleShareTheRest(t *testing.T) {
	p := newPlace()
	data := noise(7, 6<<20)
	p.write(t, Default(), data)
	for i, edit := range []func() []byte{
		func() []byte { return slices.Concat(data[:3<<20], []byte("inserted"), data[3<<20:]) },
		func() []byte { return slices.Delete(slices.Clone(data), 100, 5000) },
		func() []byte { return slices.Concat([]byte("front"), data) },
		func() []byte { b := slices.Clone(data); copy(b[5<<20:], "overwritten"); return b },
	} {
		changed := edit()
		m, s := p.write(t, Default(), changed)
		if s.NewBytes > 600<<10 {
			t.Errorf("edit %d: %d new bytes in %d chunks", i, s.NewBytes, s.NewChunks)
		}
		p.check(t, m, changed)
	}
}

func TestReadRangeTouchesOnlyWhatItNeeds(t *testing.T) {
	p := newPlace()
	data := noise(8, 8<<20)
	m, _ := p.write(t, Params{Content, 4 << 10}, data)
	p.data.resetCounts()
	p.meta.resetCounts()
	if got := p.read(t, m, 5_000_000, 100); !bytes.Equal(got, data[5_000_000:5_000_100]) {
		t.Error("other bytes")
	}
	pieces := len(slices.Concat(p.data.asked...))
	nodes := len(slices.Concat(p.meta.asked...))
	if pieces > 2 || nodes > 2*m.Level() {
		t.Errorf("100 bytes of a manifest of level %d cost %d pieces and %d nodes", m.Level(), pieces, nodes)
	}
}

func TestReaderKeepsTheKindOfError(t *testing.T) {
	p := newPlace()
	m, _ := p.write(t, Params{Content, 4 << 10}, noise(9, 8<<20))
	for _, want := range []error{chunk.ErrUnavailable, chunk.ErrCorrupt, chunk.ErrNotFound} {
		for level := range m.Level() + 1 {
			r := NewReader(func(path []chunk.ID) chunk.Store {
				if len(path) == level {
					return failing{want}
				}
				return p.open(path)
			}, m)
			for _, n := range []int64{100, 1 << 20, m.Size()} {
				if _, err := r.ReadRange(t.Context(), io.Discard, 0, n); !errors.Is(err, want) {
					t.Errorf("range of %d: %v, want %v", n, err, want)
				}
			}
			if _, err := r.ReadAt(t.Context(), make([]byte, 10), 70_000); !errors.Is(err, want) {
				t.Errorf("at: %v, want %v", err, want)
			}
			if level == m.Level() {
				continue
			}
			var walked error
			for _, err := range r.Pieces(t.Context()) {
				walked = errors.Join(walked, err)
			}
			if !errors.Is(walked, want) {
				t.Errorf("walk: %v, want %v", walked, want)
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Get(context.Context, []chunk.ID, func(chunk.Chunk) error) error { return f.err }
func (f failing) Put(context.Context, []chunk.Chunk) error                       { return f.err }
func (f failing) Missing(context.Context, []chunk.ID) ([]chunk.ID, error)        { return nil, f.err }

type limitedWriter struct{ left int }

var errWriter = errors.New("the client went away")

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errWriter
	}
	return len(p), nil
}

func TestReadRangeEndsWithTheWriter(t *testing.T) {
	p := newPlace()
	m, _ := p.write(t, Default(), noise(10, 30<<20))
	buffers := NewBuffers(64 << 20)
	r := NewReader(p.open, m)
	r.Buffers = buffers
	for _, size := range []int64{1 << 20, 30 << 20} {
		for _, after := range []int{0, 100_000, 9 << 20} {
			if int64(after) >= size {
				continue
			}
			if _, err := r.ReadRange(t.Context(), &limitedWriter{after}, 0, size); err != errWriter {
				t.Errorf("%d of %d: %v", after, size, err)
			}
		}
	}
	if buffers.Lent() != 0 {
		t.Errorf("%d bytes on loan", buffers.Lent())
	}
}
