package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/segment"
)

var oneSync = flag.Int("crash.sync", -1, "the one sync to fail")

const roomy = 1 << 40 // bytes; a disk that never gets full

// TestEveryFailedSync fails one sync of a file or a folder after the other, once each. What depends on it is refused; what was acknowledged is
// still read, and is there after the process was started again, or the power was cut, and cut once more.
func TestEveryFailedSync(t *testing.T) {
	p := newPeer(t)
	seen, _, syncs := undisturbed(t, p)
	first := 0
	every, seeds := sparse(syncs, 25, 80)
	if *oneSync >= 0 {
		first, syncs, seeds = *oneSync, *oneSync+1, 50
	}
	t.Logf("%d syncs; every %d fails, %d times", syncs, every, seeds)
	for n := first; n < syncs; n += every {
		for seed := range seeds {
			synctest.Test(t, func(t *testing.T) {
				r := newRun(t, p)
				r.seen = seen
				if err := r.failSync(n, rand.New(rand.NewPCG(uint64(n), seed))); err != nil {
					t.Errorf("sync %d fails, seed %d: %v\nagain: go test ./test/crash -run TestEveryFailedSync -crash.sync %d", n, seed, err, n)
				}
			})
		}
	}
}

func (r *run) failSync(n int, rng *rand.Rand) error {
	r.disk.fs.Inject(func(op vfs.Op) error {
		if op.Kind != vfs.OpSync && op.Kind != vfs.OpSyncDir {
			return nil
		}
		if n--; n == -1 {
			return syscall.EIO
		}
		return nil
	})
	err := r.live()
	switch {
	case err == nil:
		return nil // tried again
	case !errors.Is(err, syscall.EIO):
		return err
	case r.serving() && !errors.Is(err, segment.ErrUnavailable) && !errors.Is(err, pack.ErrFailed):
		return fmt.Errorf("the error does not say what to do: %w", err)
	}
	r.disk.fs.Inject(nil)
	for life := range 2 {
		if life == 0 && rng.IntN(2) == 0 {
			r.disk.fs.Kill()
		} else {
			r.disk = r.disk.powerCut(rng)
		}
		r.disk.fs.CutAfter(10 + rng.IntN(100))
		if err := r.live(); err == nil || !errors.Is(err, vfs.ErrCut) {
			return err
		}
	}
	r.disk = r.disk.powerCut(rng)
	return r.live()
}

// serving says whether a step of a client's was under way, not the start or the end of a process, nor what an administrator asked for.
func (r *run) serving() bool {
	return r.site != nil && r.done < len(r.steps) && r.steps[r.done].name != "restart" && !r.steps[r.done].ofChunks()
}

// TestEveryFullDisk runs the script on disks of many sizes. What has no room is refused, or waits for room; what is there stays readable;
// when room comes back, it goes on.
func TestEveryFullDisk(t *testing.T) {
	p := newPeer(t)
	seen, _, _ := undisturbed(t, p)
	least, most := sizes(t, p)
	steps := int64(24)
	switch {
	case *all:
		steps = 100
	case testing.Short():
		steps = 12
	}
	t.Logf("disks of %d to %d bytes", least, most)
	var running sync.WaitGroup
	slots := make(chan bool, 12) // who waits for room costs nothing
	for i := range steps {
		slots <- true
		running.Go(func() {
			defer func() { <-slots }()
			r := newRun(t, p)
			r.seen = seen
			limit := least + (most-least)*i/steps
			if err := r.fillDisk(limit); err != nil {
				t.Errorf("a disk of %d bytes: %v", limit, err)
			}
		})
	}
	running.Wait()
}

// sizes are what the files take after the first start, and at the end.
func sizes(t *testing.T, p *peer) (least, most int64) {
	r := newRun(t, p)
	used := func() int64 {
		free, err := r.disk.fs.Free("/")
		must(t, err)
		return roomy - free
	}
	r.disk.fs.Limit(roomy)
	must(t, r.open())
	least = used()
	for ; r.done < len(r.steps); r.done++ {
		r.clock.at(r.done + 1)
		must(t, r.steps[r.done].do(t.Context(), r.site))
		most = max(most, used())
	}
	must(t, r.site.close())
	return least, most
}

// fillDisk goes through the script on a small disk until something is refused, then with room.
func (r *run) fillDisk(limit int64) error {
	r.disk.fs.Limit(limit)
	if err := r.patiently(func(context.Context) error { return r.open() }); err != nil {
		return err
	}
	for ; r.done < len(r.steps); r.done++ {
		do := func(ctx context.Context) error {
			r.clock.at(r.done + 1)
			return r.steps[r.done].do(ctx, r.site)
		}
		if err := r.patiently(do); err != nil {
			return errors.Join(fmt.Errorf("step %d, %s: %w", r.done, r.steps[r.done].name, err), r.site.close())
		}
	}
	r.disk.fs.Limit(roomy)
	err := r.recognize()
	if err == nil {
		err = again(r.site.proveRoots)
	}
	if err := errors.Join(err, r.site.close()); err != nil {
		return err
	}
	return r.live()
}

// patiently does something that may need more room than there is: then it must be refused clearly, with nothing changed, or wait. After that there
// is room, and it is done before long.
func (r *run) patiently(do func(context.Context) error) error {
	err := r.withRoomLater(do)
	if err == nil {
		return nil
	}
	if !errors.Is(err, chunk.ErrFull) && !errors.Is(err, segment.ErrUnavailable) && !vfs.IsFull(err) {
		return fmt.Errorf("refused without a reason: %w", err)
	}
	if r.site != nil && !r.site.closed {
		if picture, err := r.site.picture(context.Background()); err != nil || picture != r.seen[r.done] {
			return fmt.Errorf("while the disk is full: %w\n%s", err, difference(r.seen[r.done], picture))
		}
	}
	r.disk.fs.Limit(roomy)
	if err := again(do); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	return nil
}

// again does something until it works, for a while.
func again(do func(context.Context) error) (err error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 1200 { // a minute
		if err = do(context.Background()); err == nil {
			return nil
		}
		<-tick.C
	}
	return err
}

// withRoomLater gives room to what waits for it.
func (r *run) withRoomLater(do func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- do(context.Background()) }()
	select {
	case err := <-done:
		return err
	case <-time.After(3 * time.Second):
		r.disk.fs.Limit(roomy)
	}
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute):
		return errors.New("it hangs, though there is room")
	}
}
