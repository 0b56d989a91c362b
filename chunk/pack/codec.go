package pack

import (
	"fmt"
	"math/bits"
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

// known says whether this build can read what is stored so. What it cannot read is unavailable, and counts neither as lost nor as damaged.
func (c Codec) known() bool { return c <= S2 }

const (
	leastPacked = 512 // smaller chunks are not worth the time
	metaSaves   = 8   // one part of metadata in so many, or the chunk is stored plain
	dataSaves   = 10  // the same of payload
)

// form is how a chunk is stored.
type form struct {
	payload []byte
	size    int // of the chunk
	codec   Codec
	lent    *[]byte // what payload lies in, if it is not the chunk
}

func (f form) item(k Key, class chunk.Class, was Entry) item {
	r := record{key: k, class: class, length: uint32(len(f.payload)), size: uint32(f.size), codec: f.codec, sum: payloadSum(f.payload)}
	return item{record: r, was: was}
}

// forms lends memory for chunks in another form than they are asked for. Each piece is its borrower's until it is put back.
type forms struct {
	sizes [formSizes]sync.Pool // of *[]byte, of a capacity of least<<i
}

const (
	formLeast = 16 << 10
	formSizes = 11 // the last is for the longest chunk in its worst form
)

func formSize(size int) int { return bits.Len(uint(max(size, 1)-1) / formLeast) }

func (f *forms) get(size int) *[]byte {
	at := formSize(size)
	b, _ := f.sizes[at].Get().(*[]byte)
	if b == nil {
		b = new(make([]byte, formLeast<<at))
	}
	*b = (*b)[:size]
	return b
}

func (f *forms) put(b *[]byte) {
	if b != nil {
		f.sizes[formSize(cap(*b))].Put(b)
	}
}

// form chooses how a chunk is stored: metadata packed, for trees' nodes shrink to two fifths at more than a gigabyte a second
// (docs/design/chunks.md); payload plain, for it is read straight from the page cache, unless its writer wishes otherwise. The caller gives lent back
// to forms.
func (v view) form(c chunk.Chunk) form {
	plain := form{payload: c.Data(), size: c.Size()}
	saves := metaSaves
	if v.class != chunk.Meta {
		saves = dataSaves
	}
	if v.class != chunk.Meta && c.Compression() == chunk.Off || c.Size() < leastPacked {
		return plain
	}
	lent := v.d.forms.get(s2.MaxEncodedLen(c.Size()))
	packed := s2.Encode(*lent, c.Data())
	if len(packed) > c.Size()-c.Size()/saves {
		v.d.forms.put(lent)
		return plain
	}
	return form{packed, c.Size(), S2, lent}
}

// standsFor says whether a packed payload claims to stand for the chunk that an entry promises, before memory is taken for that.
func (e Entry) standsFor(payload []byte) error {
	if !e.Codec.known() {
		return fmt.Errorf("%w: codec %d is not known to this build", chunk.ErrUnavailable, e.Codec)
	}
	if n, err := s2.DecodedLen(payload); err != nil || n != int(e.Size) || n > chunk.MaxSize {
		return fmt.Errorf("%w: a payload of %d bytes does not stand for %d", chunk.ErrCorrupt, len(payload), e.Size)
	}
	return nil
}

// unpack makes the bytes that a payload stands for, which claims to, in memory of that size.
func unpack(payload, into []byte) error {
	if _, err := s2.Decode(into, payload); err != nil {
		return fmt.Errorf("%w: %w", chunk.ErrCorrupt, err)
	}
	return nil
}

// open gives the bytes that a payload stands for, in memory of its own or in lent, which the caller gives back to forms. Payloads that stand
// for nothing, or for more than they should, are ErrCorrupt.
func (f *forms) open(e Entry, payload []byte) (data []byte, lent *[]byte, err error) {
	if e.Codec == Plain {
		return payload, nil, nil
	}
	if err := e.standsFor(payload); err != nil {
		return nil, nil, err
	}
	lent = f.get(int(e.Size))
	if err := unpack(payload, *lent); err != nil {
		f.put(lent)
		return nil, nil, err
	}
	return *lent, lent, nil
}

// unpacked is memory for what comes out of packed payloads that were read together: spans, in which chunks can be held, where it is enough to fill them.
type unpacked struct {
	d    *Device
	left int // bytes to come
	few  bool
	lent *[]byte // where it is little: for one chunk at a time
	span *span
	used int
}

func (d *Device) unpacked(chunks []found) unpacked {
	u := unpacked{d: d}
	for _, f := range chunks {
		if f.entry.Codec != Plain {
			u.left += int(f.entry.Size)
		}
	}
	u.few = u.left < spanSize/2
	return u
}

// open gives the bytes that a packed payload stands for, valid until the next call, or as long as lease is held, unless that is nil.
func (u *unpacked) open(e Entry, payload []byte) (data []byte, lease chunk.Lease, err error) {
	if err := e.standsFor(payload); err != nil {
		return nil, nil, err
	}
	data = u.room(int(e.Size))
	if u.span != nil {
		lease = u.span.lease()
	}
	return data, lease, unpack(payload, data)
}

func (u *unpacked) room(size int) []byte {
	if u.few {
		u.d.forms.put(u.lent)
		u.lent = u.d.forms.get(size)
		return *u.lent
	}
	if u.span == nil || u.used+size > len(u.span.data) {
		u.end()
		u.span, u.used = u.d.buffers.get(max(size, min(u.left, spanSize))), 0
	}
	data := u.span.data[u.used:][:size:size]
	u.used, u.left = u.used+size, u.left-size
	return data
}

// end gives back what is not held.
func (u *unpacked) end() {
	u.d.forms.put(u.lent)
	u.lent = nil
	if u.span != nil {
		u.span.Release()
		u.span = nil
	}
}
