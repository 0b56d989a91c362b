package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Debt is a bucket that the feed from a peer passes over: some of what came of it could not be taken in, and a sync must bring it.
type Debt struct {
	Bucket BucketID
	Since  time.Time
}

// maxDebts bounds what is remembered of a peer's buckets.
const maxDebts = 4096

// inbox is what comes from one peer.
type inbox struct {
	moving sync.Mutex          // held while the peer's cursor moves or its debts change
	passed map[BucketID]Vector // of debts: what was passed over since the start; what was before is in whatever the peer offers now
}

func (s *Segment) inbox(peer ID) *inbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.inboxes[peer]
	if in == nil {
		in = &inbox{passed: map[BucketID]Vector{}}
		s.inboxes[peer] = in
	}
	return in
}

// received is how far a peer's feed was taken in.
func (s *Segment) received(peer ID) cursorItem {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.cursors[peer]
	c.peer = peer
	return c
}

// Cursor is where the feed from a peer stands; false when there has been none.
func (s *Segment) Cursor(peer ID) (Cursor, bool) {
	c := s.received(peer).Cursor
	return c, c.Inc != 0
}

// SetCursor makes the feed from a peer go on from c. Debts stay.
func (s *Segment) SetCursor(_ context.Context, peer ID, c Cursor) error {
	in := s.inbox(peer)
	in.moving.Lock()
	defer in.moving.Unlock()
	have := s.received(peer)
	if have.Cursor == c {
		return nil
	}
	if have.Inc != c.Inc { // a life that may have lost what was passed over
		clear(in.passed)
	}
	return s.commit(&entry{cursors: []cursorItem{{peer: peer, Cursor: c}}})
}

// Debts are the buckets that the feed from a peer passes over, the one of longest standing first.
func (s *Segment) Debts(peer ID) []Debt { return slices.Clone(s.received(peer).debts) }

func (c *cursorItem) owes(id BucketID) bool {
	return slices.ContainsFunc(c.debts, func(d Debt) bool { return d.Bucket == id })
}

// PassOver makes the feed from a peer pass over a bucket, which is then owed a sync: whatever comes of it is skipped until an [Segment.Adopt]
// of what the peer has brings all that was. It is durable when PassOver returns, so before the cursor moves on.
func (s *Segment) PassOver(_ context.Context, peer ID, id BucketID) error {
	in := s.inbox(peer)
	in.moving.Lock()
	defer in.moving.Unlock()
	c := s.received(peer)
	switch {
	case c.owes(id):
		return nil
	case id == localBucket, len(c.debts) >= maxDebts:
		return fmt.Errorf("pass over bucket %v: %w", id, ErrRefused)
	}
	c.debts = []Debt{{id, s.cfg.Clock().Round(0).UTC()}}
	return s.commit(&entry{cursors: []cursorItem{c}})
}

// settle ends a debt when all that was passed over is here.
func (s *Segment) settle(peer ID, id BucketID) error {
	in := s.inbox(peer)
	in.moving.Lock()
	defer in.moving.Unlock()
	c := s.received(peer)
	if !c.owes(id) || !s.bucket(id).Seen().Covers(in.passed[id]) {
		return nil
	}
	c.debts, c.paid = nil, []BucketID{id}
	if err := s.commit(&entry{cursors: []cursorItem{c}}); err != nil {
		return err
	}
	delete(in.passed, id)
	return nil
}

// passOver skips an item of a bucket that is owed.
func (in *inbox) passOver(item FeedItem) {
	seen := in.passed[item.Bucket]
	if len(item.Record) == 0 {
		in.passed[item.Bucket] = seen.Join(item.Mark)
	} else {
		in.passed[item.Bucket] = seen.With(item.Dot)
	}
}

// Receive takes a peer's feed items in: those that are new become one entry, durable and applied when it returns, that also moves the cursor
// to next; two entries where the first makes a bucket that the second writes to. What is known already is skipped, and so is what is of a
// bucket that is passed over ([Segment.PassOver]).
//
// It fails with a *[DoubtError] when item done needs its bucket synced first, and with a *[StopError] when that item cannot be taken in at
// all: the items before it are committed and the cursor stands at it. It fails with ErrClockAhead when a stamp lies too far ahead: the
// cursor is not moved to it.
func (s *Segment) Receive(ctx context.Context, peer ID, items []FeedItem, next Cursor) (done int, err error) {
	if err := s.admit(ctx); err != nil {
		return 0, err
	}
	in := s.inbox(peer)
	in.moving.Lock()
	defer in.moving.Unlock()
	r := receipt{s: s, in: in, at: s.received(peer), life: next.Inc}
	r.begin()
	defer r.release()
	for i, item := range items {
		if halt := r.take(ctx, item, i); halt != nil {
			next.Pos = item.Pos
			return r.halted(i, next, halt)
		}
	}
	if len(r.e.writes) == 0 {
		return len(items), nil
	}
	if err := r.commit(next); err != nil {
		return 0, err
	}
	return len(items), nil
}

// receipt is a batch of a feed that is being taken in.
type receipt struct {
	s    *Segment
	in   *inbox
	at   cursorItem
	life uint32 // of the peer
	e    *entry
	seen map[BucketID]Vector // what will be seen of each bucket when the entry is applied
	set  map[BucketID]settingsRecord
	held []*Bucket // whose intake is shared until then
}

func (r *receipt) begin() {
	r.e, r.seen, r.set = &entry{}, map[BucketID]Vector{}, map[BucketID]settingsRecord{}
}

