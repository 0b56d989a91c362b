package dedup

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// batch is a buffer of whole chunks on their way to the store.
type batch struct {
	buf     *buffer
	ends    []int // of the chunks in buf
	chunks  []chunk.Chunk
	written written
	err     error
	done    chan struct{}
}

// scratch is a batch's slices, to be used by another.
type scratch struct {
	ends   []int
	chunks []chunk.Chunk
}

// name hashes the chunks.
func (b *batch) name(domain chunk.Domain) {
	start := 0
	for _, end := range b.ends {
		b.chunks = append(b.chunks, domain.Make(b.buf.data[start:end]))
		start = end
	}
}

// run names the chunks while the batch before is still being put, then puts those that are missing. One batch is put at a time, so
// that a chunk of an earlier one is not missing any more.
func (b *batch) run(ctx context.Context, domain chunk.Domain, store chunk.Store, before *batch) {
	defer close(b.done)
	b.name(domain)
	if before != nil {
		<-before.done
		if before.err != nil {
			b.err = before.err
			return
		}
	}
	if b.written, b.err = putMissing(ctx, store, b.chunks); b.err != nil {
		b.err = fmt.Errorf("put %d chunks: %w", len(b.chunks), b.err)
	}
}
