package segment

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/edgefs/edgefs/dedup"
)

// Buckets' identities and segments' names are documents of a bucket that every segment of the federation links: the same records, merge
// and sync carry them as carry everything. Uploads in progress, and marks of snapshots, are objects of a bucket that is
// never linked.
var (
	// FederationBucket holds the documents of buckets and segments.
	FederationBucket = BucketID([]byte("federation......"))
	localBucket      = BucketID([]byte("local..........."))
)

const (
	docBucket  = "bucket/"  // + id -> bucketDoc
	docDeleted = "deleted/" // + id -> empty; of a branch, what had been seen of it
	docSegment = "segment/" // + id -> name
)

// bucketDoc is a bucket's identity. It never changes, but for the origin of one that was imported: see rebegin.go.
type bucketDoc struct {
	id       BucketID
	name     string
	created  HLC
	home     ID
	cutter   dedup.Params
	domain   string
	salt     [16]byte
	settings Settings // the first
	origin   *origin  // of a branch; else nil

	ownSettings bool // of a branch: it has the first settings, not those that it inherits
}

// The formats of a bucket's document; see those of a record.
const (
	bucketDocFormat      = 1
	bucketDocFormatHomed = 2 // first settings with a home or its policy
)

func (d *bucketDoc) format() uint64 {
	if d.settings.homed() {
		return bucketDocFormatHomed
	}
	return bucketDocFormat
}

func (d *bucketDoc) appendTo(b []byte) []byte {
	b = putUint(b, 1, d.format())
	b = putMessage(b, 2, d.id[:])
	b = putBytes(b, 3, d.name)
	b = putFixed(b, 4, uint64(d.created))
	b = putFixed(b, 5, uint64(d.home))
	b = putBytes(b, 6, d.cutter.String())
	b = putBytes(b, 7, d.domain)
	b = putMessage(b, 8, d.salt[:])
	b = putPart(b, 9, d.settings.appendTo)
	if d.origin != nil {
		b = putPart(b, 10, d.origin.appendTo)
	}
	return putBool(b, 11, d.ownSettings)
}

