package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"

	"github.com/zeebo/blake3"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/test/measure"
)

// read reads objects that are in the page cache, one reader per processor, beside reading a file and naming what was read.
func (b *bench) read(ctx context.Context) ([]measure.Result, error) {
	raw, err := newRawFile(b.dir, 4*streamSize)
	if err != nil {
		return nil, err
	}
	defer raw.remove()
	cached, err := os.Open(raw.Name())
	if err != nil {
		return nil, err
	}
	defer cached.Close()
	d, err := b.device(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	readers := make([]*dedup.Reader, 4)
	for i := range readers {
		if readers[i], err = b.object(ctx, d, uint64(i)); err != nil {
			return nil, err
		}
	}
	var bare, ours rate
	turn := func(sum *rate, do func(i int) error) error {
		return sum.of(int(raw.size), func() error { return each(runtime.GOMAXPROCS(0), len(readers), do) })
	}
	one := func(i int) error {
		_, err := readers[i].ReadRange(ctx, io.Discard, 0, streamSize)
		return err
	}
	hash := func(i int) error { return readAndName(cached, int64(i)*streamSize, streamSize) }
	for warm := range rounds + 1 {
		for _, t := range []struct {
			sum *rate
			do  func(int) error
		}{{&bare, hash}, {&ours, one}, {&ours, one}, {&bare, hash}} {
			if err := turn(t.sum, t.do); err != nil {
				return nil, err
			}
		}
		if warm == 0 {
			bare, ours = rate{}, rate{}
		}
	}
	r := measure.Beside(bare.perSecond(), 0.7, measure.Result{Name: "read", What: "objects read and verified, from the page cache", Value: ours.perSecond(), Unit: "MB/s"})
	r.Detail = fmt.Sprintf("%.2f CPU-s/GB, raw %.2f", ours.cost(), bare.cost())
	return []measure.Result{r}, nil
}

// object stores a stream of random bytes.
func (b *bench) object(ctx context.Context, d *pack.Device, seed uint64) (*dedup.Reader, error) {
	data := make([]byte, streamSize)
	fillRandom(data, seed)
	domain := domainOf(seed)
	m, err := b.write(ctx, d, domain, data)
	if err != nil {
		return nil, err
	}
	stores := []chunk.Store{d.Open(domain, chunk.Data), d.Open(domain, chunk.Meta)}
	r := dedup.NewReader(func(path []chunk.ID) chunk.Store { return stores[min(1, len(path))] }, m)
	r.Buffers = b.buffers
	return r, nil
}

func readAndName(f io.ReaderAt, from, size int64) error {
	buf, h := make([]byte, 1<<20), blake3.New()
	for off := from; off < from+size; off += int64(len(buf)) {
		if _, err := f.ReadAt(buf, off); err != nil {
			return err
		}
		nameOf(h, buf)
	}
	return nil
}

const (
	coldChunk = 64 << 10
	coldCount = 16 << 10
	coldDepth = 16
)

// cold reads chunks at random that are not in the page cache, beside reads with O_DIRECT of the same length.
func (b *bench) cold(ctx context.Context) ([]measure.Result, error) {
	raw, err := newRawFile(b.dir, coldCount*coldChunk)
	if err != nil {
		return nil, err
	}
	defer raw.remove()
	d, err := b.device(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	domain := domainOf(1)
	ids, err := putMany(ctx, d.Open(domain, chunk.Data), domain, coldCount, coldChunk)
	if err != nil {
		return nil, err
	}
	bufs := make([][]byte, coldDepth)
	for i := range bufs {
		bufs[i] = vfs.Buffer(coldChunk)
	}
	store := d.Open(domain, chunk.Data)
	direct := func(_ context.Context, w, _ int) error {
		_, err := raw.ReadAt(bufs[w], rand.Int64N(coldCount)*coldChunk)
		return err
	}
	var ours rate
	limit := 0.0
	for range rounds {
		perSecond, err := during(ctx, b.each/2, coldDepth, direct)
		if err != nil {
			return nil, err
		}
		limit += perSecond / rounds
		order := rand.Perm(coldCount) // none twice, so none is in the page cache
		if err := forget(b.path("device/packs")); err != nil {
			return nil, err
		}
		err = ours.of(coldCount*coldChunk, func() error {
			return each(coldDepth, len(order), func(i int) error {
				return store.Get(ctx, []chunk.ID{ids[order[i]]}, func(chunk.Chunk) error { return nil })
			})
		})
		if err != nil {
			return nil, err
		}
	}
	r := measure.Beside(limit, 0.8, measure.Result{Name: "cold", What: "cold random reads of 64 KiB, verified, depth 16", Value: ours.perSecond() * 1e6 / coldChunk, Unit: "chunks/s"})
	r.Detail = fmt.Sprintf("%.0f µs of processors each", ours.cost()*coldChunk/1e3)
	return []measure.Result{r}, nil
}

// each does n things, depth at a time.
func each(depth, n int, do func(i int) error) error {
	errs := make([]error, depth)
	var all sync.WaitGroup
	next := make(chan int, depth)
	for w := range depth {
		all.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					errs[w] = err
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// numbered is chunk i of those that many are made of.
func numbered(buf []byte, i int64) []byte {
	binary.LittleEndian.PutUint64(buf, uint64(i))
	return buf
}

// putMany puts n chunks of one size in batches of 4 MiB, a writer per processor.
func putMany(ctx context.Context, store chunk.Store, domain chunk.Domain, n int64, size int) ([]chunk.ID, error) {
	ids := make([]chunk.ID, n)
	batch := int64((4 << 20) / size)
	err := each(runtime.GOMAXPROCS(0), int((n+batch-1)/batch), func(at int) error {
		from := int64(at) * batch
		chunks := make([]chunk.Chunk, 0, batch)
		for i := from; i < min(from+batch, n); i++ {
			c := domain.Make(numbered(make([]byte, size), i))
			ids[i], chunks = c.ID(), append(chunks, c)
		}
		return store.Put(ctx, chunks)
	})
	return ids, err
}
