package daemon

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/edgefs/edgefs/chunk/spread"
	"github.com/edgefs/edgefs/gateways/s3"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/buildinfo"
	"github.com/edgefs/edgefs/isgw"
)

// metrics are the numbers of one daemon. docs/ops/metrics.md lists them.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	aborted  *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	received prometheus.Counter
	sent     prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edgefs_s3_requests_total", Help: "S3 requests answered, by operation and HTTP status.",
		}, []string{"operation", "status"}),
		aborted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edgefs_s3_aborted_total", Help: "S3 answers that broke off, because what was being sent could not be read any further.",
		}, []string{"operation"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "edgefs_s3_request_seconds", Help: "Time from an S3 request's header to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 12),
		}, []string{"operation"}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "edgefs_s3_received_bytes_total", Help: "Bytes of S3 requests' bodies, framing included.",
		}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "edgefs_s3_sent_bytes_total", Help: "Bytes of S3 answers' bodies.",
		}),
	}
	build := buildinfo.Read()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "edgefs_build_info", Help: "1; the labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "go": build.Go},
	})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.aborted, m.seconds, m.received, m.sent, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts one S3 request.
func (m *metrics) observe(s s3.Sample) {
	m.requests.WithLabelValues(s.Operation, strconv.Itoa(s.Status)).Inc()
	m.seconds.WithLabelValues(s.Operation).Observe(s.Duration.Seconds())
	m.received.Add(float64(s.Received))
	m.sent.Add(float64(s.Sent))
	if s.Aborted {
		m.aborted.WithLabelValues(s.Operation).Inc()
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// gauge is a number of a status.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(admin.Status) float64
}

// siteCollector tells what the status tells, and what the links do, of the site that is served at the moment. It describes nothing
// beforehand, since joining a federation exchanges the site.
type siteCollector struct {
	d      *Daemon
	gauges []gauge
}

func newSiteCollector(d *Daemon) *siteCollector {
	c := &siteCollector{d: d}
	add := func(name, help string, kind prometheus.ValueType, of func(admin.Status) float64) {
		c.gauges = append(c.gauges, gauge{prometheus.NewDesc("edgefs_"+name, help, nil, nil), kind, of})
	}
	const level, count = prometheus.GaugeValue, prometheus.CounterValue
	add("buckets", "Buckets known.", level, func(s admin.Status) float64 { return float64(s.Buckets) })
	add("objects", "Objects that listings show.", level, func(s admin.Status) float64 { return float64(s.Objects) })
	add("object_bytes", "Bytes of the objects that listings show.", level, func(s admin.Status) float64 { return float64(s.Bytes) })
	add("conflicts", "Keys with versions of which none was written in knowledge of the other.", level, func(s admin.Status) float64 { return float64(s.Conflicts) })
	add("dropped_losers", "Versions that lost a conflict and were taken away, at any segment, as the bounds of the buckets have it.", level, func(s admin.Status) float64 { return float64(s.Dropped) })
	add("chunks", "Durable chunks held here.", level, func(s admin.Status) float64 { return float64(s.Storage.Chunks) })
	add("chunk_bytes", "Bytes of the durable chunks held here, as they are stored.", level, func(s admin.Status) float64 { return float64(s.Storage.Bytes) })
	add("cached_chunks", "Chunks that came from other segments, and may vanish.", level, func(s admin.Status) float64 { return float64(s.Storage.CachedChunks) })
	add("cached_bytes", "Bytes of these chunks, as they are stored.", level, func(s admin.Status) float64 { return float64(s.Storage.CachedBytes) })
	add("staged_bytes", "Bytes in memory and in the log, on their way to the device.", level, func(s admin.Status) float64 { return float64(s.Storage.StagedBytes) })
	add("damaged_chunks_total", "Damaged copies of chunks that were found.", count, func(s admin.Status) float64 { return float64(s.Storage.DamagedChunks) })
	return c
}

// Describe implements prometheus.Collector.
func (c *siteCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *siteCollector) Collect(ch chan<- prometheus.Metric) {
	ready := prometheus.NewDesc("edgefs_ready", "1 when the segment serves.", nil, nil)
	ch <- prometheus.MustNewConstMetric(ready, prometheus.GaugeValue, truth(c.d.Health().Ready))
	s := c.d.site.Load()
	if s == nil {
		return
	}
	status, err := s.admin.Status()
	if err != nil {
		c.d.log.Warn("metrics are incomplete", "error", err)
		return
	}
	for _, g := range c.gauges {
		ch <- prometheus.MustNewConstMetric(g.desc, g.kind, g.of(status))
	}
	exposed := prometheus.NewDesc("edgefs_exposed_bytes", "Bytes that no other segment is known to hold, as last counted; -1 before.", nil, nil)
	ch <- prometheus.MustNewConstMetric(exposed, prometheus.GaugeValue, float64(s.exposure.bytes.Load()))
	for _, m := range copyMetrics(s.copies.Stats()) {
		ch <- m
	}
	if st, err := s.admin.CollectStatus(context.Background()); err == nil {
		for _, m := range collectMetrics(st) {
			ch <- m
		}
	}
	for _, m := range scrubMetrics(s.admin.ScrubStatus()) {
		ch <- m
	}
	for _, d := range status.Storage.Devices {
		for _, m := range deviceMetrics(d) {
			ch <- m
		}
	}
	if sp, err := s.admin.Space(context.Background()); err == nil {
		for _, m := range spaceMetrics(sp) {
			ch <- m
		}
	}
	s.links.Collector().Collect(ch)
}

func collectMetrics(st admin.CollectStatus) []prometheus.Metric {
	metric := func(name, help string, kind prometheus.ValueType, v float64) prometheus.Metric {
		return prometheus.MustNewConstMetric(prometheus.NewDesc("edgefs_collect_"+name, help, nil, nil), kind, v)
	}
	last := 0.0
	if st.Last != nil {
		last = float64(st.Last.Ended.UnixMilli()) / 1000
	}
	const level, count = prometheus.GaugeValue, prometheus.CounterValue
	return []prometheus.Metric{
		metric("running", "1 while chunks that nothing reaches are collected.", level, truth(st.Running != nil)),
		metric("last_seconds", "When the last collection ended, in seconds since 1970; 0 before the first.", level, last),
		metric("kept_for_segments", "Segments for which everything is kept.", level, float64(len(st.Kept))),
		metric("runs_total", "Collections since the start.", count, float64(st.Runs)),
		metric("failures_total", "Collections that ended early.", count, float64(st.Failures)),
		metric("removed_chunks_total", "Chunks that were removed.", count, float64(st.GoneChunks)),
		metric("removed_bytes_total", "Bytes of these, as they were stored.", count, float64(st.GoneBytes)),
		metric("freed_bytes_total", "Bytes of files of chunks that were given back.", count, float64(st.FreedBytes)),
		metric("copied_bytes_total", "Bytes that were copied for that.", count, float64(st.CopiedBytes)),
	}
}

// scrubMetrics are the numbers of the scrub, and of each device's pass that is under way, or the last one.
func scrubMetrics(s admin.Scrub) []prometheus.Metric {
	const level, count = prometheus.GaugeValue, prometheus.CounterValue
	metric := func(name, help string, kind prometheus.ValueType, v float64, labels prometheus.Labels) prometheus.Metric {
		return prometheus.MustNewConstMetric(prometheus.NewDesc("edgefs_scrub_"+name, help, nil, labels), kind, v)
	}
	all := []prometheus.Metric{
		metric("running", "1 while chunks are read and checked.", level, truth(s.Running), nil),
		metric("repaired_chunks_total", "Damaged chunks that came from elsewhere, since the start.", count, float64(s.RepairedChunks), nil),
		metric("lost_chunks", "Damaged chunks that did not.", level, float64(s.LostChunks), nil),
	}
	for _, d := range s.Devices {
		labels := prometheus.Labels{"path": d.Path}
		ended := 0.0
		if !d.Ended.IsZero() {
			ended = float64(d.Ended.UnixMilli()) / 1000
		}
		all = append(all,
			metric("last_seconds", "When the device's pass ended, in seconds since 1970; 0 while one is under way, or before the first.", level, ended, labels),
			metric("files", "Files of chunks that the pass has read.", level, float64(d.Files), labels),
			metric("all_files", "Files of chunks that it reads.", level, float64(d.AllFiles), labels),
			metric("bytes", "Bytes that it has read.", level, float64(d.Bytes), labels),
			metric("damaged_chunks", "Damaged copies that it found.", level, float64(d.Damaged), labels),
			metric("unreadable_chunks", "Chunks that the disk did not give it.", level, float64(d.Unreadable), labels),
		)
	}
	return all
}

func copyMetrics(n isgw.CopyStats) []prometheus.Metric {
	metric := func(name, help string, kind prometheus.ValueType, v float64) prometheus.Metric {
		return prometheus.MustNewConstMetric(prometheus.NewDesc("edgefs_copy_"+name, help, nil, nil), kind, v)
	}
	return []prometheus.Metric{
		metric("waiting_writes", "Writes that wait for a second segment.", prometheus.GaugeValue, float64(n.Waiting)),
		metric("confirmed_writes_total", "Writes that a second segment was heard to have.", prometheus.CounterValue, float64(n.Confirmed)),
		metric("unconfirmed_writes_total", "Writes that were given up waiting for a second segment: durable here, and refused.", prometheus.CounterValue, float64(n.GivenUp)),
	}
}

// deviceMetrics are the numbers of one device. Of one that cannot be asked, those that are not known are left out.
func deviceMetrics(d admin.Device) []prometheus.Metric {
	labels := prometheus.Labels{"device": d.ID, "path": d.Path}
	metric := func(name, help string, kind prometheus.ValueType, v float64) prometheus.Metric {
		return prometheus.MustNewConstMetric(prometheus.NewDesc("edgefs_device_"+name, help, nil, maps.Clone(labels)), kind, v)
	}
	const level, count = prometheus.GaugeValue, prometheus.CounterValue
	var all []prometheus.Metric
	for _, st := range spread.States() {
		labels["state"] = string(st)
		all = append(all, metric("state", "1 for the state that the device is in.", level, truth(d.State == string(st))))
	}
	delete(labels, "state")
	all = append(all, metric("failed", "1 when what the device holds is not available, or nothing is written to it any more.", level,
		truth(slices.Contains([]spread.State{spread.Failed, spread.Stalled, spread.Missing}, spread.State(d.State)))))
	if d.State == string(spread.Missing) || d.State == string(spread.Opening) {
		return all
	}
	all = append(all,
		metric("chunks", "Durable chunks on the device.", level, float64(d.Chunks)),
		metric("chunk_bytes", "Bytes of these, as they are stored.", level, float64(d.Bytes)),
		metric("damaged_chunks_total", "Damaged copies found on the device.", count, float64(d.DamagedChunks)),
		metric("unreadable_chunks_total", "Chunks that the device's disk did not give.", count, float64(d.UnreadableChunks)),
	)
	left := int64(0)
	if n := d.Drain; n != nil {
		left = n.Bytes - n.Passed
	}
	all = append(all, metric("drain_left_bytes", "Bytes that a drain has yet to look at.", level, float64(left)))
	if d.State == string(spread.Stalled) {
		return all
	}
	return append(all,
		metric("bytes", "Bytes that the device takes of its file system.", level, float64(d.UsedBytes)),
		metric("free_bytes", "Free bytes of the device's file system.", level, float64(d.FreeBytes)),
	)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
