package pack

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/edgefs/edgefs/chunk"
)

// Codec says how a payload is stored.
type Codec uint8

const (
	// Plain stores a chunk's bytes as they are.
	Plain Codec = 0
	// S2 stores them as a block of S2, which extends Snappy's: https://github.com/klauspost/compress/tree/master/s2
	S2 Codec = 1
)

const (
	leastPacked = 512 // smaller chunks are not worth the time
	packedSaves = 8   // one part in so many, or the chunk is stored plain
)

// form is how a chunk is stored.
type form struct {
	payload []byte
	size    int // of the chunk
	codec   Codec
	lent    *[]byte // what payload lies in, if it is not the chunk
}

func (f form) item(k Key, class chunk.Class, was Entry) item {
	return item{record: record{key: k, class: class, length: uint32(len(f.payload)), size: uint32(f.size), codec: f.codec}, was: was}
}

// forms lends memory for chunks in another form than they are asked for.
type forms struct{ pool sync.Pool } // of *[]byte

func (f *forms) get(size int) *[]byte {
	b, _ := f.pool.Get().(*[]byte)
	if b == nil || cap(*b) < size {
		b = new(make([]byte, max(size, 16<<10)))
	}
	*b = (*b)[:size]
	return b
}

func (f *forms) put(b *[]byte) {
	if b != nil && cap(*b) <= spanSize {
		f.pool.Put(b)
	}
}

// form chooses how a chunk is stored: metadata packed, for trees' nodes shrink to two fifths at more than a gigabyte a second
// (docs/design/chunks.md); payload plain, for it is read straight from the page cache. The caller gives lent back to forms.
func (v view) form(c chunk.Chunk) form {
	plain := form{payload: c.Data(), size: c.Size()}
	if v.class != chunk.Meta || c.Size() < leastPacked {
		return plain
	}
	lent := v.d.forms.get(s2.MaxEncodedLen(c.Size()))
	packed := s2.Encode(*lent, c.Data())
	if len(packed) > c.Size()-c.Size()/packedSaves {
		v.d.forms.put(lent)
		return plain
	}
	return form{packed, c.Size(), S2, lent}
}

// open gives the bytes that a payload stands for, in memory of its own or in lent, which the caller gives back to forms. Payloads that stand
// for nothing, or for more than they should, are ErrCorrupt.
func (f *forms) open(e Entry, payload []byte) (data []byte, lent *[]byte, err error) {
	if e.Codec == Plain {
		return payload, nil, nil
	}
	if n, err := s2.DecodedLen(payload); err != nil || n != int(e.Size) || n > chunk.MaxSize {
		return nil, nil, fmt.Errorf("%w: a payload of %d bytes does not stand for %d", chunk.ErrCorrupt, len(payload), e.Size)
	}
	lent = f.get(int(e.Size))
	if data, err = s2.Decode(*lent, payload); err != nil {
		f.put(lent)
		return nil, nil, fmt.Errorf("%w: %w", chunk.ErrCorrupt, err)
	}
	return data, lent, nil
}
