package segment

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// A merge of a branch and its parent, in either direction, leaves a document: the root of what was merged, as of which both know the same. It is
// the base of the next merge. What a merge reads of its base is metadata alone, which is brought here as that of a snapshot.

// docMerge + branch's id + "/" + merge's id -> mergeDoc. They never change and stay as the branch's story; the newest counts.
const docMerge = "merge/"

type mergeDoc struct {
	branch  BucketID
	id      SnapshotID
	from    BucketID // what was merged: the branch, or its parent
	into    BucketID // the other
	created HLC
	by      ID
	root    []byte // of from
	stats   counters
	seen    Vector // of from, in root
	after   Vector // what had been seen of into when it had all of that
	merged  Merged
}

const mergeDocFormat = 1

func (d *mergeDoc) key() string { return docMerge + d.branch.String() + "/" + d.id.String() }

func (d *mergeDoc) appendTo(b []byte) []byte {
	b = putUint(b, 1, mergeDocFormat)
	b = putMessage(b, 2, d.branch[:])
	b = putMessage(b, 3, d.id[:])
	b = putMessage(b, 4, d.from[:])
	b = putMessage(b, 5, d.into[:])
	b = putFixed(b, 6, uint64(d.created))
	b = putFixed(b, 7, uint64(d.by))
	b = putBytes(b, 8, d.root)
	b = putSome(b, 9, d.stats.appendTo)
	b = putSome(b, 10, d.after.appendTo)
	return putSome(b, 11, d.merged.appendTo)
}

func parseMergeDoc(b []byte) (*mergeDoc, error) {
	d := &mergeDoc{seen: Vector{}, after: Vector{}}
	format := uint64(0)
	err := eachField("merge document", b, func(f field) (err error) {
		switch f.num {
		case 1:
			format = f.n
		case 2:
			d.branch, err = bucketIDOf(f.b)
		case 3:
			d.id, err = snapshotIDOf(f.b)
		case 4:
			d.from, err = bucketIDOf(f.b)
		case 5:
			d.into, err = bucketIDOf(f.b)
		case 6:
			d.created = HLC(f.n)
		case 7:
			d.by = ID(f.n)
		case 8:
			d.root = f.b
			var r root
			r, err = parseRoot(f.b)
			d.seen = r.seen
		case 9:
			d.stats, err = parseCounters(f.b)
		case 10:
			d.after, err = parseVector(f.b)
		case 11:
			d.merged, err = parseMerged(f.b)
		default:
			return fmt.Errorf("merge document field %d: %w", f.num, ErrForeign)
		}
		return err
	})
	if err == nil && (format != mergeDocFormat || d.from == d.into || d.branch != d.from && d.branch != d.into) {
		err = fmt.Errorf("merge document format %d of %v: %w", format, d.branch, ErrForeign)
	}
	return d, err
}

// kept is the document's root as if it were a snapshot of what was merged.
func (d *mergeDoc) kept() *snapshotDoc {
	return &snapshotDoc{bucket: d.from, id: d.id, name: "merged", created: d.created, by: d.by, root: d.root, stats: d.stats}
}

// takeMerge takes a merge's document in. The caller holds mu.
func (n *names) takeMerge(rest string, v *Version) error {
	if v == nil {
		return nil
	}
	d, err := parseMergeDoc(v.Data)
	if err != nil {
		return err
	}
	branch := n.docs[d.branch]
	if d.key() != docMerge+rest || branch == nil || branch.origin == nil || d.from != branch.origin.parent && d.into != branch.origin.parent {
		return fmt.Errorf("merge %v of branch %v: %w", d.id, d.branch, ErrForeign)
	}
	if slices.ContainsFunc(n.merges[d.branch], func(o *mergeDoc) bool { return o.id == d.id }) {
		return nil
	}
	all := append(slices.Clone(n.merges[d.branch]), d)
	slices.SortFunc(all, func(x, y *mergeDoc) int {
		return cmp.Or(cmp.Compare(x.created, y.created), bytes.Compare(x.id[:], y.id[:]))
	})
	n.merges[d.branch] = all
	n.tellSnapshots()
	return nil
}

// mergesOf are those of a branch, oldest first, to be read only.
func (n *names) mergesOf(branch BucketID) []*mergeDoc {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.merges[branch]
}

// bases are what the next merges of branches begin from.
func (s *Segment) bases() []*mergeDoc {
	s.names.mu.RLock()
	var out []*mergeDoc
	for _, all := range s.names.merges {
		out = append(out, all[len(all)-1])
	}
	s.names.mu.RUnlock()
	out = slices.DeleteFunc(out, func(d *mergeDoc) bool {
		branch := s.bucket(d.branch)
		return branch == nil || branch.gone() || s.bucket(d.from) == nil
	})
	slices.SortFunc(out, func(x, y *mergeDoc) int { return strings.Compare(x.key(), y.key()) })
	return out
}

// baseNamed is the base that goes by a snapshot's name; nil when there is none.
func (s *Segment) baseNamed(r SnapshotRef) *mergeDoc {
	for _, d := range s.bases() {
		if d.from == r.Bucket && d.id == r.ID {
			return d
		}
	}
	return nil
}

// family tells a branch and its parent apart.
func family(a, b *Bucket) (branch *Bucket, err error) {
	for _, pair := range [][2]*Bucket{{a, b}, {b, a}} {
		if o := pair[0].doc.Load().origin; o != nil && o.parent == pair[1].id && pair[0].kin(pair[1]) {
			return pair[0], nil
		}
	}
	way := ""
	if x, y := a.doc.Load().origin, b.doc.Load().origin; a.id != b.id && x != nil && y != nil && x.parent == y.parent {
		if parent := a.s.bucket(x.parent); parent != nil && !parent.gone() {
			way = fmt.Sprintf(", merge one into %q, and that into the other", parent.doc.Load().name)
		}
	}
	return nil, fmt.Errorf("neither of %q and %q is a branch of the other%s: %w", a.doc.Load().name, b.doc.Load().name, way, ErrInvalidArgument)
}

// mergeBase is the state as of which a branch and its parent know the same. It fails with ErrUnavailable while what the last merge did, or its
// base, is on its way: an older base would take what was merged for what one of them has changed. With redo it is that of the last merge of which
// all is here, or the beginning: what later ones did counts as the part that a merge has done which ended early.
func (b *Bucket) mergeBase(ctx context.Context, redo bool) (*Bucket, error) {
	all := b.s.names.mergesOf(b.id)
	for _, d := range slices.Backward(all) {
		from, err := b.merged(d)
		if err == nil {
			return from.freeze(d.kept(), "merged")
		}
		if !redo {
			return nil, err
		}
	}
	if err := b.Err(); err != nil {
		return nil, err
	}
	if err := b.rootBranch(ctx); err != nil {
		return nil, err
	}
	return b.freeze(b.doc.Load().beginning(), "beginning")
}

// merged is what a merge of the branch merged, if all that the merge did is here, and its base.
func (b *Bucket) merged(d *mergeDoc) (from *Bucket, err error) {
	from, into := b.s.bucket(d.from), b.s.bucket(d.into)
	if from == nil || into == nil {
		return nil, fmt.Errorf("the last merge of branch %q: %w", b.doc.Load().name, ErrNoSuchBucket)
	}
	if !b.s.hasSnapshot(d.id) || !from.Seen().Covers(d.seen) || !into.Seen().Covers(d.after) {
		return nil, fmt.Errorf("the last merge of branch %q, made at %s, is on its way: %w", b.doc.Load().name, b.s.SegmentName(d.by), ErrUnavailable)
	}
	return from, nil
}
