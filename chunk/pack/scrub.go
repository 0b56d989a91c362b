package pack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

// Scrubbing is [chunk.Scrubbing], and who is told of what the disk did not give: an error of Unread ends the scrub.
type Scrubbing struct {
	chunk.Scrubbing
	Unread func([]Key) error
}

var errScrubbing = fmt.Errorf("%w: the device is being scrubbed already", chunk.ErrUnavailable)

// Scrub is [chunk.Scrubber], of one device. It reads the packs in the order in which they were written, from the disk itself. The position is durable after each pack.
func (d *Device) Scrub(ctx context.Context, o Scrubbing) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.leave()
	if !d.scrubbing.TryLock() {
		return errScrubbing
	}
	defer d.scrubbing.Unlock()
	if o.Clock == nil {
		o.Clock = time.Now
	}
	s := scrub{recordReader: recordReader{d: d, domains: map[Tag]chunk.Domain{}}, o: o}
	for _, domain := range o.Domains {
		s.domains[TagOf(domain)] = domain
	}
	if !s.begin() {
		return nil
	}
	ctx, done := d.whileOpen(ctx)
	defer done()
	err := s.run(ctx)
	// What was found in a pack that is not done was found; the rest of it is counted when it is read again.
	s.pass.Damaged += s.count.Damaged
	s.pass.Rewritten += s.count.Rewritten
	return errors.Join(err, s.keep())
}

// whileOpen is a context that ends when the device is closed, too. done is to be called.
func (d *Device) whileOpen(ctx context.Context) (_ context.Context, done func()) {
	ctx, stop := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-d.ending:
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { stop(); <-over }
}

// Scrubbed is how far the scrub of the device is, and how many chunks are lost.
func (d *Device) Scrubbed() chunk.Scrubbed {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pass
	return chunk.Scrubbed{Began: p.began, Ended: p.ended, Files: int(p.files), AllFiles: int(p.all), ScrubCount: p.ScrubCount, Lost: len(d.lost)}
}

// scrub is one call of Scrub.
type scrub struct {
	recordReader
	o     Scrubbing
	pass  pass             // as of the last pack that is done
	count chunk.ScrubCount // since then
}

// begin takes up the pass that is under way, or begins one if it is time.
func (s *scrub) begin() bool {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.pass = s.d.pass
	if s.pass.underWay() {
		return true
	}
	if !s.pass.began.Before(s.o.Since) {
		return false
	}
	s.pass = pass{began: s.o.Clock().Truncate(time.Millisecond).UTC(), upTo: s.d.last, all: uint32(len(s.d.packs))}
	return true
}

// keep makes the position durable. On a full disk the old one stays.
func (s *scrub) keep() error {
	s.d.mu.Lock()
	s.d.pass = s.pass
	s.d.mu.Unlock()
	if s.d.indexHasRoom() != nil {
		return nil
	}
	if err := s.d.index.SetNote(passNote, s.pass.encode()); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if err := s.d.index.Sync(); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return nil
}

// passed counts what was found, and makes that durable.
func (s *scrub) passed() error {
	for i, n := range counts(&s.pass.ScrubCount) {
		*n += *counts(&s.count)[i]
	}
	s.count = chunk.ScrubCount{}
	return s.keep()
}

func (s *scrub) run(ctx context.Context) error {
	if err := s.keep(); err != nil {
		return err
	}
	for _, p := range s.d.allPacks() {
		if p.generation < s.pass.next || p.generation > s.pass.upTo {
			continue
		}
		if err := s.pack(ctx, p); err != nil {
			return fmt.Errorf("pack %s: %w", p.name, err)
		}
		s.pass.next = p.generation + 1
		s.pass.files = min(s.pass.files+1, s.pass.all)
		if err := s.passed(); err != nil {
			return err
		}
		if s.o.Tell != nil {
			s.o.Tell()
		}
	}
	if err := s.entries(ctx); err != nil {
		return err
	}
	s.pass.next, s.pass.files, s.pass.ended = s.pass.upTo+1, s.pass.all, s.o.Clock().Truncate(time.Millisecond).UTC()
	return s.passed()
}

