package pack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

// keeping is a function that says true of some chunks.
func keeping(chunks []chunk.Chunk) func(chunk.ID) bool {
	in := map[chunk.ID]bool{}
	for _, c := range chunks {
		in[c.ID()] = true
	}
	return func(id chunk.ID) bool { return in[id] }
}

func nothing(chunk.ID) bool { return false }

// collect runs a whole cycle.
func (s *site) collect(keep func(chunk.ID) bool) (chunk.Swept, chunk.Compacted) {
	s.t.Helper()
	ctx := context.Background()
	sweep, err := s.Condemn(ctx, []chunk.Domain{crashDomain}, keep)
	must(s.t, err)
	defer sweep.End()
	gone, err := sweep.Expunge(ctx, keep)
	must(s.t, err)
	done, err := sweep.Compact(ctx, chunk.Compaction{})
	must(s.t, err)
	return gone, done
}

// packed is the number of bytes that packs take, and of those files.
func (s *site) packed() (bytes int64, files int) {
	s.t.Helper()
	dir := path.Join(s.opts.Dir, packDir)
	names, err := s.opts.FS.ReadDir(dir)
	must(s.t, err)
	for _, name := range names {
		if strings.HasSuffix(name, packSuffix) {
			bytes += fileSize(s.t, s.opts.FS, path.Join(dir, name))
			files++
		}
	}
	return bytes, files
}

func (s *site) wantAbsent(chunks []chunk.Chunk) {
	s.t.Helper()
	ids := chunktest.IDs(chunks)
	view := s.Device.Open(crashDomain, chunk.Cache)
	if missing, err := view.Missing(context.Background(), ids); err != nil || len(missing) != len(ids) {
		s.t.Errorf("%d of %d chunks are missing, %v", len(missing), len(ids), err)
	}
	err := view.Get(context.Background(), ids, func(chunk.Chunk) error { return errors.New("served") })
	if !errors.Is(err, chunk.ErrNotFound) {
		s.t.Errorf("get of what is gone: %v", err)
	}
}

func TestWhatNothingReachesGoesAndItsRoomComesBack(t *testing.T) {
	for name, opts := range map[string]Options{"memory": inMemory(), "disk": onDisk(t)} {
		t.Run(name, func(t *testing.T) {
			s := open(t, opts)
			durable, cached := s.fill(1)
			before, _ := s.packed()
			kept := durable[:4]
			gone, done := s.collect(keeping(kept))
			if want := int64(len(durable) + len(cached) - 4); gone.Chunks != want {
				t.Errorf("%d chunks are gone, want %d", gone.Chunks, want)
			}
			if done.Dead != 0 || done.Skipped != 0 || name == "memory" && done.Files == 0 {
				t.Errorf("%+v", done)
			}
			for life := range 2 {
				if life > 0 && name == "disk" { // what lies in the pack that is being written is found again
					break
				}
				s.wantHeld(chunk.Data, kept)
				s.wantAbsent(append(durable[4:], cached...))
				if n := s.Stats().Chunks[chunk.Data].Chunks; n != 4 {
					t.Errorf("%d chunks are counted", n)
				}
				s.reopen()
			}
			if name == "memory" {
				if after, files := s.packed(); after > before/2 || files > 2 {
					t.Errorf("%d bytes in %d packs, %d before", after, files, before)
				}
			}
		})
	}
}

func TestAnEmptyDeviceIsCollectedToNothing(t *testing.T) {
	s := open(t, inMemory())
	durable, cached := s.fill(1)
	s.collect(nothing)
	if n, files := s.packed(); files != 0 {
		t.Errorf("%d packs of %d bytes are left", files, n)
	}
	last := s.last
	s.reopen()
	if s.last < last { // a start that is in doubt leaves some out
		t.Errorf("the highest number is %d after a start, was %d: a place would be used twice", s.last, last)
	}
	s.wantAbsent(append(durable, cached...))
	s.fill(1)
	s.wantHeld(chunk.Data, durable)
}

