package spread

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
)

// view is the devices as a domain and a class see them.
type view struct {
	s      *Store
	domain chunk.Domain
	tag    pack.Tag
	class  chunk.Class
}

// alone is the segment's only device, which then answers for itself, or nil.
func (v *view) alone(members []*member) chunk.Store {
	if len(members) > 1 {
		return nil
	}
	d, _ := members[0].state()
	if d == nil {
		return nil
	}
	return d.OpenTagged(v.domain, v.tag, v.class)
}

// Missing is [chunk.Store]. Copies count that can be relied on: not those of a device that has failed, or is not there.
func (v *view) Missing(ctx context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	members := *v.s.members.Load()
	if d := v.alone(members); d != nil {
		return d.Missing(ctx, ids)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rest := distinct(ids)
	for _, m := range members {
		d, _ := m.sound()
		if d == nil || len(rest) == 0 {
			continue
		}
		missing, err := d.OpenTagged(v.domain, v.tag, v.class).Missing(ctx, rest)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			continue
		case m.hasUnread():
			missing = v.withUnread(m, rest, missing)
		}
		rest = missing
	}
	return rest, nil
}

// withUnread are those of ids that are missing, or known not to be readable.
func (v *view) withUnread(m *member, ids, missing []chunk.ID) []chunk.ID {
	var all []chunk.ID
	for _, id := range ids {
		if len(missing) > 0 && missing[0] == id {
			missing = missing[1:]
		} else if !m.isUnread(v.tag, id) {
			continue
		}
		all = append(all, id)
	}
	return all
}

// distinct are ids without repetition, in order.
func distinct(ids []chunk.ID) []chunk.ID {
	if len(ids) < 2 {
		return ids
	}
	seen := make(map[chunk.ID]struct{}, len(ids))
	all := make([]chunk.ID, 0, len(ids))
	for _, id := range ids {
		if _, twice := seen[id]; !twice {
			seen[id] = struct{}{}
			all = append(all, id)
		}
	}
	return all
}

// Put is [chunk.Store]. What is put at once goes to one device, and where that one cannot take it, to the next.
func (v *view) Put(ctx context.Context, chunks []chunk.Chunk) error {
	members := *v.s.members.Load()
	if d := v.alone(members); d != nil {
		return d.Put(ctx, chunks)
	}
	chunks, err := v.lacking(ctx, chunks)
	if err != nil || len(chunks) == 0 {
		return err
	}
	suits := func(m *member) bool {
		if !m.hasUnread() {
			return true
		}
		for _, c := range chunks {
			if m.isUnread(v.tag, c.ID()) {
				return false // it takes its copy for whole
			}
		}
		return true
	}
	err = v.s.write(ctx, v.class, chunks[0].ID(), suits, func(d *pack.Device) error { return d.OpenTagged(v.domain, v.tag, v.class).Put(ctx, chunks) })
	if err != nil {
		return fmt.Errorf("put %d chunks: %w", len(chunks), err)
	}
	return nil
}

// lacking are those of chunks that no device holds.
func (v *view) lacking(ctx context.Context, chunks []chunk.Chunk) ([]chunk.Chunk, error) {
	ids := make([]chunk.ID, len(chunks))
	for i, c := range chunks {
		ids[i] = c.ID()
	}
	missing, err := v.Missing(ctx, ids)
	if err != nil || len(missing) == len(chunks) {
		return chunks, err
	}
	lacking := make([]chunk.Chunk, 0, len(missing))
	for _, c := range chunks {
		if len(missing) > 0 && c.ID() == missing[0] {
			lacking = append(lacking, c)
			missing = missing[1:]
		}
	}
	return lacking, nil
}

// write writes a batch that begins with first to the best of the devices that suit and can. Where all that can are full it is chunk.ErrFull, else
// chunk.ErrUnavailable.
func (s *Store) write(ctx context.Context, class chunk.Class, first chunk.ID, suits func(*member) bool, put func(*pack.Device) error) error {
	var able []*member
	var ranked []candidate
	var full, other error
	for _, m := range *s.members.Load() {
		d, err := m.writable()
		switch {
		case d == nil:
			other = errors.Join(other, fmt.Errorf("device %s: %w", m.folder, err))
		case suits(m):
			able, ranked = append(able, m), append(ranked, m.candidate(d))
		}
	}
	for _, i := range order(ranked, class, first) {
		err := able[i].write(put)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err = fmt.Errorf("device %s: %w", able[i].folder, err)
		if errors.Is(err, chunk.ErrFull) {
			able[i].room.Store(0)
			full = errors.Join(full, err)
			continue
		}
		other = errors.Join(other, err)
	}
	if full != nil {
		return full
	}
	return fmt.Errorf("%w: no device takes writes: %w", chunk.ErrUnavailable, cmp.Or(other, errNoneSuits))
}

