package segment

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment/tree"
)

// A snapshot is a root that is kept: a document of the federation that holds it, and, at each segment that has all nodes below it, a mark in
// the local bucket. Its documents never change; two of one name are two snapshots. Until the one that made it has folded the root, it is a seal.
const docSnapshot = "snapshot/" // + bucket id + "/" + snapshot id -> snapshotDoc

// SnapshotID names a snapshot for ever.
type SnapshotID [16]byte

// ParseSnapshotID reads what String writes.
func ParseSnapshotID(s string) (id SnapshotID, err error) {
	if len(s) != hex.EncodedLen(len(id)) {
		return id, fmt.Errorf("snapshot id %q: %w", s, ErrInvalidArgument)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return SnapshotID{}, fmt.Errorf("snapshot id %q: %w: %w", s, err, ErrInvalidArgument)
	}
	return id, nil
}

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
		n.forgot()
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
	slices.SortFunc(all, olderSnapshot)
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

func olderSnapshot(x, y *snapshotDoc) int {
	return cmp.Or(cmp.Compare(x.created, y.created), slices.Compare(x.id[:], y.id[:]))
}

// keepSnapshots forgets all others: a sync says what there is.
func (n *names) keepSnapshots(there map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, of := range n.snapshots {
		n.snapshots[id] = slices.DeleteFunc(slices.Clone(of), func(d *snapshotDoc) bool { return !there[d.key()] })
	}
	n.forgot()
}

// snapshotsOf are a bucket's that have a root, oldest first, to be read only.
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
	Root     chunk.ID   `json:"root"`    // zero while there is none yet, see [Bucket.WaitSnapshot]; and of a bucket that was never written to
	Objects  int64      `json:"objects"`
	Bytes    int64      `json:"bytes"`
	Versions int64      `json:"versions"`
	Complete bool       `json:"complete"`       // all of its metadata is here
	Until    time.Time  `json:"until,omitzero"` // it is deleted then, by the bucket's home; zero: kept
	Due      time.Time  `json:"due,omitzero"`   // of a schedule's: the moment that it is called by, at or before Created
}

// shownSnapshot is a snapshot under the name it is listed by.
type shownSnapshot struct {
	name string
	doc  *snapshotDoc
}

// snapshotDocs are all of the bucket's, oldest first: those without a root too.
func (b *Bucket) snapshotDocs() []*snapshotDoc {
	sealed := b.sealDocs() // first: what is a seal no more then is known by its document
	docs := b.s.names.snapshotsOf(b.id)
	if len(sealed) == 0 {
		return docs
	}
	all := slices.Clone(docs)
	for _, q := range sealed {
		if !slices.ContainsFunc(docs, func(d *snapshotDoc) bool { return d.id == q.id }) {
			all = append(all, q)
		}
	}
	slices.SortFunc(all, olderSnapshot)
	return all
}

func (b *Bucket) shownSnapshots() []shownSnapshot {
	var out []shownSnapshot
	taken := map[string]bool{}
	for _, d := range b.snapshotDocs() {
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
		out = append(out, b.snapshotInfo(s.name, s.doc))
	}
	return out, ctx.Err()
}

func (b *Bucket) snapshotInfo(name string, d *snapshotDoc) SnapshotInfo {
	here := b.isSealed(d.id) || b.s.hasSnapshot(d.id)
	_, due, _ := parseAuto(d.name)
	return SnapshotInfo{d.id, name, d.created.Time(), b.s.SegmentName(d.by), b.rootOf(d), d.stats.objects, d.stats.bytes, d.stats.versions, here, b.s.names.ends(b.id)[d.id], due}
}

// CreateSnapshot keeps the bucket as it is now, under a name that no snapshot of it has here. When it returns the snapshot is durable and can be
// read here. It costs an entry of the log, whatever the size of the bucket and of what was written since the last fold. Its root is made then,
// and links carry it when that is done: [Bucket.WaitSnapshot]. Where that falls behind, who makes more waits.
func (b *Bucket) CreateSnapshot(ctx context.Context, name string) (SnapshotInfo, error) {
	switch {
	case !validSnapshotName(name):
		return SnapshotInfo{}, fmt.Errorf("snapshot name %q: 1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or a digit: %w", name, ErrInvalidName)
	case b.frozen != "":
		return SnapshotInfo{}, fmt.Errorf("snapshot of a snapshot: %w", ErrReadOnly)
	}
	if _, _, ok := parseAuto(name); ok {
		return SnapshotInfo{}, fmt.Errorf("snapshot name %q is of a schedule: %w", name, ErrInvalidName)
	}
	if _, ok := ParseSpan(name); ok {
		return SnapshotInfo{}, fmt.Errorf("snapshot name %q means the bucket so long ago: %w", name, ErrInvalidName)
	}
	return b.createSnapshot(ctx, name)
}

func (b *Bucket) createSnapshot(ctx context.Context, name string) (SnapshotInfo, error) {
	if err := b.s.sealer.enter(ctx, b.s); err != nil {
		return SnapshotInfo{}, fmt.Errorf("snapshot %q: %w", name, err)
	}
	q, err := b.createSeal(name)
	if q == nil {
		b.s.sealer.leave()
		return SnapshotInfo{}, err
	}
	return b.snapshotInfo(name, q.doc), nil
}

