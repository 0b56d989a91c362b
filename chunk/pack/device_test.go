package pack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

// fill puts chunks of all classes, enough for several packs, and returns the durable and the cached ones.
func (s *site) fill(seed uint64) (durable, cached []chunk.Chunk) {
	s.t.Helper()
	ctx := context.Background()
	data := chunktest.Chunks(crashDomain, seed, 20, 7000)
	meta := chunktest.Chunks(crashDomain, seed+1, 30, 300)
	for i := 1; i < len(meta); i += 5 {
		meta[i] = packable(int(seed)*1000 + i)
	}
	cached = chunktest.Chunks(crashDomain, seed+2, 20, 5000)
	for i := range 10 {
		must(s.t, s.Device.Open(crashDomain, chunk.Data).Put(ctx, data[2*i:2*i+2]))
		must(s.t, s.Device.Open(crashDomain, chunk.Meta).Put(ctx, meta[3*i:3*i+3]))
		must(s.t, s.Device.Open(crashDomain, chunk.Cache).Put(ctx, cached[2*i:2*i+2]))
	}
	return append(data, meta...), cached
}

// wantHeld checks that chunks are held at a class, and read.
func (s *site) wantHeld(class chunk.Class, chunks []chunk.Chunk) {
	s.t.Helper()
	view := s.Device.Open(crashDomain, class)
	missing, err := view.Missing(context.Background(), chunktest.IDs(chunks))
	if err != nil || len(missing) > 0 {
		s.t.Errorf("%d of %d chunks are missing as %v, %v", len(missing), len(chunks), class, err)
	}
	n := 0
	if err := view.Get(context.Background(), chunktest.IDs(chunks), func(chunk.Chunk) error { n++; return nil }); err != nil || n != len(chunks) {
		s.t.Errorf("%d of %d chunks are read, %v", n, len(chunks), err)
	}
}

func TestALostIndexIsMadeAgain(t *testing.T) {
	s := open(t, inMemory())
	durable, cached := s.fill(1)
	before := s.Stats()
	for _, again := range []*MemoryIndex{NewMemoryIndex(), otherDevice(t)} {
		must(t, s.Close())
		s.Device, s.opts.Index = nil, again
		s.reopen()
		s.wantHeld(chunk.Data, durable)
		s.wantHeld(chunk.Cache, cached)
		if after := s.Stats(); fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("figures %v, before %v", after, before)
		}
	}
}

// otherDevice is the index of a device elsewhere.
func otherDevice(t *testing.T) *MemoryIndex {
	s := open(t, inMemory())
	s.fill(100)
	must(t, s.Close()) // it brings nothing into its index any more
	return s.opts.Index.(*MemoryIndex)
}

func TestAnOldIndexIsBroughtUpToDate(t *testing.T) {
	s := open(t, inMemory())
	durable, cached := s.fill(1)
	for seed, clean := range []bool{true, false} {
		if clean {
			must(t, s.Close())
			s.Device = nil
		}
		old := s.opts.Index.(*MemoryIndex).Crash(rand.New(rand.NewPCG(1, 1)))
		if clean {
			s.reopen()
		}
		more, moreCached := s.fill(uint64(10 + 10*seed))

		durable, cached = append(durable, more...), append(cached, moreCached...)
		must(t, s.Close())
		s.Device, s.opts.Index = nil, old
		s.reopen()
		s.wantHeld(chunk.Data, durable)
		s.wantHeld(chunk.Cache, cached)
	}
}

func TestAnOldIndexDoesNotPromisePacksThatAreGone(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	gone := s.where(crashDomain, durable[0].ID()).Generation
	must(t, s.Close())
	s.Device = nil
	must(t, s.opts.FS.Remove(packName(s.opts.Dir, gone)))
	s.reopen()
	ids := chunktest.IDs(durable)
	missing, err := s.Device.Open(crashDomain, chunk.Data).Missing(t.Context(), ids)
	must(t, err)
	if !slices.Contains(missing, ids[0]) || len(missing) == len(ids) {
		t.Errorf("%d of %d are missing", len(missing), len(ids))
	}
	must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), durable))
	s.wantHeld(chunk.Data, durable)
}

func TestABadgerIndexThatCannotBeOpenedIsMadeAgain(t *testing.T) {
	s := open(t, onDisk(t))
	durable, cached := s.fill(1)
	for _, spoil := range []func(dir string) error{
		os.RemoveAll,
		func(dir string) error { return os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("rubbish"), 0o600) },
		func(dir string) error { return os.Truncate(filepath.Join(dir, "KEYREGISTRY"), 3) },
	} {
		must(t, s.Close())
		s.Device = nil
		must(t, spoil(filepath.Join(s.opts.Dir, indexDir)))
		s.reopen()
		s.wantHeld(chunk.Data, durable)
		s.wantHeld(chunk.Cache, cached)
	}
}

