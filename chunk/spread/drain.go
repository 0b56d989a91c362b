package spread

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
)

// Drained is how far a drain is.
type Drained struct {
	Chunks, Bytes int64  // that were to move when it began, or went on after a restart
	Passed        int64  // bytes of them that were looked at in this round
	Moved         int64  // bytes that were copied since it began, or went on
	Done          bool   // nothing durable is left on the device that no other holds
	Left          Left   // as last counted
	Why           string // why it does not get on at present; it goes on by itself
}

// Left is what a device holds durably and no other does.
type Left struct{ Chunks, Bytes int64 }

// drain moves away what a device holds. It copies, and changes nothing on the device that it drains, so that it can end at any point and begin anew: what is
// elsewhere already is only looked up.
type drain struct {
	m    *member
	from *pack.Device
	stop context.CancelFunc
	over chan struct{} // closed when it has ended

	mu      sync.Mutex
	now     Drained
	changed chan struct{} // closed at the next change of now
}

// startDrain begins to drain a device that is there. Called with the member's lock.
func (m *member) startDrain() {
	if m.drain != nil {
		return
	}
	ctx, stop := context.WithCancel(m.ctx)
	m.drain = &drain{m: m, from: m.device, stop: stop, over: make(chan struct{}), changed: make(chan struct{})}
	go m.drain.run(ctx) // endDrain waits for it
}

// endDrain ends a drain, if there is one, and waits.
func (m *member) endDrain() {
	m.mu.Lock()
	d := m.drain
	m.drain = nil
	m.mu.Unlock()
	if d != nil {
		d.stop()
		<-d.over
		d.note(func(*Drained) {}) // for who follows it
	}
}

// drainRetry is how long a drain that does not get on waits before it tries again.
const drainRetry = 10 * time.Second

func (d *drain) run(ctx context.Context) {
	defer close(d.over)
	select {
	case <-d.m.s.begun: // before that the others are being opened
	case <-ctx.Done():
	}
	if d.m.await(ctx) != nil || ctx.Err() != nil {
		return
	}
	for {
		err := d.round(ctx)
		if ctx.Err() != nil {
			return
		}
		d.note(func(n *Drained) {
			n.Why = ""
			if err != nil {
				n.Why = err.Error()
			}
		})
		if err == nil {
			d.m.s.log.Info("a device is drained, and can be removed", "dir", d.m.folder, "device", d.m.id())
			return
		}
		d.m.s.log.Warn("a drain does not get on", "dir", d.m.folder, "err", err)
		select {
		case <-time.After(drainRetry):
		case <-ctx.Done():
			return
		}
	}
}

// note changes what is told of the drain.
func (d *drain) note(change func(*Drained)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.now)
	close(d.changed)
	d.changed = make(chan struct{})
}

// progress is how far it is, and what is closed when that has changed.
func (d *drain) progress() (Drained, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now, d.changed
}

func (d *drain) isDone() bool { n, _ := d.progress(); return n.Done }

// round goes through the device once, and then through its index, which shows what the packs did not. It returns nil when nothing is left.
func (d *drain) round(ctx context.Context) error {
	s := d.m.s
	st := d.from.Stats().Chunks
	d.note(func(n *Drained) {
		n.Chunks, n.Bytes = st[chunk.Data].Chunks+st[chunk.Meta].Chunks, st[chunk.Data].Bytes+st[chunk.Meta].Bytes
		n.Passed = 0
	})
	c := carrier{ctx: ctx, d: d, began: time.Now()}
	lacking := func(entries []pack.Pair) ([]int, error) {
		held, err := s.elsewhere(ctx, d.m, entries)
		var todo []int
		passed := int64(0)
		for i, e := range entries {
			if err == nil && !held[i] {
				todo = append(todo, i)
				continue
			}
			passed += int64(e.Entry.Length)
		}
		d.note(func(n *Drained) { n.Passed += passed })
		return todo, err
	}
	skipped, err := d.from.Each(ctx, lacking, c.take)
	d.m.noteUnread(skipped.Unreadable) // so that they can be put again
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		return err
	}
	left, err := s.left(ctx, d.m)
	if err != nil {
		return err
	}
	d.note(func(n *Drained) { n.Left, n.Done = left, left == Left{} })
	switch {
	case left == Left{}:
		return nil
	case skipped.Err != nil:
		return fmt.Errorf("%d chunks cannot be read: %w", left.Chunks, skipped.Err)
	}
	return fmt.Errorf("%d chunks are still to be moved", left.Chunks)
}

