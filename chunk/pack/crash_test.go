package pack

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

// story is what a workload has been promised by its device.
type story struct {
	chunks []chunk.Chunk // all that may have been put
	acked  map[chunk.ID]bool
}

func newStory() *story { return &story{acked: map[chunk.ID]bool{}} }

var crashDomain = chunktest.Domain(7)

func crashOptions(fs vfs.FS, x Index) Options {
	return Options{FS: fs, Dir: "device", PackSize: 64 << 10, Index: x, Reserve: 1, Recent: 64}
}

// work puts batches of all classes, through several packs, closing and opening the device between, until the disk fails.
func (s *story) work(fs vfs.FS, x Index, rounds int) error {
	for first := 0; first < rounds; first += 10 {
		if err := s.open(fs, x, first, min(first+10, rounds)); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) open(fs vfs.FS, x Index, first, end int) error {
	ctx := context.Background()
	d, err := Open(ctx, crashOptions(fs, x))
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	for round := first; round < end; round++ {
		size := []int{10, 4000, 700, 9000, 20_000}[round%5]
		batch := chunktest.Chunks(crashDomain, uint64(len(s.chunks)), round%3+1, size)
		class := []chunk.Class{chunk.Data, chunk.Meta, chunk.Cache, chunk.Data}[round%4]
		if class == chunk.Data && len(s.chunks) > 3 {
			batch = append(batch, s.chunks[len(s.chunks)-3:]...) // held, or cached so far
		}
		s.chunks = append(s.chunks, batch...)
		if err := d.Open(crashDomain, class).Put(ctx, batch); err != nil {
			return err
		}
		for _, c := range batch {
			if class.Durable() {
				s.acked[c.ID()] = true
			}
		}
	}
	return d.Close()
}

// check opens what a crash left: what was acknowledged is held and read, and whatever counts as held can be read.
func (s *story) check(fs vfs.FS, x Index) error {
	ctx := context.Background()
	d, err := Open(ctx, crashOptions(fs, x))
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	ids := chunktest.IDs(s.chunks)
	missing, err := d.Open(crashDomain, chunk.Data).Missing(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range missing {
		if s.acked[id] {
			return fmt.Errorf("chunk %v was acknowledged and is missing", id)
		}
	}
	got := map[chunk.ID]bool{}
	for _, class := range []chunk.Class{chunk.Data, chunk.Cache} {
		missing, err := d.Open(crashDomain, class).Missing(ctx, ids)
		if err != nil {
			return err
		}
		held := slices.DeleteFunc(slices.Clone(ids), func(id chunk.ID) bool { return slices.Contains(missing, id) })
		for _, id := range held {
			s.acked[id] = s.acked[id] || class.Durable() // what counts as held is a promise
		}

		err = d.Open(crashDomain, class).Get(ctx, held, func(c chunk.Chunk) error { got[c.ID()] = true; return nil })
		if err != nil {
			return fmt.Errorf("get of what is held as %v: %w", class, err)
		}
	}
	<-d.learnt // and counted
	stats, entries := d.Stats(), int64(0)
	if err := d.index.All(func(Key, Entry) error { entries++; return nil }); err != nil {
		return err
	}
	if n := stats.Chunks[chunk.Cache].Chunks + stats.Chunks[chunk.Data].Chunks + stats.Chunks[chunk.Meta].Chunks; n != entries || int(n) != len(got) {
		return fmt.Errorf("%d chunks are counted, %d in the index, %d read", n, entries, len(got))
	}
	return d.Close()
}

// seeds is how often the crash tests cut the power at each operation, each time with another outcome.
var seeds = flag.Uint64("seeds", 1, "outcomes of each crash point")

// TestEveryCrashPoint cuts the power, or kills the process, at every operation of a workload and looks at what is left; then again in the lives
// that follow.
func TestEveryCrashPoint(t *testing.T) {
	fs := vfs.NewCrash()
	must(t, newStory().work(fs, NewMemoryIndex(), 24))
	total := fs.Ops()
	t.Logf("%d operations", total)
	for n := range total {
		for seed := range *seeds {
			rng := rand.New(rand.NewPCG(uint64(n), seed))
			fs, x, s := vfs.NewCrash(), NewMemoryIndex(), newStory()
			fs.CutAfter(n)
			err := s.work(fs, x, 24)
			for life := range 3 {
				if err != nil && !errors.Is(err, vfs.ErrCut) {
					t.Fatalf("operation %d, seed %d, life %d: %v", n, seed, life, err)
				}
				if rng.IntN(3) == 0 {
					fs.Kill()
				} else {
					fs, x = fs.Crash(rng), crashIndex(x, rng)
				}
				if err := s.check(fs, x); err != nil {
					t.Fatalf("after a crash at operation %d, seed %d, life %d: %v", n, seed, life, err)
				}
				fs.CutAfter(rng.IntN(60))
				err = s.work(fs, x, 8)
			}
		}
	}
}

// TestEveryCrashPointOfTheFirstStart cuts the power while a device is made: the next start makes it, or finds it whole.
func TestEveryCrashPointOfTheFirstStart(t *testing.T) {
	fs := vfs.NewCrash()
	d, err := Open(t.Context(), crashOptions(fs, NewMemoryIndex()))
	must(t, err)
	total := fs.Ops()
	must(t, d.Close())
	for n := range total + 1 {
		for seed := range 20 * *seeds {
			fs, x := vfs.NewCrash(), NewMemoryIndex()
			fs.CutAfter(n)
			if d, err := Open(t.Context(), crashOptions(fs, x)); err == nil {
				_ = d.Close()
			} else if !errors.Is(err, vfs.ErrCut) {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(uint64(n), seed))
			d, err := Open(t.Context(), crashOptions(fs.Crash(rng), crashIndex(x, rng)))
			if err != nil {
				t.Fatalf("after a crash at operation %d, seed %d: %v", n, seed, err)
			}
			must(t, d.Close())
		}
	}
}

// crashIndex is what a crash leaves of the index: usually some, sometimes nothing.
func crashIndex(x *MemoryIndex, rng *rand.Rand) *MemoryIndex {
	if rng.IntN(5) == 0 {
		return NewMemoryIndex()
	}
	return x.Crash(rng)
}

// failing injects EIO into operations of a kind.
func failing(fs *vfs.Crash, kind vfs.OpKind, err error) {
	fs.Inject(func(op vfs.Op) error {
		if op.Kind == kind {
			return err
		}
		return nil
	})
}

func TestAFailedSyncEndsWriting(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpSync, vfs.OpWrite} {
		opts := inMemory()
		s := open(t, opts)
		view := s.Device.Open(crashDomain, chunk.Data)
		before, after := chunktest.Chunks(crashDomain, 1, 5, 100), chunktest.Chunks(crashDomain, 2, 5, 100)
		must(t, view.Put(t.Context(), before))
		failing(opts.FS.(*vfs.Crash), kind, syscall.EIO)
		if err := view.Put(t.Context(), after); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%s fails: put: %v", kind, err)
		}
		opts.FS.(*vfs.Crash).Inject(nil)
		if err := view.Put(t.Context(), after); !errors.Is(err, ErrFailed) {
			t.Errorf("%s failed: put: %v", kind, err)
		}
		if missing, err := view.Missing(t.Context(), chunktest.IDs(after)); err != nil || len(missing) != 5 {
			t.Errorf("%s failed: %d are missing, %v", kind, len(missing), err)
		}
		must(t, view.Get(t.Context(), chunktest.IDs(before), func(chunk.Chunk) error { return nil }))
		must(t, view.Put(t.Context(), before))
		if !s.Stats().Failed {
			t.Error("the figures do not say that the device failed")
		}
		if err := s.Close(); !errors.Is(err, ErrFailed) {
			t.Errorf("close: %v", err)
		}
	}
}

