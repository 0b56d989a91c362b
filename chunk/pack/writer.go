package pack

import (
	"context"
	"fmt"
	"sync"

	"github.com/edgefs/edgefs/internal/vfs"
)

// writer is the one who commits the batches of a lane: while one is written and synced, the next one fills.
type writer struct {
	d      *Device
	lane   lane
	limit  int   // of a batch
	active *pack // of the goroutine that commits

	mu      sync.Mutex
	forming *batch
	free    []*batch
	changed chan struct{} // closed when a batch was taken or got free
	closing bool
	retired uint64 // pack that takes no more, if it is the active one
	kick    chan struct{}
}

func newWriter(d *Device, l lane, active *pack) *writer {
	limit := int(min(batchSize, vfs.AlignUp(d.opts.PackSize/4)))
	return &writer{d: d, lane: l, limit: limit, active: active, free: []*batch{{}, {}}, changed: make(chan struct{}), kick: make(chan struct{}, 1)}
}

// slot is a place in a batch.
type slot struct {
	w       *writer
	b       *batch
	i       int    // of the item
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
	return slot{w, b, i, b.place(i), b.outcome}, nil, nil
}

// fill copies a chunk to its place, in the goroutine of who puts it.
func (s slot) fill(data []byte) {
	n := copy(s.place, data)
	clear(s.place[n:])
	sum := payloadSum(data)
	s.w.mu.Lock()
	s.b.items[s.i].sum = sum
	s.w.mu.Unlock()
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
			w.finish(b, w.commit(b))
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
	for i := range b.items {
		if it := &b.items[i]; !it.moves {
			w.d.flights.land(it.key)
		}
	}
	b.outcome.err = err
	close(b.outcome.done)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free = append(w.free, b)
	w.broadcast()
}

// commit makes a batch durable and then findable.
func (w *writer) commit(b *batch) error {
	if err := w.d.Err(); err != nil {
		return err
	}
	if err := w.d.indexHasRoom(); err != nil {
		return err
	}
	if err := w.write(b); err != nil {
		return err
	}
	if err := w.d.publish(b); err != nil {
		return w.d.fail(err)
	}
	return nil
}

// write puts the batch into a pack. When it returns nil, durable chunks survive a power cut.
func (w *writer) write(b *batch) error {
	p, err := w.packFor(vfs.AlignUp(int64(b.n)), len(b.items))
	if err != nil {
		return err
	}
	out := b.stamp(p.packInfo, p.end)
	if _, err := p.w.WriteAt(out, p.end); vfs.IsFull(err) { // where the file system promises no room: nobody knows what was written
		w.abandon()
		return fullOr(err)
	} else if err != nil {
		return w.d.fail(err)
	}
	if err := w.persist(p); err != nil {
		return w.d.fail(err)
	}
	p.add(b, int64(len(out)))
	return nil
}

// persist waits until the batch is on the medium. Cached chunks may vanish, so nobody waits for those.
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
	for i, p := range set {
		d.count(p.Entry, were[i])
	}
	return nil
}
