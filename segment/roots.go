package segment

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// rootSet is what a segment's chunks are reached from, as of one position of its log.
type rootSet struct {
	roots []heldRoot
	overs []heldOverlay
}

// heldRoot is a state of a bucket, and why it is kept.
type heldRoot struct {
	why string
	b   *Bucket
	n   *base

	past past
}

// past is a state that is remembered, of when, and until when.
type past struct {
	kept  *KeptHistory // of its bucket; nil for what is no such state
	at    HLC
	until time.Time
}

// heldOverlay is what records since a base made of keys, and the records: those too that later ones have undone, for a fold that is under way may not have
// seen that yet.
type heldOverlay struct {
	why     string
	b       *Bucket
	overlay *overlay
	records []tailRecord
}

// stateRoot is why the bases that states name are kept.
const stateRoot = "state that a start begins from"

func (r *rootSet) add(why string, b *Bucket, n *base) {
	if !n.heads.IsZero() || !n.history.IsZero() || !n.id.IsZero() {
		r.roots = append(r.roots, heldRoot{why: why, b: b, n: n})
	}
}

// roots are all there are now but for those that documents of the local bucket name, which whoever goes through that finds.
func (s *Segment) roots() (*rootSet, error) {
	r := &rootSet{}
	if err := s.rootsNow(r); err != nil {
		return nil, err
	}
	if err := s.rootsOfStates(r); err != nil {
		return nil, err
	}
	bases, frozen := s.sparing.held()
	for _, n := range bases {
		b := s.bucket(n.of)
		if b != nil && b.waits() == nil && (!b.isPast() || !b.standsOn(n)) {
			r.add("in use", b, n)
		}
	}
	for _, b := range frozen {
		r.overs = append(r.overs, heldOverlay{"in use", b, b.snapshot().overlay, nil})
	}
	return r, nil
}

// rootsNow are those of one log position.
func (s *Segment) rootsNow(r *rootSet) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	var failed error
	keep := func(why string, d *snapshotDoc) {
		if b := s.bucket(d.bucket); b != nil && len(d.root) > 0 && s.hasSnapshot(d.id) {
			n, err := b.newBase(0, foldItem{root: d.root, stats: d.stats})
			if err != nil {
				failed = errors.Join(failed, err)
				return
			}
			r.add(why, b, n)
		}
	}
	for _, b := range s.allBuckets() {
		if b.isPast() || b.waits() != nil {
			continue
		}
		b.rootsNow(r)
		if d := b.doc.Load().beginning(); d != nil {
			keep("beginning of the bucket", d)
		}
		for _, d := range s.names.snapshotsOf(b.id) {
			keep("snapshot "+d.name, d)
		}
	}
	for _, d := range s.bases() {
		keep("base of the next merge", d.kept())
	}
	return failed
}

// rootsNow are those of the bucket as it is now, and of its seals.
func (b *Bucket) rootsNow(r *rootSet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.add("current state", b, b.base)
	r.overs = append(r.overs, heldOverlay{"current state", b, b.overlay.Copy(), b.tail.records})
	for _, q := range b.seals {
		why := "snapshot " + q.doc.name
		r.add(why, b, q.base)
		r.overs = append(r.overs, heldOverlay{why, b, q.overlay.Copy(), nil})
	}
}

// isPast says of a deleted bucket that nothing of it is read any more, at a start neither.
func (b *Bucket) isPast() bool {
	if !b.gone() {
		return false
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.tail.records) == 0 && len(b.seals) == 0 && b.broken == nil
}

// standsOn says whether n is the bucket's base as it is now.
func (b *Bucket) standsOn(n *base) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.base.here == n
}

// rootsOfStates are those that a start begins from: from the newest state that is whole.
func (s *Segment) rootsOfStates(r *rootSet) error {
	files, err := s.stateFiles()
	if err != nil {
		return err
	}
	for _, name := range files {
		st, err := s.readState(filepath.Join(s.cfg.Dir, name))
		if errors.Is(err, ErrDamaged) { // no start begins from that
			continue
		}
		if err != nil {
			return err
		}
		for _, bs := range st.buckets {
			b := s.bucket(bs.bucket)
			if b == nil || b.waits() != nil || bs.clean && b.isPast() {
				continue
			}
			n, err := b.newBase(bs.prev, bs.foldItem)
			if err != nil {
				return err
			}
			r.add(stateRoot, b, n)
		}
	}
	return nil
}

// renewStates makes both states that are kept such that name little that is of the past, behind [Segment.foldEach]: the state of a bucket as of its last fold.
func (s *Segment) renewStates(ctx context.Context) error {
	for range statesKept {
		if err := s.checkpoint(ctx); err != nil {
			return err
		}
		if err := s.noteCollection(ctx, &CollectReport{Began: s.cfg.Clock()}); err != nil { // so that the next state is another
			return err
		}
	}
	return nil
}

// foldEach folds what can be folded. A bucket that cannot keeps what it has.
func (s *Segment) foldEach(ctx context.Context) error {
	for _, b := range s.allBuckets() {
		if b.waits() != nil || b.Err() != nil {
			continue
		}
		if _, err := b.Fold(ctx); err != nil {
			s.cfg.Logger.Warn("a bucket is not folded before chunks are collected", "bucket", b.id, "error", err)
		}
		if err := errors.Join(ctx.Err(), s.failure.get()); err != nil {
			return fmt.Errorf("fold before chunks are collected: %w", err)
		}
	}
	s.relieved(nil)
	return nil
}
