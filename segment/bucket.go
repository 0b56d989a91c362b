package segment

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
)

// Bucket is one bucket at this segment. It is safe for concurrent use.
//
// Its state is a base, the trees of the last fold, and an ordered overlay of what the records since made of each key they touched. The
// log's goroutine alone changes it, under mu; whoever reads takes what it needs under mu and then works on immutable values.
type Bucket struct {
	s      *Segment
	id     BucketID
	doc    atomic.Pointer[bucketDoc]
	domain chunk.Domain
	chunks dedup.Stores // what is durable here: for [Bucket.list] to open
	stores dedup.Stores // the same, to read from; and nodes are written to, see [Segment.weave]
	trees  trees

	settings atomic.Pointer[settingsRecord] // stored under mu; what it points to is never changed

	unborn     atomic.Bool // a branch whose first root's nodes are not known to be here
	tried      atomic.Bool // whether all of it is here, before a peer is asked
	frozen     string      // name of the snapshot that this is, see freeze; else empty
	state      State       // of a snapshot
	snapshotID SnapshotID  // of a snapshot
	sealedIn   *Bucket     // of a snapshot that was a seal of that bucket when this was made

	forwarding chan struct{} // one for each write that the home is asked for

	open openFiles // by file clients

	intake sync.RWMutex // who takes in what peers have shares it, until that is applied; a rename excludes them
	gate   sync.RWMutex // writers share it until their write is applied; a rename, and deleting the bucket, exclude them
	fold   sync.Mutex   // one fold or merge at a time
	ends   sync.Mutex   // of seals: whoever ends one, by its document or by deleting it, finds it and commits that under it; taken after fold

	taken sync.Mutex                  // guards took
	took  map[time.Duration]time.Time // the last moment of each rule of the schedule that a snapshot was taken of since the start

	mergers sync.Mutex // of a branch: one merge with its parent at a time, whichever way

	folded time.Time // when the last fold for a peer was; guarded by fold

	seq  sync.Mutex // order of dots, stamps and log positions
	next uint64     // last dot number given out in life: see lastGiven
	life uint32

	mu      sync.RWMutex
	base    *base
	overlay *overlay
	layers  []layer // what the overlay has of the records behind positions that are or may be folded; see [Bucket.beginLayer]
	tail    tail
	others  Vector // what has been seen of other origins; replaced, never changed
	applied uint64 // of this life's writes
	done    doneList
	since   uint64 // log position up to which the settings were applied
	stats   counters
	sizes   sizes
	last    uint64      // log position of the last entry that touched the bucket
	settled uint64      // log position up to which the base is all of the bucket, whatever it covers: the log may have been cut there
	cost    int64       // bytes of memory in overlay and tail, about, but for
	renamed int64       // what renames take there
	seals   []*seal     // snapshots without a root, in the order of the log; the slice is replaced, never changed
	patient bool        // entries are applied with what peers have, too: not by the log's goroutine, which waits for nobody
	ailing  atomic.Bool // something of the trees was lost and not mended: see Ailing
	room    [512]byte   // to work in: see packKey
	broken  error       // why entries can no longer be applied; what is here is then not to be believed
}

func newBucket(s *Segment, id BucketID, doc *bucketDoc) *Bucket {
	b := &Bucket{s: s, id: id, domain: s.domainOf(doc.domain), overlay: newOverlay(), others: Vector{},
		forwarding: make(chan struct{}, maxForwards)}
	b.doc.Store(doc)
	b.chunks = dedup.Stores{Data: chunk.Wishing(s.cfg.Chunks.Open(b.domain, chunk.Data), b.compression), Meta: s.cfg.Chunks.Open(b.domain, chunk.Meta)}
	b.stores = dedup.Stores{Data: unlisted{b.chunks.Data}, Meta: woven{b.chunks.Meta, s}}
	b.trees = newTrees(b)
	b.settings.Store(&settingsRecord{Settings: doc.settings})
	b.start()
	return b
}

// compression is how the bucket's content is to be stored.
func (b *Bucket) compression() chunk.Compression { return b.settings.Load().Compression }

// newBase is the base that a fold or merge names.
func (b *Bucket) newBase(at uint64, f foldItem) (*base, error) {
	out := &base{at: at, covers: f.covers, bytes: f.root, stats: f.stats}
	if len(f.root) == 0 { // a bucket that was never folded
		out.root = root{seen: Vector{}, settings: settingsRecord{Settings: b.doc.Load().settings}}
	} else {
		var err error
		if out.root, err = parseRoot(f.root); err != nil {
			return nil, fmt.Errorf("bucket %v: %w", b.id, err)
		}
		out.root.settings = b.begun(out.root.settings)
		out.id = b.domain.Name(f.root)
	}
	b.plant(out)
	return out, nil
}

