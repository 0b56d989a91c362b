package pack

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

// crowded is the machine's file system when others fill it.
type crowded struct {
	vfs.OS
	free *atomic.Int64
}

func (c crowded) Free(string) (int64, error) { return c.free.Load(), nil }

// TestTheIndexIsNotTouchedOnAFullDisk fills the disk while the device is open: Badger would be killed by its memory maps.
func TestTheIndexIsNotTouchedOnAFullDisk(t *testing.T) {
	opts := onDisk(t)
	fs := crowded{free: &atomic.Int64{}}
	fs.free.Store(1 << 30)
	d, err := openOn(t, opts, fs)
	must(t, err)
	view := d.Open(crashDomain, chunk.Data)
	chunks := chunktest.Chunks(crashDomain, 1, 10, 100)
	must(t, view.Put(t.Context(), chunks[:5]))
	fs.free.Store(10 << 20)
	if err := view.Put(t.Context(), chunks); !errors.Is(err, chunk.ErrFull) {
		t.Errorf("put: %v", err)
	}
	must(t, view.Get(t.Context(), chunktest.IDs(chunks[:5]), func(chunk.Chunk) error { return nil }))
	fs.free.Store(1 << 30)
	must(t, view.Put(t.Context(), chunks))
	must(t, d.Close())
	fs.free.Store(10 << 20)
	if _, err := openOn(t, opts, fs); !errors.Is(err, chunk.ErrFull) {
		t.Errorf("open: %v", err)
	}
}

// openOn opens a device with an index in Badger on a file system that is the machine's but for what is free.
func openOn(t *testing.T, opts Options, fs crowded) (*Device, error) {
	opts.FS = fs
	return Open(t.Context(), opts)
}
