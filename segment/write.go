package segment

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
)

// MaxKey is the longest key, in bytes.
const MaxKey = 1024

// Cond is how a write meets what is there of its key: what must be true for it to happen, judged together with the write, and whether it
// ends a conflict. The zero Cond is always true, and leaves a conflict open.
type Cond struct {
	Absent  bool       // the key has no content; else ErrPrecondition
	Match   []string   // the content has one of these ETags, or any for "*"; ErrNoSuchKey when there is none
	Version *VersionID // the current version is this one
	// Open, unless nil, is all that its writer knows of: the current version and each open loser, in any order. ErrPrecondition when there
	// is another, or one fewer.
	Open []VersionID

	// Resolve makes the write end the key's conflict: it replaces the open losers that this segment has seen as it does the current version.
	// It names them, so one that is written elsewhere without knowledge of this write stays open. A plain write leaves them all open.
	Resolve bool

	// BypassGovernance removes a version, or shortens its retention, although one of governance is not over.
	BypassGovernance bool

	request *answering // that the write is to do; nil for none
}

func (c Cond) check(h head) error {
	v := h.content()
	switch {
	case c.Absent && v != nil:
		return fmt.Errorf("%q exists: %w", v.Key, ErrPrecondition)
	case c.Match != nil && v == nil:
		return ErrNoSuchKey
	case c.Match != nil && !slices.Contains(c.Match, "*") && !slices.Contains(c.Match, v.Attrs.ETag):
		return fmt.Errorf("%q has the ETag %s: %w", v.Key, v.Attrs.ETag, ErrPrecondition)
	case c.Version != nil && (h.current() == nil || h.current().VersionID != *c.Version):
		return fmt.Errorf("the current version is another: %w", ErrPrecondition)
	case c.Open != nil && !h.openExactly(c.Open):
		return fmt.Errorf("the open versions are others: %w", ErrPrecondition)
	}
	return nil
}

func (c Cond) any() bool {
	return c.Absent || c.Match != nil || c.Version != nil || c.Open != nil
}

// checkVersion judges the condition of a version, nil when it is not there, instead of the key's current one.
func (c Cond) checkVersion(v *Version) error {
	if v == nil {
		return c.check(head{})
	}
	return c.check(head{versions: []*Version{v}, count: 1})
}

// plan is a record that has everything but its name and place.
type plan struct {
	b       *Bucket
	r       *record
	own     Dot // the last of this segment's own writes that it was planned in knowledge of
	hint    *hint
	payload []chunk.Chunk
	turn    *turn   // of settings
	locks   *record // the puts whose versions this one locks: what it does is known when they are named
	says    []lock  // for each effect of that
	named   bool    // its record has its name already: see [plan.nameAhead]
	moves   bool    // what it puts was there before, under another key: it gets no lock by the settings
}

// submit names, stamps, logs and applies records as one step. It returns when they are durable and applied.
func (s *Segment) submit(plans ...plan) error {
	return s.submitWith(&entry{}, plans)
}

// submitWith is submit of records that are part of an entry with more.
func (s *Segment) submitWith(e *entry, plans []plan) error {
	plans, err := withLocks(plans)
	if err != nil {
		return err
	}
	pending, err := s.enqueue(e, plans)
	if err != nil {
		return err
	}
	return s.await(pending)
}

// enqueue names and stamps records and appends them to the log. Dots, stamps and log positions of a bucket are in one order: seq is held until
// the log has them, and no longer, for a batch of the log is what many writers have appended.
func (s *Segment) enqueue(e *entry, plans []plan) (*pending, error) {
	s.naming.RLock()
	defer s.naming.RUnlock()
	defer inOrder(plans)()
	e.writes = slices.Grow(e.writes, len(plans))
	for i := range plans {
		w, err := plans[i].write()
		if err != nil {
			return nil, unnamed(plans[:len(e.writes)], err)
		}
		e.writes = append(e.writes, w)
	}
	pending, err := s.append(e)
	return pending, unnamed(plans, err)
}

// inOrder takes seq of the plans' buckets.
func inOrder(plans []plan) (unlock func()) {
	if len(plans) == 1 {
		plans[0].b.seq.Lock()
		return plans[0].b.seq.Unlock
	}
	var all []*Bucket
	for i := range plans {
		all = append(all, plans[i].b)
	}
	slices.SortFunc(all, func(a, b *Bucket) int { return bytes.Compare(a.id[:], b.id[:]) })
	all = slices.Compact(all)
	for _, b := range all {
		b.seq.Lock()
	}
	return func() {
		for _, b := range all {
			b.seq.Unlock()
		}
	}
}