// setBase makes base the bucket's, with nothing over it. The caller holds mu, or is alone.
func (b *Bucket) setBase(n *base) {
	b.base, b.stats, b.since, b.done = n, n.stats, max(n.at, n.covers), n.root.done
	b.sizes = sizesOf(n)
	b.set(n.root.settings)
	gone := b.tail.seq() + 1 // all may be other than it was
	b.overlay, b.layers, b.tail, b.cost, b.renamed = newOverlay(), nil, tail{gone: gone}, 0, 0
	b.setSeen(n.seen)
	b.last = max(b.last, n.covers)
}

// set makes s the settings. The caller holds mu, or is alone.
func (b *Bucket) set(s settingsRecord) { b.settings.Store(&s) }

// setSeen makes c what was seen. The caller holds mu, or is alone.
func (b *Bucket) setSeen(c Vector) {
	own := b.s.Origin()
	b.others = c.Clone()
	b.applied = b.others[own]
	delete(b.others, own)
}

// seen is C. The caller holds mu.
func (b *Bucket) seenLocked() Vector {
	if b.applied == 0 {
		return b.others
	}
	return b.others.With(Dot{b.s.Origin(), b.applied})
}

// Seen is what this segment has seen of the bucket.
func (b *Bucket) Seen() Vector {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.seenLocked()
}

// snapshot is the bucket at one moment, for whoever reads more than one key.
type snapshot struct {
	base    *base
	overlay *overlay
}

func (b *Bucket) snapshot() snapshot {
	b.mu.Lock() // Copy marks the map's nodes as shared
	defer b.mu.Unlock()
	return snapshot{b.base, b.overlay.Copy()}
}

// keyView is a key at one moment.
type keyView struct {
	base     *base
	over     *overlayKey
	deps     Vector // seen of other origins
	own      Dot    // the last write of this life that is in it
	settings *settingsRecord
}

func (b *Bucket) view(key string) keyView {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.viewLocked(key)
}

func (b *Bucket) viewLocked(key string) keyView {
	over, _ := b.overlay.Get(key)
	return keyView{b.base, over, b.others, Dot{b.s.Origin(), b.applied}, b.settings.Load()}
}

func (v keyView) head(ctx context.Context, key string) (head, error) {
	if v.over != nil {
		return v.over.head(key)
	}
	return v.base.headOf(ctx, key)
}

// version looks one version up, nil when it is not held.
func (v keyView) version(ctx context.Context, key string, id VersionID) (*Version, error) {
	d, err := v.over.delta(key)
	if err != nil {
		return nil, err
	}
	if w, ok, err := d.find(key, id); ok || err != nil {
		return w.now, err
	}
	return v.base.version(ctx, key, id)
}

