package spread

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/vfs"
)

var seeds = flag.Uint64("seeds", 1, "outcomes of each crash point; lives of the property test, times 500")

// machine is a segment's devices and their list on one file system, so that a cut of the power is one moment for all.
type machine struct {
	fs      *vfs.Crash
	mu      sync.Mutex // for indexes
	indexes map[string]*pack.MemoryIndex
	acked   map[chunk.ID]chunk.Chunk
	serial  uint64
}

func newMachine() *machine {
	return &machine{fs: vfs.NewCrash(), indexes: map[string]*pack.MemoryIndex{}, acked: map[chunk.ID]chunk.Chunk{}}
}

func (m *machine) open() (*Store, error) {
	return Open(context.Background(), Options{
		FS: m.fs, Dir: "/", First: "/0", Owner: owner, Rate: -1, Patience: hour,
		Each: pack.Options{PackSize: 64 << 10, Reserve: 1, Recent: 64},
		Tune: func(o *pack.Options) { o.FS, o.Index = m.fs, m.index(o.Dir) },
	})
}

func (m *machine) index(dir string) pack.Index {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.indexes[dir] == nil {
		m.indexes[dir] = pack.NewMemoryIndex()
	}
	return m.indexes[dir]
}

func (m *machine) put(s *Store, class chunk.Class, n, size int) error {
	m.serial++
	chunks := chunktest.Chunks(domain, m.serial, n, size)
	if err := s.Open(domain, class).Put(context.Background(), chunks); err != nil {
		return err
	}
	for _, c := range chunks {
		m.acked[c.ID()] = c
	}
	return nil
}

// story adds a second device where there is one, drains the first of two and removes it, and writes all the while.
func (m *machine) story() (err error) {
	s, err := m.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for i := range 6 {
		if err := m.put(s, chunk.Data, 2, 1000+500*i); err != nil {
			return err
		}
	}
	if err := m.put(s, chunk.Meta, 3, 700); err != nil {
		return err
	}
	if all := s.Devices(); len(all) == 1 {
		next := map[string]string{"/0": "/1", "/1": "/2", "/2": "/1"}[all[0].Dir]
		if err := m.fs.RemoveAll(next); err != nil {
			return err
		}
		m.mu.Lock()
		delete(m.indexes, next)
		m.mu.Unlock()
		if _, err := s.Add(context.Background(), next); err != nil {
			return err
		}
	}
	for i := range 6 {
		if err := m.put(s, chunk.Data, 1, 1000+500*i); err != nil {
			return err
		}
	}
	id := s.Devices()[0].ID
	if err := s.Drain(id); err != nil {
		return err
	}
	var last Status
	err = s.Follow(context.Background(), id, func(st Status) bool { last = st; return st.State == Draining && st.Why == "" })
	if err != nil || last.State != Empty {
		return fmt.Errorf("the drain ended as %s: %s: %w", last.State, last.Why, errors.Join(err, s.Err(), m.alive()))
	}
	if err := s.Remove(context.Background(), id, false); err != nil {
		return err
	}
	return m.put(s, chunk.Data, 2, 900)
}

// alive is ErrCut once the power is.
func (m *machine) alive() error { _, err := m.fs.Stat("/"); return err }

// check opens what is left: all that was acknowledged is held, and read.
func (m *machine) check() error {
	s, err := m.open()
	if err != nil {
		return err
	}
	defer s.Close()
	for _, st := range s.Devices() {
		if st.State == Missing || st.State == Failed {
			return fmt.Errorf("device %s is %s: %s", st.Dir, st.State, st.Why)
		}
	}
	ids := slices.Collect(maps.Keys(m.acked))
	store := s.Open(domain, chunk.Data)
	if missing, err := store.Missing(context.Background(), ids); err != nil || len(missing) > 0 {
		return fmt.Errorf("%d of %d chunks are missing, %w", len(missing), len(ids), err)
	}
	n := 0
	if err := store.Get(context.Background(), ids, func(chunk.Chunk) error { n++; return nil }); err != nil || n != len(ids) {
		return fmt.Errorf("%d of %d chunks are read: %w", n, len(ids), err)
	}
	return nil
}

// crash is what a power cut, or the end of the process alone, leaves.
func (m *machine) crash(rng *rand.Rand) {
	if rng.IntN(3) == 0 {
		m.fs.Kill()
		return
	}
	m.fs = m.fs.Crash(rng)
	for _, dir := range slices.Sorted(maps.Keys(m.indexes)) {
		m.indexes[dir] = m.indexes[dir].Crash(rng)
	}
}

// TestEveryCrashPointOfAddingDrainingAndRemoving cuts the power, or kills the process, at every operation of a device's life, and then again in the lives that follow.
func TestEveryCrashPointOfAddingDrainingAndRemoving(t *testing.T) {
	m := newMachine()
	must(t, m.story())
	must(t, m.check())
	total := m.fs.Ops()
	t.Logf("%d operations", total)
	step := 1
	if testing.Short() {
		step = 7
	}
	for n := 0; n < total; n += step {
		for seed := range *seeds {
			rng := rand.New(rand.NewPCG(uint64(n), seed))
			m := newMachine()
			m.fs.CutAfter(n)
			err := m.story()
			for life := range 3 {
				if err != nil && !errors.Is(err, vfs.ErrCut) {
					t.Fatalf("operation %d, seed %d, life %d: %v", n, seed, life, err)
				}
				m.crash(rng)
				if err := m.check(); err != nil {
					t.Fatalf("after a crash at operation %d, seed %d, life %d: %v", n, seed, life, err)
				}
				m.fs.CutAfter(rng.IntN(300))
				err = m.story()
			}
		}
	}
}
