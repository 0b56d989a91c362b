package segment

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment/tree"
)

// A snapshot is a root that is kept: a document of the federation that holds it, and, at each segment that has all nodes below it, a mark in
// the local bucket. Its documents never change; two of one name are two snapshots.
const (
	docSnapshot  = "snapshot/" // + bucket id + "/" + snapshot id -> snapshotDoc
	snapshotMark = "snapshot/" // + snapshot id, in the local bucket: all nodes are here
)

// SnapshotID names a snapshot for ever.
type SnapshotID [16]byte

// String is 32 hexadecimal digits.
func (id SnapshotID) String() string { return hex.EncodeToString(id[:]) }

type snapshotDoc struct {
	bucket  BucketID
	id      SnapshotID
	name    string
	created HLC
	by      ID
	root    []byte // the root chunk
	stats   counters
}

const snapshotDocFormat = 1

func (d *snapshotDoc) key() string { return docSnapshot + d.bucket.String() + "/" + d.id.String() }

func (d *snapshotDoc) appendTo(b []byte) []byte {
	b = putUint(b, 1, snapshotDocFormat)
	b = putMessage(b, 2, d.bucket[:])
	b = putMessage(b, 3, d.id[:])
	b = putBytes(b, 4, d.name)
	b = putFixed(b, 5, uint64(d.created))
	b = putFixed(b, 6, uint64(d.by))
	b = putBytes(b, 7, d.root)
	return putSome(b, 8, d.stats.appendTo)
}

func parseSnapshotDoc(b []byte) (*snapshotDoc, error) {
	d := new(snapshotDoc)
	format := uint64(0)
	err := eachField("snapshot document", b, func(f field) (err error) {
		switch f.num {
		case 1:
			format = f.n
		case 2:
			d.bucket, err = bucketIDOf(f.b)
		case 3:
			if len(f.b) != len(d.id) {
				return badFormat("snapshot document")
			}
			d.id = SnapshotID(f.b)
		case 4:
			d.name = string(f.b)
		case 5:
			d.created = HLC(f.n)
		case 6:
			d.by = ID(f.n)
		case 7:
			d.root = f.b
			_, err = parseRoot(f.b)
		case 8:
			d.stats, err = parseCounters(f.b)
		default:
			return fmt.Errorf("snapshot document field %d: %w", f.num, ErrForeign)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case format != snapshotDocFormat || !validSnapshotName(d.name):
		return nil, fmt.Errorf("snapshot document format %d, %q: %w", format, d.name, ErrForeign)
	}
	return d, nil
}

// validSnapshotName allows 1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or a digit.
func validSnapshotName(name string) bool {
	if len(name) < 1 || len(name) > 63 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '-' && c != '.' && c != '_') {
			return false
		}
	}
	return true
}

// takeSnapshot takes a snapshot's document in. The caller holds mu.
func (n *names) takeSnapshot(rest string, v *Version) error {
	bucket, id, _ := strings.Cut(rest, "/")
	b, err := ParseBucketID(bucket)
	if err != nil {
		return err
	}
	if v == nil {
		n.snapshots[b] = slices.DeleteFunc(slices.Clone(n.snapshots[b]), func(d *snapshotDoc) bool { return d.id.String() == id })
		return nil
	}
	doc, err := parseSnapshotDoc(v.Data)
	if err != nil {
		return err
	}
	if doc.bucket != b || doc.id.String() != id {
		return fmt.Errorf("snapshot %v of bucket %v: %w", doc.id, doc.bucket, ErrForeign)
	}
	if slices.ContainsFunc(n.snapshots[b], func(d *snapshotDoc) bool { return d.id == doc.id }) {
		return nil
	}
	all := append(slices.Clone(n.snapshots[b]), doc)
	slices.SortFunc(all, func(x, y *snapshotDoc) int {
		return cmp.Or(cmp.Compare(x.created, y.created), slices.Compare(x.id[:], y.id[:]))
	})
	n.snapshots[b] = all
	n.tellSnapshots()
	return nil
}

// tellSnapshots says that there may be something to bring here.
func (n *names) tellSnapshots() {
	select {
	case n.snapshotNews <- struct{}{}:
	default:
	}
}

// keepSnapshots forgets all others: a sync says what there is.
func (n *names) keepSnapshots(there map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, of := range n.snapshots {
		n.snapshots[id] = slices.DeleteFunc(slices.Clone(of), func(d *snapshotDoc) bool { return !there[d.key()] })
	}
}

// snapshotsOf are a bucket's, oldest first, to be read only.
func (n *names) snapshotsOf(id BucketID) []*snapshotDoc {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.snapshots[id]
}

