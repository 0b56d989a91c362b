package loadtest

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"
)

const (
	// CellSize is the grain of content: each cell of 4 KiB is made without the others, and carries its own stamp.
	CellSize = 4 << 10
	// StampSize is how many bytes a read needs to tell which version it holds.
	StampSize = 16

	// blockSize is that of the random blocks that cells are made of: both fit a core's second cache.
	blockSize = 1 << 19
	// repeatStretch is the object size from which one object holds both unique and repeated bytes. Below it an object is wholly one or the
	// other: half a small object repeated would be invisible to a store that cuts larger chunks than that.
	repeatStretch = 1 << 20
	// smallRepeats is how many different contents the repeated small objects share.
	smallRepeats = 64
)

// Content is the function from (seed, key, version, size) to bytes. Unique content is incompressible and no cell of it is ever the same as
// another of the same seed: a cell is the XOR of two random blocks at offsets of its own, under a stamp that hashes
// key, version and position. That costs about a memory copy (BenchmarkFill), where a cipher would cost as much as the server's hashing.
//
// A Content is read-only after it is made and safe for concurrent use.
type Content struct {
	seed   uint64
	sizes  Sizes
	repeat float64
	left   []byte
	right  []byte
}

// NewContent makes the content of a seed. repeat, from 0 to 1, is the part of all bytes that are the same in many objects: objects of at
// least 1 MiB end in a repeated stretch of that part, of the smaller ones that part is repeated whole.
func NewContent(seed uint64, sizes Sizes, repeat float64) *Content {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	random := rand.NewChaCha8(key)
	c := &Content{seed: seed, sizes: sizes, repeat: repeat}
	c.left = make([]byte, blockSize+CellSize)
	c.right = make([]byte, blockSize+CellSize)
	random.Read(c.left)
	random.Read(c.right)
	return c
}

// Object is the content of one version of a key, made when asked for; it holds no bytes.
type Object struct {
	Key     string
	Version uint64
	Size    int64

	content *Content
	own     stream
	shared  stream
	unique  int64 // bytes before the repeated stretch, a multiple of CellSize unless it is all
}

// stream is an endless row of cells.
type stream struct{ id, version uint64 }

// Object is a version of a key at the size that the key and version are given by the sizes.
func (c *Content) Object(key string, version uint64) Object {
	return c.Sized(key, version, c.SizeOf(key, version))
}

// Sized is a version of a key at a given size.
func (c *Content) Sized(key string, version uint64, size int64) Object {
	id := c.keyID(key)
	if size < StampSize {
		version = 0 // too small to tell versions apart: all of the key are alike
	}
	o := Object{Key: key, Version: version, Size: size, content: c, own: stream{id, version}, unique: size}
	if c.repeat <= 0 {
		return o
	}
	random := mix(id ^ 0x7265706561740000) // of the key alone, so that a reader need not know the version
	if size < repeatStretch {
		if float64(random>>11)/(1<<53) < c.repeat {
			o.unique = 0
			o.shared.id = mix(c.seed ^ (1 + random%smallRepeats))
		}
		return o
	}
	o.unique = size - int64(float64(size)*min(c.repeat, 1))
	o.unique -= o.unique % CellSize
	o.shared.id = mix(c.seed)
	return o
}

// SizeOf is the size that a version of a key is given by the sizes.
func (c *Content) SizeOf(key string, version uint64) int64 {
	if len(c.sizes.choices) == 1 {
		return c.sizes.choices[0].size
	}
	return c.sizes.Pick(mix(c.keyID(key) + version))
}

// Repeated says how many bytes of the object are also in other objects.
func (o Object) Repeated() int64 { return o.Size - o.unique }

// Fill writes the object's bytes from off, which must be a multiple of CellSize, and returns how many: all of dst or up to the object's end.
func (o Object) Fill(dst []byte, off int64) int {
	n := int(min(int64(len(dst)), o.Size-off))
	for done := 0; done < n; done += CellSize {
		at := off + int64(done)
		cell := dst[done:min(done+CellSize, n)]
		if at < o.unique {
			o.content.cell(cell, o.own, uint64(at)/CellSize)
		} else {
			o.content.cell(cell, o.shared, uint64(at-o.unique)/CellSize)
		}
	}
	return max(n, 0)
}

// Check compares data, read at off (a multiple of CellSize), with the object and returns the offset in the object of the first wrong byte,
// or -1. scratch needs room for len(data). Bytes past the object's end are wrong.
func (o Object) Check(data []byte, off int64, scratch []byte) int64 {
	n := o.Fill(scratch[:len(data)], off)
	if n == len(data) && bytes.Equal(data, scratch[:n]) {
		return -1
	}
	for i := range n {
		if data[i] != scratch[i] {
			return off + int64(i)
		}
	}
	return off + int64(n)
}

// Identify finds the object that a read of size bytes is, from the first piece of it. It is told when head names its version. Otherwise
// the object returned is of the assumed version: either the content does not tell, for it is under StampSize or repeated whole
// and alike in all versions, or head is wrong and Check will find where.
func (c *Content) Identify(key string, size int64, head []byte, assumed uint64) (o Object, told bool) {
	if len(head) < StampSize {
		return c.Sized(key, assumed, size), false
	}
	place := cellPlace(c.keyID(key), 0)
	version := binary.LittleEndian.Uint64(head) ^ place
	if binary.LittleEndian.Uint64(head[8:]) != cellMark(place, version) {
		return c.Sized(key, assumed, size), false
	}
	return c.Sized(key, version, size), true
}

// cell makes one cell of a stream, or the beginning of it.
func (c *Content) cell(dst []byte, s stream, number uint64) {
	place := cellPlace(s.id, number)
	mark := cellMark(place, s.version)
	offsets := mix(mark) // any byte: on a coarser grid, cells at the same distance in both blocks would share bytes too often
	left, right := offsets%blockSize, offsets>>32%blockSize
	subtle.XORBytes(dst, c.left[left:left+uint64(len(dst))], c.right[right:])

	var stamp [StampSize]byte
	binary.LittleEndian.PutUint64(stamp[:], s.version^place)
	binary.LittleEndian.PutUint64(stamp[8:], mark)
	copy(dst, stamp[:])
}

func cellPlace(id, number uint64) uint64    { return mix(id + number*0x9e3779b97f4a7c15) }
func cellMark(place, version uint64) uint64 { return mix(place + version*0xd1342543de82ef95) }

func (c *Content) keyID(key string) uint64 { return mix(c.seed ^ xxhash.Sum64String(key)) }

// mix is a bijection of words that leaves no pattern: the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