// unnamed takes back the names that were given out, if err says that they are not used.
func unnamed(plans []plan, err error) error {
	for _, p := range plans {
		if err != nil {
			p.b.next -= p.r.dots()
		}
	}
	return err
}

// write names and stamps the plan's record. The caller holds naming and seq.
func (p *plan) write() (write, error) {
	own := p.b.s.Origin()
	if p.own.N > 0 && p.own.Origin != own { // else it is known without being said
		p.r.deps = p.r.deps.With(p.own)
	}
	epoch, err := p.epoch(own)
	if err != nil {
		return write{}, err
	}
	if p.locks != nil {
		p.r.effects = p.locks.locking(p.says)
	}
	if p.named {
		err = p.keepName(epoch)
	} else {
		p.r.name(VersionID{Stamp{epoch, p.b.s.clock.now()}, p.b.nextDot(p.r.dots())})
	}
	if err != nil {
		return write{}, err
	}
	w := write{bucket: p.b.id, record: p.r, hint: p.hint, made: p.payload}
	for _, c := range p.payload {
		w.payload = append(w.payload, c.Data())
	}
	return w, nil
}

// nextDot gives n names of this life out and returns the first. The caller holds naming and seq.
func (b *Bucket) nextDot(n uint64) Dot {
	first := b.lastGiven() + 1
	b.next = first + n - 1
	return Dot{b.s.Origin(), first}
}

// lastGiven is the number of the last name of this life that was given to a write. The caller holds seq.
func (b *Bucket) lastGiven() uint64 {
	if own := b.s.Origin(); b.life != own.Inc {
		b.life, b.next = own.Inc, b.Seen()[own]
	}
	return b.next
}

// name gives the record, and the versions it puts, their ids.
func (r *record) name(id VersionID) {
	r.VersionID = id
	if r.settings != nil {
		r.settings.by = id
	}
	for i := range r.effects {
		if v := r.effects[i].hold; v != nil && v.Dot == (Dot{}) {
			v.VersionID, v.Holds = id, []Dot{id.Dot}
			if r.rename != nil { // it takes a name for each
				id.Dot.N++
			}
		}
	}
}

// planned looks at a key and lets decide say what a write does to it. The caller holds the key's latch and the bucket's gate until the
// plan is submitted and applied.
func (b *Bucket) planned(ctx context.Context, key string, decide func(head, keyView) (effect, error)) (plan, error) {
	v := b.view(key)
	h, err := v.head(ctx, key)
	if err != nil {
		return plan{}, err
	}
	e, err := decide(h, v)
	if err != nil {
		return plan{}, err
	}
	r := &record{deps: v.deps, effects: []effect{e}}
	return plan{b: b, r: r, own: v.own, hint: &hint{key: key, over: v.over, head: h, base: v.base.at}}, nil
}

// entered is what a write of a key holds.
type entered struct{ gate, latch sync.Locker }

// leave ends the write, when it was applied.
func (e *entered) leave() {
	e.latch.Unlock()
	e.gate.Unlock()
}

// enter begins a write of a key: it must leave.
func (b *Bucket) enter(ctx context.Context, key string) (entered, error) {
	if err := checkKey(key); err != nil && b.id != localBucket { // whose keys hold a bucket's id and a key
		return entered{}, err
	}
	if err := b.pass(ctx); err != nil {
		return entered{}, err
	}
	latch := b.s.latches.of(b.id, key)
	latch.Lock()
	return entered{b.gate.RLocker(), latch}, nil
}

// begin is enter without a key: the gate is taken before any latch.
func (b *Bucket) begin(ctx context.Context) (leave func(), err error) {
	if err := b.pass(ctx); err != nil {
		return nil, err
	}
	return b.gate.RUnlock, nil
}

// pass goes through the bucket's gate, when there is room for what is written.
func (b *Bucket) pass(ctx context.Context) error {
	if b.frozen != "" {
		return ErrReadOnly
	}
	if err := b.s.admit(ctx); err != nil {
		return err
	}
	if err := b.Err(); err != nil {
		return err
	}
	b.gate.RLock()
	if err := b.there(); err != nil {
		b.gate.RUnlock()
		return err
	}
	return nil
}

// there is ErrNoSuchBucket of a bucket that is gone. The caller holds the gate.
func (b *Bucket) there() error {
	if b.gone() {
		return fmt.Errorf("bucket %q: %w", b.doc.Load().name, ErrNoSuchBucket)
	}
	return nil
}

