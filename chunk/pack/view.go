package pack

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// view is a device as a domain and a class see it.
type view struct {
	d      *Device
	domain chunk.Domain
	tag    Tag
	class  chunk.Class
}

// keys are those of distinct ids, in order.
func (v view) keys(ids []chunk.ID) []Key {
	if len(ids) == 1 {
		return []Key{{v.tag, ids[0]}}
	}
	keys := make([]Key, 0, len(ids))
	seen := make(map[chunk.ID]struct{}, len(ids))
	for _, id := range ids {
		if _, twice := seen[id]; twice {
			continue
		}
		seen[id] = struct{}{}
		keys = append(keys, Key{v.tag, id})
	}
	return keys
}

// Missing is [chunk.Store].
func (v view) Missing(ctx context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	if err := v.d.enter(ctx); err != nil {
		return nil, err
	}
	defer v.d.leave()
	keys := v.keys(ids)
	held := make([]bool, len(keys))
	if err := v.d.index.Lookup(keys, func(i int, e Entry) { held[i] = e.serves(v.class) }); err != nil {
		return nil, fmt.Errorf("%w: %w", chunk.ErrUnavailable, err)
	}
	var missing []chunk.ID
	for i, k := range keys {
		if !held[i] {
			missing = append(missing, k.ID)
		}
	}
	return missing, nil
}

// enter says whether the device can be asked now. It then stays open until leave.
func (d *Device) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("%w: %w", chunk.ErrUnavailable, ErrClosed)
	}
	d.users.Add(1)
	return nil
}

func (d *Device) leave() { d.users.Done() }

// Put is [chunk.Store].
func (v view) Put(ctx context.Context, chunks []chunk.Chunk) error {
	if err := v.d.enter(ctx); err != nil {
		return err
	}
	defer v.d.leave()
	todo := v.distinct(chunks)
	for len(todo) > 0 {
		keys := make([]Key, len(todo))
		for i, c := range todo {
			keys[i] = Key{v.tag, c.ID()}
		}
		mine, theirs, wait := v.d.flights.claim(keys)
		if err := v.write(ctx, pick(todo, mine), pick(keys, mine)); err != nil {
			return fmt.Errorf("put %d chunks: %w", len(chunks), err)
		}
		for f := range wait {
			select {
			case <-f.landed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		todo = pick(todo, theirs) // the others may have failed, or have kept them at a lesser class
	}
	return nil
}

func (v view) distinct(chunks []chunk.Chunk) []chunk.Chunk {
	seen := make(map[chunk.ID]struct{}, len(chunks))
	distinct := make([]chunk.Chunk, 0, len(chunks))
	for _, c := range chunks {
		if _, twice := seen[c.ID()]; !twice {
			seen[c.ID()] = struct{}{}
			distinct = append(distinct, c)
		}
	}
	return distinct
}

func pick[T any](from []T, at []int) []T {
	if len(at) == len(from) {
		return from
	}
	to := make([]T, len(at))
	for i, k := range at {
		to[i] = from[k]
	}
	return to
}

// write writes those chunks that are not held, all of which it has claimed. A claim ends when the chunk's batch does.
func (v view) write(ctx context.Context, chunks []chunk.Chunk, keys []Key) error {
	w := v.d.lanes[laneOf(v.class)]
	defer w.wake()
	written := 0
	defer func() {
		for _, k := range keys[written:] {
			v.d.flights.land(k)
		}
	}()
	was := make([]Entry, len(keys))
	if err := v.d.index.Lookup(keys, func(i int, e Entry) { was[i] = e }); err != nil {
		return err
	}
	var outcomes []*outcome
	for i, c := range chunks {
		if was[i].Class != 0 && was[i].serves(v.class) {
			v.d.flights.land(keys[i])
			written++
			continue
		}
		f := v.form(c)
		s, err := w.reserve(ctx, keys[i], v.class, f, was[i])
		if err != nil {
			return err
		}
		written++
		s.fill(f.payload)
		v.d.forms.put(f.lent)
		if n := len(outcomes); n == 0 || outcomes[n-1] != s.outcome {
			outcomes = append(outcomes, s.outcome)
		}
	}
	w.wake()
	return await(ctx, outcomes)
}

func await(ctx context.Context, outcomes []*outcome) error {
	for _, o := range outcomes {
		select {
		case <-o.done:
			if o.err != nil {
				return o.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
