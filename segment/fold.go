package segment

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment/tree"
)

// Fold writes what the records since the last fold did into the bucket's trees and names the new root: what two segments compare. Reading
// and writing go on meanwhile. The root of a bucket that was never written is zero.
func (b *Bucket) Fold(ctx context.Context) (chunk.ID, error) {
	b.fold.Lock()
	defer b.fold.Unlock()
	n, err := b.foldLocked(ctx)
	if err != nil {
		return chunk.ID{}, fmt.Errorf("fold bucket %v: %w", b.id, err)
	}
	return n.id, nil
}

// sealed is a bucket at a position of the log.
type sealed struct {
	base    *base
	overlay *overlay
	covers  uint64
	root    root // seen, settings and requests
	stats   counters
}

// now is the bucket as it is. The caller holds mu.
func (b *Bucket) now() sealed {
	return sealed{b.base, b.overlay.Copy(), b.last, root{seen: b.seenLocked(), settings: *b.settings.Load(), done: b.done}, b.stats}
}

// folded says whether the base is all there is.
func (s *sealed) folded() bool {
	return s.overlay.Len() == 0 && s.root.seen.Equal(s.base.seen) && s.root.settings == s.base.root.settings
}

// foldLocked folds until all that was applied when it began is in the base. The caller holds the bucket's fold lock.
func (b *Bucket) foldLocked(ctx context.Context) (*base, error) {
	return b.foldReading(ctx, func(n *base) *base { return n })
}

// foldReading folds with the trees that from picks.
func (b *Bucket) foldReading(ctx context.Context, from func(*base) *base) (*base, error) {
	if err := b.Err(); err != nil {
		return nil, err
	}
	if b.frozen != "" {
		return b.frozenBase(ctx)
	}
	if err := b.rootBranch(ctx); err != nil {
		return nil, err
	}
	for target, first := uint64(0), true; ; first = false {
		s, last := b.toFold()
		if first {
			target = last
		}
		n, err := b.foldOne(ctx, s, from(s.base))
		if err != nil || len(s.seals) == 0 || s.covers >= target {
			return n, err
		}
	}
}

// foldOne makes the root of what is to be folded, and commits it: as the bucket's base, where it was made from that, and as the snapshots' of its seals.
func (b *Bucket) foldOne(ctx context.Context, s toFold, base *base) (*base, error) {
	defer b.s.weave()()
	if _, err := b.Logical(ctx); err != nil {
		b.s.cfg.Logger.Warn("how much a bucket holds is not known before the next start", "bucket", b.id, "error", err)
	}
	e := &entry{}
	root := s.base.bytes
	if !s.folded() {
		var err error
		if root, err = b.makeRoot(ctx, base, s.sealed); err != nil {
			return nil, err
		}
		if !s.aside {
			e.folds = []foldItem{{bucket: b.id, prev: s.base.at, covers: s.covers, root: root, stats: s.stats}}
		}
	}
	moves := len(e.folds) > 0
	var err error
	switch {
	case len(s.seals) > 0:
		err = b.endSeals(ctx, e, s.seals, root)
	case moves:
		err = b.s.commit(e)
	}
	if err != nil || !moves {
		return s.base, err
	}
	return b.currentBase(s.base)
}

// makeRoot writes the trees of what is sealed, and their root: durable when it returns.
func (b *Bucket) makeRoot(ctx context.Context, base *base, s sealed) ([]byte, error) {
	r, err := b.makeTrees(ctx, base, s)
	if err != nil {
		return nil, err
	}
	return b.putRoot(ctx, r)
}

// makeTrees is makeRoot without the root chunk.
func (b *Bucket) makeTrees(ctx context.Context, base *base, s sealed) (root, error) {
	heads, err := base.headTree.Apply(ctx, s.headEdits())
	if err != nil {
		return root{}, err
	}
	history, err := base.historyTree.Apply(ctx, s.historyEdits())
	if err != nil {
		return root{}, err
	}
	s.root.heads, s.root.history = heads.Root(), history.Root()
	return s.root, nil
}

// currentBase is the base after a fold or merge from old was committed, which nothing but a failed segment can have refused.
func (b *Bucket) currentBase(old *base) (*base, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.base == old {
		return nil, fmt.Errorf("bucket %v: the log refused a fold: %w", b.id, ErrUnavailable)
	}
	return b.base, nil
}

