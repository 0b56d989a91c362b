package dedup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

const draftMax = 1 << 46

// draft begins at m in a place that has all of it.
func (p place) draft(params Params, m Manifest) *Draft {
	return NewDraft(p.stores(), testDomain, params, NewReader(p.open, m), draftMax)
}

// finish ends a draft and keeps what is pending.
func (p place) finish(t testing.TB, d *Draft) Manifest {
	t.Helper()
	m, pending, err := d.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.data.add(t, pending)
	return m
}

// edit does a random thing to a draft and to the bytes that it must hold.
func edit(t testing.TB, rng *rand.Rand, d *Draft, want []byte) []byte {
	t.Helper()
	switch n := rng.IntN(10); {
	case n < 2:
		size := rng.IntN(len(want) + 20_000)
		if err := d.Truncate(int64(size)); err != nil {
			t.Fatal(err)
		}
		want = append(want[:min(size, len(want))], make([]byte, max(size-len(want), 0))...)
	case n < 4:
		off, p := rng.IntN(len(want)+1000), make([]byte, rng.IntN(20_000))
		n, err := d.ReadAt(t.Context(), p, int64(off))
		if err != nil && err != io.EOF || !bytes.Equal(p[:n], want[min(off, len(want)):min(off+len(p), len(want))]) {
			t.Fatalf("read %d at %d of %d: %d, %v", len(p), off, len(want), n, err)
		}
	default:
		off, p := rng.IntN(len(want)+10_000), noise(byte(rng.Uint32()), 1+rng.IntN(9000))
		if n < 6 { // an append
			off = len(want)
		}
		if n, err := d.WriteAt(t.Context(), p, int64(off)); err != nil || n != len(p) {
			t.Fatal(n, err)
		}
		want = append(want, make([]byte, max(off+len(p)-len(want), 0))...)
		copy(want[off:], p)
	}
	if d.Size() != int64(len(want)) {
		t.Fatalf("the draft has %d bytes, want %d", d.Size(), len(want))
	}
	return want
}

// TestADraftIsWhatWasWritten: whatever is written in which order, spilled or not, the content is that, and the manifest that of the content written at once.
func TestADraftIsWhatWasWritten(t *testing.T) {
	for _, params := range []Params{{Content, 4 << 10}, {Fixed, 4 << 10}} {
		for seed := range uint64(unlessRace(40, 16)) {
			t.Run(fmt.Sprint(params, seed), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 3))
				p := newPlace()
				size := 300_000
				if seed%8 == 7 { // more than one level of nodes
					size = 6 << 20
				}
				want := noise(byte(seed), rng.IntN(size))
				m, _ := p.write(t, params, want)
				for range 3 {
					d := p.draft(params, m)
					if rng.IntN(2) == 0 {
						d.limit = 40_000
					}
					for range rng.IntN(12) {
						want = edit(t, rng, d, want)
					}
					m = p.finish(t, d)
					p.check(t, m, want)
					if whole, _ := p.write(t, params, want); !m.Equal(whole) {
						t.Fatalf("the manifest of %d bytes is not that of the content written at once", len(want))
					}
				}
			})
		}
	}
}

// TestWritingALittleOfMuchCostsALittle overwrites, appends to and shortens objects of growing size.
func TestWritingALittleOfMuchCostsALittle(t *testing.T) {
	params := Default()
	for _, size := range []int64{8 << 20, 64 << 20} {
		p := newPlace()
		m, _ := p.write(t, params, noise(1, int(size)))
		for name, change := range map[string]func(*Draft) error{
			"overwrite": func(d *Draft) error { _, err := d.WriteAt(t.Context(), noise(2, 4096), size/2+1234); return err },
			"append":    func(d *Draft) error { _, err := d.WriteAt(t.Context(), noise(3, 4096), size); return err },
			"truncate":  func(d *Draft) error { return d.Truncate(size/2 + 77) },
		} {
			p.data.resetCounts()
			p.meta.resetCounts()
			d := p.draft(params, m)
			if err := change(d); err != nil {
				t.Fatal(err)
			}
			p.finish(t, d)
			s := d.Stats()
			t.Logf("%s of %d MiB: %d chunks of %d bytes and %d nodes of %d bytes written, %d reads of payload, %d of nodes", name, size>>20, s.NewChunks, s.NewBytes, s.NewNodes, s.NodeBytes, p.data.gets, p.meta.gets)
			if s.NewBytes+s.NodeBytes > 1<<20 || p.data.gets > 12 {
				t.Errorf("%s of %d MiB: %+v, %d reads", name, size>>20, s, p.data.gets)
			}
		}
	}
}