func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	opts := inMemory()
	fs := opts.FS.(*vfs.Crash)
	fs.Limit(512 << 10)
	s := open(t, opts)
	view := s.Device.Open(crashDomain, chunk.Data)
	var held []chunk.Chunk
	for i := uint64(0); ; i++ {
		batch := chunktest.Chunks(crashDomain, i, 3, 10_000)
		err := view.Put(t.Context(), batch)
		if errors.Is(err, chunk.ErrFull) {
			missing, err := view.Missing(t.Context(), chunktest.IDs(batch))
			must(t, err)
			if len(missing) == 0 { // the first of them may have found room in a batch of their own
				t.Error("of what was refused nothing is missing")
			}
			stored := slices.DeleteFunc(batch, func(c chunk.Chunk) bool { return slices.Contains(missing, c.ID()) })
			held = append(held, stored...)
			break
		}
		must(t, err)
		held = append(held, batch...)
		if i > 100 {
			t.Fatal("the disk never gets full")
		}
	}
	names, err := fs.ReadDir("device/packs")
	must(t, err)
	if s.Stats().Packs != len(names) {
		t.Errorf("%d packs, but the folder has %q", s.Stats().Packs, names)
	}
	fs.Limit(1 << 30)
	again := chunktest.Chunks(crashDomain, 1000, 10, 10_000)
	must(t, view.Put(t.Context(), again))
	s.reopen()
	must(t, s.Device.Open(crashDomain, chunk.Data).Get(t.Context(), chunktest.IDs(append(held, again...)), func(chunk.Chunk) error { return nil }))
}