// putRoot writes a root chunk: durable before any entry names it.
func (b *Bucket) putRoot(ctx context.Context, r root) ([]byte, error) {
	raw := r.appendTo(nil)
	return raw, b.stores.Meta.Put(ctx, []chunk.Chunk{b.domain.Make(raw)})
}

// headEdits are the heads of the keys touched, region by region: a key that moved leaves the one and enters the other.
func (s sealed) headEdits() iter.Seq2[tree.Edit, error] {
	return func(yield func(tree.Edit, error) bool) {
		for _, region := range []byte{regionShown, regionHidden} {
			more := true
			s.overlay.Scan(func(key string, o *overlayKey) bool {
				more = yield(o.headEdit(region, key), nil)
				return more
			})
			if !more {
				return
			}
		}
	}
}

func (o *overlayKey) headEdit(region byte, key string) tree.Edit {
	e := tree.Edit{Key: headKey(region, key), Delete: true}
	if o.in(region) {
		e.Delete, e.Value, e.Weight = false, o.data[:o.headLen:o.headLen], o.size
	}
	return e
}

func headEdit(region byte, key string, h head) tree.Edit {
	e := tree.Edit{Key: headKey(region, key), Delete: true}
	if h.count > 0 && h.region() == region {
		e.Delete, e.Value = false, h.appendTo(nil)
		if v := h.content(); v != nil {
			e.Weight = v.Size()
		}
	}
	return e
}

func (s sealed) historyEdits() iter.Seq2[tree.Edit, error] {
	return func(yield func(tree.Edit, error) bool) {
		s.overlay.Scan(func(key string, o *overlayKey) bool {
			d, err := o.delta(key)
			if err != nil {
				return yield(tree.Edit{}, err)
			}
			w, err := d.from(key, nil)
			for ; err == nil && w.ok; err = w.next() {
				if !yield(historyEdit(key, w.v.id, w.v.now), nil) {
					return false
				}
			}
			return err == nil || yield(tree.Edit{}, err)
		})
	}
}

func historyEdit(key string, id VersionID, now *Version) tree.Edit {
	e := tree.Edit{Key: historyKey(key, id), Delete: now == nil}
	if now != nil {
		e.Value, e.Weight = now.appendStored(nil), now.Size()
	}
	return e
}

// applyFold makes a fold the bucket's base, unless the base has changed since: comparing roots would take a state for another that was
// the same before and after. The caller holds mu.
func (b *Bucket) applyFold(pos uint64, f foldItem) error {
	if err := b.takeRoot(f); err != nil {
		return err
	}
	if f.prev != b.base.at {
		return nil
	}
	n, err := b.newBase(pos, f)
	if err != nil {
		return err
	}
	b.rebase(n)
	b.s.sparing.leave(b.base)
	b.base = n
	if b.broken != nil { // it is revived from there
		return nil
	}
	overlay, err := b.shed(f.covers)
	if err != nil {
		return err
	}
	b.dropTail(f.covers)
	b.overlay = overlay
	return nil
}

// touched is what the overlay has of the records behind a position: in a replay.
func (b *Bucket) touched(behind uint64) (*overlay, error) {
	out := newOverlay()
	for _, t := range b.tail.records {
		if t.pos <= behind {
			continue
		}
		r, err := parseRecord(t.raw)
		if err != nil {
			return nil, err
		}
		for i := range r.effects {
			key := r.effects[i].key
			if o, ok := b.overlay.Get(key); ok {
				out.Set(key, o)
			}
		}
		if r.expands() { // what it did not touch there is as it is in the base, too
			b.below(r.rename.src, out.Set)
			b.below(r.rename.dst, out.Set)
		}
	}
	return out, nil
}

// below goes through the overlay's keys that begin with prefix.
func (b *Bucket) below(prefix string, visit func(string, *overlayKey) (*overlayKey, bool)) {
	b.overlay.Ascend(prefix, func(key string, o *overlayKey) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		visit(key, o)
		return true
	})
}

// dropTail forgets the records that a fold covers: all but those that came while it was made, so that what remains to be done, while nobody
// can read or write, is little.
func (b *Bucket) dropTail(covers uint64) {
	all := b.tail.records
	from := sort.Search(len(all), func(i int) bool { return all[i].pos > covers })
	kept := slices.Clone(all[from:])
	if len(all) > 0 {
		b.cost = b.cost * int64(len(kept)) / int64(len(all))
	}
	b.tail.records = kept
	if len(kept) == 0 {
		b.tail.block = nil
	}
	b.tail.gone += uint64(from)
	b.renamed = b.tail.weight()
}

