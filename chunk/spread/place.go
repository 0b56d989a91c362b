package spread

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
)

// candidate is a device that takes writes.
type candidate struct {
	id   pack.ID
	room int64 // bytes that it may take; an estimate
}

// order ranks devices for a batch of chunks that begins with first, and returns their indices, the best first. The devices come as the segment's list has them.
//
// Payload goes where the rendezvous of device and chunk, weighted by free space, is (Thaler and Ravishankar 1998; Schindelhauer and Schomaker 2005 for the weights): two
// who write the same at the same time write it to the same device, which keeps it once. Metadata goes to the first device of the list: losing another one then
// costs payload only, which other segments may have. Devices without room come last, since the estimate may be old.
func order(devices []candidate, class chunk.Class, first chunk.ID) []int {
	ranked := make([]int, len(devices))
	score := make([]float64, len(devices))
	for i, d := range devices {
		ranked[i] = i
		switch {
		case d.room <= 0:
			score[i] = math.Inf(1)
		case class == chunk.Meta:
			score[i] = 0
		default:
			score[i] = -math.Log(meet(d.id, first)) / float64(d.room)
		}
	}
	slices.SortStableFunc(ranked, func(a, b int) int { return cmp.Compare(score[a], score[b]) })
	return ranked
}

// meet is a number above 0 and up to 1 that looks random and depends on both. Names are hashes, and the names of devices random: mixing is enough.
func meet(d pack.ID, c chunk.ID) float64 {
	x := binary.LittleEndian.Uint64(d[:]) ^ binary.LittleEndian.Uint64(c[8:])
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9 // splitmix64's finalizer (Steele, Lea, Flood 2014)
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11+1) / (1 << 53)
}
