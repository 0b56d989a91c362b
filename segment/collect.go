package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

// Collection removes chunks that nothing reaches, without a clock: docs/design/collection.md.

// CollectOptions say how chunks are collected.
type CollectOptions struct {
	chunk.Compaction // but for Done
	// Forget are buckets of which all states are forgotten first that are remembered.
	Forget []BucketID
	// Progress, unless nil, is told how far it is, by one goroutine.
	Progress func(CollectProgress)
}

// CollectPhase is what a collection does.
type CollectPhase string

const (
	CollectFolds    CollectPhase = "folding"
	CollectMarks    CollectPhase = "marking"
	CollectCondemns CollectPhase = "condemning"
	CollectRemarks  CollectPhase = "marking again"
	CollectExpunges CollectPhase = "expunging"
	CollectCompacts CollectPhase = "compacting"
)

// CollectProgress is how far a collection is.
type CollectProgress struct {
	Phase  CollectPhase  `json:"phase"`
	Named  int64         `json:"named"` // chunks, with repetition, that this mark has come by
	Report CollectReport `json:"report"`
}

// CollectReport is what a collection has done so far.
type CollectReport struct {
	Began     time.Time       `json:"began"`
	Ended     time.Time       `json:"ended,omitzero"`
	Reached   int64           `json:"reached"`   // chunks that the last mark found
	Condemned chunk.Swept     `json:"condemned"` // guessed to be of no use
	Gone      chunk.Swept     `json:"gone"`      // that were, and are removed
	Compacted chunk.Compacted `json:"compacted"`
	Kept      []string        `json:"kept,omitempty"` // segments for which everything is kept: what they may still ask for is not known
	History   []KeptHistory   `json:"history,omitempty"`
}

// CollectStatus is what is known of collections.
type CollectStatus struct {
	Running *CollectProgress `json:"running,omitempty"`
	Last    *CollectReport   `json:"last,omitempty"`
	Failed  string           `json:"failed,omitempty"` // why the last one that was tried since the start ended early
	Kept    []string         `json:"kept,omitempty"`   // segments for which everything is kept
	Writers int              `json:"writers"`          // that have not ended
	Every   time.Duration    `json:"every"`            // how often the segment collects by itself; 0: never
	Total   CollectTotals    `json:"total"`
}

// CollectTotals are sums since the start.
type CollectTotals struct {
	Runs, Failures int64
	Gone           chunk.Swept
	Freed, Copied  int64 // bytes
}

// collects is what is known of collections. One runs at a time.
type collects struct {
	running sync.Mutex
	parts   uint64 // of all names, one cycle for each; guarded by running

	mu     sync.Mutex
	now    *CollectProgress
	last   *CollectReport
	space  *Space // as last counted
	failed error
	total  CollectTotals
}

// ErrCollecting says that chunks are being collected already.
var ErrCollecting = errors.New("chunks are being collected already")

// markMost bounds the chunks that a mark knows of, and with them its memory, to some 250 MiB: where more are reached there are several cycles, each of a part of all
// names.
const markMost = 14 << 20

// Collect removes what nothing reaches, and gives its room back. Reading and writing go on meanwhile. When ctx ends, or the segment is closed, it stops where it is, and nothing is
// lost of what was done. There is one at a time: ErrCollecting.
//
// While another segment of the federation has, or may have, learned of this one's buckets nothing is removed: the report says for whom.
func (s *Segment) Collect(ctx context.Context, o CollectOptions) (CollectReport, error) {
	if s.cfg.Sweeper == nil {
		return CollectReport{}, fmt.Errorf("collect chunks: nothing here removes any: %w", ErrUnavailable)
	}
	if !s.collects.running.TryLock() {
		return CollectReport{}, ErrCollecting
	}
	defer s.collects.running.Unlock()
	c := &collection{s: s, o: o, report: CollectReport{Began: s.cfg.Clock()}}
	err := c.run(ctx)
	c.report.Ended = s.cfg.Clock()
	if err == nil && len(c.report.Kept) == 0 {
		err = s.noteCollection(ctx, &c.report)
	}
	s.collects.ended(c.report, err)
	if err != nil {
		return c.report, fmt.Errorf("collect chunks: %w", err)
	}
	return c.report, nil
}

func (k *collects) ended(r CollectReport, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now, k.failed = nil, err
	k.total.Runs++
	if err != nil {
		k.total.Failures++
	} else {
		k.last = &r
	}
	k.total.Gone = k.total.Gone.Add(r.Gone)
	k.total.Freed += r.Compacted.Freed
	k.total.Copied += r.Compacted.Copied
}

