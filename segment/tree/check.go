package tree

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// CheckOptions say what a check is told. None is nil.
type CheckOptions struct {
	// First says whether a node is to be walked; last, whether it is the last one of its level. What was walked before need not be walked again.
	First func(id chunk.ID, last bool) bool
	// Entry is told of each entry that can be read, in key order as far as the tree is whole. An error ends the check.
	Entry func(key, value []byte) error
	// Fault is told of a node or value that cannot be read, or is not as its parent says or as its keys say that it must be. The check goes on beside it.
	Fault func(id chunk.ID, err error)
}

// Check walks the whole tree in key order and tells of everything that is not as docs/format/tree.md says: nodes that cannot be read, keys out of order, sums that differ,
// nodes that end elsewhere than their keys say. It returns the number of nodes and values that it has read. An error is of Entry or of the context.
func (t Tree) Check(ctx context.Context, o CheckOptions) (chunks int64, err error) {
	if t.root.IsZero() || !o.First(t.root, true) {
		return 0, nil
	}
	c := checker{ctx: ctx, t: t, o: o}
	nodes, err := c.nodes([]chunk.ID{t.root}, nil)
	if err != nil || nodes[0] == nil {
		return c.read, err
	}
	root := nodes[0]
	if root.level > 0 && root.len() == 1 {
		c.fault(t.root, "the root has one child, which should be the root")
	}
	return c.read, c.node(t.root, root, nil, true)
}

type checker struct {
	ctx  context.Context // of the one call that the check serves
	t    Tree
	o    CheckOptions
	read int64
}

func (c *checker) fault(id chunk.ID, format string, args ...any) {
	c.o.Fault(id, fmt.Errorf("node %v: %w: %s", id, ErrInvalid, fmt.Sprintf(format, args...)))
}

// each reads chunks, in no order. One that cannot be read is told of, and keeps no other from being read.
func (c *checker) each(ids []chunk.ID, from []*node, take func(chunk.ID, decoded)) error {
	got := make(map[chunk.ID]bool, len(ids))
	keep := func(id chunk.ID, d decoded) error {
		got[id] = true
		c.read++
		take(id, d)
		return nil
	}
	if c.t.store.fetch(c.ctx, ids, from, false, keep) == nil {
		return c.ctx.Err()
	}
	for _, id := range ids {
		if got[id] || c.ctx.Err() != nil {
			continue
		}
		if err := c.t.store.fetch(c.ctx, []chunk.ID{id}, from, false, keep); err != nil && c.ctx.Err() == nil {
			c.o.Fault(id, err)
		}
	}
	return c.ctx.Err()
}

// nodes are parallel to ids, nil where there is none.
func (c *checker) nodes(ids []chunk.ID, from []*node) ([]*node, error) {
	read := make(map[chunk.ID]*node, len(ids))
	err := c.each(ids, from, func(id chunk.ID, d decoded) {
		n, err := asNode(id, d)
		if err != nil {
			c.o.Fault(id, err)
			return
		}
		read[id] = n
	})
	nodes := make([]*node, len(ids))
	for i, id := range ids {
		nodes[i] = read[id]
	}
	return nodes, err
}

// node checks a node that is as its parent says, and all below. lo is the last key before it.
func (c *checker) node(id chunk.ID, n *node, lo []byte, last bool) error {
	c.ends(id, n, last)
	if n.level == 0 {
		return c.leaf(n)
	}
	for from := 0; from < n.len(); {
		var ids []chunk.ID
		var at []int
		for ; from < n.len() && len(ids) < nodesAhead; from++ {
			if c.o.First(n.id(from), last && from == n.len()-1) {
				ids, at = append(ids, n.id(from)), append(at, from)
			}
		}
		if len(ids) == 0 {
			continue
		}
		kids, err := c.nodes(ids, []*node{n})
		if err != nil {
			return err
		}
		for k, i := range at {
			if kids[k] == nil {
				continue
			}
			if err := n.admit(i, lo, kids[k]); err != nil {
				c.o.Fault(ids[k], err)
			}
			if kids[k].level != n.level-1 { // else it might go round for ever
				continue
			}
			before := lo
			if i > 0 {
				before = n.key(i - 1)
			}
			if err := c.node(ids[k], kids[k], before, last && i == n.len()-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// ends compares where a node ends with where its keys say that it must.
func (c *checker) ends(id chunk.ID, n *node, last bool) {
	for i := range n.slots {
		ends := c.t.split.ends(n.level, n.key(i), i+1)
		switch {
		case ends && i < n.len()-1:
			c.fault(id, "it goes on behind entry %d, which ends a node", i)
			return
		case !ends && i == n.len()-1 && !last:
			c.fault(id, "it ends behind entry %d, which ends none", i)
		}
	}
}

func (c *checker) leaf(n *node) error {
	values := map[chunk.ID]value{}
	for i := range n.slots {
		if !n.slots[i].ref {
			if err := c.o.Entry(n.key(i), n.inline(i)); err != nil {
				return err
			}
			continue
		}
		id := n.id(i)
		if _, ahead := values[id]; !ahead {
			clear(values)
			if err := c.values(n, i, values); err != nil {
				return err
			}
		}
		v := values[id]
		if v == nil {
			continue
		}
		if _, err := sized(id, v, n.slots[i].size); err != nil {
			c.o.Fault(id, err)
			continue
		}
		if err := c.o.Entry(n.key(i), v); err != nil {
			return err
		}
	}
	return nil
}

// values reads referenced values of a leaf, from entry i on. Those that cannot be read are nil.
func (c *checker) values(n *node, i int, into map[chunk.ID]value) error {
	ids := refsFrom(n, i, maxValuesAhead)
	for _, id := range ids {
		into[id] = nil
	}
	return c.each(ids, []*node{n}, func(id chunk.ID, d decoded) {
		v, ok := d.(value)
		if !ok {
			c.o.Fault(id, fmt.Errorf("value %v: %w: it is a node", id, ErrInvalid))
			return
		}
		into[id] = v
	})
}
