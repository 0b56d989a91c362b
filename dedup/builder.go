package dedup

import (
	"context"
	"fmt"
	"slices"

	"github.com/edgefs/edgefs/chunk"
)

const (
	// A node ends behind an entry whose id says so, one in 64, but not before minFan and not behind maxFan entries: 94 in the mean.
	minFan, maxFan = 32, 256
	// maxSeam bounds how many neighbouring nodes of one level are opened to find boundaries that come together again. Only endless
	// repetition of one id needs more than two or three.
	maxSeam = 8
	// nodeBatch is how many bytes of nodes wait for one durable put.
	nodeBatch = 256 << 10
)

// builder makes a manifest of entries given in the object's order, in memory that does not depend on their number. Where nodes end
// depends on the ids of their entries alone, so equal pieces give equal nodes, however they were written.
type builder struct {
	domain chunk.Domain
	meta   chunk.Store
	runs   []run // by level; those of higher levels come before those of lower ones

	before func(context.Context) error // makes pieces durable before nodes that name them; nil where they are
	made   []chunk.Chunk               // nodes that are not put yet
	bytes  int                         // of made
	stats  Stats                       // of nodes
}

// run is the entries of a node that has not ended.
type run struct {
	entries []Entry
	size    int64
	foreign bool // the last entry is a node taken whole, which may end where its object ended, not where an id says so
	opened  int  // nodes opened in a row at this level
}

func isBoundary(id chunk.ID) bool { return id[chunk.IDSize-1]&63 == 0 }

// piece appends a piece.
func (b *builder) piece(ctx context.Context, e Entry) error { return b.add(ctx, e, 0) }

// add appends an entry of any level. Entries of different height that meet are opened just far enough to fit together, and until node
// boundaries agree again: a node read and written per level, not more.
func (b *builder) add(ctx context.Context, e Entry, level int) error {
	for len(b.runs) <= level {
		b.runs = append(b.runs, run{})
	}
	if b.waitingBelow(level) {
		if b.runs[level].opened < maxSeam {
			b.runs[level].opened++
			return b.addChildren(ctx, e, level)
		}
		if err := b.closeBelow(ctx, level); err != nil {
			return err
		}
	}
	if err := b.reopen(ctx, level); err != nil {
		return err
	}
	b.runs[level].opened = 0
	return b.push(ctx, e, level, level > 0)
}

// repeat appends a piece n times, which costs a few nodes.
func (b *builder) repeat(ctx context.Context, e Entry, n int64) error {
	if n == 0 {
		return nil
	}
	if err := b.piece(ctx, e); err != nil {
		return err
	}
	return b.repeatAt(ctx, e, 0, n-1)
}