// collection is one run.
type collection struct {
	s      *Segment
	o      CollectOptions
	report CollectReport
	space  *spaceCount // nil where nobody counts, or it costs too much
}

func (c *collection) tell(phase CollectPhase, named int64) {
	p := CollectProgress{phase, named, c.report}
	k := &c.s.collects
	k.mu.Lock()
	k.now = &p
	k.mu.Unlock()
	if c.o.Progress != nil {
		c.o.Progress(p)
	}
}

func (c *collection) run(ctx context.Context) (err error) {
	if c.report.Kept, err = c.s.sharedWith(ctx); err != nil || len(c.report.Kept) > 0 {
		return err
	}
	c.tell(CollectFolds, 0)
	if err := c.forget(ctx); err != nil {
		return err
	}
	if err := c.s.foldEach(ctx); err != nil {
		return err
	}
	if err := c.s.rebegin(ctx); err != nil {
		return err
	}
	defer c.s.sparing.keepLog()() // what was left behind before, no start from the states to come goes through
	if err := c.s.renewStates(ctx); err != nil {
		return err
	}
	parts := max(c.s.collects.parts, 1)
	c.countSpace()
	for part := uint64(0); part < parts && len(c.report.Kept) == 0; {
		err := c.cycle(ctx, part, parts)
		switch {
		case errors.Is(err, errMany):
			part, parts, c.report.Reached, c.report.History = 0, 2*parts, 0, nil
			c.countSpace()
		case err != nil:
			return err
		default:
			part++
		}
	}
	c.s.collects.parts = parts
	if c.space != nil && len(c.report.Kept) == 0 {
		c.s.counted(c.space)
	}
	return nil
}

// countSpace begins a count of what buckets take, which the second marks bring with them.
func (c *collection) countSpace() {
	c.space = nil
	if c.s.cfg.Census != nil {
		c.space = c.s.newSpaceCount()
	}
}

// takeSpace counts what a mark has found. Where that cannot be done all that is known is what was counted before.
func (c *collection) takeSpace(ctx context.Context, r *reached) error {
	if c.space == nil {
		return nil
	}
	if err := c.space.take(ctx, r); err != nil {
		c.s.cfg.Logger.Info("what buckets take is not counted with a collection", "error", err)
		c.space = nil
	}
	return ctx.Err()
}

// ownersCost is how many times what a mark comes by it may come by to tell buckets apart: branches share trees, and each is walked for itself then.
const ownersCost = 4

// forget forgets what is not to be remembered any longer, and what it was asked to.
func (c *collection) forget(ctx context.Context) error {
	for _, id := range c.o.Forget {
		b := c.s.bucket(id)
		if b == nil {
			return fmt.Errorf("forget states of bucket %v: %w", id, ErrNoSuchBucket)
		}
		if err := b.forgetRoots(ctx); err != nil {
			return err
		}
	}
	return c.s.forgetOld(ctx)
}

// cycle is condemn, barrier, second mark, expunge.
func (c *collection) cycle(ctx context.Context, part, parts uint64) error {
	c.s.frozen.forget()
	runtime.GC() // who still has which state of a bucket is known then: see [sparing.hold]
	first := c.mark(CollectMarks, part, parts)
	if err := first.mark(ctx); err != nil {
		return err
	}
	c.report.History = addHistory(c.report.History, first.history) // to the second mark what the first has walked is in use
	c.tell(CollectCondemns, first.named)
	sweep, err := c.s.cfg.Sweeper.Condemn(ctx, c.s.domains(), first.keep)
	if err != nil {
		return err
	}
	defer sweep.End()
	c.report.Condemned = c.report.Condemned.Add(sweep.Condemned())
	named := first.named
	first = nil

	// From here on what is condemned is absent for those who write. What was held before, for somebody who has not committed yet, he has listed: the
	// second mark begins with that.
	second := c.mark(CollectRemarks, part, parts)
	if c.space != nil {
		second.owners, second.budget = newOwners(), ownersCost*named+1<<20
	}
	if err := second.mark(ctx); err != nil {
		return err
	}
	c.report.Reached += int64(second.len())
	// Who was told of this segment's buckets after that can only ask for what was reached then, or was written since.
	if c.report.Kept, err = c.s.sharedWith(ctx); err != nil || len(c.report.Kept) > 0 {
		return err
	}
	c.tell(CollectExpunges, second.named)
	gone, err := sweep.Expunge(ctx, second.keep)
	c.report.Gone = c.report.Gone.Add(gone)
	if err == nil {
		err = c.takeSpace(ctx, second)
	}
	if err != nil || part+1 < parts { // compaction is for the last part: it looks at all that is dead
		return err
	}
	return c.compact(ctx, sweep)
}

