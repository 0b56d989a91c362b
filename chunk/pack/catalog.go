package pack

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
)

// catalog is where records lie, in 24 bytes for each.
type catalog struct{ spots []spot }

// spot is a place of a record. It knows the record by a hash of its key, and what an index should say of it by a checksum.
type spot struct {
	hash  uint64
	pack  uint32
	at    uint32 // offset in units of recordAlign
	sum   uint32
	flags uint32
}

const (
	spotDurable = 1 << iota
	spotBad     // it was found damaged
	spotIndexed // the index leads to it
	spotReached // somebody asked for it
)

func (s spot) offset() int64 { return int64(s.at) * recordAlign }

func hashOf(k Key) uint64 { return idset.Of(k.ID) ^ binary.LittleEndian.Uint64(k.Tag[:]) }

// entrySum is the checksum of what an index says of a key.
func entrySum(k Key, e Entry) uint32 { return payloadSum(e.append(append(k.Tag[:], k.ID[:]...))) }

func (c *catalog) add(pack uint32, r record) {
	s := spot{hash: hashOf(r.key), pack: pack, at: uint32(r.offset / recordAlign), sum: entrySum(r.key, r.entry())}
	if r.class.Durable() {
		s.flags = spotDurable
	}
	c.spots = append(c.spots, s)
}

func (c *catalog) sort() {
	slices.SortFunc(c.spots, func(a, b spot) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(b.pack, a.pack), cmp.Compare(b.at, a.at)) // the newest first
	})
}

// of are the records of a key, the newest first.
func (c *catalog) of(k Key) []spot {
	h := hashOf(k)
	from, _ := slices.BinarySearchFunc(c.spots, h, func(s spot, h uint64) int { return cmp.Compare(s.hash, h) })
	to := from
	for to < len(c.spots) && c.spots[to].hash == h {
		to++
	}
	return c.spots[from:to]
}

func keyOf(tag Tag, id chunk.ID) Key { return Key{tag, id} }
