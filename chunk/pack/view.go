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
	if err := v.d.index.Lookup(keys, func(i int, e Entry) { held[i] = v.d.held(keys[i], e, v.class, true) }); err != nil {
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

// Lacks are those of ids, each once and in order, that the device has in no form: what is condemned, or stored in a way that this build does not know, it has,
// though neither counts as held.
func (d *Device) Lacks(ctx context.Context, tag Tag, ids []chunk.ID) ([]chunk.ID, error) {
	if err := d.enter(ctx); err != nil {
		return nil, err
	}
	defer d.leave()
	keys := view{tag: tag}.keys(ids)
	has := make([]bool, len(keys))
	if err := d.index.Lookup(keys, func(i int, _ Entry) { has[i] = true }); err != nil {
		return nil, fmt.Errorf("%w: %w", chunk.ErrUnavailable, err)
	}
	var lacks []chunk.ID
	for i, k := range keys {
		if !has[i] {
			lacks = append(lacks, k.ID)
		}
	}
	return lacks, nil
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
	chunks = v.distinct(chunks)
	keys := make([]Key, len(chunks))
	for i, c := range chunks {
		keys[i] = Key{v.tag, c.ID()}
	}
	if err := v.d.put(ctx, v.class, keys, func(i int) form { return v.form(chunks[i]) }, always); err != nil {
		return fmt.Errorf("put %d chunks: %w", len(chunks), err)
	}
	return nil
}

func always(int) bool { return true }

// put keeps the chunks of distinct keys at a class, those that are not held: in a form that can be read, where theirs is readable. formOf gives the form of one,
// when it is needed.
func (d *Device) put(ctx context.Context, class chunk.Class, keys []Key, formOf func(i int) form, readable func(i int) bool) error {
	todo := make([]int, len(keys))
	for i := range todo {
		todo[i] = i
	}
	for len(todo) > 0 {
		mine, theirs, wait := d.flights.claim(pick(keys, todo))
		if err := d.write(ctx, class, keys, pick(todo, mine), formOf, readable); err != nil {
			return err
		}
		for _, landed := range wait {
			if err := d.await(ctx, landed); err != nil {
				return err
			}
		}
		todo = pick(todo, theirs) // the others may have failed, or have kept them at a lesser class
	}
	return nil
}

func (v view) distinct(chunks []chunk.Chunk) []chunk.Chunk {
	if len(chunks) == 1 {
		return chunks
	}
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

// write writes those of the keys, all of which are claimed, that are not held. A claim ends when the chunk's batch does.
func (d *Device) write(ctx context.Context, class chunk.Class, all []Key, claimed []int, formOf func(i int) form, readable func(i int) bool) error {
	w := d.lanes[laneOf(class)]
	keys, written := pick(all, claimed), 0
	defer func() { d.flights.land(keys[written:]...) }()
	was := make([]Entry, len(keys))
	if err := d.index.Lookup(keys, func(i int, e Entry) { was[i] = e }); err != nil {
		return err
	}
	var outcomes []*outcome
	for i, k := range keys {
		if d.held(k, was[i], class, readable(claimed[i])) || class == chunk.Cache && was[i].Class.Durable() { // what is condemned may be kept
			d.flights.land(k)
			written++
			continue
		}
		f := formOf(claimed[i])
		s, err := w.reserve(ctx, f.item(k, class, was[i]))
		if err != nil {
			w.wake() // for what has a place already
			return err
		}
		written++
		s.fill(f.payload)
		d.forms.put(f.lent)
		if n := len(outcomes); n == 0 || outcomes[n-1] != s.outcome {
			outcomes = append(outcomes, s.outcome)
		}
	}
	if len(outcomes) == 0 {
		return nil
	}
	w.wake()
	return d.awaitAll(ctx, outcomes)
}

func (d *Device) awaitAll(ctx context.Context, outcomes []*outcome) error {
	for _, o := range outcomes {
		if err := d.await(ctx, o.done); err != nil {
			return err
		}
		if o.err != nil {
			return o.err
		}
	}
	return nil
}

// await waits for what the disk does, as long as it answers and the caller cares.
func (d *Device) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-d.pulse.gone():
		return errStalled()
	}
}
