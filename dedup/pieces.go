package dedup

import (
	"context"
	"iter"

	"github.com/edgefs/edgefs/chunk"
)

// Piece is one chunk that a manifest reaches: payload, or a node.
type Piece struct {
	Entry
	Level  int        // 0 for payload, else the node's height
	Offset int64      // in the object, of its first byte
	Path   []chunk.ID // of the nodes above it, as for [NewReader]; valid during the step, not to be changed
}

// Pieces walks all that the manifest reaches, each node before what is below it, in the object's order; what occurs twice is walked twice.
// An error comes with the node that could not be read, whose subtree is left out; the walk goes on if the caller does.
func (r *Reader) Pieces(ctx context.Context) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		r.walk(ctx, nil, r.m.top, 0, yield)
	}
}

func (r *Reader) walk(ctx context.Context, path []chunk.ID, l list, offset int64, yield func(Piece, error) bool) bool {
	if l.level == 0 {
		for _, e := range l.entries {
			if !yield(Piece{e, 0, offset, path}, nil) {
				return false
			}
			offset += e.Size
		}
		return true
	}
	for rest := l.entries; len(rest) > 0; {
		group := rest[:min(nodesAhead, len(rest))]
		rest = rest[len(group):]
		lists, err := r.load(ctx, path, group, l.level-1)
		for i, e := range group {
			p := Piece{e, l.level, offset, path}
			if !yield(p, nil) {
				return false
			}
			if len(lists) <= i || len(lists[i].entries) == 0 {
				if !yield(p, err) {
					return false
				}
			} else if !r.walk(ctx, append(path[:len(path):len(path)], e.ID), lists[i], offset, yield) {
				return false
			}
			offset += e.Size
		}
	}
	return true
}
