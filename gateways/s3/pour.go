package s3

import (
	"crypto/md5"
	"io"
	"sync"
)

const (
	// tinyBody and smallBody are read whole before anything is done with them. Up to the latter a second goroutine costs more than it gains.
	tinyBody  = 16 << 10
	smallBody = 128 << 10
	// blockSize is how much of a large body is hashed and stored at a time.
	blockSize = 512 << 10
	// blocksEach is how many blocks one body is in: one being read or stored, the others being summed up.
	blocksEach = 3
)

// buffers are lent to requests. They are safe for concurrent use.
type buffers struct {
	tiny, small, block, chunk sync.Pool
	blocks                    gate
}

func (b *buffers) init() {
	b.tiny.New = func() any { return new([tinyBody]byte) }
	b.small.New = func() any { return new([smallBody]byte) }
	b.block.New = func() any { return new([blockSize]byte) }
	b.chunk.New = func() any { return new([chunkBuffer]byte) }
	b.blocks = make(gate, maxBlocks)
}

// pour moves a body into w and returns its MD5. A nil error says that all of the body was right, its Content-MD5 included.
func (b *buffers) pour(p *payload, w io.Writer) (sum [md5.Size]byte, err error) {
	switch {
	case p.size >= 0 && p.size <= tinyBody:
		buf := b.tiny.Get().(*[tinyBody]byte)
		defer b.tiny.Put(buf)
		sum, err = pourWhole(p, w, buf[:])
	case p.size >= 0 && p.size <= smallBody:
		buf := b.small.Get().(*[smallBody]byte)
		defer b.small.Put(buf)
		sum, err = pourWhole(p, w, buf[:])
	case b.blocks.tryEnter(blocksEach):
		defer b.blocks.leave(blocksEach)
		sum, err = b.pourBlocks(p, w)
	default:
		buf := b.small.Get().(*[smallBody]byte)
		defer b.small.Put(buf)
		sum, err = pourInTurn(p, w, buf[:])
	}
	if err != nil {
		return sum, err
	}
	return sum, p.checkMD5(sum)
}

// pourWhole checks a body that fits buf before it hands over a byte.
func pourWhole(p *payload, w io.Writer, buf []byte) (sum [md5.Size]byte, err error) {
	n, err := readBlock(p, buf)
	if err == nil { // it fills buf: what follows is only the check
		_, err = readBlock(p, make([]byte, 1))
	}
	if err != io.EOF {
		return sum, err
	}
	sum = md5.Sum(buf[:n])
	_, err = w.Write(buf[:n])
	return sum, err
}

// pourInTurn reads, sums up and stores one after the other.
func pourInTurn(p *payload, w io.Writer, buf []byte) (sum [md5.Size]byte, err error) {
	h := md5.New()
	for err == nil {
		var n int
		if n, err = readBlock(p, buf); err != nil && err != io.EOF {
			return sum, err
		}
		_, _ = h.Write(buf[:n])
		if _, werr := w.Write(buf[:n]); werr != nil {
			return sum, werr
		}
	}
	h.Sum(sum[:0])
	return sum, nil
}

// pourBlocks sums up on a goroutine of its own: MD5 costs as much as all the rest of storing a body.
func (b *buffers) pourBlocks(p *payload, w io.Writer) (sum [md5.Size]byte, err error) {
	s := b.newSummer()
	for err == nil {
		buf := <-s.free
		var n int
		n, err = readBlock(p, buf[:])
		if err != nil && err != io.EOF {
			n = 0
		}
		s.work <- filled{buf, n} // comes back when it is summed up; w is done with it before the next is taken
		if n == 0 {
			continue
		}
		if _, werr := w.Write(buf[:n]); werr != nil {
			err = werr
		}
	}
	sum = s.end()
	if err != io.EOF {
		return sum, err
	}
	return sum, nil
}

// summer makes the MD5 of blocks in the order in which they are sent, and gives them back.
type summer struct {
	bufs *buffers
	free chan *[blockSize]byte
	work chan filled
	done chan [md5.Size]byte
}

type filled struct {
	buf *[blockSize]byte
	n   int
}

func (b *buffers) newSummer() *summer {
	s := &summer{b, make(chan *[blockSize]byte, blocksEach), make(chan filled, blocksEach), make(chan [md5.Size]byte)}
	for range blocksEach {
		s.free <- b.block.Get().(*[blockSize]byte)
	}
	go s.run()
	return s
}

func (s *summer) run() {
	h := md5.New()
	for f := range s.work {
		_, _ = h.Write(f.buf[:f.n])
		s.free <- f.buf
	}
	s.done <- [md5.Size]byte(h.Sum(nil))
}

// end waits for the sum, and puts the blocks back.
func (s *summer) end() [md5.Size]byte {
	close(s.work)
	sum := <-s.done
	for range blocksEach {
		s.bufs.block.Put(<-s.free)
	}
	return sum
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
