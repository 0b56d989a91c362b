package pack

import (
	"context"
	"fmt"
	"sync"

	"github.com/edgefs/edgefs/internal/vfs"
)

// writer is the one who commits the batches of a lane: while one is written and synced, the next one fills. Where that is large by then, it is
// written while the one before is synced.
type writer struct {
	d       *Device
	lane    lane
	limit   int         // of a batch
	large   int         // bytes of a batch that is not kept waiting for the sync of the one before
	active  *pack       // of the goroutine that writes
	written chan *batch // from that to the one who syncs, in order

	mu       sync.Mutex
	forming  *batch
	free     []*batch
	unsynced int           // batches that were handed on to be synced
	changed  chan struct{} // closed when a batch was taken or got free
	closing  bool
	retired  uint64 // pack that takes no more, if it is the active one
	kick     chan struct{}
}

func newWriter(d *Device, l lane, active *pack) *writer {
	limit := int(min(batchSize, vfs.AlignUp(d.opts.PackSize/4)))
	free := []*batch{{}, {}, {}} // one fills, one is written, one is synced
	return &writer{
		d: d, lane: l, limit: limit, large: limit / 4, active: active,
		written: make(chan *batch, len(free)), free: free, changed: make(chan struct{}), kick: make(chan struct{}, 1),
	}
}

// slot is a place in a batch.
type slot struct {
	b       *batch
	place   []byte // for the payload and the padding after it
	outcome *outcome
}

// reserve finds a place for a chunk, and waits for one while two batches are full.
func (w *writer) reserve(ctx context.Context, it item) (slot, error) {
	for {
		if err := w.d.usable(); err != nil {
			return slot{}, err
		}
		s, wait, err := w.tryReserve(it)
		if wait == nil || err != nil {
			return s, err
		}
		w.wake()
		if err := w.d.await(ctx, wait); err != nil {
			return slot{}, err
		}
	}
}

func (w *writer) tryReserve(it item) (s slot, wait chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return slot{}, nil, ErrClosed
	}
	if w.forming == nil && len(w.free) > 0 {
		w.forming = w.free[len(w.free)-1]
		w.free = w.free[:len(w.free)-1]
		w.forming.reset()
	}
	b := w.forming
	if b == nil || !b.fits(int(it.length), w.limit) {
		return slot{}, w.changed, nil
	}
	i := b.add(it, w.limit)
	return slot{b, b.place(i), b.outcome}, nil, nil
}

// fill copies a chunk to its place, in the goroutine of who puts it.
func (s slot) fill(data []byte) {
	n := copy(s.place, data)
	clear(s.place[n:])
	s.b.copying.Done()
}

func (w *writer) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

func (w *writer) close() {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.wake()
}

// commitAll commits batch after batch until the device is closed.
func (w *writer) commitAll() {
	var syncing sync.WaitGroup
	syncing.Go(w.completeAll)
	defer syncing.Wait()
	defer close(w.written)
	for range w.kick {
		w.obey()
		for {
			b, closing := w.take()
			if b == nil && closing {
				return
			}
			if b == nil {
				break
			}
			b.copying.Wait()
			w.commit(b)
		}
	}
}

// retire has a pack sealed if it is the active one.
func (w *writer) retire(generation uint64) {
	w.mu.Lock()
	w.retired = generation
	w.mu.Unlock()
	w.wake()
}

// obey does what retire asks for. It is for the goroutine that commits.
func (w *writer) obey() {
	w.mu.Lock()
	generation := w.retired
	w.retired = 0
	w.mu.Unlock()
	if w.active != nil && w.active.generation == generation {
		w.abandon()
	}
}

func (w *writer) take() (b *batch, closing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b = w.forming
	if b == nil || len(b.items) == 0 {
		return nil, w.closing
	}
	if w.unsynced > 0 && b.n < w.large && !w.closing { // it fills on: another sync would only wait for the one that is under way
		return nil, false
	}
	w.forming = nil
	w.broadcast()
	return b, false
}

// broadcast wakes all who wait for a place. Called with the lock.
func (w *writer) broadcast() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// finish tells the outcome and makes the batch free for others.
func (w *writer) finish(b *batch, err error) {
	w.d.flights.land(b.claimed()...)
	b.outcome.err = err
	close(b.outcome.done)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free = append(w.free, b)
	w.broadcast()
}

