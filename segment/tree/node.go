package tree

import (
	"bytes"
	"fmt"
	"unsafe"

	"github.com/edgefs/edgefs/chunk"
)

const (
	// MaxKey bounds a key in bytes.
	MaxKey = 4096
	// MaxInline is the longest value, in bytes, that is kept in its leaf; a longer one is a chunk of its own.
	MaxInline = 512
	// MaxValue bounds a value in bytes.
	MaxValue = chunk.MaxSize - valueHeader
)

// node is a decoded node. It is immutable and shared by whoever reads it.
type node struct {
	level  int    // 0 for a leaf
	data   []byte // the encoded bytes, which values and ids point into
	keys   []byte // all keys, one after the other; never nil
	slots  []slot
	count  int64 // entries of the tree in and below the node
	weight int64 // the sum of their weights
}

// slot is one entry of a node: of a leaf, a value or the reference to one; of an inner node, a child, whose last key is the slot's key.
type slot struct {
	keyEnd uint32
	off    uint32 // in data: the inline value, or the id
	size   uint32 // bytes of a leaf's value
	ref    bool   // off is where an id is
	count  int64
	weight int64
}

// item is an entry outside of a node. Its slices belong to a node, or to the edit it comes from.
type item struct {
	key    []byte
	value  []byte   // inline
	id     chunk.ID // of a child or of a referenced value
	ref    bool
	size   uint32
	count  int64
	weight int64
}

func (n *node) len() int { return len(n.slots) }

func (n *node) key(i int) []byte {
	end := n.slots[i].keyEnd
	start := uint32(0)
	if i > 0 {
		start = n.slots[i-1].keyEnd
	}
	return n.keys[start:end:end]
}

func (n *node) lastKey() []byte { return n.key(len(n.slots) - 1) }

// id is the child, or the value, that entry i refers to.
func (n *node) id(i int) chunk.ID { return chunk.ID(n.data[n.slots[i].off:][:chunk.IDSize]) }

// inline is the value of entry i, which is not a reference.
func (n *node) inline(i int) []byte {
	s := &n.slots[i]
	end := s.off + s.size
	return n.data[s.off:end:end]
}

func (n *node) item(i int) item {
	s := &n.slots[i]
	it := item{key: n.key(i), ref: s.ref, size: s.size, count: s.count, weight: s.weight}
	if s.ref {
		it.id = n.id(i)
	} else {
		it.value = n.inline(i)
	}
	return it
}

// search is the first entry from i on whose key is at least key, or the number of entries.
func (n *node) search(from int, key []byte) int {
	lo, hi := from, len(n.slots)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if bytes.Compare(n.key(mid), key) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// admit checks that c is what entry i of n says about it and that its keys lie behind lo, the last key before n (nil: none). Nodes come
// from other sites too: checked so, whatever they hold is walked in strictly ascending order, to its end.
func (n *node) admit(i int, lo []byte, c *node) error {
	s := &n.slots[i]
	if i > 0 {
		lo = n.key(i - 1)
	}
	switch {
	case c.level != n.level-1:
		return fmt.Errorf("node %v: %w: level %d below level %d", n.id(i), ErrInvalid, c.level, n.level)
	case c.count != s.count || c.weight != s.weight:
		return fmt.Errorf("node %v: %w: totals differ from its parent's", n.id(i), ErrInvalid)
	case !bytes.Equal(c.lastKey(), n.key(i)):
		return fmt.Errorf("node %v: %w: last key differs from its parent's", n.id(i), ErrInvalid)
	case lo != nil && bytes.Compare(c.key(0), lo) <= 0:
		return fmt.Errorf("node %v: %w: keys overlap the node before", n.id(i), ErrInvalid)
	}
	return nil
}

// footprint is the memory that the node takes, in bytes.
func (n *node) footprint() int {
	return int(unsafe.Sizeof(*n)) + cap(n.data) + cap(n.keys) + cap(n.slots)*int(unsafe.Sizeof(slot{}))
}

// value is the decoded chunk of a value kept by reference.
type value []byte

func (v value) footprint() int { return cap(v) }
