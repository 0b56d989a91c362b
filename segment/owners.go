package segment

import (
	"github.com/edgefs/edgefs/chunk/idset"
)

// owners tells which buckets reach each chunk that a mark comes by. A chunk has a number, that of the set of buckets that reach it: there are few such sets, however
// many chunks share them.
type owners struct {
	of     idset.Map
	sets   []ownerSet // the first is empty: of what nothing reached yet
	plus   map[ownerSet]uint16
	number map[BucketID]uint16
	ids    []BucketID // by number
}

// ownerSet is another set with one bucket more.
type ownerSet struct{ rest, last uint16 }

const (
	nobody   = 0      // the bucket of writers and readers, who keep what no bucket reaches
	underway = 1      // the set of nobody alone
	tooMany  = 0x7fff // stands for all sets beyond so many
	copySeen = 0x8000 // flags a chunk of which a copy was seen
)

func newOwners() *owners {
	o := &owners{sets: make([]ownerSet, underway+1), plus: map[ownerSet]uint16{}, number: map[BucketID]uint16{}}
	o.ids = append(o.ids, BucketID{})
	return o
}

// bucket is the number of a bucket.
func (o *owners) bucket(id BucketID) uint16 {
	n, ok := o.number[id]
	if !ok {
		n = uint16(min(len(o.ids), tooMany))
		o.number[id] = n
		if n < tooMany {
			o.ids = append(o.ids, id)
		}
	}
	return n
}

// add notes that a bucket reaches a chunk.
func (o *owners) add(x uint64, bucket uint16) {
	at := o.of.At(x)
	*at = o.with(*at, bucket)
}

// with is the number of a set with a bucket more. What a bucket reaches counts as its, whoever is at work on it.
func (o *owners) with(set, bucket uint16) uint16 {
	switch {
	case set == tooMany || bucket == tooMany:
		return tooMany
	case bucket == nobody:
		return max(set, underway)
	case set == underway:
		set = 0
	case o.sets[set].last == bucket:
		return set
	}
	key := ownerSet{set, bucket}
	n, ok := o.plus[key]
	if !ok {
		n = o.find(key)
		o.plus[key] = n
	}
	return n
}

func (o *owners) find(key ownerSet) uint16 {
	for s := key.rest; s > underway; s = o.sets[s].rest {
		if o.sets[s].last == key.last {
			return key.rest
		}
	}
	if len(o.sets) == tooMany {
		return tooMany
	}
	o.sets = append(o.sets, key)
	return uint16(len(o.sets) - 1)
}

// members are the buckets of a set.
func (o *owners) members(set uint16) (ids []BucketID) {
	for ; set > underway; set = o.sets[set].rest {
		ids = append(ids, o.ids[o.sets[set].last])
	}
	return ids
}