func TestTheCondemnedIsReadAndWrittenAnewElsewhere(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	again, dead := durable[:10], durable[10:]
	view := s.Device.Open(crashDomain, chunk.Data)
	sweep, err := s.Condemn(t.Context(), []chunk.Domain{crashDomain}, nothing)
	must(t, err)
	defer sweep.End()
	if missing, err := view.Missing(t.Context(), chunktest.IDs(durable)); err != nil || len(missing) != len(durable) {
		t.Errorf("%d of %d count as missing, %v", len(missing), len(durable), err)
	}
	must(t, view.Get(t.Context(), chunktest.IDs(durable), func(chunk.Chunk) error { return nil }))
	was := s.where(crashDomain, again[0].ID())
	must(t, view.Put(t.Context(), again))
	if now := s.where(crashDomain, again[0].ID()); now == was {
		t.Error("what was condemned and put again lies where it lay")
	}
	_, err = sweep.Expunge(t.Context(), nothing)
	must(t, err)
	s.wantHeld(chunk.Data, again)
	s.wantAbsent(dead)
}

// TestWhatIsCachedDoesNotReplaceTheCondemned: the guess may be wrong, and a cached copy may vanish.
func TestWhatIsCachedDoesNotReplaceTheCondemned(t *testing.T) {
	s := open(t, inMemory())
	durable, cached := s.fill(1)
	sweep, err := s.Condemn(t.Context(), []chunk.Domain{crashDomain}, nothing)
	must(t, err)
	must(t, s.Device.Open(crashDomain, chunk.Cache).Put(t.Context(), append(durable[:5:5], cached[0])))
	_, err = sweep.Expunge(t.Context(), keeping(durable))
	must(t, err)
	sweep.End()
	s.wantHeld(chunk.Data, durable)
	s.wantHeld(chunk.Cache, cached[:1])
}

func TestAWrongGuessIsForgotten(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	for range 2 {
		sweep, err := s.Condemn(t.Context(), []chunk.Domain{crashDomain}, nothing)
		must(t, err)
		if _, err := s.Condemn(t.Context(), nil, nothing); !errors.Is(err, chunk.ErrUnavailable) {
			t.Errorf("a second cycle: %v", err)
		}
		if _, err := sweep.Compact(t.Context(), chunk.Compaction{}); err == nil {
			t.Error("compacted before anything was expunged")
		}
		sweep.End()
		sweep.End()
		s.wantHeld(chunk.Data, durable)
	}
}

func TestOtherDomainsAreLeftAlone(t *testing.T) {
	s := open(t, inMemory())
	other := chunktest.Domain(9)
	chunks := chunktest.Chunks(other, 1, 10, 1000)
	must(t, s.Device.Open(other, chunk.Data).Put(t.Context(), chunks))
	s.fill(1)
	s.collect(nothing)
	if missing, err := s.Device.Open(other, chunk.Data).Missing(t.Context(), chunktest.IDs(chunks)); err != nil || len(missing) > 0 {
		t.Errorf("%d are missing, %v", len(missing), err)
	}
	must(t, s.Device.Open(other, chunk.Data).Get(t.Context(), chunktest.IDs(chunks), func(chunk.Chunk) error { return nil }))
}

func TestStoppedCompactionGoesOnInTheNextCycle(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	kept := durable[:15]
	keep := keeping(kept)
	sweep, err := s.Condemn(t.Context(), []chunk.Domain{crashDomain}, keep)
	must(t, err)
	_, err = sweep.Expunge(t.Context(), keep)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done, err := sweep.Compact(ctx, chunk.Compaction{Done: func(chunk.Compacted) { cancel() }})
	sweep.End()
	if !errors.Is(err, context.Canceled) || done.Files != 1 || done.Dead == 0 {
		t.Errorf("%+v, %v", done, err)
	}
	s.wantHeld(chunk.Data, kept)
	if _, done := s.collect(keep); done.Files == 0 || done.Dead != 0 {
		t.Errorf("%+v", done)
	}
	s.wantHeld(chunk.Data, kept)
}

func TestADamagedRecordIsNotCarriedOn(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	var kept []chunk.Chunk
	for i, c := range durable {
		if i%3 == 0 {
			kept = append(kept, c)
		}
	}
	s.damage(crashDomain, kept[0].ID())
	s.collect(keeping(kept))
	s.wantAbsent(kept[:1])
	s.wantHeld(chunk.Data, kept[1:])
}

