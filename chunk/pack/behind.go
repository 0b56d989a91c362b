package pack

import (
	"maps"
	"slices"
	"sync"
)

// behind brings changes to an index later, many at once, so that nobody who puts a chunk waits for that. They count at once: they are looked up in memory.
// A crash loses those that were not brought, as it may lose anything of an index; they are found in the packs.
type behind struct {
	Index
	room func() error // why the index cannot be written to now, or nil

	mu      sync.RWMutex
	fresh   map[Key]Entry // changes that are to be brought; the zero Entry for one that is removed
	going   map[Key]Entry // that are being brought
	taken   int           // how often changes were, to be brought
	brought int           // and were
	hurry   bool          // they are brought, however few
	refused error         // there was no room the last time
	failed  error         // is final: the index is not what was said
	closing bool
	ready   sync.Cond // something may be to be brought
	done    sync.Cond // something was brought, or could not be
	ended   sync.WaitGroup
}

const (
	behindBatch = 4 << 10         // changes that are worth bringing
	behindMost  = 4 * behindBatch // that wait; who makes more waits too
)

// newBehind puts memory before an index. All later changes must come through it. It ends with Close or abandon.
func newBehind(x Index, room func() error) *behind {
	b := &behind{Index: x, room: room, fresh: map[Key]Entry{}}
	b.ready.L, b.done.L = &b.mu, &b.mu
	b.ended.Go(b.bringAll)
	return b
}

// Lookup is [Index.Lookup].
func (b *behind) Lookup(keys []Key, found func(i int, e Entry)) error {
	entries := make([]Entry, len(keys))
	var asked []int
	var ask []Key
	b.mu.RLock()
	for i, k := range keys {
		e, ok := b.change(k)
		if entries[i] = e; !ok {
			asked, ask = append(asked, i), append(ask, k)
		}
	}
	b.mu.RUnlock()
	if len(ask) > 0 {
		if err := b.Index.Lookup(ask, func(n int, e Entry) { entries[asked[n]] = e }); err != nil {
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

// change is what is in memory of a key. Called with the lock.
func (b *behind) change(k Key) (Entry, bool) {
	if e, ok := b.fresh[k]; ok {
		return e, true
	}
	e, ok := b.going[k]
	return e, ok
}

// Apply is [Index.Apply].
func (b *behind) Apply(set []Pair, remove []Key) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.fresh) >= behindMost && b.failed == nil && b.refused == nil {
		b.done.Wait()
	}
	if b.failed != nil {
		return b.failed
	}
	for _, p := range set {
		b.fresh[p.Key] = p.Entry
	}
	for _, k := range remove {
		b.fresh[k] = Entry{}
	}
	if len(b.fresh) >= behindBatch {
		b.ready.Signal()
	}
	return nil
}

// All is [Index.All].
func (b *behind) All(yield func(Key, Entry) error) error {
	b.mu.RLock()
	changed := maps.Clone(b.going)
	if changed == nil {
		changed = map[Key]Entry{}
	}
	maps.Copy(changed, b.fresh)
	b.mu.RUnlock()
	for k, e := range changed {
		if e.Class == 0 {
			continue
		}
		if err := yield(k, e); err != nil {
			return err
		}
	}
	return b.Index.All(func(k Key, e Entry) error {
		if _, ok := changed[k]; ok {
			return nil
		}
		return yield(k, e)
	})
}

// Sync is [Index.Sync].
func (b *behind) Sync() error {
	if err := b.flush(); err != nil {
		return err
	}
	return b.Index.Sync()
}

// flush waits until all changes that were made before are brought.
func (b *behind) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	until := b.taken
	if len(b.fresh) > 0 {
		until++
	}
	b.refused = nil
	for b.brought < until && b.failed == nil && b.refused == nil {
		b.hurry = true
		b.ready.Signal()
		b.done.Wait()
	}
	if b.failed != nil {
		return b.failed
	}
	return b.refused
}

// bringAll brings changes until the index is closed.
func (b *behind) bringAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.failed == nil {
		for !b.closing && !b.due() {
			b.hurry = false
			b.ready.Wait()
		}
		if len(b.fresh) == 0 && b.going == nil {
			return
		}
		b.bringSome()
		if b.refused != nil && b.closing {
			return
		}
	}
}

// due says whether changes should be brought now. Called with the lock.
func (b *behind) due() bool {
	waiting := len(b.fresh) + len(b.going) // of these some where there was no room
	return waiting >= behindBatch || b.hurry && waiting > 0
}

// bringSome brings what there is. Called with the lock, which it gives up meanwhile.
func (b *behind) bringSome() {
	if b.going == nil {
		b.going, b.fresh = b.fresh, make(map[Key]Entry, behindBatch)
		b.taken++
	}
	b.mu.Unlock()
	refused := b.room()
	var failed error
	if refused == nil {
		failed = b.bring(b.going)
	}
	b.mu.Lock()
	b.refused, b.failed = refused, failed
	if refused == nil && failed == nil {
		b.going = nil
		b.brought++
	}
	b.done.Broadcast()
	if refused != nil && !b.closing {
		b.hurry = false
		b.ready.Wait() // until somebody changes something, or asks
	}
}

func (b *behind) bring(changes map[Key]Entry) error {
	set, remove := make([]Pair, 0, len(changes)), []Key(nil)
	for k, e := range changes {
		if e.Class == 0 {
			remove = append(remove, k)
		} else {
			set = append(set, Pair{k, e})
		}
	}
	slices.SortFunc(set, func(a, b Pair) int { return a.Key.ID.Compare(b.Key.ID) }) // neighbours in an index that is sorted cost half as much
	return b.Index.Apply(set, remove)
}

// Reset is [Index.Reset].
func (b *behind) Reset() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.going != nil && b.failed == nil && b.refused == nil {
		b.done.Wait()
	}
	clear(b.fresh)
	clear(b.going)
	return b.Index.Reset()
}

// abandon ends what newBehind began, and brings what it can. The index behind stays open.
func (b *behind) abandon() {
	b.mu.Lock()
	b.closing = true
	b.mu.Unlock()
	b.ready.Signal()
	b.ended.Wait()
}

// Close is [Index.Close].
func (b *behind) Close() error {
	b.abandon()
	return b.Index.Close()
}