func parseBucketDoc(b []byte) (*bucketDoc, error) {
	d := new(bucketDoc)
	format := uint64(0)
	err := eachField("bucket document", b, func(f field) (err error) {
		switch f.num {
		case 1:
			format = f.n
		case 2:
			d.id, err = bucketIDOf(f.b)
		case 3:
			d.name = string(f.b)
		case 4:
			d.created = HLC(f.n)
		case 5:
			d.home = ID(f.n)
		case 6:
			d.cutter, err = dedup.ParseParams(string(f.b))
		case 7:
			d.domain = string(f.b)
		case 8:
			if len(f.b) != len(d.salt) {
				return badFormat("bucket document")
			}
			d.salt = [16]byte(f.b)
		case 9:
			d.settings, err = parseSettings(f.b)
		case 10:
			d.origin, err = parseOrigin(f.b)
		case 11:
			d.ownSettings = f.n == 1
		default: // an identity that this build does not understand
			return fmt.Errorf("bucket document field %d: %w", f.num, ErrForeign)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case format < d.format() || format > bucketDocFormatHomed || d.ownSettings && d.origin == nil:
		return nil, fmt.Errorf("bucket document format %d: %w", format, ErrForeign)
	}
	if err := d.cutter.Validate(); err != nil {
		return nil, fmt.Errorf("bucket document: %w: %w", err, ErrForeign)
	}
	return d, nil
}

// names is what the federation bucket's documents say, in memory.
type names struct {
	mu           sync.RWMutex
	docs         map[BucketID]*bucketDoc
	given        map[BucketID]givenName // since they were made
	deleted      map[BucketID]bool
	ended        map[BucketID]Vector // of deleted branches: what had been seen of them
	segments     map[ID]string
	snapshots    map[BucketID][]*snapshotDoc // oldest first; the slices are replaced, never changed
	expire       map[SnapshotRef]HLC         // when snapshots are to be deleted
	merges       map[BucketID][]*mergeDoc    // of branches, oldest first, as above
	snapshotNews chan struct{}               // of one
	marks        map[SnapshotID]bool         // snapshots all of whose nodes are here
	forgotten    chan struct{}               // of one: a mark may stand for nothing any more
	live         map[string]BucketID         // the older of the buckets of a name that are not deleted: they have it, whatever others do
	stale        bool                        // live is to be worked out anew

	dropped map[BucketID]map[ID]droppedDoc // losers that bounds have cost, by who was the home
}

func (n *names) init() {
	n.docs, n.deleted, n.segments = map[BucketID]*bucketDoc{}, map[BucketID]bool{}, map[ID]string{}
	n.expire, n.given = map[SnapshotRef]HLC{}, map[BucketID]givenName{}
	n.ended, n.merges = map[BucketID]Vector{}, map[BucketID][]*mergeDoc{}
	n.live, n.snapshots = map[string]BucketID{}, map[BucketID][]*snapshotDoc{}
	n.snapshotNews, n.forgotten, n.marks = make(chan struct{}, 1), make(chan struct{}, 1), map[SnapshotID]bool{}
	n.dropped = map[BucketID]map[ID]droppedDoc{}
}

// relive works the live names out anew, where they are stale. It looks at all buckets. The caller holds mu.
func (n *names) relive() {
	if !n.stale {
		return
	}
	n.stale = false
	clear(n.live)
	for id, doc := range n.docs {
		if n.deleted[id] {
			continue
		}
		name, _ := n.called(doc)
		if other, ok := n.live[name]; !ok || n.before(doc, n.docs[other]) < 0 {
			n.live[name] = id
		}
	}
}

func olderDoc(a, b *bucketDoc) int {
	return cmp.Or(cmp.Compare(a.created, b.created), bytes.Compare(a.id[:], b.id[:]))
}

// addSystemBuckets makes the two buckets that every segment has.
func (s *Segment) addSystemBuckets() {
	for _, id := range []BucketID{FederationBucket, localBucket} {
		cutter, err := dedup.ParseParams("content:64KiB")
		if err != nil {
			panic(err)
		}
		s.buckets[id] = newBucket(s, id, &bucketDoc{id: id, cutter: cutter, salt: id})
	}
	s.federation, s.local = s.buckets[FederationBucket], s.buckets[localBucket]
}

// Linked says whether links carry the bucket.
func (b *Bucket) Linked() bool { return b.id != localBucket }

// written takes in what a record did to the documents.
func (n *names) written(s *Segment, bucket BucketID, r *record) error {
	if bucket == localBucket {
		return n.marked(s, r)
	}
	if bucket != FederationBucket {
		return nil
	}
	b := s.federation
	for i := range r.effects {
		b.mu.RLock()
		o, ok := b.overlay.Get(r.effects[i].key)
		b.mu.RUnlock()
		if !ok {
			continue
		}
		h, err := o.head(r.effects[i].key)
		if err != nil {
			return err
		}
		n.take(s, r.effects[i].key, h.content())
	}
	return nil
}

// merged reads all documents anew after a sync.
func (n *names) merged(ctx context.Context, s *Segment, bucket BucketID) error {
	if bucket != FederationBucket {
		return nil
	}
	return n.load(ctx, s)
}

func (n *names) load(ctx context.Context, s *Segment) error {
	b := s.federation
	snapshots := map[string]bool{}
	now := b.snapshot()
	now.base = now.base.here // the log's goroutine waits for nobody
	for v, err := range now.eachCurrent(ctx, "") {
		if err != nil {
			return fmt.Errorf("read the federation's documents: %w", err)
		}
		n.mu.Lock()
		n.takeOne(s, v.Key, v)
		n.mu.Unlock()
		snapshots[v.Key] = true
	}
	n.mu.Lock()
	n.relive()
	n.mu.Unlock()
	n.keepSnapshots(snapshots)
	return nil
}

// take takes one document in. What this build cannot read, because a later one wrote it or it is no document at all, is told and left
// alone: the state is right without it, only a bucket is not known here.
func (n *names) take(s *Segment, key string, v *Version) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.takeOne(s, key, v)
	n.relive()
}

// takeOne is take of one of many, which leaves the names as they were. The caller holds mu.
func (n *names) takeOne(s *Segment, key string, v *Version) {
	if err := n.takeLocked(s, key, v); err != nil {
		s.cfg.Logger.Error("a document of the federation cannot be read; it is left out here", "key", key, "error", err)
	}
}

func (n *names) takeLocked(s *Segment, key string, v *Version) error {
	kind, rest, _ := strings.Cut(key, "/")
	switch kind + "/" {
	case docBucket:
		if v == nil {
			return nil
		}
		doc, err := parseBucketDoc(v.Data)
		switch {
		case err != nil:
			return err
		case doc.id.String() != rest || doc.id == localBucket || doc.id == FederationBucket || !validBucketName(doc.name):
			return fmt.Errorf("bucket %v, %q: %w", doc.id, doc.name, ErrForeign)
		}
		n.docs[doc.id] = doc
		s.addBucket(doc)
		s.bucket(doc.id).redocument(doc)
		n.call(s, doc.id)
		n.stale = true
		if doc.origin != nil {
			n.tellSnapshots()
		}
	case docDeleted:
		id, err := ParseBucketID(rest)
		if err != nil {
			return err
		}
		n.deleted[id], n.stale = v != nil, true
		delete(n.ended, id)
		if v != nil && len(v.Data) > 0 {
			if n.ended[id], err = parseVector(v.Data); err != nil {
				return err
			}
		}
	case docSnapshot:
		return n.takeSnapshot(rest, v)
	case docName:
		return n.takeName(s, rest, v)
	case docDropped:
		return n.takeDropped(rest, v)
	case docExpire:
		return n.takeExpire(rest, v)
	case docMerge:
		return n.takeMerge(rest, v)
	case docSegment:
		id, err := ParseID(rest)
		if err != nil {
			return err
		}
		if v != nil {
			n.segments[id] = string(v.Data)
		}
	}
	return nil
}

func (s *Segment) addBucket(doc *bucketDoc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[doc.id] == nil {
		s.buckets[doc.id] = newBucket(s, doc.id, doc)
	}
}

// shown is a bucket as it is listed.
type shown struct {
	name string
	doc  *bucketDoc
}

// view resolves names. Of two buckets of one name the one that had it first keeps it and the other shows as name~segment. A deleted bucket that got
// a write from a site that did not know is shown until that is gone too: a delete yields to what it had not seen.
func (s *Segment) view() []shown {
	s.names.mu.RLock()
	defer s.names.mu.RUnlock()
	type candidate struct {
		doc     *bucketDoc
		deleted bool
	}
	byName := map[string][]candidate{}
	for id, doc := range s.names.docs {
		deleted := s.names.deleted[id]
		if deleted && len(s.names.snapshots[id]) == 0 && s.bucket(id).spent(s.names.ended[id]) {
			continue
		}
		name, _ := s.names.called(doc)
		byName[name] = append(byName[name], candidate{doc, deleted})
	}
	var out []shown
	for name, all := range byName {
		slices.SortFunc(all, func(a, b candidate) int {
			if a.deleted != b.deleted {
				return map[bool]int{false: -1, true: 1}[a.deleted]
			}
			return s.names.before(a.doc, b.doc)
		})
		taken := map[string]bool{name: true}
		out = append(out, shown{name, all[0].doc})
		for _, c := range all[1:] {
			other := name + "~" + s.segmentName(c.doc.home)
			if taken[other] {
				other = name + "~" + hex.EncodeToString(c.doc.id[:4])
			}
			taken[other] = true
			out = append(out, shown{other, c.doc})
		}
	}
	slices.SortFunc(out, func(a, b shown) int { return strings.Compare(a.name, b.name) })
	return out
}

// spent says whether a deleted bucket holds nothing; of a branch, nothing that was not seen when it was deleted.
func (b *Bucket) spent(seen Vector) bool {
	switch {
	case len(b.sealDocs()) > 0:
		return false
	case b.empty():
		return true
	}
	return seen != nil && b.doc.Load().origin != nil && seen.Covers(b.Seen())
}

// empty says whether no version of anything is held.
func (b *Bucket) empty() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.stats.versions == 0
}

