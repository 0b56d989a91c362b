package segment

import (
	"context"
	"errors"
	"slices"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// keeper knows what is due: a fold, a move of payload out of memory, a state to be written so that the log can be cut.
type keeper struct {
	due chan struct{}

	checkpoint sync.Mutex // one at a time

	mu       sync.Mutex
	pressure int64  // memory of overlays and tails, about, but for
	renamed  int64  // what renames take there: nobody waits for that but who renames
	total    growth // of the log since the start
	next     growth // total at which the next state is due
	marks    []logMark
	need     []stateNeed   // of each kept state, the older first
	room     chan struct{} // closed when pressure falls
	trouble  error         // why the last fold failed
}

// growth is what the log grew by.
type growth struct{ bytes, writes int64 }

const (
	markEvery  = 256 << 10 // log bytes
	markWrites = 1 << 10
)

// stateNeed is the first log position that a state needs.
type stateNeed struct{ state, from uint64 }

// logMark says how much of the log lies before a position.
type logMark struct {
	pos uint64
	growth
}

func (k *keeper) init() { k.due, k.room = make(chan struct{}, 1), make(chan struct{}) }

// grown accounts for one log record of n bytes, which was applied.
func (k *keeper) grown(e *entry, n int64, pos uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pressure += e.cost
	k.total.bytes += n
	for i := range e.writes {
		k.total.writes += int64(e.writes[i].record.dots())
	}
	last := logMark{}
	if len(k.marks) > 0 {
		last = k.marks[len(k.marks)-1]
	}
	if last.pos == 0 || k.total.bytes-last.bytes > markEvery || k.total.writes-last.writes > markWrites {
		k.marks = append(k.marks, logMark{pos, k.total})
	}
}

// behind is how much of the log lies behind a position, about: at most a mark's distance more.
func (k *keeper) behind(pos uint64) growth {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := sort.Search(len(k.marks), func(i int) bool { return k.marks[i].pos > pos })
	from := growth{}
	if i > 0 {
		from = k.marks[i-1].growth
	}
	return growth{k.total.bytes - from.bytes, k.total.writes - from.writes}
}

// moved accounts for the memory that a rename takes.
func (k *keeper) moved(n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.renamed += n
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
		if k.total.bytes-m.bytes > keep {
			cut, last = m.pos, i
		}
	}
	cut = min(cut, k.need[0].from)
	for last > 0 && k.marks[last].pos > cut { // what is kept is still measured
		last--
	}
	k.marks = k.marks[last:]
	return cut
}

// nudge wakes the housekeeping when something is due.
func (s *Segment) nudge() {
	k := &s.keeper
	k.mu.Lock()
	due := s.foldDue() || s.stateDue()
	k.mu.Unlock()
	if due || s.cfg.Chunks.Held() > s.cfg.StageBytes/2 {
		select {
		case k.due <- struct{}{}:
		default:
		}
	}
}

// foldAt is the memory of overlays at which a fold begins: what is left of the bound is for what comes while it is made.
func (s *Segment) foldAt() int64 { return s.cfg.OverlayBytes / 8 * 5 }

// foldDue says whether records take so much memory that a fold is due. The caller holds the keeper's mu.
func (s *Segment) foldDue() bool { return s.keeper.pressure+s.keeper.renamed > s.foldAt() }

// stateDue says whether a start would have to go through more of the log than it should. The caller holds the keeper's mu.
func (s *Segment) stateDue() bool {
	k := &s.keeper
	return k.total.bytes > k.next.bytes || k.total.writes > k.next.writes
}

// stateIn says when the next state is due. A start goes through what lies behind the position need, and brings payload that came after the
// state back into memory. A bucket that cannot be folded does not make a state due at once.
func (s *Segment) stateIn(need uint64) {
	k, held := &s.keeper, s.keeper.behind(need)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next = k.total
	k.next.bytes += s.cfg.CheckpointAt
	k.next.writes += max(s.cfg.StartWrites-held.writes, s.cfg.StartWrites/4)
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
	var sum, renamed int64
	for _, b := range s.allBuckets() {
		b.mu.RLock()
		sum, renamed = sum+b.cost, renamed+b.renamed
		b.mu.RUnlock()
	}
	k := &s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pressure, k.renamed, k.trouble = sum, renamed, trouble
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
	checkpoint, fold := s.stateDue(), s.foldDue()
	k.mu.Unlock()
	if !checkpoint && !fold {
		return nil
	}
	err := s.foldWorth(ctx, fold, checkpoint)
	s.relieved(err)
	if checkpoint { // also when a bucket could not be folded: its records stay in the log
		err = errors.Join(err, s.checkpoint(ctx))
		s.relieved(err) // of payload, which it has settled: nothing else may be due that would wake who waits
	}
	return err
}

// foldsAtOnce bounds the buckets that are folded at a time: each waits for the disk.
const foldsAtOnce = 4

// foldWorth folds the buckets that hold most of the memory, and those that hold the log: others' records lie near its end, and are left there,
// however many buckets there are.
func (s *Segment) foldWorth(ctx context.Context, memory, log bool) error {
	buckets := s.allBuckets()
	costs := make([]int64, len(buckets))
	for i, b := range buckets {
		costs[i] = b.unfolded().cost
	}
	worth := slices.Max(costs) / 4
	var folds errgroup.Group
	folds.SetLimit(foldsAtOnce)
	failed := make([]error, len(buckets))
	for i, b := range buckets {
		if b.waits() == nil && (memory && costs[i] >= worth || log && s.holdsLog(b)) {
			folds.Go(func() error {
				_, failed[i] = b.Fold(ctx)
				return nil
			})
		}
	}
	_ = folds.Wait()
	return errors.Join(failed...)
}

// holdsLog says whether a bucket has records that lie far back in the log.
func (s *Segment) holdsLog(b *Bucket) bool {
	p := b.unfolded()
	if p.oldest == 0 {
		return false
	}
	held := s.keeper.behind(p.oldest)
	return held.writes > s.cfg.StartWrites/2 || held.bytes > 2*s.cfg.CheckpointAt
}

// unfolded is what a fold of the bucket would relieve.
type unfolded struct {
	cost   int64  // memory in bytes
	oldest uint64 // log position of the first record that is not folded; 0: there is none
}

func (b *Bucket) unfolded() unfolded {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p := unfolded{cost: b.cost + b.renamed}
	if len(b.tail.records) > 0 {
		p.oldest = b.tail.records[0].pos
	}
	return p
}

// checkpoint writes the state and cuts the log before what the states that are kept, and links, still need. Payload that only the log
// held is in packs by then.
func (s *Segment) checkpoint(ctx context.Context) error {
	s.keeper.checkpoint.Lock()
	defer s.keeper.checkpoint.Unlock()
	st := s.capture()
	defer s.stateIn(st.need())
	if err := s.cfg.Chunks.Settle(ctx); err != nil {
		return err
	}
	if err := s.writeState(st); err != nil {
		return err
	}
	if cut := s.keeper.cutPoint(st, s.cfg.LogKeep); cut > s.log.First() {
		return s.log.Cut(cut)
	}
	return nil
}
