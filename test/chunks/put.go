package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/test/measure"
)

const smallChunk = 4 << 10

// put makes small chunks durable, one by each writer at a time, beside a group commit that does nothing else.
func (b *bench) put(ctx context.Context) ([]measure.Result, error) {
	raw, err := newRawFile(b.dir, 1<<30)
	if err != nil {
		return nil, err
	}
	defer raw.remove()
	commit := newRawCommit(raw)
	defer commit.close()
	d, err := b.device(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	domain := domainOf(1)
	store := d.Open(domain, chunk.Data)
	var results []measure.Result
	one, err := b.putAlone(ctx, raw, func(data []byte) error { return store.Put(ctx, []chunk.Chunk{domain.Make(data)}) })
	if err != nil {
		return nil, err
	}
	results = append(results, one)
	serial := uint64(1) << 32
	for _, writers := range []int{64, 256} {
		data := make([][]byte, writers)
		for i := range data {
			data[i] = make([]byte, smallChunk)
			fillRandom(data[i], uint64(i))
		}
		load := func(put func([]byte) error) (float64, float64, error) {
			cpu := measure.Processor()
			serial += 1 << 32
			perSecond, err := during(ctx, b.each, writers, func(_ context.Context, w, i int) error {
				binary.LittleEndian.PutUint64(data[w], serial+uint64(w)<<48+uint64(i))
				return put(data[w])
			})
			return perSecond, float64((measure.Processor() - cpu).Microseconds()) / (perSecond * b.each.Seconds()), err
		}
		before, _, err := load(commit.put)
		if err != nil {
			return nil, err
		}
		ours, cost, err := load(func(data []byte) error { return store.Put(ctx, []chunk.Chunk{domain.Make(data)}) })
		if err != nil {
			return nil, err
		}
		after, rawCost, err := load(commit.put)
		if err != nil {
			return nil, err
		}
		r := measure.Beside((before+after)/2, 0.6, measure.Result{Name: fmt.Sprintf("put-%d", writers), What: fmt.Sprintf("put of 4 KiB, %d writers, durable", writers), Value: ours, Unit: "chunks/s"})
		r.Detail = fmt.Sprintf("%.1f µs of processors each, raw %.1f", cost, rawCost)
		results = append(results, r)
	}
	return results, nil
}

// putAlone is one writer beside a write and sync of the same length.
func (b *bench) putAlone(ctx context.Context, raw *rawFile, put func([]byte) error) (measure.Result, error) {
	n := int(b.each / (200 * time.Microsecond))
	block, data := vfs.Buffer(2*smallChunk), make([]byte, smallChunk) // a chunk and its header
	sync := func(int) error {
		if err := raw.append(block); err != nil {
			return err
		}
		return raw.sync()
	}
	before, err := measure.Timed(n/2, sync)
	if err != nil {
		return measure.Result{}, err
	}
	ours, err := measure.Timed(n, func(i int) error {
		binary.LittleEndian.PutUint64(data, uint64(i))
		return put(data)
	})
	if err != nil {
		return measure.Result{}, err
	}
	after, err := measure.Timed(n/2, sync)
	if err != nil {
		return measure.Result{}, err
	}
	limit := 1000 * (before.At(0.5) + after.At(0.5)) / 2
	r := measure.Within(limit, 1.3, measure.Result{Name: "put-1", What: "put of 4 KiB, 1 writer, durable, p50", Value: 1000 * ours.At(0.5), Unit: "µs"})
	r.Detail = fmt.Sprintf("p99 %.0f µs, raw write and sync of 8 KiB %.0f µs", 1000*ours.At(0.99), 1000*after.At(0.99))
	return r, ctx.Err()
}
