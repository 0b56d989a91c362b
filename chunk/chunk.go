package chunk

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/zeebo/blake3"
)

// MaxSize bounds a chunk's plain bytes.
const MaxSize = 8 << 20

// Chunk is verified bytes and their name. The zero Chunk holds nothing.
//
// A Chunk does not own its bytes: who hands one over says how long they stay as they are. Whoever keeps one for longer calls [Chunk.Clone],
// or holds its [Chunk.Lease].
type Chunk struct {
	id    ID
	data  []byte
	lease Lease
	wish  Compression
}

// Lease is memory that chunks lie in, to be used again when nobody holds it.
type Lease interface {
	// Hold keeps the bytes as they are. It is called while they are valid: before the yield that got the chunk returns.
	Hold()
	// Release ends one Hold, and with the last of them the bytes.
	Release()
}

// ID is the chunk's name.
func (c Chunk) ID() ID { return c.id }

// Data is the chunk's bytes, to be read only.
func (c Chunk) Data() []byte { return c.data }

// Size is the number of the chunk's bytes.
func (c Chunk) Size() int { return len(c.data) }

// Clone is the same chunk with bytes of its own.
func (c Chunk) Clone() Chunk { return Chunk{id: c.id, data: bytes.Clone(c.data), wish: c.wish} }

// Compression is how its writer wishes the chunk to be stored.
func (c Chunk) Compression() Compression { return c.wish }

// Wishing is the chunk with a wish of how it is stored, where it comes to be: one that is held stays as it is.
func (c Chunk) Wishing(w Compression) Chunk {
	c.wish = w
	return c
}

// Lease is the memory that the chunk's bytes can be held in, or nil: then they must be copied.
func (c Chunk) Lease() Lease { return c.lease }

// On is the chunk with a lease of the memory that its bytes lie in.
func (c Chunk) On(l Lease) Chunk {
	c.lease = l
	return c
}

// Domain is a dedup domain: inside one, equal bytes have equal names; the names of two domains have nothing to do with each other, so
// neither can tell what the other holds. It is safe for concurrent use.
type Domain struct {
	pool *sync.Pool // of *blake3.Hasher, keyed
	tag  ID
}

// NewDomain makes the domain of a secret key of 32 bytes.
func NewDomain(key [32]byte) Domain {
	d := Domain{pool: &sync.Pool{New: func() any {
		h, err := blake3.NewKeyed(key[:])
		if err != nil {
			panic(err) // only for a key of another length
		}
		return h
	}}}
	d.tag = d.Name(nil)
	return d
}

// Tag tells domains apart: it is the name of no bytes.
func (d Domain) Tag() ID { return d.tag }

// Name is the id that data has in the domain. BLAKE3: https://github.com/BLAKE3-team/BLAKE3-specs
func (d Domain) Name(data []byte) ID {
	h := d.pool.Get().(*blake3.Hasher)
	h.Reset()
	_, _ = h.Write(data)
	var id ID
	h.Sum(id[:0])
	d.pool.Put(h)
	return id
}

// Make names data, which the chunk then shares: it must not change while the chunk is in use. It panics beyond [MaxSize].
func (d Domain) Make(data []byte) Chunk {
	if len(data) > MaxSize {
		panic(fmt.Sprintf("chunk: %d bytes exceed %d", len(data), MaxSize))
	}
	return Chunk{id: d.Name(data), data: data}
}

// Verify makes the chunk that id names of data, shared as by [Domain.Make], or fails with [ErrCorrupt].
func (d Domain) Verify(id ID, data []byte) (Chunk, error) {
	if len(data) > MaxSize || d.Name(data) != id {
		return Chunk{}, fmt.Errorf("chunk %v: %w", id, ErrCorrupt)
	}
	return Chunk{id: id, data: data}, nil
}
