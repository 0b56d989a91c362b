package dedup

import (
	"slices"
	"sort"
)

// extent is bytes at an offset.
type extent struct {
	off  int64
	data []byte
}

func (e extent) end() int64 { return e.off + int64(len(e.data)) }

// extents are what was written last at each offset, in order. No two overlap or touch.
type extents struct {
	all   []extent
	bytes int
}

// extentCost is what an extent takes beside its bytes, about.
const extentCost = 64

func (x *extents) cost() int { return x.bytes + len(x.all)*extentCost }

// first is the index of the first extent that ends at off or behind it.
func (x *extents) first(off int64) int {
	return sort.Search(len(x.all), func(i int) bool { return x.all[i].end() >= off })
}

// write takes a copy of p.
func (x *extents) write(p []byte, off int64) {
	i := x.first(off)
	if i == len(x.all) || x.all[i].off > off {
		x.all = slices.Insert(x.all, i, extent{off: off})
	}
	e := &x.all[i]
	before := len(e.data)
	at := int(off - e.off)
	if grow := at + len(p) - len(e.data); grow > 0 {
		e.data = append(e.data, make([]byte, grow)...)
	}
	copy(e.data[at:], p)
	x.bytes += len(e.data) - before
	x.join(i)
}

// join takes into an extent those behind it that it overlaps or touches.
func (x *extents) join(i int) {
	e := &x.all[i]
	j := i + 1
	for ; j < len(x.all) && x.all[j].off <= e.end(); j++ {
		next := x.all[j]
		x.bytes -= len(next.data)
		if rest := next.end() - e.end(); rest > 0 {
			e.data = append(e.data, next.data[int64(len(next.data))-rest:]...)
			x.bytes += int(rest)
		}
	}
	x.all = slices.Delete(x.all, i+1, j)
}

// truncate drops what lies behind size.
func (x *extents) truncate(size int64) {
	i := sort.Search(len(x.all), func(i int) bool { return x.all[i].end() > size })
	for j, e := range x.all[i:] {
		keep := max(size-e.off, 0)
		x.bytes -= len(e.data) - int(keep)
		x.all[i+j].data = e.data[:keep]
	}
	if i < len(x.all) && len(x.all[i].data) > 0 {
		i++
	}
	clear(x.all[i:])
	x.all = x.all[:i]
}

// at is what was written at off, as far as it goes without a gap; where there is nothing, next is where there is, or -1.
func (x *extents) at(off int64) (data []byte, next int64) {
	i := sort.Search(len(x.all), func(i int) bool { return x.all[i].end() > off })
	switch {
	case i == len(x.all):
		return nil, -1
	case x.all[i].off > off:
		return nil, x.all[i].off
	}
	return x.all[i].data[off-x.all[i].off:], x.all[i].end()
}
