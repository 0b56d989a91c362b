package main

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/zeebo/blake3"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/test/measure"
)

const (
	streamSize = 64 << 20 // of one object
	rounds     = 6        // that all streams write theirs
)

// ingest writes one stream per processor, of unique data and then the same again, beside the disk and beside the same stages with nothing between.
func (b *bench) ingest(ctx context.Context) ([]measure.Result, error) {
	streams := make([][]byte, runtime.GOMAXPROCS(0))
	for i := range streams {
		streams[i] = make([]byte, streamSize)
		fillRandom(streams[i], uint64(i))
	}
	raw, err := newRawFile(b.dir, int64(len(streams))*streamSize*2)
	if err != nil {
		return nil, err
	}
	defer raw.remove()
	d, err := b.device(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var disk, stages, unique, same rate
	for n := range uint64(rounds) {
		for _, step := range []struct {
			sum *rate
			do  func() error
		}{
			{&disk, func() error { return raw.stream(streams) }},
			{&stages, func() error { return each(len(streams), len(streams), func(i int) error { return stage(streams[i]) }) }},
			{&unique, func() error { return b.writeAll(ctx, d, n, streams) }},
			{&same, func() error { return b.writeAll(ctx, d, n, streams) }},
			{&stages, func() error { return each(len(streams), len(streams), func(i int) error { return stage(streams[i]) }) }},
			{&disk, func() error { return raw.stream(streams) }},
		} {
			if err := step.sum.of(len(streams)*streamSize, step.do); err != nil {
				return nil, err
			}
		}
	}
	limit := min(disk.perSecond(), stages.perSecond())
	u := measure.Beside(limit, 0.7, measure.Result{Name: "ingest", What: fmt.Sprintf("unique data cut, named, packed, %d streams, durable", len(streams)), Value: unique.perSecond(), Unit: "MB/s"})
	u.Detail = fmt.Sprintf("%.2f CPU-s/GB; disk alone %.0f MB/s, stages alone %.0f MB/s, %.2f CPU-s/GB", unique.cost(), disk.perSecond(), stages.perSecond(), stages.cost())
	s := measure.AtLeast(1500, measure.Result{Name: "duplicates", What: "the same data again, per processor", Value: 1000 / same.cost(), Unit: "MB/s"})
	s.Detail = fmt.Sprintf("%.2f CPU-s/GB, %.0f MB/s in all; the stages alone %.0f MB/s", same.cost(), same.perSecond(), 1000/stages.cost())
	return []measure.Result{u, s}, nil
}

// rate is bytes, and what they took.
type rate struct {
	bytes     int
	took, cpu time.Duration
}

func (r *rate) of(size int, do func() error) error {
	began, cpu := time.Now(), measure.Processor()
	err := do()
	r.took, r.cpu, r.bytes = r.took+time.Since(began), r.cpu+measure.Processor()-cpu, r.bytes+size
	return err
}

func (r rate) perSecond() float64 { return float64(r.bytes) / 1e6 / r.took.Seconds() }

// cost is in seconds of processors for 10^9 bytes.
func (r rate) cost() float64 { return r.cpu.Seconds() / (float64(r.bytes) / 1e9) }

func (b *bench) writeAll(ctx context.Context, d *pack.Device, n uint64, streams [][]byte) error {
	return each(len(streams), len(streams), func(i int) error {
		_, err := b.write(ctx, d, domainOf(n), streams[i])
		return err
	})
}

func (b *bench) write(ctx context.Context, d *pack.Device, domain chunk.Domain, data []byte) (dedup.Manifest, error) {
	w := dedup.NewWriter(ctx, dedup.Stores{Data: d.Open(domain, chunk.Data), Meta: d.Open(domain, chunk.Meta)}, domain, dedup.Default(), dedup.Options{SizeHint: int64(len(data)), Buffers: b.buffers})
	defer w.Abort()
	if _, err := w.ReadFrom(bytes.NewReader(data)); err != nil {
		return dedup.Manifest{}, err
	}
	return w.Finish()
}

// stage takes data in as a server does, a megabyte at a time, cuts it and names the pieces.
func stage(data []byte) error {
	cut, name := dedup.NewCutter(dedup.Default()), blake3.New()
	buf := make([]byte, 0, 2<<20)
	for len(data) > 0 {
		n := min(1<<20, len(data))
		buf, data = append(buf, data[:n]...), data[n:]
		rest := buf
		for n := cut.Next(rest); n > 0; n = cut.Next(rest) {
			nameOf(name, rest[:n])
			rest = rest[n:]
		}
		buf = buf[:copy(buf, rest)]
	}
	nameOf(name, buf)
	return nil
}

func nameOf(h *blake3.Hasher, data []byte) (id [32]byte) {
	h.Reset()
	_, _ = h.Write(data)
	h.Sum(id[:0])
	return id
}

// stream writes as much as the streams have, 4 MiB at a time, and syncs at the end.
func (r *rawFile) stream(streams [][]byte) error {
	buf := vfs.Buffer(4 << 20)
	for _, data := range streams {
		for ; len(data) > 0; data = data[len(buf):] {
			copy(buf, data)
			if err := r.append(buf); err != nil {
				return err
			}
		}
	}
	return r.sync()
}
