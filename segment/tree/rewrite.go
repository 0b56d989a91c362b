package tree

import (
	"bytes"
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// rewrite makes the new nodes of one level. It takes edits of the level's entries in ascending order and copies what lies between them from the
// old nodes, until old and new have a boundary in common; from there on to the next edit the old nodes stand as they are.
type rewrite struct {
	apply *apply
	level int

	nodes     *path // where the old nodes are listed, one level up; nil for the old root, and where there is no old node
	node      *node // the old node being rewritten, from pos on; nil if none
	pos       int
	exhausted bool // no old node comes behind those taken

	items []item   // of the new node, still open
	gone  *oldNode // the last old node used up, while the level above does not know
	puts  int      // entries that edits put
}

type oldNode struct {
	key []byte
	id  chunk.ID
}

// set makes it the entry of key, or deletes the entry if it is nil.
func (r *rewrite) set(ctx context.Context, key []byte, it *item) error {
	if err := r.copyUntil(ctx, key); err != nil {
		return err
	}
	if r.node != nil && r.pos < r.node.len() && bytes.Equal(r.node.key(r.pos), key) {
		if err := r.advance(ctx); err != nil {
			return err
		}
	}
	if it == nil {
		return nil
	}
	r.puts++
	return r.add(ctx, *it)
}

// copyUntil takes over the old entries before key, as far as they cannot stay where they are.
func (r *rewrite) copyUntil(ctx context.Context, key []byte) error {
	for {
		if r.node == nil {
			if r.exhausted {
				return nil
			}
			if err := r.open(ctx, key); err != nil {
				return err
			}
		}
		for r.pos < r.node.len() && bytes.Compare(r.node.key(r.pos), key) < 0 {
			if err := r.copy(ctx); err != nil {
				return err
			}
		}
		if r.pos < r.node.len() {
			return nil
		}
		r.close()
	}
}

// open takes the old node that key is in, or the next one if the new node is still open.
func (r *rewrite) open(ctx context.Context, key []byte) error {
	r.pos = 0
	if r.nodes == nil {
		r.node = r.apply.old
		return nil
	}
	r.nodes.warm = r.apply.warm
	if len(r.items) > 0 {
		if _, err := r.nodes.next(ctx); err != nil {
			return err
		}
	} else if _, err := r.nodes.seek(ctx, key); err != nil {
		return err
	}
	f := r.nodes.top()
	n, err := r.nodes.child(ctx, f)
	if err != nil {
		return err
	}
	if err := f.n.admit(f.i, f.lo, n); err != nil {
		return err
	}
	r.node = n
	return nil
}

// close leaves an old node that is used up.
func (r *rewrite) close() {
	r.node = nil
	r.exhausted = r.nodes == nil || r.nodes.last()
}

// copy takes over one old entry.
func (r *rewrite) copy(ctx context.Context) error {
	it := r.node.item(r.pos)
	if err := r.advance(ctx); err != nil {
		return err
	}
	return r.add(ctx, it)
}

// advance goes past one old entry. Behind the last one the old node is gone, which the level above learns when it is certain that no new
// node takes its place.
func (r *rewrite) advance(ctx context.Context) error {
	r.pos++
	if r.pos < r.node.len() {
		return nil
	}
	if err := r.tellGone(ctx); err != nil {
		return err
	}
	r.gone = &oldNode{key: r.node.lastKey(), id: r.oldID()}
	return nil
}

func (r *rewrite) oldID() chunk.ID {
	if r.nodes == nil {
		return r.apply.tree.root
	}
	f := r.nodes.top()
	return f.n.id(f.i)
}

func (r *rewrite) tellGone(ctx context.Context) error {
	if r.gone == nil {
		return nil
	}
	key := r.gone.key
	r.gone = nil
	return r.tell(ctx, key, nil)
}

// tell edits the level above.
func (r *rewrite) tell(ctx context.Context, key []byte, it *item) error {
	a := r.apply
	if r.level+1 == len(a.levels) {
		a.addLevel()
	}
	return a.levels[r.level+1].set(ctx, key, it)
}

// add appends an entry to the new node, and writes the node if the entry ends it.
func (r *rewrite) add(ctx context.Context, it item) error {
	r.items = append(r.items, it)
	if r.apply.tree.split.ends(r.level, it.key, len(r.items)) {
		return r.write(ctx)
	}
	return nil
}

// write completes the new node. A node that was there before changes nothing above.
func (r *rewrite) write(ctx context.Context) error {
	data := encodeNode(r.level, r.items)
	n, err := decodeNode(data)
	if err != nil {
		return fmt.Errorf("%w: sums of weights do not fit", ErrEdit) // all else was checked
	}
	clear(r.items)
	r.items = r.items[:0]
	c := r.apply.tree.store.domain.Make(data)
	it := item{key: bytes.Clone(n.lastKey()), id: c.ID(), ref: true, count: n.count, weight: n.weight}
	if r.gone != nil {
		same := bytes.Equal(r.gone.key, it.key)
		if same && r.gone.id == it.id {
			r.gone = nil
			if r.nodes == nil { // no node lists the old root yet, and others may come behind it
				return r.tell(ctx, it.key, &it)
			}
			return nil
		}
		if same {
			r.gone = nil
		} else if err := r.tellGone(ctx); err != nil {
			return err
		}
	}
	if err := r.apply.out.put(ctx, c, n); err != nil {
		return err
	}
	return r.tell(ctx, it.key, &it)
}

// finish completes the level when no edit of it is to come.
func (r *rewrite) finish(ctx context.Context) error {
	for r.node != nil || len(r.items) > 0 && !r.exhausted {
		if r.node == nil {
			if err := r.open(ctx, nil); err != nil {
				return err
			}
		}
		for r.pos < r.node.len() {
			if err := r.copy(ctx); err != nil {
				return err
			}
		}
		r.close()
	}
	if len(r.items) > 0 {
		if err := r.write(ctx); err != nil {
			return err
		}
	}
	return r.tellGone(ctx)
}
