package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment/tree"
)

// A branch is a bucket that began as another one was: its first base is a root of its parent's, with the parent's salt, cutter and domain, so that
// all nodes and payload are the same chunks. It knows that root by its own document, and needs the parent for nothing: segments that have the
// parent only fetch fewer nodes.

// origin is how a branch began.
type origin struct {
	parent   BucketID
	snapshot SnapshotID // of the parent, of the same root; zero for none
	id       SnapshotID // of the kept root, as if it were a snapshot of the branch: the mark of its nodes, and what they are asked for by
	root     []byte     // the root chunk; empty when the parent was never written to
	stats    counters
	seen     Vector // of the root

	pending bool   // there is no root yet: see birth.go
	life    uint32 // of the segment that makes it, while it is pending
}

// imported says of a bucket that began as a stream was, and is a branch of none.
func (o *origin) imported() bool { return o.parent == BucketID{} }

func (o *origin) appendTo(b []byte) []byte {
	b = putMessage(b, 1, o.parent[:])
	if o.snapshot != (SnapshotID{}) {
		b = putMessage(b, 2, o.snapshot[:])
	}
	b = putMessage(b, 3, o.id[:])
	b = putBytes(b, 4, o.root)
	return putSome(b, 5, o.stats.appendTo)
}

func parseOrigin(b []byte) (*origin, error) {
	o := &origin{seen: Vector{}}
	err := eachField("origin", b, func(f field) (err error) {
		switch f.num {
		case 1:
			o.parent, err = bucketIDOf(f.b)
		case 2:
			o.snapshot, err = snapshotIDOf(f.b)
		case 3:
			o.id, err = snapshotIDOf(f.b)
		case 4:
			o.root = f.b
			var r root
			r, err = parseRoot(f.b)
			o.seen = r.seen
		case 5:
			o.stats, err = parseCounters(f.b)
		default: // a beginning that this build does not understand
			return fmt.Errorf("origin field %d: %w", f.num, ErrForeign)
		}
		return err
	})
	if err == nil && (o.id == SnapshotID{} || o.parent == FederationBucket || o.parent == localBucket) {
		err = fmt.Errorf("a branch of %v, %v: %w", o.parent, o.id, ErrForeign)
	}
	return o, err
}

func snapshotIDOf(b []byte) (id SnapshotID, err error) {
	if len(b) != len(id) {
		return id, badFormat("snapshot id")
	}
	return SnapshotID(b), nil
}

// beginning is a branch's first root, as something kept of the branch itself; nil of any other bucket, and of one without a root yet.
func (d *bucketDoc) beginning() *snapshotDoc {
	if d.origin == nil || d.origin.pending {
		return nil
	}
	return &snapshotDoc{bucket: d.id, id: d.origin.id, name: "beginning", created: d.created, by: d.home, root: d.origin.root, stats: d.origin.stats}
}

// start gives a new bucket the base it begins with. A branch's nodes are not known to be here yet: see [Bucket.wake].
func (b *Bucket) start() {
	f := foldItem{}
	if o := b.doc.Load().origin; o != nil {
		f.root, f.stats = o.root, o.stats
		b.unborn.Store(len(o.root) > 0)
	}
	n, err := b.newBase(0, f)
	if err != nil { // the document was read, so its root was
		b.unborn.Store(true)
		return
	}
	b.setBase(n)
}

// waits is why a branch cannot be used yet: nodes that it begins with are not here.
func (b *Bucket) waits() error {
	if !b.unborn.Load() {
		return nil
	}
	return fmt.Errorf("branch %q begins with metadata that is on its way: %w", b.doc.Load().name, ErrUnavailable)
}

// wake makes a branch usable if all of what it begins with is marked as here.
func (b *Bucket) wake(ctx context.Context) error {
	o := b.doc.Load().origin
	if o == nil || !b.unborn.Load() {
		return nil
	}
	if !b.s.hasSnapshot(o.id) {
		return nil
	}
	b.unborn.Store(false)
	b.s.news.lost(b.id)
	return nil
}

// wakeAll is for a start: no document that comes is told of there.
func (s *Segment) wakeAll(ctx context.Context) error {
	for _, b := range s.allBuckets() {
		if err := b.wake(ctx); err != nil {
			return fmt.Errorf("begin branch %v: %w", b.id, err)
		}
	}
	return nil
}

