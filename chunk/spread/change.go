package spread

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"

	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/vfs"
)

// Add makes an empty folder a device of the segment, or takes one in again that was the segment's. It takes writes when Add returns, and is found at the next start.
// A folder that holds something else is left as it is: [ErrTaken], with pack.ErrOwned where it is another segment's.
func (s *Store) Add(ctx context.Context, dir string) (pack.ID, error) {
	s.changes.Lock()
	defer s.changes.Unlock()
	if err := s.ctx.Err(); err != nil {
		return pack.ID{}, pack.ErrClosed
	}
	members := *s.members.Load()
	m, err := s.make(ctx, members, dir)
	if err != nil {
		return pack.ID{}, fmt.Errorf("add device %s: %w", dir, err)
	}
	all := append(slices.Clip(members), m)
	if err := s.save(all); err != nil {
		return pack.ID{}, errors.Join(fmt.Errorf("add device %s: %w", dir, err), m.close())
	}
	s.members.Store(&all)
	s.log.Info("a device was added", "dir", dir, "device", m.id())
	return m.id(), nil
}

// make opens the device in a folder that may be added.
func (s *Store) make(ctx context.Context, members []*member, dir string) (*member, error) {
	if !filepath.IsAbs(dir) || len(dir) > maxPath {
		return nil, fmt.Errorf("%w: want an absolute path", ErrTaken)
	}
	if len(members) == maxDevices {
		return nil, fmt.Errorf("%w: a segment has %d devices at most", ErrTaken, maxDevices)
	}
	m := newMember(s, entry{use: serving, path: path.Clean(dir)})
	close(m.ended)
	o := s.deviceOptions(m.entry)
	found, err := pack.Look(o.FS, o.Dir)
	switch {
	case errors.Is(err, pack.ErrAbsent):
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrTaken, err)
	case slices.ContainsFunc(members, func(m *member) bool { return m.id() == found.Device }):
		return nil, fmt.Errorf("%w: it is a device of the segment already", ErrTaken)
	case found.Owner != s.opts.Owner:
		return nil, fmt.Errorf("%w: %w", ErrTaken, pack.ErrOwned)
	}
	if err := s.adopt(members); err != nil {
		return nil, err
	}
	d, err := pack.Open(ctx, o)
	if errors.Is(err, vfs.ErrLocked) {
		err = fmt.Errorf("%w: %w", ErrTaken, err)
	}
	if err != nil {
		return nil, err
	}
	m.enter(d)
	return m, nil
}

// adopt has the device that the segment began with say whose it is, before there is a second one.
func (s *Store) adopt(members []*member) error {
	if s.listed {
		return nil
	}
	d, err := members[0].state()
	if d == nil {
		return err
	}
	return d.Adopt(s.opts.Owner)
}

// save makes the list durable. Called with the lock of changes.
func (s *Store) save(members []*member) error {
	entries := make([]entry, len(members))
	for i, m := range members {
		m.mu.Lock()
		entries[i] = m.entry
		m.mu.Unlock()
	}
	if err := writeList(s.opts.FS, s.opts.Dir, entries); err != nil {
		return err
	}
	s.listed = true
	return nil
}