// gone says whether the bucket was deleted, and nothing written elsewhere keeps it.
func (b *Bucket) gone() bool {
	b.s.names.mu.RLock()
	defer b.s.names.mu.RUnlock() // a seal is no more only once its document is known
	deleted := b.s.names.deleted[b.id] && len(b.s.names.snapshots[b.id]) == 0
	return deleted && b.spent(b.s.names.ended[b.id])
}

// put writes v, of which its writer fills in all but what the write itself decides.
func (b *Bucket) put(ctx context.Context, c Cond, v Version, payload []chunk.Chunk) (Version, error) {
	return b.putFrom(ctx, c, v, payload, nil)
}

// putFrom is put of content that the home, if it has to, reads from open.
func (b *Bucket) putFrom(ctx context.Context, c Cond, v Version, payload []chunk.Chunk, open func(path []chunk.ID) chunk.Store) (Version, error) {
	out, err := b.write(ctx, &keyWrite{
		does:    "put",
		ask:     Request{verb: verbPut, key: v.Key, cond: c, put: &v},
		payload: payload,
		open:    open,
		plan: func(ctx context.Context, _ string) (plan, outcome, error) {
			p, err := b.planPut(ctx, c, &v, payload)
			return p, outcome{}, err
		},
	})
	if err != nil {
		return Version{}, err
	}
	if v.Dot == (Dot{}) {
		v.settle(out)
	}
	return v, nil
}

// planPut plans the write of put, which is complete when it is done. The caller holds the key's latch.
func (b *Bucket) planPut(ctx context.Context, c Cond, put *Version, payload []chunk.Chunk) (plan, error) {
	key := put.Key
	loser, of, err := b.loserNamed(ctx, key)
	if err != nil {
		return plan{}, err
	}
	var ends []effect
	p, err := b.planned(ctx, key, func(h head, v keyView) (effect, error) {
		seen := h
		if loser != nil && h.content() == nil { // what its client could read under the key, and replaces
			seen = headOf([]*Version{loser})
			ends = []effect{of.dismissal(loser.LoserOf, v.settings.Versioning, loser)}
		}
		if err := c.check(seen); err != nil {
			return effect{}, err
		}
		e := h.address(key, v.settings.Versioning, c.Resolve)
		put.Null = v.settings.Versioning != Versioned
		e.hold = put
		return e, nil
	})
	if err != nil {
		return plan{}, err
	}
	p.payload = payload
	p.r.effects = append(p.r.effects, ends...)
	return p, nil
}

// Deleted is what a delete did.
type Deleted struct {
	Marker  bool      // a delete marker was made, or, when a version was removed, that one was a marker
	Version VersionID // the marker's, or the removed version's
	Null    bool      // it shows as null
}

// Delete hides a key. Where versions of it remain, by versioning or by a conflict, it leaves a marker; else nothing.
func (b *Bucket) Delete(ctx context.Context, key string, c Cond) (Deleted, error) {
	var loser *Version // that is shown under the key, and is what is deleted
	out, err := b.write(ctx, &keyWrite{
		does: "delete",
		ask:  Request{verb: verbDelete, key: key, cond: c},
		aim: func(ctx context.Context) (_ string, err error) {
			if loser, err = b.loserShown(ctx, key, VersionRef{}); loser == nil {
				return key, err
			}
			return loser.LoserOf, nil
		},
		plan: func(ctx context.Context, key string) (p plan, out outcome, err error) {
			if loser != nil {
				p, err = b.planDismissal(ctx, loser, c)
			} else {
				p, err = b.planDelete(ctx, key, c)
			}
			return p, out, err
		},
	})
	return out.deleted(), err
}

func (b *Bucket) planDelete(ctx context.Context, key string, c Cond) (plan, error) {
	return b.planned(ctx, key, func(h head, v keyView) (effect, error) {
		if err := c.check(h); err != nil {
			return effect{}, err
		}
		mode := v.settings.Versioning
		if mode == Unversioned && h.count == 0 {
			return effect{}, errStop
		}
		e := h.address(key, mode, c.Resolve)
		if mode != Unversioned || h.remains(e) {
			e.hold = &Version{Key: key, Null: mode != Versioned, Marker: true}
		}
		return e, nil
	})
}

// Remove takes one version away for ever, and refuses (ErrLocked) what is locked: see [Bucket.Lock]. The condition is of that version. One that is not there is no error, as in S3, unless there is a condition.
func (b *Bucket) Remove(ctx context.Context, key string, ref VersionRef, c Cond) (Deleted, error) {
	out, err := b.write(ctx, &keyWrite{
		does: "remove a version of",
		ask:  Request{verb: verbRemove, key: key, ref: ref, cond: c},
		aim:  func(ctx context.Context) (string, error) { return b.aimed(ctx, key, &ref) },
		plan: func(ctx context.Context, key string) (plan, outcome, error) { return b.planRemoval(ctx, key, ref, c) },
	})
	return out.deleted(), err
}

