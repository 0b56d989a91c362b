package segment

import (
	"context"
	"iter"
	"sync"

	"github.com/edgefs/edgefs/segment/tree"
)

// frozenBases remembers what was made of snapshots' roots, some of them: whoever looks for a version asks each snapshot that may hold it.
type frozenBases struct {
	mu    sync.Mutex
	bases map[SnapshotID]*base
}

// maxFrozen bounds them, at about 2 KB each.
const maxFrozen = 1024

func (f *frozenBases) get(id SnapshotID) *base {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bases[id]
}

func (f *frozenBases) add(id SnapshotID, n *base) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bases == nil {
		f.bases = map[SnapshotID]*base{}
	}
	for old := range f.bases { // any: those who go through all in turn would never find the oldest again
		if len(f.bases) < maxFrozen {
			break
		}
		delete(f.bases, old)
	}
	f.bases[id] = n
}

// forget lets go of all: of those of snapshots that were deleted, too.
func (f *frozenBases) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.bases)
}

// frozenAt is the base of a snapshot that has a root.
func (b *Bucket) frozenAt(d *snapshotDoc) (*base, error) {
	if n := b.s.frozen.get(d.id); n != nil {
		return n, nil
	}
	f, err := b.freeze(d, d.name)
	if err != nil {
		return nil, err
	}
	b.s.frozen.add(d.id, f.base)
	return f.base, nil
}

// Kept is a version that only snapshots hold.
type Kept struct {
	Snapshot string // the first that has it, as listed
	Version  Version
}

// OnlyInSnapshots are the versions, but for delete markers, that snapshots of the bucket hold whose metadata is here, and not the bucket as it is now: once
// each, snapshot by snapshot and there in key order. It costs a fold, and then what differs from one snapshot to the next, whatever the bucket's size.
func (b *Bucket) OnlyInSnapshots(ctx context.Context) iter.Seq2[Kept, error] {
	return func(yield func(Kept, error) bool) {
		if err := b.onlyInSnapshots(ctx, yield); err != nil {
			yield(Kept{}, err)
		}
	}
}

func (b *Bucket) onlyInSnapshots(ctx context.Context, yield func(Kept, error) bool) error {
	if b.frozen != "" {
		return nil
	}
	if err := b.foldSeals(ctx); err != nil { // what has no root yet would be missed
		return err
	}
	all := b.shownSnapshots()
	if len(all) == 0 {
		return nil
	}
	now, err := b.foldNow(ctx)
	if err != nil {
		return err
	}
	before := []*base{now}
	for _, s := range all {
		if !b.s.hasSnapshot(s.doc.id) || len(s.doc.root) == 0 {
			continue
		}
		n, err := b.frozenAt(s.doc)
		if err != nil {
			return err
		}
		for v, err := range n.notIn(ctx, before) {
			if err != nil {
				return err
			}
			if !yield(Kept{s.name, *v}, nil) {
				return nil
			}
		}
		before = append(before, n)
	}
	return nil
}

// notIn are the versions that n holds and none of before, of which the last should be like it.
func (n *base) notIn(ctx context.Context, before []*base) iter.Seq2[*Version, error] {
	return func(yield func(*Version, error) bool) {
		last := len(before) - 1
		for c, err := range tree.Diff(ctx, before[last].historyTree, n.historyTree) {
			if err == nil && (c.A != nil || c.B == nil) {
				continue
			}
			var v *Version
			if err == nil {
				v, err = decodeNew(n, c)
			}
			if err == nil && v.Marker {
				continue
			}
			if err == nil {
				var held bool
				if held, err = heldByOne(ctx, before[:last], v); held {
					continue
				}
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func decodeNew(n *base, c tree.Change) (*Version, error) {
	key, id, err := parseHistoryKey(c.Key)
	if err != nil {
		return nil, err
	}
	return n.decodeVersion(key, id, c.B)
}

// heldByOne says whether one of the bases holds a version. What a base has not seen it does not hold, so few are asked.
func heldByOne(ctx context.Context, bases []*base, v *Version) (bool, error) {
	for _, n := range bases {
		if !n.seen.Has(v.Dot) {
			continue
		}
		if w, err := n.version(ctx, v.Key, v.VersionID); w != nil || err != nil {
			return w != nil, err
		}
	}
	return false, nil
}

// heldVersion looks a version up in the bucket as it is, and in its snapshots: what a peer may read.
func (b *Bucket) heldVersion(ctx context.Context, key string, id VersionID) (*Version, error) {
	if b.waits() != nil {
		return nil, nil
	}
	v, err := b.view(key).version(ctx, key, id)
	if v != nil || err != nil {
		return v, err
	}
	for _, d := range b.s.names.snapshotsOf(b.id) { // the oldest that has seen it is the likeliest to hold it
		if !b.s.hasSnapshot(d.id) {
			continue
		}
		n, err := b.frozenAt(d)
		if err != nil {
			return nil, err
		}
		if !n.seen.Has(id.Dot) {
			continue
		}
		if v, err := n.version(ctx, key, id); v != nil || err != nil {
			return v, err
		}
	}
	return nil, nil
}
