package tree

import (
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// Place is where a tree names a chunk. A tree's shape depends on its content alone, so two trees that hold much the same have most of their
// chunks at the same places: by a place one site asks another for a chunk, and the other sees that a tree of its own names it too.
type Place struct {
	ID    chunk.ID
	Level int    // of the node, 0 for a leaf; or [Value], or [Root]
	Key   []byte // the last key in and below the node, or the value's key; none for a root
}

// Levels that are none.
const (
	Value = -1 // a value kept by reference, below a leaf
	Root  = -2 // the tree's root, whatever its level
)

// Mender gets chunks that a store has lost from elsewhere. It yields them verified, in any order, valid until yield returns, and has put
// them back, unless that could not be done. It fails when it has not yielded all. An error of yield ends it.
// It is safe for concurrent use.
type Mender func(ctx context.Context, lost []Place, yield func(chunk.Chunk) error) error

// StoreOption changes how a [Store] reads.
type StoreOption func(*Store)

// Mended makes a store ask m for chunks that are lost or damaged: reading goes on with what comes.
func Mended(m Mender) StoreOption { return func(s *Store) { s.mend = m } }

// get is Get of the store's chunks, and of the mender where they are lost. from are the nodes that name the ids, none for a root.
func (s *Store) get(ctx context.Context, ids []chunk.ID, from []*node, yield func(chunk.Chunk) error) error {
	if s.mend == nil {
		return s.chunks.Get(ctx, ids, yield)
	}
	var own error
	got := make(map[chunk.ID]struct{}, len(ids))
	take := func(c chunk.Chunk) error {
		got[c.ID()] = struct{}{}
		own = yield(c)
		return own
	}
	err := s.chunks.Get(ctx, ids, take)
	if own != nil || ctx.Err() != nil || errors.Is(err, chunk.ErrUnavailable) {
		return err
	}
	if !errors.Is(err, chunk.ErrCorrupt) && !errors.Is(err, chunk.ErrNotFound) {
		return err
	}
	e := s.mend(ctx, places(from, ids, got), take)
	switch {
	case own != nil:
		return own
	case e != nil:
		return fmt.Errorf("%w, and is not mended: %w", err, e)
	}
	return nil
}

// places are those, once each, of the ids that were not got.
func places(from []*node, ids []chunk.ID, got map[chunk.ID]struct{}) []Place {
	lost := make(map[chunk.ID]struct{})
	for _, id := range ids {
		if _, ok := got[id]; !ok {
			lost[id] = struct{}{}
		}
	}
	out := make([]Place, 0, len(lost))
	if len(from) == 0 {
		for id := range lost {
			out = append(out, Place{ID: id, Level: Root})
		}
	}
	for _, n := range from {
		for i := range n.slots {
			if !n.slots[i].ref {
				continue
			}
			id := n.id(i)
			if _, ok := lost[id]; ok {
				out = append(out, Place{id, n.level - 1, n.key(i)})
				delete(lost, id)
			}
		}
	}
	return out
}

// Has says whether the tree names p.ID at its place. It reads what is above the place, not the chunk itself.
func (t Tree) Has(ctx context.Context, p Place) (bool, error) {
	if p.Level <= Root || t.root.IsZero() || t.root == p.ID {
		return p.Level >= Root && !t.root.IsZero() && t.root == p.ID, nil
	}
	at, err := t.lookup(ctx, p.Level+1)
	if err != nil || at == nil {
		return false, err
	}
	found, err := at.seek(ctx, p.Key)
	if err != nil || !found {
		return false, err
	}
	f := at.top()
	return f.n.slots[f.i].ref && f.n.id(f.i) == p.ID, nil
}
