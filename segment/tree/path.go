package tree

import (
	"bytes"
	"context"

	"github.com/edgefs/edgefs/chunk"
)

// maxAhead bounds the nodes that a scan reads at once.
const maxAhead = 32

// path walks the entries of one level of a tree forward: of level 0, the map's own entries; of a level above, the nodes of the level below it.
// It holds the nodes from the root down to its level.
type path struct {
	store  *Store
	level  int
	frames []frame // the root first; empty when the tree has no such level
	root   frame   // where the walk starts
	ahead  int     // how many nodes to read at once when the next one must be read; 0 or 1 for a walk that is no scan

	// warm holds nodes that somebody has already read for the walk. It may be nil.
	warm map[chunk.ID]*node
}

// frame is a node on the way down and the entry that the way takes.
type frame struct {
	n    *node
	i    int
	lo   []byte  // the last key of the tree before the node, nil if none
	kids []*node // children read ahead, parallel to the entries; nil if none
}

// newPath stands before the first entry of the tree of root.
func newPath(s *Store, root *node, level int) *path {
	return &path{store: s, level: level, root: frame{n: root}}
}

func (p *path) top() *frame { return &p.frames[len(p.frames)-1] }

// seek goes to the first entry whose key is at least key and says whether there is one; if not, the path stands at the last entry.
func (p *path) seek(ctx context.Context, key []byte) (bool, error) {
	p.climb(key)
	for {
		f := p.top()
		from := f.i
		if bytes.Compare(f.n.key(from), key) > 0 {
			from = 0 // the entry is the first one not yet passed, but a seek may go back
		}
		f.i = f.n.search(from, key)
		found := f.i < f.n.len()
		if !found {
			f.i--
		}
		if f.n.level <= p.level {
			return found, nil
		}
		if err := p.descend(ctx); err != nil {
			return false, err
		}
	}
}

// climb leaves only frames of nodes whose range holds key, and at least the root's.
func (p *path) climb(key []byte) {
	if len(p.frames) == 0 {
		p.frames = append(p.frames, p.root)
	}
	for len(p.frames) > 1 {
		f := p.top()
		behind := f.lo == nil || bytes.Compare(f.lo, key) < 0
		if behind && bytes.Compare(key, f.n.lastKey()) <= 0 {
			return
		}
		p.frames = p.frames[:len(p.frames)-1]
	}
}

// descend adds the frame of the child that the last frame stands at.
func (p *path) descend(ctx context.Context) error {
	f := p.top()
	c, err := p.child(ctx, f)
	if err != nil {
		return err
	}
	if err := f.n.admit(f.i, f.lo, c); err != nil {
		return err
	}
	lo := f.lo
	if f.i > 0 {
		lo = f.n.key(f.i - 1)
	}
	p.frames = append(p.frames, frame{n: c, lo: lo})
	return nil
}

// child is the node at f's entry; reading it reads those behind it too when the walk is a scan.
func (p *path) child(ctx context.Context, f *frame) (*node, error) {
	if f.kids != nil && f.kids[f.i] != nil {
		return f.kids[f.i], nil
	}
	id := f.n.id(f.i)
	if n := p.warm[id]; n != nil {
		return n, nil
	}
	if d, ok := p.store.cache.get(id); ok {
		return asNode(id, d)
	}
	if p.ahead <= 1 {
		return p.store.node(ctx, id, f.n)
	}
	end := min(f.i+p.ahead, f.n.len())
	ids := make([]chunk.ID, 0, end-f.i)
	for i := f.i; i < end; i++ {
		ids = append(ids, f.n.id(i))
	}
	nodes, err := p.store.nodes(ctx, ids, f.n)
	if err != nil {
		return nil, err
	}
	f.kids = make([]*node, f.n.len())
	copy(f.kids[f.i:], nodes)
	return nodes[0], nil
}

// next goes to the next entry, or says that there is none and stays.
func (p *path) next(ctx context.Context) (bool, error) {
	depth := len(p.frames) - 1
	for depth >= 0 && p.frames[depth].i == p.frames[depth].n.len()-1 {
		depth--
	}
	if depth < 0 {
		return false, nil
	}
	p.frames = p.frames[:depth+1]
	p.frames[depth].i++
	for p.top().n.level > p.level {
		if err := p.descend(ctx); err != nil {
			return false, err
		}
	}
	return true, nil
}

// last says whether the path stands at the last entry.
func (p *path) last() bool {
	for i := range p.frames {
		if p.frames[i].i < p.frames[i].n.len()-1 {
			return false
		}
	}
	return true
}
