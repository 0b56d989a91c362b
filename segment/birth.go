package segment

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A branch of a bucket is born by one entry of the log, which seals the bucket and makes the branch known here, with its home and its settings: it can be
// used when that is applied. Until the seal has a root the branch lies over the seal's base and a copy of its overlay. With the root, in one entry, come the
// branch's document, which peers are told of, and a base of its own.
//
// Whoever starts from the log comes by the entry again, and makes the branch as he makes the seal: a state file leaves it out, and has its parent
// as of what the seal lies over. Where the parent is broken off at that entry, the branch is too, until it has its root.

// pending says that the branch's root is not made yet.
func (d *bucketDoc) pending() bool { return d.origin != nil && d.origin.pending }

// pending says that the bucket is a branch whose root is not made yet.
func (b *Bucket) pending() bool { return b.doc.Load().pending() }

// firstSettings are those of a branch made by home, of a bucket with settings of: the parent's home has no part in it, and its schedule stays with it.
func firstSettings(of Settings, home Origin) Settings {
	of.Home, of.Snapshots = Origin{}, ""
	if of.Policy == Home {
		of.Home = home
	}
	return of
}

// begun is what a settings record found in the bucket's trees says: where it is one that a branch inherited, the branch's own first settings.
func (b *Bucket) begun(s settingsRecord) settingsRecord {
	d := b.doc.Load()
	if d.ownSettings && d.origin.seen.Has(s.by.Dot) {
		s.Settings = d.settings
	}
	return s
}

// branchDoc is the document of a branch of the bucket, but for its root and what had been seen.
func (b *Bucket) branchDoc(i *sealItem) *bucketDoc {
	d := *b.doc.Load()
	d.id, d.name, d.created, d.home = i.branch, i.name, i.created, b.s.cfg.ID
	d.settings, d.ownSettings = firstSettings(d.settings, Origin{d.home, i.life}), true
	d.origin = &origin{parent: b.id, snapshot: i.of, id: i.id, seen: Vector{}, pending: true, life: i.life}
	return &d
}

// sealBranch makes a branch of src as it is, under a name that no bucket has here: nil when src is a snapshot that has got its root meanwhile.
func (s *Segment) sealBranch(ctx context.Context, src *Bucket, name string) (*Bucket, error) {
	if err := s.sealer.enter(ctx, s); err != nil {
		return nil, err
	}
	i := sealItem{bucket: src.id, name: name, ticket: true}
	parent := src
	if src.sealedIn != nil {
		parent, i.of = src.sealedIn, src.snapshotID
	}
	err := s.bear(parent, &i)
	if i.made == nil {
		s.sealer.leave()
	}
	if err != nil || i.made == nil {
		return nil, err
	}
	return s.bucket(i.branch), nil
}

