package segment

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/stage"
)

// benchSegment is a segment on the real disk, with packs.
func benchSegment(b *testing.B) *Bucket {
	dir := b.TempDir()
	device, err := pack.Open(b.Context(), pack.Options{Dir: dir + "/device"})
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(b.Context(), Config{Dir: dir + "/segment", ID: 1, Name: "a", Chunks: stage.New(device)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			b.Error(err)
		}
		if err := device.Close(); err != nil {
			b.Error(err)
		}
	})
	bucket, err := s.CreateBucket(b.Context(), "bench", BucketOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return bucket
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// BenchmarkPut4KiB is 64 clients, each object new and durable.
func BenchmarkPut4KiB(b *testing.B) {
	bucket := benchSegment(b)
	var n atomic.Uint64
	b.SetParallelism(32)
	b.ReportAllocs()
	before := cpuSeconds()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		data := make([]byte, 4096)
		for pb.Next() {
			i := n.Add(1)
			binary.BigEndian.PutUint64(data, i)
			w := bucket.Writer(b.Context(), 4096)
			if _, err := w.ReadFrom(bytes.NewReader(data)); err != nil {
				b.Error(err)
			}
			if _, err := w.Commit(b.Context(), fmt.Sprintf("prefix/%016x", i*0x9e3779b97f4a7c15), Attrs{ETag: "0123456789abcdef0123456789abcdef"}, Cond{}); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric((cpuSeconds()-before)*1e6/float64(b.N), "cpu-µs/op")
}

// BenchmarkGet4KiB reads verified objects.
func BenchmarkGet4KiB(b *testing.B) {
	bucket := benchSegment(b)
	const objects = 2000
	data := make([]byte, 4096)
	for i := range objects {
		binary.BigEndian.PutUint64(data, uint64(i))
		if _, err := bucket.Put(b.Context(), fmt.Sprint("k", i), Attrs{}, Cond{}, bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
	if err := bucket.s.cfg.Chunks.Settle(b.Context()); err != nil {
		b.Fatal(err)
	}
	var n atomic.Uint64
	b.ReportAllocs()
	before := cpuSeconds()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			o, err := bucket.Open(b.Context(), fmt.Sprint("k", n.Add(1)%objects), VersionRef{})
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := o.ReadRange(b.Context(), io.Discard, 0, 4096); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric((cpuSeconds()-before)*1e6/float64(b.N), "cpu-µs/op")
}
