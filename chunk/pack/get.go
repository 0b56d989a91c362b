package pack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/edgefs/edgefs/chunk"
)

const (
	spanSize = 512 << 10 // that is read at once; one chunk may be larger
	spanGap  = 32 << 10  // that is rather read than skipped
)

// buffers are for reads.
type buffers struct{ pool sync.Pool } // of *span

// span is what was read at once, and the lease of the chunks in it.
type span struct {
	data []byte
	pool *sync.Pool
	held atomic.Int32
}

// get lends a span to be released.
func (p *buffers) get(size int) *span {
	s, _ := p.pool.Get().(*span)
	if s == nil || cap(s.data) < size {
		s = &span{data: make([]byte, max(size, spanSize)), pool: &p.pool}
	}
	s.data = s.data[:size]
	s.Hold()
	return s
}

// Hold is [chunk.Lease].
func (s *span) Hold() { s.held.Add(1) }

// Release is [chunk.Lease]. Spans for large chunks are left to the garbage collector.
func (s *span) Release() {
	if s.held.Add(-1) == 0 && cap(s.data) <= 2*spanSize {
		s.pool.Put(s)
	}
}

// lease is s, for chunks to be held in, unless so little of it is in use that copies of those are better.
func (s *span) lease() chunk.Lease {
	if len(s.data) < cap(s.data)/2 {
		return nil
	}
	return s
}

// found is a chunk to be read.
type found struct {
	key   Key
	entry Entry
}

// end is where the payload ends.
func (f found) end() int64 { return f.entry.Offset + recordSize + int64(f.entry.Length) }

// failures gathers what could not be served.
type failures struct{ unavailable, corrupt, absent error }

func (f *failures) note(err error) {
	switch {
	case errors.Is(err, chunk.ErrUnavailable):
		f.unavailable = err
	case errors.Is(err, chunk.ErrCorrupt):
		f.corrupt = err
	default:
		f.absent = err
	}
}

func (f *failures) worst() error { return cmp.Or(f.unavailable, f.corrupt, f.absent) }

// Get is [chunk.Store]. Chunks are yielded in the order in which they lie on the device; what lies together is read at once.
func (v view) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	if err := v.d.enter(ctx); err != nil {
		return err
	}
	defer v.d.leave()
	var failed failures
	chunks, err := v.locate(v.keys(ids), &failed)
	if err != nil {
		return err
	}
	for len(chunks) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := spanOf(chunks)
		if err := v.readSpan(chunks[:n], yield, &failed); err != nil {
			return err
		}
		chunks = chunks[n:]
	}
	return failed.worst()
}

// locate finds where chunks lie, in the order in which they are read best.
func (v view) locate(keys []Key, failed *failures) ([]found, error) {
	chunks := make([]found, 0, len(keys))
	next := 0
	absent := func(upTo int) {
		for ; next < upTo; next++ {
			failed.note(fmt.Errorf("chunk %v: %w", keys[next].ID, chunk.ErrNotFound))
		}
	}
	err := v.d.index.Lookup(keys, func(i int, e Entry) {
		absent(i)
		next++
		chunks = append(chunks, found{keys[i], e})
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", chunk.ErrUnavailable, err)
	}
	absent(len(keys))
	slices.SortFunc(chunks, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.entry.Generation, b.entry.Generation), cmp.Compare(a.entry.Offset, b.entry.Offset))
	})
	return chunks, nil
}

// spanOf is the number of chunks, from the first on, that are read at once.
func spanOf(chunks []found) int {
	first := chunks[0]
	n := 1
	for ; n < len(chunks); n++ {
		last, c := chunks[n-1], chunks[n]
		if c.entry.Generation != first.entry.Generation || c.entry.Offset-last.end() > spanGap || c.end()-first.entry.Offset > spanSize {
			break
		}
	}
	return n
}

