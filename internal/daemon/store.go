package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/spread"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
	"github.com/edgefs/edgefs/internal/vfs"
)

// store is the segment's devices, and the stage in front of them.
type store struct {
	devices *spread.Store
	chunks  *stage.Stage
}

// place is where a segment's chunks are.
type place struct {
	dir   string // of the segment's data
	first string // device that it begins with
	owner pack.Owner
	held  bool // it holds data
}

func openStore(ctx context.Context, p place, c config.Storage, log *slog.Logger) (*store, error) {
	devices, err := spread.Open(ctx, spread.Options{
		Dir: p.dir, First: p.first, Held: p.held, Owner: p.owner, Each: pack.Options{Reserve: int64(c.Reserve)}, Logger: log,
	})
	if errors.Is(err, pack.ErrAbsent) {
		return nil, fmt.Errorf("the segment has data, but its device is not there: mount it, or say where it is by --device or storage.device: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return &store{devices: devices, chunks: stage.New(devices)}, nil
}

// close makes durable what is staged, and closes the devices.
func (s *store) close(ctx context.Context) error {
	return errors.Join(s.chunks.Settle(ctx), s.devices.Close())
}

// scarceShare is the part of what a device holds and may take, one in so many, below which its room is short.
const scarceShare = 10

// usage are the bytes of durable chunks, and whether a device that takes writes is almost full.
func (s *store) usage() (stored int64, scarce bool) {
	for _, st := range s.devices.Devices() {
		n := st.Stats.Chunks
		held := n[chunk.Data].Bytes + n[chunk.Meta].Bytes
		stored += held
		scarce = scarce || st.State == spread.Full || st.State == spread.Serving && st.Room < (held+st.Room)/scarceShare
	}
	return stored, scarce
}

// stats counts what is held, on all devices that are there.
func (s *store) stats() (admin.Storage, error) {
	all := admin.Storage{StagedBytes: s.chunks.Held(), Failed: s.devices.Err() != nil, Devices: []admin.Device{}}
	disks := map[uint64]bool{}
	for _, st := range s.devices.Devices() {
		d := deviceOf(st)
		if disk, ok := usageOf(&d, st); ok && !disks[disk] {
			disks[disk] = true
			all.FreeBytes += d.FreeBytes
		}
		all.Chunks += d.Chunks
		all.Bytes += d.Bytes
		all.CachedChunks += d.CachedChunks
		all.CachedBytes += d.CachedBytes
		all.DeviceBytes += d.UsedBytes
		all.DamagedChunks += d.DamagedChunks
		all.Devices = append(all.Devices, d)
	}
	return all, nil
}

// usageOf asks the disk of a device that answers, and says which disk that is.
func usageOf(d *admin.Device, st spread.Status) (disk uint64, ok bool) {
	switch st.State {
	case spread.Missing, spread.Opening, spread.Stalled:
		return 0, false
	}
	info, err := os.Stat(st.Dir)
	if err != nil {
		return 0, false
	}
	free, err := vfs.OS{}.Free(st.Dir)
	if err != nil {
		return 0, false
	}
	used, packs, err := diskUsage(st.Dir)
	if err != nil {
		return 0, false
	}
	d.FreeBytes, d.UsedBytes, d.PackBytes = free, used, packs
	return info.Sys().(*syscall.Stat_t).Dev, true
}

// deviceOf is a device as the admin API shows it.
func deviceOf(st spread.Status) admin.Device {
	n := st.Stats.Chunks
	d := admin.Device{
		ID: st.ID.String(), Path: st.Dir, State: string(st.State), Why: st.Why,
		Chunks: n[chunk.Data].Chunks + n[chunk.Meta].Chunks, Bytes: n[chunk.Data].Bytes + n[chunk.Meta].Bytes,
		CachedChunks: n[chunk.Cache].Chunks, CachedBytes: n[chunk.Cache].Bytes,
		Content: useOf(n[chunk.Data]), Meta: useOf(n[chunk.Meta]), Cached: useOf(n[chunk.Cache]),
		DamagedChunks: st.Stats.Corrupt, UnreadableChunks: st.Unreadable,
	}
	if st.State == spread.Opening {
		d.Opening = &admin.Opening{Packs: st.Opened, Of: st.Of}
	}
	if n := st.Drain; n != nil {
		d.Drain = &admin.Drain{Bytes: n.Bytes, Passed: n.Passed, Moved: n.Moved, LeftChunks: n.Left.Chunks, LeftBytes: n.Left.Bytes, Done: n.Done}
	}
	return d
}

func useOf(c pack.Count) admin.Use {
	return admin.Use{Chunks: c.Chunks, Bytes: c.Plain, Stored: c.Space}
}

// diskUsage is what the files below dir take of the file system, and the size of packs among them; a file that was preallocated counts with all of it.
func diskUsage(dir string) (n, packs int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			n += st.Blocks * 512
		}
		if filepath.Ext(info.Name()) == ".pack" {
			packs += info.Size()
		}
		return nil
	})
	return n, packs, err
}
