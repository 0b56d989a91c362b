package tree

import (
	"context"
	"fmt"
	"iter"

	"github.com/edgefs/edgefs/chunk"
)

// nodesAhead bounds the nodes that are read at once when a whole tree is read.
const nodesAhead = 64

// Nodes yields the ids of all chunks of the tree, nodes and referenced values, a node before what is below it. Where skip (nil: never) says true, neither the
// id nor anything below it is yielded or read. Nodes are read in batches, and not kept in the cache; values are not read. An error ends the sequence.
func (t Tree) Nodes(ctx context.Context, skip func(chunk.ID) bool) iter.Seq2[chunk.ID, error] {
	return func(yield func(chunk.ID, error) bool) {
		if t.root.IsZero() || skip != nil && skip(t.root) {
			return
		}
		w := nodeWalk{ctx: ctx, store: t.store, skip: skip, yield: yield}
		if !yield(t.root, nil) {
			return
		}
		if err := w.below(nil, []chunk.ID{t.root}, -1); err != nil {
			yield(chunk.ID{}, err)
		}
	}
}

type nodeWalk struct {
	ctx     context.Context // of the one call that the walk serves
	store   *Store
	skip    func(chunk.ID) bool
	yield   func(chunk.ID, error) bool
	stopped bool
}

// below yields what is below the nodes ids, which are of the given level (-1: not known) and which the nodes from name.
func (w *nodeWalk) below(from []*node, ids []chunk.ID, level int) error {
	var nodes []*node
	err := w.store.fetch(w.ctx, ids, from, false, func(id chunk.ID, d decoded) error {
		n, err := asNode(id, d)
		if err == nil && level >= 0 && n.level != level {
			err = fmt.Errorf("node %v: %w: level %d where its parent's is %d", id, ErrInvalid, n.level, level+1)
		}
		nodes = append(nodes, n)
		return err
	})
	if err != nil {
		return fmt.Errorf("read %d tree nodes: %w", len(ids), err)
	}
	for _, n := range nodes {
		if err := w.children(n); err != nil || w.stopped {
			return err
		}
	}
	return nil
}

// children yields what n refers to, and what is below that.
func (w *nodeWalk) children(n *node) error {
	var ids []chunk.ID
	for i := range n.slots {
		if !n.slots[i].ref {
			continue
		}
		id := n.id(i)
		if w.skip != nil && w.skip(id) {
			continue
		}
		if !w.yield(id, nil) {
			w.stopped = true
			return nil
		}
		ids = append(ids, id)
	}
	if n.level == 0 {
		return nil
	}
	for len(ids) > 0 {
		k := min(len(ids), nodesAhead)
		if err := w.below([]*node{n}, ids[:k], n.level-1); err != nil || w.stopped {
			return err
		}
		ids = ids[k:]
	}
	return nil
}

// Children returns the ids that a chunk of a tree names: of a node's children or its referenced values; none for a value. It fails with
// [ErrInvalid] for bytes that are no chunk of a tree.
//
// Who decides by it what may be read must know by another way, from a root down, that the bytes are a node's: anybody can upload an object whose
// bytes look like a node. A referenced value is safe, it never reads as a node.
func Children(data []byte) ([]chunk.ID, error) {
	d, err := decode(data)
	if err != nil {
		return nil, err
	}
	n, ok := d.(*node)
	if !ok {
		return nil, nil
	}
	var ids []chunk.ID
	for i := range n.slots {
		if n.slots[i].ref {
			ids = append(ids, n.id(i))
		}
	}
	return ids, nil
}
