package tree

import (
	"context"
	"fmt"
	"slices"

	"github.com/edgefs/edgefs/chunk"
)

// Scrub reads every chunk of the tree, values too, so that a mended store mends all that can be: give it one without a cache. Where a chunk is
// lost it goes on without what is below it; the error is that of the first.
func (t Tree) Scrub(ctx context.Context) error {
	if t.root.IsZero() {
		return nil
	}
	s := scrub{ctx: ctx, store: t.store}
	s.read([]chunk.ID{t.root}, nil)
	if s.err != nil {
		return fmt.Errorf("read the whole tree: %w", s.err)
	}
	return nil
}

type scrub struct {
	ctx   context.Context // of the one call that the walk serves
	store *Store
	err   error
}

// read reads chunks, which the nodes from name, and what is below them.
func (s *scrub) read(ids []chunk.ID, from []*node) {
	var nodes []*node
	err := s.store.fetch(s.ctx, ids, from, false, func(_ chunk.ID, d decoded) error {
		if n, ok := d.(*node); ok {
			nodes = append(nodes, n)
		}
		return nil
	})
	if s.err == nil {
		s.err = err
	}
	for _, n := range nodes {
		var below []chunk.ID
		for i := range n.slots {
			if n.slots[i].ref {
				below = append(below, n.id(i))
			}
		}
		for part := range slices.Chunk(below, nodesAhead) {
			if s.ctx.Err() != nil {
				return
			}
			s.read(part, []*node{n})
		}
	}
}
