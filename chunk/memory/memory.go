// Package memory keeps chunks in memory: for tests of what stands on a store, and for a place that need not outlive its process.
package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"sync"

	"github.com/edgefs/edgefs/chunk"
)

// Device is a place in memory. What it holds counts as durable though it ends with the process.
type Device struct {
	mu     sync.RWMutex
	chunks map[key]held
	bytes  int64
}

// key tells the domains apart: ids of two of them say nothing about each other.
type key struct {
	domain chunk.ID // the name of nothing
	id     chunk.ID
}

type held struct {
	chunk chunk.Chunk
	class chunk.Class
}

// New makes an empty place.
func New() *Device { return &Device{chunks: map[key]held{}} }

// Open is [chunk.Opener].
func (d *Device) Open(domain chunk.Domain, class chunk.Class) chunk.Store {
	return view{d, domain, domain.Name(nil), class}
}

// Len is the number of chunks held, and of their bytes.
func (d *Device) Len() (chunks int, bytes int64) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.chunks), d.bytes
}

// Damage changes a byte of a chunk that is held, for tests; an empty one it forgets.
func (d *Device) Damage(domain chunk.Domain, id chunk.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := key{domain.Name(nil), id}
	data := d.chunks[k].chunk.Clone().Data()
	if len(data) == 0 {
		d.forget(k)
		return
	}
	data[len(data)/2] ^= 1
	d.chunks[k] = held{domain.Make(data), d.chunks[k].class}
}

// Wish is how a chunk that is held was wished to be stored, for tests.
func (d *Device) Wish(domain chunk.Domain, id chunk.ID) chunk.Compression {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.chunks[key{domain.Name(nil), id}].chunk.Compression()
}

// forget drops a chunk. Called with the lock.
func (d *Device) forget(k key) {
	d.bytes -= int64(d.chunks[k].chunk.Size())
	delete(d.chunks, k)
}

type view struct {
	d      *Device
	domain chunk.Domain
	space  chunk.ID
	class  chunk.Class
}

// Get is [chunk.Store].
func (v view) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	seen := make(map[chunk.ID]bool, len(ids))
	var damaged, absent error
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := v.get(id)
		if errors.Is(err, chunk.ErrCorrupt) {
			damaged = err
		} else if err != nil {
			absent = err
		} else if err := yield(c); err != nil {
			return err
		}
	}
	return cmp.Or(damaged, absent)
}

func (v view) get(id chunk.ID) (chunk.Chunk, error) {
	v.d.mu.RLock()
	h, ok := v.d.chunks[key{v.space, id}]
	v.d.mu.RUnlock()
	if !ok {
		return chunk.Chunk{}, fmt.Errorf("chunk %v: %w", id, chunk.ErrNotFound)
	}
	c, err := v.domain.Verify(id, h.chunk.Data())
	if err != nil {
		v.d.mu.Lock()
		defer v.d.mu.Unlock()
		v.d.forget(key{v.space, id})
	}
	return c, err
}

// Put is [chunk.Store].
func (v view) Put(ctx context.Context, chunks []chunk.Chunk) error {
	for _, c := range chunks {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.put(c)
	}
	return nil
}

func (v view) put(c chunk.Chunk) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	k := key{v.space, c.ID()}
	old, ok := v.d.chunks[k]
	if ok && serves(old.class, v.class) {
		return
	}
	v.d.forget(k)
	v.d.chunks[k] = held{c.Clone(), v.class}
	v.d.bytes += int64(c.Size())
}

// Missing is [chunk.Store].
func (v view) Missing(ctx context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v.d.mu.RLock()
	defer v.d.mu.RUnlock()
	var missing []chunk.ID
	seen := make(map[chunk.ID]bool, len(ids))
	for _, id := range ids {
		if h, ok := v.d.chunks[key{v.space, id}]; (!ok || !serves(h.class, v.class)) && !seen[id] {
			missing = append(missing, id)
		}
		seen[id] = true
	}
	return missing, nil
}

// serves says whether a copy of class have counts as held at class want.
func serves(have, want chunk.Class) bool { return have.Durable() || !want.Durable() }