func (s *Segment) segmentName(id ID) string {
	if name, ok := s.names.segments[id]; ok {
		return name
	}
	return id.String()
}

// SegmentName is what people call a segment of the federation; its id in digits when that is not known.
func (s *Segment) SegmentName(id ID) string {
	s.names.mu.RLock()
	defer s.names.mu.RUnlock()
	return s.segmentName(id)
}

// Segments are the segments of the federation that are known, this one included.
func (s *Segment) Segments() map[ID]string {
	s.names.mu.RLock()
	defer s.names.mu.RUnlock()
	out := make(map[ID]string, len(s.names.segments))
	for id, name := range s.names.segments {
		out[id] = name
	}
	return out
}

// BucketOptions are chosen when a bucket is made. The cutter never changes.
type BucketOptions struct {
	Cutter   dedup.Params // default: by content, 64 KiB on average
	Settings *Settings    // default: [DefaultSettings]
}

// BucketInfo is what a bucket is.
type BucketInfo struct {
	ID       BucketID     `json:"id"`
	Name     string       `json:"name"` // as listed
	Created  time.Time    `json:"created"`
	Home     ID           `json:"home"`
	HomeName string       `json:"homeName"`
	Cutter   dedup.Params `json:"cutter"`
	Settings Settings     `json:"settings"`
	Epoch    Epoch        `json:"-"`    // that writes are stamped with
	Here     bool         `json:"here"` // this life of this segment is the home
}

