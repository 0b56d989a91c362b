package segment

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/segment/tree"
)

// fill writes records of n keys, many to an entry of the log: an overlay that no client has the patience to make.
func fill(b *testing.B, bucket *Bucket, keys iter.Seq[int]) {
	b.Helper()
	var plans []plan
	flush := func() {
		if err := bucket.s.submit(plans...); err != nil {
			b.Fatal(err)
		}
		plans = nil
	}
	for i := range keys {
		key := fmt.Sprintf("prefix/%08x", i)
		p, err := bucket.planPut(b.Context(), Cond{}, &Version{Key: key, Attrs: Attrs{ETag: "0123456789abcdef0123456789abcdef"}}, nil)
		if err != nil {
			b.Fatal(err)
		}
		if plans = append(plans, p); len(plans) == 1000 {
			flush()
		}
	}
	flush()
}

func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// BenchmarkSnapshotAcknowledged is how long a snapshot takes of a bucket with an overlay of 100,000 keys, each after one more write. The worst is
// reported too.
func BenchmarkSnapshotAcknowledged(b *testing.B) {
	bucket := benchSegment(b)
	fill(b, bucket, upTo(100_000))
	var worst time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		fill(b, bucket, func(yield func(int) bool) { yield(n) })
		n++
		b.StartTimer()
		began := time.Now()
		if _, err := bucket.CreateSnapshot(b.Context(), fmt.Sprint("s", n)); err != nil {
			b.Fatal(err)
		}
		worst = max(worst, time.Since(began))
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
}

// BenchmarkManySnapshots is what 100 snapshots cost of a bucket of 100,000 keys of which 1 % change between them.
func BenchmarkManySnapshots(b *testing.B) {
	bucket := benchSegment(b)
	const keys, snapshots = 100_000, 100
	fill(b, bucket, upTo(keys))
	rng := rand.New(rand.NewPCG(1, 1))
	var old []Version
	for n := range snapshots {
		v, err := bucket.Stat(b.Context(), fmt.Sprintf("prefix/%08x", rng.IntN(keys)), VersionRef{})
		if err != nil {
			b.Fatal(err)
		}
		old = append(old, v)
		if _, err := bucket.CreateSnapshot(b.Context(), fmt.Sprint("s", n)); err != nil {
			b.Fatal(err)
		}
		fill(b, bucket, func(yield func(int) bool) {
			for range keys / 100 {
				yield(rng.IntN(keys))
			}
		})
	}
	if err := bucket.foldSeals(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Run("only-in-snapshots", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for _, err := range bucket.OnlyInSnapshots(b.Context()) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64(n), "versions")
		}
	})
	b.Run("old-version", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			v := old[i%len(old)]
			if w, err := bucket.heldVersion(b.Context(), v.Key, v.VersionID); err != nil || w == nil {
				b.Fatal(v.Key, err)
			}
		}
	})
	b.Run("no-version", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			v := old[i%len(old)]
			if w, err := bucket.heldVersion(b.Context(), v.Key+"x", v.VersionID); err != nil || w != nil {
				b.Fatal(v.Key, err)
			}
		}
	})
}

// counting counts what is read.
type counting struct {
	mapStore
	bytes, reads, chunks atomic.Int64
}

func (c *counting) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	c.reads.Add(1)
	return c.mapStore.Get(ctx, ids, func(x chunk.Chunk) error {
		c.bytes.Add(int64(len(x.Data())))
		c.chunks.Add(1)
		return yield(x)
	})
}

// BenchmarkDiffOfSnapshots is what the difference of two snapshots of a bucket of a million keys reads, with nothing cached: 1000 changes in 100 ranges
// of keys, and 1000 at random.
func BenchmarkDiffOfSnapshots(b *testing.B) {
	const keys = 1_000_000
	store := &counting{mapStore: newMapStore()}
	domain := chunk.NewDomain([32]byte{1})
	head := func(n int) []byte {
		id := VersionID{Stamp{HLC: HLC(n) << 16}, Dot{Origin{1, 1}, uint64(n)}}
		data := make([]byte, 24)
		w := dedup.NewWriter(b.Context(), dedup.Stores{Data: store, Meta: store}, domain, dedup.Default(), dedup.Options{})
		_, _ = w.Write(append(data, fmt.Sprint(n)...))
		m, err := w.Finish()
		if err != nil {
			b.Fatal(err)
		}
		v := &Version{VersionID: id, Key: "k", Null: true, Holds: []Dot{id.Dot}, Content: m, Attrs: Attrs{ETag: "0123456789abcdef0123456789abcdef", Meta: map[string]string{"content-type": "text/plain"}}}
		return headOf([]*Version{v}).appendTo(nil)
	}
	edits := func(which iter.Seq[int], round int) iter.Seq2[tree.Edit, error] {
		return func(yield func(tree.Edit, error) bool) {
			for i := range which {
				if !yield(tree.Edit{Key: headKey(regionShown, fmt.Sprintf("some/folder/%08x", i)), Value: head(i + round*keys), Weight: 10}, nil) {
					return
				}
			}
		}
	}
	nodes := func() *tree.Store { return tree.NewStore(store, domain, tree.NewCache(48<<20)) }
	salt := [16]byte{2}
	from, err := tree.New(nodes(), salt, chunk.ID{}).Apply(b.Context(), edits(upTo(keys), 0))
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	ranges, random := map[int]bool{}, map[int]bool{}
	for len(ranges) < 1000 {
		at := rng.IntN(keys - 10)
		for i := range 10 {
			ranges[at+i] = true
		}
	}
	for len(random) < 1000 {
		random[rng.IntN(keys)] = true
	}
	for name, changed := range map[string]map[int]bool{"ranges": ranges, "random": random} {
		to, err := from.Apply(b.Context(), edits(func(yield func(int) bool) {
			for i := range keys {
				if changed[i] && !yield(i) {
					return
				}
			}
		}, 1))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				store.bytes.Store(0)
				store.reads.Store(0)
				store.chunks.Store(0)
				s, n := nodes(), 0
				for _, err := range tree.Diff(b.Context(), tree.New(s, salt, from.Root()), tree.New(s, salt, to.Root())) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n < 1000 {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(store.bytes.Load())/(1<<20), "MiB")
			b.ReportMetric(float64(store.reads.Load()), "reads")
			b.ReportMetric(float64(store.chunks.Load()), "nodes")
		})
	}
}
