package dedup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/edgefs/edgefs/chunk"
)

// ErrRange says that a range is not within the object.
var ErrRange = errors.New("range is not within the object")

// Reader reads an object by its manifest. It is safe for concurrent use.
//
// Its errors are those of the stores, wrapped: [chunk.ErrUnavailable], [chunk.ErrCorrupt], [chunk.ErrNotFound]; and [ErrMalformed] for a
// node that is none.
type Reader struct {
	// Buffers lends the memory for reading ahead. Nil gives the reader memory of its own, 12 MiB per large range that is being read. It is
	// set before the first use.
	Buffers *Buffers

	open func(path []chunk.ID) chunk.Store
	m    Manifest

	mu    sync.Mutex
	nodes []cachedNode // the last ones read, oldest first
}

type cachedNode struct {
	id chunk.ID
	list
}

// cachedNodes is enough for the way down to a few places that are read in turn.
const cachedNodes = 8

// NewReader reads m. Each Get asks only for children of one node, or of the manifest, from the store that open returns for the path that
// leads there: the ids of the nodes from one of the manifest's entries down to the parent of what is asked, empty for the manifest's own
// entries. A remote store proves by it that the version reaches what it asks for; see [Reaches]. The path is valid until open returns.
func NewReader(open func(path []chunk.ID) chunk.Store, m Manifest) *Reader {
	return &Reader{open: open, m: m}
}

// ReadAt fills p from offset on, as io.ReaderAt does: it returns io.EOF when the object ends first.
func (r *Reader) ReadAt(ctx context.Context, p []byte, offset int64) (int, error) {
	size := r.m.Size()
	if offset < 0 || offset > size {
		return 0, fmt.Errorf("read at %d of %d bytes: %w", offset, size, ErrRange)
	}
	want := int(min(int64(len(p)), size-offset))
	done := 0
	for s, err := range r.stretches(ctx, offset, int64(want)) {
		if err != nil {
			return done, err
		}
		if err := r.fetch(ctx, s, p[done:done+s.size]); err != nil {
			return done, err
		}
		done += s.size
	}
	if want < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// ReadRange writes length bytes from offset on to w and says how many it wrote. An error of w is returned as it is. A large range is read
// ahead while w takes what came before; memory is bounded by three batches of [stretchSize].
func (r *Reader) ReadRange(ctx context.Context, w io.Writer, offset, length int64) (int64, error) {
	if size := r.m.Size(); offset < 0 || length < 0 || offset > size || length > size-offset {
		return 0, fmt.Errorf("read %d bytes at %d of %d: %w", length, offset, size, ErrRange)
	}
	if length > aheadFrom {
		if ahead := r.lendAhead(); ahead != nil {
			return r.readAhead(ctx, w, offset, length, ahead)
		}
	}
	var n int64
	for s, err := range r.stretches(ctx, offset, length) {
		if err != nil {
			return n, err
		}
		k, err := r.stream(ctx, s, w)
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// load reads nodes among the children of the last of path, whose entries are of the level given. With an error, lists that could not be
// read are empty.
func (r *Reader) load(ctx context.Context, path []chunk.ID, nodes []Entry, level int) ([]list, error) {
	if len(nodes) != 1 {
		return loadNodes(ctx, r.open(path), nodes, level)
	}
	if l, ok := r.cached(nodes[0].ID); ok && l.level == level {
		return []list{l}, nil
	}
	lists, err := loadNodes(ctx, r.open(path), nodes, level)
	if err == nil {
		r.remember(cachedNode{nodes[0].ID, lists[0]})
	}
	return lists, err
}

func (r *Reader) cached(id chunk.ID) (list, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, n := range r.nodes {
		if n.id == id {
			copy(r.nodes[i:], r.nodes[i+1:])
			r.nodes[len(r.nodes)-1] = n
			return n.list, true
		}
	}
	return list{}, false
}

func (r *Reader) remember(n cachedNode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.nodes) == cachedNodes {
		copy(r.nodes, r.nodes[1:])
		r.nodes = r.nodes[:cachedNodes-1]
	}
	r.nodes = append(r.nodes, n)
}
