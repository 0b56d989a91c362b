package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/edgefs/edgefs/chunk"
)

// ErrEdit says that an edit was refused: keys not strictly ascending, a key or a value that is too long, weights whose sum does not fit.
var ErrEdit = errors.New("edit refused")

// Edit says what a key is to be: Value with Weight, or absent.
type Edit struct {
	Key    []byte
	Value  []byte
	Weight int64 // what the caller wants summed, say the size of an object
	Delete bool  // deleting what is absent changes nothing
}

// Apply makes the tree in which the edits, in strictly ascending order of their keys, were made. Its new nodes are durable when it returns.
//
// Edits stream: whatever their number, memory holds a few hundred of them, a node of each level and two batches of writes. Subtrees without an edit are neither
// read nor written. The slices of an edit must not change until Apply has returned. An error of the sequence ends Apply, which returns it
// unwrapped. After an error nodes may have been written that no tree names.
func (t Tree) Apply(ctx context.Context, edits iter.Seq2[Edit, error]) (_ Tree, err error) {
	a := &apply{tree: t, out: writer{store: t.store}}
	defer func() {
		if e := a.out.wait(); err == nil {
			err = e
		}
	}()
	if err := a.open(ctx); err != nil {
		return Tree{}, err
	}
	if err := a.edits(ctx, edits); err != nil {
		return Tree{}, err
	}
	root, err := a.finish(ctx)
	if err != nil || root == t.root {
		return t, err
	}
	if err := a.out.flush(ctx); err != nil {
		return Tree{}, err
	}
	t.root = root
	return t.trim(ctx)
}

// trim drops inner nodes with a single child from above the root.
func (t Tree) trim(ctx context.Context) (Tree, error) {
	for {
		n, err := t.rootNode(ctx)
		if err != nil {
			return Tree{}, err
		}
		if n == nil || n.level == 0 || n.len() > 1 {
			return t, nil
		}
		t.root = n.id(0)
	}
}

// apply rewrites a tree level by level at the same time. Level 0 takes edits of entries; what becomes of its nodes are edits of the entries of level 1, and so on.
type apply struct {
	tree   Tree
	old    *node // the old root; nil if the tree was empty
	levels []*rewrite
	out    writer
	warm   map[chunk.ID]*node
}

func (a *apply) open(ctx context.Context) (err error) {
	if a.old, err = a.tree.rootNode(ctx); err != nil {
		return err
	}
	a.addLevel()
	return nil
}

// addLevel begins to rewrite the next level.
func (a *apply) addLevel() {
	r := &rewrite{apply: a, level: len(a.levels)}
	switch {
	case a.old == nil || r.level > a.old.level:
		r.exhausted = true // the old tree has no such level
	case r.level < a.old.level:
		r.nodes = newPath(a.tree.store, a.old, r.level+1)
	}
	a.levels = append(a.levels, r)
}

// edits takes the edits in groups, so that the nodes a group needs are read together.
func (a *apply) edits(ctx context.Context, edits iter.Seq2[Edit, error]) error {
	var group []Edit
	var last []byte
	bytes := 0
	for e, err := range edits {
		if err != nil {
			return err
		}
		if err := check(e, last); err != nil {
			return err
		}
		last = e.Key
		if last == nil {
			last = []byte{}
		}
		group = append(group, e)
		bytes += len(e.Key) + len(e.Value)
		if len(group) < groupEdits && bytes < groupBytes {
			continue
		}
		if err := a.group(ctx, group); err != nil {
			return err
		}
		group, bytes = group[:0], 0
	}
	return a.group(ctx, group)
}

const (
	groupEdits = 256
	groupBytes = 1 << 20
)

// check refuses an edit that no tree could hold or that is not behind last (nil: there is none).
func check(e Edit, last []byte) error {
	switch {
	case last != nil && bytes.Compare(e.Key, last) <= 0:
		return fmt.Errorf("%w: key %q does not follow %q", ErrEdit, e.Key, last)
	case len(e.Key) > MaxKey:
		return fmt.Errorf("%w: a key of %d bytes exceeds %d", ErrEdit, len(e.Key), MaxKey)
	case len(e.Value) > MaxValue:
		return fmt.Errorf("%w: a value of %d bytes exceeds %d", ErrEdit, len(e.Value), MaxValue)
	}
	return nil
}

func (a *apply) group(ctx context.Context, group []Edit) error {
	if err := a.prefetch(ctx, group); err != nil {
		return err
	}
	for i := range group {
		if err := a.edit(ctx, &group[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *apply) edit(ctx context.Context, e *Edit) error {
	if e.Delete {
		return a.levels[0].set(ctx, e.Key, nil)
	}
	it := item{key: e.Key, size: uint32(len(e.Value)), count: 1, weight: e.Weight}
	if len(e.Value) <= MaxInline {
		it.value = e.Value
		return a.levels[0].set(ctx, e.Key, &it)
	}
	c := a.tree.store.domain.Make(encodeValue(e.Value))
	it.id, it.ref = c.ID(), true
	if err := a.out.put(ctx, c, value(c.Data()[valueHeader:])); err != nil {
		return err
	}
	return a.levels[0].set(ctx, e.Key, &it)
}

// prefetch reads the nodes that the edits, in ascending order, are in, with one Get for each level.
func (a *apply) prefetch(ctx context.Context, group []Edit) error {
	if a.old == nil || len(group) == 0 {
		return nil
	}
	a.warm = make(map[chunk.ID]*node)
	nodes := []*node{a.old}
	for nodes[0].level > 0 {
		ids := touched(nodes, group)
		children, err := a.tree.store.nodes(ctx, ids, nodes...)
		if err != nil {
			return err
		}
		for i, n := range children {
			if n.level != nodes[0].level-1 {
				return fmt.Errorf("node %v: %w: level %d below level %d", ids[i], ErrInvalid, n.level, nodes[0].level)
			}
			a.warm[ids[i]] = n
		}
		nodes = children
	}
	return nil
}

// touched names the children of nodes that the edits are in; nodes and edits ascend.
func touched(nodes []*node, group []Edit) []chunk.ID {
	var ids []chunk.ID
	for k, n := range nodes {
		last := k == len(nodes)-1
		for i := 0; len(group) > 0; {
			i = n.search(i, group[0].Key)
			if i == n.len() {
				if !last {
					break
				}
				i-- // what lies behind all keys goes into the last node
			}
			ids = append(ids, n.id(i))
			for len(group) > 0 && (last && i == n.len()-1 || bytes.Compare(group[0].Key, n.key(i)) <= 0) {
				group = group[1:]
			}
		}
	}
	return ids
}

// finish completes all levels and returns the root, which may still have a chain of single children.
func (a *apply) finish(ctx context.Context) (chunk.ID, error) {
	for h := 0; h < len(a.levels); h++ {
		r := a.levels[h]
		if h > 0 && (a.old == nil || h > a.old.level) {
			switch r.puts {
			case 0:
				return chunk.ID{}, nil // nothing is left below
			case 1:
				return r.items[0].id, nil
			}
		}
		if err := r.finish(ctx); err != nil {
			return chunk.ID{}, err
		}
	}
	return a.tree.root, nil // the topmost level that was rewritten came out as it was
}
