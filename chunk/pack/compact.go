package pack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

const (
	compactDead  = 30      // percent, by default
	compactLeast = 1 << 20 // bytes of no use for which a pack that is being written is given up, or an eighth of a pack
)

// remains is what is left of use in a pack.
type remains struct {
	p          *pack
	size, live int64
	sealed     bool
}

func (r remains) dead() int64 { return max(r.size-r.live, 0) }

// Compact is [chunk.Sweep]. Of a pack the live records are copied into the one that is being written, like new ones; once those are durable and the index leads
// to them, durably too, the pack goes. So it takes the room of one pack at a time, and none for packs that are all dead, which go first.
func (s *sweep) Compact(ctx context.Context, o chunk.Compaction) (done chunk.Compacted, err error) {
	if s.live == nil {
		return done, errors.New("compact: nothing was expunged before")
	}
	if err := s.d.enter(ctx); err != nil {
		return done, err
	}
	defer s.d.leave()
	todo := s.plan(cmp.Or(o.Dead, compactDead))
	for i, r := range todo {
		done.Dead = deadIn(todo[i:])
		if err == nil {
			err = errors.Join(ctx.Err(), s.d.Err())
		}
		if err != nil {
			break
		}
		var copied int64
		copied, err = s.d.compact(ctx, r, o.Rate)
		done.Copied += copied
		switch {
		case err == nil:
			done.Files, done.Freed, done.Dead = done.Files+1, done.Freed+r.size, deadIn(todo[i+1:])
		case errors.Is(err, errStays):
			s.d.log.Warn("a pack is not compacted", "file", r.p.name, "err", err)
			done.Skipped, err = done.Skipped+1, nil
		}
		if o.Done != nil {
			o.Done(done)
		}
	}
	if err != nil {
		err = fmt.Errorf("compact: %w", err)
	}
	return done, err
}

func deadIn(rs []remains) (n int64) {
	for _, r := range rs {
		n += r.dead()
	}
	return n
}

// plan lists the packs that are worth it, those with the least of use first.
func (s *sweep) plan(dead int) []remains {
	var todo []remains
	for _, r := range s.packs {
		r.live = s.live[r.p.generation]
		enough := r.sealed || r.dead() >= min(compactLeast, s.d.opts.PackSize/8)
		if enough && r.size > dataStart && r.dead()*100 >= r.size*int64(dead) {
			todo = append(todo, r)
		}
	}
	slices.SortStableFunc(todo, func(a, b remains) int { return cmp.Compare(a.live, b.live) })
	return todo
}

// remains are the packs that there are now, without what is of use in them.
func (d *Device) remains() ([]remains, error) {
	var out []remains
	for _, p := range d.allPacks() {
		p.mu.Lock()
		r := remains{p: p, size: p.end, sealed: p.sealed}
		p.mu.Unlock()
		if r.sealed {
			info, err := d.opts.FS.Stat(p.name)
			if err != nil {
				return nil, err
			}
			r.size = info.Size
		}
		out = append(out, r)
	}
	return out, nil
}

// errStays says that a pack cannot go, and what is left in it stays as it is.
var errStays = errors.New("the pack stays")

// compact copies what is of use in a pack, and gives its file up.
func (d *Device) compact(ctx context.Context, r remains, rate int64) (copied int64, err error) {
	if err := d.settle(ctx, r.p); err != nil {
		return 0, err
	}
	s := recordReader{d: d}
	records, err := s.records(ctx, r.p)
	if err != nil {
		return 0, err
	}
	if s.footers > 0 { // records may be left that were not found
		return 0, fmt.Errorf("%w: its footer is damaged", errStays)
	}
	live, err := s.live(records)
	if err != nil {
		return 0, err
	}
	for len(live) > 0 {
		n := spanOf(live)
		size, err := d.move(ctx, &s, r.p.packInfo, live[:n])
		copied += size
		if err == nil {
			err = pace(ctx, size, rate)
		}
		if err != nil {
			return copied, err
		}
		live = live[n:]
	}
	if live, err = s.live(records); err != nil {
		return copied, err
	}
	if len(live) > 0 {
		return copied, fmt.Errorf("%w: %d records cannot be moved", errStays, len(live))
	}
	return copied, d.discard(r.p)
}

