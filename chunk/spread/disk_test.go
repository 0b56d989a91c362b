package spread

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/chunk/pack"
)

// loop mounts a file system of its own, of so many MiB, and returns its folder. Where that is not allowed, the test is skipped.
func loop(t *testing.T, size int64) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, size<<20))
	for _, c := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no file system can be made and mounted here: %v: %v: %s", c, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// TestRealDisksFillUp fills two real file systems until both refuse, frees one, goes on, and drains one into the other as far as there is room.
func TestRealDisksFillUp(t *testing.T) {
	a, b := loop(t, 24), loop(t, 48)
	s := openReal(t, Options{Dir: t.TempDir(), First: filepath.Join(t.TempDir(), "device"), Owner: owner, Rate: -1, Each: pack.Options{Reserve: 4 << 20}})
	first := s.Devices()[0].ID
	var ids []pack.ID
	for _, dir := range []string{a, b} {
		id, err := s.Add(t.Context(), dir)
		must(t, err)
		ids = append(ids, id)
	}
	must(t, s.Drain(first)) // only the real ones are left
	must(t, s.Follow(t.Context(), first, func(st Status) bool { return st.State != Empty }))
	must(t, s.Remove(t.Context(), first, false))

	store := s.Open(domain, chunk.Data)
	var held []chunk.Chunk
	fill := func() {
		t.Helper()
		for n := len(held); ; n++ {
			batch := chunktest.Chunks(domain, uint64(n), 4, 64<<10)
			err := store.Put(t.Context(), batch)
			if errors.Is(err, chunk.ErrFull) {
				return
			}
			must(t, err)
			held = append(held, batch...)
		}
	}
	want := func() {
		t.Helper()
		n := 0
		if err := store.Get(t.Context(), chunktest.IDs(held), func(chunk.Chunk) error { n++; return nil }); err != nil || n != len(held) {
			t.Fatalf("%d of %d chunks are read, %v", n, len(held), err)
		}
	}
	ballast := filepath.Join(b, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 16<<20), 0o600)) // somebody else's
	fill()
	want()
	full := len(held)
	for i, st := range s.Devices() {
		if st.State != Full || st.Stats.Chunks[chunk.Data].Chunks == 0 {
			t.Errorf("device %d is %+v", i, st)
		}
	}
	must(t, os.Remove(ballast))
	fill()
	want()
	if len(held) < full+100 {
		t.Errorf("%d chunks were put before somebody gave 16 MiB back, %d after it", full, len(held)-full)
	}
	must(t, s.Drain(ids[0]))
	must(t, s.Follow(t.Context(), ids[0], func(st Status) bool { return st.State == Draining && st.Why == "" }))
	if err := s.Remove(t.Context(), ids[0], false); !errors.Is(err, ErrHolds) {
		t.Errorf("remove, where there was no room for all: %v", err)
	}
	want()
}

// openReal opens devices on the machine's file system, with indexes in Badger.
func openReal(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func TestContractOnRealFolders(t *testing.T) {
	if testing.Short() {
		t.Skip("an index in Badger for each of many devices")
	}
	chunktest.Run(t, func(t *testing.T) chunktest.Harness {
		o := Options{Dir: t.TempDir(), First: filepath.Join(t.TempDir(), "0"), Owner: owner, Rate: -1, Each: pack.Options{PackSize: 8 << 20}}
		s := openReal(t, o)
		_, err := s.Add(t.Context(), filepath.Join(t.TempDir(), "1"))
		must(t, err)
		if _, err := os.Stat(filepath.Join(o.Dir, indexesDir, s.Devices()[1].ID.String())); err != nil {
			t.Errorf("the index of a device that was added: %v", err)
		}
		return chunktest.Harness{Opener: s}
	})
}
