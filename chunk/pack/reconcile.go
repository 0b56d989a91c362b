package pack

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/edgefs/edgefs/chunk"
)

// doubted is an index that may lead to what is not there: after a crash, or where a pack is missing. Such entries are hidden, so that nobody is told that a
// chunk is held which is not, until all of the index was gone through.
type doubted struct {
	Index
	doubt atomic.Pointer[doubt] // nil for none
}

// doubt is what was there when the device was opened. To packs that were there then nothing is added any more.
type doubt struct {
	newest  uint64 // pack
	packs   map[uint64]bool
	scanned map[uint64]map[int64]bool // places of the records of those packs that the index was not said to hold wholly
	missing []uint64                  // packs that it was said to hold
	unnoted []uint64                  // packs that are sealed, of which it is to be said
}

// leads says whether an entry leads to something.
func (q *doubt) leads(e Entry) bool {
	if e.Generation > q.newest {
		return true
	}
	offsets, scanned := q.scanned[e.Generation]
	return q.packs[e.Generation] && (!scanned || offsets[e.Offset])
}

// Lookup is [Index.Lookup].
func (x *doubted) Lookup(keys []Key, found func(i int, e Entry)) error {
	q := x.doubt.Load()
	if q == nil {
		return x.Index.Lookup(keys, found)
	}
	return x.Index.Lookup(keys, func(i int, e Entry) {
		if q.leads(e) {
			found(i, e)
		}
	})
}

// All is [Index.All].
func (x *doubted) All(yield func(Key, Entry) error) error {
	q := x.doubt.Load()
	if q == nil {
		return x.Index.All(yield)
	}
	return x.Index.All(func(k Key, e Entry) error {
		if !q.leads(e) {
			return nil
		}
		return yield(k, e)
	})
}

// goThrough learns the index in the background, and settles what is in doubt. begin is called when nothing that changes from then on is missed.
func (d *Device) goThrough(ctx context.Context, begin func()) {
	q := d.doubted.doubt.Load()
	var err error
	if q == nil {
		begin()
		err = d.front.learn(ctx, d.front.All, d.Stats().chunks())
	} else {
		err = d.reconcile(ctx, q, begin)
	}
	if err != nil && ctx.Err() == nil {
		d.log.Warn("the index could not be read ahead; what is not held takes longer to tell", "err", err)
	}
}

// reconcile drops entries that lead to nothing, and counts the others: those that there were when it began, to which come the changes since, and go those
// figures that the device began with.
func (d *Device) reconcile(ctx context.Context, q *doubt, begin func()) error {
	begin = sync.OnceFunc(begin)
	defer begin()
	before, now := d.Stats(), Stats{Chunks: map[chunk.Class]Count{}}
	var stale []found
	all := func(yield func(Key, Entry) error) error { // behind memory, which is empty yet
		return d.doubted.Index.All(func(k Key, e Entry) error {
			begin()
			if q.leads(e) {
				now.add(e, 1)
				return yield(k, e)
			}
			if stale = append(stale, found{k, e}); len(stale) < expungeAtOnce {
				return ctx.Err()
			}
			err := d.dropStale(stale)
			stale = stale[:0]
			return err
		})
	}
	err := d.front.learn(ctx, all, 0)
	if err == nil {
		err = d.dropStale(stale)
	}
	if err == nil {
		err = d.notePacks(q)
	}
	if err != nil {
		return err
	}
	d.doubted.doubt.Store(nil) // the index leads to none of them any more
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range classes {
		d.stats.Chunks[c] = d.stats.Chunks[c].plus(now.Chunks[c], 1).plus(before.Chunks[c], -1)
	}
	return nil
}

// dropStale drops entries that lead to nothing, but for those of chunks that were put anew.
func (d *Device) dropStale(stale []found) error {
	if len(stale) == 0 {
		return nil
	}
	if err := d.indexHasRoom(); err != nil {
		return err
	}
	keys := make([]Key, len(stale))
	for i, f := range stale {
		keys[i] = f.key
	}
	d.indexing.Lock()
	defer d.indexing.Unlock()
	anew := make([]bool, len(keys))
	if err := d.index.Lookup(keys, func(i int, _ Entry) { anew[i] = true }); err != nil {
		return err
	}
	var drop []Key
	for i, f := range stale {
		if !anew[i] {
			drop = append(drop, f.key)
		}
		if f.entry.Class.Durable() {
			d.mu.Lock()
			d.stats.Corrupt++
			d.mu.Unlock()
			d.log.Error("a chunk that was held is gone", "id", f.key.ID, "pack", packName(d.opts.Dir, f.entry.Generation), "offset", f.entry.Offset)
		}
	}
	return d.index.Apply(nil, drop)
}

// notePacks notes, once that is durable, that the index holds all of the packs that there are, and nothing of others.
func (d *Device) notePacks(q *doubt) error {
	if err := d.index.Sync(); err != nil {
		return err
	}
	for _, g := range q.missing {
		if err := d.index.SetNote(packNote(g), nil); err != nil {
			return err
		}
	}
	for _, g := range q.unnoted {
		if !d.hasPack(g) {
			continue
		}
		if err := d.index.SetNote(packNote(g), []byte{1}); err != nil {
			return err
		}
	}
	return nil
}

// chunks is how many the figures say there are.
func (s Stats) chunks() (n int64) {
	for _, c := range s.Chunks {
		n += c.Chunks
	}
	return n
}
