package dedup

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// Slice is the manifest of length bytes of m from offset on. Whole pieces and subtrees are shared; only a piece that an end of the range
// falls into is read, cut again and put. All new chunks are durable when it returns; Stats.NewBytes says how many bytes of payload they hold.
func Slice(ctx context.Context, stores Stores, domain chunk.Domain, p Params, m Manifest, offset, length int64) (Manifest, Stats, error) {
	if size := m.Size(); offset < 0 || length < 0 || offset > size || length > size-offset {
		return Manifest{}, Stats{}, fmt.Errorf("slice of %d bytes at %d of %d: %w", length, offset, size, ErrRange)
	}
	s := slicer{
		stores: stores, domain: domain, params: p,
		tree:  builder{domain: domain, meta: stores.Meta},
		stats: Stats{Bytes: length},
	}
	if err := s.list(ctx, m.top, offset, offset+length); err != nil {
		return Manifest{}, Stats{}, fmt.Errorf("slice: %w", err)
	}
	out, err := s.tree.finish(ctx)
	if err != nil {
		return Manifest{}, Stats{}, fmt.Errorf("slice: %w", err)
	}
	s.stats.NewNodes, s.stats.NodeBytes = s.tree.stats.NewNodes, s.tree.stats.NodeBytes
	return out, s.stats, nil
}

type slicer struct {
	stores Stores
	domain chunk.Domain
	params Params
	tree   builder
	stats  Stats
}

// list adds the bytes [from, to) of l, counted from its first one.
func (s *slicer) list(ctx context.Context, l list, from, to int64) error {
	at := int64(0)
	for _, e := range l.entries {
		lo, hi := max(from-at, 0), min(to-at, e.Size)
		at += e.Size
		if lo >= hi {
			continue
		}
		if err := s.entry(ctx, e, l.level, lo, hi); err != nil {
			return err
		}
	}
	return nil
}

func (s *slicer) entry(ctx context.Context, e Entry, level int, from, to int64) error {
	if from == 0 && to == e.Size {
		return s.tree.add(ctx, e, level)
	}
	if level == 0 {
		return s.ragged(ctx, e, int(from), int(to))
	}
	l, err := loadNode(ctx, s.stores.Meta, e, level-1)
	if err != nil {
		return err
	}
	return s.list(ctx, l, from, to)
}

// ragged cuts a part of one piece again.
func (s *slicer) ragged(ctx context.Context, e Entry, from, to int) error {
	var chunks []chunk.Chunk
	err := s.stores.Data.Get(ctx, []chunk.ID{e.ID}, func(c chunk.Chunk) error {
		if int64(c.Size()) != e.Size {
			return fmt.Errorf("piece %v has %d bytes, its manifest says %d: %w", e.ID, c.Size(), e.Size, ErrMalformed)
		}
		data := append([]byte(nil), c.Data()[from:to]...)
		cutter := NewCutter(s.params)
		for len(data) > 0 {
			n := cutter.Next(data)
			if n == 0 {
				n = len(data)
			}
			chunks = append(chunks, s.domain.Make(data[:n]))
			data = data[n:]
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read piece %v: %w", e.ID, err)
	}
	put, err := putMissing(ctx, s.stores.Data, chunks)
	if err != nil {
		return fmt.Errorf("put %d chunks: %w", len(chunks), err)
	}
	s.stats.NewChunks += put.chunks
	s.stats.NewBytes += put.bytes
	for _, c := range chunks {
		if err := s.tree.piece(ctx, Entry{c.ID(), int64(c.Size())}); err != nil {
			return err
		}
	}
	return nil
}
