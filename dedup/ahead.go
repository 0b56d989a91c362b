package dedup

import (
	"context"
	"io"

	"github.com/edgefs/edgefs/chunk"
)

// ahead reads one large range: of its batches one is being read, one waits, one is being written.
type ahead struct {
	buffers *Buffers
	idle    chan *pieces
	read    chan *pieces
}

// pieces are a stretch's, in order, ready to be written.
type pieces struct {
	data  [][]byte
	lease []chunk.Lease // that holds data, or nil
	copy  []*buffer     // that data was copied to, or nil
	err   error
}

const aheadBuffers = 3

// lendAhead is nil where the memory is not there: the range is then read without.
func (r *Reader) lendAhead() *ahead {
	buffers := r.Buffers
	if buffers == nil {
		buffers = NewBuffers(aheadBuffers * stretchSize)
	}
	if !buffers.reserve(aheadBuffers * stretchSize) {
		return nil
	}
	a := &ahead{buffers, make(chan *pieces, aheadBuffers), make(chan *pieces, aheadBuffers)}
	for range aheadBuffers {
		a.idle <- &pieces{}
	}
	return a
}

func (r *Reader) readAhead(ctx context.Context, w io.Writer, offset, length int64, a *ahead) (int64, error) {
	defer a.buffers.unreserve(aheadBuffers * stretchSize)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go r.fill(ctx, offset, length, a)
	var n int64
	var err error
	for p := range a.read { // to its end, also after an error: the goroutine has then ended
		if err == nil {
			err = p.err
		}
		for i, data := range p.data {
			if err == nil {
				var k int
				k, err = w.Write(data)
				n += int64(k)
			}
			a.drop(p, i)
		}
		if err != nil {
			cancel()
		}
		a.idle <- p
	}
	return n, err
}

func (r *Reader) fill(ctx context.Context, offset, length int64, a *ahead) {
	defer close(a.read)
	for s, err := range r.stretches(ctx, offset, length) {
		p := <-a.idle
		p.clear(len(s.pieces))
		if p.err = err; err == nil {
			p.err = r.get(ctx, s, func(i int, w wanted, c chunk.Chunk) error {
				a.keep(p, i, c.Data()[w.from:w.to], c.Lease())
				return nil
			})
		}
		failed := p.err != nil
		a.read <- p
		if failed {
			return
		}
	}
}

// clear makes room for n pieces.
func (p *pieces) clear(n int) {
	p.data, p.lease, p.copy = append(p.data[:0], make([][]byte, n)...), append(p.lease[:0], make([]chunk.Lease, n)...), append(p.copy[:0], make([]*buffer, n)...)
}

// keep holds piece i until it is dropped, where it lies or in a copy.
func (a *ahead) keep(p *pieces, i int, data []byte, lease chunk.Lease) {
	if lease != nil {
		lease.Hold()
		p.data[i], p.lease[i] = data, lease
		return
	}
	b := a.buffers.take(capacity(len(data)))
	b.data = append(b.data, data...)
	p.data[i], p.copy[i] = b.data, b
}

func (a *ahead) drop(p *pieces, i int) {
	if lease := p.lease[i]; lease != nil {
		lease.Release()
	}
	if b := p.copy[i]; b != nil {
		a.buffers.giveBack(b)
	}
	p.data[i], p.lease[i], p.copy[i] = nil, nil, nil
}
