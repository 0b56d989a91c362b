package loadtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
)

// Report is what a run found. Its JSON is for machines: names carry their units, GB is 10^9 bytes, MiB is 2^20.
type Report struct {
	Operation   Kind    `json:"operation"`
	Endpoint    string  `json:"endpoint"`
	Bucket      string  `json:"bucket"`
	Prefix      string  `json:"prefix"`
	Seed        uint64  `json:"seed"`
	Keys        int     `json:"keys,omitempty"`
	Sizes       string  `json:"sizes"`
	Concurrency int     `json:"concurrency"`
	Rate        float64 `json:"rate,omitempty"`
	Repeat      float64 `json:"repeat,omitempty"`
	Verified    bool    `json:"verified"`
	Interrupted bool    `json:"interrupted,omitempty"`

	Seconds  float64           `json:"seconds"`
	Kinds    []KindReport      `json:"operations"` // of the kinds that came up, the total last if there are several
	Failures uint64            `json:"failures"`
	Errors   map[string]uint64 `json:"errors,omitempty"`   // by S3 code, status, or what was wrong
	Examples []string          `json:"examples,omitempty"` // of failures
	Unsent   uint64            `json:"unsent,omitempty"`   // due at the rate asked for, never sent

	Client Usage  `json:"client"`
	Server *Usage `json:"server,omitempty"`
}

// KindReport is of one kind of operation. Latency is of what went well, from when the operation was due to the last byte.
type KindReport struct {
	Kind      Kind    `json:"operation"`
	Done      uint64  `json:"done"`
	Failed    uint64  `json:"failed"`
	PerSecond float64 `json:"per_second"`
	Bytes     int64   `json:"bytes,omitempty"`
	MiBPerSec float64 `json:"mib_per_second,omitempty"`
	Keys      int64   `json:"keys_listed,omitempty"`
	KeysPerS  float64 `json:"keys_per_second,omitempty"`
	Latency   Latency `json:"latency_us"`
}

// Latency is in microseconds, right to 0.8 %; the mean and the largest are exact.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

// Usage is what a process spent during the measurement.
type Usage struct {
	CPUSeconds   float64 `json:"cpu_seconds"`
	MicrosPerOp  float64 `json:"cpu_us_per_operation"`
	SecondsPerGB float64 `json:"cpu_seconds_per_gb,omitempty"`
	PeakRSSAnon  int64   `json:"peak_rss_anon_bytes,omitempty"` // of a server
}

// OK says that nothing failed and nothing was wrong.
func (r *Report) OK() bool { return r.Failures == 0 }

func (r *run) report(end time.Time, interrupted bool) *Report {
	elapsed := end.Sub(r.pace.start)
	report := &Report{
		Operation: r.opts.Kind, Endpoint: r.client.cfg.Endpoint, Bucket: r.client.cfg.Bucket, Prefix: r.opts.Prefix,
		Seed: r.opts.Seed, Keys: r.opts.Keys, Sizes: r.opts.Sizes.String(), Concurrency: r.opts.Concurrency, Rate: r.opts.Rate, Repeat: r.opts.Repeat,
		Verified: !r.opts.SkipVerify, Interrupted: interrupted, Seconds: elapsed.Seconds(), Unsent: r.pace.unsent(end),
		Failures: r.stats.failures, Errors: r.stats.codes, Examples: r.stats.examples,
	}
	var total KindReport
	for _, kind := range kinds {
		k := r.stats.kinds[kind]
		if k.latency.Count()+k.failed.Load() == 0 {
			continue
		}
		line := kindReport(kind, k, elapsed)
		report.Kinds = append(report.Kinds, line)
		total.add(line)
	}
	if len(report.Kinds) > 1 {
		total.Kind = "total"
		report.Kinds = append(report.Kinds, total)
	}
	return report
}

func kindReport(kind Kind, k *kindStats, elapsed time.Duration) KindReport {
	l := KindReport{Kind: kind, Done: k.latency.Count(), Failed: k.failed.Load(), Latency: latencyOf(&k.latency)}
	l.PerSecond = float64(l.Done) / elapsed.Seconds()
	if kind == List {
		l.Keys = k.amount.Load()
		l.KeysPerS = float64(l.Keys) / elapsed.Seconds()
		return l
	}
	l.Bytes = k.amount.Load()
	l.MiBPerSec = float64(l.Bytes) / (1 << 20) / elapsed.Seconds()
	return l
}

