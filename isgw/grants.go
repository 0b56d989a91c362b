package isgw

import (
	"hash/maphash"

	"github.com/edgefs/edgefs/chunk"
)

const (
	// grantsBehind is how many chunks of one level may be asked for out of the order in which they were named. A sync reads each level in the
	// order of its keys, several batches of leaves and their values at once ([segment/tree.Diff]): 16384 values each, at the most.
	grantsBehind = 1 << 17
	// maxGranted bounds what is named and may yet be asked for, and so the memory: 32 bytes each. The walk is depth first, so that of each
	// level no more is open than the children of one batch of 128 nodes.
	maxGranted = 1 << 20
)

// grants is what one sync may ask for next: the children of what it was given. Each level is asked for in the order in which it was named, with
// parts left out that the peer has too, so that what lies behind is forgotten, and the memory does not grow with the tree.
//
// Chunks are known by 64 bits of a hash whose seed nobody else knows: who asks for one that was not named is found out but for one in 2^44.
type grants struct {
	behind, most int
	seed         maphash.Seed
	at           map[uint64]grant // by hash, the last time that it was named
	levels       []level
}

// grant is a place in a level, counted from 0 in the upper 56 bits, and in the lower ones the level.
type grant uint64

// level is what was named at one distance from the root.
type level struct {
	first  uint64   // the place of the first that is remembered
	hashes []uint64 // in the order in which they were named
}

func newGrants(root chunk.ID, behind, most int) *grants {
	g := &grants{behind: behind, most: most, seed: maphash.MakeSeed(), at: map[uint64]grant{}}
	g.name(0, []chunk.ID{root})
	return g
}

// name grants chunks of a level; false when that is too much.
func (g *grants) name(depth int, ids []chunk.ID) bool {
	switch {
	case len(ids) == 0:
		return true
	case depth > 0xff:
		return false
	}
	for depth >= len(g.levels) {
		g.levels = append(g.levels, level{})
	}
	l := &g.levels[depth]
	for _, id := range ids {
		h := maphash.Bytes(g.seed, id[:])
		g.at[h] = grant(l.first+uint64(len(l.hashes)))<<8 | grant(depth)
		l.hashes = append(l.hashes, h)
	}
	return len(g.at) <= g.most
}

// use says whether a chunk may be asked for, and at which level. What was named at its level long before is forgotten.
func (g *grants) use(id chunk.ID) (depth int, ok bool) {
	at, ok := g.at[maphash.Bytes(g.seed, id[:])]
	if !ok {
		return 0, false
	}
	depth = int(at & 0xff)
	l := &g.levels[depth]
	for l.first+uint64(g.behind) < uint64(at>>8) {
		if h := l.hashes[0]; g.at[h] == grant(l.first)<<8|grant(depth) { // it was not named again
			delete(g.at, h)
		}
		l.hashes = l.hashes[1:]
		l.first++
	}
	return depth, true
}
