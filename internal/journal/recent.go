package journal

import (
	"encoding/binary"
	"sort"
	"sync"
)

const (
	recentBytes = 8 << 20 // of records kept in memory for readers
	recentBlock = 64 << 10
	recentSpan  = 64 << 10  // found, and forgotten, at once
	recentRead  = 256 << 10 // handed out at once
)

// recent is a ring of the newest committed records, so that a reader that has caught up costs no reads of the disk. The records lie in it one
// after the other as in a file.
type recent struct {
	mu     sync.Mutex
	limit  int64
	blocks [][]byte // made when first written
	start  int64    // offset of the oldest byte, in the stream of all that was added
	end    int64
	spans  []span // oldest first
}

// span is where the records from position first to last lie in the stream.
type span struct {
	first, last uint64
	offset      int64
}

// add keeps a batch, and forgets older records to make room.
func (r *recent) add(batch []Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range batch {
		r.addRecord(batch[i])
	}
}

func (r *recent) addRecord(rec Record) {
	size := frameHeader + int64(len(rec.Data))
	if size > r.limit {
		r.spans, r.start = r.spans[:0], r.end
		return
	}
	for r.end+size-r.start > r.limit {
		r.dropSpan()
	}
	if n := len(r.spans); n > 0 && r.spans[n-1].last+1 == rec.Pos && r.end-r.spans[n-1].offset < recentSpan {
		r.spans[n-1].last = rec.Pos
	} else {
		r.spans = append(r.spans, span{rec.Pos, rec.Pos, r.end})
	}
	var n [frameHeader]byte
	binary.LittleEndian.PutUint32(n[:], uint32(len(rec.Data)))
	r.put(n[:])
	r.put(rec.Data)
}

// dropSpan forgets the oldest span.
func (r *recent) dropSpan() {
	r.spans = append(r.spans[:0], r.spans[1:]...)
	r.start = r.end
	if len(r.spans) > 0 {
		r.start = r.spans[0].offset
	}
}

// read copies whole frames, beginning with that of position from, to buf: as many as are there and fit its capacity of usually recentRead, one
// at least. It returns nothing when from is not kept.
func (r *recent) read(from uint64, buf []byte) (payload []byte, count uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := sort.Search(len(r.spans), func(i int) bool { return r.spans[i].last >= from })
	if i == len(r.spans) || r.spans[i].first > from {
		return nil, 0
	}
	off := r.spans[i].offset
	for pos := r.spans[i].first; pos < from; pos++ {
		off += r.frame(off)
	}
	size := int64(0)
	for off+size < r.end {
		n := r.frame(off + size)
		if size > 0 && size+n > recentRead {
			break
		}
		size += n
		count++
	}
	if int64(cap(buf)) < size {
		buf = make([]byte, max(size, recentRead))
	}
	buf = buf[:size]
	r.get(buf, off)
	return buf, count
}

// frame is the size of the frame at off.
func (r *recent) frame(off int64) int64 {
	var n [frameHeader]byte
	r.get(n[:], off)
	return frameHeader + int64(binary.LittleEndian.Uint32(n[:]))
}

func (r *recent) put(p []byte) {
	for len(p) > 0 {
		n := copy(r.at(r.end), p)
		r.end += int64(n)
		p = p[n:]
	}
}

func (r *recent) get(p []byte, off int64) {
	for len(p) > 0 {
		n := copy(p, r.at(off))
		off += int64(n)
		p = p[n:]
	}
}

// at is the rest of the block that holds off.
func (r *recent) at(off int64) []byte {
	off %= r.limit
	i := int(off / recentBlock)
	for len(r.blocks) <= i {
		r.blocks = append(r.blocks, make([]byte, min(recentBlock, r.limit-int64(len(r.blocks))*recentBlock)))
	}
	return r.blocks[i][off%recentBlock:]
}
