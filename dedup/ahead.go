package dedup

import (
	"context"
	"io"
)

// ahead reads one large range: of its buffers one is being filled, one waits, one is being written.
type ahead struct {
	buffers *Buffers
	idle    chan *buffer
	filled  chan filled
}

type filled struct {
	buf *buffer
	err error
}

const aheadBuffers = 3

// lendAhead is nil where the memory is not there: the range is then read without.
func (r *Reader) lendAhead() *ahead {
	buffers := r.Buffers
	if buffers == nil {
		buffers = NewBuffers(aheadBuffers * stretchSize)
	}
	a := &ahead{buffers, make(chan *buffer, aheadBuffers), make(chan filled, aheadBuffers)}
	for range aheadBuffers {
		b := buffers.try(stretchSize)
		if b == nil {
			a.release()
			return nil
		}
		a.idle <- b
	}
	return a
}

func (a *ahead) release() {
	for len(a.idle) > 0 {
		a.buffers.free(<-a.idle)
	}
}

func (r *Reader) readAhead(ctx context.Context, w io.Writer, offset, length int64, a *ahead) (int64, error) {
	defer a.release()
	ctx, cancel := context.WithCancel(ctx)
	go r.fill(ctx, offset, length, a)
	var n int64
	var err error
	for f := range a.filled { // to its end, also after an error: the goroutine has then ended
		if err == nil {
			if err = f.err; err == nil {
				var k int
				k, err = w.Write(f.buf.data)
				n += int64(k)
			}
			if err != nil {
				cancel()
			}
		}
		if f.buf != nil {
			a.idle <- f.buf
		}
	}
	cancel()
	return n, err
}

func (r *Reader) fill(ctx context.Context, offset, length int64, a *ahead) {
	defer close(a.filled)
	for s, err := range r.stretches(ctx, offset, length) {
		if err != nil {
			a.filled <- filled{err: err}
			return
		}
		b := <-a.idle
		if cap(b.data) < s.size { // one piece longer than a stretch
			a.buffers.free(b)
			b = a.buffers.get(s.size)
		}
		b.data = b.data[:s.size]
		err = r.fetch(ctx, s, b.data)
		a.filled <- filled{b, err}
		if err != nil {
			return
		}
	}
}
