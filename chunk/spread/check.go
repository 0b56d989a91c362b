package spread

import (
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/finding"
)

// Check looks at all devices that can be asked, one after the other: see [pack.Device.Check]. It tells of those that cannot.
func (s *Store) Check(ctx context.Context, tell finding.Tell, progress func(done, of int64)) error {
	for _, m := range *s.members.Load() {
		d, err := m.readable()
		if d == nil {
			tell.Damage("device.missing", m.folder, 0, fmt.Sprintf("the device cannot be asked: %v", err))
			continue
		}
		if err := d.Err(); err != nil {
			tell.Damage("device.failed", m.folder, 0, err.Error())
		}
		err = d.Check(ctx, tell, progress)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, pack.ErrClosed): // it was removed
		case err != nil:
			tell.Damage("device.unreadable", m.folder, 0, err.Error())
		}
	}
	return nil
}
