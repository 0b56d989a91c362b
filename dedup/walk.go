package dedup

import (
	"context"

	"github.com/edgefs/edgefs/chunk"
)

// pieceWalk finds the piece of a manifest that an offset falls into. It keeps the nodes on the way to the last one.
type pieceWalk struct {
	store  chunk.Store
	top    list
	way    []wayNode // from the manifest down; the pieces' list last
	wanted int64     // the offset looked for

	start, size int64 // of the piece found
}

type wayNode struct {
	list
	start int64
}

// seek finds the piece at an offset within the manifest.
func (w *pieceWalk) seek(ctx context.Context, offset int64) error {
	w.wanted = offset
	for n := len(w.way); n > 0 && (offset < w.way[n-1].start || offset >= w.way[n-1].start+w.way[n-1].size()); n-- {
		w.way = w.way[:n-1]
	}
	if len(w.way) == 0 {
		w.way = append(w.way, wayNode{w.top, 0})
	}
	for {
		l := w.way[len(w.way)-1]
		e, start := l.child(offset)
		if l.level == 0 {
			w.start, w.size = start, e.Size
			return nil
		}
		next, err := loadNode(ctx, w.store, e, l.level-1)
		if err != nil {
			return err
		}
		w.way = append(w.way, wayNode{next, start})
	}
}

// child is the entry that an offset falls into, and where it begins.
func (w wayNode) child(offset int64) (Entry, int64) {
	start := w.start
	for _, e := range w.entries {
		if offset < start+e.Size {
			return e, start
		}
		start += e.Size
	}
	last := w.entries[len(w.entries)-1]
	return last, start - last.Size
}
