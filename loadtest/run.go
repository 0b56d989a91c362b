package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// grace is how long requests under way may still take after an interrupt.
const grace = 2 * time.Second

// run is one load test under way.
type run struct {
	opts    Options
	client  *Client
	content *Content
	keys    *keyset // nil: every key is new
	stats   *stats
	pace    *pacer
	spread  bool // writes go anywhere, not in order
}

// Run drives the endpoint and reports. It prepares the objects that the operation needs before it measures. When ctx ends, it stops, waits a
// moment for requests under way, and reports what there is. The error is of what kept it from measuring; what failed or was wrong
// during the measurement is in the report.
func Run(ctx context.Context, client *Client, opts Options) (*Report, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	r := &run{opts: opts, client: client, content: NewContent(opts.Seed, opts.Sizes, opts.Repeat)}
	if opts.Keys > 0 {
		r.keys = newKeyset(opts.Prefix, r.content, opts.Keys, opts.Existing)
	}
	if !opts.Existing {
		if err := client.EnsureBucket(ctx); err != nil {
			return nil, err
		}
	}
	if opts.Kind != Put && !opts.Existing {
		if err := r.prepare(ctx); err != nil {
			return nil, fmt.Errorf("prepare %d objects: %w", opts.Keys, err)
		}
	}
	return r.measure(ctx)
}

// prepare writes every key once.
func (r *run) prepare(ctx context.Context) error {
	r.stats = newStats()
	r.pace = &pacer{start: time.Now(), count: uint64(r.opts.Keys)}
	r.work(ctx, "preparing", func(uint64, *rand.Rand) Kind { return Put })
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.stats.firstError()
}

func (r *run) measure(ctx context.Context) (*Report, error) {
	use, err := watchProcesses(r.opts.PIDs)
	if err != nil {
		return nil, err
	}
	r.stats = newStats()
	r.spread = r.opts.Kind == Mixed
	r.pace = &pacer{start: time.Now(), count: r.opts.Count, duration: r.opts.Duration, rate: r.opts.Rate}
	r.work(ctx, string(r.opts.Kind), func(_ uint64, random *rand.Rand) Kind {
		if r.opts.Kind == Mixed {
			return r.opts.Mix.pick(random.Uint64())
		}
		return r.opts.Kind
	})
	end := time.Now()
	spent, useErr := use.stop()
	report := r.report(end, ctx.Err() != nil)
	report.addUsage(spent, len(r.opts.PIDs))
	return report, useErr
}

// work lets the workers take turns until there are none, and waits for them.
func (r *run) work(ctx context.Context, phase string, choose func(turn uint64, random *rand.Rand) Kind) {
	requests, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	var workers, watchers sync.WaitGroup
	for range r.workers() {
		workers.Go(func() {
			w := newWorker(r)
			defer w.session.Close()
			w.loop(ctx, requests, choose)
		})
	}
	done := make(chan struct{})
	watchers.Go(func() { r.watch(phase, done) })
	watchers.Go(func() { abortAfterGrace(ctx, done, abort) })
	workers.Wait()
	close(done)
	watchers.Wait()
}

// workers is how many are of use.
func (r *run) workers() int {
	if r.pace.count > 0 && r.pace.count < uint64(r.opts.Concurrency) {
		return int(r.pace.count)
	}
	return r.opts.Concurrency
}

// abortAfterGrace gives up requests that are still under way a moment after ctx ended.
func abortAfterGrace(ctx context.Context, done <-chan struct{}, abort func()) {
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		abort()
	}
}

// loop stops when stop ends; requests ends later, when even those under way are to be given up.
func (w *worker) loop(stop, requests context.Context, choose func(uint64, *rand.Rand) Kind) {
	for {
		turn, due, ok := w.run.pace.turn(stop)
		if !ok {
			return
		}
		kind := choose(turn, w.random)
		size, err := w.do(requests, kind, turn)
		if requests.Err() != nil {
			return // given up by us: neither done nor failed
		}
		w.run.stats.record(kind, time.Since(due), size, err)
		var conn *ConnError
		if errors.As(err, &conn) && !conn.Sent && !sleep(stop, 20*time.Millisecond) {
			return // a server that is down is not asked in a tight loop
		}
	}
}