// lockSnapshots excludes the making of another snapshot, and the bucket's deletion, but no write: the rename of a large directory takes long.
func (b *Bucket) lockSnapshots() (unlock func()) {
	return b.s.outer.lock(FederationBucket, docSnapshot+b.id.String())
}

// createSeal begins a snapshot, or returns nil.
func (b *Bucket) createSeal(name string) (*seal, error) {
	defer b.lockSnapshots()()
	if err := b.Err(); err != nil {
		return nil, err
	}
	if b.gone() {
		return nil, fmt.Errorf("bucket %q: %w", b.doc.Load().name, ErrNoSuchBucket)
	}
	if _, err := b.snapshotNamed(name); err == nil {
		return nil, fmt.Errorf("snapshot %q of bucket %q: %w", name, b.doc.Load().name, ErrSnapshotExists)
	}
	e := &entry{seals: []sealItem{{bucket: b.id, name: name, created: b.s.clock.now(), ticket: true}}}
	if err := b.s.random(e.seals[0].id[:]); err != nil {
		return nil, err
	}
	if err := b.s.commit(e); err != nil {
		return nil, fmt.Errorf("snapshot %q: %w", name, err)
	}
	return e.seals[0].made, nil
}

// WaitSnapshot returns when a snapshot that was made here has its root, and links carry it. It makes that root itself, if need be.
func (b *Bucket) WaitSnapshot(ctx context.Context, id SnapshotID) (SnapshotInfo, error) {
	d, err := b.rooted(ctx, id)
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("wait for a snapshot: %w", err)
	}
	name := d.name
	for _, s := range b.shownSnapshots() {
		if s.doc.id == id {
			name = s.name
		}
	}
	return b.snapshotInfo(name, d), nil
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
	ended, err := b.endSeal(d.id)
	if err == nil && (!ended || b.s.names.knows(d)) {
		_, err = b.s.federation.Delete(ctx, d.key(), Cond{Resolve: true}) // after a restored backup the document may have been written twice
	}
	if err != nil {
		return fmt.Errorf("delete snapshot %q: %w", name, err)
	}
	if !b.s.hasSnapshot(d.id) {
		return nil
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
// ErrUnavailable while metadata of a snapshot that was made elsewhere is on its way. It asks nobody and reads nothing.
func (b *Bucket) At(_ context.Context, name string) (*Bucket, error) { return b.at(name) }

func (b *Bucket) at(name string) (*Bucket, error) {
	d, err := b.snapshotNamed(name)
	if errors.Is(err, ErrNoSuchSnapshot) && b.frozen == "" {
		if t, ok := parseMoment(name, b.s.cfg.Clock()); ok {
			return b.asOf(context.Background(), t)
		}
	}
	if err != nil {
		return nil, err
	}
	if f := b.freezeSeal(d.id, name); f != nil {
		return f, nil
	}
	if _, folded, err := b.s.snapshotDoc(SnapshotRef{b.id, d.id}); err == nil { // it was a seal
		d = folded
	}
	if !b.s.hasSnapshot(d.id) {
		return nil, fmt.Errorf("snapshot %q was made at %s and is on its way: %w", name, b.s.SegmentName(d.by), ErrUnavailable)
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
	f.frozen, f.state.Time = name, d.created.Time()
	return f, nil
}

// SnapshotRef names a snapshot among segments.
type SnapshotRef struct {
	Bucket BucketID
	ID     SnapshotID
}

// NewSnapshots holds a value when snapshots may have become known since it was last received from. It is for one receiver.
func (s *Segment) NewSnapshots() <-chan struct{} { return s.names.snapshotNews }

// MissingSnapshots are those whose metadata is not all here, and what branches begin with, of parents first, and bases of merges, as if
// they were snapshots.
func (s *Segment) MissingSnapshots(ctx context.Context) ([]SnapshotRef, error) {
	s.names.mu.RLock()
	var all []SnapshotRef
	for _, of := range s.names.snapshots {
		for _, d := range of {
			all = append(all, SnapshotRef{d.bucket, d.id})
		}
	}
	s.names.mu.RUnlock()
	for _, d := range s.bases() {
		all = append(all, SnapshotRef{d.from, d.id})
	}
	out := slices.DeleteFunc(all, func(r SnapshotRef) bool { return s.hasSnapshot(r.ID) })
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
	return out, ctx.Err()
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
		if d := s.baseNamed(r); d != nil {
			return b, d.kept(), nil
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
	if !s.hasSnapshot(r.ID) {
		return chunk.ID{}, fmt.Errorf("snapshot %v of bucket %v is not all here: %w", r.ID, r.Bucket, ErrNoSuchSnapshot)
	}
	return b.rootOf(d), ctx.Err()
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
	defer s.weave()()
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
	defer runtime.KeepAlive(n) // what both have is not read
	if err == nil {
		err = b.keepNodes(ctx, n, d, remote)
	}
	if err == nil && s.baseNamed(r) != nil { // a merge decides by it
		err = b.vet(ctx, n, d)
	}
	if err == nil {
		err = s.markSnapshot(ctx, b.domain, d)
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
