package pack

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

var oneLife = flag.Uint64("life", 0, "the seed of the one life of a device to be lived")

// lives is how many random ones of a device there are.
func lives() uint64 {
	if testing.Short() {
		return 25 * *seeds
	}
	return 500 * *seeds
}

// TestADeviceKeepsWhatIsReferencedAndNothingElse lives random lives of a device: puts, hits, deletes, collections in the midst of which all goes on, disks that fail,
// fill up and rot, restarts, kills and power cuts, some of them while it is opened. What somebody refers to is read; in the end nothing else is there.
func TestADeviceKeepsWhatIsReferencedAndNothingElse(t *testing.T) {
	first, n := rand.Uint64(), lives()
	if *oneLife != 0 {
		first, n = *oneLife, 1
	}
	for seed := first; seed < first+n; seed++ {
		l := newDeviceLife(seed)
		for range 40 {
			if err := l.step(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if err := l.end(); err != nil {
			t.Fatalf("seed %d: in the end: %v", seed, err)
		}
	}
}

// deviceLife is a device, and what is referred to.
type deviceLife struct {
	rng    *rand.Rand
	fs     *vfs.Crash
	x      *MemoryIndex
	d      *Device
	starts int
	pool   []chunk.Chunk // few, so that much is put that is there, or was
	refs   map[chunk.ID]bool
	rotten map[chunk.ID]bool // a copy is damaged; where the index forgets that, who puts the chunk is told that it is held
	doubt  map[chunk.ID]bool // may be held by such a copy, so nobody refers to it anew
	inside bool              // a collection is under way
	called bool              // by the device, which cannot be closed now
	cut    bool              // the power goes before long
}

func newDeviceLife(seed uint64) *deviceLife {
	l := &deviceLife{rng: rand.New(rand.NewPCG(seed, 3)), fs: vfs.NewCrash(), x: NewMemoryIndex(), refs: map[chunk.ID]bool{},
		rotten: map[chunk.ID]bool{}, doubt: map[chunk.ID]bool{}}
	for i, size := range []int{10, 700, 4000, 9000, 20_000} {
		l.pool = append(l.pool, chunktest.Chunks(crashDomain, uint64(i), 8, size)...)
	}
	return l
}

func (l *deviceLife) options() Options {
	return Options{FS: l.fs, Dir: "device", PackSize: 64 << 10, Index: l.x, Reserve: 1, Recent: 64}
}

// step is one act. What the cut of the power ends is lived on from there.
func (l *deviceLife) step() error {
	if l.d == nil {
		return l.start()
	}
	err := l.act()
	cut, failed := l.cut && l.fs.IsCut(), l.failed()
	switch {
	case l.called && (cut || failed):
		return errEnded
	case cut:
		return l.crash()
	case failed:
		return l.restart()
	}
	return err
}

func (l *deviceLife) act() error {
	switch n := l.rng.IntN(24); {
	case n < 8:
		return l.put()
	case n < 11:
		for id := range l.some(4) {
			delete(l.refs, id)
		}
		return nil
	case n < 13:
		return l.hit()
	case n < 15:
		return l.look(l.some(8))
	case n < 16 && !l.cut: // else nobody may notice before the power goes, and what has rotten counts as held
		return l.rot()
	case n < 17:
		return l.fill()
	case n < 18:
		return l.fail()
	case n < 20 && !l.cut:
		l.cut = true
		l.fs.CutAfter(l.rng.IntN(60))
		return nil
	case n < 22 && !l.inside:
		return l.collect()
	case n < 23 && !l.called:
		return l.restart()
	}
	return nil
}

// some are references that there are.
func (l *deviceLife) some(n int) map[chunk.ID]bool {
	some := map[chunk.ID]bool{}
	for _, c := range l.pool {
		if l.refs[c.ID()] && len(some) < n && l.rng.IntN(3) == 0 {
			some[c.ID()] = true
		}
	}
	return some
}

// put refers to what it puts, at a durable class.
func (l *deviceLife) put() error {
	var batch []chunk.Chunk
	for range 1 + l.rng.IntN(4) {
		batch = append(batch, l.pool[l.rng.IntN(len(l.pool))])
	}
	class := []chunk.Class{chunk.Data, chunk.Data, chunk.Meta, chunk.Cache}[l.rng.IntN(4)]
	err := l.d.Open(crashDomain, class).Put(context.Background(), batch)
	if err == nil && class.Durable() {
		l.refer(chunktest.IDs(batch))
	}
	return err
}

func (l *deviceLife) failed() bool { return l.d != nil && !l.fs.IsCut() && l.d.Stats().Failed }

// hit refers to what counts as held, without writing it.
func (l *deviceLife) hit() error {
	ids := chunktest.IDs(l.pool)
	missing, err := l.d.Open(crashDomain, chunk.Data).Missing(context.Background(), ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !slices.Contains(missing, id) && l.rng.IntN(6) == 0 {
			l.refer([]chunk.ID{id})
		}
	}
	return nil
}

func (l *deviceLife) refer(ids []chunk.ID) {
	for _, id := range ids {
		if !l.doubt[id] {
			l.refs[id] = true
		}
	}
}

// look reads what is referred to.
func (l *deviceLife) look(want map[chunk.ID]bool) error {
	ids := slices.Collect(maps.Keys(want))
	view := l.d.Open(crashDomain, chunk.Data)
	got := 0
	err := view.Get(context.Background(), ids, func(c chunk.Chunk) error { got++; return nil })
	if err != nil || got != len(ids) {
		return fmt.Errorf("%d of %d chunks are read: %w", got, len(ids), err)
	}
	return nil
}

// rot changes a bit of a chunk on the medium. It is not served, and put again.
func (l *deviceLife) rot() error {
	for id := range l.some(1) {
		key, at := Key{TagOf(crashDomain), id}, Entry{}
		if err := l.d.index.Lookup([]Key{key}, func(_ int, e Entry) { at = e }); err != nil || at.Class == 0 {
			return fmt.Errorf("what is referred to is not in the index: %v", err)
		}
		delete(l.refs, id)
		l.rotten[id] = true
		if err := l.flip(packName("device", at.Generation), at.Offset+recordSize+l.rng.Int64N(int64(at.Length))); err != nil {
			return err
		}
		view := l.d.Open(crashDomain, chunk.Data)
		err := view.Get(context.Background(), []chunk.ID{id}, func(chunk.Chunk) error { return errors.New("it was served") })
		if !errors.Is(err, chunk.ErrCorrupt) {
			return fmt.Errorf("what has rotten is read: %v", err)
		}
		for _, c := range l.pool {
			if c.ID() != id {
				continue
			}
			if err := view.Put(context.Background(), []chunk.Chunk{c}); err != nil {
				return err
			}
			l.refer([]chunk.ID{id})
		}
	}
	return nil
}

func (l *deviceLife) flip(name string, off int64) error {
	f, err := l.fs.Open(name, vfs.Write)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		return err
	}
	b[0] ^= 1 << l.rng.IntN(8)
	if _, err = f.WriteAt(b, off); err != nil {
		return err
	}
	return f.Sync()
}

// fill leaves the disk little room for a few puts. They are refused for that alone, and change nothing.
func (l *deviceLife) fill() error {
	used, err := l.fs.Free("device")
	if err != nil {
		return err
	}
	l.fs.Limit(1<<62 - used + l.rng.Int64N(100<<10))
	defer l.fs.Limit(1 << 62)
	for range l.rng.IntN(6) {
		if err := l.put(); err != nil && !errors.Is(err, chunk.ErrFull) {
			return err
		}
	}
	return l.look(l.some(4))
}

// fail lets the disk refuse to write or to sync during a put: the device takes no more until it is opened again.
func (l *deviceLife) fail() error {
	failing(l.fs, []vfs.OpKind{vfs.OpSync, vfs.OpWrite}[l.rng.IntN(2)], syscall.EIO)
	err := l.put()
	l.fs.Inject(nil)
	if err != nil && !errors.Is(err, syscall.EIO) {
		return err
	}
	return nil
}

// collect runs a cycle, in the midst of which life goes on.
func (l *deviceLife) collect() error {
	l.inside = true
	defer func() { l.inside = false }()
	start := l.starts
	err := l.cycle(func() error {
		for range l.rng.IntN(4) {
			if err := l.step(); err != nil {
				return err
			}
			if l.starts != start {
				return errEnded
			}
		}
		return nil
	})
	if errors.Is(err, errEnded) || errors.Is(err, chunk.ErrFull) {
		return nil
	}
	return err
}

// errEnded says that the device of a cycle was closed.
var errEnded = errors.New("the cycle has ended")

func (l *deviceLife) cycle(goOn func() error) error {
	ctx := context.Background()
	var within error
	called := func() {
		if within == nil {
			l.called = true
			within = goOn()
			l.called = false
		}
	}
	guess := maps.Clone(l.refs)
	if err := goOn(); err != nil {
		return err
	}
	sweep, err := l.d.Condemn(ctx, []chunk.Domain{crashDomain}, func(id chunk.ID) bool { return guess[id] })
	if err != nil {
		return err
	}
	defer sweep.End()
	reached := maps.Clone(l.refs) // of what comes from here on the second mark need not know
	if err := goOn(); err != nil {
		return err
	}
	_, err = sweep.Expunge(ctx, func(id chunk.ID) bool {
		if l.rng.IntN(20) == 0 {
			called()
		}
		return reached[id]
	})
	if within != nil {
		return within
	}
	if err != nil {
		return err
	}
	if err := goOn(); err != nil {
		return err
	}
	_, err = sweep.Compact(ctx, chunk.Compaction{Dead: []int{0, 1, 100}[l.rng.IntN(3)], Done: func(chunk.Compacted) { called() }})
	if within != nil {
		return within
	}
	return err
}

// restart closes the device, or ends its process, and opens it again.
func (l *deviceLife) restart() error {
	if l.rng.IntN(2) == 0 {
		l.fs.CutAfter(0)
	}
	_ = l.d.Close()
	if l.d = nil; l.fs.IsCut() {
		if l.cut {
			return l.crash()
		}
		l.fs.Kill()
	}
	l.fs.CutAfter(-1)
	l.cut = false
	return l.start()
}

// crash is a cut of the power, or the end of the process.
func (l *deviceLife) crash() error {
	if l.d != nil {
		_ = l.d.Close()
		l.d = nil
	}
	if l.cut = false; l.rng.IntN(3) == 0 {
		l.fs.Kill()
	} else {
		maps.Copy(l.doubt, l.rotten)
		l.fs, l.x = l.fs.Crash(l.rng), crashIndex(l.x, l.rng)
	}
	return l.start()
}

// start opens the device; sometimes the power is cut meanwhile, and again.
func (l *deviceLife) start() (err error) {
	l.starts++
	if l.rng.IntN(3) == 0 {
		l.cut = true
		l.fs.CutAfter(l.rng.IntN(30))
	}
	l.d, err = Open(context.Background(), l.options())
	if l.cut && l.fs.IsCut() {
		return l.crash()
	}
	if err == nil {
		err = l.look(l.refs)
	}
	if l.cut && l.fs.IsCut() {
		return l.crash()
	}
	return err
}

// end collects what is left, and finds exactly what is referred to, before and after a restart.
func (l *deviceLife) end() error {
	if l.d != nil {
		_ = l.d.Close()
	}
	l.fs.Kill()
	var err error
	if l.d, err = Open(context.Background(), l.options()); err != nil {
		return err
	}
	if err := l.cycle(func() error { return nil }); err != nil {
		return err
	}
	entries := 0
	if err := l.d.index.All(func(Key, Entry) error { entries++; return nil }); err != nil {
		return err
	}
	if entries != len(l.refs) {
		return fmt.Errorf("%d chunks are referred to, %d are there", len(l.refs), entries)
	}
	if err := errors.Join(l.look(l.refs), l.d.Close()); err != nil {
		return err
	}
	if l.d, err = Open(context.Background(), l.options()); err != nil {
		return err
	}
	return errors.Join(l.look(l.refs), l.d.Close())
}