// TestWhatIsPutWhileItIsExpungedStays puts a chunk again after it was found to be of no use and before it is removed.
func TestWhatIsPutWhileItIsExpungedStays(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	view := s.Device.Open(crashDomain, chunk.Data)
	sweep, err := s.Condemn(t.Context(), []chunk.Domain{crashDomain}, nothing)
	must(t, err)
	defer sweep.End()
	_, err = sweep.Expunge(t.Context(), func(id chunk.ID) bool {
		if id == durable[0].ID() {
			must(t, view.Put(t.Context(), durable[:1]))
		}
		return false
	})
	must(t, err)
	s.wantHeld(chunk.Data, durable[:1])
	s.wantAbsent(durable[1:])
}

// TestWhoLookedAChunkUpBeforeItMovedReadsIt empties packs between a reader's look at the index and his reading.
func TestWhoLookedAChunkUpBeforeItMovedReadsIt(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	v := s.Device.Open(crashDomain, chunk.Data).(view)
	var failed failures
	looked, err := v.locate(v.keys(chunktest.IDs(durable)), &failed)
	must(t, err)
	kept := durable[:3]
	s.collect(keeping(kept))
	s.fill(100) // into the same files
	got := map[chunk.ID]bool{}
	for i := range looked {
		must(t, v.readSpan(looked[i:i+1], func(c chunk.Chunk) error { got[c.ID()] = true; return nil }, &failed))
	}
	for _, c := range durable {
		if keep := keeping(kept)(c.ID()); got[c.ID()] != keep {
			t.Errorf("chunk %v is read: %v", c.ID(), !keep)
		}
	}
	if err := failed.worst(); !errors.Is(err, chunk.ErrNotFound) || s.Stats().Corrupt != 0 {
		t.Errorf("%v, %d copies count as damaged", err, s.Stats().Corrupt)
	}
	s.wantHeld(chunk.Data, kept)
}

// TestReadersFindWhatIsMoved reads all the time while packs are emptied, recycled and filled.
func TestReadersFindWhatIsMoved(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	kept := slices.Concat(durable[:5], durable[30:35])
	ids := chunktest.IDs(kept)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				n := 0
				err := s.Device.Open(crashDomain, chunk.Data).Get(context.Background(), ids, func(chunk.Chunk) error { n++; return nil })
				if err != nil || n != len(ids) {
					t.Errorf("%d of %d are read, %v", n, len(ids), err)
					return
				}
			}
		})
	}
	for seed := range uint64(10) {
		s.fill(10 * (seed + 1))
		s.collect(keeping(kept))
	}
	stop()
	readers.Wait()
	if s.Stats().Corrupt != 0 {
		t.Errorf("%d copies count as damaged", s.Stats().Corrupt)
	}
}

func TestAFullDiskIsCollected(t *testing.T) {
	opts := inMemory()
	opts.FS.(*vfs.Crash).Limit(1 << 20)
	s := open(t, opts)
	view := s.Device.Open(crashDomain, chunk.Data)
	var held []chunk.Chunk
	for i := uint64(0); ; i++ {
		batch := chunktest.Chunks(crashDomain, i, 3, 10_000)
		err := view.Put(t.Context(), batch)
		if errors.Is(err, chunk.ErrFull) {
			break
		}
		must(t, err)
		held = append(held, batch...)
	}
	kept := held[len(held)/2:]
	s.collect(keeping(kept))
	s.wantHeld(chunk.Data, kept)
	must(t, view.Put(t.Context(), held[:len(held)/3]))
	s.wantHeld(chunk.Data, held[:len(held)/3])
}

