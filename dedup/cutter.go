package dedup

import "math/bits"

// Cutter finds the boundaries of a stream's chunks. It is Gear hashing with normalised chunking (W. Xia et al., "The Design of Fast
// Content-Defined Chunking for Data Deduplication Based Storage Systems", 2020): a chunk ends where the hash of the 64 bytes before is
// small, four times less likely than the average asks for up to a certain length, four times more likely beyond it.
//
// Where it cuts is part of the format (docs/format/cutter.md): other boundaries share nothing with what is stored. It is not safe for
// concurrent use.
type Cutter struct {
	min, normal, max int
	strict, loose    uint64 // a chunk may end after a byte where the hash is below

	at   int    // how much of the chunk was looked at
	hash uint64 // of what was looked at
}

// window is how many bytes the Gear hash remembers: each byte shifts the older ones one bit further out of 64.
const window = 64

// NewCutter makes the cutter of valid parameters; see [Params.Validate].
func NewCutter(p Params) Cutter {
	if p.Kind == Fixed {
		return Cutter{min: p.Average, normal: p.Average, max: p.Average}
	}
	// With no cut before half the average, 3/4 of it is the length at which to become loose that brings the mean of random data to 0.98
	// of the average (TestAverageIsNearNominal); a tar of the Go source comes out at 1.02 to 1.05.
	log := bits.Len(uint(p.Average)) - 1
	return Cutter{
		min:    p.Average / 2,
		normal: p.Average * 3 / 4,
		max:    p.Average * 4,
		strict: 1 << (64 - log - 2),
		loose:  1 << (64 - log + 2),
	}
}

// Next returns the length of the chunk that data begins with, or 0 where data does not show its end. The caller then calls again with
// the same bytes and more after them, of which only the new ones are looked at; at the end of the stream the rest is the last chunk.
// After a boundary, and only then, the next call begins with the bytes behind it.
func (c *Cutter) Next(data []byte) int {
	end := min(len(data), c.max)
	c.warm(data[:min(end, c.min)])
	for _, part := range [2]struct {
		limit     int
		threshold uint64
	}{{c.normal, c.strict}, {c.max, c.loose}} {
		to := min(end, part.limit)
		if c.at < c.min || c.at >= to {
			continue
		}
		n, h, found := scan(data[c.at:to], c.hash, part.threshold)
		c.at, c.hash = c.at+n, h
		if found {
			return c.reset()
		}
	}
	if c.at = max(c.at, end); c.at < c.max {
		return 0
	}
	return c.reset()
}

// warm brings the hash to the shortest length at which a chunk may end, so that every decision is one about 64 bytes of content, never
// about where the chunk began.
func (c *Cutter) warm(head []byte) {
	for i := max(c.at, c.min-window); i < len(head); i++ {
		c.hash = c.hash<<1 + gear[head[i]]
	}
	c.at = max(c.at, len(head))
}

func (c *Cutter) reset() int {
	n := c.at
	c.at, c.hash = 0, 0
	return n
}

// scan rolls h over data until it falls below the threshold, and says after how many bytes. It takes two bytes per step, so that only one
// shift and one addition per two bytes depend on the step before (BenchmarkCut).
func scan(data []byte, h, threshold uint64) (int, uint64, bool) {
	i := 0
	for ; i+1 < len(data); i += 2 {
		a, b := gear[data[i]], gear[data[i+1]]
		first := h<<1 + a
		h = h<<2 + (a<<1 + b)
		if first < threshold {
			return i + 1, first, true
		}
		if h < threshold {
			return i + 2, h, true
		}
	}
	if i < len(data) {
		h = h<<1 + gear[data[i]]
		return i + 1, h, h < threshold
	}
	return i, h, false
}