// add sums up all but latency, which of different operations says nothing.
func (l *KindReport) add(o KindReport) {
	l.Done += o.Done
	l.Failed += o.Failed
	l.PerSecond += o.PerSecond
	l.Bytes += o.Bytes
	l.MiBPerSec += o.MiBPerSec
	l.Keys += o.Keys
	l.KeysPerS += o.KeysPerS
}

func latencyOf(h *Histogram) Latency {
	micros := func(d time.Duration) float64 { return float64(d) / 1e3 }
	return Latency{
		Mean: micros(h.Mean()), P50: micros(h.Quantile(0.5)), P90: micros(h.Quantile(0.9)), P99: micros(h.Quantile(0.99)),
		P999: micros(h.Quantile(0.999)), Max: micros(h.Max()),
	}
}

// addUsage counts operations that failed too: they cost as well.
func (r *Report) addUsage(s spending, servers int) {
	var operations uint64
	var moved int64
	for _, k := range r.Kinds {
		if k.Kind != "total" {
			operations += k.Done + k.Failed
			moved += k.Bytes
		}
	}
	usage := func(cpu time.Duration) Usage {
		u := Usage{CPUSeconds: cpu.Seconds()}
		if operations > 0 {
			u.MicrosPerOp = cpu.Seconds() * 1e6 / float64(operations)
		}
		if moved > 0 {
			u.SecondsPerGB = cpu.Seconds() * 1e9 / float64(moved)
		}
		return u
	}
	r.Client = usage(s.client)
	if servers > 0 {
		server := usage(s.server)
		server.PeakRSSAnon = s.peakAnon
		r.Server = &server
	}
}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%s of %s at %s/%s, %d workers, seed %d, prefix %s, %.1f s", r.Operation, r.Sizes, r.Endpoint, r.Bucket, r.Concurrency, r.Seed, r.Prefix, r.Seconds)
	if r.Interrupted {
		fmt.Fprint(w, ", interrupted")
	}
	fmt.Fprint(w, "\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tdone\tfailed\top/s\tMiB/s\tkeys/s\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, k := range r.Kinds {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t", k.Kind, k.Done, k.Failed, figure(k.PerSecond), figure(k.MiBPerSec), figure(k.KeysPerS))
		for _, micros := range []float64{k.Latency.P50, k.Latency.P90, k.Latency.P99, k.Latency.P999, k.Latency.Max} {
			fmt.Fprintf(t, "%s\t", inWords(micros))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nclient  %s\n", r.Client.inWords())
	if r.Server != nil {
		fmt.Fprintf(w, "server  %s, peak RssAnon %s\n", r.Server.inWords(), humanize.IBytes(uint64(r.Server.PeakRSSAnon)))
	}
	if r.Unsent > 0 {
		fmt.Fprintf(w, "%d operations were due and never sent: the server does not keep up with this rate at this concurrency\n", r.Unsent)
	}
	for _, code := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(w, "failed  %d × %s\n", r.Errors[code], code)
	}
	for _, example := range r.Examples {
		fmt.Fprintf(w, "        %s\n", example)
	}
	return nil
}

func (u Usage) inWords() string {
	text := fmt.Sprintf("%.2f CPU-s, %.1f µs/op", u.CPUSeconds, u.MicrosPerOp)
	if u.SecondsPerGB > 0 {
		text += fmt.Sprintf(", %.2f CPU-s/GB", u.SecondsPerGB)
	}
	return text
}

func figure(f float64) string {
	switch {
	case f == 0:
		return "-"
	case f < 100:
		return fmt.Sprintf("%.1f", f)
	}
	return humanize.Comma(int64(f + 0.5))
}

func inWords(micros float64) string {
	switch {
	case micros == 0:
		return "-"
	case micros < 1e3:
		return fmt.Sprintf("%.0fµs", micros)
	case micros < 1e6:
		return fmt.Sprintf("%.2fms", micros/1e3)
	}
	return fmt.Sprintf("%.2fs", micros/1e6)
}