// sweep makes some of what was put useless and collects it, while some of that is put again.
func (s *story) sweep(d *Device, rng *rand.Rand) error {
	ctx := context.Background()
	var dead []chunk.Chunk
	seen := map[chunk.ID]bool{}
	for _, c := range s.chunks {
		if seen[c.ID()] {
			continue
		}
		seen[c.ID()] = true
		if rng.IntN(3) > 0 {
			delete(s.acked, c.ID())
		}
		if !s.acked[c.ID()] {
			dead = append(dead, c)
		}
	}
	sweep, err := d.Condemn(ctx, []chunk.Domain{crashDomain}, func(id chunk.ID) bool { return s.acked[id] })
	if err != nil {
		return err
	}
	defer sweep.End()
	again := dead[:min(len(dead), 3)]
	reached := map[chunk.ID]bool{} // by the second mark, which need not know of what was written since the guess
	for id := range s.acked {
		reached[id] = true
	}
	if err := d.Open(crashDomain, chunk.Data).Put(ctx, again); err != nil {
		return err
	}
	for _, c := range again {
		s.acked[c.ID()] = true
	}
	if _, err := sweep.Expunge(ctx, func(id chunk.ID) bool { return reached[id] }); err != nil {
		return err
	}
	if _, err := sweep.Compact(ctx, chunk.Compaction{}); err != nil {
		return err
	}
	missing, err := d.Open(crashDomain, chunk.Cache).Missing(ctx, chunktest.IDs(dead[len(again):]))
	if err == nil && len(missing) != len(dead)-len(again) {
		err = fmt.Errorf("%d of %d useless chunks are gone", len(missing), len(dead)-len(again))
	}
	return err
}

// collected is a workload that puts, and collects now and then, until the disk fails.
func (s *story) collected(fs vfs.FS, x Index, rounds int, rng *rand.Rand) error {
	for first := 0; first < rounds; first += 5 {
		if err := s.open(fs, x, first, min(first+5, rounds)); err != nil {
			return err
		}
		d, err := Open(context.Background(), crashOptions(fs, x))
		if err != nil {
			return err
		}
		err = s.sweep(d, rng)
		if closed := d.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestEveryCrashPointOfACollection cuts the power, or kills the process, at every operation of a workload with collections.
func TestEveryCrashPointOfACollection(t *testing.T) {
	const rounds = 15
	work := func(fs *vfs.Crash, x Index, s *story) error {
		return s.collected(fs, x, rounds, rand.New(rand.NewPCG(1, 1)))
	}
	fs := vfs.NewCrash()
	must(t, work(fs, NewMemoryIndex(), newStory()))
	total := fs.Ops()
	t.Logf("%d operations", total)
	step := 1
	if testing.Short() {
		step = 4
	}
	for n := 0; n < total; n += step {
		for seed := range *seeds {
			rng := rand.New(rand.NewPCG(uint64(n), seed))
			fs, x, s := vfs.NewCrash(), NewMemoryIndex(), newStory()
			fs.CutAfter(n)
			err := work(fs, x, s)
			for life := range 2 {
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
				fs.CutAfter(20 + rng.IntN(100))
				err = s.collected(fs, x, 10, rng)
			}
		}
	}
}

// TestWhatAStartBringsBackGoesWithTheNextCycle is about a pack that is not sealed when the device is opened: all that is whole in it may have been acknowledged, so what was removed of it comes back.
func TestWhatAStartBringsBackGoesWithTheNextCycle(t *testing.T) {
	opts := inMemory()
	opts.PackSize = 1 << 20 // one pack takes all
	s := open(t, opts)
	durable, _ := s.fill(1)
	kept, dead := durable[:10], durable[10:]
	sweep, err := s.Condemn(t.Context(), []chunk.Domain{crashDomain}, keeping(kept))
	must(t, err)
	_, err = sweep.Expunge(t.Context(), keeping(kept))
	must(t, err)
	sweep.End() // the power goes before the pack does
	s.wantAbsent(dead)
	fs, rng := opts.FS.(*vfs.Crash), rand.New(rand.NewPCG(1, 1))
	fs.CutAfter(0)
	_ = s.Close()
	s.Device, s.opts.FS, s.opts.Index = nil, fs.Crash(rng), opts.Index.(*MemoryIndex).Crash(rng)
	s.reopen()
	missing, err := s.Device.Open(crashDomain, chunk.Data).Missing(t.Context(), chunktest.IDs(dead))
	must(t, err)
	if len(missing) == len(dead) {
		t.Fatal("nothing came back, and the test shows nothing")
	}
	gone, done := s.collect(keeping(kept))
	if int(gone.Chunks) < len(dead)-len(missing) || done.Freed == 0 {
		t.Errorf("%+v are gone of %d that came back, %+v", gone, len(dead)-len(missing), done)
	}
	s.wantAbsent(dead)
	s.reopen()
	s.wantAbsent(dead)
	s.wantHeld(chunk.Data, kept)
}
