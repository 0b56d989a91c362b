package tree

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

const (
	// writeChunks and writeBytes end a batch of chunks to write.
	writeChunks = 512
	writeBytes  = 4 << 20
)

// writer puts chunks into a store in batches, one batch being written while the next one grows.
type writer struct {
	store   *Store
	chunks  []chunk.Chunk
	decoded []decoded
	bytes   int
	writing chan error // the batch being written; nil if none
}

// put adds a chunk, whose bytes must not change any more, and what they decode to.
func (w *writer) put(ctx context.Context, c chunk.Chunk, d decoded) error {
	w.chunks = append(w.chunks, c)
	w.decoded = append(w.decoded, d)
	w.bytes += c.Size()
	if len(w.chunks) < writeChunks && w.bytes < writeBytes {
		return nil
	}
	return w.write(ctx)
}

// write begins to write what was put, once the batch before it is written.
func (w *writer) write(ctx context.Context) error {
	if err := w.wait(); err != nil || len(w.chunks) == 0 {
		return err
	}
	chunks, decoded, size := w.chunks, w.decoded, w.bytes
	w.chunks, w.decoded, w.bytes = nil, nil, 0
	writing := make(chan error, 1)
	w.writing = writing
	go func() { writing <- w.store.put(ctx, chunks, decoded, size) }()
	return nil
}

// wait returns when nothing is being written any more.
func (w *writer) wait() error {
	if w.writing == nil {
		return nil
	}
	err := <-w.writing
	w.writing = nil
	return err
}

// flush makes all that was put durable.
func (w *writer) flush(ctx context.Context) error {
	if err := w.write(ctx); err != nil {
		return err
	}
	return w.wait()
}

func (s *Store) put(ctx context.Context, chunks []chunk.Chunk, decoded []decoded, size int) error {
	if err := s.chunks.Put(ctx, chunks); err != nil {
		return fmt.Errorf("write %d tree nodes: %w", len(chunks), err)
	}
	s.stats.puts.Add(1)
	s.stats.chunksWritten.Add(int64(len(chunks)))
	s.stats.bytesWritten.Add(int64(size))
	for i, c := range chunks {
		s.cache.add(c.ID(), decoded[i])
	}
	return nil
}
