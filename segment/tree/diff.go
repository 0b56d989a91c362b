package tree

import (
	"bytes"
	"context"
	"iter"
)

// Change is a key whose value or weight differs. A nil value is an absent key, an empty one is not nil. The slices stay as they are and must not be changed.
type Change struct {
	Key              []byte
	A, B             []byte
	WeightA, WeightB int64
}

// DiffOption changes how a [Diff] reads.
type DiffOption func(*diffOptions)

type diffOptions struct {
	batch int
	ahead int
}

// DiffBatch bounds the nodes of b read by one Get; 128 by default.
func DiffBatch(nodes int) DiffOption { return func(o *diffOptions) { o.batch = max(nodes, 1) } }

// DiffAhead bounds the batches of leaves that are read ahead of what the caller has seen, and so the memory; 4 by default.
func DiffAhead(batches int) DiffOption { return func(o *diffOptions) { o.ahead = max(batches, 1) } }

// Diff yields in key order what differs from a to b. The trees must have the same salt; their stores may be different ones.
//
// Equal subtrees are neither read nor walked, so the cost is that of the difference. The store of a should be near: its nodes are read as they
// are needed. The store of b may be far: every node of b that is not in a is read once, in large batches, level by level, and the batches of
// leaves with the referenced values that differ come ahead of the caller; what b has in common with a is read from a, if at all. An error ends the sequence.
func Diff(ctx context.Context, a, b Tree, opts ...DiffOption) iter.Seq2[Change, error] {
	o := diffOptions{batch: 128, ahead: 4}
	for _, opt := range opts {
		opt(&o)
	}
	return func(yield func(Change, error) bool) {
		if a.root == b.root {
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		f := startFetch(ctx, a, b, o)
		defer f.wait()
		defer cancel()

		d := differ{fetch: f, yield: yield, a: side{store: a.store}, b: side{store: a.store}}
		if err := d.run(ctx, a); err != nil {
			yield(Change{}, err)
		}
	}
}

// differ walks both trees at once. A side's next item is a subtree not yet opened, or an entry; subtrees are opened as long as the two next items
// are not the same subtree and not both entries.
type differ struct {
	fetch *fetch
	yield func(Change, error) bool
	a, b  side
}

func (d *differ) run(ctx context.Context, a Tree) error {
	root, err := a.rootNode(ctx)
	if err != nil {
		return err
	}
	if root != nil {
		d.a.push(sideFrame{n: root})
	}
	if d.fetch.root != nil {
		if err := d.enter(ctx, d.fetch.root, nil); err != nil {
			return err
		}
	}
	for !d.a.done() || !d.b.done() {
		if more, err := d.step(ctx); err != nil || !more {
			return err
		}
	}
	return nil
}

// step deals with the next item of one side or both and says whether to go on.
func (d *differ) step(ctx context.Context) (bool, error) {
	if d.a.done() {
		return d.onlyB(ctx)
	}
	if d.b.done() {
		return d.onlyA(ctx)
	}
	fa, fb := d.a.top(), d.b.top()
	switch {
	case fa.n.level == 0 && fb.n.level == 0:
		return d.entries(ctx)
	case fa.n.level == fb.n.level && sameChild(fa.n, fa.i, fb.n, fb.i):
		d.a.pass()
		d.b.pass()
		return true, nil
	}
	level := max(fa.n.level, fb.n.level)
	if fa.n.level == level {
		if err := d.openA(ctx); err != nil {
			return false, err
		}
	}
	if fb.n.level == level {
		return true, d.openB(ctx)
	}
	return true, nil
}

// entries compares the next entries of both.
func (d *differ) entries(ctx context.Context) (bool, error) {
	fa, fb := d.a.top(), d.b.top()
	switch c := bytes.Compare(fa.key(), fb.key()); {
	case c < 0:
		return d.onlyA(ctx)
	case c > 0:
		return d.onlyB(ctx)
	}
	if sameEntry(fa.n, fa.i, fb.n, fb.i) {
		d.a.pass()
		d.b.pass()
		return true, nil
	}
	c := Change{Key: fb.key(), WeightA: fa.n.slots[fa.i].weight, WeightB: fb.n.slots[fb.i].weight}
	var err error
	if c.A, err = d.a.store.value(ctx, fa.n, fa.i); err != nil {
		return false, err
	}
	if c.B, err = d.valueB(ctx, fb); err != nil {
		return false, err
	}
	d.a.pass()
	d.b.pass()
	return d.yield(c, nil), nil
}

// sameEntry says whether two entries of one key are equal.
func sameEntry(a *node, i int, b *node, j int) bool {
	s, t := &a.slots[i], &b.slots[j]
	if s.ref != t.ref || s.size != t.size || s.weight != t.weight {
		return false
	}
	if s.ref {
		return a.id(i) == b.id(j)
	}
	return bytes.Equal(a.inline(i), b.inline(j))
}

// sameChild says whether two entries name one subtree. That the ids are equal is not enough: if a peer lies about the rest, the fetch, which looks
// children up by key, took the child for one that is lacking, and somebody must open it.
func sameChild(a *node, i int, b *node, j int) bool {
	s, t := &a.slots[i], &b.slots[j]
	return a.id(i) == b.id(j) && s.count == t.count && s.weight == t.weight && bytes.Equal(a.key(i), b.key(j))
}

// onlyA deals with a's next item where b has nothing.
func (d *differ) onlyA(ctx context.Context) (bool, error) {
	f := d.a.top()
	if f.n.level > 0 {
		return true, d.openA(ctx)
	}
	v, err := d.a.store.value(ctx, f.n, f.i)
	if err != nil {
		return false, err
	}
	c := Change{Key: f.key(), A: v, WeightA: f.n.slots[f.i].weight}
	d.a.pass()
	return d.yield(c, nil), nil
}

func (d *differ) onlyB(ctx context.Context) (bool, error) {
	f := d.b.top()
	if f.n.level > 0 {
		return true, d.openB(ctx)
	}
	v, err := d.valueB(ctx, f)
	if err != nil {
		return false, err
	}
	c := Change{Key: f.key(), B: v, WeightB: f.n.slots[f.i].weight}
	d.b.pass()
	return d.yield(c, nil), nil
}

func (d *differ) openA(ctx context.Context) error {
	f := d.a.top()
	n, err := d.a.store.child(ctx, f.n, f.i)
	if err != nil {
		return err
	}
	if err := f.n.admit(f.i, d.a.lo, n); err != nil {
		return err
	}
	d.a.push(sideFrame{n: n})
	return nil
}

// openB opens b's next subtree: what is being fetched if a lacks it, else a's copy.
func (d *differ) openB(ctx context.Context) error {
	f := d.b.top()
	if f.far != nil && f.far.kids[f.i] != nil {
		return d.enter(ctx, f.far.kids[f.i], f)
	}
	n, err := d.b.store.child(ctx, f.n, f.i)
	if err != nil {
		return err
	}
	if err := f.n.admit(f.i, d.b.lo, n); err != nil {
		return err
	}
	d.b.push(sideFrame{n: n})
	return nil
}

// enter waits for a node of b and opens it, below f unless it is the root.
func (d *differ) enter(ctx context.Context, far *farNode, f *sideFrame) error {
	if err := d.fetch.await(ctx, far); err != nil {
		return err
	}
	if f != nil {
		if err := f.n.admit(f.i, d.b.lo, far.n); err != nil {
			return err
		}
		f.far.kids[f.i] = nil // the fetch is done with it; so what was walked is not held until the end
	}
	d.b.push(sideFrame{n: far.n, far: far})
	return nil
}

// valueB is the value of b's next entry.
func (d *differ) valueB(ctx context.Context, f *sideFrame) ([]byte, error) {
	if f.far == nil || !f.n.slots[f.i].ref {
		return d.b.store.value(ctx, f.n, f.i)
	}
	return d.fetch.value(ctx, f.far, f.i)
}

// side is where the walk stands in one of the trees.
type side struct {
	store  *Store
	frames []sideFrame
	lo     []byte // the last key passed; nil before the first
}

// sideFrame is an open node and its next entry.
type sideFrame struct {
	n   *node
	i   int
	far *farNode // where n came from, if it was fetched
}

func (f *sideFrame) key() []byte { return f.n.key(f.i) }

func (s *side) top() *sideFrame  { return &s.frames[len(s.frames)-1] }
func (s *side) done() bool       { return len(s.frames) == 0 }
func (s *side) push(f sideFrame) { s.frames = append(s.frames, f) }

// pass goes past the next item.
func (s *side) pass() {
	f := s.top()
	s.lo = f.key()
	for {
		f.i++
		if f.i < f.n.len() {
			return
		}
		s.frames = s.frames[:len(s.frames)-1]
		if s.done() {
			return
		}
		f = s.top()
	}
}
