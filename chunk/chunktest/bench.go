package chunktest

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// Bench measures places that open makes.
func Bench(b *testing.B, open func(testing.TB) chunk.Opener) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("Put/size=%dKiB/batch=4MiB", size>>10), func(b *testing.B) { benchPut(b, open(b), size, 4<<20/size) })
	}
	b.Run("Put/size=4KiB/batch=1", func(b *testing.B) { benchPut(b, open(b), 4<<10, 1) })
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("Get/size=%dKiB/batch=1MiB", size>>10), func(b *testing.B) { benchGet(b, open(b), size, 1<<20/size) })
	}
	b.Run("Get/size=4KiB/batch=1", func(b *testing.B) { benchGet(b, open(b), 4<<10, 1) })
	b.Run("Missing/held", func(b *testing.B) { benchMissing(b, open(b), true) })
	b.Run("Missing/new", func(b *testing.B) { benchMissing(b, open(b), false) })
}

// benchPut includes naming the chunks: data that is named only once cannot be kept ready for many gigabytes.
func benchPut(b *testing.B, place chunk.Opener, size, batch int) {
	d := Domain(1)
	s := place.Open(d, chunk.Data)
	b.SetBytes(int64(size * batch))
	b.ReportAllocs()
	var serial atomic.Uint64
	b.RunParallel(func(pb *testing.PB) {
		data := Bytes(serial.Add(1), size*batch)
		chunks := make([]chunk.Chunk, batch)
		for pb.Next() {
			for i := range chunks {
				part := data[i*size : (i+1)*size]
				binary.LittleEndian.PutUint64(part, serial.Add(1))
				chunks[i] = d.Make(part)
			}
			if err := s.Put(context.Background(), chunks); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func benchGet(b *testing.B, place chunk.Opener, size, batch int) {
	d := Domain(1)
	s := place.Open(d, chunk.Data)
	const total = 64 << 20
	chunks := Chunks(d, 1, total/size, size)
	put(b, s, chunks)
	ids := IDs(chunks)
	b.SetBytes(int64(size * batch))
	b.ReportAllocs()
	var next atomic.Uint64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			at := int(next.Add(1)*uint64(batch)) % (len(ids) - batch + 1)
			if err := s.Get(context.Background(), ids[at:at+batch], func(chunk.Chunk) error { return nil }); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// benchMissing asks after 64 chunks at a time, as a writer of 4 MiB does; the time is of one chunk.
func benchMissing(b *testing.B, place chunk.Opener, held bool) {
	d := Domain(1)
	s := place.Open(d, chunk.Data)
	const batch = 64
	chunks := Chunks(d, 1, 100_000, 16)
	put(b, s, chunks)
	ids := IDs(chunks)
	if !held {
		for i := range ids {
			ids[i][0]++
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		at := i % (len(ids) - batch)
		missing, err := s.Missing(context.Background(), ids[at:at+batch])
		if err != nil || (len(missing) == 0) != held {
			b.Fatalf("%d missing, %v", len(missing), err)
		}
	}
}
