package segment

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Roots that a bucket had are remembered at this segment, at most one in each interval and fewer the older they are: what they reach is not collected.
// They are objects of the local bucket.

// docRoot + bucket id + "/" + the inverted time -> rootEntry: the newest sorts first.
const docRoot = "root/"

// rootEntry is what a bucket was: all that was acknowledged here before the time, and perhaps a little of what came while it was written down.
type rootEntry struct {
	time  HLC
	root  []byte // the root chunk; never empty
	stats counters
}

const rootEntryFormat = 1

func (e *rootEntry) appendTo(b []byte) []byte {
	b = putUint(b, 1, rootEntryFormat)
	b = putFixed(b, 2, uint64(e.time))
	b = putBytes(b, 3, e.root)
	return putSome(b, 4, e.stats.appendTo)
}

func parseRootEntry(b []byte) (*rootEntry, error) {
	e := new(rootEntry)
	format := uint64(0)
	err := eachField("remembered root", b, func(f field) (err error) {
		switch f.num {
		case 1:
			format = f.n
		case 2:
			e.time = HLC(f.n)
		case 3:
			e.root = f.b
			_, err = parseRoot(f.b)
		case 4:
			e.stats, err = parseCounters(f.b)
		default:
			return fmt.Errorf("remembered root field %d: %w", f.num, ErrForeign)
		}
		return err
	})
	if err == nil && (format != rootEntryFormat || len(e.root) == 0) {
		err = fmt.Errorf("remembered root format %d: %w", format, ErrForeign)
	}
	return e, err
}

func (b *Bucket) rootPrefix() string { return docRoot + b.id.String() + "/" }

func (b *Bucket) rootKey(t HLC) string {
	var inverted [8]byte
	binary.BigEndian.PutUint64(inverted[:], ^uint64(t))
	return b.rootPrefix() + hex.EncodeToString(inverted[:])
}