// applyMerge makes a merge the bucket's base and the records since apply once more, on top of it: a state is a function of the set of
// writes seen, so their order does not matter. The caller holds mu.
func (b *Bucket) applyMerge(ctx context.Context, pos uint64, m mergeItem) error {
	if m.prev != b.base.at {
		return nil
	}
	n, err := b.newBase(pos, m.foldItem)
	if err != nil {
		return err
	}
	b.s.sparing.leave(b.base)
	if b.broken != nil {
		b.base = n
		return nil
	}
	records := b.tail.records
	b.setBase(n)
	for _, t := range records {
		if t.pos > n.covers {
			r, err := parseRecord(t.raw)
			if err == nil {
				err = b.apply(ctx, t.pos, r, nil, t.raw)
			}
			if err != nil {
				return err
			}
		}
	}
	b.last = pos
	return nil
}

// merging makes the state that two segments' knowledge comes to together, of a's trees (local) and theirs (perhaps remote). It takes in
// theirs by its history alone and works the heads out, so a peer's heads are never believed.
func (b *Bucket) merging(ctx context.Context, a *base, theirs root, remote *tree.Store) (_ root, _ counters, newest HLC, _ error) {
	theirTree := b.tree(remote, theirs.history)
	theirs.settings = b.begun(theirs.settings)
	settings := a.root.settings.newer(theirs.settings)
	done := a.done.merged(theirs.done, a.seen, theirs.seen)
	if err := done.check(); err != nil {
		return root{}, counters{}, 0, err
	}
	history, err := a.historyTree.Apply(ctx, b.mergeEdits(ctx, a, theirs.seen, settings.by.Epoch, theirTree, &newest))
	if err != nil {
		return root{}, counters{}, 0, fmt.Errorf("merge history: %w", err)
	}
	heads, stats, err := b.headsOf(ctx, a, history)
	if err != nil {
		return root{}, counters{}, 0, fmt.Errorf("merge heads: %w", err)
	}
	return root{heads.Root(), history.Root(), a.seen.Join(theirs.seen), settings, done}, stats, max(newest, theirs.settings.by.HLC), nil
}

// headsOf makes the heads and counters of a history out of those of a, at the cost of what differs.
func (b *Bucket) headsOf(ctx context.Context, a *base, history tree.Tree) (tree.Tree, counters, error) {
	stats := a.stats
	heads, err := a.headTree.Apply(ctx, func(yield func(tree.Edit, error) bool) {
		for _, region := range []byte{regionShown, regionHidden} {
			moved := counters{}
			for e, err := range b.mergedHeads(ctx, a, history, region, &moved) {
				if !yield(e, err) || err != nil {
					return
				}
			}
			if region == regionShown {
				stats.sum(moved)
			}
		}
	})
	return heads, stats, err
}

// mergeEdits is the union of what both hold, less what one has seen and does not hold. No version is of a later epoch than the settings.
func (b *Bucket) mergeEdits(ctx context.Context, a *base, seen Vector, epoch Epoch, theirs tree.Tree, newest *HLC) iter.Seq2[tree.Edit, error] {
	return func(yield func(tree.Edit, error) bool) {
		bound := b.s.clock.bound()
		for c, err := range tree.Diff(ctx, a.historyTree, theirs) {
			if err != nil {
				yield(tree.Edit{}, err)
				return
			}
			key, id, err := parseHistoryKey(c.Key)
			if err == nil && c.A == nil && id.HLC > bound { // what comes in; what is here was believed before
				err = fmt.Errorf("version of %q at %v: %w", key, id.Time(), ErrClockAhead)
			}
			if err == nil && c.A == nil && id.Epoch.Compare(epoch) > 0 {
				err = fmt.Errorf("version of %q in epoch %d, the bucket's is %d: %w", key, id.Epoch.N, epoch.N, ErrRefused)
			}
			if c.B != nil {
				*newest = max(*newest, id.HLC)
			}
			var mine, other *Version
			if err == nil && c.A != nil {
				mine, err = a.decodeVersion(key, id, c.A)
			}
			if err == nil && c.B != nil {
				other, err = a.decodeVersion(key, id, bytes.Clone(c.B))
			}
			if err == nil && other != nil {
				err = b.checkIncoming(key, other, seen, newest)
			}
			if err != nil {
				yield(tree.Edit{}, err)
				return
			}
			if !yield(historyEdit(key, id, mergeVersion(mine, other, a.seen, seen)), nil) {
				return
			}
		}
	}
}

