package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"syscall"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/config"
	"github.com/edgefs/edgefs/internal/vfs"
)

// store is the segment's device, and the stage in front of it.
type store struct {
	dir    string
	device *pack.Device
	chunks *stage.Stage
}

func openStore(ctx context.Context, dir string, c config.Storage, log *slog.Logger) (*store, error) {
	device, err := pack.Open(ctx, pack.Options{FS: vfs.OS{}, Dir: dir, Reserve: int64(c.Reserve), Logger: log})
	if err != nil {
		return nil, err
	}
	return &store{dir: dir, device: device, chunks: stage.New(device)}, nil
}

// close makes durable what is staged, and closes the device.
func (s *store) close(ctx context.Context) error {
	return errors.Join(s.chunks.Settle(ctx), s.device.Close())
}

// stats counts what is held.
func (s *store) stats() (admin.Storage, error) {
	free, err := vfs.OS{}.Free(s.dir)
	if err != nil {
		return admin.Storage{}, fmt.Errorf("free space: %w", err)
	}
	used, err := diskUsage(s.dir)
	if err != nil {
		return admin.Storage{}, fmt.Errorf("used space: %w", err)
	}
	st := s.device.Stats()
	data, meta, cache := st.Chunks[chunk.Data], st.Chunks[chunk.Meta], st.Chunks[chunk.Cache]
	return admin.Storage{
		Chunks: data.Chunks + meta.Chunks, Bytes: data.Bytes + meta.Bytes, CachedChunks: cache.Chunks, CachedBytes: cache.Bytes,
		StagedBytes: s.chunks.Held(), DeviceBytes: used, FreeBytes: free, DamagedChunks: st.Corrupt, Failed: st.Failed,
	}, nil
}

// diskUsage is what the files below dir take of the file system; a file that was preallocated counts with all of it.
func diskUsage(dir string) (n int64, err error) {
	return n, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
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
		return nil
	})
}
