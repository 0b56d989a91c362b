package tree

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"

	"github.com/edgefs/edgefs/chunk"
)

// Store is where the nodes of trees are read from and written to. It is safe for concurrent use.
type Store struct {
	chunks chunk.Store
	domain chunk.Domain
	cache  *Cache
	mend   Mender // nil: what is lost is lost
	stats  counters
}

// Stats counts what a [Store] asked of its chunks since it was made. What the cache answered is not in it.
type Stats struct {
	Gets, ChunksRead, BytesRead       int64 // calls, nodes and values, their bytes
	Puts, ChunksWritten, BytesWritten int64
}

type counters struct {
	gets, chunksRead, bytesRead       atomic.Int64
	puts, chunksWritten, bytesWritten atomic.Int64
}

// NewStore makes a store over chunks, which are of the domain and, where trees are written, of class Meta. The cache may be nil.
func NewStore(chunks chunk.Store, domain chunk.Domain, cache *Cache, opts ...StoreOption) *Store {
	s := &Store{chunks: chunks, domain: domain, cache: cache}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// Stats is a snapshot of the counters.
func (s *Store) Stats() Stats {
	c := &s.stats
	return Stats{
		Gets: c.gets.Load(), ChunksRead: c.chunksRead.Load(), BytesRead: c.bytesRead.Load(),
		Puts: c.puts.Load(), ChunksWritten: c.chunksWritten.Load(), BytesWritten: c.bytesWritten.Load(),
	}
}

// fetch hands each distinct one of ids, which the nodes from name (none: of a root), to yield, in any order, from the cache or with one Get; calls
// do not overlap. keep says whether what was read goes into the cache.
func (s *Store) fetch(ctx context.Context, ids []chunk.ID, from []*node, keep bool, yield func(chunk.ID, decoded) error) error {
	var missing []chunk.ID
	for _, id := range ids {
		d, ok := s.cache.get(id)
		if !ok {
			missing = append(missing, id)
			continue
		}
		if err := yield(id, d); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	s.stats.gets.Add(1)
	return s.get(ctx, missing, from, func(c chunk.Chunk) error {
		s.stats.chunksRead.Add(1)
		s.stats.bytesRead.Add(int64(c.Size()))
		d, err := decode(bytes.Clone(c.Data()))
		if err != nil {
			return fmt.Errorf("node %v: %w", c.ID(), err)
		}
		if keep {
			s.cache.add(c.ID(), d)
		}
		return yield(c.ID(), d)
	})
}

// child reads the node that entry i of n refers to.
func (s *Store) child(ctx context.Context, n *node, i int) (*node, error) {
	id := n.id(i)
	if d, ok := s.cache.get(id); ok {
		return asNode(id, d)
	}
	return s.node(ctx, id, n)
}

// node reads one node, which the nodes from name (none: a root).
func (s *Store) node(ctx context.Context, id chunk.ID, from ...*node) (n *node, err error) {
	if d, ok := s.cache.get(id); ok {
		return asNode(id, d)
	}
	err = s.fetch(ctx, []chunk.ID{id}, from, true, func(id chunk.ID, d decoded) (err error) {
		n, err = asNode(id, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read tree node: %w", err)
	}
	return n, nil
}

// nodes reads nodes at once, into a slice parallel to ids, which the nodes from name.
func (s *Store) nodes(ctx context.Context, ids []chunk.ID, from ...*node) ([]*node, error) {
	read := make(map[chunk.ID]*node, len(ids))
	err := s.fetch(ctx, ids, from, true, func(id chunk.ID, d decoded) (err error) {
		read[id], err = asNode(id, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %d tree nodes: %w", len(ids), err)
	}
	nodes := make([]*node, len(ids))
	for i, id := range ids {
		nodes[i] = read[id] // one node may be asked for twice only by a forged parent, which its reader finds out
	}
	return nodes, nil
}

// values reads referenced values at once, which the leaves from name.
func (s *Store) values(ctx context.Context, ids []chunk.ID, from ...*node) (map[chunk.ID][]byte, error) {
	values := make(map[chunk.ID][]byte, len(ids))
	err := s.fetch(ctx, ids, from, true, func(id chunk.ID, d decoded) error {
		v, ok := d.(value)
		if !ok {
			return fmt.Errorf("value %v: %w: it is a node", id, ErrInvalid)
		}
		values[id] = v
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %d tree values: %w", len(ids), err)
	}
	return values, nil
}

// value is the value of a leaf's entry.
func (s *Store) value(ctx context.Context, n *node, i int) ([]byte, error) {
	if !n.slots[i].ref {
		return n.inline(i), nil
	}
	id := n.id(i)
	values, err := s.values(ctx, []chunk.ID{id}, n)
	if err != nil {
		return nil, err
	}
	return sized(id, values[id], n.slots[i].size)
}

// sized is the value v of the chunk id if it has the length that its leaf says.
func sized(id chunk.ID, v []byte, size uint32) ([]byte, error) {
	if len(v) != int(size) {
		return nil, fmt.Errorf("value %v: %w: %d bytes where its leaf says %d", id, ErrInvalid, len(v), size)
	}
	return v, nil
}

func asNode(id chunk.ID, d decoded) (*node, error) {
	n, ok := d.(*node)
	if !ok {
		return nil, fmt.Errorf("node %v: %w: it is a value", id, ErrInvalid)
	}
	return n, nil
}