func (b *Bucket) planRemoval(ctx context.Context, key string, ref VersionRef, c Cond) (plan, outcome, error) {
	var found *Version
	p, err := b.planned(ctx, key, func(h head, v keyView) (e effect, err error) {
		found, err = v.resolve(ctx, key, ref)
		if isMissing(err) && !c.any() {
			return e, errStop
		}
		if err == nil || isMissing(err) {
			err = c.checkVersion(found)
		}
		if err == nil {
			err = found.mayGo(b.s.cfg.Clock(), c.BypassGovernance)
		}
		if err != nil {
			return e, err
		}
		e.key = key
		for _, d := range found.Holds {
			e.gone = append(e.gone, goneHold{found.VersionID, d})
		}
		return e, nil
	})
	if err == errStop {
		return p, outcome{version: ref.ID, null: ref.Null}, err
	}
	if err != nil {
		return p, outcome{}, err
	}
	return p, outcome{version: found.VersionID, null: found.Null, marker: found.Marker}, nil
}

func checkKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("the key is empty: %w", ErrInvalidArgument)
	case !utf8.ValidString(key):
		return fmt.Errorf("the key is not UTF-8, which is all that S3 can list: %w", ErrInvalidArgument)
	case len(key) > MaxKey:
		return fmt.Errorf("the key has %d bytes, more than %d: %w", len(key), MaxKey, ErrInvalidArgument)
	}
	return checkReserved(key)
}

// Writer takes an object's bytes in bounded memory. Nothing is listed before it is committed. It is not safe for concurrent use.
type Writer struct {
	b    *Bucket
	w    *dedup.Writer
	list *dedup.List
	size int64
	part *partTarget // where a part's bytes go
}

// Writer begins an object of size bytes, or of any size when size is negative. It must be committed or aborted.
func (b *Bucket) Writer(ctx context.Context, size int64) *Writer {
	list, stores := b.list()
	w := dedup.NewWriter(ctx, stores, b.domain, b.Cutter(), dedup.Options{SizeHint: max(size, 0), Buffers: b.s.bufs})
	return &Writer{b: b, w: w, list: list}
}

// Write takes p.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.size += int64(n)
	return n, err
}

// ReadFrom takes all of r.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	n, err := w.w.ReadFrom(r)
	w.size += n
	return n, err
}

// Size is how many bytes were written.
func (w *Writer) Size() int64 { return w.size }

// Abort gives up what was not committed. It may always be called.
func (w *Writer) Abort() {
	w.w.Abort()
	w.list.End()
}

// Commit makes what was written a version of key: durable, and listed, when it returns.
func (w *Writer) Commit(ctx context.Context, key string, a Attrs, c Cond) (Version, error) {
	defer w.list.End()
	if err := checkKey(key); err != nil {
		w.Abort()
		return Version{}, err
	}
	m, err := w.w.Finish()
	if err != nil {
		return Version{}, fmt.Errorf("put %q: %w", key, err)
	}
	return w.b.put(ctx, c, Version{Key: key, Content: m, Attrs: a}, w.w.Pending())
}

// Put writes all of body as a version of key.
func (b *Bucket) Put(ctx context.Context, key string, a Attrs, c Cond, body io.Reader) (Version, error) {
	w := b.Writer(ctx, -1)
	defer w.Abort()
	if _, err := w.ReadFrom(body); err != nil {
		return Version{}, fmt.Errorf("put %q: %w", key, err)
	}
	return w.Commit(ctx, key, a, c)
}

// Copy makes src's content a version of key. No payload moves.
func (b *Bucket) Copy(ctx context.Context, src *Object, key string, a Attrs, c Cond) (Version, error) {
	if err := checkKey(key); err != nil {
		return Version{}, err
	}
	if src.b.doc.Load().domain != b.doc.Load().domain {
		return b.Put(ctx, key, a, c, src.reader(ctx))
	}
	list := b.s.sparing.lists.Begin()
	defer list.End()
	defer runtime.KeepAlive(src)
	if err := src.b.pinHeld(ctx, list, &src.v); err != nil {
		return Version{}, fmt.Errorf("copy %q: %w", src.v.Key, err)
	}
	return b.putFrom(ctx, c, Version{Key: key, Content: src.v.Content, Attrs: a, registers: src.v.ownRegisters()}, nil, src.open)
}
