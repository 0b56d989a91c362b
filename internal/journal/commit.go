package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"runtime"
	"time"

	"github.com/edgefs/edgefs/internal/vfs"
)

// commitAll writes batch after batch until the journal is closed or fails. A batch is what has arrived while the one before was synced; nothing
// waits for more to come.
func (j *Journal) commitAll() {
	defer close(j.done)
	defer close(j.batches)
	defer j.idle.Stop()
	for {
		batch, err := j.await()
		if err != nil {
			j.fail(err)
			return
		}
		if batch == nil {
			return
		}
		if err := j.commit(batch); err != nil {
			j.fail(err)
			return
		}
		j.batches <- batch
	}
}

// await returns the next batch, or nil when the journal is closed and empty. When nothing comes, it confirms the last batch by a mark.
func (j *Journal) await() ([]Record, error) {
	j.idle.Reset(j.opts.idle)
	for {
		j.gather()
		batch, closing := j.take()
		if batch != nil {
			return batch, nil
		}
		if closing {
			return nil, j.mark()
		}
		select {
		case <-j.kick:
		case <-j.closed:
		case <-j.idle.C:
			if err := j.mark(); err != nil {
				return nil, err
			}
		}
	}
}

// gather lets those run who are about to append: where processors are few, the batch would else be taken by the first of many that the last
// batch has just woken, and each would pay for a sync. It waits for nobody: with no one ready to run it returns at once.
func (j *Journal) gather() {
	for last := 0; ; {
		runtime.Gosched()
		j.mu.Lock()
		n, queued := len(j.queue), j.queued
		j.mu.Unlock()
		if n <= last || queued >= j.opts.MaxBatch {
			return
		}
		last = n
	}
}

// take removes the next batch from the queue.
func (j *Journal) take() (batch []Record, closing bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n, bytes := 0, int64(0)
	for ; n < len(j.queue); n++ {
		size := frameHeader + int64(len(j.queue[n].Data))
		if n > 0 && bytes+size > j.opts.MaxBatch {
			break
		}
		bytes += size
	}
	if n == 0 {
		return nil, j.closing
	}
	select {
	case batch = <-j.free:
	default:
	}
	if n == len(j.queue) {
		batch, j.queue = j.queue, batch
	} else {
		batch = append(batch, j.queue[:n]...)
		rest := copy(j.queue, j.queue[n:])
		clear(j.queue[rest:])
		j.queue = j.queue[:rest]
	}
	j.queued -= bytes
	j.room.Broadcast()
	return batch, false
}

// commit makes a batch durable, and then known.
func (j *Journal) commit(batch []Record) error {
	if j.opts.Alone {
		full, err := j.tendOnce()
		if full {
			err = ErrFull
		}
		if err != nil {
			return err
		}
	}
	h, err := j.write(batch[0].Pos, batch)
	if err != nil {
		return err
	}
	j.recent.add(batch)
	j.sealed = false
	j.acknowledge(h, batch)
	return nil
}

// acknowledge makes a batch that is durable known to those who wait.
func (j *Journal) acknowledge(h header, batch []Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range batch {
		j.reserved -= ownBatch(batch[i].Data)
	}
	j.last = h.next() - 1
	j.noteBatch(h)
	if j.news != nil {
		close(j.news)
		j.news = nil
	}
}

// noteBatch accounts for a batch in the current file. Called with the lock.
func (j *Journal) noteBatch(h header) {
	f := j.active
	if f.first == 0 {
		f.first = h.first
	}
	f.addMark(h)
	j.left = f.size - h.end()
}

// mark writes a batch without records, which proves that the one before it was synced: should that be found broken, it is damage and not a
// torn tail. Without room in the file, the next batch will be the proof.
func (j *Journal) mark() error {
	if j.sealed || !j.fits(batchSize(0)) {
		return nil
	}
	h, err := j.write(j.last+1, nil)
	if err != nil {
		return err
	}
	j.sealed = true
	j.mu.Lock()
	defer j.mu.Unlock()
	j.noteBatch(h)
	return nil
}

// write puts one batch on the medium: when it returns nil, the batch survives a power cut. Only one is ever on its way, so of all that a crash
// leaves only the last can be torn.
func (j *Journal) write(first uint64, batch []Record) (header, error) {
	h := header{first: first, count: uint32(len(batch)), prev: j.prev, life: j.life}

	for i := range batch {
		h.length += frameHeader + int64(len(batch[i].Data))
	}
	if err := j.makeRoom(batchSize(h.length)); err != nil {
		return h, err
	}
	h.generation, h.offset = j.active.generation, j.out.off
	if err := j.encode(&h, batch); err != nil {
		return h, err
	}
	if err := j.persist(); err != nil {
		return h, err
	}
	j.prev = h.sum
	return h, nil
}

