package dedup

import (
	"context"
	"slices"
	"sync"

	"github.com/bits-and-blooms/bloom/v3"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
)

// Lists are what those who write may name before long, for collection to spare. A store's answer that a chunk is held is no promise that it stays: who relies on it
// lists the chunk before he asks, and keeps it listed until the commit that names it was applied, or refused. The zero value is ready. It is safe for concurrent use.
//
// A list takes half a megabyte at the most, and all of them some 70 MiB beside that: of more chunks only Bloom filters are kept (Bloom, CACM 1970), which
// spare some garbage too, the more the fuller they are, for as long as their writers take.
type Lists struct {
	mu      sync.Mutex
	open    map[*List]struct{}
	filters []*listFilter // in use; the last takes what comes
}

// List is what one writer may name. It is safe for concurrent use.
type List struct {
	of    *Lists
	ids   []uint64 // by [idset.Of]
	spilt []*listFilter
	pins  []Pin
	ended bool
}

// Pin is a manifest whose content is shared by a writer who asks nobody for its chunks: a copy, a partial write, a reader.
type Pin struct {
	Store    chunk.Store // that its nodes are read from
	Manifest Manifest
}

type listFilter struct {
	*bloom.BloomFilter
	room, users int
}

const (
	listExact   = 1 << 16
	filterRoom  = 7 << 20 // chunks: 8 MiB at one error in a hundred
	filtersMost = 8
)

// Begin begins a list. It must be ended.
func (ls *Lists) Begin() *List {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.open == nil {
		ls.open = map[*List]struct{}{}
	}
	l := &List{of: ls}
	ls.open[l] = struct{}{}
	return l
}

// End forgets the list: what it has is named by what was committed, or not needed. It may be called again.
func (l *List) End() {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	delete(l.of.open, l)
	for _, f := range l.spilt {
		f.users--
	}
	l.of.filters = slices.DeleteFunc(l.of.filters, func(f *listFilter) bool { return f.users == 0 })
	l.ids, l.spilt, l.pins = nil, nil, nil
}

// Pin makes all that a manifest reaches stay. Who found it in a version looks, afterwards, whether that is still there.
func (l *List) Pin(p Pin) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if !l.ended {
		l.pins = append(l.pins, p)
	}
}

// Stores are stores that list what they are asked for, or given.
func (l *List) Stores(s Stores) Stores { return Stores{Data: l.Store(s.Data), Meta: l.Store(s.Meta)} }

// Store is a store that lists what it is asked for, or given.
func (l *List) Store(s chunk.Store) chunk.Store { return listing{s, l} }

type listing struct {
	chunk.Store
	list *List
}

// Missing is [chunk.Store].
func (s listing) Missing(ctx context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	s.list.Add(ids...)
	return s.Store.Missing(ctx, ids)
}

// Put is [chunk.Store].
func (s listing) Put(ctx context.Context, chunks []chunk.Chunk) error {
	ids := make([]chunk.ID, len(chunks))
	for i, c := range chunks {
		ids[i] = c.ID()
	}
	s.list.Add(ids...)
	return s.Store.Put(ctx, chunks)
}

// Add lists chunks.
func (l *List) Add(ids ...chunk.ID) {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	for _, id := range ids {
		if l.ids = append(l.ids, idset.Of(id)); len(l.ids) == listExact {
			l.shrink()
		}
	}
}

// shrink makes room in a list that is full.
func (l *List) shrink() {
	slices.Sort(l.ids)
	if l.ids = slices.Compact(l.ids); len(l.ids) <= listExact/2 {
		return
	}
	f := l.of.filter(len(l.ids))
	if !slices.Contains(l.spilt, f) {
		f.users++
		l.spilt = append(l.spilt, f)
	}
	for _, x := range l.ids {
		f.Add(filterKey(x))
	}
	l.ids = l.ids[:0]
}

func filterKey(x uint64) []byte {
	return []byte{byte(x), byte(x >> 8), byte(x >> 16), byte(x >> 24), byte(x >> 32), byte(x >> 40), byte(x >> 48), byte(x >> 56)}
}

// filter is one with room for n chunks, or the last there may be.
func (ls *Lists) filter(n int) *listFilter {
	if last := len(ls.filters) - 1; last >= 0 && (ls.filters[last].room >= n || last+1 == filtersMost) {
		ls.filters[last].room -= n
		return ls.filters[last]
	}
	f := &listFilter{BloomFilter: bloom.NewWithEstimates(filterRoom, 0.01), room: filterRoom - n}
	ls.filters = append(ls.filters, f)
	return f
}

// Listed is what was listed at one moment.
type Listed struct {
	Pins    []Pin
	filters []*bloom.BloomFilter
}

// Gather tells add of all that is listed now, as [idset.Of] names it, and returns the rest.
func (ls *Lists) Gather(add func(uint64)) Listed {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var out Listed
	for l := range ls.open {
		for _, x := range l.ids {
			add(x)
		}
		out.Pins = append(out.Pins, l.pins...)
	}
	for _, f := range ls.filters {
		out.filters = append(out.filters, f.Copy())
	}
	return out
}

// Has says of chunks that Gather did not tell of whether they may be listed.
func (l Listed) Has(id chunk.ID) bool {
	if len(l.filters) == 0 {
		return false
	}
	k := filterKey(idset.Of(id))
	return slices.ContainsFunc(l.filters, func(f *bloom.BloomFilter) bool { return f.Test(k) })
}

// Open is the number of lists that have not ended.
func (ls *Lists) Open() int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.open)
}
