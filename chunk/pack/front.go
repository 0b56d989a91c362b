package pack

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/bits-and-blooms/bloom/v3"
)

// front is an index that answers from memory what is asked most: where chunks read lately lie, and that a chunk is not held at all. It keeps
// nothing across a restart, so that it cannot contradict the index behind it. It costs 72 bytes for each place, and 1.2 to 2.4 bytes for each chunk.
type front struct {
	Index
	recent recent
	seen   seen

	removed atomic.Int64 // entries that were removed since, at the most
}

// newFront puts memory before an index of about that many chunks, with so many places for what is read. All later changes of the index must come
// through the front.
func newFront(x Index, chunks int64, places int) *front {
	f := &front{Index: x}
	f.recent.make(places)
	f.seen.grow(uint(2*max(chunks, 0)) + seenLeast)
	return f
}

// learn learns all that the index holds, which all yields: at least so many entries, unless they were removed meanwhile. From then on the front knows what the
// index lacks.
func (f *front) learn(ctx context.Context, all func(yield func(Key, Entry) error) error, held int64) error {
	learnt := int64(0)
	err := all(func(k Key, _ Entry) error {
		learnt++
		f.seen.add(k)
		return ctx.Err()
	})
	if err == nil && learnt+f.removed.Load() < held { // it ended early: what was not seen is not absent
		err = fmt.Errorf("%d entries of %d were read", learnt, held)
	}
	if err == nil {
		f.seen.complete()
	}
	return err
}

// Lookup is [Index.Lookup].
func (f *front) Lookup(keys []Key, found func(i int, e Entry)) error {
	var entries []Entry
	var asked []question
	var ask []Key
	for i, k := range keys {
		if f.seen.lacks(k) {
			continue
		}
		if entries == nil {
			entries = make([]Entry, len(keys))
		}
		e, mark := f.recent.get(k)
		if entries[i] = e; e.Class == 0 {
			asked, ask = append(asked, question{i, mark}), append(ask, k)
		}
	}
	if len(ask) > 0 {
		err := f.Index.Lookup(ask, func(n int, e Entry) {
			entries[asked[n].i] = e
			f.recent.learn(ask[n], e, asked[n].mark)
		})
		if err != nil {
			return err
		}
	}
	for i, e := range entries {
		if e.Class != 0 {
			found(i, e)
		}
	}
	return nil
}

// question is one that goes on to the index behind: which of the keys, and what recent was when it did not know.
type question struct {
	i    int
	mark uint64
}

// Apply is [Index.Apply].
func (f *front) Apply(set []Pair, remove []Key) error {
	for _, p := range set {
		f.seen.add(p.Key)
	}
	f.removed.Add(int64(len(remove)))
	err := f.Index.Apply(set, remove)
	for _, p := range set {
		f.recent.change(p.Key)
	}
	for _, k := range remove {
		f.recent.change(k)
	}
	return err
}

// Reset is [Index.Reset].
func (f *front) Reset() error {
	err := f.Index.Reset()
	f.recent.forget()
	return err
}

// recent is where chunks lie that were looked up lately: a table in which a key has one place, and the last one there stays.
type recent struct{ shards [recentShards]recentShard }

const (
	recentShards = 64
	recentPlaces = 1 << 16 // of all shards, by default
)

type recentShard struct {
	mu      sync.Mutex
	changes uint64 // of entries of the shard's keys, so that an older answer is not kept
	places  []Pair
}

func (r *recent) make(places int) {
	for i := range r.shards {
		r.shards[i].places = make([]Pair, max(places/recentShards, 1))
	}
}

// place of a key whose id is a hash.
func (r *recent) place(k Key) (*recentShard, *Pair) {
	h := binary.LittleEndian.Uint32(k.ID[:])
	s := &r.shards[h%recentShards]
	return s, &s.places[h/recentShards%uint32(len(s.places))]
}

// get returns the key's entry, or one without a class and the mark to learn it with.
func (r *recent) get(k Key) (e Entry, mark uint64) {
	s, p := r.place(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Key == k {
		return p.Entry, s.changes
	}
	return Entry{}, s.changes
}

// learn keeps what the index said after get, unless it may have changed since.
func (r *recent) learn(k Key, e Entry, mark uint64) {
	s, p := r.place(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == mark {
		*p = Pair{k, e}
	}
}

// change forgets a key whose entry has changed.
func (r *recent) change(k Key) {
	s, p := r.place(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	if p.Key == k {
		*p = Pair{}
	}
}

func (r *recent) forget() {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		s.changes++
		clear(s.places)
		s.mu.Unlock()
	}
}

// seen tells keys that an index certainly lacks: Bloom filters (Bloom, CACM 1970), each twice as large as the one before, of all keys that it
// ever held. Keys that are removed stay, and cost a question that was in vain.
type seen struct {
	mu      sync.RWMutex
	filters []*bloom.BloomFilter
	size    uint // keys that the last filter is made for
	room    uint // keys that it still takes
	whole   bool // no key of the index is missing
}

const (
	seenLeast  = 1 << 18
	seenErrors = 0.01 // part of the keys that it takes wrongly for held
)

func (s *seen) grow(size uint) {
	s.filters = append(s.filters, bloom.NewWithEstimates(size, seenErrors))
	s.size, s.room = size, size
}

func (s *seen) add(k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room == 0 {
		s.grow(2 * s.size)
	}
	if !s.filters[len(s.filters)-1].TestOrAdd(k.ID[:]) {
		s.room--
	}
}

func (s *seen) complete() { s.mu.Lock(); defer s.mu.Unlock(); s.whole = true }

// lacks says whether no entry of the key was ever set.
func (s *seen) lacks(k Key) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.whole {
		return false
	}
	for _, f := range s.filters {
		if f.Test(k.ID[:]) {
			return false
		}
	}
	return true
}
