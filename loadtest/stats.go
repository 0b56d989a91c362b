package loadtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxExamples is how many failures are told in full.
const maxExamples = 10

// stats counts what the workers of a run did. Safe for concurrent use; its size does not grow with the run.
type stats struct {
	kinds map[Kind]*kindStats // read-only after newStats

	mu       sync.Mutex
	failures uint64
	first    error
	codes    map[string]uint64
	examples []string
}

type kindStats struct {
	latency Histogram // of what went well
	amount  atomic.Int64
	failed  atomic.Uint64
}

func newStats() *stats {
	s := &stats{kinds: map[Kind]*kindStats{}, codes: map[string]uint64{}}
	for _, kind := range kinds {
		s.kinds[kind] = &kindStats{}
	}
	return s
}

// record counts one operation; amount is bytes, or the keys of a listing.
func (s *stats) record(kind Kind, took time.Duration, amount int64, err error) {
	k := s.kinds[kind]
	if err == nil {
		k.latency.Record(took)
		k.amount.Add(amount)
		return
	}
	k.failed.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	s.codes[codeOf(err)]++
	if s.first == nil {
		s.first = err
	}
	var wrong *WrongError
	if len(s.examples) < maxExamples || errors.As(err, &wrong) && len(s.examples) < 2*maxExamples {
		s.examples = append(s.examples, fmt.Sprintf("%s: %v", kind, err))
	}
}

func (s *stats) firstError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// totals are what went well, what it moved, and what failed so far.
func (s *stats) totals() (done uint64, moved int64, failed uint64) {
	for kind, k := range s.kinds {
		done += k.latency.Count()
		failed += k.failed.Load()
		if kind != List {
			moved += k.amount.Load()
		}
	}
	return done, moved, failed
}

// Progress is how far a run is.
type Progress struct {
	Phase   string // "preparing", or the operation
	Done    uint64
	Failed  uint64
	Bytes   int64
	Elapsed time.Duration
	Part    float64 // 0 to 1
}

// watch reports progress until done.
func (r *run) watch(phase string, done <-chan struct{}) {
	if r.opts.Progress == nil {
		return
	}
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			r.opts.Progress(r.progress(phase))
		}
	}
}

func (r *run) progress(phase string) Progress {
	p := Progress{Phase: phase, Elapsed: time.Since(r.pace.start)}
	p.Done, p.Bytes, p.Failed = r.stats.totals()
	if r.pace.count > 0 {
		p.Part = float64(p.Done+p.Failed) / float64(r.pace.count)
	}
	if r.pace.duration > 0 {
		p.Part = max(p.Part, min(1, p.Elapsed.Seconds()/r.pace.duration.Seconds()))
	}
	return p
}
