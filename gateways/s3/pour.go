package s3

import (
	"crypto/md5"
	"io"
	"sync"
)

const (
	// smallBody is what is read whole before anything is done with it. Up to it a second goroutine costs more than it gains.
	smallBody = 128 << 10
	// blockSize is how much of a large body is hashed and stored at a time.
	blockSize = 512 << 10
	// blocks is how many blocks one body is in: one being read or stored, the others being summed up.
	blocks = 3
)

// buffers are lent to requests. They are safe for concurrent use.
type buffers struct{ small, block, chunk sync.Pool }

func (b *buffers) init() {
	b.small.New = func() any { return new([smallBody]byte) }
	b.block.New = func() any { return new([blockSize]byte) }
	b.chunk.New = func() any { return new([chunkBuffer]byte) }
}

// pour moves a body into w and returns its MD5. A nil error says that all of the body was right, its Content-MD5 included.
func (b *buffers) pour(p *payload, w io.Writer) (sum [md5.Size]byte, err error) {
	if p.size >= 0 && p.size <= smallBody {
		sum, err = b.pourSmall(p, w)
	} else {
		sum, err = b.pourLarge(p, w)
	}
	if err != nil {
		return sum, err
	}
	return sum, p.checkMD5(sum)
}

// pourSmall checks the body before it hands over a byte.
func (b *buffers) pourSmall(p *payload, w io.Writer) (sum [md5.Size]byte, err error) {
	buf := b.small.Get().(*[smallBody]byte)
	defer b.small.Put(buf)
	n, err := readBlock(p, buf[:])
	if err == nil { // at the end exactly at the buffer's: what follows is only the check
		_, err = readBlock(p, make([]byte, 1))
	}
	if err != io.EOF {
		return sum, err
	}
	sum = md5.Sum(buf[:n])
	_, err = w.Write(buf[:n])
	return sum, err
}

// pourLarge sums up on a goroutine of its own: MD5 costs as much as all the rest of storing a body.
func (b *buffers) pourLarge(p *payload, w io.Writer) (sum [md5.Size]byte, err error) {
	free := make(chan *[blockSize]byte, blocks)
	for range blocks {
		free <- b.block.Get().(*[blockSize]byte)
	}
	type filled struct {
		buf *[blockSize]byte
		n   int
	}
	work := make(chan filled, blocks)
	done := make(chan struct{})
	h := md5.New()
	go func() {
		defer close(done)
		for f := range work {
			_, _ = h.Write(f.buf[:f.n])
			free <- f.buf
		}
	}()
	for err == nil {
		buf := <-free
		var n int
		n, err = readBlock(p, buf[:])
		work <- filled{buf, n} // comes back when it is summed up; by then, or before the next read, w is done with it too
		if n == 0 || err != nil && err != io.EOF {
			break
		}
		if _, werr := w.Write(buf[:n]); werr != nil {
			err = werr
		}
	}
	close(work)
	<-done
	for range blocks {
		b.block.Put(<-free)
	}
	if err != io.EOF {
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, nil
}

// readBlock fills buf. The error is nil when buf is full, io.EOF when the body ended, rightly, before or at that.
func readBlock(p *payload, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = p.Read(buf[n:])
		n += m
	}
	return n, err
}