// repeatAt pushes an entry that follows one of its level n times: until a node ends, then whole nodes of nothing else, then what is left.
func (b *builder) repeatAt(ctx context.Context, e Entry, level int, n int64) error {
	for ; n > 0 && len(b.runs[level].entries) > 0; n-- {
		if err := b.push(ctx, e, level, false); err != nil {
			return err
		}
	}
	fan := int64(maxFan)
	if isBoundary(e.ID) {
		fan = minFan
	}
	if n >= fan {
		node := b.node(slices.Repeat([]Entry{e}, int(fan)), level)
		if err := b.repeatAt(ctx, Entry{node.ID(), fan * e.Size}, level+1, n/fan); err != nil {
			return err
		}
	}
	for range n % fan {
		if err := b.push(ctx, e, level, false); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) waitingBelow(level int) bool {
	for i := range level {
		if len(b.runs[i].entries) > 0 {
			return true
		}
	}
	return false
}

func (b *builder) addChildren(ctx context.Context, e Entry, level int) error {
	l, err := loadNode(ctx, b.meta, e, level-1)
	if err != nil {
		return err
	}
	for _, child := range l.entries {
		if err := b.add(ctx, child, level-1); err != nil {
			return err
		}
	}
	return nil
}

// reopen takes apart the foreign node that ends where an entry of a lower level follows, down to that level, so that the entry joins its
// last node there.
func (b *builder) reopen(ctx context.Context, level int) error {
	k := level
	for k < len(b.runs) && len(b.runs[k].entries) == 0 {
		k++
	}
	if k == level || k == len(b.runs) || !b.runs[k].foreign {
		return nil
	}
	return b.unfold(ctx, b.runs[k].pop(), k, level)
}

// unfold pushes what is below a node of level k: the last of its entries unfolded in turn, until entries of the level given are reached. Only
// there an id may end a node: above, the last one is no node of the object as it will be.
func (b *builder) unfold(ctx context.Context, e Entry, k, level int) error {
	if k == level {
		return b.push(ctx, e, level, level > 0)
	}
	l, err := loadNode(ctx, b.meta, e, k-1)
	if err != nil {
		return err
	}
	last := len(l.entries) - 1
	for _, child := range l.entries[:last] {
		if err := b.push(ctx, child, k-1, k-1 > 0); err != nil {
			return err
		}
	}
	return b.unfold(ctx, l.entries[last], k-1, level)
}

func (r *run) pop() Entry {
	e := r.entries[len(r.entries)-1]
	r.entries = r.entries[:len(r.entries)-1]
	r.size -= e.Size
	r.foreign = false
	return e
}

func (b *builder) push(ctx context.Context, e Entry, level int, foreign bool) error {
	r := &b.runs[level]
	r.entries = append(r.entries, e)
	r.size += e.Size
	r.foreign = foreign
	if n := len(r.entries); n < minFan || n < maxFan && !isBoundary(e.ID) {
		return nil
	}
	return b.close(ctx, level)
}

// close ends the node that a level's entries wait for.
func (b *builder) close(ctx context.Context, level int) error {
	if level >= maxLevel {
		return fmt.Errorf("manifest of more than %d levels: %w", maxLevel, ErrMalformed)
	}
	if len(b.runs) == level+1 {
		b.runs = append(b.runs, run{})
	}
	r := &b.runs[level]
	e := Entry{b.node(r.entries, level).ID(), r.size}
	r.entries, r.size, r.foreign = r.entries[:0], 0, false
	if b.bytes >= nodeBatch {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	return b.push(ctx, e, level+1, false)
}

// node makes a node, to be put with others.
func (b *builder) node(entries []Entry, level int) chunk.Chunk {
	node := b.domain.Make(list{level: level, entries: entries}.append(nil))
	b.made = append(b.made, node)
	b.bytes += node.Size()
	return node
}

// size is how many bytes were added so far.
func (b *builder) size() (n int64) {
	for _, r := range b.runs {
		n += r.size
	}
	return n
}

func (b *builder) closeBelow(ctx context.Context, level int) error {
	for i := range level {
		if len(b.runs[i].entries) == 0 {
			continue
		}
		if err := b.close(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) flush(ctx context.Context) error {
	if len(b.made) == 0 {
		return nil
	}
	if b.before != nil {
		if err := b.before(ctx); err != nil {
			return err
		}
	}
	written, err := putMissing(ctx, b.meta, b.made)
	if err != nil {
		return fmt.Errorf("put nodes: %w", err)
	}
	b.stats.NewNodes += written.chunks
	b.stats.NodeBytes += written.bytes
	clear(b.made)
	b.made, b.bytes = b.made[:0], 0
	return nil
}

// finish ends all nodes and puts them. The builder is then empty.
func (b *builder) finish(ctx context.Context) (Manifest, error) {
	level := 0
	for ; level < len(b.runs); level++ {
		n := len(b.runs[level].entries)
		if n <= MaxInline && b.emptyAbove(level) {
			break
		}
		if n == 0 {
			continue
		}
		if err := b.close(ctx, level); err != nil {
			return Manifest{}, err
		}
	}
	if err := b.flush(ctx); err != nil {
		return Manifest{}, err
	}
	if level == len(b.runs) || len(b.runs[level].entries) == 0 {
		return Manifest{}, nil
	}
	m := Manifest{list{level: level, entries: append([]Entry(nil), b.runs[level].entries...)}}
	b.runs = nil
	return m, nil
}

func (b *builder) emptyAbove(level int) bool {
	for _, r := range b.runs[level+1:] {
		if len(r.entries) > 0 {
			return false
		}
	}
	return true
}
