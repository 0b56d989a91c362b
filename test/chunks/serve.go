package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/test/measure"
)

const (
	serveCount = 8 << 10 // chunks of 64 KiB
	serveReads = 1000    // a second
	servePuts  = 250     // a second, of 4 KiB
	serveDead  = 3       // one in so many is garbage
)

// serve compares how long reads and puts take, of a client who asks at a steady rate, while the device does other work with how long without.
func (b *bench) serve(ctx context.Context) ([]measure.Result, error) {
	d, err := b.device(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	domain := domainOf(1)
	ids, err := putMany(ctx, d.Open(domain, chunk.Data), domain, serveCount, coldChunk)
	if err != nil {
		return nil, err
	}
	s := &serving{d: d, domain: domain}
	dead := map[chunk.ID]bool{}
	for i, id := range ids {
		if i%serveDead == 0 {
			dead[id] = true
		} else {
			s.ids = append(s.ids, id)
		}
	}
	keep := func(id chunk.ID) bool { return !dead[id] }
	var sweep chunk.Sweep
	var results []measure.Result
	for _, job := range []struct {
		name string
		do   func(ctx context.Context) error
		end  func() error
	}{
		{"scrub", func(ctx context.Context) error {
			return d.Scrub(ctx, pack.Scrubbing{Scrubbing: chunk.Scrubbing{Domains: []chunk.Domain{domain}, Since: time.Now(), Rate: scrubRate}})
		}, nil},
		{"collection", func(ctx context.Context) (err error) {
			if sweep, err = d.Condemn(ctx, []chunk.Domain{domain}, func(chunk.ID) bool { return true }); err != nil {
				return err
			}
			sweep.End()
			return nil
		}, func() (err error) {
			if sweep, err = d.Condemn(ctx, []chunk.Domain{domain}, keep); err == nil {
				_, err = sweep.Expunge(ctx, keep)
			}
			return err
		}},
		{"compaction", func(ctx context.Context) error {
			_, err := sweep.Compact(ctx, chunk.Compaction{Dead: 10, Rate: compactRate})
			return err
		}, nil},
	} {
		rs, err := s.beside(ctx, b.each, job.name, job.do)
		results = append(results, rs...)
		if err == nil && job.end != nil {
			err = job.end()
		}
		if err != nil {
			return results, fmt.Errorf("%s: %w", job.name, err)
		}
	}
	sweep.End()
	return results, nil
}

// scrubRate is the daemon's, in bytes a second.
const scrubRate = 32 << 20

// compactRate is the daemon's, in bytes a second.
const compactRate = 100 << 20

// serving is a client.
type serving struct {
	d      *pack.Device
	domain chunk.Domain
	ids    []chunk.ID
	serial atomic.Int64
}

// beside serves alone, with the job, which is begun again when it ends, and alone again.
func (s *serving) beside(ctx context.Context, each time.Duration, name string, job func(context.Context) error) ([]measure.Result, error) {
	var reads, puts [3]measure.Times
	for turn := range reads {
		working, cancel := context.WithCancel(ctx)
		var jobs sync.WaitGroup
		var failed error
		runs := 0
		if turn == 1 {
			jobs.Go(func() {
				for working.Err() == nil && failed == nil {
					if err := job(working); err != nil && working.Err() == nil {
						failed = err
					}
					runs++
				}
			})
		}
		var err error
		reads[turn], puts[turn], err = s.serve(ctx, each)
		cancel()
		jobs.Wait()
		if err == nil {
			err = failed
		}
		if err != nil {
			return nil, err
		}
	}
	result := func(what string, t [3]measure.Times) measure.Result {
		alone := (t[0].At(0.99) + t[2].At(0.99)) / 2
		r := measure.Within(alone, 1.5, measure.Result{Name: what + "-during-" + name, What: fmt.Sprintf("%s during %s, p99", what, name), Value: t[1].At(0.99), Unit: "ms"})
		r.Detail = fmt.Sprintf("p50 %.2f ms, alone %.2f ms", t[1].At(0.5), (t[0].At(0.5)+t[2].At(0.5))/2)
		return r
	}
	return []measure.Result{result("reads of 64 KiB", reads), result("puts of 4 KiB", puts)}, nil
}

// serve asks at the rates of the figures, whatever the answers take.
func (s *serving) serve(ctx context.Context, each time.Duration) (reads, puts measure.Times, err error) {
	store := s.d.Open(s.domain, chunk.Data)
	var clients sync.WaitGroup
	var errs [2]error
	clients.Go(func() {
		reads, errs[0] = paced(ctx, each, serveReads, func() error {
			return store.Get(ctx, []chunk.ID{s.ids[rand.IntN(len(s.ids))]}, func(chunk.Chunk) error { return nil })
		})
	})
	clients.Go(func() {
		puts, errs[1] = paced(ctx, each, servePuts, func() error {
			c := s.domain.Make(numbered(make([]byte, smallChunk), s.serial.Add(1)))
			return store.Put(ctx, []chunk.Chunk{c})
		})
	})
	clients.Wait()
	if errs[0] == nil {
		errs[0] = errs[1]
	}
	return reads, puts, errs[0]
}

// paced does something so many times a second, each time when its time has come, and measures from then on.
func paced(ctx context.Context, each time.Duration, perSecond int, do func() error) (measure.Times, error) {
	n := int(each.Seconds() * float64(perSecond))
	took, errs := make(measure.Times, n), make([]error, n)
	var all sync.WaitGroup
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		if wait := time.Until(due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		all.Go(func() {
			errs[i] = do()
			took[i] = time.Since(due)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return measure.Sorted(took), nil
}
