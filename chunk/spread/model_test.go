package spread

import (
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/vfs"
)

// life is one random history of a segment's devices, and what must be true of it.
type life struct {
	*node
	t       *testing.T
	rng     *rand.Rand
	acked   []chunk.Chunk
	serial  uint64
	folders int
	hangs   map[string]func() // releases
	faults  map[string]bool   // disks that refuse writes; a restart heals them
	away    map[string]*disk  // disks that were taken out
}

// TestWhatWasAcknowledgedIsReadWhateverDevicesDo puts, reads, adds, drains, removes, and has devices fail, hang, vanish and come back, at random.
func TestWhatWasAcknowledgedIsReadWhateverDevicesDo(t *testing.T) {
	lives := 500 * *seeds
	if testing.Short() {
		lives = 10 * *seeds
	}
	first := rand.Uint64()
	for seed := first; seed < first+lives; seed++ {
		synctest.Test(t, func(t *testing.T) {
			l := &life{node: newNode(t, 2), t: t, rng: rand.New(rand.NewPCG(seed, 0)), folders: 2,
				hangs: map[string]func(){}, faults: map[string]bool{}, away: map[string]*disk{}}
			t.Cleanup(l.release)
			for range 60 {
				l.step()
				l.look()
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			l.mend()
			l.look()
			if got, err := l.get(l.acked); err != nil || len(got) != len(l.acked) {
				t.Fatalf("seed %d: in the end %d of %d chunks are read, %v", seed, len(got), len(l.acked), err)
			}
		})
	}
}

func (l *life) step() {
	switch l.rng.IntN(14) {
	case 0, 1, 2, 3:
		l.put()
	case 4:
		if len(l.Devices()) < 5 {
			l.add(l.folders)
			l.folders++
		}
	case 5:
		if err := l.Drain(l.any().ID); err != nil && !errors.Is(err, ErrLast) {
			l.t.Errorf("drain: %v", err)
		}
	case 6:
		must(l.t, l.Undrain(l.any().ID))
	case 7, 8:
		st := l.any()
		if err := l.Remove(l.t.Context(), st.ID, false); err != nil && !errors.Is(err, ErrLast) && !errors.Is(err, ErrHolds) {
			l.t.Errorf("remove %+v: %v", st, err)
		}
	case 9:
		dir := l.any().Dir
		if l.hangs[dir] == nil {
			l.disk(dir).Fail(syscall.EIO, vfs.OpWrite, vfs.OpSync)
			l.faults[dir] = true
		}
	case 10:
		dir := l.any().Dir
		if !l.faults[dir] && l.hangs[dir] == nil {
			l.hangs[dir] = l.disk(dir).Hang()
		}
	case 11:
		l.release()
	case 12, 13:
		l.restart()
	}
	synctest.Wait()
}

func (l *life) any() Status {
	all := l.Devices()
	return all[l.rng.IntN(len(all))]
}

// put puts new chunks and some that were put before.
func (l *life) put() {
	l.serial++
	batch := chunktest.Chunks(domain, l.serial, 1+l.rng.IntN(3), 1+l.rng.IntN(4000))
	for range min(len(l.acked), l.rng.IntN(4)) {
		batch = append(batch, l.acked[l.rng.IntN(len(l.acked))])
	}
	class := []chunk.Class{chunk.Data, chunk.Data, chunk.Meta}[l.rng.IntN(3)]
	sound := slices.ContainsFunc(l.Devices(), func(st Status) bool {
		return st.State == Serving && l.hangs[st.Dir] == nil && !l.faults[st.Dir]
	})
	err := l.Store.Open(domain, class).Put(l.t.Context(), batch)
	switch {
	case err == nil:
		for _, c := range batch {
			if !slices.ContainsFunc(l.acked, func(o chunk.Chunk) bool { return o.ID() == c.ID() }) {
				l.acked = append(l.acked, c)
			}
		}
	case sound:
		l.t.Errorf("put, though a device takes writes: %v", err)
	case !errors.Is(err, chunk.ErrUnavailable) && !errors.Is(err, pack.ErrFailed):
		l.t.Errorf("put: %v", err)
	}
}

// look reads all. Only what a device that cannot be asked may have can be withheld, and is not called absent.
func (l *life) look() {
	unasked := len(l.hangs) > 0 || slices.ContainsFunc(l.Devices(), func(st Status) bool { return st.State == Missing || st.State == Opening })
	got, err := l.get(l.acked)
	if unasked && errors.Is(err, chunk.ErrUnavailable) && !errors.Is(err, chunk.ErrNotFound) {
		return
	}
	if err != nil || len(got) != len(l.acked) {
		l.t.Errorf("%d of %d chunks are read, %v", len(got), len(l.acked), err)
	}
}

func (l *life) release() {
	for dir, release := range l.hangs {
		release()
		delete(l.hangs, dir)
	}
}

// restart opens the devices again, perhaps without one of them, or with one that was away. Errors of disks are over.
func (l *life) restart() {
	l.release()
	synctest.Wait()
	_ = l.Close()
	l.Store = nil
	for dir := range l.faults {
		l.disks[dir].Inject(nil)
		delete(l.faults, dir)
	}
	for dir, d := range l.away {
		l.disks[dir] = d
		delete(l.away, dir)
	}
	if all, err := readList(l.opts.FS, "/"); err == nil && len(all) > 1 && l.rng.IntN(3) == 0 {
		e := all[l.rng.IntN(len(all))]
		dir := e.path
		if dir == "" {
			dir = l.opts.First
		}
		l.away[dir] = l.disks[dir]
		delete(l.disks, dir)
	}
	l.reopen()
}

// mend brings everything back.
func (l *life) mend() {
	for l.restart(); len(l.away) > 0; {
		l.restart()
	}
}
