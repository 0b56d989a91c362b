package daemon

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgefs/edgefs/internal/admin"
)

// TestManyBucketsHaveFewMetrics adds up the same, however many there are.
func TestManyBucketsHaveFewMetrics(t *testing.T) {
	for _, n := range []int{0, 1, maxBucketMetrics, maxBucketMetrics + 1, 5000} {
		var sp admin.Space
		want := 0.0
		for i := range n {
			sp.Buckets = append(sp.Buckets, admin.BucketSpace{
				Bucket: fmt.Sprint("bucket ", i), Logical: int64(i * 10),
				Count: &admin.BucketCount{Exclusive: admin.Use{Bytes: int64(i)}, MetaExclusive: admin.Use{Bytes: 1}},
			})
			want += float64(i + 1)
		}
		labels, sum := map[string]bool{}, 0.0
		registry := prometheus.NewRegistry()
		registry.MustRegister(given(spaceMetrics(sp)))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					labels[l.GetValue()] = true
				}
				if f.GetName() == "edgefs_bucket_exclusive_bytes" {
					sum += m.GetGauge().GetValue()
				}
			}
		}
		if len(labels) != min(n, maxBucketMetrics+1) || sum != want {
			t.Errorf("%d buckets: %d labels, a sum of %v, want %v", n, len(labels), sum, want)
		}
		if n > maxBucketMetrics && (!labels[otherBuckets] || !labels[fmt.Sprint("bucket ", n-1)] || labels["bucket 0"]) {
			t.Errorf("%d buckets: the largest are not among %v", n, labels)
		}
	}
}

// given collects metrics that there are.
type given []prometheus.Metric

func (g given) Describe(chan<- *prometheus.Desc) {}

func (g given) Collect(ch chan<- prometheus.Metric) {
	for _, m := range g {
		ch <- m
	}
}
