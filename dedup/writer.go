package dedup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/edgefs/edgefs/chunk"
)

const (
	// DefaultInlineMax is up to how many bytes an object of one chunk is handed back instead of being put.
	DefaultInlineMax = 32 << 10

	batchSize   = 4 << 20  // payload per durable put
	maxFlight   = 3        // batches of one writer that are being named and put
	firstBuffer = 4 << 10  // of a writer that knows nothing of its object's size
	cutEvery    = 64 << 10 // bytes are cut while they are in the processor's cache
)

// ErrFinished says that a writer was finished or aborted before.
var ErrFinished = errors.New("the writer has ended")

// Stores is where an object's chunks are kept, each open for the writer's domain.
type Stores struct {
	Data chunk.Store // payload
	Meta chunk.Store // manifest nodes
}

// Options of a [Writer]. The zero value is usable.
type Options struct {
	// InlineMax is up to how many bytes an object that is one chunk is not put but handed back by [Writer.Pending]. 0 stands for
	// DefaultInlineMax; a negative value puts everything.
	InlineMax int
	// SizeHint is the object's length where it is known, so that the first buffer fits; 0 where it is not. It is not relied on.
	SizeHint int64
	// Buffers lends memory; nil gives the writer memory of its own, 16 MiB at the most.
	Buffers *Buffers
}

// Writer takes an object's bytes, cuts them and puts the chunks that are missing, in bounded memory: a writer holds at most four batches
// of about 4 MiB, and at least two buffers of its longest chunk. Cutting and naming overlap with the durable put of what came before.
//
// It ends with [Writer.Finish] or [Writer.Abort], whatever else has failed. It is not safe for concurrent use.
type Writer struct {
	ctx       context.Context    // Write has none of its own
	stop      context.CancelFunc // ends what is in flight; nil while nothing was sent
	data      chunk.Store
	domain    chunk.Domain
	cutter    Cutter
	longest   int // chunk
	inlineMax int
	buffers   *Buffers

	buf    *buffer
	ends   []int // of the chunks found in buf
	seen   int   // bytes of buf that were cut
	flight []*batch
	spare  []scratch

	tree    builder
	pending []chunk.Chunk
	stats   Stats
	err     error
	probe   [64]byte
}

// NewWriter begins an object. The parameters must be valid. When ctx ends, writing fails and so does Finish.
func NewWriter(ctx context.Context, stores Stores, domain chunk.Domain, p Params, o Options) *Writer {
	w := &Writer{
		ctx:  ctx,
		data: stores.Data, domain: domain,
		cutter: NewCutter(p), longest: p.MaxSize(),
		inlineMax: o.InlineMax, buffers: o.Buffers,
		tree: builder{domain: domain, meta: stores.Meta},
	}
	if w.inlineMax == 0 {
		w.inlineMax = DefaultInlineMax
	}
	if w.buffers == nil {
		w.buffers = NewBuffers(16 << 20)
	}
	if o.SizeHint > 0 {
		w.buf = w.firstBuffer(int(min(o.SizeHint, int64(w.fullSize()))))
	}
	return w
}

// fullSize is the capacity at which a buffer is not grown any more.
func (w *Writer) fullSize() int { return max(batchSize, capacity(w.longest)) }

func (w *Writer) firstBuffer(n int) *buffer {
	if n <= w.longest {
		return w.buffers.get(n)
	}
	if b := w.buffers.try(n); b != nil {
		return b
	}
	return w.buffers.get(w.longest)
}

// Write takes p. An error is final.
func (w *Writer) Write(p []byte) (int, error) {
	if w.buf == nil && w.err == nil {
		w.buf = w.firstBuffer(min(max(len(p), firstBuffer), w.fullSize()))
	}
	n := 0
	for n < len(p) {
		if err := w.room(); err != nil {
			return n, err
		}
		k := min(len(p)-n, cap(w.buf.data)-len(w.buf.data))
		w.buf.data = append(w.buf.data, p[n:n+k]...)
		n += k
		w.cut(cutEvery)
	}
	return n, w.err
}