// find is the device of that name.
func (s *Store) find(id pack.ID) (*member, error) {
	for _, m := range *s.members.Load() {
		if m.id() == id {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%v: %w", id, ErrNoDevice)
}

// Drain has a device take no new chunks, and moves what it holds durably to the others, also after a restart. It returns when that has begun.
func (s *Store) Drain(id pack.ID) error {
	s.changes.Lock()
	defer s.changes.Unlock()
	m, err := s.find(id)
	if err != nil {
		return err
	}
	others := func(o *member) bool { d, _ := o.writable(); return o != m && d != nil }
	if !slices.ContainsFunc(*s.members.Load(), others) {
		return fmt.Errorf("drain %v: %w", id, ErrLast)
	}
	return s.turn(m, draining)
}

// turn changes what a device is there for, and makes that durable. Called with the lock of changes.
func (s *Store) turn(m *member, to use) error {
	m.mu.Lock()
	was := m.entry.use
	m.entry.use = to
	m.mu.Unlock()
	if was != to {
		if err := s.save(*s.members.Load()); err != nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.entry.use = was
			return err
		}
	}
	if to == serving {
		m.endDrain()
		return nil
	}
	m.mu.Lock()
	over := m.drain != nil && m.drain.isDone()
	m.mu.Unlock()
	if over { // it looks once more
		m.endDrain()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.device != nil && s.ctx.Err() == nil {
		m.startDrain()
	}
	return nil
}

// Undrain ends a drain: the device takes writes again. What was moved stays where it came to.
func (s *Store) Undrain(id pack.ID) error {
	s.changes.Lock()
	defer s.changes.Unlock()
	m, err := s.find(id)
	if err != nil {
		return err
	}
	return s.turn(m, serving)
}

// HoldsError says what a device holds and no other does. It is [ErrHolds].
type HoldsError struct {
	Left  Left
	Known bool  // else the device cannot be asked
	Why   error // why not
}

func (e *HoldsError) Error() string {
	if !e.Known {
		return fmt.Sprintf("%v: what it alone holds cannot be counted: %v", ErrHolds, e.Why)
	}
	return fmt.Sprintf("%v, drain it first: %d chunks (%d bytes) are on no other device", ErrHolds, e.Left.Chunks, e.Left.Bytes)
}

// Is makes it [ErrHolds].
func (e *HoldsError) Is(err error) bool { return err == ErrHolds }

// Remove takes a device out of the segment. Its folder is left as it is. Where the device alone holds chunks, or cannot be asked, it is refused with a [HoldsError] and
// nothing changes, unless they are to be lost.
func (s *Store) Remove(ctx context.Context, id pack.ID, lose bool) error {
	s.changes.Lock()
	defer s.changes.Unlock()
	m, err := s.find(id)
	if err != nil {
		return err
	}
	members := *s.members.Load()
	if len(members) == 1 {
		return fmt.Errorf("remove %v: %w", id, ErrLast)
	}
	if lose {
		err = m.shut(ctx)
	} else {
		err = s.holdsNothing(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("remove %v: %w", id, err)
	}
	rest := slices.DeleteFunc(slices.Clone(members), func(o *member) bool { return o == m })
	if err := s.save(rest); err != nil {
		return fmt.Errorf("remove %v: %w", id, err)
	}
	s.members.Store(&rest)
	s.log.Info("a device was removed", "dir", m.folder, "device", id)
	m.remove()
	return nil
}

// holdsNothing refuses what would lose chunks. Only of a device that takes no writes it can be said that it holds none.
func (s *Store) holdsNothing(ctx context.Context, m *member) error {
	d, err := m.readable()
	if d == nil {
		return &HoldsError{Why: err}
	}
	m.mu.Lock()
	drained := m.entry.use == draining
	m.mu.Unlock()
	if drained {
		if err := m.await(ctx); err != nil {
			return err
		}
	}
	left, err := s.left(ctx, m)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &HoldsError{Why: err}
	}
	if left != (Left{}) || !drained {
		return &HoldsError{Left: left, Known: true}
	}
	return nil
}

// shut has a device take no writes, until the process ends, so that nothing is acknowledged that goes with it.
func (m *member) shut(ctx context.Context) error {
	m.mu.Lock()
	m.entry.use = draining
	m.mu.Unlock()
	if d, _ := m.readable(); d == nil {
		return nil // nobody waits for its word any more
	}
	return m.await(ctx)
}

// remove closes a device that is not of the list any more.
func (m *member) remove() {
	err := m.close()
	if err != nil {
		m.s.log.Warn("a device that was removed was not closed in order", "dir", m.folder, "err", err)
	}
	if !errors.Is(err, pack.ErrStalled) { // else its index is in use, and goes at the next start
		m.s.sweepIndexes()
	}
}
