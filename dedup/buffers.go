package dedup

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Buffers lends the memory that writers and readers work in, shared among all that are given the same one. What goes beyond the least that
// each needs, to overlap one batch with the next, is lent up to a limit: with many at work each becomes slower, not the process larger.
// It is safe for concurrent use.
type Buffers struct {
	limit int64
	lent  atomic.Int64
	pools [bits.UintSize]sync.Pool // of *buffer, by the logarithm of the capacity
}

// buffer is bytes on loan.
type buffer struct {
	data []byte
	own  bool // too small to pool
}

// minPooled is the least size that is pooled: below, the allocator is as good, and the bytes can be given away.
const minPooled = 64 << 10

// NewBuffers lends up to about limit bytes, and beyond it what cannot be done without: per writer two buffers of the longest chunk, per
// reader the chunks of one batch that came out of order.
func NewBuffers(limit int64) *Buffers { return &Buffers{limit: limit} }

// Lent is how many bytes are on loan now.
func (b *Buffers) Lent() int64 { return b.lent.Load() }

// try lends a buffer of at least n bytes within the limit, or nil.
func (b *Buffers) try(n int) *buffer {
	n = capacity(n)
	if !b.reserve(n) {
		return nil
	}
	return b.take(n)
}

// reserve counts n bytes as lent, if the limit allows it, for what is then taken, or held elsewhere.
func (b *Buffers) reserve(n int) bool {
	if b.lent.Add(int64(n)) > b.limit {
		b.unreserve(n)
		return false
	}
	return true
}

func (b *Buffers) unreserve(n int) { b.lent.Add(-int64(n)) }

// get lends a buffer of at least n bytes in any case.
func (b *Buffers) get(n int) *buffer {
	n = capacity(n)
	b.lent.Add(int64(n))
	return b.take(n)
}

func (b *Buffers) take(n int) *buffer {
	if n < minPooled {
		return &buffer{data: make([]byte, 0, n), own: true}
	}
	if lent, _ := b.pools[bits.Len(uint(n))-1].Get().(*buffer); lent != nil {
		lent.data = lent.data[:0]
		return lent
	}
	return &buffer{data: make([]byte, 0, n)}
}

// free takes a buffer back.
func (b *Buffers) free(lent *buffer) {
	b.unreserve(cap(lent.data))
	b.giveBack(lent)
}

// giveBack takes back what was taken of bytes that stay reserved.
func (b *Buffers) giveBack(lent *buffer) {
	if !lent.own {
		b.pools[bits.Len(uint(cap(lent.data)))-1].Put(lent)
	}
}

// capacity is n, rounded up to a power of two where buffers are pooled.
func capacity(n int) int {
	if n < minPooled {
		return n
	}
	return 1 << bits.Len(uint(n-1))
}
