package tree

import (
	"math"

	"github.com/maypok86/otter/v2"

	"github.com/edgefs/edgefs/chunk"
)

// Cache keeps decoded nodes and referenced values by id, for all trees of a process. Ids of different domains never meet, so one
// cache serves all. It is safe for concurrent use. A nil *Cache keeps nothing.
type Cache struct {
	m *otter.Cache[chunk.ID, decoded]
}

// cacheOverhead is what an entry costs beside what it holds, in bytes, about.
const cacheOverhead = 160

// NewCache makes a cache that holds about the given number of bytes of memory.
func NewCache(bytes int64) *Cache {
	return &Cache{otter.Must(&otter.Options[chunk.ID, decoded]{
		MaximumWeight: uint64(max(bytes, 1)),
		Weigher: func(_ chunk.ID, d decoded) uint32 {
			return uint32(min(d.footprint()+cacheOverhead, math.MaxUint32))
		},
		// Upkeep runs in the caller: the cache has no goroutine that somebody would have to wait for.
		Executor: func(f func()) { f() },
	})}
}

func (c *Cache) get(id chunk.ID) (decoded, bool) {
	if c == nil {
		return nil, false
	}
	return c.m.GetIfPresent(id)
}

func (c *Cache) add(id chunk.ID, d decoded) {
	if c != nil {
		c.m.Set(id, d)
	}
}
