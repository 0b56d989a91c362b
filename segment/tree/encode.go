package tree

import (
	"bytes"
	"encoding/binary"
	"sync"
)

// The first two bytes of a chunk: what it is, and the version of its layout. A value can therefore never be read as a node, whatever it holds.
const (
	kindNode    = 'n'
	kindValue   = 'v'
	version     = 1
	valueHeader = 2
	nodeHeader  = 3
)

// encodeNode writes the only encoding that the items have. The result is the caller's.
func encodeNode(level int, items []item) []byte {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	b := append(s.room, kindNode, version, byte(level))
	b = binary.AppendUvarint(b, uint64(len(items)))
	var prev []byte
	for i := range items {
		it := &items[i]
		shared := sharedPrefix(prev, it.key)
		b = binary.AppendUvarint(b, uint64(shared))
		b = binary.AppendUvarint(b, uint64(len(it.key)-shared))
		b = append(b, it.key[shared:]...)
		b = binary.AppendVarint(b, it.weight)
		b = appendContent(b, level, it)
		prev = it.key
	}
	s.keep(b)
	return bytes.Clone(b)
}

func appendContent(b []byte, level int, it *item) []byte {
	if level > 0 {
		b = binary.AppendUvarint(b, uint64(it.count))
		return append(b, it.id[:]...)
	}
	b = binary.AppendUvarint(b, uint64(it.size))
	if it.ref {
		return append(b, it.id[:]...)
	}
	return append(b, it.value...)
}

func encodeValue(v []byte) []byte {
	b := make([]byte, 0, valueHeader+len(v))
	b = append(b, kindValue, version)
	return append(b, v...)
}

func sharedPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// scratch is where bytes are put together whose number is known only then. What is made of them is a copy, of just their size: nodes stay long
// in a cache.
type scratch struct{ room []byte }

// maxScratch bounds what is kept for the next, in bytes: a hostile node's keys may take [maxEntries] times [MaxKey].
const maxScratch = 64 << 10

var scratches = sync.Pool{New: func() any { return &scratch{make([]byte, 0, 8<<10)} }}

// keep takes b, which began as s.room and may have grown, for the next use.
func (s *scratch) keep(b []byte) {
	if cap(b) <= maxScratch {
		s.room = b[:0]
	}
}
