package pack

import (
	"sync"

	"github.com/edgefs/edgefs/internal/vfs"
)

// batchSize is where a batch is full: larger writes are not faster.
const batchSize = 4 << 20

// batch is what is written and synced at once. Writers reserve a place each, copy their chunks in at the same time, and wait for the outcome.
type batch struct {
	buf     []byte // aligned
	n       int    // bytes reserved
	items   []item
	copying sync.WaitGroup
	outcome *outcome

	pack *pack // that it was written to
	end  int64 // in the pack
}

// item is a chunk in a batch. Where it comes to lie in a pack is known when the batch is written.
type item struct {
	record
	at    int   // in the buffer
	was   Entry // that it replaces
	moves bool  // it is the same chunk elsewhere: that is replaced, or nothing
}

// outcome tells those who wait.
type outcome struct {
	done chan struct{}
	err  error // once done is closed
}

func (b *batch) reset() {
	b.n, b.items, b.pack = 0, b.items[:0], nil
	b.outcome = &outcome{done: make(chan struct{})}
}

// fits says whether a payload of that length may still be added. One always fits an empty batch.
func (b *batch) fits(length, limit int) bool {
	return len(b.items) == 0 || b.n+int(recordSpace(length)) <= limit
}

// claimed are the keys that nobody else writes until the batch ends.
func (b *batch) claimed() []Key {
	keys := make([]Key, 0, len(b.items))
	for i := range b.items {
		if it := &b.items[i]; !it.moves {
			keys = append(keys, it.key)
		}
	}
	return keys
}

// add reserves a place. The caller fills it in with fill, and calls copying.Done.
func (b *batch) add(it item, limit int) int {
	space := int(recordSpace(int(it.length)))
	if b.n+space > len(b.buf) { // only ever when the batch is empty: nobody is copying
		b.buf = vfs.Buffer(int(vfs.AlignUp(int64(max(space, limit)))))
	}
	it.at = b.n
	b.items = append(b.items, it)
	b.n += space
	b.copying.Add(1)
	return len(b.items) - 1
}

// place is the part of the buffer that an item's payload is copied to, with the padding after it.
func (b *batch) place(i int) []byte {
	it := &b.items[i]
	return b.buf[it.at+recordSize : it.at+int(recordSpace(int(it.length)))]
}

// stamp says where the batch will lie, pads it and returns what is to be written.
func (b *batch) stamp(p packInfo, offset int64) []byte {
	for i := range b.items {
		it := &b.items[i]
		it.generation, it.offset = p.generation, offset+int64(it.at)
		it.encode(&p.device, b.buf[it.at:])
	}
	end := int(vfs.AlignUp(int64(b.n)))
	clear(b.buf[b.n:end])
	return b.buf[:end]
}

const (
	aheadBelow = 256 << 10 // bytes of a batch
	aheadSize  = 1 << 20
)

// ahead is what is to be written where the blocks of a pack were never written to: with a small batch some zeros for those that follow. The first write to a
// block costs its sync a commit of the file system's journal, which takes as long as the write itself.
func (b *batch) ahead(out []byte, room int64) []byte {
	if len(out) > aheadBelow {
		return out
	}
	n := int(min(int64(len(out)+aheadSize), room, int64(len(b.buf))))
	clear(b.buf[len(out):n])
	return b.buf[:n]
}
