package tree

import (
	"encoding/binary"
	"math/bits"
)

const (
	// maxEntries ends a node that met no natural boundary.
	maxEntries = 256
	// fanoutBits makes one key in 64 a natural boundary.
	fanoutBits = 6
	// splitLevels is how many levels find bits of their own in a key's hash, after which they repeat.
	splitLevels = 64 / fanoutBits
	// minChildren keeps an inner node from ending after its first child, so that each level has at most half (rounded up) the nodes of the one below.
	minChildren = 2
)

// splitter decides where nodes end. A decision depends on the key and on how many entries the open node has, so two sequences of keys
// that have a boundary in common and go on alike have all later boundaries in common.
type splitter struct{ k0, k1 uint64 }

func newSplitter(salt [16]byte) splitter {
	return splitter{binary.LittleEndian.Uint64(salt[:8]), binary.LittleEndian.Uint64(salt[8:])}
}

// ends says whether the node of the level that key would be the n-th entry of ends with it.
func (s splitter) ends(level int, key []byte, n int) bool {
	if n >= maxEntries {
		return true
	}
	if level > 0 && n < minChildren {
		return false
	}
	shift := fanoutBits * (level % splitLevels)
	return s.hash(key)>>shift&(1<<fanoutBits-1) == 0
}

// hash is SipHash-2-4 under the salt: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012.
func (s splitter) hash(p []byte) uint64 {
	v0, v1 := s.k0^0x736f6d6570736575, s.k1^0x646f72616e646f6d
	v2, v3 := s.k0^0x6c7967656e657261, s.k1^0x7465646279746573
	last := uint64(len(p)) << 56
	for ; len(p) >= 8; p = p[8:] {
		m := binary.LittleEndian.Uint64(p)
		v3 ^= m
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= m
	}
	for i, b := range p {
		last |= uint64(b) << (8 * i)
	}
	v3 ^= last
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= last
	v2 ^= 0xff
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

func sipRound(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v3
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 += v3
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}
