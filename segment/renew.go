package segment

import (
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/internal/journal"
	"github.com/edgefs/edgefs/segment/tree"
)

// Ailing are linked buckets of whose trees something was lost, or damaged, and not mended when it was needed. An [Segment.Adopt] of what a peer offers of
// such a bucket ends that, where it can be ended.
func (s *Segment) Ailing() []BucketID {
	var out []BucketID
	for _, b := range s.allBuckets() {
		if b.Linked() && b.ails() {
			out = append(out, b.id)
		}
	}
	return out
}

// Suspect says that a part of a bucket's trees could not be read here for somebody else.
func (s *Segment) Suspect(id BucketID) {
	if b := s.bucket(id); b != nil {
		b.ailing.Store(true)
	}
}

func (b *Bucket) ails() bool { return b.waits() == nil && (b.ailing.Load() || b.Err() != nil) }

// heal reads all of an ailing bucket's trees, which mends what peers have in the same places. Where that is not enough it takes the peer's state
// for the bucket's: what peers have is a function of the writes that they have seen, so one that has seen all that is in the base has all that was lost.
//
// anew says that it took that; else what the peer offers is still to be merged.
func (b *Bucket) heal(ctx context.Context, peer ID, o Offer, theirs root, remote *tree.Store) (anew bool, err error) {
	b.mu.RLock()
	old := b.base
	b.mu.RUnlock()
	b.ailing.Store(false) // what is found from now on counts anew
	lost := b.scrub(ctx, old)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if lost == nil {
		return false, b.s.revive(ctx, b)
	}
	b.ailing.Store(true)
	if err := b.renew(ctx, peer, o, old, theirs, remote); err != nil {
		return false, fmt.Errorf("%w, and cannot be taken anew: %w", lost, err)
	}
	b.s.cfg.Logger.Warn("a damaged bucket was taken anew from a peer", "bucket", b.id, "peer", peer, "error", lost)
	b.ailing.Store(false)
	return true, b.s.revive(ctx, b)
}

// Scrub reads all of the bucket's trees, as of the last fold, from the medium: what is lost or damaged, and what peers have of it in the same places, is
// mended. The error is of what is not.
func (b *Bucket) Scrub(ctx context.Context) error {
	if err := b.waits(); err != nil {
		return err
	}
	b.mu.RLock()
	n := b.base
	b.mu.RUnlock()
	if err := b.scrub(ctx, n); err != nil {
		return fmt.Errorf("scrub bucket %v: %w", b.id, err)
	}
	return nil
}

// scrub reads a base's trees from the medium.
func (b *Bucket) scrub(ctx context.Context, n *base) error {
	heads := b.tree(b.treeStore(HeadsTree, nil), n.heads)
	history := b.tree(b.treeStore(HistoryTree, nil), n.history)
	return errors.Join(heads.Scrub(ctx), history.Scrub(ctx))
}

// renew makes the bucket's base what a peer offers, if that is all of the old one and perhaps more. The records since apply on top of it, as after a
// merge. The heads are worked out from the history, as in a merge.
func (b *Bucket) renew(ctx context.Context, peer ID, o Offer, old *base, theirs root, remote *tree.Store) error {
	switch {
	case !theirs.seen.Covers(old.seen):
		return fmt.Errorf("the peer has not seen all that is in it: %w", ErrUnavailable)
	case theirs.seen.Equal(old.seen) && o.Root != old.id:
		return fmt.Errorf("roots %v and %v: %w", old.id, o.Root, ErrQuarantine)
	}
	none := &base{root: root{seen: Vector{}, settings: old.root.settings}}
	b.plant(none)
	anew, stats, newest, err := b.merging(ctx, none, theirs, remote)
	if err != nil {
		return err
	}
	b.intake.RLock() // no rename is logged between the look and the merge
	defer b.intake.RUnlock()
	b.fold.Lock()
	defer b.fold.Unlock()
	if err := b.repeatable(ctx, max(old.covers, b.settledAt())+1, theirs.seen); err != nil {
		return err
	}
	raw, err := b.putRoot(ctx, anew)
	if err != nil {
		return err
	}
	f := foldItem{bucket: b.id, prev: old.at, covers: old.covers, root: raw, stats: stats}
	if err := b.s.commit(&entry{merges: []mergeItem{{f, theirs.seen, peer, newest}}}); err != nil {
		return err
	}
	_, err = b.currentBase(old) // the log refuses it when there is another base by now
	return err
}

func (b *Bucket) settledAt() uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.settled
}

// repeatable fails where the log has, from a position on, a rename of a directory that is not in seen: what it moves was there in the state that it was
// logged in, and need not be in another.
func (b *Bucket) repeatable(ctx context.Context, from uint64, seen Vector) error {
	last := b.s.LogEnd() - 1
	for from <= last {
		next, err := b.s.log.Read(ctx, from, markEvery, func(r journal.Record) error {
			if r.Pos > last {
				return errStop
			}
			e, err := parseEntry(r.Data)
			if err != nil {
				return err
			}
			for _, w := range e.writes {
				if w.bucket == b.id && w.record.expands() && !seen.Has(w.record.last()) {
					return fmt.Errorf("the peer has not seen the rename %v: %w", w.record.Dot, ErrUnavailable)
				}
			}
			return nil
		})
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}
