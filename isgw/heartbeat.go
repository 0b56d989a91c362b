package isgw

import (
	"context"
	"fmt"
	"time"

	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// beats tells the peer how this segment does, regularly and when what it holds has changed.
func (s *session) beats(ctx context.Context) error {
	told := wire.Buckets{}
	t := time.NewTicker(beat)
	defer t.Stop()
	for {
		var changed <-chan struct{}
		h := s.heartbeat()
		if p := s.k.l.prefetch; p != nil {
			h.Held, changed = p.news(told)
		}
		if err := s.out.Write(h); err != nil {
			return err
		}
		for id, c := range h.Held {
			told[id] = c
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-changed:
			wait(ctx, beatGap) // for more of it
		}
		s.silent() // looks what came
		if s.quiet() > silence {
			return fmt.Errorf("no heartbeat for %v: %w", s.quiet().Round(time.Second), transport.ErrLost)
		}
	}
}

func (s *session) heartbeat() *wire.Heartbeat {
	h := &wire.Heartbeat{Clock: s.k.l.cfg.Clock(), LogEnd: s.k.l.seg.LogEnd()}
	s.mu.Lock()
	if !s.at.IsZero() {
		h.Echo, h.Waited = s.last.Clock, time.Since(s.at)
	}
	s.mu.Unlock()
	h.Behind = s.k.lag()
	return h
}

// listen takes the peer's heartbeats.
func (s *session) listen(ctx context.Context) error {
	for {
		var h wire.Heartbeat
		if err := s.in.Read(&h, wire.MaxControl); err != nil {
			return err
		}
		now := s.k.l.cfg.Clock()
		s.heard.Store(time.Now().UnixNano())
		s.silent() // looks what came
		if rtt := now.Sub(h.Echo) - h.Waited; !h.Echo.IsZero() && rtt >= 0 {
			s.rtt.Store(int64(rtt))
			s.skew.Store(int64(h.Clock.Sub(now) + rtt/2))
		}
		s.mu.Lock()
		s.last, s.at = h, time.Now()
		s.mu.Unlock()
		s.k.heardOf(h)
	}
}

// heardOf keeps what outlives the session.
func (k *link) heardOf(h wire.Heartbeat) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, c := range h.Held {
		k.held[id] = c
	}
	k.behind, k.heard = h.Behind, k.l.cfg.Clock()
}

// holds is up to where the peer is known to hold a bucket's payload durably.
func (k *link) holds(id segment.BucketID) segment.Vector {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held[id]
}

// roundTrip is the measured time to the peer and back; 0 when not known.
func (s *session) roundTrip() time.Duration {
	if d := s.conn.Stats().RTT; d > 0 {
		return d
	}
	return time.Duration(s.rtt.Load())
}
