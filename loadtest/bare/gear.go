package bare

import "math/rand/v2"

const (
	averageChunk = 64 << 10
	minChunk     = averageChunk / 2
	maxChunk     = averageChunk * 4
	// Before the average size a boundary needs two bits more than the average asks for, after it two fewer (normalised chunking: Xia et al.,
	// FastCDC, 2020). The bits are high ones, where the fingerprint remembers most bytes.
	strictMask = uint64(1<<18-1) << 45
	looseMask  = uint64(1<<14-1) << 49
)

// gear cuts a stream by content. It is here for its cost: it has no promise of boundaries.
type gear struct {
	table, shifted [256]uint64
}

func newGear() *gear {
	g := new(gear)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range g.table {
		g.table[i] = random.Uint64()
		g.shifted[i] = g.table[i] << 1
	}
	return g
}

// cutter is one stream's state: the open chunk.
type cutter struct {
	gear        *gear
	fingerprint uint64
	length      int
}

// next returns how many bytes of data belong to the open chunk, and whether the chunk ends with them.
func (c *cutter) next(data []byte) (n int, ends bool) {
	skip := min(max(minChunk-c.length, 0), len(data))
	n, c.length = skip, c.length+skip
	for _, zone := range [...]struct {
		until int
		mask  uint64
	}{{averageChunk, strictMask}, {maxChunk, looseMask}} {
		room := data[n:]
		room = room[:min(len(room), max(zone.until-c.length, 0))]
		used, found := c.scan(room, zone.mask)
		n, c.length = n+used, c.length+used
		if found {
			c.fingerprint, c.length = 0, 0
			return n, true
		}
	}
	if c.length == maxChunk {
		c.fingerprint, c.length = 0, 0
		return n, true
	}
	return n, false
}

// scan rolls two bytes a step: the shift by two and the table already shifted save one operation a byte.
func (c *cutter) scan(data []byte, mask uint64) (int, bool) {
	fp, g := c.fingerprint, c.gear
	for i := 0; i+1 < len(data); i += 2 {
		fp = fp<<2 + g.shifted[data[i]]
		if fp&(mask<<1) == 0 {
			return i + 1, true
		}
		fp += g.table[data[i+1]]
		if fp&mask == 0 {
			return i + 2, true
		}
	}
	if len(data)%2 == 1 {
		fp = fp<<1 + g.table[data[len(data)-1]]
	}
	c.fingerprint = fp
	return len(data), false
}
