package spread

import (
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// sweep is a cycle of collection of all devices that can be relied on when it begins. The others have theirs another time: a copy that is not condemned is only garbage.
type sweep struct {
	s     *Store
	parts []part
}

type part struct {
	chunk.Sweep
	folder string
}

var _ chunk.Sweeper = (*Store)(nil)

var errNothingToSweep = fmt.Errorf("%w: no device can be collected", chunk.ErrUnavailable)

// Condemn is [chunk.Sweeper].
func (s *Store) Condemn(ctx context.Context, domains []chunk.Domain, keep func(chunk.ID) bool) (chunk.Sweep, error) {
	c := &sweep{s: s}
	for _, m := range *s.members.Load() {
		d, err := m.sound()
		if d == nil {
			s.log.Warn("a device is not collected this time", "dir", m.folder, "err", err)
			continue
		}
		p, err := d.Condemn(ctx, domains, keep)
		if err != nil {
			c.End()
			return nil, fmt.Errorf("device %s: %w", m.folder, err)
		}
		c.parts = append(c.parts, part{p, m.folder})
	}
	if len(c.parts) == 0 {
		return nil, errNothingToSweep
	}
	return c, nil
}

// Condemned is [chunk.Sweep].
func (c *sweep) Condemned() (sum chunk.Swept) {
	for _, p := range c.parts {
		sum = sum.Add(p.Condemned())
	}
	return sum
}

// Expunge is [chunk.Sweep]. An error of one device does not keep the others from it.
func (c *sweep) Expunge(ctx context.Context, keep func(chunk.ID) bool) (gone chunk.Swept, err error) {
	for _, p := range c.parts {
		n, partErr := p.Expunge(ctx, keep)
		gone = gone.Add(n)
		if partErr != nil {
			err = errors.Join(err, fmt.Errorf("device %s: %w", p.folder, partErr))
		}
	}
	return gone, err
}

// Compact is [chunk.Sweep], of one device after the other.
func (c *sweep) Compact(ctx context.Context, o chunk.Compaction) (sum chunk.Compacted, err error) {
	for _, p := range c.parts {
		own, before := o, sum
		if o.Done != nil {
			own.Done = func(n chunk.Compacted) { o.Done(before.Add(n)) }
		}
		n, partErr := p.Compact(ctx, own)
		sum = sum.Add(n)
		if partErr != nil {
			err = errors.Join(err, fmt.Errorf("device %s: %w", p.folder, partErr))
		}
	}
	return sum, err
}

// End is [chunk.Sweep].
func (c *sweep) End() {
	for _, p := range c.parts {
		p.End()
	}
}