// SnapshotInfo is what a snapshot is.
type SnapshotInfo struct {
	ID       SnapshotID `json:"-"`
	Name     string     `json:"name"` // as listed: of two of one name the older has it, the other shows as name~segment
	Created  time.Time  `json:"created"`
	Segment  string     `json:"segment"` // that made it
	Root     chunk.ID   `json:"root"`
	Objects  int64      `json:"objects"`
	Bytes    int64      `json:"bytes"`
	Versions int64      `json:"versions"`
	Complete bool       `json:"complete"` // all of its metadata is here
}

// shownSnapshot is a snapshot under the name it is listed by.
type shownSnapshot struct {
	name string
	doc  *snapshotDoc
}

func (b *Bucket) shownSnapshots() []shownSnapshot {
	var out []shownSnapshot
	taken := map[string]bool{}
	for _, d := range b.s.names.snapshotsOf(b.id) {
		name := d.name
		if taken[name] {
			name += "~" + b.s.SegmentName(d.by)
		}
		if taken[name] {
			name = d.name + "~" + d.id.String()[:8]
		}
		taken[name] = true
		out = append(out, shownSnapshot{name, d})
	}
	return out
}

// Snapshots are the bucket's, oldest first, those made at other segments too.
func (b *Bucket) Snapshots(ctx context.Context) ([]SnapshotInfo, error) {
	var out []SnapshotInfo
	for _, s := range b.shownSnapshots() {
		here, err := b.s.hasSnapshot(ctx, s.doc.id)
		if err != nil {
			return nil, err
		}
		d := s.doc
		out = append(out, SnapshotInfo{d.id, s.name, d.created.Time(), b.s.SegmentName(d.by), b.rootOf(d), d.stats.objects, d.stats.bytes, d.stats.versions, here})
	}
	return out, nil
}

// CreateSnapshot keeps the bucket as it is now, under a name that no snapshot of it has here. When it returns the snapshot is durable, and
// links carry it. It costs a fold of what was written since the last one, whatever the size of the bucket.
func (b *Bucket) CreateSnapshot(ctx context.Context, name string) (SnapshotInfo, error) {
	switch {
	case !validSnapshotName(name):
		return SnapshotInfo{}, fmt.Errorf("snapshot name %q: 1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or a digit: %w", name, ErrInvalidName)
	case b.frozen != "":
		return SnapshotInfo{}, fmt.Errorf("snapshot of a snapshot: %w", ErrReadOnly)
	}
	b.gate.RLock() // not while the bucket is being deleted
	defer b.gate.RUnlock()
	defer b.s.outer.lock(FederationBucket, docSnapshot+b.id.String())()
	if b.gone() {
		return SnapshotInfo{}, fmt.Errorf("bucket %q: %w", b.doc.Load().name, ErrNoSuchBucket)
	}
	if _, err := b.snapshotNamed(name); err == nil {
		return SnapshotInfo{}, fmt.Errorf("snapshot %q of bucket %q: %w", name, b.doc.Load().name, ErrSnapshotExists)
	}
	n, err := b.foldNow(ctx)
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("snapshot %q: %w", name, err)
	}
	doc := &snapshotDoc{bucket: b.id, name: name, created: b.s.clock.now(), by: b.s.cfg.ID, root: n.bytes, stats: n.stats}
	if err := b.s.random(doc.id[:]); err != nil {
		return SnapshotInfo{}, err
	}
	if err := b.s.markSnapshot(ctx, doc.id); err != nil {
		return SnapshotInfo{}, err
	}
	if err := b.s.putDoc(ctx, doc.key(), doc.appendTo(nil)); err != nil {
		return SnapshotInfo{}, fmt.Errorf("snapshot %q: %w", name, err)
	}
	return SnapshotInfo{doc.id, name, doc.created.Time(), b.s.Name(), n.id, n.stats.objects, n.stats.bytes, n.stats.versions, true}, nil
}

// DeleteSnapshot forgets a snapshot, at every segment.
func (b *Bucket) DeleteSnapshot(ctx context.Context, name string) error {
	if b.frozen != "" {
		return fmt.Errorf("delete snapshot %q: %w", name, ErrReadOnly)
	}
	d, err := b.snapshotNamed(name)
	if err != nil {
		return err
	}
	if _, err := b.s.federation.Delete(ctx, d.key(), Cond{}); err != nil {
		return fmt.Errorf("delete snapshot %q: %w", name, err)
	}
	_, err = b.s.local.Delete(ctx, snapshotMark+d.id.String(), Cond{})
	return err
}

