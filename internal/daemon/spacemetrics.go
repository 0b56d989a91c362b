package daemon

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgefs/edgefs/internal/admin"
)

// maxBucketMetrics bounds the buckets that have metrics of their own: the largest. The others are one.
const (
	maxBucketMetrics = 100
	otherBuckets     = "(others)"
)

// spaceMetrics are what buckets take, each and together. What was not counted yet is left out.
func spaceMetrics(sp admin.Space) []prometheus.Metric {
	var all []prometheus.Metric
	for _, b := range largest(sp.Buckets, maxBucketMetrics) {
		metric := func(name, help string, v int64) {
			desc := prometheus.NewDesc("edgefs_bucket_"+name, help, nil, prometheus.Labels{"bucket": b.Bucket})
			all = append(all, prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(v)))
		}
		metric("objects", "Objects of the bucket that listings show.", b.Objects)
		metric("current_bytes", "Bytes of these.", b.Current)
		if b.Logical >= 0 {
			metric("logical_bytes", "Bytes of all versions that the bucket holds.", b.Logical)
		}
		if b.Count != nil {
			metric("exclusive_bytes", "Bytes of content and metadata that no other bucket reaches, as last counted.", b.Count.Exclusive.Bytes+b.Count.MetaExclusive.Bytes)
			metric("exclusive_stored_bytes", "Bytes that these take of the devices.", b.Count.Exclusive.Stored+b.Count.MetaExclusive.Stored)
		}
	}
	metric := func(name, help string, v float64) {
		all = append(all, prometheus.MustNewConstMetric(prometheus.NewDesc("edgefs_space_"+name, help, nil, nil), prometheus.GaugeValue, v))
	}
	if sp.Total.Logical >= 0 {
		metric("logical_bytes", "Bytes of all versions held, of all buckets.", float64(sp.Total.Logical))
	}
	metric("content_stored_bytes", "Bytes that content takes of the devices, of use or not.", float64(sp.Total.Content.Stored))
	metric("metadata_stored_bytes", "Bytes that metadata takes of the devices.", float64(sp.Total.Meta.Stored))
	metric("other_bytes", "Bytes of packs that no chunk takes: removed ones, padding, room for more.", float64(sp.Total.Other))
	if sp.Count == nil {
		return all
	}
	var unique, shared, unreached admin.Use
	for _, d := range sp.Count.Domains {
		unique, shared, unreached = unique.Add(d.Unique), shared.Add(d.Shared), unreached.Add(d.Unreached)
	}
	metric("counted_seconds", "When space was counted last, in seconds since 1970.", float64(sp.Count.At.UnixMilli())/1000)
	metric("unique_bytes", "Bytes of the content that buckets reach, each chunk once, as last counted.", float64(unique.Bytes))
	metric("unique_stored_bytes", "Bytes that it takes of the devices.", float64(unique.Stored))
	metric("shared_stored_bytes", "Bytes that what several buckets reach takes.", float64(shared.Stored))
	metric("unreached_stored_bytes", "Bytes that what nothing reaches takes.", float64(unreached.Stored))
	return all
}

// largest are the buckets with the most logical bytes, and the sum of the others, if there are any.
func largest(buckets []admin.BucketSpace, most int) []admin.BucketSpace {
	if len(buckets) <= most {
		return buckets
	}
	buckets = slices.Clone(buckets)
	slices.SortStableFunc(buckets, func(a, b admin.BucketSpace) int {
		return cmp.Compare(max(b.Logical, b.Current), max(a.Logical, a.Current))
	})
	rest := admin.BucketSpace{Bucket: otherBuckets}
	for _, b := range buckets[most:] {
		rest.Objects, rest.Current = rest.Objects+b.Objects, rest.Current+b.Current
		rest.Logical += max(b.Logical, 0)
		if c := b.Count; c != nil {
			if rest.Count == nil {
				rest.Count = &admin.BucketCount{}
			}
			rest.Count.Exclusive, rest.Count.MetaExclusive = rest.Count.Exclusive.Add(c.Exclusive), rest.Count.MetaExclusive.Add(c.MetaExclusive)
		}
	}
	return append(buckets[:most:most], rest)
}
