package dedup

import (
	"context"
	"fmt"
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
)

// Marker finds all that manifests reach, and reads each node once, however many share it. It is not safe for concurrent use.
type Marker struct {
	Nodes chunk.Store // that nodes are read from
	// Walked are the nodes whose children were named, perhaps by other markers of the same domain. What only looks like a node, an object's payload say, is not in it.
	Walked *idset.Set
	// Salt is what tells apart, in Walked, those who each come by all nodes that they reach.
	Salt uint64
	// Name is told of each chunk that is reached, often more than once, with what was said of a manifest that reaches it.
	Name func(id chunk.ID, of string)
	// Sized, unless nil, is told of each piece of payload, with its bytes, just before Name.
	Sized func(id chunk.ID, size int64)

	waiting []waiting
}

// waiting is a node to be read.
type waiting struct {
	Entry
	level int // of its entries
	of    string
}

// markAhead is how many nodes are read at once.
const markAhead = 256

// Mark names what a manifest reaches, but for what is below nodes that are still to be read: by later calls, or by Flush.
func (m *Marker) Mark(ctx context.Context, c Manifest, of string) error {
	m.entries(c.top, of)
	if len(m.waiting) < markAhead {
		return nil
	}
	return m.Flush(ctx)
}

func (m *Marker) entries(l list, of string) {
	for _, e := range l.entries {
		if m.Sized != nil && l.level == 0 {
			m.Sized(e.ID, e.Size)
		}
		m.Name(e.ID, of)
		if l.level > 0 && m.Walked.Add(idset.Of(e.ID)^m.Salt) {
			m.waiting = append(m.waiting, waiting{e, l.level - 1, of})
		}
	}
}

// Flush reads all nodes that are to be read. It fails where one cannot be: what is below it is not known then.
func (m *Marker) Flush(ctx context.Context) error {
	for len(m.waiting) > 0 {
		from := max(0, len(m.waiting)-markAhead) // the last first, so that few wait
		some := slices.Clone(m.waiting[from:])
		m.waiting = m.waiting[:from]
		if err := m.read(ctx, some); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (m *Marker) read(ctx context.Context, some []waiting) error {
	ids := make([]chunk.ID, len(some))
	at := make(map[chunk.ID]waiting, len(some))
	for i, w := range some {
		ids[i], at[w.ID] = w.ID, w
	}
	var wrong error
	err := m.Nodes.Get(ctx, ids, func(c chunk.Chunk) error {
		w := at[c.ID()]
		l, err := parseNode(c, w.Entry, w.level)
		if err != nil {
			wrong = fmt.Errorf("content of %q: %w", w.of, err)
			return wrong
		}
		delete(at, c.ID())
		m.entries(l, w.of)
		return nil
	})
	for _, w := range at {
		if err != nil && wrong == nil {
			return fmt.Errorf("content of %q, node %v: %w", w.of, w.ID, err)
		}
		if err == nil {
			return fmt.Errorf("content of %q, node %v: %w", w.of, w.ID, chunk.ErrNotFound)
		}
	}
	return err
}
