package loadtest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreRightToOnePercent(t *testing.T) {
	const seed = 3
	random := rand.New(rand.NewPCG(seed, 0))
	shapes := map[string]func() time.Duration{
		"uniform":     func() time.Duration { return time.Duration(random.Int64N(int64(time.Second))) },
		"exponential": func() time.Duration { return time.Duration(random.ExpFloat64() * float64(time.Millisecond)) },
		"seven decades": func() time.Duration {
			return time.Duration(math.Pow(10, 2+7*random.Float64()))
		},
		"small": func() time.Duration { return time.Duration(random.IntN(300)) },
	}
	for name, draw := range shapes {
		h := new(Histogram)
		all := make([]time.Duration, 100_000)
		var sum time.Duration
		for i := range all {
			all[i] = draw()
			sum += all[i]
			h.Record(all[i])
		}
		slices.Sort(all)
		for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
			want := all[int(math.Ceil(q*float64(len(all))))-1]
			got := h.Quantile(q)
			if got < want || float64(got) > float64(want)*1.008 {
				t.Errorf("%s: quantile %v is %v, want %v to %v", name, q, got, want, want+want*8/1000)
			}
		}
		if h.Max() != all[len(all)-1] || h.Mean() != sum/time.Duration(len(all)) || h.Count() != uint64(len(all)) {
			t.Errorf("%s: max %v, mean %v, count %d", name, h.Max(), h.Mean(), h.Count())
		}
	}
}

func TestEveryDurationHasOneBucketInOrder(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 255, 256, 257, 1<<20 - 1, 1 << 20, 1<<62 + 12345, math.MaxInt64} {
		i := bucketOf(v)
		if i < 0 || i >= buckets {
			t.Fatalf("%d falls in bucket %d of %d", v, i, buckets)
		}
		if top := bucketTop(i); top < v || float64(top-v) > float64(v)/128 {
			t.Errorf("%d falls in a bucket up to %d", v, top)
		}
		if i > 0 && bucketTop(i-1) >= v {
			t.Errorf("%d is also in the bucket before its own", v)
		}
	}
	h := new(Histogram)
	if h.Quantile(0.99) != 0 || h.Mean() != 0 {
		t.Error("an empty histogram has latencies")
	}
	h.Record(-time.Second)
	if h.Max() != 0 || h.Count() != 1 {
		t.Error("a negative duration is not counted as zero")
	}
}

func BenchmarkRecord(b *testing.B) {
	h := new(Histogram)
	b.RunParallel(func(pb *testing.PB) {
		for d := time.Duration(1000); pb.Next(); d += 777 {
			h.Record(d)
		}
	})
}
