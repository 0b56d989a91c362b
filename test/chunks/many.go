package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/test/measure"
)

const (
	tinyChunk = 1 << 10
	steady    = 256 + 32 // MiB: the index's cache of blocks is 32
	peak      = 768
)

func (b *bench) many() string {
	return fmt.Sprintf("%s chunks of 1 KiB", measure.Count(uint64(b.chunks)))
}

// load puts very many small chunks.
func (b *bench) load(ctx context.Context) ([]measure.Result, error) {
	d, err := b.device(ctx)
	if err != nil {
		return nil, err
	}
	domain := domainOf(1)
	memory, stop := measure.WatchMemory()
	defer stop()
	began, cpu := time.Now(), measure.Processor()
	if err := putNumbered(ctx, d, domain, b.chunks); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	took, cost := time.Since(began), measure.Processor()-cpu
	if err := d.Close(); err != nil {
		return nil, err
	}
	stop()
	rate := measure.AtLeast(0, measure.Result{Name: "load", What: b.many() + " put, 4 MiB at a time", Value: float64(b.chunks) / took.Seconds(), Unit: "chunks/s"})
	rate.Detail = fmt.Sprintf("%.1f µs of processors each", float64(cost.Microseconds())/float64(b.chunks))
	return []measure.Result{rate, measure.AtMost(peak, measure.Result{Name: "load-memory", What: "peak RssAnon while putting them", Value: float64(memory.Load() >> 20), Unit: "MiB"})}, nil
}

// putNumbered puts chunks 0 to n.
func putNumbered(ctx context.Context, d *pack.Device, domain chunk.Domain, n int64) error {
	store := d.Open(domain, chunk.Data)
	const batch = (4 << 20) / tinyChunk
	return each(runtime.GOMAXPROCS(0), int((n+batch-1)/batch), func(at int) error {
		from := int64(at) * batch
		slab, chunks := make([]byte, batch*tinyChunk), make([]chunk.Chunk, 0, batch)
		for i := from; i < min(from+batch, n); i++ {
			chunks = append(chunks, domain.Make(numbered(slab[(i-from)*tinyChunk:][:tinyChunk], i)))
		}
		return store.Put(ctx, chunks)
	})
}

// start opens the device that was closed, with nothing of it in the page cache, and asks it for chunks that it holds and does not.
func (b *bench) start(ctx context.Context) ([]measure.Result, error) {
	if err := forget(b.path("device")); err != nil {
		return nil, err
	}
	began := time.Now()
	d, err := b.device(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	opened := time.Since(began)
	early, err := b.ask(ctx, d, 1000, true)
	if err != nil {
		return nil, err
	}
	if err := idle(ctx); err != nil {
		return nil, err
	}
	settled := time.Since(began)
	absent, err := b.ask(ctx, d, 200_000, true)
	if err != nil {
		return nil, err
	}
	held, err := b.ask(ctx, d, 100_000, false)
	if err != nil {
		return nil, err
	}
	first := measure.AtMost(1, measure.Result{Name: "start", What: "start after a clean stop, " + b.many() + ", nothing cached", Value: opened.Seconds(), Unit: "s"})
	first.Detail = fmt.Sprintf("absent then p50 %.1f µs; quiet after %.1f s", 1000*early.At(0.5), settled.Seconds())
	lookup := measure.AtMost(2, measure.Result{Name: "absent", What: "lookup of an absent chunk among " + b.many() + ", p50", Value: 1000 * absent.At(0.5), Unit: "µs"})
	lookup.Detail = fmt.Sprintf("p99 %.1f µs; of a held one p50 %.1f, p99 %.1f µs", 1000*absent.At(0.99), 1000*held.At(0.5), 1000*held.At(0.99))
	memory := measure.AtMost(steady, measure.Result{Name: "steady-memory", What: "RssAnon after that, with " + b.many(), Value: float64(measure.Anonymous() >> 20), Unit: "MiB"})
	return []measure.Result{first, lookup, memory}, nil
}

// ask looks chunks up, one after the other.
func (b *bench) ask(ctx context.Context, d *pack.Device, n int, absent bool) (measure.Times, error) {
	domain := domainOf(1)
	store := d.Open(domain, chunk.Data)
	buf := make([]byte, tinyChunk)
	ids := make([]chunk.ID, n)
	for i := range ids {
		k := rand.Int64N(b.chunks)
		if absent {
			k += 1 << 40
		}
		ids[i] = domain.Name(numbered(buf, k))
	}
	return measure.Timed(n, func(i int) error {
		missing, err := store.Missing(ctx, ids[i:i+1])
		if err == nil && (len(missing) == 1) != absent {
			err = fmt.Errorf("chunk %v: missing %v", ids[i], !absent)
		}
		return err
	})
}

// idle waits until this process does nothing.
func idle(ctx context.Context) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for quiet, cpu := 0, measure.Processor(); quiet < 4; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		quiet++
		if now := measure.Processor(); now-cpu > 5*time.Millisecond {
			quiet, cpu = 0, now
		}
	}
	return nil
}

