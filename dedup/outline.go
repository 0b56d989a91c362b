package dedup

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// Outline is what a manifest or a node says: for who carries content to where its chunks have other names, by [Reader.Distinct], and makes the same of it there.
type Outline struct {
	Level   int     // 0: the entries are pieces of payload; else nodes whose own outline is of the level below
	Entries []Entry // to be read only
	Other   []byte  // fields of later builds, as they came
}

// Outline is the manifest's own.
func (m Manifest) Outline() Outline { return m.top.outline() }

func (l list) outline() Outline { return Outline{l.level, l.entries, l.unknown} }

func (o Outline) list() list { return list{o.Level, o.Entries, o.Other} }

// Manifest is the manifest that says so, or fails with [ErrMalformed]. It keeps nothing of the outline.
func (o Outline) Manifest() (Manifest, error) {
	if len(o.Entries) > MaxInline {
		return Manifest{}, fmt.Errorf("a manifest of %d entries: %w", len(o.Entries), ErrMalformed)
	}
	return ParseManifest(o.list().append(nil))
}

// Node is the chunk of the node that says so, or fails with [ErrMalformed]. Its bytes are its own.
func (o Outline) Node(d chunk.Domain) (chunk.Chunk, error) {
	raw := o.list().append(nil)
	l, err := parseList(raw, maxFan)
	if err != nil {
		return chunk.Chunk{}, fmt.Errorf("make a node: %w", err)
	}
	if len(l.entries) == 0 || l.size() <= 0 {
		return chunk.Chunk{}, fmt.Errorf("make a node of nothing: %w", ErrMalformed)
	}
	return d.Make(raw), nil
}

// Taker is told what content consists of.
type Taker interface {
	// Known says whether the taker has a chunk already: it is not read then, nor what is below it.
	Known(chunk.ID) bool
	// Piece takes a chunk of payload, whose bytes are valid until it returns.
	Piece(chunk.Chunk) error
	// Node takes a node, behind all that is below it.
	Node(chunk.ID, Outline) error
}

// distinctBatch is how many bytes of payload are read at once for [Reader.Distinct], unless one piece alone is longer.
const distinctBatch = 4 << 20

// Distinct tells of all that the manifest reaches and the taker does not know, in the order of the object and children before the node that names them. It
// holds [distinctBatch] bytes, and a node of each level. Errors of the taker come back as they are.
func (r *Reader) Distinct(ctx context.Context, t Taker) error {
	return r.distinct(ctx, nil, r.m.top, t)
}

func (r *Reader) distinct(ctx context.Context, path []chunk.ID, l list, t Taker) error {
	if l.level == 0 {
		return r.distinctPieces(ctx, path, l.entries, t)
	}
	for rest := l.entries; len(rest) > 0; {
		group := rest[:min(nodesAhead, len(rest))]
		rest = rest[len(group):]
		unknown := make([]Entry, 0, len(group))
		for _, e := range group {
			if !t.Known(e.ID) {
				unknown = append(unknown, e)
			}
		}
		if len(unknown) == 0 {
			continue
		}
		lists, err := r.load(ctx, path, unknown, l.level-1)
		if err != nil {
			return err
		}
		for i, e := range unknown {
			if t.Known(e.ID) { // it is there twice
				continue
			}
			if err := r.distinct(ctx, append(path[:len(path):len(path)], e.ID), lists[i], t); err != nil {
				return err
			}
			if err := t.Node(e.ID, lists[i].outline()); err != nil {
				return err
			}
		}
	}
	return nil
}

// distinctPieces tells of the pieces of one node. A store gives them in any order: so they wait for each other.
func (r *Reader) distinctPieces(ctx context.Context, path []chunk.ID, pieces []Entry, t Taker) error {
	for len(pieces) > 0 {
		var ids []chunk.ID
		at, size := map[chunk.ID]int{}, int64(0)
		for len(pieces) > 0 && (len(ids) == 0 || size+pieces[0].Size <= distinctBatch) {
			e := pieces[0]
			pieces = pieces[1:]
			if _, there := at[e.ID]; !there && !t.Known(e.ID) {
				at[e.ID] = len(ids)
				ids, size = append(ids, e.ID), size+e.Size
			}
		}
		if len(ids) == 0 {
			return nil
		}
		if err := r.inOrder(ctx, path, ids, at, t); err != nil {
			return err
		}
	}
	return nil
}

// inOrder reads chunks and tells of them as they are named. What comes in its turn is not copied.
func (r *Reader) inOrder(ctx context.Context, path, ids []chunk.ID, at map[chunk.ID]int, t Taker) error {
	waiting, next := make([]chunk.Chunk, len(ids)), 0
	err := r.open(path).Get(ctx, ids, func(c chunk.Chunk) error {
		if i := at[c.ID()]; i != next {
			waiting[i] = c.Clone()
			return nil
		}
		for {
			if err := t.Piece(c); err != nil {
				return err
			}
			if next++; next == len(ids) || waiting[next].Size() == 0 {
				return nil
			}
			c, waiting[next] = waiting[next], chunk.Chunk{}
		}
	})
	if err != nil {
		return fmt.Errorf("read %d chunks: %w", len(ids), err)
	}
	if next < len(ids) {
		return fmt.Errorf("read chunk %v: the store yielded nothing: %w", ids[next], chunk.ErrNotFound)
	}
	return nil
}

// Kept is how much of what was put was not held before.
type Kept struct {
	Chunks int
	Bytes  int64
}

// Keep puts those of chunks, in which no name stands twice, that the store lacks.
func Keep(ctx context.Context, store chunk.Store, chunks []chunk.Chunk) (Kept, error) {
	w, err := putMissing(ctx, store, chunks)
	return Kept{w.chunks, w.bytes}, err
}
