package main

import (
	"context"
	"fmt"
	"time"

	"github.com/edgefs/edgefs/loadtest"
	"github.com/edgefs/edgefs/test/measure"
)

// versus runs the same load against a segment and a bare server, in turns (raw, ours, raw), so that a slow moment of the machine hits both.
func (b *bench) versus(ctx context.Context, mode string, opts loadtest.Options, goal float64, what, unit string, of func(*loadtest.Report) float64) ([]measure.Result, error) {
	ours, err := b.start(ctx, "hawaii")
	if err != nil {
		return nil, err
	}
	raw, err := b.bare(ctx, mode, 4<<30)
	if err != nil {
		return nil, err
	}
	var first, second, mine *loadtest.Report
	for _, run := range []struct {
		t      target
		report **loadtest.Report
	}{{raw, &first}, {ours, &mine}, {raw, &second}} {
		o := opts
		o.PIDs = []int{run.t.pid}
		if *run.report, err = b.load(ctx, run.t, o); err != nil {
			return nil, err
		}
	}
	limit := (of(first) + of(second)) / 2
	r := measure.Result{Name: string(opts.Kind), What: what, Value: of(mine), Unit: unit, Raw: limit, Ratio: of(mine) / limit, Goal: fmt.Sprintf("ratio >= %.1f", goal)}
	r.Met = r.Ratio >= goal
	r.Detail = fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, server %.0f µs CPU/op (raw %.0f)", mine.Kinds[0].Latency.P50/1000, mine.Kinds[0].Latency.P99/1000, mine.Server.MicrosPerOp, first.Server.MicrosPerOp)
	return []measure.Result{r}, nil
}

func perSecond(r *loadtest.Report) float64 { return r.Kinds[len(r.Kinds)-1].PerSecond }
func mibPerSec(r *loadtest.Report) float64 { return r.Kinds[len(r.Kinds)-1].MiBPerSec }

func (b *bench) putSmall(ctx context.Context) ([]measure.Result, error) {
	o := loadtest.Options{Kind: loadtest.Put, Concurrency: 64, Duration: b.each, Sizes: size("4KiB"), Seed: 1}
	return b.versus(ctx, "put-group-commit", o, 0.5, "PUT 4 KiB, 64 clients, durable", "op/s", perSecond)
}

func (b *bench) getSmall(ctx context.Context) ([]measure.Result, error) {
	o := loadtest.Options{Kind: loadtest.Get, Concurrency: 64, Duration: b.each, Keys: 20_000, Sizes: size("4KiB"), Seed: 2}
	return b.versus(ctx, "get-verify", o, 0.5, "GET 4 KiB, 64 clients, verified", "op/s", perSecond)
}

func (b *bench) putLarge(ctx context.Context) ([]measure.Result, error) {
	o := loadtest.Options{Kind: loadtest.Put, Concurrency: 2, Duration: b.each, Sizes: size("64MiB"), Seed: 3}
	return b.versus(ctx, "put-stages", o, 0.8, "PUT 64 MiB with MD5, 2 clients", "MiB/s", mibPerSec)
}

func (b *bench) getLarge(ctx context.Context) ([]measure.Result, error) {
	o := loadtest.Options{Kind: loadtest.Get, Concurrency: 2, Duration: b.each, Keys: 16, Sizes: size("64MiB"), Seed: 4}
	return b.versus(ctx, "get-stages", o, 0.8, "GET 64 MiB verified, 2 clients", "MiB/s", mibPerSec)
}

func (b *bench) list(ctx context.Context) ([]measure.Result, error) {
	ours, err := b.start(ctx, "hawaii")
	if err != nil {
		return nil, err
	}
	o := loadtest.Options{Kind: loadtest.List, Concurrency: 1, Duration: b.each, Keys: 100_000, Sizes: size("16B"), Seed: 5, PIDs: []int{ours.pid}}
	r, err := b.load(ctx, ours, o)
	if err != nil {
		return nil, err
	}
	k := r.Kinds[len(r.Kinds)-1]
	out := measure.Result{Name: "list", What: "LIST of 100,000 keys by S3, 1 client", Value: k.KeysPerS, Unit: "keys/s", Goal: ">= 100,000", Met: k.KeysPerS >= 100_000}
	out.Detail = fmt.Sprintf("page p50 %.1f ms, p99 %.1f ms", k.Latency.P50/1000, k.Latency.P99/1000)
	return []measure.Result{out}, nil
}

