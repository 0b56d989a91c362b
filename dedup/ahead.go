package dedup

import (
	"context"
	"io"

	"github.com/edgefs/edgefs/chunk"
	"golang.org/x/sync/semaphore"
)

const (
	// aheadReserve is the memory that reading ahead is accounted with: a stretch whose pieces come out of order, and what waits to be written.
	aheadReserve = stretchSize + 2<<20
	// aheadWaits bounds the bytes that wait to be written: what is written soon after it was verified is still in the processor's cache.
	aheadWaits = 512 << 10
)

// ahead reads one large range while what came before is written.
type ahead struct {
	buffers *Buffers
	waits   *semaphore.Weighted
	read    chan piece
}

// piece is bytes of the range that stay as they are until they are dropped.
type piece struct {
	data  []byte
	lease chunk.Lease // that data lies in, or
	copy  *buffer     // that it was copied to
	err   error       // the last piece has only that
}

// lendAhead is nil where the memory is not there: the range is then read without.
func (r *Reader) lendAhead() *ahead {
	buffers := r.Buffers
	if buffers == nil {
		buffers = NewBuffers(aheadReserve)
	}
	if !buffers.reserve(aheadReserve) {
		return nil
	}
	return &ahead{buffers, semaphore.NewWeighted(aheadWaits), make(chan piece, 64)}
}

func (r *Reader) readAhead(ctx context.Context, w io.Writer, offset, length int64, a *ahead) (int64, error) {
	defer a.buffers.unreserve(aheadReserve)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go r.fill(ctx, offset, length, a)
	var n int64
	var err error
	for p := range a.read { // to its end, also after an error: the goroutine has then ended
		if err == nil {
			err = p.err
		}
		if err == nil {
			var k int
			k, err = w.Write(p.data)
			n += int64(k)
		}
		if err != nil {
			cancel()
		}
		a.waits.Release(weight(p))
		a.drop(p)
	}
	return n, err
}

func (r *Reader) fill(ctx context.Context, offset, length int64, a *ahead) {
	defer close(a.read)
	for s, err := range r.stretches(ctx, offset, length) {
		if err == nil {
			err = r.fillStretch(ctx, s, a)
		}
		if err != nil {
			a.read <- piece{err: err}
			return
		}
	}
}

// fillStretch hands the pieces of a stretch on in their order, whatever the one that they come in.
func (r *Reader) fillStretch(ctx context.Context, s stretch, a *ahead) error {
	early := make([]piece, len(s.pieces))
	next := 0
	defer func() {
		for _, p := range early[next:] {
			a.drop(p)
		}
	}()
	return r.get(ctx, s, func(i int, w wanted, c chunk.Chunk) error {
		early[i] = a.keep(c.Data()[w.from:w.to], c.Lease())
		for ; next < len(early) && early[next].data != nil; next++ {
			if err := a.waits.Acquire(ctx, weight(early[next])); err != nil {
				return err
			}
			a.read <- early[next]
		}
		return nil
	})
}

// weight is what a piece takes of what may wait: all of it, when it is larger.
func weight(p piece) int64 { return int64(min(len(p.data), aheadWaits)) }

// keep holds bytes until they are dropped, where they lie or in a copy.
func (a *ahead) keep(data []byte, lease chunk.Lease) piece {
	if lease != nil {
		lease.Hold()
		return piece{data: data, lease: lease}
	}
	b := a.buffers.take(capacity(len(data)))
	b.data = append(b.data, data...)
	return piece{data: b.data, copy: b}
}

func (a *ahead) drop(p piece) {
	if p.lease != nil {
		p.lease.Release()
	}
	if p.copy != nil {
		a.buffers.giveBack(p.copy)
	}
}
