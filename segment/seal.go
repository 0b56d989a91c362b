package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// seal is a snapshot from its acknowledgement to its document: the bucket as it was at the seal's entry of the log. It ends with the entry that
// has its document, and so its root, or says that it was deleted.
//
// Until then the base that it lies over is where a start begins with the bucket, and the log is kept from there: going through that once more
// comes to the same. A merge that takes the base's place does not touch the seal, which is then folded aside.
type seal struct {
	doc    *snapshotDoc // but for the root
	pos    uint64       // of its entry
	ticket bool         // it counts among those of [Bucket.CreateSnapshot]
	branch BucketID     // that begins with it, and is nobody's snapshot; else zero

	sealed        // guarded by the bucket's mu: a fold of the seal before gives it another base
	from   uint64 // log position up to which base is all of the bucket
}

// origin is where a start begins, to come to the seal.
func (q *seal) origin() foldItem {
	return foldItem{q.doc.bucket, q.base.at, q.from, q.base.bytes, q.base.stats}
}

// sealItem is what an entry of the log says of a seal: that it begins, or, without a name, that it ends.
type sealItem struct {
	bucket  BucketID
	id      SnapshotID
	name    string
	created HLC

	branch BucketID   // that is born of it: name is the branch's
	life   uint32     // that the branch is born in
	of     SnapshotID // the seal that a branch is of; zero for the bucket as it is

	ticket bool
	made   *seal // by the entry; nil where the bucket is broken, or what it is of has ended
}

func (i *sealItem) appendTo(b []byte) []byte {
	b = putMessage(b, 1, i.bucket[:])
	b = putMessage(b, 2, i.id[:])
	b = putBytes(b, 3, i.name)
	b = putFixed(b, 4, uint64(i.created))
	if i.branch == (BucketID{}) {
		return b
	}
	b = putMessage(b, 5, i.branch[:])
	b = putUint(b, 6, uint64(i.life))
	if i.of != (SnapshotID{}) {
		b = putMessage(b, 7, i.of[:])
	}
	return b
}

func parseSeal(b []byte) (i sealItem, err error) {
	named := false
	err = eachField("seal", b, func(f field) (err error) {
		switch f.num {
		case 1:
			i.bucket, err = bucketIDOf(f.b)
		case 2:
			if named = len(f.b) == len(i.id); !named {
				return badFormat("seal")
			}
			i.id = SnapshotID(f.b)
		case 3:
			i.name = string(f.b)
		case 4:
			i.created = HLC(f.n)
		case 5:
			i.branch, err = bucketIDOf(f.b)
		case 6:
			i.life = uint32(f.n)
		case 7:
			i.of, err = snapshotIDOf(f.b)
		default:
			return fmt.Errorf("seal field %d: %w", f.num, ErrForeign)
		}
		return err
	})
	if err == nil && i.branch == (BucketID{}) && (i.life != 0 || i.of != (SnapshotID{})) {
		err = badFormat("seal")
	}
	if err == nil && (!named || i.name != "" && !validSnapshotName(i.name) || i.branch != (BucketID{}) && !validBucketName(i.name)) {
		err = badFormat("seal")
	}
	return i, err
}

// applySeal makes what an entry says of a seal true, live and in replay alike.
func (s *Segment) applySeal(pos uint64, i *sealItem) error {
	b := s.bucket(i.bucket)
	if b == nil {
		return fmt.Errorf("bucket %v is not known: %w", i.bucket, ErrDamaged)
	}
	s.clock.observe(i.created)
	b.mu.Lock()
	b.applySeal(pos, i)
	broken := b.broken != nil
	b.mu.Unlock()
	if i.branch != (BucketID{}) && (i.made != nil || broken) {
		s.bearing(pos, b, i)
	}
	s.sealer.wake()
	return nil
}

