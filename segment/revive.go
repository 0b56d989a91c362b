package segment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/edgefs/edgefs/internal/journal"
)

const (
	reviveFirst = time.Second // after a bucket was broken off
	reviveMost  = time.Minute // between later attempts
)

// reviving brings buckets back that were broken off, once what they lack can be read again: a peer has it, or the disk.
func (s *Segment) reviving(ctx context.Context) {
	wait := reviveFirst
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.failure.ch:
			return
		case <-s.broke:
			wait = reviveFirst
		case <-t.C:
			wait = min(2*wait, reviveMost)
		}
		for _, b := range s.allBuckets() {
			if b.Err() == nil {
				continue
			}
			if err := s.revive(ctx, b); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Warn("a bucket stays unavailable, trying again", "bucket", b.id, "error", err)
			}
		}
		t.Reset(wait)
	}
}

// revive makes a broken bucket anew from its base and the log. Most of the log is applied aside, with what peers have; only what came
// meanwhile holds up the segment.
func (s *Segment) revive(ctx context.Context, b *Bucket) error {
	b.fold.Lock()
	defer b.fold.Unlock()
	if err := b.rootBranch(ctx); err != nil {
		return err
	}
	b.mu.RLock()
	n, from, broken := b.base, max(b.base.covers, b.settled)+1, b.broken
	b.mu.RUnlock()
	if broken == nil {
		return nil
	}
	life := s.inc.Load()
	twin := newBucket(s, b.id, b.doc.Load())
	twin.setBase(n)
	twin.patient = true
	from, err := s.relive(ctx, twin, from, s.LogEnd()-1)
	if err == nil {
		err = s.replace(ctx, b, twin, life, from)
	}
	if err == nil {
		err = s.commit(&entry{merges: []mergeItem{b.mark()}})
	}
	if err != nil {
		return fmt.Errorf("revive bucket %v: %w", b.id, err)
	}
	s.relieved(nil) // of what it holds now
	s.cfg.Logger.Info("a bucket is available again", "bucket", b.id)
	return nil
}

// replace makes the twin's state the bucket's, once what came since is applied to it too. It holds up the segment.
func (s *Segment) replace(ctx context.Context, b, twin *Bucket, life uint32, from uint64) error {
	b.seq.Lock()
	defer b.seq.Unlock()
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.inc.Load() != life { // what the twin calls its own is of the life before
		return fmt.Errorf("a new life began: %w", ErrUnavailable)
	}
	twin.patient = false
	if _, err := s.relive(ctx, twin, from, s.LogEnd()-1); err != nil {
		return err
	}
	b.takeOver(twin)
	s.news.lost(b.id)
	return nil
}

// mark is a merge of nothing, for the feeds: whoever was told of less, while the bucket was broken, and passed over the records then, syncs.
func (b *Bucket) mark() mergeItem {
	return mergeItem{foldItem: foldItem{bucket: b.id, prev: math.MaxUint64}, theirs: b.Seen(), peer: b.s.cfg.ID}
}

// relive applies the bucket's part of the log from a position up to another, and returns the one behind it.
func (s *Segment) relive(ctx context.Context, b *Bucket, from, last uint64) (uint64, error) {
	for from <= last {
		next, err := s.log.Read(ctx, from, markEvery, func(r journal.Record) error {
			if r.Pos > last {
				return errStop
			}
			e, err := parseEntry(r.Data)
			if err != nil {
				return err
			}
			return b.relive(ctx, r.Pos, e)
		})
		if err != nil && !errors.Is(err, errStop) {
			return from, err
		}
		from = next
	}
	return from, nil
}

// relive applies what an entry says of the bucket, as [Segment.applyEntry] would have. The bucket is nobody else's.
func (b *Bucket) relive(ctx context.Context, pos uint64, e *entry) error {
	for _, m := range e.merges {
		if m.bucket != b.id || pos <= b.base.at {
			continue
		}
		if err := b.applyMerge(ctx, pos, m); err != nil {
			return err
		}
	}
	for i := range e.writes {
		w := &e.writes[i]
		if w.bucket != b.id || pos <= b.base.covers {
			continue
		}
		if err := b.apply(ctx, pos, w.record, nil, w.raw); err != nil {
			return err
		}
	}
	for _, f := range e.folds {
		if f.bucket != b.id || pos <= b.base.at {
			continue
		}
		if err := b.applyFold(pos, f); err != nil {
			return err
		}
	}
	for i := range e.seals {
		if e.seals[i].bucket == b.id {
			b.applySeal(pos, &e.seals[i])
		}
	}
	return nil
}

// takeOver makes another's state the bucket's. The caller holds seq, and keeps the log's goroutine out.
func (b *Bucket) takeOver(o *Bucket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o.tail.gone = b.tail.seq() + 1
	b.base, b.overlay, b.layers, b.tail, b.others, b.applied = o.base, o.overlay, o.layers, o.tail, o.others, o.applied
	b.settings.Store(o.settings.Load())
	b.since, b.done, b.stats, b.cost, b.renamed, b.last = o.since, o.done, o.stats, o.cost, o.renamed, max(b.last, o.last)
	b.next = max(b.next, b.applied)
	b.takeSeals(o.seals)
	b.broken = nil
}