func (b *Bucket) snapshotNamed(name string) (*snapshotDoc, error) {
	for _, s := range b.shownSnapshots() {
		if s.name == name {
			return s.doc, nil
		}
	}
	return nil, fmt.Errorf("snapshot %q of bucket %q: %w", name, b.doc.Load().name, ErrNoSuchSnapshot)
}

// At is the bucket as a snapshot keeps it: what it holds can be read and listed, and every write is ErrReadOnly. It fails with
// ErrUnavailable while metadata of a snapshot that was made elsewhere is on its way.
func (b *Bucket) At(ctx context.Context, name string) (*Bucket, error) {
	d, err := b.snapshotNamed(name)
	if err != nil {
		return nil, err
	}
	here, err := b.s.hasSnapshot(ctx, d.id)
	if err == nil && !here {
		err = fmt.Errorf("snapshot %q was made at %s and is on its way: %w", name, b.s.SegmentName(d.by), ErrUnavailable)
	}
	if err != nil {
		return nil, err
	}
	return b.freeze(d, name)
}

// freeze is the bucket of a snapshot's root. It is no bucket of the segment's: nothing is applied to it, folded or fed.
func (b *Bucket) freeze(d *snapshotDoc, name string) (*Bucket, error) {
	f := newBucket(b.s, b.id, b.doc.Load())
	f.unborn.Store(false)
	f.snapshotID = d.id
	n, err := f.newBase(0, foldItem{root: d.root, stats: d.stats})
	if err != nil {
		return nil, err
	}
	f.setBase(n)
	f.frozen = name
	return f, nil
}

func (s *Segment) markSnapshot(ctx context.Context, id SnapshotID) error {
	_, err := s.local.put(ctx, snapshotMark+id.String(), Cond{}, nil, func(*Version) {})
	return err
}

func (s *Segment) hasSnapshot(ctx context.Context, id SnapshotID) (bool, error) {
	_, err := s.local.Stat(ctx, snapshotMark+id.String(), VersionRef{})
	if errors.Is(err, ErrNoSuchKey) {
		return false, nil
	}
	return err == nil, err
}

// SnapshotRef names a snapshot among segments.
type SnapshotRef struct {
	Bucket BucketID
	ID     SnapshotID
}

// NewSnapshots holds a value when snapshots may have become known since it was last received from. It is for one receiver.
func (s *Segment) NewSnapshots() <-chan struct{} { return s.names.snapshotNews }