// carrySize is what is written to another device at once, in bytes.
const carrySize = 4 << 20

// carrier gathers chunks of one class and writes them to other devices.
type carrier struct {
	ctx    context.Context
	d      *drain
	began  time.Time
	moved  int64
	class  chunk.Class
	size   int64
	chunks []pack.Stored
}

// take takes chunks, whose memory it does not keep.
func (c *carrier) take(chunks []pack.Stored) error {
	for _, k := range chunks {
		if len(c.chunks) > 0 && (k.Class != c.class || c.size+int64(len(k.Payload)) > carrySize) {
			if err := c.flush(); err != nil {
				return err
			}
		}
		k.Payload = bytes.Clone(k.Payload)
		c.class, c.size, c.chunks = k.Class, c.size+int64(len(k.Payload)), append(c.chunks, k)
	}
	return nil
}

// flush writes what was gathered, and waits for as long as the rate wants it.
func (c *carrier) flush() error {
	if len(c.chunks) == 0 {
		return nil
	}
	others := func(m *member) bool { return m != c.d.m }
	err := c.d.m.s.write(c.ctx, c.class, c.chunks[0].Key.ID, others, func(to *pack.Device) error { return to.Keep(c.ctx, c.class, c.chunks) })
	if err != nil {
		return err
	}
	c.moved += c.size
	c.d.note(func(n *Drained) { n.Moved += c.size; n.Passed += c.size })
	c.size, c.chunks = 0, c.chunks[:0]
	return c.pace()
}

func (c *carrier) pace() error {
	rate := c.d.m.s.opts.Rate
	if rate < 0 {
		return nil
	}
	due := time.Duration(float64(c.moved) / float64(rate) * float64(time.Second))
	select {
	case <-time.After(due - time.Since(c.began)):
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// elsewhere says which chunks of a device another one holds, of those that can be relied on and stay.
func (s *Store) elsewhere(ctx context.Context, from *member, entries []pack.Pair) ([]bool, error) {
	held := make([]bool, len(entries))
	at := make([]int, len(entries)) // of those that are still asked for
	for i := range entries {
		at[i] = i
	}
	asked := slices.Clone(entries)
	for _, m := range *s.members.Load() {
		d, _ := m.writable()
		if m == from || d == nil || len(asked) == 0 {
			continue
		}
		there, err := d.Held(ctx, asked)
		if err != nil {
			return nil, err
		}
		rest := 0
		for i, e := range asked {
			if there[i] && !m.isUnread(e.Key.Tag, e.Key.ID) {
				held[at[i]] = true
				continue
			}
			at[rest], asked[rest] = at[i], e
			rest++
		}
		at, asked = at[:rest], asked[:rest]
	}
	return held, nil
}

// left counts what a device holds durably and no other does.
func (s *Store) left(ctx context.Context, from *member) (Left, error) {
	d, err := from.state()
	if d == nil {
		return Left{}, err
	}
	const atOnce = 1024
	var left Left
	var entries []pack.Pair
	count := func() error {
		held, err := s.elsewhere(ctx, from, entries)
		for i := range held {
			if !held[i] {
				left.Chunks++
				left.Bytes += int64(entries[i].Entry.Length)
			}
		}
		entries = entries[:0]
		return err
	}
	err = d.Entries(ctx, func(k pack.Key, e pack.Entry) error {
		if !e.Class.Durable() {
			return nil
		}
		entries = append(entries, pack.Pair{Key: k, Entry: e})
		if len(entries) == atOnce {
			return count()
		}
		return nil
	})
	return left, errors.Join(err, count())
}