// applySeal is that of one bucket. The caller holds mu.
func (b *Bucket) applySeal(pos uint64, i *sealItem) {
	switch {
	case i.name == "":
		b.dropSeal(i.id)
	case pos <= b.base.covers || b.broken != nil: // it has ended, as the log will say; or is made anew when the bucket is
	case i.branch != (BucketID{}):
		if i.made = b.sealFor(pos, i); i.made != nil {
			b.beginLayer()
		}
	default:
		i.made = &seal{
			doc: &snapshotDoc{bucket: b.id, id: i.id, name: i.name, created: i.created, by: b.s.cfg.ID, stats: b.stats},
			pos: pos, ticket: i.ticket, sealed: b.now(), from: max(b.base.covers, b.settled),
		}
		b.seals = append(slices.Clone(b.seals), i.made)
		b.beginLayer()
	}
}

func (b *Bucket) dropSeal(id SnapshotID) {
	b.seals = slices.DeleteFunc(slices.Clone(b.seals), func(q *seal) bool {
		if q.doc.id == id && q.ticket {
			b.s.sealer.leave()
		}
		return q.doc.id == id
	})
}

// takeSeals adds those that were begun while the bucket was broken. What the bucket has itself was right when it was made. The caller holds mu.
func (b *Bucket) takeSeals(of []*seal) {
	for _, q := range of {
		if b.sealNamed(q.doc.id) == nil {
			b.seals = append(slices.Clone(b.seals), q)
		}
	}
}

// oldestSeal lies over the oldest base: a branch of a snapshot has that one's. There is one. The caller holds mu.
func (b *Bucket) oldestSeal() *seal {
	return slices.MinFunc(b.seals, func(p, q *seal) int { return cmp.Compare(p.base.at, q.base.at) })
}

// sealNamed is nil when there is none, or none any more. The caller holds mu.
func (b *Bucket) sealNamed(id SnapshotID) *seal {
	for _, q := range b.seals {
		if q.doc.id == id {
			return q
		}
	}
	return nil
}

// sealDocs are the documents of the snapshots that have no root yet, oldest first.
func (b *Bucket) sealDocs() []*snapshotDoc {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []*snapshotDoc
	for _, q := range b.seals {
		if q.branch == (BucketID{}) {
			out = append(out, q.doc)
		}
	}
	return out
}

// unsealed says whether all seals have ended.
func (b *Bucket) unsealed() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.seals) == 0
}

// isSealed says whether a snapshot has no root yet.
func (b *Bucket) isSealed(id SnapshotID) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.sealNamed(id) != nil
}

// toFold is what a fold makes a root of.
type toFold struct {
	sealed
	seals []*seal // whose root it is; none: the bucket's as it is now
	aside bool    // the bucket has another base by now
}

// toFold is what is to be folded next into the bucket's base, and the position of the last entry that touched the bucket: what the oldest seal
// over it holds, for a fold that goes past one leaves its base to nobody else; where there is none, the bucket as it is. It waits for the entry
// that is being applied: a position covers all writes of its entry or none.
func (b *Bucket) toFold() (toFold, uint64) {
	b.s.applying.Lock()
	defer b.s.applying.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.seals {
		if q.base.at == b.base.at {
			return b.foldOf(q), b.last
		}
	}
	b.layers = nil // no seal lies over the base, so nobody folds up to where they begin
	b.beginLayer()
	return toFold{sealed: b.now()}, b.last
}

// sealsAtOnce bounds the documents of one entry.
const sealsAtOnce = 64

// foldOf is the fold of a seal, and of others that hold the same. The caller holds mu.
func (b *Bucket) foldOf(q *seal) toFold {
	f := toFold{sealed: q.sealed, aside: q.base.at != b.base.at}
	f.overlay = q.overlay.Copy()
	for _, o := range b.seals {
		if o.base.at == q.base.at && o.covers == q.covers && len(f.seals) < sealsAtOnce {
			f.seals = append(f.seals, o)
		}
	}
	return f
}