func TestCachedChunksOfAClosedDeviceSurviveAPowerCut(t *testing.T) {
	for seed := range uint64(20) {
		fs, x, s := vfs.NewCrash(), NewMemoryIndex(), newStory()
		d, err := Open(t.Context(), crashOptions(fs, x))
		must(t, err)
		s.chunks = chunktest.Chunks(crashDomain, seed, 5, 5000)
		must(t, d.Open(crashDomain, chunk.Cache).Put(t.Context(), s.chunks))
		must(t, d.Close())
		rng := rand.New(rand.NewPCG(seed, 1))
		if err := s.check(fs.Crash(rng), x.Crash(rng)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestWhatAFailedSyncForgotIsWrittenAgain(t *testing.T) {
	for seed := range uint64(10) {
		fs, x, s := vfs.NewCrash(), NewMemoryIndex(), newStory()
		d, err := Open(t.Context(), crashOptions(fs, x))
		must(t, err)
		s.chunks = chunktest.Chunks(crashDomain, seed, 5, 5000)
		must(t, d.Open(crashDomain, chunk.Data).Put(t.Context(), s.chunks[:1]))
		failing(fs, vfs.OpSync, syscall.EIO)
		if err := d.Open(crashDomain, chunk.Data).Put(t.Context(), s.chunks[1:]); !errors.Is(err, syscall.EIO) {
			t.Fatalf("put: %v", err)
		}
		_ = d.Close()
		fs.Kill() // the process ends, the machine goes on: what was written is read, though it is not on the disk
		if err := s.check(fs, x); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		if err := s.check(fs.Crash(rng), x.Crash(rng)); err != nil {
			t.Fatalf("after a power cut, seed %d: %v", seed, err)
		}
	}
}

// TestCachedChunksThatAFailedSyncForgotAreWrittenAgain: the index knows of them before they are synced.
func TestCachedChunksThatAFailedSyncForgotAreWrittenAgain(t *testing.T) {
	for seed := range uint64(10) {
		fs, x, s := vfs.NewCrash(), NewMemoryIndex(), newStory()
		d, err := Open(t.Context(), crashOptions(fs, x))
		must(t, err)
		s.chunks = chunktest.Chunks(crashDomain, seed, 5, 5000)
		must(t, d.Open(crashDomain, chunk.Cache).Put(t.Context(), s.chunks))
		failing(fs, vfs.OpSync, syscall.EIO)
		_ = d.Close()
		fs.Kill()
		d, err = Open(t.Context(), crashOptions(fs, x))
		must(t, err)
		must(t, d.Close()) // from here on they are on the disk
		rng := rand.New(rand.NewPCG(seed, 1))
		if err := s.check(fs.Crash(rng), x.Crash(rng)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