// TestAByteAtTheFrontCostsALittle writes an object again, as S3 clients do, with one byte more at its front.
func TestAByteAtTheFrontCostsALittle(t *testing.T) {
	p := newPlace()
	data := noise(4, 32<<20)
	p.write(t, Default(), data)
	_, s := p.write(t, Default(), append([]byte{1}, data...))
	t.Logf("%d chunks of %d bytes and %d nodes of %d bytes written", s.NewChunks, s.NewBytes, s.NewNodes, s.NodeBytes)
	if s.NewBytes+s.NodeBytes > 2<<20 {
		t.Errorf("%+v", s)
	}
}

// TestHolesCostNothing makes an object of 10 TiB of zeros and writes into the middle of it.
func TestHolesCostNothing(t *testing.T) {
	const size = 10 << 40
	p := newPlace()
	d := NewDraft(p.stores(), testDomain, Default(), nil, draftMax)
	if err := d.Truncate(size); err != nil {
		t.Fatal(err)
	}
	m := p.finish(t, d)
	if s := d.Stats(); m.Size() != size || s.NewBytes+s.NodeBytes > 1<<20 {
		t.Fatalf("%d bytes cost %+v", m.Size(), s)
	}
	d = p.draft(Default(), m)
	if _, err := d.WriteAt(t.Context(), noise(1, 4096), size/2+1234); err != nil {
		t.Fatal(err)
	}
	m = p.finish(t, d)
	if s := d.Stats(); m.Size() != size || s.NewBytes+s.NodeBytes > 1<<20 {
		t.Errorf("a write into %d bytes cost %+v", m.Size(), s)
	}
	got := make([]byte, 5000)
	if _, err := NewReader(p.open, m).ReadAt(t.Context(), got, size/2+1000); err != nil || !bytes.Equal(got[234:234+4096], noise(1, 4096)) || got[233]|got[234+4096] != 0 {
		t.Errorf("it reads otherwise: %v", err)
	}
	for _, n := range []int64{DraftLimit, 3, 1 << 20} { // the same at once, and as pieces of nothing but zeros
		d := NewDraft(p.stores(), testDomain, Default(), nil, draftMax)
		if err := d.Truncate(n); err != nil {
			t.Fatal(err)
		}
		whole, _ := p.write(t, Default(), make([]byte, n))
		if m := p.finish(t, d); !m.Equal(whole) {
			t.Errorf("%d zeros are %v, written at once %v", n, m, whole)
		}
	}
	if err := d.Truncate(draftMax + 1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := d.WriteAt(t.Context(), []byte("x"), draftMax); !errors.Is(err, ErrTooLarge) {
		t.Errorf("written too far: %v", err)
	}
}

// TestADraftBringsWhatIsElsewhere begins at a manifest of which nothing is here: only what is touched comes.
func TestADraftBringsWhatIsElsewhere(t *testing.T) {
	params := Params{Content, 4 << 10}
	there := newPlace()
	want := noise(5, 4<<20)
	m, _ := there.write(t, params, want)
	here := newPlace()
	remote := NewReader(func(path []chunk.ID) chunk.Store { return keeping{there, here, len(path) < m.Level()} }, m)
	d := NewDraft(here.stores(), testDomain, params, remote, draftMax)
	d.limit = 8 << 10
	rng := rand.New(rand.NewPCG(1, 1))
	for range 8 {
		off, p := rng.IntN(len(want)-5000), noise(byte(rng.Uint32()), 3000)
		if _, err := d.WriteAt(t.Context(), p, int64(off)); err != nil {
			t.Fatal(err)
		}
		copy(want[off:], p)
	}
	got := make([]byte, 10_000)
	if _, err := d.ReadAt(t.Context(), got, 1<<20); err != nil || !bytes.Equal(got, want[1<<20:][:10_000]) {
		t.Fatalf("read: %v", err)
	}
	out := here.finish(t, d)
	if held := len(here.data.held); held > 200 {
		t.Errorf("%d chunks came here, of 1000", held)
	}
	for id, data := range there.data.held {
		here.data.held[id] = data
	}
	for id, data := range there.meta.held {
		here.meta.held[id] = data
	}
	here.check(t, out, want)
}

// keeping reads from there and keeps it here, as a lazy store does.
type keeping struct {
	there, here place
	nodes       bool
}

func (k keeping) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	from, to := k.there.data, k.here.data
	if k.nodes {
		from, to = k.there.meta, k.here.meta
	}
	return from.Get(ctx, ids, func(c chunk.Chunk) error {
		if err := to.Put(ctx, []chunk.Chunk{c}); err != nil {
			return err
		}
		return yield(c)
	})
}