// CreateBranch makes a bucket that begins as another one, or a snapshot of one, is: from is BUCKET or BUCKET@SNAPSHOT. When it returns the branch is durable
// and can be used here. It costs an entry of the log, whatever the size of the bucket and of what was written since the last fold, and moves nothing; links
// carry the branch when its root is made, which [Bucket.Fold] waits for. Where that falls behind, who makes more waits. All history comes along. Its
// home is this segment, and it has no schedule of snapshots; other settings, cutter and domain are the parent's.
func (s *Segment) CreateBranch(ctx context.Context, from, name string) (*Bucket, error) {
	if !validBucketName(name) {
		return nil, badBucketName(name)
	}
	src, err := s.Bucket(from)
	if err != nil {
		return nil, err
	}
	if err := s.admit(ctx); err != nil {
		return nil, err
	}
	var b *Bucket
	if src.frozen == "" || src.sealedIn != nil {
		b, err = s.sealBranch(ctx, src, name)
	}
	if err == nil && b == nil {
		b, err = s.branchOfRoot(ctx, src, name)
	}
	if err != nil {
		return nil, fmt.Errorf("branch %q of %q: %w", name, from, err)
	}
	return b, nil
}

// branchOfRoot makes a branch of a snapshot that has a root.
func (s *Segment) branchOfRoot(ctx context.Context, src *Bucket, name string) (*Bucket, error) {
	n, err := src.foldNow(ctx)
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(n) // until the branch's document names it
	unlock, err := s.newName(name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	i := sealItem{name: name, created: s.clock.now(), of: src.snapshotID, life: s.inc.Load()}
	if err := errors.Join(s.random(i.id[:]), s.random(i.branch[:])); err != nil {
		return nil, err
	}
	doc := src.branchDoc(&i)
	doc.settings = firstSettings(n.root.settings.Settings, Origin{doc.home, i.life})
	if doc, err = doc.rootedDoc(n.bytes, n.stats); err != nil {
		return nil, err
	}
	err = s.submit(newDocument(s.local, snapshotMark+doc.origin.id.String(), markOf(src.domain, doc.beginning())),
		newDocument(s.federation, docBucket+doc.id.String(), doc.appendTo(nil)))
	if err != nil {
		return nil, err
	}
	b := s.bucket(doc.id)
	return b, b.wake(ctx)
}

// Branch is what a branch is.
type Branch struct {
	ID       BucketID  `json:"id"`
	Name     string    `json:"name"` // as listed
	ParentID BucketID  `json:"parentId"`
	Parent   string    `json:"parent,omitempty"`   // as listed; empty when it was deleted
	Snapshot string    `json:"snapshot,omitempty"` // of the parent, that it was made of, as listed; empty for none, or one that was deleted
	Created  time.Time `json:"created"`
	Segment  string    `json:"segment"` // that made it
	Base     chunk.ID  `json:"base"`    // the root that it began as; zero while there is none yet, and of a parent that was never written to
	Writes   uint64    `json:"writes"`  // since then, as far as they are known here
	Ready    bool      `json:"ready"`   // all that it begins with is here
}

// Branches are those of a bucket, or all when parent is zero, the oldest first.
func (s *Segment) Branches(parent BucketID) []Branch {
	all := s.view()
	names := map[BucketID]string{}
	for _, v := range all {
		names[v.doc.id] = v.name
	}
	slices.SortFunc(all, func(a, b shown) int { return olderDoc(a.doc, b.doc) })
	out := []Branch{}
	for _, v := range all {
		o := v.doc.origin
		if o == nil || o.imported() || parent != (BucketID{}) && o.parent != parent {
			continue
		}
		b := s.bucket(v.doc.id)
		base := chunk.ID{}
		if d := v.doc.beginning(); d != nil {
			base = b.rootOf(d)
		}
		out = append(out, Branch{v.doc.id, v.name, o.parent, names[o.parent], s.snapshotName(o), v.doc.created.Time(), s.SegmentName(v.doc.home),
			base, b.Seen().beyond(o.seen), b.waits() == nil})
	}
	return out
}

// snapshotName is what the snapshot that a branch was made of is listed as; empty when there is none.
func (s *Segment) snapshotName(o *origin) string {
	p := s.bucket(o.parent)
	if p == nil || o.snapshot == (SnapshotID{}) {
		return ""
	}
	for _, v := range p.shownSnapshots() {
		if v.doc.id == o.snapshot {
			return v.name
		}
	}
	return ""
}

// beyond is how many writes c has seen that o has not.
func (c Vector) beyond(o Vector) (n uint64) {
	for k, last := range c {
		n += max(last, o[k]) - o[k]
	}
	return n
}

// written is what was seen of the bucket itself: of a branch, nothing of an origin that has written only to what the branch began as.
func (b *Bucket) written() Vector {
	seen := b.Seen()
	o := b.doc.Load().origin
	if o == nil {
		return seen
	}
	out := seen.Clone()
	for k, n := range o.seen {
		if out[k] == n {
			delete(out, k)
		}
	}
	return out
}

// kin says whether the two buckets' trees have nodes in common: they are one, or a branch of the other, or branches of one bucket.
func (b *Bucket) kin(o *Bucket) bool {
	x, y := b.doc.Load(), o.doc.Load()
	return b.s == o.s && x.salt == y.salt && x.domain == y.domain && x.cutter == y.cutter
}

// maxDescent bounds the parents of parents that are brought before a branch.
const maxDescent = 16

// Beginnings are what a bucket lacks to be used here, for [Segment.AdoptSnapshot] to bring: nothing unless it is a branch whose first root's
// nodes are not all here. It is the last of them; before it are its parents, as far as they lack the like, of which it shares most nodes.
func (s *Segment) Beginnings(id BucketID) []SnapshotRef {
	var out []SnapshotRef
	for range maxDescent {
		b := s.bucket(id)
		if b == nil || b.waits() == nil {
			break
		}
		o := b.doc.Load().origin
		out = append(out, SnapshotRef{id, o.id})
		id = o.parent
	}
	slices.Reverse(out)
	return out
}

// adoptBeginning brings what a branch begins with, about as many nodes as differ from its parent as it is here, and begins the branch if
// that is a state that writes can have made.
func (b *Bucket) adoptBeginning(ctx context.Context, d *snapshotDoc, remote chunk.Store) error {
	known, near, err := b.nearest(ctx)
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(known)
	defer runtime.KeepAlive(near)
	if err := b.keepNodes(ctx, near, d, remote); err != nil {
		return err
	}
	return b.beginFrom(ctx, known, d)
}

// beginHere begins a branch of which all is here though nothing says so: its parent is the same here, or the segment was restored from a backup.
// Once it is tried; what is missing comes from a peer.
func (b *Bucket) beginHere(ctx context.Context) error {
	if b.tried.Swap(true) {
		return nil
	}
	defer b.s.weave()()
	known, _, err := b.nearest(ctx)
	defer runtime.KeepAlive(known)
	if err == nil {
		err = b.beginFrom(ctx, known, b.doc.Load().beginning())
	}
	if err != nil && (ctx.Err() != nil || b.s.failure.get() != nil) {
		return err
	}
	return nil
}

// beginFrom begins a branch whose history is here.
func (b *Bucket) beginFrom(ctx context.Context, known *base, d *snapshotDoc) error {
	if err := b.vet(ctx, known, d); err != nil {
		return err
	}
	if err := b.s.markSnapshot(ctx, b.domain, d); err != nil {
		return err
	}
	return b.wake(ctx)
}

// nearest are states whose nodes are all here: known, which this segment has worked out itself, and near, which is perhaps nearer to what the
// branch began as, and was only brought here.
func (b *Bucket) nearest(ctx context.Context) (known, near *base, err error) {
	known = &base{root: root{seen: Vector{}}}
	b.plant(known)
	o := b.doc.Load().origin
	p := b.s.bucket(o.parent)
	if p == nil || !p.kin(b) || p.Err() != nil {
		return known, known, nil
	}
	if known, err = p.foldNow(ctx); err != nil {
		return nil, nil, err
	}
	at, d, err := b.s.snapshotDoc(SnapshotRef{o.parent, o.snapshot})
	if err != nil {
		return known, known, nil
	}
	if !b.s.hasSnapshot(d.id) {
		return known, known, nil
	}
	f, err := at.freeze(d, d.name)
	if err != nil {
		return nil, nil, err
	}
	return known, f.base, nil
}

// vet refuses a root that no segment has made: its heads and its counters are worked out anew from its history, as in a merge, from a state
// that is known to be right.
func (b *Bucket) vet(ctx context.Context, known *base, d *snapshotDoc) error {
	r, err := parseRoot(d.root)
	if err != nil {
		return err
	}
	if _, err := b.putRoot(ctx, r); err != nil {
		return err
	}
	// What is cached need not be on the device.
	history := b.tree(tree.NewStore(b.stores.Meta, b.domain, tree.NewCache(4<<20)), r.history)
	if err := b.checkSettings(r.settings); err != nil {
		return err
	}
	if known, err = b.knownWithin(ctx, known, r.seen); err != nil {
		return err
	}
	newest, err := b.checkHistory(ctx, known, history, r)
	if err != nil {
		return err
	}
	if newest = max(newest, r.settings.by.HLC); newest > b.s.clock.bound() {
		return fmt.Errorf("a version of %v: %w", newest.Time(), ErrClockAhead)
	}
	heads, stats, err := b.headsOf(ctx, known, history)
	if err != nil {
		return err
	}
	if heads.Root() != r.heads || !d.stats.agree(stats) {
		return fmt.Errorf("the heads are not those of the history: %w", ErrRefused)
	}
	b.s.clock.observe(newest)
	return nil
}

// knownWithin is known, unless that has seen more than seen: what a history shares with it would then pass unread, though its root claims not to have
// seen it. Instead it is the newest state within seen that this segment has made and remembers, or nothing at all.
func (b *Bucket) knownWithin(ctx context.Context, known *base, seen Vector) (*base, error) {
	if seen.Covers(known.seen) {
		return known, nil
	}
	of := []*Bucket{b}
	if o := b.doc.Load().origin; o != nil {
		if p := b.s.bucket(o.parent); p != nil && p.kin(b) {
			of = append(of, p)
		}
	}
	for _, b := range of {
		for e, err := range b.roots(ctx, math.MaxUint64) {
			if err != nil {
				return nil, err
			}
			r, err := parseRoot(e.root)
			if err != nil {
				return nil, err
			}
			if seen.Covers(r.seen) {
				return b.newBase(0, foldItem{root: e.root, stats: e.stats})
			}
		}
	}
	none := &base{root: root{seen: Vector{}}}
	b.plant(none)
	return none, nil
}

// checkHistory reads what is in the history of r and not in the known one, and returns the newest stamp in there.
func (b *Bucket) checkHistory(ctx context.Context, known *base, history tree.Tree, r root) (newest HLC, _ error) {
	for c, err := range tree.Diff(ctx, known.historyTree, history) {
		if err != nil {
			return 0, err
		}
		key, ch, err := decodeChange(known, c, nil)
		if err != nil {
			return 0, err
		}
		if ch.now == nil {
			continue
		}
		if err := b.checkIncoming(key, ch.now, r.seen, &newest); err != nil {
			return 0, err
		}
		if ch.now.Epoch.Compare(r.settings.by.Epoch) > 0 {
			return 0, fmt.Errorf("a version of %q of epoch %d, which nobody began: %w", key, ch.now.Epoch.N, ErrRefused)
		}
		newest = max(newest, ch.now.HLC)
	}
	return newest, nil
}

// DeleteBranch removes a branch with all that it holds, at every segment, in one step. What was written to it elsewhere and had not come here
// keeps it. Without force, one that holds what its parent was not given is refused with ErrUnmerged; with or without, one in which a version is locked
// that its parent has not locked alike is ErrLocked.
func (s *Segment) DeleteBranch(ctx context.Context, name string, force bool) error {
	b, err := s.Bucket(name)
	if err != nil {
		return err
	}
	if o := b.doc.Load().origin; o == nil || o.imported() {
		return fmt.Errorf("bucket %q is no branch: %w", name, ErrInvalidArgument)
	}
	return b.drop(ctx, name, func() error {
		if err := b.checkUnlocked(ctx); err != nil {
			return err
		}
		if force {
			return nil
		}
		return b.checkMerged(ctx, name)
	})
}

// checkUnlocked refuses a branch with a version that a lock keeps, unless the branch began with it as it is: then its parent keeps it.
func (b *Bucket) checkUnlocked(ctx context.Context) error {
	if b.waits() != nil { // nothing of it is here; what is locked elsewhere was not seen, and keeps it
		return nil
	}
	now, err := b.foldNow(ctx)
	if err != nil {
		return err
	}
	begun, err := b.frozenAt(b.doc.Load().beginning())
	if err != nil {
		return err
	}
	for c, err := range tree.Diff(ctx, begun.historyTree, now.historyTree) {
		if err == nil && c.B == nil {
			continue
		}
		var v *Version
		if err == nil {
			v, err = decodeNew(now, c)
		}
		if err == nil {
			err = v.mayGo(b.s.cfg.Clock(), false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkMerged refuses a branch that lists what it did not list when it and its parent last knew the same.
func (b *Bucket) checkMerged(ctx context.Context, name string) error {
	base, err := b.mergeBase(ctx, false)
	if err != nil {
		return err
	}
	for d, err := range diff(ctx, base, b, "") {
		return cmp.Or(err, fmt.Errorf("branch %q has changes, of %q for one, that were not merged: %w", name, d.Key, ErrUnmerged))
	}
	return nil
}
