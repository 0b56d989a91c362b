package tree

import (
	"bytes"
	"context"

	"github.com/edgefs/edgefs/chunk"
)

// Tree is a sorted map, as it was when its root was made. It is a small immutable value, safe for concurrent use. The zero Tree has no store and
// is of no use; [New] with the zero id is the empty tree.
type Tree struct {
	store *Store
	split splitter
	root  chunk.ID
}

// New is the tree of a root in a store; the zero root is the empty tree. It reads nothing. The salt must be the one the tree was written
// with, and the same at every site.
func New(store *Store, salt [16]byte, root chunk.ID) Tree {
	return Tree{store: store, split: newSplitter(salt), root: root}
}

// Root names the tree: trees of one salt and domain are equal exactly when their roots are. It is zero for the empty tree.
func (t Tree) Root() chunk.ID { return t.root }

// Len is the number of entries. It reads the root only.
func (t Tree) Len(ctx context.Context) (int64, error) {
	n, err := t.rootNode(ctx)
	if n == nil {
		return 0, err
	}
	return n.count, nil
}

// Weight is the sum of the weights of all entries. It reads the root only.
func (t Tree) Weight(ctx context.Context) (int64, error) {
	n, err := t.rootNode(ctx)
	if n == nil {
		return 0, err
	}
	return n.weight, nil
}

// Get is the value of key, which must not be changed, and whether there is one.
func (t Tree) Get(ctx context.Context, key []byte) (value []byte, ok bool, err error) {
	n, err := t.rootNode(ctx)
	if n == nil {
		return nil, false, err
	}
	var lo []byte
	for {
		i := n.search(0, key)
		if i == n.len() {
			return nil, false, nil
		}
		if n.level == 0 {
			if !bytes.Equal(n.key(i), key) {
				return nil, false, nil
			}
			value, err = t.store.value(ctx, n, i)
			return value, err == nil, err
		}
		c, err := t.store.child(ctx, n, i)
		if err != nil {
			return nil, false, err
		}
		if err := n.admit(i, lo, c); err != nil {
			return nil, false, err
		}
		if i > 0 {
			lo = n.key(i - 1)
		}
		n = c
	}
}

// rootNode is nil for the empty tree.
func (t Tree) rootNode(ctx context.Context) (*node, error) {
	if t.root.IsZero() {
		return nil, nil
	}
	return t.store.node(ctx, t.root)
}
