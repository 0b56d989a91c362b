package segment

import (
	"sync/atomic"
	"time"
)

// MaxClockAhead bounds how far beyond the local clock a stamp from elsewhere may lie. A link whose peer is further ahead waits.
const MaxClockAhead = 5 * time.Minute

// clock is a hybrid logical clock: never behind the wall clock, never behind what it has seen, never the same twice.
type clock struct {
	wall func() time.Time
	last atomic.Uint64
}

// now is a new stamp.
func (c *clock) now() HLC {
	for {
		last := c.last.Load()
		next := max(last+1, uint64(hlcAt(c.wall())))
		if c.last.CompareAndSwap(last, next) {
			return HLC(next)
		}
	}
}

// observe makes later stamps greater than h.
func (c *clock) observe(h HLC) {
	for {
		last := c.last.Load()
		if uint64(h) <= last || c.last.CompareAndSwap(last, uint64(h)) {
			return
		}
	}
}

// bound is the greatest stamp that is believed now.
func (c *clock) bound() HLC { return hlcAt(c.wall().Add(MaxClockAhead)) }
