package tree

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/edgefs/edgefs/chunk"
)

const (
	// batchEntries ends a batch of leaves by the entries they are said to hold.
	batchEntries = 1 << 14
	// batchValueBytes bounds the referenced values read at once, in bytes, unless one alone is longer.
	batchValueBytes = 4 << 20
)

// fetch reads the nodes of a far tree b that a near tree a lacks, ahead of a walk in key order. Inner nodes are read level by level, in
// batches as large as allowed; leaves in batches of which several are under way.
//
// The walk must take every node of it, by await, in key order: a batch of leaves is followed by another one only when all of it was taken.
type fetch struct {
	a, b  Tree
	opts  diffOptions
	root  *farNode // nil if b is empty
	group *errgroup.Group
	done  <-chan struct{} // closed when something failed, or the walk was given up
	slots chan struct{}   // one for each batch of leaves read and not taken
	near  map[int]*path   // by level, where a is looked up, nil where it has no such level; used by start only
}

// farNode is a node of b that is being fetched.
type farNode struct {
	id    chunk.ID
	from  *node         // that names it; nil for the root
	ready chan struct{} // closed when what follows is set
	n     *node
	kids  []*farNode // parallel to the entries of an inner node; nil for what a has too
	batch *leafBatch // of a leaf
}

// leafBatch is what leaves fetched together share.
type leafBatch struct {
	left   int        // leaves the walk has not taken
	wanted []farValue // referenced values that a lacks, in key order, not yet read
	values map[farSlot][]byte
}

type farSlot struct {
	leaf *farNode
	i    int
}

type farValue struct {
	farSlot
	id   chunk.ID
	size uint32
	from *node // the leaf
}

func startFetch(ctx context.Context, a, b Tree, opts diffOptions) *fetch {
	f := &fetch{a: a, b: b, opts: opts, slots: make(chan struct{}, opts.ahead), near: map[int]*path{}}
	f.group, ctx = errgroup.WithContext(ctx)
	f.done = ctx.Done()
	if b.root.IsZero() {
		return f
	}
	f.root = newFarNode(b.root, nil)
	f.group.Go(func() error { return f.start(ctx) })
	return f
}

func newFarNode(id chunk.ID, from *node) *farNode {
	return &farNode{id: id, from: from, ready: make(chan struct{})}
}

// wait returns when nothing of the fetch runs any more.
func (f *fetch) wait() error { return f.group.Wait() }

// await returns when far is there.
func (f *fetch) await(ctx context.Context, far *farNode) error {
	select {
	case <-far.ready:
	case <-f.done:
		select {
		case <-far.ready:
		default:
			if err := f.wait(); err != nil {
				return err
			}
			return ctx.Err()
		}
	}
	if b := far.batch; b != nil {
		if b.left--; b.left == 0 {
			<-f.slots
		}
	}
	return nil
}

// start reads the root and all below it.
func (f *fetch) start(ctx context.Context) error {
	n, err := f.b.store.node(ctx, f.b.root)
	if err != nil {
		return err
	}
	if n.level == 0 {
		f.slots <- struct{}{}
		return f.leaves(ctx, []*farNode{f.root}, []*node{n})
	}
	return f.inner(ctx, []*farNode{f.root}, []*node{n})
}

// inner hands over inner nodes of one level, in key order, and fetches what is below them.
func (f *fetch) inner(ctx context.Context, far []*farNode, nodes []*node) error {
	level := nodes[0].level
	for i, n := range nodes {
		kids, err := f.lacking(ctx, n)
		if err != nil {
			return err
		}
		far[i].n, far[i].kids = n, kids
		close(far[i].ready)
	}
	var batch []*farNode
	var entries int64
	for i, n := range nodes {
		for k, kid := range far[i].kids {
			if kid == nil {
				continue
			}
			batch = append(batch, kid)
			entries += n.slots[k].count
			if len(batch) < f.opts.batch && (level > 1 || entries < batchEntries) {
				continue
			}
			if err := f.read(ctx, batch, level-1); err != nil {
				return err
			}
			batch, entries = nil, 0
		}
	}
	return f.read(ctx, batch, level-1)
}

// read fetches nodes of one level and what is below them.
func (f *fetch) read(ctx context.Context, batch []*farNode, level int) error {
	if len(batch) == 0 {
		return nil
	}
	if level > 0 {
		nodes, err := f.get(ctx, batch, level)
		if err != nil {
			return err
		}
		return f.inner(ctx, batch, nodes)
	}
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.group.Go(func() error {
		nodes, err := f.get(ctx, batch, 0)
		if err != nil {
			return err
		}
		return f.leaves(ctx, batch, nodes)
	})
	return nil
}

