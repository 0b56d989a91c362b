package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/segment"
	"github.com/edgefs/edgefs/test/measure"
)

// prefixes are the folders that keys are spread over.
const prefixes = 1000

// key is the nth key that is written: the order has nothing to do with the names'.
func key(n uint64) string {
	h := n * 0x9e3779b97f4a7c15
	return fmt.Sprintf("data/%03d/%016x.bin", h>>32%prefixes, h)
}

// ladder are the numbers of keys whose costs are compared: each is a bucket.
func (b *bench) ladder() []uint64 {
	var out []uint64
	for n := b.keys; n >= 10_000 || n == b.keys; n /= 10 {
		out = append([]uint64{n}, out...)
	}
	return out
}

func bucketName(n uint64) string { return fmt.Sprintf("keys-%d", n) }

func (b *bench) keysIn(ctx context.Context, n uint64) (*segment.Bucket, error) {
	return b.bucket(ctx, bucketName(n), segment.Settings{})
}

// largest is the bucket that the goals are about.
func (b *bench) largest(ctx context.Context) (*segment.Bucket, error) { return b.keysIn(ctx, b.keys) }

// load writes the keys that are missing. Of a store that was built before it says what was measured then.
func (b *bench) load(ctx context.Context) ([]measure.Result, error) {
	kept := filepath.Join(b.dir, "load.json")
	var out []measure.Result
	if text, err := os.ReadFile(kept); err == nil {
		if err := json.Unmarshal(text, &out); err != nil {
			return nil, fmt.Errorf("%s: %w", kept, err)
		}
	}
	for _, n := range b.ladder() {
		bucket, err := b.keysIn(ctx, n)
		if err != nil {
			return nil, err
		}
		have := uint64(bucket.Stats().Objects)
		if have >= n {
			continue
		}
		fmt.Fprintf(os.Stderr, "  building %d keys, of which %d are there, in %s\n", n, have, b.dir)
		l := loading{bench: b, bucket: bucket, from: have, to: n}
		// Keys may be missing between those that are there: the last that were being written when a load was stopped.
		l.from -= min(l.from, uint64(4*b.workers))
		if err := l.run(ctx); err != nil {
			return nil, err
		}
		if n == b.keys && have == 0 {
			out = l.results()
			text, err := json.Marshal(out)
			if err == nil {
				err = os.WriteFile(kept, text, 0o600)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// loading is one load.
type loading struct {
	*bench
	bucket   *segment.Bucket
	from, to uint64

	next    atomic.Uint64
	began   time.Time
	took    time.Duration
	cpu     time.Duration
	wrote   int64
	peak    int64
	slowest float64 // records/s over slowestOver
}

const (
	tellEvery   = 5 * time.Second
	slowestOver = 6 // tells: half a minute holds a few folds
)

func (l *loading) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.next.Store(l.from)
	memory, stop := measure.WatchMemory()
	defer stop()
	cpu, wrote := measure.Processor(), measure.Written()
	l.began = time.Now()
	var workers sync.WaitGroup
	for range l.workers {
		workers.Go(func() {
			for ctx.Err() == nil {
				n := l.next.Add(1) - 1
				if n >= l.to {
					return
				}
				if err := put(ctx, l.bucket, n); err != nil {
					cancel(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { workers.Wait(); close(done) }()
	l.tell(memory, done)
	stop()
	l.took, l.cpu, l.wrote, l.peak = time.Since(l.began), measure.Processor()-cpu, measure.Written()-wrote, memory.Load()
	return context.Cause(ctx)
}

// tell prints how the load goes, until it is done.
func (l *loading) tell(memory *atomic.Int64, done chan struct{}) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	counts := []uint64{l.from}
	for {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		n := min(l.next.Load(), l.to)
		counts = append(counts, n)
		now := float64(n-counts[len(counts)-2]) / tellEvery.Seconds()
		fmt.Fprintf(os.Stderr, "  %d keys, %.0f records/s now, %.0f so far, RssAnon peak %d MiB\n", n, now, float64(n-l.from)/time.Since(l.began).Seconds(), memory.Load()>>20)
		if i := len(counts) - 1 - slowestOver; i >= 0 {
			rate := float64(n-counts[i]) / (slowestOver * tellEvery.Seconds())
			if l.slowest == 0 || rate < l.slowest {
				l.slowest = rate
			}
		}
	}
}

func put(ctx context.Context, b *segment.Bucket, n uint64) error {
	w := b.Writer(ctx, 0)
	_, err := w.Commit(ctx, key(n), segment.Attrs{ETag: "d41d8cd98f00b204e9800998ecf8427e"}, segment.Cond{})
	return err
}

func (l *loading) results() []measure.Result {
	n := float64(l.to - l.from)
	rate := measure.AtLeast(20_000, measure.Result{Name: "load", What: fmt.Sprintf("load of %s keys with random names", measure.Count(l.to)), Value: n / l.took.Seconds(), Unit: "records/s"})
	rate.Detail = fmt.Sprintf("slowest half minute %.0f, %.0f µs of processors for each", l.slowest, l.cpu.Seconds()*1e6/n)
	memory := measure.AtMost(768, measure.Result{Name: "load-memory", What: "peak RssAnon while loading", Value: float64(l.peak >> 20), Unit: "MiB"})
	wrote := measure.AtMost(1024, measure.Result{Name: "load-written", What: "written to disk for each record", Value: float64(l.wrote) / n, Unit: "bytes"})
	return []measure.Result{rate, memory, wrote}
}

var errCount = errors.New("not as many keys as were written")
