package segment

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

// A scrub reads all chunks that are here, and repairs what is damaged: docs/design/chunks.md.

// ScrubStatus is how the scrub stands.
type ScrubStatus struct {
	Running bool
	Stopped bool // by [Segment.StopScrub]: it goes on by itself at Next
	Devices []chunk.Scrubbed
	Repairs RepairReport
	Failed  string // why it does not get on, by itself it tries again
	Every   time.Duration
	Rate    int64
	Next    time.Time // when the next pass begins by itself; zero: not, or one is under way

	idle bool // nothing at all is done
}

// scrubs is what is known of the scrub.
type scrubs struct {
	asked chan scrubAsk // to the goroutine that scrubs

	mu       sync.Mutex
	stop     context.CancelFunc // of what runs; nil
	wanted   bool               // somebody asked for what runs; else it may only look whether it is time
	hold     time.Time          // it was stopped, and does not go on by itself before that; zero: it was not
	failed   error
	rate     int64
	repaired int64 // since the start
	report   RepairReport

	tried   attempt       // to repair; of the goroutine that scrubs
	changed chan struct{} // closed at the next change
}

// scrubAsk is what somebody asks of the scrub.
type scrubAsk struct {
	rate  int64
	begun chan struct{} // closed when it has begun
}

func (k *scrubs) init() { k.asked, k.changed = make(chan scrubAsk), make(chan struct{}) }

// note changes what is told.
func (k *scrubs) note(change func(*scrubs)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(k)
	close(k.changed)
	k.changed = make(chan struct{})
}

// StartScrub begins a pass over all devices, at that many bytes a second of each; 0: nothing bounds it. Passes that are under way go on where they are. It returns when that has begun.
func (s *Segment) StartScrub(ctx context.Context, rate int64) error {
	if s.cfg.Scrubber == nil {
		return errNoScrubber
	}
	if st, _ := s.ScrubStatus(); st.Running && st.Rate == rate {
		return nil
	}
	if err := s.haltScrub(ctx, func(*scrubs) {}); err != nil {
		return err
	}
	ask := scrubAsk{rate, make(chan struct{})}
	select {
	case s.scrubs.asked <- ask:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.failure.ch:
		return s.failure.get()
	}
	<-ask.begun
	return nil
}

var errNoScrubber = errors.Join(errors.New("nothing here can be scrubbed"), ErrUnavailable)

// StopScrub stops the scrub where it is, if it runs, and returns when it does not any more. It goes on when it is asked to, when the next pass is due, or after a restart.
func (s *Segment) StopScrub(ctx context.Context) error {
	if st, _ := s.ScrubStatus(); !st.Running {
		return nil
	}
	return s.haltScrub(ctx, func(k *scrubs) { k.hold = s.cfg.Clock().Add(max(s.cfg.ScrubEvery, time.Hour)) })
}