// ReadFrom takes all of r, without a copy between r and the chunks. An error is final.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	var n int64
	for w.err == nil {
		k, err := w.readSome(r)
		n += int64(k)
		if errors.Is(err, io.EOF) {
			return n, w.err
		}
		if err != nil {
			w.fail(err)
		}
	}
	return n, w.err
}

func (w *Writer) readSome(r io.Reader) (int, error) {
	if w.buf == nil {
		w.buf = w.firstBuffer(firstBuffer)
	}
	b := w.buf.data
	if len(b) == cap(b) {
		// The object may end exactly here: a buffer is only grown or sealed for bytes that exist.
		k, err := r.Read(w.probe[:])
		if _, failed := w.Write(w.probe[:k]); failed != nil {
			return k, failed
		}
		return k, err
	}
	k, err := r.Read(b[len(b):cap(b)])
	w.buf.data = b[:len(b)+k]
	w.cut(cutEvery)
	return k, err
}

// cut looks for boundaries once there are as many new bytes as said.
func (w *Writer) cut(least int) {
	if len(w.buf.data)-w.seen < least {
		return
	}
	start := w.start()
	for {
		n := w.cutter.Next(w.buf.data[start:])
		if n == 0 {
			break
		}
		start += n
		w.ends = append(w.ends, start)
	}
	w.seen = len(w.buf.data)
}

// start is where the chunk that has no end yet begins in the buffer.
func (w *Writer) start() int {
	if len(w.ends) == 0 {
		return 0
	}
	return w.ends[len(w.ends)-1]
}

// room makes the buffer take at least one more byte: it grows while it is small, else its chunks are sent away.
func (w *Writer) room() error {
	if w.err != nil {
		return w.err
	}
	have := cap(w.buf.data)
	if len(w.buf.data) < have {
		return nil
	}
	w.cut(1)
	if have < w.fullSize() {
		if larger := w.larger(have); larger != nil {
			larger.data = append(larger.data, w.buf.data...)
			w.buffers.free(w.buf)
			w.buf = larger
			return nil
		}
	}
	return w.seal()
}

// larger lends the next size of buffer, or nil where the limit does not allow it and the buffer already holds the longest chunk.
func (w *Writer) larger(have int) *buffer {
	want := min(max(4*have, firstBuffer), w.fullSize())
	if want <= capacity(w.longest) {
		return w.buffers.get(want)
	}
	if b := w.buffers.try(want); b != nil || have >= w.longest {
		return b
	}
	return w.buffers.get(w.longest)
}

// seal sends the chunks of the buffer away, and moves the rest into another.
func (w *Writer) seal() error {
	next, err := w.another()
	if err != nil {
		return err
	}
	full, start := w.buf, w.start()
	next.data = append(next.data, full.data[start:]...)
	w.buf, w.seen = next, len(next.data)
	w.send(full)
	return nil
}

// another lends the next buffer. Where too much is in flight, or the limit allows no more, it waits for what is in flight.
func (w *Writer) another() (*buffer, error) {
	for {
		if len(w.flight) < maxFlight {
			if b := w.buffers.try(w.fullSize()); b != nil {
				return b, nil
			}
		}
		if len(w.flight) == 0 {
			return w.buffers.get(w.longest), nil
		}
		if err := w.settle(); err != nil {
			return nil, err
		}
	}
}

// send starts the batch of full's chunks.
func (w *Writer) send(full *buffer) {
	if w.stop == nil {
		w.ctx, w.stop = context.WithCancel(w.ctx)
	}
	b := &batch{buf: full, ends: w.ends, done: make(chan struct{})}
	if n := len(w.spare); n > 0 {
		w.ends, b.chunks = w.spare[n-1].ends, w.spare[n-1].chunks
		w.spare = w.spare[:n-1]
	} else {
		w.ends = nil
	}
	var before *batch
	if n := len(w.flight); n > 0 {
		before = w.flight[n-1]
	}
	w.flight = append(w.flight, b)
	go b.run(w.ctx, w.domain, w.data, before)
}

