package spread

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
)

var _ chunk.Scrubber = (*Store)(nil)

// Scrub is [chunk.Scrubber]. The devices that can be relied on are read side by side, each at the rate: they are disks of their own, and one after the other a pass of a dozen of them would take
// longer than the time in which another disk fails. An error of one device does not keep the others from it.
func (s *Store) Scrub(ctx context.Context, o chunk.Scrubbing) error {
	members := *s.members.Load()
	errs := make([]error, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		all.Go(func() {
			err := m.scrub(ctx, o)
			m.noteScrub(ctx, err)
			if err != nil {
				errs[i] = fmt.Errorf("device %s: %w", m.folder, err)
			}
		})
	}
	all.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// scrub reads the device, unless it cannot be relied on: what it holds counts for nothing then.
func (m *member) scrub(ctx context.Context, o chunk.Scrubbing) error {
	d, err := m.sound()
	if d == nil {
		return err
	}
	return d.Scrub(ctx, pack.Scrubbing{Scrubbing: o, Unread: func(keys []pack.Key) error {
		m.noteUnread(keys)
		_, err := m.sound()
		return err
	}})
}

// noteScrub notes why the device is not scrubbed. A stop is no reason.
func (m *member) noteScrub(ctx context.Context, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unscrubbed = nil; ctx.Err() == nil {
		m.unscrubbed = err
	}
}

// Scrubbed is [chunk.Scrubber].
func (s *Store) Scrubbed() []chunk.Scrubbed {
	var all []chunk.Scrubbed
	for _, m := range *s.members.Load() {
		r := chunk.Scrubbed{}
		d, why := m.state()
		if d != nil {
			r = d.Scrubbed()
		}
		m.mu.Lock()
		if why == nil {
			why = m.unscrubbed
		}
		m.mu.Unlock()
		if why != nil {
			r.Why = why.Error()
		}
		r.Device = m.folder
		all = append(all, r)
	}
	return all
}

// Lost is [chunk.Scrubber]. What another device holds is not lost.
func (s *Store) Lost(ctx context.Context, domains []chunk.Domain) ([]chunk.Lost, error) {
	of := map[pack.Tag]chunk.Domain{}
	for _, d := range domains {
		of[pack.TagOf(d)] = d
	}
	lost := map[pack.Key]chunk.Lost{}
	for _, m := range *s.members.Load() {
		found, err := s.lostOf(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", m.folder, err)
		}
		for k, class := range found {
			if d, known := of[k.Tag]; known {
				lost[k] = chunk.Lost{Domain: d, ID: k.ID, Class: class}
			}
		}
	}
	return slices.Collect(maps.Values(lost)), nil
}

// lostOf are those chunks that one device lost, or its disk does not give, and no other holds.
func (s *Store) lostOf(ctx context.Context, m *member) (map[pack.Key]chunk.Class, error) {
	d, _ := m.readable()
	if d == nil {
		return nil, nil
	}
	lost, err := d.Lost(ctx)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	for k := range m.unread {
		lost[k] = chunk.Data
	}
	m.mu.Unlock()
	pairs := make([]pack.Pair, 0, len(lost))
	for k := range lost {
		pairs = append(pairs, pack.Pair{Key: k})
	}
	held, err := s.elsewhere(ctx, m, pairs)
	if err != nil {
		return nil, err
	}
	var back []pack.Key
	for i, p := range pairs {
		if held[i] {
			delete(lost, p.Key)
			back = append(back, p.Key)
		}
	}
	return lost, d.ForgetLost(ctx, back)
}

// Forget is [chunk.Scrubber].
func (s *Store) Forget(ctx context.Context, lost []chunk.Lost) error {
	keys := make([]pack.Key, len(lost))
	for i, l := range lost {
		keys[i] = pack.Key{Tag: pack.TagOf(l.Domain), ID: l.ID}
	}
	var all error
	for _, m := range *s.members.Load() {
		if d, _ := m.readable(); d != nil {
			all = errors.Join(all, d.ForgetLost(ctx, keys))
		}
	}
	return all
}