// MissingSnapshots are those whose metadata is not all here, and what branches begin with as if it were a snapshot of each, of parents
// first.
func (s *Segment) MissingSnapshots(ctx context.Context) ([]SnapshotRef, error) {
	s.names.mu.RLock()
	var all []SnapshotRef
	for _, of := range s.names.snapshots {
		for _, d := range of {
			all = append(all, SnapshotRef{d.bucket, d.id})
		}
	}
	s.names.mu.RUnlock()
	var out []SnapshotRef
	for _, r := range all {
		here, err := s.hasSnapshot(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		if !here {
			out = append(out, r)
		}
	}
	for _, b := range s.allBuckets() {
		if b.waits() == nil || b.gone() {
			continue
		}
		if err := b.wake(ctx); err != nil {
			return nil, err
		}
		if err := b.beginHere(ctx); err != nil {
			return nil, err
		}
		for _, r := range s.Beginnings(b.id) {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

func (s *Segment) snapshotDoc(r SnapshotRef) (*Bucket, *snapshotDoc, error) {
	b := s.bucket(r.Bucket)
	if b != nil {
		for _, d := range s.names.snapshotsOf(r.Bucket) {
			if d.id == r.ID {
				return b, d, nil
			}
		}
		if d := b.doc.Load().beginning(); d != nil && d.id == r.ID {
			return b, d, nil
		}
	}
	return nil, nil, fmt.Errorf("snapshot %v of bucket %v: %w", r.ID, r.Bucket, ErrNoSuchSnapshot)
}

// OfferSnapshot is the root of a snapshot whose metadata is all here, else ErrNoSuchSnapshot.
func (s *Segment) OfferSnapshot(ctx context.Context, r SnapshotRef) (chunk.ID, error) {
	b, d, err := s.snapshotDoc(r)
	if err != nil {
		return chunk.ID{}, err
	}
	here, err := s.hasSnapshot(ctx, r.ID)
	if err == nil && !here {
		err = fmt.Errorf("snapshot %v of bucket %v is not all here: %w", r.ID, r.Bucket, ErrNoSuchSnapshot)
	}
	return b.rootOf(d), err
}

// rootOf is the snapshot's root; zero when the bucket was never written to.
func (b *Bucket) rootOf(d *snapshotDoc) chunk.ID {
	if len(d.root) == 0 {
		return chunk.ID{}
	}
	return b.domain.Name(d.root)
}

// AdoptSnapshot brings the nodes of a snapshot here that this segment lacks, reading them from a peer: about as many as differ from the
// bucket as it is now. When it returns nil they are durable.
func (s *Segment) AdoptSnapshot(ctx context.Context, r SnapshotRef, remote chunk.Store) error {
	b, d, err := s.snapshotDoc(r)
	if err != nil {
		return err
	}
	if o := b.doc.Load().origin; o != nil && o.id == d.id {
		if err := b.adoptBeginning(ctx, d, remote); err != nil {
			return fmt.Errorf("begin branch %q: %w", b.doc.Load().name, err)
		}
		return nil
	}
	n, err := b.foldNow(ctx)
	if err == nil {
		err = b.keepNodes(ctx, n, d, remote)
	}
	if err == nil {
		err = s.markSnapshot(ctx, d.id)
	}
	if err != nil {
		return fmt.Errorf("adopt snapshot %q: %w", d.name, err)
	}
	return nil
}

// keepNodes walks the difference from the bucket's trees, all of whose nodes are here, to the snapshot's, and keeps what it reads of those.
// The segment's cache of nodes has no part in it: what is in there need not be on the device.
func (b *Bucket) keepNodes(ctx context.Context, n *base, d *snapshotDoc, remote chunk.Store) error {
	if len(d.root) == 0 { // of a bucket that nothing was ever written to
		return nil
	}
	theirs, err := readRoot(ctx, keeping{remote, b.stores.Meta}, b.domain.Name(d.root)) // a peer grants what was read to name
	if err != nil {
		return err
	}
	nodes := tree.NewStore(keeping{remote, b.stores.Meta}, b.domain, tree.NewCache(4<<20))
	for _, pair := range []struct {
		ours   tree.Tree
		theirs chunk.ID
	}{{n.headTree, theirs.heads}, {n.historyTree, theirs.history}} {
		for _, err := range tree.Diff(ctx, pair.ours, tree.New(nodes, b.doc.Load().salt, pair.theirs)) {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// keeping is a remote store that keeps what is read from it.
type keeping struct {
	remote chunk.Store
	local  chunk.Store
}

func (k keeping) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	var got []chunk.Chunk
	failed := k.remote.Get(ctx, ids, func(c chunk.Chunk) error {
		got = append(got, c.Clone())
		return nil
	})
	if err := k.local.Put(ctx, got); err != nil { // a batch costs one sync
		return err
	}
	for _, c := range got {
		if err := yield(c); err != nil {
			return err
		}
	}
	return failed
}

func (k keeping) Put(ctx context.Context, cs []chunk.Chunk) error { return k.local.Put(ctx, cs) }

func (k keeping) Missing(ctx context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	return k.local.Missing(ctx, ids)
}

// payloadOfSnapshots are the versions that only snapshots hold, once each.
func (b *Bucket) payloadOfSnapshots(ctx context.Context) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		var before []*base
		for _, d := range b.s.names.snapshotsOf(b.id) {
			here, err := b.s.hasSnapshot(ctx, d.id)
			if err == nil && !here {
				continue
			}
			var f *Bucket
			if err == nil {
				f, err = b.freeze(d, d.name)
			}
			if err != nil {
				yield(Version{}, err)
				return
			}
			for v, err := range f.Payload(ctx) {
				held := false
				if err == nil {
					held, err = b.holds(ctx, before, &v)
				}
				if held {
					continue
				}
				if !yield(v, err) || err != nil {
					return
				}
			}
			before = append(before, f.base)
		}
	}
}

// holds says whether the bucket as it is now holds a version, or one of the bases.
func (b *Bucket) holds(ctx context.Context, bases []*base, v *Version) (bool, error) {
	w, err := b.view(v.Key).version(ctx, v.Key, v.VersionID)
	for _, o := range bases {
		if w != nil || err != nil {
			break
		}
		w, err = o.version(ctx, v.Key, v.VersionID)
	}
	return w != nil, err
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
	for _, d := range b.s.names.snapshotsOf(b.id) {
		here, err := b.s.hasSnapshot(ctx, d.id)
		if err != nil {
			return nil, err
		}
		if !here {
			continue
		}
		f, err := b.freeze(d, d.name)
		if err != nil {
			return nil, err
		}
		if v, err := f.base.version(ctx, key, id); v != nil || err != nil {
			return v, err
		}
	}
	return nil, nil
}
