package tree

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// Reach tells of all chunks of the tree, nodes and referenced values, and of its entries, in any order. Where first, which is told of each node before it is
// read, says false, that was walked before: it is not read, and nothing below it told. Nodes are read in batches, and do not push others from the cache. An error of
// entry ends it.
func (t Tree) Reach(ctx context.Context, first func(chunk.ID) bool, value func(chunk.ID), entry func(key, value []byte) error) error {
	if t.root.IsZero() || !first(t.root) {
		return nil
	}
	w := reachWalk{ctx: ctx, store: t.store, first: first, value: value, entry: entry}
	return w.below(nil, []chunk.ID{t.root}, -1)
}

type reachWalk struct {
	ctx   context.Context // of the one call that the walk serves
	store *Store
	first func(chunk.ID) bool
	value func(chunk.ID)
	entry func(key, value []byte) error
}

// below tells of what is below nodes of the given level (-1: not known), which the nodes from name.
func (w *reachWalk) below(from []*node, ids []chunk.ID, level int) error {
	nodes := make([]*node, 0, len(ids))
	err := w.store.fetch(w.ctx, ids, from, false, func(id chunk.ID, d decoded) error {
		n, err := asNode(id, d)
		if err == nil && level >= 0 && n.level != level {
			err = fmt.Errorf("node %v: %w: level %d where its parent's is %d", id, ErrInvalid, n.level, level+1)
		}
		nodes = append(nodes, n)
		return err
	})
	if err == nil && len(nodes) < len(ids) {
		err = chunk.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("read %d tree nodes: %w", len(ids), err)
	}
	for _, n := range nodes {
		if n.level == 0 {
			err = w.leaf(n)
		} else {
			err = w.inner(n)
		}
		if err != nil {
			return err
		}
	}
	return w.ctx.Err()
}

func (w *reachWalk) inner(n *node) error {
	var ids []chunk.ID
	for i := range n.slots {
		if id := n.id(i); w.first(id) {
			ids = append(ids, id)
		}
	}
	for len(ids) > 0 {
		k := min(len(ids), nodesAhead)
		if err := w.below([]*node{n}, ids[:k], n.level-1); err != nil {
			return err
		}
		ids = ids[k:]
	}
	return nil
}

func (w *reachWalk) leaf(n *node) error {
	values := map[chunk.ID][]byte{} // read ahead
	for i := range n.slots {
		v := []byte(nil)
		if !n.slots[i].ref {
			v = n.inline(i)
		} else {
			id := n.id(i)
			w.value(id)
			if values[id] == nil {
				if err := w.values(n, i, values); err != nil {
					return err
				}
			}
			var err error
			if v, err = sized(id, values[id], n.slots[i].size); err != nil {
				return err
			}
		}
		if err := w.entry(n.key(i), v); err != nil {
			return err
		}
	}
	return nil
}

// values reads referenced values of a leaf, from entry i on.
func (w *reachWalk) values(n *node, i int, into map[chunk.ID][]byte) error {
	clear(into)
	err := w.store.fetch(w.ctx, refsFrom(n, i, maxValuesAhead), []*node{n}, false, func(id chunk.ID, d decoded) error {
		v, ok := d.(value)
		if !ok {
			return fmt.Errorf("value %v: %w: it is a node", id, ErrInvalid)
		}
		into[id] = v
		return nil
	})
	if err != nil {
		return fmt.Errorf("read tree values: %w", err)
	}
	return nil
}
