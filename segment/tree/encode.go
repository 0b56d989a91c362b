package tree

import "encoding/binary"

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
	b := make([]byte, 0, encodedSize(items))
	b = append(b, kindNode, version, byte(level))
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
	return b
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

// encodedSize is about the length of the encoding, keys sharing nothing.
func encodedSize(items []item) int {
	n := nodeHeader + binary.MaxVarintLen16
	for i := range items {
		n += len(items[i].key) + len(items[i].value) + 12
		if items[i].ref {
			n += len(items[i].id)
		}
	}
	return n
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
