package loadtest

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// pacer hands out turns to workers until the count, the time or the context ends.
//
// With a rate, turn n is due at start + n/rate whatever happened to the turns before, and latency is to be taken from then: a server that
// stalls is charged for every request that should have been sent meanwhile, not only for those that were waiting (coordinated omission).
type pacer struct {
	start    time.Time
	duration time.Duration // 0: no end
	count    uint64        // 0: no end
	rate     float64       // turns a second; 0: as fast as answers come
	next     atomic.Uint64
	taken    atomic.Uint64
}

// turn waits for the next turn and returns its number and when it was due. Not ok means that there are no more.
func (p *pacer) turn(ctx context.Context) (number uint64, due time.Time, ok bool) {
	if ctx.Err() != nil {
		return 0, time.Time{}, false
	}
	number = p.next.Add(1) - 1
	if p.count > 0 && number >= p.count {
		return 0, time.Time{}, false
	}
	now := time.Now()
	due = now
	if p.rate > 0 {
		due = p.start.Add(time.Duration(float64(number) / p.rate * float64(time.Second)))
	}
	if p.over(due) || p.over(now) {
		return 0, time.Time{}, false
	}
	if wait := due.Sub(now); wait > 0 && !sleep(ctx, wait) {
		return 0, time.Time{}, false
	}
	p.taken.Add(1)
	return number, due, true
}

// unsent is how many turns were due before end and not taken, because every worker was still waiting for an answer.
func (p *pacer) unsent(end time.Time) uint64 {
	if p.rate == 0 {
		return 0
	}
	elapsed := end.Sub(p.start)
	if p.duration > 0 {
		elapsed = min(elapsed, p.duration)
	}
	due := uint64(math.Ceil(elapsed.Seconds() * p.rate))
	if p.count > 0 {
		due = min(due, p.count)
	}
	return due - min(due, p.taken.Load())
}

func (p *pacer) over(t time.Time) bool { return p.duration > 0 && t.Sub(p.start) >= p.duration }

// sleep waits, and says whether it waited to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