func (c *collection) mark(phase CollectPhase, part, parts uint64) *reached {
	c.tell(phase, 0)
	return &reached{s: c.s, part: part, parts: parts, most: cmp.Or(c.s.cfg.markMost, markMost), step: func(named int64) { c.tell(phase, named) }}
}

func (c *collection) compact(ctx context.Context, sweep chunk.Sweep) (err error) {
	o := c.o.Compaction
	o.Done = func(done chunk.Compacted) {
		c.report.Compacted = done
		c.tell(CollectCompacts, 0)
	}
	c.tell(CollectCompacts, 0)
	c.report.Compacted, err = sweep.Compact(ctx, o)
	if errors.Is(err, chunk.ErrFull) { // what was expunged is; the rest another time
		c.s.cfg.Logger.Warn("no space to compact", "error", err)
		return nil
	}
	return err
}

// domains are those whose chunks this segment knows all about.
func (s *Segment) domains() []chunk.Domain {
	var out []chunk.Domain
	seen := map[chunk.ID]bool{}
	for _, b := range s.allBuckets() {
		if tag := b.domain.Tag(); !seen[tag] {
			seen[tag] = true
			out = append(out, b.domain)
		}
	}
	return out
}

// CollectStatus says what collections have done, and whether one runs.
func (s *Segment) CollectStatus(ctx context.Context) (CollectStatus, error) {
	kept, err := s.sharedWith(ctx)
	if err != nil {
		return CollectStatus{}, err
	}
	k := &s.collects
	k.mu.Lock()
	st := CollectStatus{Last: k.last, Kept: kept, Total: k.total, Every: s.cfg.CollectEvery}
	if k.now != nil {
		now := *k.now
		st.Running = &now
	}
	if k.failed != nil {
		st.Failed = k.failed.Error()
	}
	k.mu.Unlock()
	st.Writers = s.sparing.lists.Open()
	if st.Last == nil {
		st.Last, err = s.lastCollection(ctx)
	}
	return st, err
}

// collecting collects now and then.
func (s *Segment) collecting(ctx context.Context) {
	every := s.cfg.CollectEvery
	if every <= 0 || s.cfg.Sweeper == nil {
		return
	}
	p := s.pressure()
	if last, err := s.lastCollection(ctx); err == nil && last != nil && last.Ended.Before(p.ended) {
		p.ended = last.Ended // however short a segment runs, it collects
	}
	look := time.NewTicker(min(every, collectLook))
	defer look.Stop()
	seen := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.failure.ch:
			return
		case <-look.C:
		}
		stored, listed, scarce := s.usage()
		why := p.due(s.cfg.Clock(), every, stored, listed, scarce)
		if why == "" || s.LogEnd() == seen && !s.keepsHistory() { // nothing was written, nor is anything forgotten, since the last one ended
			continue
		}
		r, err := s.Collect(ctx, CollectOptions{Compaction: chunk.Compaction{Rate: s.cfg.CollectRate}})
		p = s.pressure()
		switch {
		case err == nil:
			if len(r.Kept) > 0 && s.cfg.Census != nil { // else it was counted with the collection
				if _, err := s.CountSpace(ctx, SpaceOptions{}); err != nil && ctx.Err() == nil {
					s.cfg.Logger.Warn("what buckets take is not counted", "error", err)
				}
			}
			seen = s.LogEnd()
			s.cfg.Logger.Info("chunks were collected", "because", why, "gone", r.Gone.Chunks, "bytes", r.Gone.Bytes, "freed", r.Compacted.Freed, "kept for", r.Kept)
		case ctx.Err() == nil && !errors.Is(err, ErrCollecting):
			s.cfg.Logger.Warn("chunks are not collected, trying again", "error", err)
		}
	}
}

// pressure is what the next collections are measured by, as of now.
func (s *Segment) pressure() pressure {
	stored, listed, _ := s.usage()
	return pressure{s.cfg.Clock(), stored, listed}
}

// usage are the bytes of durable chunks and of objects that buckets list, and whether room is short.
func (s *Segment) usage() (stored, listed int64, scarce bool) {
	if s.cfg.Usage != nil {
		stored, scarce = s.cfg.Usage()
	}
	for _, b := range s.allBuckets() {
		if b.waits() == nil && !b.gone() {
			listed += b.Stats().Bytes
		}
	}
	return stored, listed, scarce
}

// keepsHistory says whether states are remembered that keep something, so that there is something to collect when they are forgotten.
func (s *Segment) keepsHistory() bool {
	s.collects.mu.Lock()
	defer s.collects.mu.Unlock()
	last := s.collects.last
	return last == nil || slices.ContainsFunc(last.History, func(k KeptHistory) bool { return k.Bytes > 0 })
}
