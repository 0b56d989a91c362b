package loadtest

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// subBits of precision inside each power of two: a value is known to one part in 256.
	subBits    = 7
	subBuckets = 1 << subBits
	buckets    = (64 - subBits) * subBuckets
)

// Histogram counts durations in log-linear buckets, as HdrHistogram does (Tene): 57 KiB whatever is recorded, from 1 ns to 292 years,
// quantiles right to 0.8 %. Safe for concurrent use; the zero value is empty.
type Histogram struct {
	counts [buckets]atomic.Uint64
	count  atomic.Uint64
	sum    atomic.Int64
	max    atomic.Int64
}

// Record counts one duration; negative ones count as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))].Add(1)
	h.count.Add(1)
	h.sum.Add(int64(d))
	for {
		largest := h.max.Load()
		if int64(d) <= largest || h.max.CompareAndSwap(largest, int64(d)) {
			return
		}
	}
}

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.count.Load() }

// Max is the largest duration recorded, exactly.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max.Load()) }

// Mean is the mean duration, exactly.
func (h *Histogram) Mean() time.Duration {
	return time.Duration(h.sum.Load() / int64(max(h.count.Load(), 1)))
}

// Quantile is the duration that the part q (0.99) of all recorded ones do not exceed, right to 0.8 % and never above Max.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(uint64(math.Ceil(q*float64(h.count.Load()))), 1)
	var seen uint64
	for i := range h.counts {
		seen += h.counts[i].Load()
		if seen >= rank {
			return min(time.Duration(bucketTop(i)), h.Max())
		}
	}
	return h.Max()
}

// bucketOf is exact below 2*subBuckets; above, the leading subBits+1 bits decide.
func bucketOf(v uint64) int {
	if v < 2*subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift*subBuckets + int(v>>shift)
}

// bucketTop is the largest value of a bucket.
func bucketTop(i int) uint64 {
	if i < 2*subBuckets {
		return uint64(i)
	}
	shift := i/subBuckets - 1
	return (uint64(i-shift*subBuckets)+1)<<shift - 1
}
