package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/spread"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/segment"
)

var (
	onePoint  = flag.Int("crash.point", -1, "the one operation to crash after")
	crashSeed = flag.Uint64("crash.seeds", 2, "how often each point is tried, with other writes kept or torn")
	all       = flag.Bool("crash.all", false, "try all points; else some of them, and fewer with -short")
)

// run is the script under way.
type run struct {
	steps []step
	site  *site
	done  int // steps acknowledged
	disk  *disk
	clock *clock
	peer  *peer
	seen  []string // picture after each number of steps; of the run that nothing disturbed
}

func newRun(t testing.TB, p *peer) *run {
	return &run{steps: script(t), disk: newDisk(), clock: new(clock), peer: p}
}

func (r *run) open() (err error) {
	r.clock.at(r.done)
	if r.site, err = openSite(r.disk, r.clock, r.peer); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	return nil
}

// go on with the script until it ends or a step fails. After each, what it set off in the background comes to its end.
func (r *run) goOn(after func() error) error {
	for ; r.done < len(r.steps); r.done++ {
		r.clock.at(r.done + 1)
		if err := r.steps[r.done].do(context.Background(), r.site); err != nil {
			return fmt.Errorf("step %d, %s: %w", r.done, r.steps[r.done].name, err)
		}
		synctest.Wait()
		if after != nil {
			if err := after(); err != nil {
				return err
			}
		}
	}
	return nil
}

// undisturbed notes what is to be seen after each step, and counts the operations, and the syncs among them.
func undisturbed(t *testing.T, p *peer) (seen []string, ops, syncs int) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(t, p)
		r.disk.fs.Inject(func(op vfs.Op) error {
			if op.Kind == vfs.OpSync || op.Kind == vfs.OpSyncDir {
				syncs++
			}
			return nil
		})
		must(t, r.open())
		look := func() error {
			picture, err := r.site.picture(t.Context())
			seen = append(seen, picture)
			return err
		}
		err := look()
		if err == nil {
			err = r.goOn(look)
		}
		if err == nil {
			err = r.site.proveRoots(t.Context())
		}
		if err == nil && r.disk.collected == 0 {
			err = errors.New("there was nothing to be collected")
		}
		must(t, errors.Join(err, r.site.close()))
		ops = r.disk.fs.Ops()
	})
	return seen, ops, syncs
}

// TestEveryCrashPoint cuts the power, or kills the process, after each operation of the script, and looks at what the next start finds: all that
// was acknowledged, of the step under way all or nothing, and nothing else. Then the script goes on to its end, which must be the same.
func TestEveryCrashPoint(t *testing.T) {
	p := newPeer(t)
	seen, ops, _ := undisturbed(t, p)
	first, last := 0, ops
	every, seeds := sparse(ops, 60, 200)
	if *onePoint >= 0 {
		first, last, seeds = *onePoint, *onePoint+1, 8
	}
	t.Logf("%d steps, %d operations; a crash after each %d, %d times", len(seen)-1, ops, every, seeds)
	began, runs := time.Now(), 0
	for n := first; n < last; n += every {
		for seed := range seeds {
			runs++
			synctest.Test(t, func(t *testing.T) {
				r := newRun(t, p)
				r.seen = seen
				if err := r.crashAfter(n, rand.New(rand.NewPCG(uint64(n), seed))); err != nil {
					t.Errorf("crash after operation %d, seed %d: %v\nagain: go test ./test/crash -run TestEveryCrashPoint -crash.point %d", n, seed, err, n)
				}
			})
		}
	}
	t.Logf("%d runs in %v", runs, time.Since(began).Round(time.Millisecond))
}

// TestEveryCrashPointOfAStart cuts the power in the midst of the script, then after each operation of the start that follows, and looks at what the next one finds.
func TestEveryCrashPointOfAStart(t *testing.T) {
	p := newPeer(t)
	seen, ops, _ := undisturbed(t, p)
	points, each := 6, 5
	switch {
	case *all:
		points, each = 60, 1
	case testing.Short():
		points, each = 2, 9
	}
	starts := 0
	for i := range points {
		n := ops * (2*i + 1) / (2 * points)
		synctest.Test(t, func(t *testing.T) {
			r, err := cutOff(t, p, seen, &n)
			if !errors.Is(err, vfs.ErrCut) {
				t.Fatalf("operation %d: %v", n, err)
			}
			for k := i % each; ; k += each {
				cut, err := r.cutStart(n, k)
				if err != nil {
					t.Fatalf("a crash after operation %d, and after %d of the start: %v", n, k, err)
				}
				if !cut {
					break
				}
				starts++
			}
		})
	}
	t.Logf("%d starts were cut off", starts)
	if starts < points {
		t.Error("that is too few")
	}
}

// cutOff is a life that was cut off after n operations, or fewer: how many a life takes is not always the same.
func cutOff(t *testing.T, p *peer, seen []string, n *int) (*run, error) {
	for ; ; *n = *n * 3 / 4 {
		r := newRun(t, p)
		r.seen = seen
		r.disk.fs.CutAfter(*n)
		if err := r.live(); err != nil {
			return r, err
		}
	}
}

