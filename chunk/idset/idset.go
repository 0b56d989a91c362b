// Package idset remembers very many chunks in little memory: 64 bits of each one's name.
package idset

import (
	"encoding/binary"
	"math/bits"

	"github.com/edgefs/edgefs/chunk"
)

const (
	shards     = 256
	firstSlots = 16 // of a shard
)

// Set is a set of chunks, or of places where chunks lie, that takes some 11 to 16 bytes for each, and never much more while it grows: a part at a time does.
//
// It may take one for another, once in 2^64 divided by their number: use it where a chunk too many in the set does no harm. The zero value is empty. It is safe
// for concurrent use as long as nobody adds.
type Set struct {
	parts [shards]part
	n     int
}

// part is a hash table with linear probing. A zero slot is free.
type part struct {
	slots  []uint64
	values []uint16 // of a map; else none
	n      int
}

// Of is what the set keeps of a chunk.
func Of(id chunk.ID) uint64 { return binary.LittleEndian.Uint64(id[:]) }

// At is what the set keeps of a chunk in a place: of the same chunk elsewhere it is another.
func At(id chunk.ID, generation uint64, offset int64) uint64 {
	h := Of(id) ^ generation*0x9e3779b97f4a7c15 ^ uint64(offset)*0xc2b2ae3d27d4eb4f
	h ^= h >> 32 // splitmix64, Steele et al., OOPSLA 2014: neighbours are far apart
	h *= 0xbf58476d1ce4e5b9
	return h ^ h>>29
}

// Add says whether x is new.
func (s *Set) Add(x uint64) bool {
	p, x := place(&s.parts, x)
	if _, added := p.add(x, false); !added {
		return false
	}
	s.n++
	return true
}

// Has says whether x was added, or something that the set cannot tell from it.
func (s *Set) Has(x uint64) bool {
	p, x := place(&s.parts, x)
	_, found := p.find(x)
	return found
}

// Len is the number of what was added.
func (s *Set) Len() int { return s.n }

// Bytes is the memory that the set takes, about.
func (s *Set) Bytes() int64 {
	n := int64(0)
	for i := range s.parts {
		n += int64(len(s.parts[i].slots)) * 8
	}
	return n
}

// Map is a set with a number for each chunk, that takes a quarter more memory.
type Map struct {
	parts [shards]part
	n     int
}

// At is the number of x, to be read and set until the next call of At. What is new has zero.
func (m *Map) At(x uint64) *uint16 {
	p, x := place(&m.parts, x)
	at, added := p.add(x, true)
	if added {
		m.n++
	}
	return &p.values[at]
}

// Find is At of what is there; nil for what is not.
func (m *Map) Find(x uint64) *uint16 {
	p, x := place(&m.parts, x)
	at, found := p.find(x)
	if !found {
		return nil
	}
	return &p.values[at]
}

// Len is the number of what was added.
func (m *Map) Len() int { return m.n }

// Values yields the number of each, in any order.
func (m *Map) Values(yield func(uint16)) {
	for i := range m.parts {
		p := &m.parts[i]
		for at, x := range p.slots {
			if x != 0 {
				yield(p.values[at])
			}
		}
	}
}

// place is where x is kept, and as what: never as zero.
func place(parts *[shards]part, x uint64) (*part, uint64) { return &parts[x%shards], max(x, 1) }

// find is the slot that has x, or is free for it.
func (p *part) find(x uint64) (at int, found bool) {
	if len(p.slots) == 0 {
		return 0, false
	}
	hi, _ := bits.Mul64(x*0x9e3779b97f4a7c15, uint64(len(p.slots)))
	for at = int(hi); ; at++ {
		if at == len(p.slots) {
			at = 0
		}
		switch p.slots[at] {
		case x:
			return at, true
		case 0:
			return at, false
		}
	}
}

func (p *part) add(x uint64, valued bool) (at int, added bool) {
	if p.n*4 >= len(p.slots)*3 {
		p.grow(valued)
	}
	at, found := p.find(x)
	if found {
		return at, false
	}
	p.slots[at] = x
	p.n++
	return at, true
}

func (p *part) grow(valued bool) {
	old, values := p.slots, p.values
	p.slots = make([]uint64, max(firstSlots, len(old)*3/2))
	if valued {
		p.values = make([]uint16, len(p.slots))
	}
	for i, x := range old {
		if x == 0 {
			continue
		}
		at, _ := p.find(x)
		p.slots[at] = x
		if valued {
			p.values[at] = values[i]
		}
	}
}
