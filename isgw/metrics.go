package isgw

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Collector exports the links as Prometheus metrics. Exposed bytes are not among them: to count them may take long ([Links.Exposed]).
func (l *Links) Collector() prometheus.Collector { return newCollector(l) }

type collector struct {
	l                                              *Links
	up, state, since, rtt, skew                    *prometheus.Desc
	lagSeconds, lagEntries, lagBytes               *prometheus.Desc
	sent, received                                 *prometheus.Desc
	records, syncs, fetches, fetched, missed       *prometheus.Desc
	served, repaired                               *prometheus.Desc
	stopped, stoppedSince, quarantined             *prometheus.Desc
	lazyLost, lazyRefused, lazyTimeouts, lazyBytes *prometheus.Desc
}

func newCollector(l *Links) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("edgefs_"+name, help, labels, nil)
	}
	link := func(name, help string, labels ...string) *prometheus.Desc {
		return desc("link_"+name, help, append([]string{"peer"}, labels...)...)
	}
	return &collector{
		l:            l,
		up:           link("up", "Whether the link is up."),
		state:        link("state", "1 for the state that the link is in.", "state"),
		since:        link("state_since_seconds", "When the link came into its state, in seconds since 1970."),
		rtt:          link("round_trip_seconds", "Time to the peer and back."),
		skew:         link("clock_skew_seconds", "The peer's clock minus ours."),
		lagSeconds:   link("lag_seconds", "Age of the oldest change that one side lacks; out: the peer lacks it.", "direction"),
		lagEntries:   link("lag_entries", "Log entries that one side lacks.", "direction"),
		lagBytes:     link("lag_bytes", "Bytes sent and not acknowledged.", "direction"),
		sent:         link("sent_bytes_total", "Bytes sent in streams.", "kind"),
		received:     link("received_bytes_total", "Bytes received in streams.", "kind"),
		records:      link("records_total", "Records taken from the peer's feed."),
		syncs:        link("syncs_total", "Buckets synced from the peer."),
		fetches:      link("fetches_total", "Requests for payload to the peer."),
		fetched:      link("fetched_chunks_total", "Chunks that came from the peer."),
		missed:       link("missed_chunks_total", "Chunks asked of the peer that did not come."),
		served:       link("served_chunks_total", "Chunks given to the peer."),
		repaired:     link("repaired_chunks_total", "Damaged chunks that came anew from the peer."),
		stopped:      link("stopped_buckets", "Buckets not received from the peer, whatever the reason; the others are."),
		stoppedSince: link("stopped_since_seconds", "Since when the first of them is not received, in seconds since 1970; 0 without any."),
		quarantined:  link("quarantined_buckets", "Those of them that contradict: two writes bear one name."),
		lazyLost:     desc("lazy_lost_chunks_total", "Chunks that no peer had while all could be asked."),
		lazyRefused:  desc("lazy_refused_total", "Requests for payload that a peer refused."),
		lazyTimeouts: desc("lazy_timeouts_total", "Peers given up in a fetch because nothing came."),
		lazyBytes:    desc("lazy_waiting_bytes", "Fetched bytes that wait for their readers."),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.up, c.state, c.since, c.rtt, c.skew, c.lagSeconds, c.lagEntries, c.lagBytes, c.sent, c.received, c.records, c.syncs, c.fetches,
		c.fetched, c.missed, c.served, c.repaired, c.stopped, c.stoppedSince, c.quarantined, c.lazyLost, c.lazyRefused, c.lazyTimeouts, c.lazyBytes,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for _, st := range c.l.Status() {
		peer := st.Peer.Name
		up := 0.0
		if st.State == Up {
			up = 1
		}
		gauge(c.up, up, peer)
		gauge(c.state, 1, peer, string(st.State))
		gauge(c.since, float64(st.Since.UnixMilli())/1e3, peer)
		gauge(c.rtt, st.RTT.Seconds(), peer)
		gauge(c.skew, st.Skew.Seconds(), peer)
		for direction, lag := range map[string]Lag{"in": st.In, "out": st.Out} {
			if !lag.Known {
				continue
			}
			gauge(c.lagSeconds, lag.Age.Seconds(), peer, direction)
			gauge(c.lagEntries, float64(lag.Entries), peer, direction)
			gauge(c.lagBytes, float64(lag.Bytes), peer, direction)
		}
		for kind, b := range st.Bytes {
			count(c.sent, b.Sent, peer, kind)
			count(c.received, b.Received, peer, kind)
		}
		count(c.records, st.Records, peer)
		count(c.syncs, st.Syncs, peer)
		count(c.fetches, st.Fetches, peer)
		count(c.fetched, st.Fetched, peer)
		count(c.missed, st.Missed, peer)
		count(c.served, st.Served, peer)
		count(c.repaired, st.Repaired, peer)
		c.collectStopped(st.Stopped, gauge, peer)
	}
	if c.l.cfg.Lazy == nil {
		return
	}
	st := c.l.cfg.Lazy.Status()
	count(c.lazyLost, st.Lost)
	count(c.lazyRefused, st.Refused)
	count(c.lazyTimeouts, st.Timeouts)
	gauge(c.lazyBytes, float64(st.Waiting))
}

func (c *collector) collectStopped(all []StoppedBucket, gauge func(*prometheus.Desc, float64, ...string), peer string) {
	since, quarantined := 0.0, 0
	for i, b := range all {
		if at := float64(b.Since.UnixMilli()) / 1e3; i == 0 || at < since {
			since = at
		}
		if b.Quarantine {
			quarantined++
		}
	}
	gauge(c.stopped, float64(len(all)), peer)
	gauge(c.stoppedSince, since, peer)
	gauge(c.quarantined, float64(quarantined), peer)
}