// visible measures how long after its PUT was acknowledged at one site a record is found at the other, while 1,000 others a second are written.
func (b *bench) visible(ctx context.Context) ([]measure.Result, error) {
	hawaii, tokyo, err := b.pair(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	var load *loadtest.Report
	go func() {
		var err error
		load, err = b.load(ctx, hawaii, loadtest.Options{Kind: loadtest.Put, Concurrency: 64, Rate: 1000, Duration: b.each + 2*time.Second, Sizes: size("4KiB"), Seed: 6})
		done <- err
	}()
	h, err := b.probe(ctx, hawaii, tokyo, b.each)
	if err != nil {
		return nil, err
	}
	if err := <-done; err != nil {
		return nil, err
	}
	p99 := h.Quantile(0.99)
	r := measure.Result{Name: "visible", What: "visible at the other site, 1,000 PUT/s", Value: float64(p99.Microseconds()) / 1000, Unit: "ms (p99)", Goal: "<= 50 ms", Met: p99 <= 50*time.Millisecond}
	r.Detail = fmt.Sprintf("p50 %.1f ms, max %.1f ms, %d probes, %.0f PUT/s", float64(h.Quantile(0.5).Microseconds())/1000, float64(h.Max().Microseconds())/1000, h.Count(), perSecond(load))
	return []measure.Result{r}, nil
}

// probe writes a key at one site and asks for it at the other until it is there.
func (b *bench) probe(ctx context.Context, at, other target, long time.Duration) (*loadtest.Histogram, error) {
	writer, err := b.client(ctx, at)
	if err != nil {
		return nil, err
	}
	reader, err := b.client(ctx, other)
	if err != nil {
		return nil, err
	}
	w, r := writer.Session(), reader.Session()
	defer w.Close()
	defer r.Close()
	content := loadtest.NewContent(99, size("1KiB"), 0)
	h := new(loadtest.Histogram)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n, end := 0, time.Now().Add(long); time.Now().Before(end); n++ {
		key := fmt.Sprintf("probe/%06d", n)
		if err := w.Put(ctx, content.Object(key, 0)); err != nil {
			return nil, err
		}
		began := time.Now()
		for {
			_, err := r.Head(ctx, key)
			if err == nil {
				break
			}
			if !loadtest.IsAbsent(err) || time.Since(began) > 10*time.Second {
				return nil, fmt.Errorf("probe %s after %v: %w", key, time.Since(began), err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		h.Record(time.Since(began))
	}
	return h, nil
}

// memory uploads 10 GiB as one object's parts would be, then a million small objects, and reports the most anonymous memory held.
func (b *bench) memory(ctx context.Context) ([]measure.Result, error) {
	ours, err := b.start(ctx, "hawaii")
	if err != nil {
		return nil, err
	}
	large, small := uint64(2), uint64(1_000_000)
	if b.short {
		large, small = 1, 100_000
	}
	const gib = 5
	var peak int64
	var detail string
	for _, o := range []loadtest.Options{
		{Kind: loadtest.Put, Concurrency: 1, Count: large, Sizes: size("5GiB"), Seed: 7},
		{Kind: loadtest.Put, Concurrency: 64, Count: small, Sizes: size("64B"), Seed: 8},
	} {
		o.PIDs = []int{ours.pid}
		r, err := b.load(ctx, ours, o)
		if err != nil {
			return nil, err
		}
		peak = max(peak, r.Server.PeakRSSAnon)
		detail += fmt.Sprintf("%d x %s: %.0f op/s, %.0f MiB/s, %d MiB; ", o.Count, r.Sizes, perSecond(r), mibPerSec(r), r.Server.PeakRSSAnon>>20)
	}
	what := fmt.Sprintf("peak RssAnon, %d GiB, then %d small objects", large*gib, small)
	return []measure.Result{{Name: "memory", What: what, Value: float64(peak >> 20), Unit: "MiB", Goal: "<= 512 MiB", Met: peak <= 512<<20, Detail: detail}}, nil
}
