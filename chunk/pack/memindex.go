package pack

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// MemoryIndex is an Index in memory. Across a crash that a test stages, [MemoryIndex.Crash] keeps what a disk might.
type MemoryIndex struct {
	mu      sync.RWMutex
	entries map[Key]Entry
	notes   map[string][]byte

	durable *MemoryIndex // as of the last Sync
	changed map[Key]bool // since
	noted   map[string]bool
}

// NewMemoryIndex makes an empty index.
func NewMemoryIndex() *MemoryIndex {
	x := &MemoryIndex{durable: &MemoryIndex{}}
	x.clear()
	x.durable.clear()
	return x
}

func (x *MemoryIndex) clear() {
	x.entries, x.notes = map[Key]Entry{}, map[string][]byte{}
	x.changed, x.noted = map[Key]bool{}, map[string]bool{}
}

// Lookup is [Index.Lookup].
func (x *MemoryIndex) Lookup(keys []Key, found func(i int, e Entry)) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for i, k := range keys {
		if e, ok := x.entries[k]; ok {
			found(i, e)
		}
	}
	return nil
}

// Apply is [Index.Apply].
func (x *MemoryIndex) Apply(set []Pair, remove []Key) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range set {
		x.entries[p.Key] = p.Entry
		x.changed[p.Key] = true
	}
	for _, k := range remove {
		delete(x.entries, k)
		x.changed[k] = true
	}
	return nil
}

// All is [Index.All].
func (x *MemoryIndex) All(yield func(Key, Entry) error) error {
	x.mu.RLock()
	entries := maps.Clone(x.entries)
	x.mu.RUnlock()
	for k, e := range entries {
		if err := yield(k, e); err != nil {
			return err
		}
	}
	return nil
}

// Note is [Index.Note].
func (x *MemoryIndex) Note(name string) ([]byte, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.notes[name], nil
}

// Notes is [Index.Notes].
func (x *MemoryIndex) Notes(prefix string, yield func(string, []byte) error) error {
	x.mu.RLock()
	notes := maps.Clone(x.notes)
	x.mu.RUnlock()
	for name, value := range notes {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if err := yield(name, value); err != nil {
			return err
		}
	}
	return nil
}

// SetNote is [Index.SetNote].
func (x *MemoryIndex) SetNote(name string, value []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.noted[name] = true
	if value == nil {
		delete(x.notes, name)
	} else {
		x.notes[name] = bytes.Clone(value)
	}
	return nil
}

// Sync is [Index.Sync].
func (x *MemoryIndex) Sync() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for k := range x.changed {
		copyKey(x.durable.entries, x.entries, k)
	}
	for n := range x.noted {
		copyKey(x.durable.notes, x.notes, n)
	}
	clear(x.changed)
	clear(x.noted)
	return nil
}

// copyKey makes k in to what it is in from.
func copyKey[K comparable, V any](to, from map[K]V, k K) {
	if v, ok := from[k]; ok {
		to[k] = v
	} else {
		delete(to, k)
	}
}

// Reset is [Index.Reset].
func (x *MemoryIndex) Reset() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.clear()
	x.durable.clear()
	return nil
}

// Close is [Index.Close]. The index can be used again, as one opened again.
func (x *MemoryIndex) Close() error { return nil }

// Crash is the index after a power cut: of what changed since the last Sync, each is kept or lost.
func (x *MemoryIndex) Crash(rng *rand.Rand) *MemoryIndex {
	x.mu.Lock()
	defer x.mu.Unlock()
	after := NewMemoryIndex()
	maps.Copy(after.entries, x.durable.entries)
	maps.Copy(after.notes, x.durable.notes)
	for _, k := range slices.SortedFunc(maps.Keys(x.changed), func(a, b Key) int { return a.ID.Compare(b.ID) }) {
		if rng.IntN(2) == 0 {
			copyKey(after.entries, x.entries, k)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(x.noted)) {
		if rng.IntN(2) == 0 {
			copyKey(after.notes, x.notes, n)
		}
	}
	maps.Copy(after.durable.entries, after.entries)
	maps.Copy(after.durable.notes, after.notes)
	return after
}
