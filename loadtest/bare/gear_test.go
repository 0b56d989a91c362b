package bare

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// cutAll returns the lengths of the chunks of data when it comes in pieces of a size.
func cutAll(data []byte, piece int) []int {
	c := cutter{gear: newGear()}
	var lengths []int
	open := 0
	for len(data) > 0 {
		part := data[:min(piece, len(data))]
		data = data[len(part):]
		for len(part) > 0 {
			n, ends := c.next(part)
			part, open = part[n:], open+n
			if ends {
				lengths, open = append(lengths, open), 0
			}
		}
	}
	return lengths
}

func TestChunksHaveTheSizeAskedForAndShiftWithTheContent(t *testing.T) {
	data := make([]byte, 16<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	lengths := cutAll(data, 1<<20)
	sum := 0
	for _, n := range lengths {
		sum += n
		if n < minChunk || n > maxChunk {
			t.Errorf("chunk of %d bytes", n)
		}
	}
	if mean := sum / len(lengths); mean < averageChunk*3/4 || mean > averageChunk*3/2 {
		t.Errorf("mean chunk of %d bytes", mean)
	}
	shifted := cutAll(append(bytes.Repeat([]byte{7}, 1000), data...), 1<<20)
	same := 0
	for i := 1; i <= 100; i++ {
		if shifted[len(shifted)-i] == lengths[len(lengths)-i] {
			same++
		}
	}
	if same < 90 {
		t.Errorf("only %d of the last 100 chunks survive an insertion at the front", same)
	}
}

func BenchmarkGear(b *testing.B) {
	data := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	c := cutter{gear: newGear()}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		for rest := data; len(rest) > 0; {
			n, _ := c.next(rest)
			rest = rest[n:]
		}
	}
}