// cutStart starts after a power cut and is cut off after k operations, if the start takes more. It leaves r as it is.
func (r *run) cutStart(n, k int) (cut bool, err error) {
	next := &run{steps: r.steps, done: r.done, seen: r.seen, peer: r.peer, clock: new(clock)}
	next.disk = r.disk.powerCut(rand.New(rand.NewPCG(uint64(n), 7)))
	next.disk.fs.CutAfter(k)
	err = next.open()
	if err == nil { // the last of it is cut off, or nothing
		err = next.site.close()
	}
	if err != nil && !errors.Is(err, vfs.ErrCut) {
		return false, err
	}
	cut = next.disk.fs.IsCut()
	next.disk = next.disk.powerCut(rand.New(rand.NewPCG(uint64(n), uint64(k))))
	if err := next.look(); err != nil {
		return cut, err
	}
	if err := next.open(); err != nil {
		return cut, err
	}
	return cut, errors.Join(next.recognize(), next.site.close())
}

// sparse says which of n points are tried, and how often: all if that was asked for, else about as many as are given.
func sparse(n, short, usual int) (every int, seeds uint64) {
	switch {
	case *all:
		return 1, *crashSeed
	case testing.Short():
		return 1 + n/short, 1
	}
	return 1 + n/usual, 1
}

// crashAfter lives several lives: the first ends after n operations, some soon after.
func (r *run) crashAfter(n int, rng *rand.Rand) error {
	r.disk.fs.CutAfter(n)
	for life := range 3 {
		err := r.live()
		if err == nil {
			return nil
		}
		if !errors.Is(err, vfs.ErrCut) {
			return fmt.Errorf("life %d: %w", life, err)
		}
		if rng.IntN(3) == 0 {
			r.disk.fs.Kill()
		} else {
			r.disk = r.disk.powerCut(rng)
		}
		if life < 2 && rng.IntN(2) == 0 {
			r.disk.fs.CutAfter(rng.IntN(120))
		}
	}
	if err := r.live(); err != nil {
		return fmt.Errorf("last life: %w", err)
	}
	return nil
}

// look finds no damage in what is there, before anybody opens it.
func (r *run) look() error {
	ctx := context.Background()
	var damage error
	tell := func(f finding.Finding) {
		if f.Grade == finding.Damage {
			damage = errors.Join(damage, fmt.Errorf("a look finds %+v", f))
		}
	}
	if _, err := pack.Look(r.disk.fs, firstDevice); err != nil {
		return nil // the device was not made yet
	}
	devices, err := spread.Inspect(ctx, spread.InspectOptions{
		FS: r.disk.fs, Dir: "/site", First: firstDevice, Owner: owner, Each: pack.InspectOptions{FS: r.disk.fs, Data: true},
		Tune: func(o *pack.InspectOptions) { o.Index = r.disk.index(o.Dir) },
	}, tell)
	if err != nil {
		return err
	}
	if _, err := r.disk.fs.Stat("/site/segment"); err == nil {
		s, err := segment.Inspect(ctx, segment.Config{FS: r.disk.fs, Dir: "/site/segment", ID: 1, Name: "site", Secret: secret, Chunks: stage.New(devices), Clock: r.clock.now}, tell)
		if err == nil && s != nil {
			_, err = s.Check(ctx, segment.CheckOptions{Tell: tell, Progress: func(segment.CheckReport) {}})
		}
		damage = errors.Join(damage, err)
	}
	return errors.Join(damage, devices.Close())
}

// live opens what is there, compares it with what must be there, and goes on to the end of the script.
func (r *run) live() error {
	if err := r.look(); err != nil {
		return err
	}
	if err := r.open(); err != nil {
		return err
	}
	err := r.recognize()
	if err == nil {
		err = r.goOn(nil)
	}
	if err == nil {
		err = r.recognize()
	}
	if err == nil {
		err = r.site.proveRoots(context.Background())
	}
	return errors.Join(err, r.site.close())
}

// recognize finds the step that the site has come to: the last one acknowledged, or the one that was under way.
func (r *run) recognize() error {
	picture, err := r.site.picture(context.Background())
	if err != nil {
		return fmt.Errorf("after step %d: %w", r.done, err)
	}
	if picture == r.seen[r.done] {
		return nil
	}
	if r.done < len(r.steps) && picture == r.seen[r.done+1] {
		r.done++
		return nil
	}
	name := "the end"
	if r.done < len(r.steps) {
		name = r.steps[r.done].name
	}
	return fmt.Errorf("%d steps were acknowledged, under way was %s; what is there is neither:\n%s", r.done, name, difference(r.seen[r.done], picture))
}

// difference are the lines that only one of two pictures has.
func difference(want, got string) string {
	var b strings.Builder
	for _, d := range []struct{ sign, a, b string }{{"-", want, got}, {"+", got, want}} {
		have := map[string]bool{}
		for line := range strings.Lines(d.b) {
			have[line] = true
		}
		for line := range strings.Lines(d.a) {
			if !have[line] {
				b.WriteString(d.sign + line)
			}
		}
	}
	return b.String()
}