// pack reads what the index leads to in a pack.
func (s *scrub) pack(ctx context.Context, p *pack) error {
	f, err := s.d.openDirect(p.generation)
	if errors.Is(err, chunk.ErrCorrupt) { // it was compacted away, or is gone
		return s.loseAll(ctx, p.generation)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	records, err := s.footer(f, p)
	if err == nil {
		live, err := s.live(records)
		if err != nil {
			return err
		}
		return s.all(ctx, f, p.packInfo, live)
	}
	if errors.Is(err, ErrStalled) {
		return err
	}
	s.count.Footers++
	live, err := s.led(ctx, p.generation)
	if err != nil {
		return err
	}
	return s.all(ctx, f, p.packInfo, live)
}

// led is what the index leads to in a pack that does not tell what is in it.
func (s *scrub) led(ctx context.Context, generation uint64) (live []found, err error) {
	err = s.d.index.All(func(k Key, e Entry) error {
		if e.Generation == generation && len(live) < maxRecords {
			live = append(live, found{k, e})
		}
		return ctx.Err()
	})
	slices.SortFunc(live, func(a, b found) int { return cmp.Compare(a.entry.Offset, b.entry.Offset) })
	return live, err
}

// loseAll drops what the index leads to in a pack that is not there. A folder that was exchanged below the device, as by an umount, must cost nothing.
func (s *scrub) loseAll(ctx context.Context, generation uint64) error {
	if !s.d.hasPack(generation) {
		return nil
	}
	if found, err := Look(s.d.opts.FS, s.d.opts.Dir); err != nil || found.Device != s.d.id {
		return fmt.Errorf("%w: the device is not in its folder any more: %w", chunk.ErrUnavailable, cmp.Or(err, ErrAbsent))
	}
	live, err := s.led(ctx, generation)
	for _, f := range live {
		err = errors.Join(err, s.lose(f))
	}
	return err
}

// all reads chunks of a pack, at the rate.
func (s *scrub) all(ctx context.Context, f *direct, i packInfo, live []found) error {
	for len(live) > 0 {
		n := spanOf(live)
		size := live[n-1].end() - live[0].entry.Offset
		if err := s.span(ctx, f, i, live[:n]); err != nil {
			return err
		}
		if err := pace(ctx, size, s.o.Rate); err != nil {
			return err
		}
		live = live[n:]
	}
	return nil
}

// span reads chunks that lie together.
func (s *scrub) span(ctx context.Context, f *direct, i packInfo, chunks []found) error {
	from := chunks[0].entry.Offset
	buf := s.d.buffers.get(int(chunks[len(chunks)-1].end() - from))
	defer buf.Release()
	switch err := readFull(f, buf.data, from); {
	case err == nil || errors.Is(err, errShort): // what the file does not have is zero, which is no record
	case errors.Is(err, ErrStalled):
		return err
	case len(chunks) > 1: // one bad sector must not hide the others
		for n := range chunks {
			if err := s.span(ctx, f, i, chunks[n:n+1]); err != nil {
				return err
			}
		}
		return nil
	default:
		return s.unread(chunks[0], err)
	}
	for _, f := range chunks {
		if err := s.judge(ctx, i, f, buf.data[f.entry.Offset-from:]); err != nil {
			return err
		}
	}
	return nil
}

func (s *scrub) unread(f found, err error) error {
	s.count.Unreadable++
	s.d.noteBad(f)
	s.d.log.Error("a chunk cannot be read", "id", f.key.ID, "pack", packName(s.d.opts.Dir, f.entry.Generation), "offset", f.entry.Offset, "err", err)
	if s.o.Unread == nil {
		return nil
	}
	return s.o.Unread([]Key{f.key})
}

// judge counts a record, and drops what is damaged from the index.
func (s *scrub) judge(ctx context.Context, i packInfo, f found, b []byte) error {
	s.count.Chunks++
	s.count.Bytes += int64(f.entry.Length)
	s.d.clearBad(f)
	switch s.look(i, f, b) {
	case unknown:
		s.count.Unknown++
	case unnamed:
		s.count.Unnamed++
	case damaged:
		return s.mend(ctx, i, f, b[recordSize:][:f.entry.Length])
	}
	return nil
}

// mend writes a payload once more of which only what surrounds it is damaged: no start from the packs alone would find it. All else is dropped.
func (s *scrub) mend(ctx context.Context, i packInfo, f found, payload []byte) error {
	if s.name(f, payload) == sound {
		s.d.log.Warn("the header of a chunk is damaged; it is written once more", "id", f.key.ID, "pack", packName(s.d.opts.Dir, f.entry.Generation), "offset", f.entry.Offset)
		if err := s.again(ctx, i.lane, f, payload); err != nil {
			return fmt.Errorf("write chunk %v once more: %w", f.key.ID, err)
		}
		s.count.Damaged++
		s.count.Rewritten++
		return nil
	}
	return s.lose(f)
}

// again writes a record once more, and waits until the index leads to the copy.
func (s *scrub) again(ctx context.Context, l lane, f found, payload []byte) error {
	copied, err := s.d.copyRecord(ctx, l, f, payload)
	if err != nil {
		return err
	}
	s.d.lanes[l].wake()
	return s.d.awaitAll(ctx, []*outcome{copied})
}

// lose drops what is not there. It may have been moved, or collected, meanwhile.
func (s *scrub) lose(f found) error {
	before := s.dropped
	err := s.drop(f)
	s.count.Damaged += s.dropped - before
	return err
}

// sampled is how many entries are looked at from the index's side at the end of a pass.
const sampled = 1 << 10

// entries looks from the side of the index: whether it leads to packs that are there, and, of a random sample, to records that are.
func (s *scrub) entries(ctx context.Context) error {
	var nowhere, some []found
	seen := 0
	err := s.d.index.All(func(k Key, e Entry) error {
		if !s.d.hasPack(e.Generation) {
			if len(nowhere) < maxRecords {
				nowhere = append(nowhere, found{k, e})
			}
			return ctx.Err()
		}
		if seen++; len(some) < sampled {
			some = append(some, found{k, e})
		} else if n := rand.IntN(seen); n < sampled {
			some[n] = found{k, e}
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	for _, f := range nowhere {
		if err := s.lose(f); err != nil {
			return err
		}
	}
	for _, f := range some {
		if err := s.entry(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// entry compares one entry with what is there.
func (s *scrub) entry(ctx context.Context, at found) error {
	f, err := s.d.openDirect(at.entry.Generation)
	if errors.Is(err, chunk.ErrCorrupt) {
		return nil // it was compacted away just now, or the pack's own turn shows that it is gone
	}
	if err != nil {
		return err
	}
	defer f.Close()
	before := s.count
	err = s.span(ctx, f, packInfo{s.d.id, at.entry.Generation, laneOf(at.entry.Class)}, []found{at})
	before.Damaged, before.Rewritten = s.count.Damaged, s.count.Rewritten
	s.count = before // the rest was counted with its pack
	if err != nil {
		return err
	}
	return pace(ctx, max(int64(at.entry.Length), vfs.Align), s.o.Rate)
}
