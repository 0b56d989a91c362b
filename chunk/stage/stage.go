// Package stage serves chunks that are already durable elsewhere, in a segment's log, and have yet to reach the place where chunks are kept.
//
// Small payload is written once with the record that names it, for one sync in all; [Stage.Settle] brings it to its place, many chunks at once,
// before the log is cut.
package stage

import (
	"context"
	"slices"
	"sync"

	"github.com/edgefs/edgefs/chunk"
)

// batchSize is what Settle puts at once, in bytes.
const batchSize = 4 << 20

// Stage is a place and what is held before it. It is safe for concurrent use.
type Stage struct {
	base     chunk.Opener
	settling sync.Mutex

	mu    sync.RWMutex
	held  map[key]chunk.Chunk
	order []entry // in the order in which they came
	bytes int64
}

// key tells domains apart.
type key struct {
	domain chunk.ID // its tag
	id     chunk.ID
}

type entry struct {
	key    key
	domain chunk.Domain
}

// New makes a stage before base that holds nothing.
func New(base chunk.Opener) *Stage { return &Stage{base: base, held: map[key]chunk.Chunk{}} }

// Hold keeps chunks that are durable elsewhere until a Settle that begins later has returned without an error. From now on they are read and
// count as held at every class. Their bytes are the stage's: nobody changes them any more. How much is held is for the caller to bound.
func (s *Stage) Hold(domain chunk.Domain, chunks []chunk.Chunk) {
	space := domain.Tag()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range chunks {
		k := key{space, c.ID()}
		if _, twice := s.held[k]; twice {
			continue
		}
		s.held[k] = c
		s.order = append(s.order, entry{k, domain})
		s.bytes += int64(c.Size())
	}
}

// Held is the number of bytes held.
func (s *Stage) Held() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bytes
}

// Settle puts what is held into the place behind, at class Data, and then forgets it. When it returns nil, all that was held when it was called
// is durable there. After an error what was not settled stays held.
func (s *Stage) Settle(ctx context.Context) error {
	s.settling.Lock()
	defer s.settling.Unlock()
	s.mu.RLock()
	todo := s.order[:len(s.order):len(s.order)]
	s.mu.RUnlock()
	for len(todo) > 0 {
		n, err := s.settle(ctx, todo)
		if err != nil {
			return err
		}
		todo = todo[n:]
	}
	return nil
}

// settle puts the first few of todo, of one domain, and returns their number.
func (s *Stage) settle(ctx context.Context, todo []entry) (int, error) {
	var chunks []chunk.Chunk
	n, size := 0, 0
	s.mu.RLock()
	for ; n < len(todo) && size < batchSize && todo[n].key.domain == todo[0].key.domain; n++ {
		c := s.held[todo[n].key]
		chunks = append(chunks, c)
		size += c.Size()
	}
	s.mu.RUnlock()
	if err := s.base.Open(todo[0].domain, chunk.Data).Put(ctx, chunks); err != nil {
		return 0, err
	}
	s.forget(todo[:n])
	return n, nil
}

// forget drops what the base holds by now.
func (s *Stage) forget(settled []entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range settled {
		s.bytes -= int64(s.held[e.key].Size())
		delete(s.held, e.key)
	}
	s.order = slices.Clone(s.order[len(settled):]) // which lets go of the settled ones' memory
}

// Open is [chunk.Opener].
func (s *Stage) Open(domain chunk.Domain, class chunk.Class) chunk.Store {
	return view{s, domain.Tag(), s.base.Open(domain, class)}
}

// view asks the stage first and the base for the rest: what moves from one to the other is in the base before it leaves the stage.
type view struct {
	s      *Stage
	domain chunk.ID
	base   chunk.Store
}

// Get is [chunk.Store].
func (v view) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	held, rest := v.split(ids)
	for _, c := range held {
		if err := yield(c); err != nil {
			return err
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return v.base.Get(ctx, rest, yield)
}

// split returns the chunks that are held, each once, and the ids of the others.
func (v view) split(ids []chunk.ID) (held []chunk.Chunk, rest []chunk.ID) {
	v.s.mu.RLock()
	defer v.s.mu.RUnlock()
	if len(v.s.held) == 0 {
		return nil, ids
	}
	isHeld := func(id chunk.ID) bool { _, ok := v.s.held[key{v.domain, id}]; return ok }
	if !slices.ContainsFunc(ids, isHeld) {
		return nil, ids
	}
	seen := map[chunk.ID]bool{}
	for _, id := range ids {
		c, ok := v.s.held[key{v.domain, id}]
		if !ok {
			rest = append(rest, id)
		} else if !seen[id] {
			seen[id] = true
			held = append(held, c)
		}
	}
	return held, rest
}

// Put is [chunk.Store]. What is held is durable already.
func (v view) Put(ctx context.Context, chunks []chunk.Chunk) error {
	return v.base.Put(ctx, v.unheld(chunks))
}

func (v view) unheld(chunks []chunk.Chunk) []chunk.Chunk {
	v.s.mu.RLock()
	defer v.s.mu.RUnlock()
	if len(v.s.held) == 0 {
		return chunks
	}
	rest := make([]chunk.Chunk, 0, len(chunks))
	for _, c := range chunks {
		if _, ok := v.s.held[key{v.domain, c.ID()}]; !ok {
			rest = append(rest, c)
		}
	}
	return rest
}

// Missing is [chunk.Store].
func (v view) Missing(ctx context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	_, rest := v.split(ids)
	return v.base.Missing(ctx, rest)
}
