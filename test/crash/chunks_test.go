package crash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/spread"
	"github.com/edgefs/edgefs/segment"
)

// ofChunks says that a step is about where chunks lie; nobody sees anything of it.
func (s step) ofChunks() bool {
	return strings.HasPrefix(s.name, "collect") || strings.Contains(s.name, " device ")
}

// collect removes what nothing reaches, and copies what is left of packs that have any garbage.
func collect() step {
	return step{"collect", func(ctx context.Context, s *site) error {
		_, err := s.Collect(ctx, segment.CollectOptions{Compaction: chunk.Compaction{Dead: 1}})
		return err
	}}
}

// addDevice adds one in a folder of that name; it may be there already.
func addDevice(dir string) step {
	return step{"add device " + dir, func(ctx context.Context, s *site) error {
		if _, ok := s.device(dir); ok {
			return nil
		}
		_, err := s.devices.Add(ctx, dir)
		return s.failed(err)
	}}
}

// drain moves what a device holds to the others, and waits until it has.
func drain(dir string) step {
	return step{"drain device " + dir, func(ctx context.Context, s *site) error {
		st, ok := s.device(dir)
		if !ok {
			return fmt.Errorf("there is no device %s", dir)
		}
		if err := s.devices.Drain(st.ID); err != nil {
			return s.failed(err)
		}
		err := s.devices.Follow(ctx, st.ID, func(now spread.Status) bool { st = now; return st.State == spread.Draining && st.Why == "" })
		if err != nil || st.State == spread.Empty {
			return s.failed(err)
		}
		return s.failed(fmt.Errorf("%w: the drain does not go on: %s: %s", segment.ErrUnavailable, st.State, st.Why))
	}}
}

// removeDevice takes an empty device out; it may be done already.
func removeDevice(dir string) step {
	return step{"remove device " + dir, func(ctx context.Context, s *site) error {
		st, ok := s.device(dir)
		if !ok {
			return nil
		}
		return s.failed(s.devices.Remove(ctx, st.ID, false))
	}}
}

func (s *site) device(dir string) (spread.Status, bool) {
	all := s.devices.Devices()
	i := slices.IndexFunc(all, func(st spread.Status) bool { return st.Dir == dir })
	if i < 0 {
		return spread.Status{}, false
	}
	return all[i], true
}

// failed adds to an error what it comes from, where a device has failed or the power is cut: what is asked of devices says neither.
func (s *site) failed(err error) error {
	if err == nil {
		return nil
	}
	if slices.ContainsFunc(s.devices.Devices(), func(st spread.Status) bool { return st.State == spread.Failed }) {
		err = errors.Join(err, pack.ErrFailed, syscall.EIO)
	}
	return errors.Join(err, s.disk.isCut())
}

// collectAll collects, looks for chunks that nothing reaches even so, and sees that the next collection takes them away.
func collectAll() step {
	return step{"collect all", func(ctx context.Context, s *site) error {
		r, err := s.Collect(ctx, segment.CollectOptions{Compaction: chunk.Compaction{Dead: 1}})
		if err != nil {
			return s.failed(err)
		}
		s.disk.collected += r.Gone.Chunks
		useless, err := s.useless(ctx) // the first one's own nodes, at least
		if err != nil {
			return err
		}
		if _, err := s.Collect(ctx, segment.CollectOptions{}); err != nil {
			return s.failed(err)
		}
		there, err := s.chunkIDs()
		if err != nil {
			return err
		}
		for _, id := range useless {
			if slices.Contains(there, id) {
				return fmt.Errorf("nothing reached chunk %v before a collection, and it is there after it", id)
			}
		}
		return nil
	}}
}

// useless are chunks that nothing reaches, some of those that devices hold.
func (s *site) useless(ctx context.Context) (ids []chunk.ID, err error) {
	there, err := s.chunkIDs()
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(there); i += 1 + len(there)/30 {
		why, err := s.Explain(ctx, there[i])
		if err != nil {
			return nil, err
		}
		if len(why) == 0 {
			ids = append(ids, there[i])
		}
	}
	return ids, nil
}

// chunkIDs are the chunks that devices hold.
func (s *site) chunkIDs() (ids []chunk.ID, err error) {
	for _, st := range s.devices.Devices() {
		err = errors.Join(err, s.disk.index(st.Dir).All(func(k pack.Key, _ pack.Entry) error { ids = append(ids, k.ID); return nil }))
	}
	return ids, err
}