// crash opens the device after its process was killed.
func (b *bench) crash(ctx context.Context) ([]measure.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-die", "-dir", b.dir, "-chunks", fmt.Sprint(b.chunks))
	cmd.Stderr = os.Stderr
	_ = cmd.Run()
	if !cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		return nil, fmt.Errorf("it ended before it was killed: %v", cmd.ProcessState)
	}
	if err := forget(b.path("device")); err != nil {
		return nil, err
	}
	began, cpu := time.Now(), measure.Processor()
	d, err := b.device(ctx)
	if err != nil {
		return nil, err
	}
	opened, cost := time.Since(began), measure.Processor()-cpu
	err = idle(ctx)
	settled := time.Since(began)
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	r := measure.AtMost(3, measure.Result{Name: "crash", What: "start after kill -9, " + b.many() + ", nothing cached", Value: opened.Seconds(), Unit: "s"})
	r.Detail = fmt.Sprintf("%.1f s of processors; quiet after %.1f s", cost.Seconds(), settled.Seconds())
	return []measure.Result{r}, nil
}

// dieAfter is how many chunks are put before the process is killed.
const dieAfter = 50_000

// die puts some chunks more and kills this process.
func (b *bench) die(ctx context.Context) error {
	d, err := b.device(ctx)
	if err != nil {
		return err
	}
	if err := putNumbered(ctx, d, domainOf(2), dieAfter); err != nil {
		return errors.Join(err, d.Close())
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// rebuild opens the device without its index.
func (b *bench) rebuild(ctx context.Context) ([]measure.Result, error) {
	if err := forget(b.path("device")); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(b.path("device/index")); err != nil {
		return nil, err
	}
	memory, stop := measure.WatchMemory()
	defer stop()
	told := 0
	began, cpu := time.Now(), measure.Processor()
	d, err := pack.Open(ctx, pack.Options{Dir: b.path("device"), Opening: func(int, int) { told++ }})
	if err != nil {
		return nil, err
	}
	took, cost := time.Since(began), measure.Processor()-cpu
	if _, err = b.ask(ctx, d, 10_000, false); err != nil {
		err = fmt.Errorf("after the index was made again: %w", err)
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	stop()
	n := float64(b.chunks)
	r := measure.AtLeast(100_000, measure.Result{Name: "rebuild", What: "index made again of " + b.many() + ", per processor", Value: n / cost.Seconds(), Unit: "chunks/s"})
	r.Detail = fmt.Sprintf("%.0f chunks/s in all, %.1f s, told of %d times", n/took.Seconds(), took.Seconds(), told)
	m := measure.AtMost(peak, measure.Result{Name: "rebuild-memory", What: "peak RssAnon meanwhile", Value: float64(memory.Load() >> 20), Unit: "MiB"})
	return []measure.Result{r, m}, nil
}