// settle waits for the oldest batch and gives its pieces to the manifest: what a node names is durable before the node is.
func (w *Writer) settle() error {
	b := w.flight[0]
	<-b.done
	w.flight = w.flight[1:]
	err := b.err
	for i := 0; i < len(b.chunks) && err == nil && w.err == nil; i++ {
		c := b.chunks[i]
		w.stats.Bytes += int64(c.Size())
		err = w.tree.piece(w.ctx, Entry{c.ID(), int64(c.Size())})
	}
	w.stats.NewChunks += b.written.chunks
	w.stats.NewBytes += b.written.bytes
	w.buffers.free(b.buf)
	clear(b.chunks)
	// Not the batch itself: the next one may still look at how this one ended.
	w.spare = append(w.spare, scratch{b.ends[:0], b.chunks[:0]})
	if err != nil {
		w.fail(err)
	}
	return w.err
}

// fail makes the first error final, and stops what is in flight.
func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
		w.halt()
	}
}

func (w *Writer) halt() {
	if w.stop != nil {
		w.stop()
	}
}

// Finish ends the object and returns its manifest. All its chunks are then durable, except those of [Writer.Pending].
func (w *Writer) Finish() (Manifest, error) {
	defer w.Abort()
	if w.err != nil {
		return Manifest{}, w.err
	}
	if err := w.last(); err != nil {
		return Manifest{}, err
	}
	for len(w.flight) > 0 {
		if err := w.settle(); err != nil {
			return Manifest{}, err
		}
	}
	m, err := w.tree.finish(w.ctx)
	if err != nil {
		w.fail(err)
		return Manifest{}, err
	}
	w.stats.NewNodes, w.stats.NodeBytes = w.tree.stats.NewNodes, w.tree.stats.NodeBytes
	return m, nil
}

// last names and sends what is in the buffer.
func (w *Writer) last() error {
	if w.buf == nil || len(w.buf.data) == 0 {
		return nil
	}
	w.cut(1)
	if w.start() < len(w.buf.data) {
		w.ends = append(w.ends, len(w.buf.data))
	}
	if len(w.ends) == 1 && len(w.buf.data) <= w.inlineMax && len(w.flight) == 0 && w.stats.Bytes == 0 {
		return w.inline()
	}
	w.send(w.buf)
	w.buf = nil
	return nil
}

// inline makes an object of one chunk without putting it.
func (w *Writer) inline() error {
	c := w.domain.Make(w.buf.data)
	missing, err := w.data.Missing(w.ctx, []chunk.ID{c.ID()})
	if err != nil {
		err = fmt.Errorf("put 1 chunk: %w", err)
		w.fail(err)
		return err
	}
	w.stats.Bytes = int64(c.Size())
	if len(missing) > 0 {
		w.stats.NewChunks, w.stats.NewBytes = 1, w.stats.Bytes
		w.pending = []chunk.Chunk{w.giveAway(c)}
	}
	return w.tree.piece(w.ctx, Entry{c.ID(), int64(c.Size())})
}

// giveAway makes c's bytes the caller's.
func (w *Writer) giveAway(c chunk.Chunk) chunk.Chunk {
	if !w.buf.own || cap(w.buf.data) > 2*c.Size() {
		return c.Clone()
	}
	w.buffers.free(w.buf)
	w.buf = nil
	return c
}

// Pending are the chunks of a finished object that are neither held by the store nor were put: whoever makes the manifest durable must
// make them durable with it. Their bytes belong to the caller.
func (w *Writer) Pending() []chunk.Chunk { return w.pending }

// Stats says what was written so far; it is complete after Finish.
func (w *Writer) Stats() Stats { return w.stats }

// Abort ends the object without a manifest. What was put stays until it is collected. After Finish it does nothing.
func (w *Writer) Abort() {
	w.halt()
	for len(w.flight) > 0 {
		b := w.flight[0]
		<-b.done
		w.flight = w.flight[1:]
		w.buffers.free(b.buf)
	}
	if w.buf != nil {
		w.buffers.free(w.buf)
		w.buf = nil
	}
	if w.err == nil {
		w.err = ErrFinished
	}
}
