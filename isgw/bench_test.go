package isgw_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/segment"
)

// BenchmarkVisible writes 1,000 objects a second at one site and measures when each is news at the other, over QUIC on loopback. Run it with
// -benchtime 3000x.
func BenchmarkVisible(b *testing.B) {
	w := newWorld(b, nil, "a", "b")
	a, z := pair(b, w, segment.Settings{})
	news, stop := z.Watch()
	defer stop()
	bkt := a.bucket("bkt")
	written := make([]time.Time, b.N)
	b.ResetTimer()
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := range b.N {
			<-tick.C
			written[i] = time.Now()
			if _, err := bkt.Put(b.Context(), fmt.Sprint(i), segment.Attrs{}, segment.Cond{}, strings.NewReader("x")); err != nil {
				b.Error(err)
			}
		}
	}()
	var took []time.Duration
	for n := range news {
		if n.Lost {
			continue
		}
		var i int
		if _, err := fmt.Sscan(n.Version.Key, &i); err != nil {
			b.Fatal(err)
		}
		if took = append(took, time.Since(written[i])); len(took) == b.N {
			break
		}
	}
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1e3 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
}

// BenchmarkFetch reads objects of 8 MiB that only the other site has, over QUIC on loopback.
func BenchmarkFetch(b *testing.B) {
	const size = 8 << 20
	w := newWorld(b, nil, "a", "b")
	a, z := pair(b, w, segment.Settings{})
	for i := range b.N {
		a.put("bkt", fmt.Sprint(i), text(size))
	}
	z.lists("bkt", fmt.Sprint(b.N-1), size)
	b.SetBytes(size)
	b.ResetTimer()
	for i := range b.N {
		if _, err := z.read("bkt", fmt.Sprint(i)); err != nil {
			b.Fatal(err)
		}
	}
}