// settle waits until a pack takes no more, and is sealed.
func (d *Device) settle(ctx context.Context, p *pack) error {
	d.lanes[p.lane].retire(p.generation)
	for range 2 { // what was sealed already, or is sealed now
		p.mu.Lock()
		sealed := p.sealed
		p.mu.Unlock()
		if sealed {
			return nil
		}
		select {
		case <-p.settled:
		case <-d.ending:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%w: it is not sealed", errStays)
}

// move copies records that lie together, and waits until the copies are durable and the index leads to them. A damaged one is dropped, as a scrub does.
func (d *Device) move(ctx context.Context, s *recordReader, i packInfo, chunks []found) (int64, error) {
	from := chunks[0].entry.Offset
	buf := d.buffers.get(int(chunks[len(chunks)-1].end() - from))
	defer buf.Release()
	if err := d.read(i.generation, buf, from); errors.Is(err, chunk.ErrCorrupt) {
		return 0, fmt.Errorf("%w: %w", errStays, err)
	} else if err != nil {
		return 0, err
	}
	var outcomes []*outcome
	size := int64(0)
	for _, f := range chunks {
		at := buf.data[f.entry.Offset-from:]
		if !s.whole(i, f, at) {
			if err := s.drop(f); err != nil {
				return size, err
			}
			continue
		}
		payload := at[recordSize:][:f.entry.Length]
		copied, err := d.copyRecord(ctx, i.lane, f, payload)
		if err != nil {
			return size, err
		}
		size += int64(len(payload))
		if n := len(outcomes); n == 0 || outcomes[n-1] != copied {
			outcomes = append(outcomes, copied)
		}
	}
	d.lanes[i.lane].wake()
	return size, d.awaitAll(ctx, outcomes)
}

// copyRecord puts a live record into the batch that is filling; with its outcome, for which the lane may have to be woken, the index leads to the copy.
func (d *Device) copyRecord(ctx context.Context, l lane, f found, payload []byte) (*outcome, error) {
	slot, err := d.lanes[l].reserve(ctx, item{
		record: record{key: f.key, class: f.entry.Class, length: f.entry.Length, size: f.entry.Size, codec: f.entry.Codec, sum: payloadSum(payload)},
		was:    f.entry, moves: true,
	})
	if err != nil {
		return nil, err
	}
	slot.fill(payload)
	return slot.outcome, nil
}

// pace waits for as long as size bytes may take.
func pace(ctx context.Context, size, rate int64) error {
	if rate <= 0 || size == 0 {
		return ctx.Err()
	}
	wait := time.NewTimer(time.Duration(min(float64(size)/float64(rate), 60) * float64(time.Second)))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	maxSpares = 2 // files that are kept to be recycled, with their room,
	spareRoom = 8 // while so many times that of a pack is free
)

// discard gives up the file of a pack that the index does not lead to. The index is durable before, so that it never leads to what is gone. A pack's
// number is not given out again: so the last one's file stays, as a spare, if without its room.
func (d *Device) discard(p *pack) error {
	if err := d.indexHasRoom(); err != nil {
		return err
	}
	p.discardable()
	free, err := d.opts.FS.Free(d.opts.Dir)
	if err != nil {
		return err
	}
	if err := d.index.SetNote(packNote(p.generation), nil); err != nil {
		return d.fail(fmt.Errorf("index: %w", err))
	}
	if err := d.index.Sync(); err != nil {
		return d.fail(fmt.Errorf("index: %w", err))
	}
	d.mu.Lock()
	delete(d.packs, p.generation)
	last, spares := d.last == p.generation, len(d.spares)
	d.mu.Unlock()
	d.handles.forget(p.generation)
	keep := spares < maxSpares && free > spareRoom*d.opts.PackSize
	if !last && !keep {
		return d.opts.FS.Remove(p.name) // should it come back it is read, and garbage
	}
	spare := spareName(d.opts.Dir, p.generation)
	if err := publish(d.opts.FS, p.name, spare); err != nil { // durable before it is written to under another number
		return d.fail(err)
	}
	if !keep {
		err = shrink(d.opts.FS, spare)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spares = append(d.spares, spare)
	return err
}

// shrink gives the room of a file back.
func shrink(sys vfs.FS, name string) error {
	f, err := sys.Open(name, vfs.Write)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(0), f.Close())
}