// endSeals commits an entry with the documents of seals, which end with it, but for those that were deleted meanwhile.
func (b *Bucket) endSeals(ctx context.Context, e *entry, seals []*seal, root []byte) error {
	b.ends.Lock()
	defer b.ends.Unlock()
	var plans []plan
	for _, q := range seals {
		if !b.isSealed(q.doc.id) {
			continue
		}
		docs, err := q.documents(ctx, b, e, root)
		if err != nil {
			return err
		}
		plans = append(plans, docs...)
		e.seals = append(e.seals, sealItem{bucket: b.id, id: q.doc.id})
	}
	if len(e.folds)+len(e.seals) == 0 {
		return nil
	}
	if err := b.s.submitWith(e, plans); err != nil {
		return err
	}
	return b.s.tellBranches(seals)
}

// documents are the writes that make what is sealed known, with its root.
func (q *seal) documents(ctx context.Context, b *Bucket, e *entry, root []byte) ([]plan, error) {
	if q.branch != (BucketID{}) {
		return q.born(ctx, b.s, e, root)
	}
	doc := *q.doc
	doc.root = root
	return b.documents(&doc), nil
}

// documents are the writes that make a snapshot of this segment known: the mark that all of it is here, and then its document. Both are new keys,
// that nobody else writes, so nothing is read for them, and there is no latch. After a restored backup the federation may have known them all along.
func (b *Bucket) documents(d *snapshotDoc) []plan {
	s := b.s
	var out []plan
	if !s.hasSnapshot(d.id) {
		out = append(out, newDocument(s.local, snapshotMark+d.id.String(), markOf(b.domain, d)))
	}
	if !slices.ContainsFunc(s.names.snapshotsOf(d.bucket), func(o *snapshotDoc) bool { return o.id == d.id }) {
		out = append(out, newDocument(s.federation, d.key(), d.appendTo(nil)))
	}
	return out
}

// newDocument is the write of a key that was never written.
func newDocument(b *Bucket, key string, data []byte) plan {
	v := b.view(key)
	e := effect{key: key, hold: &Version{Key: key, Null: v.settings.Versioning != Versioned, Data: data}}
	return plan{b: b, r: &record{deps: v.deps, effects: []effect{e}}, own: v.own}
}

// endSeal deletes a snapshot that has no root yet; false when it has one.
func (b *Bucket) endSeal(id SnapshotID) (bool, error) {
	b.ends.Lock()
	defer b.ends.Unlock()
	if !b.isSealed(id) {
		return false, nil
	}
	return true, b.s.commit(&entry{seals: []sealItem{{bucket: b.id, id: id}}})
}

// foldSeals makes the roots of all that is sealed when it begins, oldest first. One that cannot be made, because a part of the base that a merge
// replaced is damaged, holds up no other.
func (b *Bucket) foldSeals(ctx context.Context) error {
	if err := b.rootBranch(ctx); err != nil {
		return err
	}
	b.fold.Lock()
	defer b.fold.Unlock()
	if err := b.Err(); err != nil {
		return err
	}
	b.mu.RLock()
	all := b.seals
	b.mu.RUnlock()
	var failed error
	for _, q := range all {
		b.mu.Lock()
		there := b.sealNamed(q.doc.id) != nil
		f := b.foldOf(q)
		b.mu.Unlock()
		if !there { // folded with another, or deleted
			continue
		}
		if _, err := b.foldOne(ctx, f, f.base); err != nil {
			failed = errors.Join(failed, fmt.Errorf("root of %q, of bucket %v: %w", q.doc.name, b.id, err))
			if !f.aside || ctx.Err() != nil {
				break
			}
		}
	}
	return failed
}

// sealer makes roots for what is sealed.
type sealer struct {
	due     chan struct{}
	tickets chan struct{}

	mu      sync.Mutex
	trouble error // why some could not be made
}

