package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/zeebo/blake3"
	"google.golang.org/protobuf/encoding/protowire"
)

var (
	// ErrFormat says that bytes are no stream, or one of a later build.
	ErrFormat = errors.New("not a stream that this build can read")
	// ErrDamaged says that a part of a stream is not as it was written, or is missing.
	ErrDamaged = errors.New("the stream is damaged")
	// ErrShort says that a stream ends before its end: what carried it broke off.
	ErrShort = errors.New("the stream ends too early")
)

// magic begins every frame, and so every stream. It has what a transfer as text would change, as PNG's has.
const magic = "\x8bEFS\r\n\x1a\n"

const (
	version = 1

	headSize = 64
	hashSize = 16
	wantBody = 1 << 20 // a frame ends behind the record with which it has so many bytes

	// MaxRecord bounds a chunk, and the encoding of anything else, in bytes.
	MaxRecord = 8 << 20
	// maxBody: a record more than wanted, and what is around it.
	maxBody = wantBody + MaxRecord + 64
)

// head is that of a frame.
type head struct {
	number uint64 // of the frame, from 0
	first  uint64 // number of the first chunk or node that is in it or behind it
	length uint32 // of the body
	sum    [hashSize]byte
}

// encode makes the bytes, see docs/format/stream.md.
func (h head) encode() (b [headSize]byte) {
	copy(b[:], magic)
	b[8] = version
	binary.LittleEndian.PutUint32(b[12:], h.length)
	binary.LittleEndian.PutUint64(b[16:], h.number)
	binary.LittleEndian.PutUint64(b[24:], h.first)
	copy(b[32:48], h.sum[:])
	own := sumOf(b[:48])
	copy(b[48:], own[:])
	return b
}

// parseHead reads what encode made, and nothing else.
func parseHead(b []byte) (h head, err error) {
	switch own := sumOf(b[:48]); {
	case string(b[:8]) != magic:
		return h, fmt.Errorf("no frame begins here: %w", ErrDamaged)
	case !bytes.Equal(own[:], b[48:headSize]):
		return h, fmt.Errorf("checksum of a frame's head: %w", ErrDamaged)
	case b[8] != version:
		return h, fmt.Errorf("version %d, want %d: %w", b[8], version, ErrFormat)
	case b[9]|b[10]|b[11] != 0:
		return h, fmt.Errorf("a frame of a kind that is not known: %w", ErrFormat)
	}
	h.length = binary.LittleEndian.Uint32(b[12:])
	h.number = binary.LittleEndian.Uint64(b[16:])
	h.first = binary.LittleEndian.Uint64(b[24:])
	copy(h.sum[:], b[32:48])
	if h.length > maxBody {
		return h, fmt.Errorf("a frame of %d bytes: %w", h.length, ErrFormat)
	}
	return h, nil
}

// sumOf is the first half of the BLAKE3 hash: what it guards against is chance. https://github.com/BLAKE3-team/BLAKE3-specs
func sumOf(b []byte) (out [hashSize]byte) {
	full := blake3.Sum256(b)
	copy(out[:], full[:])
	return out
}

// Kind says what a record is.
type Kind uint8

// The kinds of records, by their numbers in the stream.
const (
	KindHeader  Kind = 1
	KindChunk   Kind = 2
	KindNode    Kind = 3
	KindVersion Kind = 4
	KindEnd     Kind = 5
)

// Header is what the first record says of the bucket. Fields that package segment understands are bytes here.
type Header struct {
	Cutter   string // how content is cut
	Seen     []byte // what the bucket had seen
	Settings []byte
	Current  bool // only current versions are in the stream
}

func (h Header) append(b []byte) []byte {
	b = appendBytes(b, 1, []byte(h.Cutter))
	b = appendBytes(b, 2, h.Seen)
	b = appendBytes(b, 3, h.Settings)
	if h.Current {
		b = appendUint(b, 4, 1)
	}
	return b
}

func parseHeader(b []byte) (h Header, err error) {
	err = fields(b, func(num protowire.Number, n uint64, data []byte) bool {
		switch {
		case num == 1 && data != nil:
			h.Cutter = string(data)
		case num == 2 && data != nil:
			h.Seen = bytes.Clone(data)
		case num == 3 && data != nil:
			h.Settings = bytes.Clone(data)
		case num == 4 && data == nil && n == 1:
			h.Current = true
		default:
			return false
		}
		return true
	})
	return h, err
}

// List is what a node, or a version's content, consists of: chunks where Level is 0, else nodes whose own Level is one less.
type List struct {
	Level int
	Refs  []Ref
	Other []byte // fields of later builds of a manifest or node, as they came
}

// Ref names a chunk or node that came before, by how many came before it, and says how many bytes of payload it stands for.
type Ref struct {
	N    uint64
	Size int64
}