// Buckets are all buckets of the federation, by name.
func (s *Segment) Buckets() []BucketInfo {
	var out []BucketInfo
	for _, v := range s.view() {
		out = append(out, s.bucket(v.doc.id).info(v.name))
	}
	return out
}

func (b *Bucket) info(name string) BucketInfo {
	d := b.doc.Load()
	set := b.settingsNow()
	home := b.homeOf(set.Settings)
	return BucketInfo{d.id, name, d.created.Time(), home.Segment, b.s.SegmentName(home.Segment), d.cutter, set.Settings, set.by.Epoch, b.isHome(set.Settings)}
}

// Info is what the bucket is, under the name it has now.
func (b *Bucket) Info() BucketInfo {
	name := b.doc.Load().name
	for _, v := range b.s.view() {
		if v.doc.id == b.id {
			name = v.name
		}
	}
	if b.frozen != "" {
		name += "@" + b.frozen
	}
	return b.info(name)
}

// Bucket finds a bucket by the name it is listed under, or fails with ErrNoSuchBucket. The name of a bucket, "@" and that of a snapshot of it
// is as [Bucket.At].
func (s *Segment) Bucket(name string) (*Bucket, error) {
	s.names.mu.RLock()
	id, ok := s.names.live[name]
	s.names.mu.RUnlock()
	if ok {
		return s.bucket(id), nil
	}
	if bucket, snapshot, ok := strings.Cut(name, "@"); ok {
		b, err := s.Bucket(bucket)
		if err != nil {
			return nil, err
		}
		return b.at(snapshot)
	}
	for _, v := range s.view() {
		if v.name == name {
			return s.bucket(v.doc.id), nil
		}
	}
	return nil, fmt.Errorf("bucket %q: %w", name, ErrNoSuchBucket)
}

// BucketByID finds a bucket by its id, deleted ones and those of the segment's own too.
func (s *Segment) BucketByID(id BucketID) (*Bucket, error) {
	if b := s.bucket(id); b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("bucket %v: %w", id, ErrNoSuchBucket)
}

// CreateBucket makes a bucket whose home is this segment. Names are those of S3: 3 to 63 lower-case letters, digits, dots and hyphens.
func (s *Segment) CreateBucket(ctx context.Context, name string, o BucketOptions) (*Bucket, error) {
	if !validBucketName(name) {
		return nil, badBucketName(name)
	}
	doc := &bucketDoc{name: name, home: s.cfg.ID, cutter: o.Cutter, settings: DefaultSettings()}
	if o.Cutter == (dedup.Params{}) {
		doc.cutter = s.federation.Cutter()
	}
	if o.Settings != nil {
		doc.settings = *o.Settings
	}
	if doc.settings.Home = (Origin{}); doc.settings.Policy == Home {
		doc.settings.Home = s.Origin()
	}
	if err := doc.settings.validate(); err != nil {
		return nil, err
	}
	if err := doc.cutter.Validate(); err != nil {
		return nil, fmt.Errorf("cutter: %w: %w", err, ErrInvalidArgument)
	}
	for _, random := range [][]byte{doc.id[:], doc.salt[:]} {
		if err := s.random(random); err != nil {
			return nil, err
		}
	}
	return s.announce(ctx, doc)
}