func (f *fetch) get(ctx context.Context, batch []*farNode, level int) ([]*node, error) {
	ids := make([]chunk.ID, len(batch))
	var from []*node
	for i, far := range batch {
		ids[i] = far.id
		if n := len(from); n == 0 || from[n-1] != far.from {
			from = append(from, far.from)
		}
	}
	nodes, err := f.b.store.nodes(ctx, ids, from...)
	if err != nil {
		return nil, err
	}
	for i, n := range nodes {
		if n.level != level {
			return nil, fmt.Errorf("node %v: %w: level %d, want %d", ids[i], ErrInvalid, n.level, level)
		}
	}
	return nodes, nil
}

// lacking makes a farNode of each child of n that a does not have in the same place.
func (f *fetch) lacking(ctx context.Context, n *node) ([]*farNode, error) {
	kids := make([]*farNode, n.len())
	for i := range kids {
		has, err := f.has(ctx, n.level, n.key(i), n.id(i))
		if err != nil {
			return nil, err
		}
		if !has {
			kids[i] = newFarNode(n.id(i), n)
		}
	}
	return kids, nil
}

// has says whether a has, at the level, the entry of key, which refers to id. Keys ascend within a level.
func (f *fetch) has(ctx context.Context, level int, key []byte, id chunk.ID) (bool, error) {
	p, ok := f.near[level]
	if !ok {
		var err error
		if p, err = f.a.lookup(ctx, level); err != nil {
			return false, err
		}
		f.near[level] = p
	}
	if p == nil {
		return f.a.root == id, nil
	}
	found, err := p.seek(ctx, key)
	if err != nil || !found {
		return false, err
	}
	at := p.top()
	return at.n.slots[at.i].ref && at.n.id(at.i) == id, nil
}

// lookup is a path at the level, nil if the tree has none.
func (t Tree) lookup(ctx context.Context, level int) (*path, error) {
	root, err := t.rootNode(ctx)
	if err != nil || root == nil || root.level < level {
		return nil, err
	}
	return newPath(t.store, root, level), nil
}

// leaves hands over leaves, in key order, with their referenced values as far as they may be read at once.
func (f *fetch) leaves(ctx context.Context, far []*farNode, nodes []*node) error {
	b := &leafBatch{left: len(far)}
	p, err := f.a.lookup(ctx, 0)
	if err != nil {
		return err
	}
	for i, n := range nodes {
		if err := b.want(ctx, p, far[i], n); err != nil {
			return err
		}
	}
	if err := b.readValues(ctx, f.b.store); err != nil {
		return err
	}
	for i, n := range nodes {
		far[i].n, far[i].batch = n, b
		close(far[i].ready)
	}
	return nil
}

// want lists the referenced values of a leaf that are not the same in a, which p (nil: empty) walks.
func (b *leafBatch) want(ctx context.Context, p *path, far *farNode, n *node) error {
	for i := range n.slots {
		if !n.slots[i].ref {
			continue
		}
		if p != nil {
			found, err := p.seek(ctx, n.key(i))
			if err != nil {
				return err
			}
			if at := p.top(); found && string(at.n.key(at.i)) == string(n.key(i)) && sameEntry(at.n, at.i, n, i) {
				continue
			}
		}
		b.wanted = append(b.wanted, farValue{farSlot{far, i}, n.id(i), n.slots[i].size, n})
	}
	return nil
}

// readValues replaces the values at hand by the next ones wanted.
func (b *leafBatch) readValues(ctx context.Context, s *Store) error {
	b.values = nil
	n, size := 0, 0
	var ids []chunk.ID
	var from []*node
	for n < len(b.wanted) && (n == 0 || size+int(b.wanted[n].size) <= batchValueBytes) {
		ids = append(ids, b.wanted[n].id)
		if k := len(from); k == 0 || from[k-1] != b.wanted[n].from {
			from = append(from, b.wanted[n].from)
		}
		size += int(b.wanted[n].size)
		n++
	}
	if n == 0 {
		return nil
	}
	values, err := s.values(ctx, ids, from...)
	if err != nil {
		return err
	}
	b.values = make(map[farSlot][]byte, n)
	for _, w := range b.wanted[:n] {
		if b.values[w.farSlot], err = sized(w.id, values[w.id], w.size); err != nil {
			return err
		}
	}
	b.wanted = b.wanted[n:]
	return nil
}

// value is the referenced value of entry i of a leaf that the walk took. Values are asked for in key order.
func (f *fetch) value(ctx context.Context, leaf *farNode, i int) ([]byte, error) {
	at := farSlot{leaf, i}
	for {
		if v, ok := leaf.batch.values[at]; ok {
			return v, nil
		}
		if len(leaf.batch.wanted) == 0 {
			return f.b.store.value(ctx, leaf.n, i)
		}
		if err := leaf.batch.readValues(ctx, f.b.store); err != nil {
			return nil, err
		}
	}
}