// append encodes the list where at chunks and nodes came before it: references count backwards, so that they are short.
func (l List) append(b []byte, at uint64) []byte {
	var refs, sizes []byte
	for _, r := range l.Refs {
		refs = protowire.AppendVarint(refs, at-r.N)
		sizes = protowire.AppendVarint(sizes, uint64(r.Size))
	}
	b = appendUint(b, 1, uint64(l.Level))
	b = appendBytes(b, 2, refs)
	b = appendBytes(b, 3, sizes)
	return appendBytes(b, 4, l.Other)
}

// The most that a list may be.
const (
	maxLevel = 15
	maxRefs  = 256
)

func parseList(b []byte, at uint64) (l List, err error) {
	var refs, sizes []byte
	err = fields(b, func(num protowire.Number, n uint64, data []byte) bool {
		switch {
		case num == 1 && data == nil && n <= maxLevel:
			l.Level = int(n)
		case num == 2 && data != nil:
			refs = data
		case num == 3 && data != nil:
			sizes = data
		case num == 4 && data != nil:
			l.Other = bytes.Clone(data)
		default:
			return false
		}
		return true
	})
	for err == nil && len(refs) > 0 {
		back, n := canonical(refs)
		size, k := canonical(sizes)
		if n < 0 || k < 0 || back == 0 || back > at || size == 0 || size > math.MaxInt64 || len(l.Refs) == maxRefs {
			return l, fmt.Errorf("a reference of a list: %w", ErrFormat)
		}
		l.Refs = append(l.Refs, Ref{at - back, int64(size)})
		refs, sizes = refs[n:], sizes[k:]
	}
	if err == nil && (len(sizes) > 0 || l.Level > 0 && len(l.Refs) == 0) {
		err = fmt.Errorf("a list: %w", ErrFormat)
	}
	return l, err
}

// End is what the last record says of all before it.
type End struct {
	Chunks   uint64   // of payload
	Nodes    uint64   // of manifests
	Versions uint64   // delete markers too
	Bytes    int64    // of the chunks
	Logical  int64    // of the versions: what they would take if each had its content for itself
	Hash     [32]byte // BLAKE3 of the heads of all frames before the last
}

func (e End) append(b []byte) []byte {
	b = appendUint(b, 1, e.Chunks)
	b = appendUint(b, 2, e.Nodes)
	b = appendUint(b, 3, e.Versions)
	b = appendUint(b, 4, uint64(e.Bytes))
	b = appendUint(b, 5, uint64(e.Logical))
	return appendBytes(b, 6, e.Hash[:])
}

func parseEnd(b []byte) (e End, err error) {
	err = fields(b, func(num protowire.Number, n uint64, data []byte) bool {
		switch {
		case num == 6 && len(data) == len(e.Hash):
			copy(e.Hash[:], data)
		case num > 5 || data != nil || n > math.MaxInt64:
			return false
		case num == 1:
			e.Chunks = n
		case num == 2:
			e.Nodes = n
		case num == 3:
			e.Versions = n
		case num == 4:
			e.Bytes = int64(n)
		case num == 5:
			e.Logical = int64(n)
		}
		return true
	})
	return e, err
}

// fields walks a message that is canonical: each field once, in order, numbers and lengths in their shortest form, no zero. data is nil of a number.
func fields(b []byte, visit func(num protowire.Number, n uint64, data []byte) bool) error {
	last := protowire.Number(0)
	for len(b) > 0 {
		num, typ, k := protowire.ConsumeTag(b)
		if k < 0 || k != protowire.SizeTag(num) || num <= last {
			return fmt.Errorf("a field behind field %d: %w", last, ErrFormat)
		}
		n, m := canonical(b[k:])
		b, last = b[k+max(m, 0):], num
		var data []byte
		switch {
		case m < 0 || n == 0 || typ != protowire.VarintType && typ != protowire.BytesType || typ == protowire.BytesType && n > uint64(len(b)):
			return fmt.Errorf("field %d: %w", num, ErrFormat)
		case typ == protowire.BytesType:
			data, b = b[:n:n], b[n:]
		}
		if !visit(num, n, data) {
			return fmt.Errorf("field %d: %w", num, ErrFormat)
		}
	}
	return nil
}

// canonical is a number in its shortest form and its length, which is negative where there is none.
func canonical(b []byte) (uint64, int) {
	v, n := protowire.ConsumeVarint(b)
	if n > 0 && n != protowire.SizeVarint(v) {
		return 0, -1
	}
	return v, n
}

func appendUint(b []byte, num protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), n)
}

func appendBytes(b []byte, num protowire.Number, data []byte) []byte {
	if len(data) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), data)
}