func badBucketName(name string) error {
	return fmt.Errorf("bucket name %q: 3 to 63 lower-case letters, digits, dots and hyphens: %w", name, ErrInvalidName)
}

// announce makes a new bucket known, if no other has its name here.
func (s *Segment) announce(ctx context.Context, doc *bucketDoc) (*Bucket, error) {
	doc.created = s.clock.now()
	unlock, err := s.newName(doc.name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.putDoc(ctx, docBucket+doc.id.String(), doc.appendTo(nil)); err != nil {
		return nil, fmt.Errorf("create bucket %q: %w", doc.name, err)
	}
	return s.bucket(doc.id), nil
}

// newName locks a name that no bucket has here: one of two that create the same name waits, and then finds it.
func (s *Segment) newName(name string) (unlock func(), err error) {
	unlock = s.outer.lock(FederationBucket, name)
	if _, err := s.Bucket(name); err == nil {
		unlock()
		return nil, fmt.Errorf("bucket %q: %w", name, ErrBucketExists)
	}
	return unlock, nil
}

// DeleteBucket removes an empty bucket, at every segment, and the uploads to it that are in progress here. A write that this segment had not seen survives, and the bucket with it.
func (s *Segment) DeleteBucket(ctx context.Context, name string) error {
	b, err := s.Bucket(name)
	if err != nil {
		return err
	}
	return b.drop(ctx, name, nil)
}

// drop deletes the bucket, once: whoever found it too and comes later finds it no more. With discard, unless that refuses it, all that it
// holds goes with it.
func (b *Bucket) drop(ctx context.Context, name string, discard func() error) error {
	b.gate.Lock()
	defer b.gate.Unlock()
	if err := b.markDeleted(ctx, name, discard); err != nil {
		return err
	}
	if err := b.abortUploads(ctx); err != nil {
		return fmt.Errorf("delete the uploads of bucket %q: %w", name, err)
	}
	return nil
}

func (b *Bucket) markDeleted(ctx context.Context, name string, discard func() error) error {
	defer b.lockSnapshots()()
	switch {
	case b.frozen != "":
		return fmt.Errorf("delete bucket %q: %w", name, ErrReadOnly)
	case b.gone():
		return fmt.Errorf("bucket %q: %w", name, ErrNoSuchBucket)
	case len(b.snapshotDocs()) > 0:
		return fmt.Errorf("bucket %q has snapshots: %w", name, ErrBucketNotEmpty)
	case discard == nil && !b.empty():
		return fmt.Errorf("bucket %q: %w", name, ErrBucketNotEmpty)
	}
	var seen []byte
	if discard != nil {
		seen = b.Seen().appendTo(nil)
		if err := discard(); err != nil {
			return err
		}
	}
	if err := b.s.putDoc(ctx, docDeleted+b.id.String(), seen); err != nil {
		return fmt.Errorf("delete bucket %q: %w", name, err)
	}
	return nil
}

// putDoc writes a document of the federation.
func (s *Segment) putDoc(ctx context.Context, key string, data []byte) error {
	_, err := s.federation.put(ctx, Cond{}, Version{Key: key, Data: data}, nil)
	return err
}

// introduce makes the segment known by its name.
func (s *Segment) introduce(ctx context.Context) error {
	if s.Segments()[s.cfg.ID] == s.cfg.Name {
		return nil
	}
	return s.putDoc(ctx, docSegment+s.cfg.ID.String(), []byte(s.cfg.Name))
}

func validBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 || strings.Contains(name, "..") || strings.HasPrefix(name, "xn--") {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	alnum := func(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
	for i := range len(name) {
		if !alnum(name[i]) && name[i] != '-' && name[i] != '.' {
			return false
		}
	}
	return alnum(name[0]) && alnum(name[len(name)-1])
}
