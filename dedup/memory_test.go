package dedup

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// stream is endless content that hardly repeats, made at the speed of a copy.
type stream struct {
	block []byte
	left  int64
	at    int
	round uint64
	each  func() // called per block
}

func newStream(n int64) *stream { return &stream{block: noise(20, 1<<20), left: n} }

func (s *stream) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	if s.at == len(s.block) {
		s.at = 0
		s.round++
		for i := 0; i < len(s.block); i += 4096 {
			binary.LittleEndian.PutUint64(s.block[i:], s.round*0x9e3779b97f4a7c15)
		}
		if s.each != nil {
			s.each()
		}
	}
	n := copy(p[:min(int64(len(p)), s.left)], s.block[s.at:])
	s.at += n
	s.left -= int64(n)
	return n, nil
}

func heap() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

func TestALongStreamIsWrittenInBoundedMemory(t *testing.T) {
	size := int64(unlessRace(1<<30, 48<<20))
	p := newPlace()
	p.data.discard = true
	runtime.GC()
	base := heap()
	var peak int64
	source := newStream(size)
	source.each = func() { peak = max(peak, heap()-base) }
	w := NewWriter(t.Context(), p.stores(), testDomain, Default(), Options{})
	defer w.Abort()
	if n, err := w.ReadFrom(source); n != size || err != nil {
		t.Fatalf("%d bytes: %v", n, err)
	}
	m, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if m.Size() != size || w.Stats().Bytes != size {
		t.Errorf("size %d", m.Size())
	}
	t.Logf("%d MiB in %d chunks and %d nodes: peak heap %.1f MiB", size>>20, len(p.data.held), len(p.meta.held), float64(peak)/(1<<20))
	if peak > 40<<20 {
		t.Errorf("peak heap %d MiB", peak>>20)
	}
}

func TestManyWritersShareTheLimit(t *testing.T) {
	const writers, limit = 32, 16 << 20
	size := int64(unlessRace(24<<20, 2<<20))
	buffers := NewBuffers(limit)
	var peak int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range writers {
		p := newPlace()
		p.data.discard = true
		source := newStream(size)
		source.round = uint64(i) << 32
		source.each = func() {
			mu.Lock()
			defer mu.Unlock()
			peak = max(peak, buffers.Lent())
		}
		wg.Go(func() {
			w := NewWriter(t.Context(), p.stores(), testDomain, Default(), Options{Buffers: buffers})
			defer w.Abort()
			if _, err := w.ReadFrom(source); err != nil {
				t.Error(err)
			}
			if m, err := w.Finish(); err != nil || m.Size() != size {
				t.Errorf("size %d: %v", m.Size(), err)
			}
		})
	}
	wg.Wait()
	// Beyond the limit each has what it cannot do without: the buffer it fills, and the one that is put or that it grew out of.
	if most := int64(limit + 2*writers*Default().MaxSize()); peak > most {
		t.Errorf("%d MiB lent, at most %d", peak>>20, most>>20)
	}
	if buffers.Lent() != 0 {
		t.Errorf("%d bytes still on loan", buffers.Lent())
	}
	t.Logf("peak %.1f MiB lent to %d writers", float64(peak)/(1<<20), writers)
}

// edited is data after edits like a programmer's: lines inserted, removed and changed at random places.
func edited(random *rand.Rand, data []byte, edits int) []byte {
	for range edits {
		at := random.IntN(len(data) - 200)
		switch random.IntN(3) {
		case 0:
			data = slices.Concat(data[:at], fmt.Appendf(nil, "inserted line %d\n", random.Int()), data[at:])
		case 1:
			data = slices.Concat(data[:at], data[at+random.IntN(200):])
		default:
			data = slices.Concat(data[:at], fmt.Appendf(nil, "%016x", random.Uint64()), data[at+16:])
		}
	}
	return data
}