func TestASecondOpenerIsToldWhoHasTheDevice(t *testing.T) {
	for name, opts := range map[string]Options{"memory": inMemory(), "disk": onDisk(t)} {
		s := open(t, opts)
		_, err := Open(t.Context(), opts)
		if !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), opts.Dir) {
			t.Errorf("%s: %v", name, err)
		}
		s.fill(1)
	}
}

func TestForeignFoldersAreRefusedAndLeftAsTheyAre(t *testing.T) {
	for name, content := range map[string][]byte{"thesis.tex": []byte("mine"), formatFile: []byte("XFS"), "format ": append(encodeDevice(Identity{}), 0)} {
		opts := onDisk(t)
		must(t, os.MkdirAll(opts.Dir, 0o700))
		must(t, os.WriteFile(filepath.Join(opts.Dir, name), content, 0o600))
		if _, err := Open(t.Context(), opts); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), opts.Dir) {
			t.Errorf("folder with %q: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(opts.Dir, packDir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("folder with %q: something was made in it", name)
		}
	}
	opts := onDisk(t)
	must(t, os.MkdirAll(filepath.Join(opts.Dir, "lost+found"), 0o700))
	open(t, opts).fill(1)
}

func TestANewerFormatIsRefused(t *testing.T) {
	opts := inMemory()
	must(t, open(t, opts).Close())
	f, err := opts.FS.Open(path.Join(opts.Dir, formatFile), vfs.Write)
	must(t, err)
	_, err = f.WriteAt([]byte{versionOwned + 1}, 8)
	must(t, err)
	if _, err := Open(t.Context(), opts); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("open: %v", err)
	}
}

func TestPacksOfAnotherDeviceAreRefused(t *testing.T) {
	a, b := open(t, inMemory()), open(t, inMemory())
	a.fill(1)
	b.fill(1)
	must(t, a.Close())
	must(t, b.Close())
	name := packName("device", 1)
	copyFile(t, a.opts.FS, b.opts.FS, name)
	if _, err := Open(t.Context(), b.opts); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), name) {
		t.Errorf("open: %v", err)
	}
}

func copyFile(t *testing.T, from, to vfs.FS, name string) {
	t.Helper()
	src, err := from.Open(name, 0)
	must(t, err)
	size, err := src.Size()
	must(t, err)
	b := make([]byte, size)
	must(t, readFull(src, b, 0))
	dst, err := to.Open(name, vfs.Create)
	must(t, err)
	_, err = dst.WriteAt(b, 0)
	must(t, err)
	must(t, dst.Sync())
}

func TestRecycledPacksDoNotResurrectRecords(t *testing.T) {
	s := open(t, inMemory())
	old, cached := s.fill(1)
	must(t, s.Close())
	s.Device = nil
	packs := 0
	for g := uint64(1); ; g++ { // as dropping whole packs will do
		err := s.opts.FS.Rename(packName(s.opts.Dir, g), spareName(s.opts.Dir, g))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		must(t, err)
		packs++
	}
	s.reopen()
	fresh, _ := s.fill(50)
	must(t, s.Close())
	s.Device, s.opts.Index = nil, NewMemoryIndex()
	s.reopen()
	s.wantHeld(chunk.Data, fresh)
	ids := chunktest.IDs(append(old, cached...))
	if missing, err := s.Device.Open(crashDomain, chunk.Cache).Missing(t.Context(), ids); err != nil || len(missing) != len(ids) {
		t.Errorf("%d of %d chunks of packs that were dropped are back, %v", len(ids)-len(missing), len(ids), err)
	}
	names, err := s.opts.FS.ReadDir(path.Join(s.opts.Dir, packDir))
	must(t, err)
	if len(names) != packs {
		t.Errorf("%d files where %d were to be used again: %q", len(names), packs, names)
	}
}

// TestNoFlippedBitIsServed flips bits all over the files of a device, and then reads everything, with the index and without.
func TestNoFlippedBitIsServed(t *testing.T) {
	opts := inMemory()
	s := open(t, opts)
	durable, cached := s.fill(1)
	all := append(durable, cached...)
	must(t, s.Close())
	rng := rand.New(rand.NewPCG(1, 2))
	index := opts.Index.(*MemoryIndex)
	names, err := opts.FS.ReadDir(path.Join(opts.Dir, packDir))
	must(t, err)
	for _, name := range names {
		name = path.Join(opts.Dir, packDir, name)
		size := fileSize(t, opts.FS, name)
		was := vfs.NewCrash()
		must(t, was.MkdirAll(path.Join(opts.Dir, packDir)))
		copyFile(t, opts.FS, was, name)
		for off := int64(0); off < size; off += 1 + rng.Int64N(size/40) {
			flip(t, opts.FS, name, off)
			for _, x := range []*MemoryIndex{index.Crash(rng), NewMemoryIndex()} {
				opts.Index = x
				wantAllBut(t, opts, all, 1)
			}
			copyFile(t, was, opts.FS, name) // what was found damaged was struck off its footer
		}
	}
	opts.Index = NewMemoryIndex()
	wantAllBut(t, opts, all, 0)
}

