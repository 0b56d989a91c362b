package spread

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/vfs"
)

// InspectOptions say where a segment's devices are, as [Options] do.
type InspectOptions struct {
	FS    vfs.FS // of Dir; the machine's by default
	Dir   string
	First string
	Owner pack.Owner
	Each  pack.InspectOptions // how each device is looked at
	// Tune may change how one device is looked at; for tests, which give each an index of its own.
	Tune func(*pack.InspectOptions)
}

// Inspection is a segment's devices as their packs say: see [pack.Inspection].
type Inspection struct{ Devices []*pack.Inspection }

// Inspect looks at all devices of the segment, tells of all that is wrong with them, and changes nothing. What is on a device that is not there is absent to the
// Inspection.
func Inspect(ctx context.Context, o InspectOptions, tell finding.Tell) (*Inspection, error) {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	entries, err := readList(o.FS, o.Dir)
	if err != nil {
		tell.Damage("devices", path.Join(o.Dir, listFile), 0, err.Error()+"; the segment does not start, and only the device that it began with is looked at")
	}
	if len(entries) == 0 {
		entries = []entry{{use: serving}}
	}
	all := &Inspection{}
	for _, e := range entries {
		each := o.deviceOptions(e)
		if _, err := pack.Look(each.FS, each.Dir); errors.Is(err, pack.ErrAbsent) {
			tell.Damage("device.missing", each.Dir, 0, err.Error()+"; what it alone holds is not looked at")
			continue
		}
		n, err := pack.Inspect(ctx, each, tell)
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		all.Devices = append(all.Devices, n)
	}
	return all, nil
}

func (o InspectOptions) deviceOptions(e entry) pack.InspectOptions {
	each := o.Each
	each.Dir, each.ID, each.Owner = o.First, e.id, o.Owner
	if each.FS == nil {
		each.FS = vfs.OS{}
	}
	if e.path != "" {
		each.Dir, each.IndexDir = e.path, path.Join(o.Dir, indexesDir)
	}
	if o.Tune != nil {
		o.Tune(&each)
	}
	return each
}

// Open is [chunk.Opener].
func (n *Inspection) Open(d chunk.Domain, c chunk.Class) chunk.Store {
	stores := make(looks, len(n.Devices))
	for i, dev := range n.Devices {
		stores[i] = dev.Open(d, c)
	}
	return stores
}

// Close lets go of the files.
func (n *Inspection) Close() (err error) {
	for _, d := range n.Devices {
		err = errors.Join(err, d.Close())
	}
	return err
}

// looks are one store's views, device by device.
type looks []chunk.Store

// Put is [chunk.Store].
func (looks) Put(context.Context, []chunk.Chunk) error { return pack.ErrReadOnly }

// Missing is [chunk.Store].
func (l looks) Missing(ctx context.Context, ids []chunk.ID) (_ []chunk.ID, err error) {
	if len(l) == 0 {
		return ids, nil
	}
	for _, s := range l {
		if ids, err = s.Missing(ctx, ids); err != nil || len(ids) == 0 {
			return nil, err
		}
	}
	return ids, nil
}

// Get is [chunk.Store].
func (l looks) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	worst := fmt.Errorf("%d chunks: %w", len(ids), chunk.ErrNotFound)
	left := make(map[chunk.ID]bool, len(ids))
	for _, id := range ids {
		left[id] = true
	}
	var given error
	for _, s := range l {
		rest := make([]chunk.ID, 0, len(left))
		for _, id := range ids {
			if left[id] {
				rest = append(rest, id)
			}
		}
		err := s.Get(ctx, rest, func(c chunk.Chunk) error {
			delete(left, c.ID())
			given = yield(c)
			return given
		})
		if given != nil || len(left) == 0 {
			return given
		}
		if err != nil && errors.Is(worst, chunk.ErrNotFound) {
			worst = err
		}
	}
	return worst
}
