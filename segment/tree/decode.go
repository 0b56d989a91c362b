package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/edgefs/edgefs/chunk"
)

// ErrInvalid says that a chunk is not a node, or not the node that its parent speaks of, though its bytes are what its name says.
var ErrInvalid = errors.New("invalid tree")

// maxLevel bounds the height of a tree; each level at least halves the number of nodes, so no real tree comes near.
const maxLevel = 63

// decoded is what a chunk of a tree holds: a *node or a value.
type decoded interface{ footprint() int }

// decode reads a chunk of a tree, which shares data from then on.
func decode(data []byte) (decoded, error) {
	if len(data) < valueHeader {
		return nil, fmt.Errorf("%w: %d bytes", ErrInvalid, len(data))
	}
	if data[1] != version {
		return nil, fmt.Errorf("%w: version %d is unknown", ErrInvalid, data[1])
	}
	switch data[0] {
	case kindNode:
		return decodeNode(data)
	case kindValue:
		if len(data)-valueHeader <= MaxInline {
			return nil, fmt.Errorf("%w: a value of %d bytes by reference", ErrInvalid, len(data)-valueHeader)
		}
		return value(data[valueHeader:]), nil
	}
	return nil, fmt.Errorf("%w: kind %#x is unknown", ErrInvalid, data[0])
}

// decodeNode accepts exactly what encodeNode writes. Besides data it allocates at most maxEntries keys of MaxKey bytes, twice.
func decodeNode(data []byte) (*node, error) {
	r := reader{data: data, off: nodeHeader - 1}
	level := int(r.byte())
	entries := r.uvarint(maxEntries)
	if r.bad || level > maxLevel || entries == 0 {
		return nil, fmt.Errorf("%w: header", ErrInvalid)
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	n := &node{
		level: level,
		data:  data,
		keys:  s.room,
		slots: make([]slot, 0, entries),
	}
	for i := range int(entries) {
		if !n.readSlot(&r) {
			return nil, fmt.Errorf("%w: entry %d", ErrInvalid, i)
		}
	}
	if r.off != len(data) {
		return nil, fmt.Errorf("%w: %d bytes behind the last entry", ErrInvalid, len(data)-r.off)
	}
	s.keep(n.keys)
	n.keys = bytes.Clone(n.keys)
	return n, nil
}

// readSlot appends the entry that r is at and says whether it is right.
func (n *node) readSlot(r *reader) bool {
	if !n.readKey(r) {
		return false
	}
	s := slot{keyEnd: uint32(len(n.keys)), weight: r.varint(), count: 1}
	if n.level > 0 {
		s.count = int64(r.uvarint(math.MaxInt64))
		s.ref = true
	} else {
		s.size = uint32(r.uvarint(MaxValue))
		s.ref = s.size > MaxInline
	}
	s.off = uint32(r.off)
	if s.ref {
		r.skip(chunk.IDSize)
	} else {
		r.skip(int(s.size))
	}
	if r.bad || s.count == 0 {
		return false
	}
	n.slots = append(n.slots, s)
	return addTo(&n.count, s.count) && addTo(&n.weight, s.weight)
}

func (n *node) readKey(r *reader) bool {
	var prev []byte
	if len(n.slots) > 0 {
		prev = n.lastKey()
	}
	shared := int(r.uvarint(uint64(len(prev))))
	suffix := r.skip(int(r.uvarint(MaxKey)))
	if r.bad || shared+len(suffix) > MaxKey {
		return false
	}
	if len(n.slots) > 0 && bytes.Compare(suffix, prev[shared:]) <= 0 {
		return false // not ascending
	}
	if shared < len(prev) && len(suffix) > 0 && suffix[0] == prev[shared] {
		return false // shares more than it says
	}
	n.keys = append(append(n.keys, prev[:shared]...), suffix...)
	return true
}

// addTo adds v to sum unless the result does not fit.
func addTo(sum *int64, v int64) bool {
	t := *sum + v
	if (v > 0) != (t > *sum) && v != 0 {
		return false
	}
	*sum = t
	return true
}

// reader reads fields until one is wrong, which it remembers.
type reader struct {
	data []byte
	off  int
	bad  bool
}

func (r *reader) byte() byte {
	if b := r.skip(1); b != nil {
		return b[0]
	}
	return 0
}

// skip is the next n bytes, nil where there are none.
func (r *reader) skip(n int) []byte {
	if r.bad || n > len(r.data)-r.off {
		r.bad = true
		return nil
	}
	b := r.data[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}

// uvarint is a number in its shortest form of at most limit.
func (r *reader) uvarint(limit uint64) uint64 {
	if r.bad {
		return 0
	}
	v, n := binary.Uvarint(r.data[r.off:])
	if n <= 0 || v > limit || n > 1 && r.data[r.off+n-1] == 0 {
		r.bad = true
		return 0
	}
	r.off += n
	return v
}

// varint is a number as [binary.AppendVarint] writes it.
func (r *reader) varint() int64 {
	u := r.uvarint(math.MaxUint64)
	return int64(u>>1) ^ -int64(u&1)
}