// readSpan reads chunks that lie together and yields those that are whole. The others are noted as failed; what it returns is yield's error.
func (v view) readSpan(chunks []found, yield func(chunk.Chunk) error, failed *failures) error {
	from := chunks[0].entry.Offset
	buf := v.d.buffers.get(int(chunks[len(chunks)-1].end() - from))
	defer buf.Release()
	if err := v.d.read(chunks[0].entry.Generation, buf, from); err != nil && len(chunks) > 1 {
		for i := range chunks { // one bad sector must not hide the others
			if err := v.readSpan(chunks[i:i+1], yield, failed); err != nil {
				return err
			}
		}
		return nil
	} else if err != nil {
		return v.readAgain(chunks[0], err, yield, failed)
	}
	out := v.d.unpacked(chunks)
	defer out.end()
	for _, f := range chunks {
		at := f.entry.Offset - from + recordSize
		if err := v.yieldFrom(f, buf.data[at:at+int64(f.entry.Length)], buf.lease(), &out, yield, failed); err != nil {
			return err
		}
	}
	return nil
}

// yieldFrom yields one chunk of a span, if it is whole. Its payload has a lease; what it is unpacked to has another.
func (v view) yieldFrom(f found, payload []byte, lease chunk.Lease, out *unpacked, yield func(chunk.Chunk) error, failed *failures) (err error) {
	data := payload
	if f.entry.Codec != Plain {
		if data, lease, err = out.open(f.entry, payload); err != nil {
			return v.readAgain(f, err, yield, failed)
		}
	}
	c, err := v.domain.Verify(f.key.ID, data)
	if err != nil {
		return v.readAgain(f, err, yield, failed)
	}
	return yield(c.On(lease))
}

// readAgain is for a chunk that could not be read where it was found. When it lies elsewhere by now, that is read; else a damaged copy is
// forgotten.
func (v view) readAgain(f found, cause error, yield func(chunk.Chunk) error, failed *failures) error {
	if !errors.Is(cause, chunk.ErrCorrupt) {
		failed.note(fmt.Errorf("chunk %v: %w", f.key.ID, cause))
		return nil
	}
	now, dropped, err := v.d.forget(f)
	switch {
	case err != nil:
		failed.note(fmt.Errorf("chunk %v: %w: %w", f.key.ID, chunk.ErrUnavailable, err))
	case dropped:
		failed.note(fmt.Errorf("chunk %v: %w", f.key.ID, chunk.ErrCorrupt))
	case now.Class == 0: // it was collected
		failed.note(fmt.Errorf("chunk %v: %w", f.key.ID, chunk.ErrNotFound))
	default:
		return v.readSpan([]found{{f.key, now}}, yield, failed)
	}
	return nil
}

// readNow is read without a limit of time.
func (d *Device) readNow(generation uint64, buf []byte, off int64) error {
	h, err := d.handles.get(d, generation)
	if err != nil {
		return err
	}
	defer d.handles.put(h)
	switch err := readFull(h.file, buf, off); {
	case errors.Is(err, errShort):
		return fmt.Errorf("%w: %w", chunk.ErrCorrupt, err)
	case err != nil:
		return fmt.Errorf("%w: %w", chunk.ErrUnavailable, err)
	}
	return nil
}

// forget removes the entry of a damaged copy and counts it, unless the entry has changed: then it returns the new one, zero for none. On a full disk
// the entry stays, to be found damaged again.
func (d *Device) forget(f found) (now Entry, dropped bool, err error) {
	d.indexing.Lock()
	defer d.indexing.Unlock()
	if err := d.index.Lookup([]Key{f.key}, func(_ int, e Entry) { now = e }); err != nil {
		return Entry{}, false, err
	}
	if now != f.entry {
		return now, false, nil
	}
	if err := d.dropEntry(f); err != nil {
		return Entry{}, false, err
	}
	d.mu.Lock()
	d.stats.Corrupt++
	d.mu.Unlock()
	d.log.Error("damaged chunk", "id", f.key.ID, "pack", packName(d.opts.Dir, f.entry.Generation), "offset", f.entry.Offset, "class", f.entry.Class)
	return Entry{}, true, nil
}

func (d *Device) dropEntry(f found) error {
	if err := d.indexHasRoom(); err != nil {
		d.log.Warn("no space to drop a damaged chunk from the index", "id", f.key.ID, "err", err)
		return nil
	}
	if err := d.noteLost(f); err != nil {
		return err
	}
	if err := d.index.Apply(nil, []Key{f.key}); err != nil {
		return err
	}
	d.count(Entry{}, f.entry)
	return d.index.Sync() // else it counts as held again after a power cut
}