// encode sends the batch to the file.
func (j *Journal) encode(h *header, batch []Record) error {
	var n [frameHeader]byte
	for i := range batch {
		binary.LittleEndian.PutUint32(n[:], uint32(len(batch[i].Data)))
		h.payload = payloadSum(payloadSum(h.payload, n[:]), batch[i].Data)
	}
	var b [batchHeader]byte
	h.encode(j.id, b[:])
	if err := j.out.put(b[:]); err != nil {
		return err
	}
	for i := range batch {
		binary.LittleEndian.PutUint32(n[:], uint32(len(batch[i].Data)))
		if err := j.out.put(n[:]); err != nil {
			return err
		}
		if err := j.out.put(batch[i].Data); err != nil {
			return err
		}
	}
	return j.out.finish()
}

func payloadSum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// persist waits until what was written is on the medium. Nothing is acknowledged before.
func (j *Journal) persist() error { return j.out.f.Sync() }

func (j *Journal) fits(size int64) bool { return j.out.off+size <= j.active.size }

// makeRoom goes on to the next file when the batch does not fit, and lets that grow for a batch larger than a file.
func (j *Journal) makeRoom(size int64) error {
	if j.fits(size) {
		return nil
	}
	if j.out.off > dataStart {
		if err := j.advance(); err != nil {
			return err
		}
	}
	if j.fits(size) {
		return nil
	}
	return j.grow(size)
}

// advance makes the next file the current one.
func (j *Journal) advance() error {
	next, err := j.nextFile()
	if err != nil {
		return err
	}
	signal(j.tend)
	old := j.active
	j.active = next
	j.out.f, j.out.off = next.w, dataStart
	return old.closeWrite()
}

// nextFile takes the file that was prepared, and waits for it when the preparation is behind or the disk is full.
func (j *Journal) nextFile() (*file, error) {
	for {
		j.mu.Lock()
		if len(j.ready) > 0 {
			f := j.ready[0]
			j.ready = j.ready[1:]
			j.files = append(j.files, f)
			j.left = f.size - dataStart
			j.stuck = false
			j.mu.Unlock()
			return f, nil
		}
		full := j.full
		j.mu.Unlock()
		if err := awaitRoom(j, full, j.tended); err != nil {
			return nil, err
		}
	}
}

// grow makes room for a batch that is larger than the current file, which is empty.
func (j *Journal) grow(size int64) error {
	f := j.active
	for {
		err := f.w.Allocate(dataStart + size)
		if err == nil {
			j.grown(f, dataStart+size)
			return nil
		}
		if !vfs.IsFull(err) {
			return err
		}
		timer := time.NewTimer(j.opts.retry)
		err = awaitRoom(j, true, timer.C)
		timer.Stop()
		if err != nil {
			return err
		}
	}
}

func (j *Journal) grown(f *file, size int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stuck = false
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = size
}

// awaitRoom waits for something to happen to the disk while the running batch has no place. A journal that is being closed does not wait for
// a full disk.
func awaitRoom[T any](j *Journal, full bool, event <-chan T) error {
	j.mu.Lock()
	j.stuck = full
	closing := j.closing
	j.room.Broadcast()
	j.mu.Unlock()
	closed := j.closed
	if closing {
		if full {
			return fmt.Errorf("%d records not committed: %w", j.pending(), ErrFull)
		}
		closed = nil
	}
	select {
	case <-event:
	case <-closed:
	case <-j.failed:
		return j.Err()
	}
	return nil
}

func (j *Journal) pending() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next - 1 - j.last
}

// applyAll hands the batches on.
func (j *Journal) applyAll() {
	for batch := range j.batches {
		if j.opts.Committed != nil {
			j.opts.Committed(batch)
		}
		clear(batch)
		select {
		case j.free <- batch[:0]:
		default:
		}
	}
}

// writer gathers what is written in an aligned buffer, which takes a batch of the usual size whole.
type writer struct {
	f   vfs.File
	off int64 // where the buffer begins in the file
	buf []byte
	n   int
}

func (w *writer) put(p []byte) error {
	for len(p) > 0 {
		if w.n == len(w.buf) {
			if err := w.flush(); err != nil {
				return err
			}
		}
		n := copy(w.buf[w.n:], p)
		w.n += n
		p = p[n:]
	}
	return nil
}

// finish pads what was put to a multiple of a block, and writes it.
func (w *writer) finish() error {
	end := int(vfs.AlignUp(int64(w.n)))
	clear(w.buf[w.n:end])
	w.n = end
	return w.flush()
}

func (w *writer) flush() error {
	n, err := w.f.WriteAt(w.buf[:w.n], w.off)
	if err != nil {
		return err
	}
	w.off += int64(n)
	w.n = 0
	return nil
}
