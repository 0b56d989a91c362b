package pack

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

var _ chunk.Census = (*Device)(nil)

// Copies is [chunk.Census]. After a crash it first waits until the index was gone through, so that what it yields agrees with [Device.Stats].
func (d *Device) Copies(ctx context.Context, domains []chunk.Domain, yield func(chunk.Copy) error) error {
	if err := d.exact(ctx); err != nil {
		return err
	}
	which := make(map[Tag]int, len(domains))
	for i, domain := range domains {
		which[TagOf(domain)] = i
	}
	return d.Entries(ctx, func(k Key, e Entry) error {
		i, known := which[k.Tag]
		if !known {
			i = -1
		}
		return yield(chunk.Copy{ID: k.ID, Domain: i, Class: e.Class, Size: int64(e.Size), Stored: recordSpace(int(e.Length))})
	})
}

// exact waits until the figures are.
func (d *Device) exact(ctx context.Context) error {
	select {
	case <-d.learnt:
		return nil
	case <-d.ending:
		return fmt.Errorf("%w: %w", chunk.ErrUnavailable, ErrClosed)
	case <-d.pulse.gone():
		return errStalled()
	case <-ctx.Done():
		return ctx.Err()
	}
}