func fileSize(t testing.TB, sys vfs.FS, name string) int64 {
	i, err := sys.Stat(name)
	must(t, err)
	return i.Size
}

// wantAllBut opens a device and checks that at most n chunks are not served, and then count as missing. A Chunk is verified, so those that are
// served are right.
func wantAllBut(t *testing.T, opts Options, chunks []chunk.Chunk, n int) {
	t.Helper()
	d, err := Open(t.Context(), opts)
	must(t, err)
	defer func() { must(t, d.Close()) }()
	view, got := d.Open(crashDomain, chunk.Cache), 0
	err = view.Get(t.Context(), chunktest.IDs(chunks), func(chunk.Chunk) error { got++; return nil })
	if got < len(chunks)-n || (err == nil) != (got == len(chunks)) || errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("%d of %d chunks are served, %v", got, len(chunks), err)
	}
	if missing, err := view.Missing(t.Context(), chunktest.IDs(chunks)); err != nil || len(missing) != len(chunks)-got {
		t.Errorf("%d of %d chunks are served, and %d missing, %v", got, len(chunks), len(missing), err)
	}
}

func TestAClosedDeviceIsUnavailable(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	view := s.Device.Open(crashDomain, chunk.Data)
	must(t, s.Close())
	if err := view.Put(t.Context(), durable); !errors.Is(err, ErrClosed) {
		t.Errorf("put: %v", err)
	}
	if _, err := view.Missing(t.Context(), nil); !errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("missing: %v", err)
	}
	if err := view.Get(t.Context(), chunktest.IDs(durable), nil); !errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	must(t, s.Close())
}

// TestAReplacedCopyStaysReplaced damages a chunk, puts it again, and loses the index: the damaged copy must not hide the whole one.
func TestAReplacedCopyStaysReplaced(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	view := s.Device.Open(crashDomain, chunk.Data)
	for _, c := range durable[:5] {
		s.damage(crashDomain, c.ID())
	}
	if err := view.Get(t.Context(), chunktest.IDs(durable), func(chunk.Chunk) error { return nil }); !errors.Is(err, chunk.ErrCorrupt) {
		t.Errorf("get: %v", err)
	}
	must(t, view.Put(t.Context(), durable))
	must(t, s.Close())
	s.Device, s.opts.Index = nil, NewMemoryIndex()
	s.reopen()
	s.wantHeld(chunk.Data, durable)
}

func TestADamagedCopyStaysForgottenAfterAPowerCut(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	must(t, s.Close())
	s.Device = nil
	s.reopen()
	id := durable[0].ID()
	s.damage(crashDomain, id)
	if err := s.Device.Open(crashDomain, chunk.Data).Get(t.Context(), []chunk.ID{id}, nil); !errors.Is(err, chunk.ErrCorrupt) {
		t.Errorf("get: %v", err)
	}
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 1))
		opts := s.opts
		opts.FS, opts.Index = opts.FS.(*vfs.Crash).Crash(rng), opts.Index.(*MemoryIndex).Crash(rng)
		again := open(t, opts)
		missing, err := again.Device.Open(crashDomain, chunk.Data).Missing(t.Context(), []chunk.ID{id})
		if err != nil || len(missing) != 1 {
			t.Errorf("%d are missing, %v", len(missing), err)
		}
	}
}

// TestPutAtOnce has many put the same new chunks: each is written once.
func TestPutAtOnce(t *testing.T) {
	s := open(t, inMemory())
	chunks := chunktest.Chunks(crashDomain, 1, 50, 500)
	done := make(chan error)
	for w := range 16 {
		go func() {
			done <- s.Device.Open(crashDomain, chunk.Data).Put(context.Background(), slices.Concat(chunks[w:], chunks[:w]))
		}()
	}
	for range 16 {
		must(t, <-done)
	}
	s.wantHeld(chunk.Data, chunks)
	records := 0
	for _, p := range s.allPacks() {
		records += len(p.records)
	}
	if n := s.Stats().Chunks[chunk.Data].Chunks; n != 50 || records != 50 {
		t.Errorf("%d chunks are counted, %d written", n, records)
	}
}