func (k keeping) Put(context.Context, []chunk.Chunk) error { panic("a reader does not put") }
func (k keeping) Missing(context.Context, []chunk.ID) ([]chunk.ID, error) {
	panic("a reader does not ask")
}

// TestAFailedDraftGoesOn: what was written is still there when the store fails, and then does not.
func TestAFailedDraftGoesOn(t *testing.T) {
	p := newPlace()
	d := NewDraft(p.stores(), testDomain, Params{Content, 4 << 10}, nil, draftMax)
	want := noise(1, 200_000)
	if _, err := d.WriteAt(t.Context(), want, 0); err != nil {
		t.Fatal(err)
	}
	fault := errors.New("full")
	p.data.onPut = func([]chunk.Chunk) error { return fault }
	if _, _, err := d.Finish(t.Context()); !errors.Is(err, fault) {
		t.Fatalf("finish: %v", err)
	}
	if n := len(p.meta.held); n > 0 {
		t.Errorf("%d nodes are durable before what they name", n)
	}
	p.data.onPut = nil
	p.check(t, p.finish(t, d), want)
}

// BenchmarkOverwrite is 4 KiB written into the middle of objects of growing size.
func BenchmarkOverwrite(b *testing.B) {
	for _, size := range []int64{64 << 20, 1 << 30} {
		b.Run(fmt.Sprintf("%dMiB", size>>20), func(b *testing.B) {
			p := newPlace()
			w := NewWriter(b.Context(), p.stores(), testDomain, Default(), Options{})
			defer w.Abort()
			block := noise(1, 1<<20)
			for i := range size >> 20 { // no two alike
				copy(block, fmt.Sprint(i))
				block[1<<19] = byte(i)
				if _, err := w.Write(block); err != nil {
					b.Fatal(err)
				}
			}
			m, err := w.Finish()
			if err != nil {
				b.Fatal(err)
			}
			var bytes int64
			for i := 0; b.Loop(); i++ {
				d := p.draft(Default(), m)
				if _, err := d.WriteAt(b.Context(), noise(byte(i), 4096), size/2+int64(i)*5000%size/4); err != nil {
					b.Fatal(err)
				}
				p.finish(b, d)
				bytes = max(bytes, d.Stats().NewBytes+d.Stats().NodeBytes)
			}
			b.ReportMetric(float64(bytes), "max-B-written")
		})
	}
}
