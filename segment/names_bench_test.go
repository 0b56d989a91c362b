package segment

import (
	"fmt"
	"testing"
)

// BenchmarkManyBuckets is what it costs to read the documents of buckets anew, as a start and a sync do.
func BenchmarkManyBuckets(b *testing.B) {
	w := newWorld(b, "a")
	a := w.site("a")
	const n = 4000
	plans := make([]plan, n)
	for i := range plans {
		doc := &bucketDoc{name: fmt.Sprint("bucket-", i), home: a.ID(), cutter: a.federation.Cutter(), created: a.clock.now(), settings: DefaultSettings()}
		if err := a.random(doc.id[:]); err != nil {
			b.Fatal(err)
		}
		plans[i] = newDocument(a.federation, docBucket+doc.id.String(), doc.appendTo(nil))
	}
	if err := a.submit(plans...); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := a.Segment.names.load(w.ctx, a.Segment); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/bucket")
}
