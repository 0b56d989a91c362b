package spread

import (
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
)

var _ chunk.Census = (*Store)(nil)

// Copies is [chunk.Census].
func (s *Store) Copies(ctx context.Context, domains []chunk.Domain, yield func(chunk.Copy) error) error {
	for _, m := range *s.members.Load() {
		d, _ := m.readable()
		if d == nil {
			continue
		}
		err := d.Copies(ctx, domains, yield)
		if errors.Is(err, pack.ErrClosed) && ctx.Err() == nil { // it was removed
			continue
		}
		if err != nil {
			return fmt.Errorf("device %s: %w", m.folder, err)
		}
	}
	return nil
}