// checkIncoming refuses a peer's version that no segment writes, or that says more than the peer has seen.
func (b *Bucket) checkIncoming(key string, other *Version, seen Vector, newest *HLC) error {
	if err := checkFederated(key, other); err != nil {
		return err
	}
	for _, d := range append(other.Holds[:len(other.Holds):len(other.Holds)], other.Dot) {
		if !seen.Has(d) {
			return fmt.Errorf("version of %q is by %v, which its peer has not seen: %w", key, d, ErrRefused)
		}
	}
	for _, g := range other.registers {
		*newest = max(*newest, g.by.HLC)
		switch {
		case g.by.HLC > b.s.clock.bound():
			return fmt.Errorf("attribute of %q at %v: %w", key, g.by.Time(), ErrClockAhead)
		case !g.by.IsZero() && (!seen.Has(g.by.Dot) || g.by.Compare(other.VersionID) <= 0):
			return fmt.Errorf("an attribute of %q is from %v, which its peer has not seen: %w", key, g.by.Dot, ErrRefused)
		}
	}
	return nil
}

// mergeVersion keeps a hold that both have, or that one has and the other has not seen; a version that is superseded to one is to both.
// mine or other may be nil: not held.
func mergeVersion(mine, other *Version, mySeen, otherSeen Vector) *Version {
	var mineHolds, otherHolds []Dot
	var out Version
	var locks []heldLock
	if other != nil {
		out, otherHolds, locks = *other, other.Holds, other.locks
	}
	superseded := out.Superseded
	if mine != nil {
		out, mineHolds = *mine, mine.Holds
		superseded = superseded || mine.Superseded
	}
	out.Superseded, out.Holds = superseded, nil
	for _, d := range mineHolds {
		if slices.Contains(otherHolds, d) || !otherSeen.Has(d) {
			out.Holds = withDot(out.Holds, d)
		}
	}
	for _, d := range otherHolds {
		if slices.Contains(mineHolds, d) || !mySeen.Has(d) {
			out.Holds = withDot(out.Holds, d)
		}
	}
	out.locks = locksOn(out.Holds, out.locks, locks)
	out.registers = gathered(out.Holds, slices.Concat(mine.spread(), other.spread()))
	return settled(&out)
}

// mergedHeads are the heads, in one region, of the keys whose history is not what it was.
func (b *Bucket) mergedHeads(ctx context.Context, a *base, history tree.Tree, region byte, moved *counters) iter.Seq2[tree.Edit, error] {
	return func(yield func(tree.Edit, error) bool) {
		merged := &base{historyTree: history}
		var key string
		var at *changing // the key's head; nil before the first
		emit := func() bool {
			now, err := at.done(func() (*Version, error) {
				for v, err := range merged.versions(ctx, key, nil) {
					return v, err
				}
				return nil, nil
			})
			moved.moved(at.was, now)
			return yield(headEdit(region, key, now), err) && err == nil
		}
		for c, err := range tree.Diff(ctx, a.historyTree, history) {
			k, ch, err := decodeChange(a, c, err)
			if err == nil && (at == nil || k != key) {
				if at != nil && !emit() {
					return
				}
				var was head
				was, err = a.headOf(ctx, k)
				key, at = k, was.changing()
			}
			if err != nil {
				yield(tree.Edit{}, err)
				return
			}
			at.takeNext(ch)
		}
		if at != nil {
			emit()
		}
	}
}

func decodeChange(a *base, c tree.Change, err error) (key string, ch change, _ error) {
	if err != nil {
		return "", ch, err
	}
	key, id, err := parseHistoryKey(c.Key)
	if err != nil {
		return "", ch, err
	}
	if c.A != nil {
		if ch.was, err = a.decodeVersion(key, id, c.A); err != nil {
			return "", ch, err
		}
	}
	if c.B != nil {
		ch.now, err = a.decodeVersion(key, id, c.B)
	}
	return key, ch, err
}

func (c *counters) sum(d counters) {
	c.objects += d.objects
	c.bytes += d.bytes
	c.versions += d.versions
	c.open += d.open
	c.twinned += d.twinned
}
