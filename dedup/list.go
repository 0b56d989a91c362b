package dedup

import (
	"errors"
	"fmt"
	"math"

	"github.com/edgefs/edgefs/chunk"
	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed says that bytes are not a manifest or a node of one, or of a version that this build does not know.
var ErrMalformed = errors.New("malformed manifest")

// Entry is one child of a manifest or node: a piece of payload, or a node that stands for all pieces below it.
type Entry struct {
	ID   chunk.ID
	Size int64 // payload bytes, at least 1
}

const (
	formatVersion = 1

	fieldLevel = 1 // varint, absent for 0
	fieldIDs   = 2 // bytes, 32 per entry
	fieldSizes = 3 // bytes, a varint per entry

	// maxLevel bounds the height of what is read. Even a tree of two children per node would hold 2^15 pieces below it.
	maxLevel = 15
)

// list is entries of one level: 0 for pieces, else nodes that hold lists of the level below. A manifest and a node are both one list; see
// docs/format/manifest.md.
type list struct {
	level   int
	entries []Entry
	unknown []byte // fields of later builds, as they came
}

func (l list) size() int64 {
	var n int64
	for _, e := range l.entries {
		n += e.Size
	}
	return n
}

func (l list) append(b []byte) []byte {
	b = append(b, formatVersion)
	if l.level > 0 {
		b = protowire.AppendTag(b, fieldLevel, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(l.level))
	}
	if len(l.entries) > 0 {
		b = l.appendEntries(b)
	}
	return append(b, l.unknown...)
}

func (l list) appendEntries(b []byte) []byte {
	b = protowire.AppendTag(b, fieldIDs, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(l.entries)*chunk.IDSize))
	sizes := 0
	for _, e := range l.entries {
		b = append(b, e.ID[:]...)
		sizes += protowire.SizeVarint(uint64(e.Size))
	}
	b = protowire.AppendTag(b, fieldSizes, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(sizes))
	for _, e := range l.entries {
		b = protowire.AppendVarint(b, uint64(e.Size))
	}
	return b
}

// parseList reads what append writes, and nothing else: list(b).append gives b again. It keeps nothing of b.
func parseList(b []byte, maxEntries int) (list, error) {
	if len(b) == 0 {
		return list{}, fmt.Errorf("empty: %w", ErrMalformed)
	}
	if b[0] != formatVersion {
		return list{}, fmt.Errorf("version %d, want %d: %w", b[0], formatVersion, ErrMalformed)
	}
	var l list
	var ids, sizes []byte
	for rest, last := b[1:], protowire.Number(0); len(rest) > 0; {
		f, err := nextField(rest)
		if err != nil {
			return list{}, err
		}
		if f.number < last || f.number == last && f.number <= fieldSizes {
			return list{}, fmt.Errorf("field %d after field %d: %w", f.number, last, ErrMalformed)
		}
		last = f.number
		switch {
		case f.number == fieldLevel && f.kind == protowire.VarintType && f.varint > 0 && f.varint <= maxLevel:
			l.level = int(f.varint)
		case f.number == fieldIDs && f.kind == protowire.BytesType && len(f.bytes) > 0:
			ids = f.bytes
		case f.number == fieldSizes && f.kind == protowire.BytesType:
			sizes = f.bytes
		case f.number > fieldSizes:
			l.unknown = append(l.unknown, rest[:f.length]...)
		default:
			return list{}, fmt.Errorf("field %d has an impossible value: %w", f.number, ErrMalformed)
		}
		rest = rest[f.length:]
	}
	if (ids == nil) != (sizes == nil) || l.level > 0 && ids == nil {
		return list{}, fmt.Errorf("a field is missing: %w", ErrMalformed)
	}
	var err error
	l.entries, err = parseEntries(ids, sizes, l.level, maxEntries)
	return l, err
}

func parseEntries(ids, sizes []byte, level, maxEntries int) ([]Entry, error) {
	n := len(ids) / chunk.IDSize
	if len(ids)%chunk.IDSize != 0 || n > maxEntries {
		return nil, fmt.Errorf("%d bytes of ids, at most %d ids: %w", len(ids), maxEntries, ErrMalformed)
	}
	if n == 0 {
		return nil, nil
	}
	limit := int64(math.MaxInt64)
	if level == 0 {
		limit = chunk.MaxSize
	}
	entries := make([]Entry, n)
	var total int64
	for i := range entries {
		v, k := canonicalVarint(sizes)
		if k < 0 || v == 0 || v > uint64(limit) || int64(v) > math.MaxInt64-total {
			return nil, fmt.Errorf("size of entry %d: %w", i, ErrMalformed)
		}
		entries[i] = Entry{chunk.ID(ids[i*chunk.IDSize:][:chunk.IDSize]), int64(v)}
		total += int64(v)
		sizes = sizes[k:]
	}
	if len(sizes) > 0 {
		return nil, fmt.Errorf("more sizes than ids: %w", ErrMalformed)
	}
	return entries, nil
}

type field struct {
	number protowire.Number
	kind   protowire.Type
	varint uint64
	bytes  []byte
	length int // with its tag
}

// nextField reads the field that b begins with. Numbers and lengths that could be written shorter are refused for the known fields, so
// that a list has one encoding.
func nextField(b []byte) (field, error) {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 {
		return field{}, fmt.Errorf("tag: %w", ErrMalformed)
	}
	f := field{number: number, kind: kind}
	if number > fieldSizes {
		k := protowire.ConsumeFieldValue(number, kind, b[n:])
		if k < 0 {
			return field{}, fmt.Errorf("field %d: %w", number, ErrMalformed)
		}
		f.length = n + k
		return f, nil
	}
	v, k := canonicalVarint(b[n:])
	if k < 0 || n != protowire.SizeTag(number) {
		return field{}, fmt.Errorf("field %d: %w", number, ErrMalformed)
	}
	n += k
	switch kind {
	case protowire.VarintType:
		f.varint, f.length = v, n
	case protowire.BytesType:
		if v > uint64(len(b)-n) {
			return field{}, fmt.Errorf("field %d is cut short: %w", number, ErrMalformed)
		}
		f.bytes, f.length = b[n:n+int(v)], n+int(v)
	default:
		return field{}, fmt.Errorf("field %d of wire type %d: %w", number, kind, ErrMalformed)
	}
	return f, nil
}

// canonicalVarint is a varint in its shortest form and its length, which is negative where there is none.
func canonicalVarint(b []byte) (uint64, int) {
	v, n := protowire.ConsumeVarint(b)
	if n > 0 && n != protowire.SizeVarint(v) {
		return 0, -1
	}
	return v, n
}