func TestVersionsOfAnEditedObjectShareMostBytes(t *testing.T) {
	versions, edits := unlessRace(10, 4), unlessRace(10, 2)
	for how, least := range map[Params]float64{{Content, 4 << 10}: 0.9, {Content, 64 << 10}: 0.6, {Fixed, 64 << 10}: 0.1} {
		random := rand.New(rand.NewPCG(3, 4))
		p := newPlace()
		data := words(21, unlessRace(16<<20, 4<<20))
		var logical, stored int64
		for range versions {
			_, s := p.write(t, how, data)
			logical += s.Bytes
			stored += s.NewBytes + s.NodeBytes
			data = edited(random, data, edits)
		}
		ratio := float64(logical) / float64(stored)
		t.Logf("%v: %d versions, %d edits each, %.1f MiB stored for %.1f: %.2f", how, versions, edits, float64(stored)/(1<<20), float64(logical)/(1<<20), ratio)
		if least *= float64(versions); ratio < least {
			t.Errorf("%v: ratio %.2f, at least %.1f", how, ratio, least)
		}
	}
}

// nowhere is a store that has nothing and keeps nothing, safe for many writers.
type nowhere struct{}

func (nowhere) Get(context.Context, []chunk.ID, func(chunk.Chunk) error) error {
	return chunk.ErrNotFound
}
func (nowhere) Put(context.Context, []chunk.Chunk) error { return nil }
func (nowhere) Missing(_ context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	return slices.Clone(ids), nil
}

func BenchmarkWrite4KiB(b *testing.B) {
	data := noise(22, 4096)
	stores := Stores{nowhere{}, nowhere{}}
	buffers := NewBuffers(64 << 20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		source := newOnce(data)
		for pb.Next() {
			w := NewWriter(context.Background(), stores, testDomain, Default(), Options{Buffers: buffers, SizeHint: 4096})
			source.at = 0
			if _, err := w.ReadFrom(source); err != nil {
				b.Fatal(err)
			}
			if m, err := w.Finish(); err != nil || m.Size() != 4096 || len(w.Pending()) != 1 {
				b.Fatal(err)
			}
		}
	})
}

// once reads data, then ends.
type once struct {
	data []byte
	at   int
}

func newOnce(data []byte) *once { return &once{data: data} }

func (o *once) Read(p []byte) (int, error) {
	if o.at == len(o.data) {
		return 0, io.EOF
	}
	n := copy(p, o.data[o.at:])
	o.at += n
	return n, nil
}

func BenchmarkCutAndName(b *testing.B) {
	data := noise(1, 64<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		cutter := NewCutter(Default())
		for rest := data; len(rest) > 0; {
			n := cutter.Next(rest)
			if n == 0 {
				n = len(rest)
			}
			testDomain.Make(rest[:n])
			rest = rest[n:]
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	const size = 256 << 20
	for _, how := range []Params{{Content, 64 << 10}, {Content, 1 << 20}, {Fixed, 64 << 10}} {
		b.Run(how.String(), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			buffers := NewBuffers(64 << 20)
			source := newStream(size)
			for b.Loop() {
				source.left = size
				w := NewWriter(b.Context(), Stores{nowhere{}, nowhere{}}, testDomain, how, Options{Buffers: buffers})
				if _, err := w.ReadFrom(source); err != nil {
					b.Fatal(err)
				}
				if _, err := w.Finish(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadRange(b *testing.B) {
	p := newPlace()
	m, _ := p.write(b, Default(), noise(23, 64<<20))
	buffers := NewBuffers(64 << 20)
	for _, size := range []int64{4096, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r := NewReader(func([]chunk.ID) chunk.Store { return plain{p} }, m)
			r.Buffers = buffers
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.ReadRange(b.Context(), io.Discard, 0, size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// plain yields what it holds without a check or a copy, so that a benchmark measures the reader.
type plain struct{ place }

func (p plain) Get(_ context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	for _, id := range ids {
		data, ok := p.data.held[id]
		if !ok {
			data = p.meta.held[id]
		}
		c, err := testDomain.Verify(id, data)
		if err != nil {
			return err
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

func (plain) Put(context.Context, []chunk.Chunk) error                { panic("a reader does not put") }
func (plain) Missing(context.Context, []chunk.ID) ([]chunk.ID, error) { panic("a reader does not ask") }