// haltScrub waits until nothing runs.
func (s *Segment) haltScrub(ctx context.Context, note func(*scrubs)) error {
	for {
		k := &s.scrubs
		k.mu.Lock()
		stop, changed := k.stop, k.changed
		if stop != nil {
			note(k)
		}
		k.mu.Unlock()
		if stop == nil {
			return nil
		}
		stop()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ScrubStatus says how the scrub stands, and gives what is closed when that has changed.
func (s *Segment) ScrubStatus() (ScrubStatus, <-chan struct{}) {
	st := ScrubStatus{Every: s.cfg.ScrubEvery, Rate: s.cfg.ScrubRate}
	k := &s.scrubs
	k.mu.Lock()
	changed := k.changed
	st.Repairs, st.Running, st.Stopped = k.report, k.stop != nil, !k.hold.IsZero()
	st.Repairs.Lost = slices.Clone(k.report.Lost)
	if k.failed != nil {
		st.Failed = k.failed.Error()
	}
	if st.Running {
		st.Rate = k.rate
	}
	hold, wanted := k.hold, k.wanted
	st.idle = !st.Running
	k.mu.Unlock()
	if s.cfg.Scrubber != nil {
		st.Devices = s.cfg.Scrubber.Scrubbed()
	}
	if underWay := slices.ContainsFunc(st.Devices, isUnderWay); st.Running && !wanted && !underWay {
		st.Running = false
	}
	if !st.Running {
		st.Next = nextScrub(st, hold)
	}
	return st, changed
}

func isUnderWay(d chunk.Scrubbed) bool { return !d.Began.IsZero() && d.Ended.IsZero() }

// nextScrub is when the first of the devices is scrubbed again by itself.
func nextScrub(st ScrubStatus, hold time.Time) (next time.Time) {
	if st.Every <= 0 {
		return next
	}
	for _, d := range st.Devices {
		if at := d.Began.Add(st.Every); !d.Began.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if hold.After(next) {
		next = hold
	}
	return next
}

const (
	scrubLook   = time.Minute      // between looks at whether a pass is due
	repairRetry = 10 * time.Minute // between attempts to repair what could not be
)

// scrubbing scrubs by schedule, and when it is asked to.
func (s *Segment) scrubbing(ctx context.Context) {
	if s.cfg.Scrubber == nil || s.cfg.alone {
		return
	}
	look := time.NewTicker(scrubLook)
	defer look.Stop()
	ask := scrubAsk{rate: s.cfg.ScrubRate}
	for {
		switch {
		case ask.begun != nil:
			s.scrub(ctx, s.round(), ask)
		case s.held():
		case s.cfg.ScrubEvery > 0:
			s.scrub(ctx, s.cfg.Clock().Add(-s.cfg.ScrubEvery), ask)
		default: // passes that were asked for go on
			s.scrub(ctx, time.Time{}, ask)
		}
		ask = scrubAsk{rate: s.cfg.ScrubRate}
		select {
		case ask = <-s.scrubs.asked:
		case <-look.C:
		case <-ctx.Done():
			return
		case <-s.failure.ch:
			return
		}
	}
}

// round is when the passes began that are under way, or now: what began later is of the same round, and is not begun anew.
func (s *Segment) round() time.Time {
	since := s.cfg.Clock()
	for _, d := range s.cfg.Scrubber.Scrubbed() {
		if isUnderWay(d) && d.Began.Before(since) {
			since = d.Began
		}
	}
	return since
}

// held says whether somebody stopped the scrub, and it is not time to go on by itself.
func (s *Segment) held() bool {
	k := &s.scrubs
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.hold.IsZero() && s.cfg.ScrubEvery > 0 && s.cfg.Clock().After(k.hold) {
		k.hold = time.Time{}
	}
	return !k.hold.IsZero()
}

// scrub goes on with passes, begins those that are due, and repairs what is lost, as soon as that is known.
func (s *Segment) scrub(ctx context.Context, since time.Time, ask scrubAsk) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	k := &s.scrubs
	k.note(func(k *scrubs) { k.stop, k.wanted, k.hold, k.rate = stop, ask.begun != nil, time.Time{}, ask.rate })
	if ask.begun != nil {
		k.tried = attempt{} // what could not be repaired is tried again
		close(ask.begun)
	}
	found := make(chan struct{}, 1)
	tell := func() {
		k.note(func(*scrubs) {})
		select {
		case found <- struct{}{}:
		default:
		}
	}
	var repairs sync.WaitGroup
	over := make(chan struct{})
	repairs.Go(func() { s.repairing(ctx, found, over) })
	err := s.cfg.Scrubber.Scrub(ctx, chunk.Scrubbing{Domains: s.domains(), Since: since, Rate: ask.rate, Clock: s.cfg.Clock, Tell: tell})
	close(over)
	repairs.Wait()
	if ctx.Err() != nil {
		err = nil
	}
	k.note(func(k *scrubs) {
		if err != nil && (k.failed == nil || k.failed.Error() != err.Error()) {
			s.cfg.Logger.Warn("the scrub does not get on, trying again", "error", err)
		}
		k.stop, k.failed = nil, err
	})
}