// commit writes a batch, and makes it durable and findable, or has that done while the next one is written.
func (w *writer) commit(b *batch) {
	if err := w.write(b); err != nil {
		w.finish(b, err)
	} else if w.handsOn() {
		w.written <- b
	} else {
		w.finish(b, w.complete(b))
	}
}

// handsOn says whether the next batch should be written now. What follows on a batch that was handed on is handed on too, so that they are completed in
// the order in which they lie.
func (w *writer) handsOn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unsynced == 0 && (w.forming == nil || w.forming.n < w.large) {
		return false
	}
	w.unsynced++
	return true
}

// completeAll completes what is handed on.
func (w *writer) completeAll() {
	for b := range w.written {
		err := w.complete(b)
		w.mu.Lock()
		w.unsynced--
		w.mu.Unlock()
		w.finish(b, err)
		w.wake()
	}
}

// write puts the batch into a pack.
func (w *writer) write(b *batch) error {
	if err := w.d.Err(); err != nil {
		return err
	}
	if err := w.d.indexHasRoom(); err != nil {
		return err
	}
	p, err := w.packFor(vfs.AlignUp(int64(b.n)), len(b.items))
	if err != nil {
		return err
	}
	out := b.stamp(p.packInfo, p.next)
	end := p.next + int64(len(out))
	if end > p.written {
		out = b.ahead(out, p.capacity-p.next)
	}
	if _, err := p.w.WriteAt(out, p.next); vfs.IsFull(err) { // where the file system promises no room: nobody knows what was written
		w.abandon()
		return fullOr(err)
	} else if err != nil {
		return w.d.fail(err)
	}
	p.written = max(p.written, p.next+int64(len(out)))
	b.pack, b.end = p, end
	p.take(b)
	return nil
}

// complete makes a batch that was written durable and then findable. When it returns nil, durable chunks survive a power cut. Where a batch before this
// one could not be synced, nor is this one: what a sync says after one that failed is worth nothing.
func (w *writer) complete(b *batch) error {
	defer b.pack.underway.Done()
	if err := w.d.Err(); err != nil {
		return err
	}
	if err := w.persist(b.pack); err != nil {
		return w.d.fail(err)
	}
	b.pack.add(b)
	if err := w.d.publish(b); err != nil {
		return w.d.fail(err)
	}
	return nil
}

// persist waits until what was written to a pack is on the medium. Cached chunks may vanish, so nobody waits for those.
func (w *writer) persist(p *pack) error {
	if p.lane == cacheLane {
		return nil
	}
	return p.w.Sync()
}

// packFor is the active pack, or a new one when the batch does not fit.
func (w *writer) packFor(size int64, records int) (*pack, error) {
	if w.active != nil && w.active.room(size, records) {
		return w.active, nil
	}
	p, err := w.d.createPack(w.lane, size, records)
	if isFull(err) {
		return nil, err // what is left of the active pack may do for a smaller batch
	}
	if err != nil {
		return nil, w.d.fail(err)
	}
	w.abandon()
	w.active = p
	return p, nil
}

// abandon hands the active pack over to be sealed.
func (w *writer) abandon() {
	if w.active != nil {
		w.d.sealing <- w.active
		w.active = nil
	}
}

// publish brings a batch into the index, once it is durable.
func (d *Device) publish(b *batch) error {
	set, were := make([]Pair, 0, len(b.items)), make([]Entry, 0, len(b.items))
	d.indexing.Lock()
	defer d.indexing.Unlock()
	for i := range b.items {
		it := &b.items[i]
		was := it.was
		if was.Class != 0 { // it may have been found damaged, or collected, meanwhile
			was = Entry{}
			if err := d.index.Lookup([]Key{it.key}, func(_ int, e Entry) { was = e }); err != nil {
				return fmt.Errorf("index: %w", err)
			}
		}
		if it.moves && was != it.was {
			continue
		}
		set, were = append(set, Pair{it.key, it.entry()}), append(were, was)
	}
	if err := d.index.Apply(set, nil); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, p := range set {
		d.stats.add(p.Entry, 1)
		d.stats.add(were[i], -1)
	}
	return nil
}