// Err is why the bucket cannot be read or written: a part of its trees is damaged and could not be read when it was needed. Other buckets go
// on; this one's records stay in the log, and a start tries again. Or it is a branch that has not begun here. It is ErrUnavailable.
func (b *Bucket) Err() error {
	if err := b.waits(); err != nil {
		return err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.broken
}

// breakOff makes the bucket unavailable. The caller holds mu.
func (b *Bucket) breakOff(pos uint64, err error) error {
	if b.broken == nil {
		b.broken = fmt.Errorf("bucket %v stops at log position %d: %w: %w", b.id, pos, ErrUnavailable, err)
		b.s.cfg.Logger.Error("a bucket is unavailable", "bucket", b.id, "error", b.broken)
	}
	return b.broken
}

// ID names the bucket for ever.
func (b *Bucket) ID() BucketID { return b.id }

// Settings are the bucket's, as far as this segment has seen them.
func (b *Bucket) Settings() Settings { return b.settings.Load().Settings }

// Cutter is how the bucket's content is cut, alike at all segments.
func (b *Bucket) Cutter() dedup.Params { return b.doc.Load().cutter }

// BucketStats are sums over a bucket.
type BucketStats struct {
	Objects   int64    `json:"objects"`   // keys that a listing shows
	Bytes     int64    `json:"bytes"`     // their sizes
	Versions  int64    `json:"versions"`  // versions held, delete markers too
	Conflicts int64    `json:"conflicts"` // keys in conflict
	Root      chunk.ID `json:"root"`      // of the last fold
	Pending   int      `json:"pending"`   // keys written since
	Seen      Vector   `json:"-"`
}

// Stats answers from memory. Root is that of the last fold: [Bucket.Fold] brings it up to date.
func (b *Bucket) Stats() BucketStats {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := b.stats
	return BucketStats{s.objects, s.bytes, s.versions, s.conflicts(), b.base.id, b.overlay.Len(), b.seenLocked()}
}

// apply makes one record, which is raw in the log, part of the state. The caller holds mu and has checked nothing.
func (b *Bucket) apply(ctx context.Context, pos uint64, r *record, h *hint, raw []byte) error {
	if b.has(r.last()) {
		return nil
	}
	if r.expands() && r.effects == nil {
		var err error
		if h, err = b.expandHere(ctx, r); err != nil {
			return fmt.Errorf("bucket %v: apply %v: %w", b.id, r.Dot, err)
		}
	}
	b.see(r.last())
	cost := b.cost
	for i := range r.effects {
		if err := b.applyEffect(ctx, r, i, h); err != nil {
			return fmt.Errorf("bucket %v: apply %v: %w", b.id, r.Dot, err)
		}
	}
	if r.settings != nil {
		b.set(b.settings.Load().newer(*r.settings))
		b.since = pos
	}
	b.done = b.done.after(r)
	weight := int64(0)
	if r.expands() { // it is accounted for beside the others
		weight, b.cost = b.cost-cost, cost
	}
	b.tail.add(pos, raw, weight)
	b.cost += int64(len(raw)) + recordCost
	b.renamed += weight
	b.last = pos
	return nil
}

// has says whether a write is in the state. The caller holds mu.
func (b *Bucket) has(d Dot) bool {
	if d.Origin == b.s.Origin() {
		return d.N <= b.applied
	}
	return b.others.Has(d)
}

// see makes a write one that is in the state.
func (b *Bucket) see(d Dot) {
	if d.Origin == b.s.Origin() {
		b.applied = d.N
	} else {
		b.others = b.others.With(d)
	}
}

// recordCost is what a record keeps in memory beyond its encoded bytes and the overlay's keys, in bytes, about.
const recordCost = 40

func (b *Bucket) applyEffect(ctx context.Context, r *record, i int, h *hint) error {
	e := &r.effects[i]
	over, _ := b.overlay.Get(e.key)
	base := b.base.here
	if b.patient {
		base = b.base
	}
	v := keyView{base: base, over: over}
	was, ok := h.valid(r, i, over, b.base.at)
	if !ok {
		var err error
		if was, err = v.head(ctx, e.key); err != nil {
			return err
		}
	}
	find := func(id VersionID) (*Version, error) {
		for _, w := range was.versions {
			if w.VersionID == id {
				return w, nil
			}
		}
		if was.count == len(was.versions) {
			return nil, nil
		}
		return v.version(ctx, e.key, id)
	}
	changes, err := e.changes(r, find)
	if err != nil {
		return err
	}
	d, err := over.deltaOf(e.key, was)
	if err != nil {
		return err
	}
	d = d.with(changes)
	now, err := was.after(changes, func() (*Version, error) {
		// What was current went, and all that is newer went before it: who removes a key's versions one by one must not pass them each time.
		for v, err := range base.versionsOver(ctx, d, e.key, &was.current().VersionID) {
			return v, err
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	b.stats.moved(was, now)
	b.sizes.changed(changes)
	b.crowds(e.key, now)
	return b.lay(e.key, over, packKey(b.room[:], now, d), now, changes)
}

// lay puts a key into the overlay, and what changed since the last layer began into that.
func (b *Bucket) lay(key string, was, now *overlayKey, h head, changes []change) error {
	if was == nil {
		key = strings.Clone(key) // which may be a part of something larger
	}
	b.cost += now.memory(key) - was.memory(key)
	b.overlay.Set(key, now)
	if len(b.layers) == 0 {
		return nil
	}
	young := b.layers[len(b.layers)-1].over
	if y, _ := young.Get(key); y != was {
		d, err := y.delta(key)
		if err != nil {
			return err
		}
		now = packKey(b.room[:], h, d.with(changes))
	}
	young.Set(key, now)
	return nil
}

// valid gives the head that the writer planned with, if it is still the key's.
func (h *hint) valid(r *record, i int, over *overlayKey, at uint64) (head, bool) {
	key := r.effects[i].key
	switch {
	case h == nil:
		return head{}, false
	case h.heads != nil: // the record itself may have changed the key
		return h.heads[i], i == 0 || r.effects[i-1].key != key
	}
	return h.head, h.key == key && h.over == over && (over != nil || h.base == at)
}