// roots are those that are remembered, the newest first, from a time on back.
func (b *Bucket) roots(ctx context.Context, from HLC) iter.Seq2[*rootEntry, error] {
	return func(yield func(*rootEntry, error) bool) {
		for v, err := range b.s.local.eachCurrent(ctx, b.rootKey(from)) {
			if err == nil && !strings.HasPrefix(v.Key, b.rootPrefix()) {
				return
			}
			var e *rootEntry
			if err == nil {
				e, err = parseRootEntry(v.Data)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// remembering remembers roots, where the configuration says how often. What is due is told by the roots that are remembered and the wall clock:
// however short a segment runs, its buckets are remembered.
func (s *Segment) remembering(ctx context.Context) {
	every := s.cfg.RememberRoots
	if every <= 0 {
		return
	}
	tick := time.NewTicker(max(every/10, time.Second))
	defer tick.Stop()
	due := map[BucketID]time.Time{}
	for {
		s.rememberDue(ctx, every, due)
		select {
		case <-ctx.Done():
			return
		case <-s.failure.ch:
			return
		case <-tick.C:
		}
	}
}

// rememberDue remembers what is due, and notes when each bucket is due next.
func (s *Segment) rememberDue(ctx context.Context, every time.Duration, due map[BucketID]time.Time) {
	now := s.cfg.Clock()
	there := map[BucketID]bool{}
	for _, b := range s.allBuckets() {
		there[b.id] = true
		if ctx.Err() != nil {
			return
		}
		if err := b.rememberDue(ctx, now, every, due); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("the root of a bucket is not remembered, trying again", "bucket", b.id, "error", err)
		}
	}
	maps.DeleteFunc(due, func(id BucketID, _ time.Time) bool { return !there[id] })
}

func (b *Bucket) rememberDue(ctx context.Context, now time.Time, every time.Duration, due map[BucketID]time.Time) error {
	at, ok := due[b.id]
	if !ok {
		last, err := b.lastRoot(ctx, ^HLC(0))
		if err != nil {
			return err
		}
		at = b.dueNext(last, now, every)
	}
	if now.Before(at) {
		due[b.id] = at
		return nil
	}
	due[b.id] = now.Add(every)
	return b.remember(ctx)
}

// dueNext is when the bucket is to be remembered next. A clock that was wrong when it was remembered last does not put that off for long.
func (b *Bucket) dueNext(last *rootEntry, now time.Time, every time.Duration) time.Time {
	since := b.doc.Load().created
	if last != nil {
		since = last.time
	}
	if at := since.Time().Add(every); at.Before(now.Add(every)) {
		return at
	}
	return now.Add(every)
}

// remember writes down what the bucket is now, if it is not what was written down last. It costs a fold of what was written since the last one.
func (b *Bucket) remember(ctx context.Context) error {
	switch {
	case b.id == FederationBucket, b.id == localBucket, b.Err() != nil:
		return nil
	case b.gone():
		return b.forgetRoots(ctx)
	}
	last, err := b.lastRoot(ctx, ^HLC(0))
	if err != nil {
		return err
	}
	now := b.s.clock.now()
	n, err := b.foldNow(ctx)
	defer runtime.KeepAlive(n) // until it is written down
	if err != nil || len(n.bytes) == 0 || last != nil && bytes.Equal(last.root, n.bytes) {
		return err
	}
	e := &rootEntry{now, n.bytes, n.stats}
	if _, err := b.s.local.put(ctx, Cond{}, Version{Key: b.rootKey(now), Data: e.appendTo(nil)}, nil); err != nil {
		return err
	}
	return b.thinRoots(ctx, now.Time())
}

// lastRoot is the newest that is not newer than a time; nil when there is none.
func (b *Bucket) lastRoot(ctx context.Context, from HLC) (*rootEntry, error) {
	for e, err := range b.roots(ctx, from) {
		return e, err
	}
	return nil, nil
}

// How many roots are remembered: all of the last day, one an hour of a month, one a day of what is before that.
const (
	rootsAll    = 24 * time.Hour
	rootsHourly = 30 * 24 * time.Hour
)

// rootSlot is the stretch of time of which one root is kept, the first.
func rootSlot(t, now time.Time) time.Time {
	switch age := now.Sub(t); {
	case age <= rootsAll:
		return t
	case age <= rootsHourly:
		return t.Truncate(time.Hour)
	}
	return t.Truncate(24 * time.Hour)
}

// thinRoots forgets what is not to be remembered any longer. Of what is older than the segment remembers the newest stays: until the next one is as old, it is what
// the bucket was then.
func (b *Bucket) thinRoots(ctx context.Context, now time.Time) error {
	var drop []HLC
	var newer *rootEntry // the one looked at before, and its slot
	var slot time.Time
	past := false
	for e, err := range b.roots(ctx, ^HLC(0)) {
		if err != nil {
			return err
		}
		if past {
			drop = append(drop, e.time)
			continue
		}
		past = now.Sub(e.time.Time()) > b.s.cfg.RememberFor
		at := rootSlot(e.time.Time(), now)
		if newer != nil && at.Equal(slot) && now.Sub(e.time.Time()) > rootsAll {
			drop = append(drop, newer.time)
		}
		newer, slot = e, at
	}
	return b.dropRoots(ctx, drop)
}

// forgetOld forgets, of each bucket, what is not to be remembered any longer: of those that nobody writes to, too.
func (s *Segment) forgetOld(ctx context.Context) error {
	now := s.cfg.Clock()
	for _, b := range s.allBuckets() {
		if b.id == FederationBucket || b.id == localBucket {
			continue
		}
		var err error
		if b.gone() || s.cfg.RememberFor < 0 {
			err = b.forgetRoots(ctx)
		} else {
			err = b.thinRoots(ctx, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Bucket) forgetRoots(ctx context.Context) error {
	var drop []HLC
	for e, err := range b.roots(ctx, ^HLC(0)) {
		if err != nil {
			return err
		}
		drop = append(drop, e.time)
	}
	return b.dropRoots(ctx, drop)
}

func (b *Bucket) dropRoots(ctx context.Context, times []HLC) error {
	for _, t := range times {
		if _, err := b.s.local.Delete(ctx, b.rootKey(t), Cond{}); err != nil {
			return err
		}
	}
	return nil
}

// asOf is the bucket as it was at a time, as far as that is remembered here: the last remembered root, snapshot, or beginning of a branch that is
// not newer. Its name and [Bucket.State] say which time that is. Its metadata is whole; content that this segment never had may be had from nobody
// any more.
func (b *Bucket) asOf(ctx context.Context, t time.Time) (*Bucket, error) {
	limit := hlcAt(t.Add(time.Millisecond)) - 1
	found, err := b.lastState(ctx, limit)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, b.nothingAsOf(ctx, t)
	}
	f, err := b.freeze(found, moment(found.created.Time()))
	if err != nil {
		return nil, err
	}
	f.state.Asked = t.UTC()
	return f, nil
}

// lastState is the newest state that is remembered here and not newer than a time; nil when there is none.
func (b *Bucket) lastState(ctx context.Context, limit HLC) (*snapshotDoc, error) {
	var found *snapshotDoc
	e, err := b.lastRoot(ctx, limit)
	if err != nil {
		return nil, err
	}
	if e != nil {
		found = e.state(b.id)
	}
	for _, d := range b.statesKept() {
		if d.created <= limit && (found == nil || d.created > found.created) {
			found = d
		}
	}
	return found, nil
}

func (e *rootEntry) state(b BucketID) *snapshotDoc {
	return &snapshotDoc{bucket: b, created: e.time, root: e.root, stats: e.stats}
}

// statesKept are the snapshots that were made here, and the beginning of a branch: states of the bucket as it was here.
func (b *Bucket) statesKept() (out []*snapshotDoc) {
	for _, d := range slices.Concat(b.s.names.snapshotsOf(b.id), b.doc.Load().beginnings()) {
		if d.by == b.s.cfg.ID && b.s.hasSnapshot(d.id) {
			out = append(out, d)
		}
	}
	return out
}

// nothingAsOf says which state is the first that is remembered.
func (b *Bucket) nothingAsOf(ctx context.Context, t time.Time) error {
	first := ^HLC(0)
	for _, d := range b.statesKept() {
		first = min(first, d.created)
	}
	for e, err := range b.roots(ctx, ^HLC(0)) { // some 1,200 at the most
		if err != nil {
			return err
		}
		first = min(first, e.time)
	}
	e := &NotRememberedError{Bucket: b.doc.Load().name, Asked: t}
	if first != ^HLC(0) {
		e.First = first.Time()
	}
	return e
}

// NotRememberedError is ErrNoSuchSnapshot for a time before all that is remembered at this segment.
type NotRememberedError struct {
	Bucket string
	Asked  time.Time
	First  time.Time // the earliest state; zero: there is none yet
}

func (e *NotRememberedError) Error() string {
	if e.First.IsZero() {
		return fmt.Sprintf("bucket %q as of %s: nothing is remembered here yet", e.Bucket, moment(e.Asked))
	}
	return fmt.Sprintf("bucket %q as of %s: what is remembered here begins at %s", e.Bucket, moment(e.Asked), moment(e.First))
}

// Unwrap is ErrNoSuchSnapshot.
func (e *NotRememberedError) Unwrap() error { return ErrNoSuchSnapshot }

// State says which state of its bucket one is that was found as a snapshot or as of a time.
type State struct {
	Time  time.Time // when the bucket was so
	Asked time.Time // the time that was asked for; zero where a snapshot was named
}

// State is false for a bucket as it is now.
func (b *Bucket) State() (State, bool) { return b.state, b.frozen != "" }

func (d *bucketDoc) beginnings() []*snapshotDoc {
	if o := d.beginning(); o != nil {
		return []*snapshotDoc{o}
	}
	return nil
}

// moment is a time as a state of a bucket is called by it.
func moment(t time.Time) string { return t.UTC().Format(momentFormat) }

const momentFormat = "2006-01-02T15:04:05.000Z07:00"

// momentFormats are how a time can be written behind a bucket's name. Those without a zone are UTC; a time means its beginning.
func momentFormats() []string {
	return []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02", "20060102T150405Z", "20060102T150405", "20060102"}
}

// parseMoment reads a time, or how long ago it was: 90s, 15m, 2h, 3d, 1w.
func parseMoment(s string, now time.Time) (time.Time, bool) {
	for _, f := range momentFormats() {
		if t, err := time.Parse(f, s); err == nil {
			return t, true
		}
	}
	ago, ok := ParseSpan(s)
	return now.Add(-ago), ok
}
