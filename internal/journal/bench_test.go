package journal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/edgefs/edgefs/internal/vfs"
)

// BenchmarkAppend has writers that each wait for their record before they write the next. Compare with the raw fdatasync in the same run.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64, 256} {
		for _, size := range []int{100, 4096} {
			b.Run(fmt.Sprintf("writers=%d/size=%d", writers, size), func(b *testing.B) { benchAppend(b, writers, size) })
		}
	}
	b.Run("raw/size=4096", benchRaw)
}

func benchAppend(b *testing.B, writers, size int) {
	opts := Options{Dir: b.TempDir(), Committed: func(rs []Record) {
		for i := range rs {
			rs[i].Tag.(chan struct{}) <- struct{}{}
		}
	}}
	j, err := Open(opts, 1, nil)
	must(b, err)
	defer j.Close()
	b.ReportAllocs()
	b.SetBytes(int64(size))
	b.ResetTimer()
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for range writers {
		wg.Go(func() {
			data, done := make([]byte, size), make(chan struct{}, 1)
			for left.Add(-1) >= 0 {
				if _, err := j.Append(data, done); err != nil {
					b.Error(err)
					return
				}
				<-done
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// benchRaw is what the disk does: a block written and synced, again and again, in a file that was written before.
func benchRaw(b *testing.B) {
	f, err := vfs.OS{}.Open(b.TempDir()+"/raw", vfs.Create|vfs.Direct)
	must(b, err)
	defer f.Close()
	must(b, prewrite(f, 16<<20))
	must(b, f.Sync())
	block := vfs.Buffer(vfs.Align)
	b.SetBytes(vfs.Align)
	b.ResetTimer()
	for i := range b.N {
		if _, err := f.WriteAt(block, int64(i%4096)*vfs.Align); err != nil {
			b.Fatal(err)
		}
		must(b, f.Sync())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkRead reads 4 KiB records by the thousand, from memory and from the disk.
func BenchmarkRead(b *testing.B) {
	j, err := Open(Options{Dir: b.TempDir()}, 1, nil)
	must(b, err)
	defer j.Close()
	const records = 8192
	data := make([]byte, 4096)
	for range records {
		_, err := j.Append(data, nil)
		must(b, err)
	}
	must(b, j.Wait(b.Context(), records))
	for what, first := range map[string]uint64{"memory": records - 1100, "disk": 1} {
		b.Run(what, func(b *testing.B) {
			b.SetBytes(4096 * 1000)
			b.ReportAllocs()
			for range b.N {
				if next, err := j.Read(b.Context(), first, 4096*1000, func(Record) error { return nil }); err != nil || next != first+1000 {
					b.Fatal(next, err)
				}
			}
		})
	}
}
