package pack

import (
	"context"
	"errors"
	"path"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// site is a device that can be closed and opened again.
type site struct {
	t    testing.TB
	opts Options
	*Device
}

func open(t testing.TB, opts Options) *site {
	t.Helper()
	s := &site{t: t, opts: opts}
	s.reopen()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (s *site) reopen() chunk.Opener {
	s.t.Helper()
	if s.Device != nil {
		must(s.t, s.Close())
	}
	d, err := Open(context.Background(), s.opts)
	must(s.t, err)
	s.Device = d
	return s
}

// where finds a chunk in the index.
func (s *site) where(d chunk.Domain, id chunk.ID) Entry {
	s.t.Helper()
	var at Entry
	must(s.t, s.index.Lookup([]Key{{TagOf(d), id}}, func(_ int, e Entry) { at = e }))
	if at.Class == 0 {
		s.t.Fatalf("chunk %v is not in the index", id)
	}
	return at
}

// damage flips a bit of a chunk's payload on the medium.
func (s *site) damage(d chunk.Domain, id chunk.ID) {
	s.t.Helper()
	at := s.where(d, id)
	flip(s.t, s.opts.FS, packName(s.opts.Dir, at.Generation), at.Offset+recordSize+int64(at.Length)/2)
}

func flip(t testing.TB, sys vfs.FS, name string, off int64) {
	t.Helper()
	f, err := sys.Open(name, vfs.Write)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, off)
	must(t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b, off)
	must(t, err)
	must(t, f.Sync())
}

// inMemory is a small device in memory: packs fill quickly.
func inMemory() Options {
	return Options{FS: vfs.NewCrash(), Dir: "device", PackSize: 128 << 10, Index: NewMemoryIndex(), Reserve: 1, Recent: 1024}
}

func onDisk(t testing.TB) Options {
	return Options{FS: vfs.OS{}, Dir: path.Join(t.TempDir(), "device"), PackSize: 8 << 20}
}

func (s *site) harness() chunktest.Harness {
	h := chunktest.Harness{Opener: s, Reopen: s.reopen, Damage: s.damage}
	if fs, ok := s.opts.FS.(*vfs.Crash); ok {
		h.Down = func() (restore func()) { return silence(fs) }
	}
	return h
}

// silence makes reads of packs fail.
func silence(fs *vfs.Crash) (restore func()) {
	fs.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && path.Ext(op.Name) == packSuffix {
			return errors.New("no answer")
		}
		return nil
	})
	return func() { fs.Inject(nil) }
}

func TestContractInMemory(t *testing.T) {
	chunktest.Run(t, func(t *testing.T) chunktest.Harness { return open(t, inMemory()).harness() })
}

func TestContractOnDisk(t *testing.T) {
	chunktest.Run(t, func(t *testing.T) chunktest.Harness { return open(t, onDisk(t)).harness() })
}

func BenchmarkDevice(b *testing.B) {
	chunktest.Bench(b, func(t testing.TB) chunk.Opener {
		opts := onDisk(t)
		opts.PackSize = 0
		return open(t, opts)
	})
}