var errNoneSuits = errors.New("those that do cannot read what they hold")

// Get is [chunk.Store]. A copy that cannot be read is looked for on the other devices.
func (v *view) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	members := v.s.members.Load()
	if d := v.alone(*members); d != nil {
		return d.Get(ctx, ids, yield)
	}
	r := reading{view: v, rest: distinct(ids), yield: yield}
	for {
		r.failed = failures{}
		for _, m := range *members {
			if err := r.from(ctx, m); err != nil {
				return err
			}
			if len(r.rest) == 0 {
				return nil
			}
		}
		now := v.s.members.Load()
		if now == members {
			return r.failed.worst(r.rest)
		}
		members = now // what was drained meanwhile lies elsewhere
	}
}

// reading is one Get.
type reading struct {
	*view
	rest   []chunk.ID // not yielded yet
	yield  func(chunk.Chunk) error
	failed failures
}

// failures gathers why chunks could not be served.
type failures struct{ unavailable, corrupt error }

func (f *failures) note(err error) {
	if errors.Is(err, chunk.ErrCorrupt) && !errors.Is(err, chunk.ErrUnavailable) {
		f.corrupt = err
		return
	}
	f.unavailable = err
}

// worst is why rest could not be served. Where nothing failed, the chunks are absent.
func (f *failures) worst(rest []chunk.ID) error {
	switch {
	case f.unavailable != nil && errors.Is(f.unavailable, chunk.ErrUnavailable):
		return f.unavailable
	case f.unavailable != nil:
		return fmt.Errorf("%w: %w", chunk.ErrUnavailable, f.unavailable)
	case f.corrupt != nil:
		return f.corrupt
	}
	return fmt.Errorf("chunk %v: %w", rest[0], chunk.ErrNotFound)
}

// from yields what a device has of the rest. What it returns is for the caller of Get.
func (r *reading) from(ctx context.Context, m *member) error {
	d, err := m.readable()
	if d == nil {
		r.failed.note(fmt.Errorf("device %s: %w", m.folder, err))
		return nil
	}
	missing, err := d.Lacks(ctx, r.tag, r.rest)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.failed.note(fmt.Errorf("device %s: %w", m.folder, err))
		return nil
	}
	if len(missing) == len(r.rest) {
		return nil
	}
	return r.read(ctx, m, d, without(r.rest, missing), missing)
}

// without are those of ids that are not among some of them, which come in the same order.
func without(ids, some []chunk.ID) []chunk.ID {
	if len(some) == 0 {
		return ids
	}
	rest := make([]chunk.ID, 0, len(ids)-len(some))
	for _, id := range ids {
		if len(some) > 0 && some[0] == id {
			some = some[1:]
			continue
		}
		rest = append(rest, id)
	}
	return rest
}

// read yields what a device holds; others are the rest.
func (r *reading) read(ctx context.Context, m *member, d *pack.Device, held, others []chunk.ID) error {
	got := make(map[chunk.ID]struct{}, len(held))
	var stopped error
	err := d.OpenTagged(r.domain, r.tag, r.class).Get(ctx, held, func(c chunk.Chunk) error {
		got[c.ID()] = struct{}{}
		stopped = r.yield(c)
		return stopped
	})
	switch {
	case stopped != nil:
		return stopped
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		r.rest = others
		return nil
	}
	var failed []chunk.ID
	for _, id := range held {
		if _, ok := got[id]; !ok {
			failed = append(failed, id)
		}
	}
	r.rest = append(failed, others...)
	if !errors.Is(err, chunk.ErrNotFound) { // else it has moved on
		r.failed.note(fmt.Errorf("device %s: %w", m.folder, err))
	}
	if errors.Is(err, chunk.ErrUnavailable) && !errors.Is(err, pack.ErrStalled) && !errors.Is(err, pack.ErrClosed) {
		r.noteUnread(ctx, m, d, failed)
	}
	return nil
}

// noteUnread notes what a device should have and did not give. What was damaged it has forgotten.
func (r *reading) noteUnread(ctx context.Context, m *member, d *pack.Device, ids []chunk.ID) {
	missing, err := d.OpenTagged(r.domain, r.tag, chunk.Cache).Missing(ctx, ids)
	if err != nil {
		return
	}
	var keys []pack.Key
	for _, id := range without(ids, missing) {
		keys = append(keys, pack.Key{Tag: r.tag, ID: id})
	}
	m.noteUnread(keys)
}