// maxSeals bounds the snapshots that were acknowledged and have no root yet: what is written between two of them takes a few kilobytes for each write.
const maxSeals = 256

func (k *sealer) init() {
	k.due, k.tickets = make(chan struct{}, 1), make(chan struct{}, maxSeals)
}

func (k *sealer) wake() {
	select {
	case k.due <- struct{}{}:
	default:
	}
}

// enter waits until there is room for one more.
func (k *sealer) enter(ctx context.Context, s *Segment) error {
	select {
	case k.tickets <- struct{}{}:
		return nil
	default:
	}
	if err := k.told(); err != nil {
		return err
	}
	select {
	case k.tickets <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.failure.ch:
		return s.failure.get()
	}
}

func (k *sealer) leave() { <-k.tickets }

func (k *sealer) told() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trouble
}

func (k *sealer) tell(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trouble = err
}

const (
	sealFirst = time.Second // after a root could not be made
	sealMost  = time.Minute // between later attempts
)

// sealing makes the roots of what is sealed, and takes marks away that stand for nothing any more.
func (s *Segment) sealing(ctx context.Context) {
	if s.cfg.sealsWait {
		return
	}
	s.sealer.wake() // for what the log held at the start
	s.names.forgot()
	again := time.NewTimer(0)
	again.Stop()
	defer again.Stop()
	wait := sealFirst
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.failure.ch:
			return
		case <-s.sealer.due:
		case <-s.names.forgotten:
		case <-again.C:
		}
		err := errors.Join(s.foldAllSeals(ctx), s.sweepMarks(ctx))
		s.sealer.tell(err)
		if err == nil {
			wait = sealFirst
			continue
		}
		if ctx.Err() == nil {
			s.cfg.Logger.Warn("snapshots wait for their roots, trying again", "error", err)
		}
		again.Reset(wait)
		wait = min(2*wait, sealMost)
	}
}

func (s *Segment) foldAllSeals(ctx context.Context) error {
	var failed error
	for _, b := range s.allBuckets() {
		if !b.unsealed() {
			failed = errors.Join(failed, b.foldSeals(ctx))
		}
	}
	return failed
}

// freezeSeal is the bucket of a seal; nil when it has ended.
func (b *Bucket) freezeSeal(id SnapshotID, name string) *Bucket {
	b.mu.Lock()
	q := b.sealNamed(id)
	if q == nil {
		b.mu.Unlock()
		return nil
	}
	at, overlay, made := q.sealed, q.overlay.Copy(), q.doc.created
	b.mu.Unlock()
	f := newBucket(b.s, b.id, b.doc.Load())
	f.unborn.Store(false)
	f.snapshotID, f.sealedIn, f.frozen, f.state.Time = id, b, name, made.Time()
	f.setBase(at.base)
	f.overlay, f.stats, f.done = overlay, at.stats, at.root.done
	f.set(at.root.settings)
	f.setSeen(at.root.seen)
	b.s.sparing.holdFrozen(f)
	return f
}

// frozenBase is all of a snapshot as a base, which has to be made if the snapshot was read before it had a root.
func (b *Bucket) frozenBase(ctx context.Context) (*base, error) {
	if b.sealedIn == nil {
		return b.base, nil
	}
	d, err := b.sealedIn.rooted(ctx, b.snapshotID)
	if err != nil {
		return nil, err
	}
	return b.newBase(0, foldItem{root: d.root, stats: d.stats})
}

// rooted is the document of a snapshot with its root, which is made now if there is none yet.
func (b *Bucket) rooted(ctx context.Context, id SnapshotID) (*snapshotDoc, error) {
	if b.isSealed(id) {
		if err := b.foldSeals(ctx); err != nil && b.isSealed(id) {
			return nil, err
		}
	}
	_, d, err := b.s.snapshotDoc(SnapshotRef{b.id, id})
	return d, err
}
