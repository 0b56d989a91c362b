package segment

import (
	"context"
	"slices"
	"sync"
)

// lockAll is lock of several keys, for a write of all of them. Whoever takes several takes them in one order, and whoever takes one holds no other.
func (l *latches) lockAll(b BucketID, keys []string) (unlock func()) {
	shards := make([]uint64, len(keys))
	for i, k := range keys {
		shards[i] = l.shard(b, k)
	}
	slices.Sort(shards)
	shards = slices.Compact(shards)
	for _, i := range shards {
		l.shards[i].Lock()
	}
	return func() {
		for _, i := range shards {
			l.shards[i].Unlock()
		}
	}
}

// dirLatches keep a directory as it is while names are made in it, which share it, from those who take it away or must know that it has no
// names left, who are alone. They are taken before a bucket's gate. Writes of S3 clients take none: to them there are no directories.
type dirLatches struct {
	hash   latches // whose shards stand for these
	shards [1024]sync.RWMutex
}

// dirUse is a directory's key, and whether it is to be alone.
type dirUse struct {
	dir   string
	alone bool
}

func (l *dirLatches) lock(b BucketID, uses ...dirUse) (unlock func()) {
	alone := map[uint64]bool{}
	var order []uint64
	for _, u := range uses {
		i := l.hash.shard(b, u.dir)
		if _, ok := alone[i]; !ok {
			order = append(order, i)
		}
		alone[i] = alone[i] || u.alone
	}
	slices.Sort(order)
	for _, i := range order {
		if alone[i] {
			l.shards[i].Lock()
		} else {
			l.shards[i].RLock()
		}
	}
	return func() {
		for _, i := range order {
			if alone[i] {
				l.shards[i].Unlock()
			} else {
				l.shards[i].RUnlock()
			}
		}
	}
}

// views are several keys at one moment.
func (b *Bucket) views(keys []string) []keyView {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]keyView, len(keys))
	for i, key := range keys {
		out[i] = b.viewLocked(key)
	}
	return out
}

// fileWrite is a record in the making, of several keys of a bucket whose latches are held.
type fileWrite struct {
	b     *Bucket
	mode  Versioning
	views map[string]keyView
	heads map[string]head
	plan  plan
	done  func() // called when it was applied, with the latches held; may be nil
}

// writeKeys looks at keys and lets decide say what becomes of them, as one record: durable, and to every reader at once, when it returns. With
// errStop, or no effects, nothing is written.
func (b *Bucket) writeKeys(ctx context.Context, keys []string, decide func(*fileWrite) error) (err error) {
	ack, err := b.acknowledging()
	if err != nil {
		return err
	}
	defer ack.await(ctx, &err)
	leave, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer leave()
	defer b.s.latches.lockAll(b.id, keys)()
	w := &fileWrite{b: b, views: map[string]keyView{}, heads: map[string]head{}}
	for i, v := range b.views(keys) {
		if w.heads[keys[i]], err = v.head(ctx, keys[i]); err != nil {
			return err
		}
		w.views[keys[i]] = v
		w.mode = v.settings.Versioning
		w.plan = plan{b: b, own: v.own, r: &record{deps: v.deps}}
	}
	if err := decide(w); err != nil || len(w.plan.r.effects) == 0 {
		if err == errStop {
			err = nil
		}
		return err
	}
	first := w.plan.r.effects[0].key
	w.plan.hint = &hint{key: first, over: w.views[first].over, head: w.heads[first], base: w.views[first].base.at}
	if err := ack.submit(w.plan); err != nil {
		return err
	}
	if w.done != nil {
		w.done()
	}
	return nil
}

// content is what a reader of the key gets; nil when it is not there.
func (w *fileWrite) content(key string) *Version { return w.heads[key].content() }

// put makes a version of key like m, with the tags and the like that m was given since it was written, and which is complete when the write is done. It
// leaves a conflict open, as any plain write does.
func (w *fileWrite) put(key string, m Version) *Version {
	e := w.heads[key].address(key, w.mode, false)
	e.hold = &Version{Key: key, Null: w.mode != Versioned}
	m.carry(e.hold)
	e.hold.Attrs.Lock = Lock{}
	w.plan.r.effects = append(w.plan.r.effects, e)
	return e.hold
}

// remove does to key what a delete does: [Bucket.Delete].
func (w *fileWrite) remove(key string) {
	h := w.heads[key]
	e := h.address(key, w.mode, false)
	if w.mode != Unversioned || h.remains(e) {
		e.hold = &Version{Key: key, Null: w.mode != Versioned, Marker: true}
	}
	w.plan.r.effects = append(w.plan.r.effects, e)
}
