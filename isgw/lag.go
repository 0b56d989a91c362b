package isgw

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

const (
	sampleEvery = 250 * time.Millisecond
	maxSamples  = 4096
)

// timeline remembers when the log of the segment came to be how long, so that a peer's place in it can be said in seconds.
type timeline struct {
	mu      sync.Mutex
	samples []sample // ascending
}

type sample struct {
	end uint64 // of the log
	at  time.Time
}

// run takes a sample whenever the log has grown.
func (t *timeline) run(ctx context.Context, seg *segment.Segment) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		t.note(seg.LogEnd(), time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (t *timeline) note(end uint64, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.samples); n > 0 && t.samples[n-1].end >= end {
		return
	}
	t.samples = append(t.samples, sample{end, at})
	if len(t.samples) <= maxSamples {
		return
	}
	half := t.samples[:0] // every second one of the older half
	for i, s := range t.samples {
		if i%2 == 0 || i > maxSamples/2 {
			half = append(half, s)
		}
	}
	t.samples = half
}

// since is how long the log has been longer than pos.
func (t *timeline) since(pos uint64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := sort.Search(len(t.samples), func(i int) bool { return t.samples[i].end > pos })
	if i == len(t.samples) {
		return 0
	}
	return time.Since(t.samples[i].at)
}

// gap is what a peer has not acknowledged of this segment's log.
type gap struct {
	mu      sync.Mutex
	known   bool   // a subscription of this process has said where the peer stands
	acked   uint64 // the log before it is applied there
	sent    uint64 // the log before it was sent or need not be
	bytes   uint64 // sent on this session
	pending []piece
	done    uint64 // bytes of it that are acknowledged
}

type piece struct {
	next  uint64 // acknowledged by this position
	bytes uint64 // sent up to here
}

func (g *gap) start(pos uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known, g.acked, g.sent, g.bytes, g.done, g.pending = true, pos, pos, 0, 0, nil
}

// passed notes that the log before next was sent with that many bytes; none when all of it could be skipped.
func (g *gap) passed(next, bytes uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sent = next
	g.bytes += bytes
	if bytes > 0 {
		g.pending = append(g.pending, piece{next, g.bytes})
	}
	g.settle()
}

func (g *gap) ack(pos uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acked = max(g.acked, min(pos, g.sent))
	i := 0
	for i < len(g.pending) && g.pending[i].next <= g.acked {
		g.done = g.pending[i].bytes
		i++
	}
	g.pending = g.pending[i:]
	g.settle()
}

// settle moves over what was skipped. The caller holds mu.
func (g *gap) settle() {
	if len(g.pending) == 0 {
		g.acked = max(g.acked, g.sent)
	}
}

func (g *gap) isKnown() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known
}

// cut notes that the session ended: what was not acknowledged goes on from there.
func (g *gap) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sent, g.pending, g.bytes, g.done = g.acked, nil, 0, 0
}

// lag is how far the peer is behind this segment.
func (k *link) lag() wire.Lag {
	g := &k.gap
	g.mu.Lock()
	known, acked, bytes := g.known, g.acked, g.bytes-g.done
	g.mu.Unlock()
	end := k.l.seg.LogEnd()
	if !known || acked >= end {
		return wire.Lag{}
	}
	return wire.Lag{Positions: end - acked, Bytes: bytes, Since: k.l.timeline.since(acked)}
}