// bear commits the entry that a branch is born by.
func (s *Segment) bear(parent *Bucket, i *sealItem) error {
	if err := errors.Join(s.random(i.id[:]), s.random(i.branch[:])); err != nil {
		return err
	}
	unlock, err := s.newName(i.name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := parent.Err(); err != nil {
		return err
	}
	if err := parent.there(); err != nil {
		return err
	}
	i.created = s.clock.now()
	e := &entry{seals: []sealItem{*i}}
	s.naming.RLock() // the life that it says is the one that it is logged in
	e.seals[0].life = s.inc.Load()
	p, err := s.append(e)
	s.naming.RUnlock()
	if err == nil {
		err = s.await(p)
	}
	if err != nil { // of a segment that failed the entry may be under way still
		return err
	}
	i.made = e.seals[0].made
	return nil
}

// sealFor seals the bucket at a position for a branch; nil when it is to be of a snapshot that is no seal any more. The caller holds mu.
func (b *Bucket) sealFor(pos uint64, i *sealItem) *seal {
	q := &seal{pos: pos, ticket: i.ticket, branch: i.branch, sealed: b.now(), from: max(b.base.covers, b.settled)}
	at := len(b.seals)
	if i.of != (SnapshotID{}) {
		at = slices.IndexFunc(b.seals, func(o *seal) bool { return o.doc.id == i.of })
		if at < 0 {
			return nil
		}
		q.sealed, q.from = b.seals[at].sealed, b.seals[at].from
		q.overlay = q.overlay.Copy()
		at++ // behind it, and before what lies over a later base
	}
	q.doc = &snapshotDoc{bucket: b.id, id: i.id, name: i.name, created: i.created, by: b.s.cfg.ID, stats: q.stats}
	b.seals = slices.Insert(slices.Clone(b.seals), at, q)
	return q
}

// bearing makes the branch of an entry at pos known, unless it is. With no seal, because its parent is broken off, it is so too.
func (s *Segment) bearing(pos uint64, parent *Bucket, i *sealItem) {
	doc := parent.branchDoc(i)
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	b := s.bucket(i.branch)
	switch {
	case b == nil:
		b = newBucket(s, doc.id, doc)
	case b.pending() || b.base.at > 0 || b.last > 0:
		return // a start from a state that is of later
	}
	b.lieOver(pos, parent, doc, i)
	s.mu.Lock()
	s.buckets[b.id] = b
	s.mu.Unlock()
	if s.names.docs[doc.id] == nil { // else peers had it of a life that a backup was made in
		s.names.docs[doc.id] = b.doc.Load()
	}
	s.names.call(s, doc.id)
	s.names.stale = true
	s.names.relive()
}

// lieOver makes a branch what its parent's seal is.
func (b *Bucket) lieOver(pos uint64, parent *Bucket, doc *bucketDoc, i *sealItem) {
	parent.mu.Lock()
	defer parent.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	q := parent.sealNamed(i.id)
	if q != nil {
		doc.settings = firstSettings(q.root.settings.Settings, Origin{doc.home, i.life})
		doc.origin.seen, doc.origin.stats = q.root.seen, q.stats
	}
	b.doc.Store(doc)
	b.unborn.Store(false)
	if q == nil {
		_ = b.breakOff(pos, parent.broken)
		return
	}
	n := *q.base
	n.at, n.covers = 0, pos
	b.setBase(&n)
	b.overlay, b.stats, b.done = q.overlay.Copy(), q.stats, q.root.done
	b.set(b.begun(q.root.settings))
	b.since = pos
	b.setSeen(q.root.seen)
	b.beginLayer()
}

// rootedDoc is a branch's document once it has a root.
func (d *bucketDoc) rootedDoc(raw []byte, stats counters) (*bucketDoc, error) {
	out, o := *d, *d.origin
	o.root, o.stats, o.seen, o.pending = raw, stats, Vector{}, false
	if len(raw) > 0 {
		r, err := parseRoot(raw)
		if err != nil {
			return nil, err
		}
		o.seen = r.seen
		out.settings = firstSettings(r.settings.Settings, Origin{d.home, o.life})
	}
	out.origin = &o
	return &out, nil
}

// takeRoot takes the first fold of a branch without a root for that: nothing else folds it. The caller holds mu.
func (b *Bucket) takeRoot(f foldItem) error {
	d := b.doc.Load()
	if !d.pending() {
		return nil
	}
	d, err := d.rootedDoc(f.root, f.stats)
	if err == nil {
		b.doc.Store(d)
	}
	return err
}

// rootBranch makes the branch's root, if there is none yet: for whoever needs its trees.
func (b *Bucket) rootBranch(ctx context.Context) error {
	if !b.pending() {
		return nil
	}
	err := b.s.bucket(b.doc.Load().origin.parent).foldSeals(ctx)
	switch {
	case !b.pending():
		return nil
	case err == nil:
		err = ErrUnavailable
	}
	return fmt.Errorf("root of branch %q: %w", b.doc.Load().name, err)
}

// born adds to the entry that ends a seal what its branch gets then, if it is one's.
func (q *seal) born(ctx context.Context, s *Segment, e *entry, raw []byte) ([]plan, error) {
	b := s.bucket(q.branch)
	doc, err := b.doc.Load().rootedDoc(raw, q.stats)
	if err != nil {
		return nil, err
	}
	e.folds = append(e.folds, foldItem{bucket: b.id, covers: q.pos, root: raw, stats: q.stats})
	var out []plan
	if !s.hasSnapshot(doc.origin.id) {
		out = append(out, newDocument(s.local, snapshotMark+doc.origin.id.String(), markOf(b.domain, doc.beginning())))
	}
	key := docBucket + b.id.String()
	switch _, err := s.federation.Stat(ctx, key, VersionRef{}); {
	case isMissing(err):
		out = append(out, newDocument(s.federation, key, doc.appendTo(nil)))
	case err != nil:
		return nil, err
	}
	return out, nil
}

// tellBranches has peers that were told nothing of what was written to branches before they had a root look for it.
func (s *Segment) tellBranches(seals []*seal) error {
	e := &entry{}
	for _, q := range seals {
		if q.branch == (BucketID{}) {
			continue
		}
		if b := s.bucket(q.branch); !b.pending() && b.Seen().beyond(b.doc.Load().origin.seen) > 0 {
			e.merges = append(e.merges, b.mark())
		}
	}
	if len(e.merges) == 0 {
		return nil
	}
	return s.commit(e)
}

// told leaves out what peers are not told of yet: what is written to branches without a root. They are told to look for it when there is one.
func (s *Segment) told(items []FeedItem) []FeedItem {
	return slices.DeleteFunc(items, func(i FeedItem) bool {
		b := s.bucket(i.Bucket)
		return b != nil && b.pending()
	})
}
