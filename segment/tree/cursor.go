package tree

import (
	"context"

	"github.com/edgefs/edgefs/chunk"
)

const (
	// maxValuesAhead bounds the referenced values that a scan reads at once, in number,
	maxValuesAhead = 64
	// maxValueBytesAhead in bytes, unless one alone is longer.
	maxValueBytesAhead = 1 << 20
)

// Cursor walks a tree's entries in key order. It starts at no entry: [Cursor.Seek] it first. It belongs to one goroutine at a time, needs no
// closing, and is of no use after an error until the next Seek. Keys and values it hands out stay as they are and must not be changed.
//
// A cursor that goes on from leaf to leaf reads ever more leaves at once, so that a scan does not wait for each.
type Cursor struct {
	t     Tree
	p     *path
	valid bool
	refs  refs
}

// refs are referenced values that were read ahead.
type refs struct {
	ahead  int // how many to read at once
	values map[chunk.ID][]byte
}

// Cursor makes a cursor. It reads nothing.
func (t Tree) Cursor() *Cursor { return &Cursor{t: t} }

// Seek goes to the first entry whose key is at least key; nil is before all. Going a little forward, past a delimiter say, costs less than starting anew.
func (c *Cursor) Seek(ctx context.Context, key []byte) (err error) {
	c.valid = false
	if c.t.root.IsZero() {
		return nil
	}
	if c.p == nil {
		root, err := c.t.rootNode(ctx)
		if err != nil {
			return err
		}
		c.p = newPath(c.t.store, root, 0)
	}
	c.p.ahead, c.refs.ahead = 1, 1
	if c.valid, err = c.p.seek(ctx, key); err != nil {
		c.p = nil
	}
	return err
}

// Next goes to the next entry. The cursor must be valid.
func (c *Cursor) Next(ctx context.Context) (err error) {
	f := c.p.top()
	if f.i+1 < len(f.n.slots) {
		f.i++
		return nil
	}
	c.p.ahead = min(2*c.p.ahead, maxAhead)
	if c.valid, err = c.p.next(ctx); err != nil {
		c.p = nil
	}
	return err
}

// Valid says whether the cursor is at an entry.
func (c *Cursor) Valid() bool { return c.valid }

// Key is the entry's key. The cursor must be valid, as for all methods below.
func (c *Cursor) Key() []byte {
	f := c.p.top()
	return f.n.key(f.i)
}

// Weight is the entry's weight.
func (c *Cursor) Weight() int64 {
	f := c.p.top()
	return f.n.slots[f.i].weight
}

// ValueSize is the length of the entry's value in bytes; it reads nothing.
func (c *Cursor) ValueSize() int {
	f := c.p.top()
	return int(f.n.slots[f.i].size)
}

// Value is the entry's value, read from the store if it is kept by reference.
func (c *Cursor) Value(ctx context.Context) ([]byte, error) {
	f := c.p.top()
	if !f.n.slots[f.i].ref {
		return f.n.inline(f.i), nil
	}
	return c.refs.value(ctx, c.t.store, f.n, f.i)
}

func (r *refs) value(ctx context.Context, s *Store, n *node, i int) ([]byte, error) {
	id := n.id(i)
	v, ok := r.values[id]
	if !ok {
		values, err := s.values(ctx, refsFrom(n, i, r.ahead), n)
		if err != nil {
			return nil, err
		}
		r.values, v = values, values[id]
		r.ahead = min(2*r.ahead, maxValuesAhead)
	}
	return sized(id, v, n.slots[i].size)
}

// refsFrom names the values that a leaf refers to from entry i on, within bounds, but the first one always.
func refsFrom(n *node, i, most int) []chunk.ID {
	ids := []chunk.ID{n.id(i)}
	size := int(n.slots[i].size)
	for i++; i < n.len() && len(ids) < most; i++ {
		if !n.slots[i].ref {
			continue
		}
		if size += int(n.slots[i].size); size > maxValueBytesAhead {
			break
		}
		ids = append(ids, n.id(i))
	}
	return ids
}
