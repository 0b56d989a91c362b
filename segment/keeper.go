package segment

import (
	"context"
	"errors"
	"sync"
	"time"
)

// keeper knows what is due: a fold, a move of payload out of memory, a state to be written so that the log can be cut.
type keeper struct {
	due chan struct{}

	mu       sync.Mutex
	pressure int64  // memory of overlays and tails, about
	since    growth // since the last state
	total    int64  // log bytes since the start
	marks    []logMark
	need     []stateNeed   // of each kept state, the older first
	room     chan struct{} // closed when pressure falls
	trouble  error         // why the last fold failed
}

// growth is what the log grew by.
type growth struct{ bytes, writes int64 }

const markEvery = 256 << 10

// stateNeed is the first log position that a state needs.
type stateNeed struct{ state, from uint64 }

// logMark says how many log bytes lie before a position.
type logMark struct {
	pos   uint64
	bytes int64
}

func (k *keeper) init() { k.due, k.room = make(chan struct{}, 1), make(chan struct{}) }

// grown accounts for one log record of n bytes.
func (k *keeper) grown(e *entry, n int64, pos uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range e.writes {
		k.pressure += int64(len(e.writes[i].raw)) + recordCost
	}
	k.since.writes += int64(len(e.writes))
	k.since.bytes += n
	k.total += n
	if len(k.marks) == 0 || k.total-k.marks[len(k.marks)-1].bytes > markEvery {
		k.marks = append(k.marks, logMark{pos, k.total})
	}
}

// cutPoint is the log position before which nothing is needed: by states that are kept, nor by links that are at most keep bytes behind.
func (k *keeper) cutPoint(st *state, keep int64) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(k.need); n > 0 && k.need[n-1].state == st.pos { // it took the place of that one
		k.need = k.need[:n-1]
	}
	k.need = append(k.need, stateNeed{st.pos, st.need()})
	if len(k.need) < statesKept {
		return 0
	}
	k.need = k.need[len(k.need)-statesKept:]
	cut, last := uint64(0), 0
	for i, m := range k.marks {
		if k.total-m.bytes > keep {
			cut, last = m.pos, i
		}
	}
	k.marks = k.marks[last:]
	return min(cut, k.need[0].from)
}

// nudge wakes the housekeeping when something is due.
func (s *Segment) nudge() {
	k := &s.keeper
	k.mu.Lock()
	due := k.pressure > s.cfg.OverlayBytes/2 || s.stateDue()
	k.mu.Unlock()
	if due || s.cfg.Chunks.Held() > s.cfg.StageBytes/2 {
		select {
		case k.due <- struct{}{}:
		default:
		}
	}
}

// stateDue says whether a start would have to go through more of the log than it should. The caller holds the keeper's mu.
func (s *Segment) stateDue() bool {
	return s.keeper.since.bytes > s.cfg.CheckpointAt || s.keeper.since.writes > s.cfg.StartWrites
}

// admit makes a writer wait while the memory of unfolded records, or of payload that only the log has, is at its limit.
func (s *Segment) admit(ctx context.Context) error {
	k := &s.keeper
	for {
		k.mu.Lock()
		over, room, trouble := k.pressure > s.cfg.OverlayBytes || s.cfg.Chunks.Held() > s.cfg.StageBytes, k.room, k.trouble
		k.mu.Unlock()
		if !over {
			return nil
		}
		if trouble != nil {
			return trouble
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.failure.ch:
			return s.failure.get()
		}
	}
}

// relieved takes stock after folds.
func (s *Segment) relieved(trouble error) {
	var sum int64
	for _, b := range s.allBuckets() {
		b.mu.RLock()
		sum += b.cost
		b.mu.RUnlock()
	}
	k := &s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pressure, k.trouble = sum, trouble
	close(k.room)
	k.room = make(chan struct{})
}

// housekeeping folds by cost, not by a clock; the clock only tries again what failed.
func (s *Segment) housekeeping(ctx context.Context) {
	retry := time.NewTicker(time.Second)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.failure.ch:
			return
		case <-s.keeper.due:
		case <-retry.C:
			s.nudge()
			continue
		}
		if err := s.keep(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("housekeeping failed, trying again", "error", err)
		}
	}
}

// keep does what is due.
func (s *Segment) keep(ctx context.Context) error {
	if s.cfg.Chunks.Held() > s.cfg.StageBytes/2 {
		if err := s.cfg.Chunks.Settle(ctx); err != nil {
			s.relieved(err)
			return err
		}
		s.relieved(nil)
	}
	k := &s.keeper
	k.mu.Lock()
	checkpoint, fold, since := s.stateDue(), k.pressure > s.cfg.OverlayBytes/2, k.since
	k.mu.Unlock()
	if !checkpoint && !fold {
		return nil
	}
	err := s.foldWorth(ctx, checkpoint)
	s.relieved(err)
	if checkpoint { // also when a bucket could not be folded: its records stay in the log
		err = errors.Join(err, s.checkpointOf(ctx, since))
		s.relieved(err) // of payload, which it has settled: nothing else may be due that would wake who waits
	}
	return err
}

// foldWorth folds the buckets that hold most of the memory, or all.
func (s *Segment) foldWorth(ctx context.Context, all bool) error {
	var most int64
	buckets := s.allBuckets()
	cost := make([]int64, len(buckets))
	for i, b := range buckets {
		b.mu.RLock()
		cost[i] = b.cost
		b.mu.RUnlock()
		most = max(most, cost[i])
	}
	var failed error
	for i, b := range buckets {
		if all || cost[i] >= most/4 {
			_, err := b.Fold(ctx)
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// checkpoint writes the state and cuts the log before what the states that are kept, and links, still need. Payload that only the log
// held is in packs by then.
func (s *Segment) checkpoint(ctx context.Context) error {
	s.keeper.mu.Lock()
	since := s.keeper.since
	s.keeper.mu.Unlock()
	return s.checkpointOf(ctx, since)
}

// checkpointOf is checkpoint, behind folds before which the log had grown by done since the last state: a start applies what came after.
func (s *Segment) checkpointOf(ctx context.Context, done growth) error {
	st := s.capture()
	if err := s.cfg.Chunks.Settle(ctx); err != nil {
		return err
	}
	if err := s.writeState(st); err != nil {
		return err
	}
	s.keeper.mu.Lock()
	s.keeper.since.bytes -= done.bytes
	s.keeper.since.writes -= done.writes
	s.keeper.mu.Unlock()
	if cut := s.keeper.cutPoint(st, s.cfg.LogKeep); cut > s.log.First() {
		return s.log.Cut(cut)
	}
	return nil
}