// settings are those of a bucket that an item of the batch finds.
func (r *receipt) settings(b *Bucket) settingsRecord {
	if s, ok := r.set[b.id]; ok {
		return s
	}
	return b.settingsNow()
}

func (r *receipt) commit(to Cursor) error {
	r.at.Cursor = to
	r.e.cursors = []cursorItem{{peer: r.at.peer, Cursor: to}}
	err := r.s.commit(r.e)
	r.begin()
	r.release()
	return err
}

// share takes part in a bucket's intake. Whoever waits for that holds no other bucket's: what was taken of it is committed before.
func (r *receipt) share(b *Bucket, at Cursor) error {
	if slices.Contains(r.held, b) {
		return nil
	}
	if !b.intake.TryRLock() {
		if err := r.flush(at); err != nil {
			return err
		}
		b.intake.RLock()
	}
	r.held = append(r.held, b)
	return nil
}

func (r *receipt) release() {
	for _, b := range r.held {
		b.intake.RUnlock()
	}
	r.held = nil
}

// flush commits what was taken, if anything, and lets go of all buckets.
func (r *receipt) flush(to Cursor) error {
	if len(r.e.writes) > 0 {
		return r.commit(to)
	}
	r.begin()
	r.release()
	return nil
}

// halted commits what came before item i, at which the cursor is to stand, where the item's bucket is the matter and not the segment.
func (r *receipt) halted(i int, to Cursor, halt error) (done int, err error) {
	var doubt *DoubtError
	var stop *StopError
	if !errors.As(halt, &doubt) && !errors.As(halt, &stop) {
		return 0, fmt.Errorf("receive from %v at %d: %w", r.at.peer, to.Pos, halt)
	}
	if len(r.e.writes) > 0 || r.at.Cursor != to {
		if err := r.commit(to); err != nil {
			return 0, err
		}
	}
	return i, halt
}

// take adds an item to the entry, unless it is known or passed over.
func (r *receipt) take(ctx context.Context, item FeedItem, i int) error {
	s := r.s
	if r.at.owes(item.Bucket) {
		r.in.passOver(item)
		return nil
	}
	if s.bucket(item.Bucket) == nil { // its document may be in this very entry
		if err := r.flush(Cursor{r.life, item.Pos}); err != nil {
			return err
		}
	}
	b := s.bucket(item.Bucket)
	if b == nil {
		return &DoubtError{FederationBucket, i} // which says what bucket that is
	}
	ok, err := r.admit(ctx, b, item)
	switch {
	case ok:
		return nil
	case err == nil:
		return &DoubtError{item.Bucket, i}
	case ctx.Err() != nil, errors.Is(err, ErrClockAhead), errors.Is(err, ErrClosed), s.failure.get() != nil, s.log.Err() != nil:
		return err
	}
	return &StopError{item.Bucket, i, err}
}

// admit adds an item of a bucket to the entry; false when it cannot be applied yet.
func (r *receipt) admit(ctx context.Context, b *Bucket, item FeedItem) (bool, error) {
	if !b.Linked() {
		return false, fmt.Errorf("bucket %v: %w", item.Bucket, ErrRefused)
	}
	if b.waits() != nil { // a sync begins it
		return false, nil
	}
	if err := b.Err(); err != nil {
		return false, err
	}
	if err := r.share(b, Cursor{r.life, item.Pos}); err != nil {
		return false, err
	}
	c, ok := r.seen[b.id]
	if !ok {
		c = b.Seen().Clone()
		r.seen[b.id] = c
	}
	if len(item.Record) == 0 {
		return c.Covers(item.Mark), nil
	}
	raw := bytes.Clone(item.Record)
	rec, err := parseRecord(raw)
	if err != nil {
		return false, err
	}
	if c.Has(rec.last()) {
		return true, nil
	}
	if err := rec.check(); err != nil {
		return false, err
	}
	if rec.HLC > r.s.clock.bound() {
		return false, fmt.Errorf("record %v of %v: %w", rec.Dot, rec.Time(), ErrClockAhead)
	}
	if rec.Dot.Origin == r.s.Origin() {
		if b.gave(rec.last()) { // on its way through our log
			return true, nil
		}
		if err := r.s.newLife(rec.Dot.Inc + 1); err != nil {
			return false, err
		}
	}
	if !c.Covers(rec.deps) || c[rec.Dot.Origin] != rec.Dot.N-1 {
		return false, nil
	}
	set := r.settings(b)
	if err := rec.checkEpoch(set.by.Epoch); err != nil {
		return false, err
	}
	if rec.settings != nil {
		if err := b.checkSettings(*rec.settings); err != nil {
			return false, err
		}
		r.set[b.id] = set.newer(*rec.settings)
	}
	if rec.request != nil {
		if err := b.doneNow().check(); err != nil {
			return false, err
		}
	}
	if rec.expands() {
		return r.rename(ctx, b, write{bucket: b.id, record: rec, raw: raw}, Cursor{r.life, item.Pos})
	}
	for i := range rec.effects { // bring the heads into the cache, not to read them under the bucket's lock
		if _, err := b.view(rec.effects[i].key).head(ctx, rec.effects[i].key); err != nil {
			return false, err
		}
	}
	c[rec.Dot.Origin] = rec.last().N
	r.e.writes = append(r.e.writes, write{bucket: b.id, record: rec, raw: raw})
	return true, nil
}
