package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

// RepairReport is what became of chunks that were found damaged.
type RepairReport struct {
	Repaired int64       // that came from elsewhere, since the start
	Chunks   int         // that are lost
	Lost     []LostChunk // what names these, as far as it is known; not more than maxLostTold
	Failed   string      // why that is not known
	At       time.Time   // when it was looked; zero: not since the start
}

// LostChunk says who names a chunk that is lost, and why it is not repaired.
type LostChunk struct {
	Chunk   chunk.ID
	Bucket  string // as listed; a snapshot of it as bucket@name
	Key     string // of the object; empty for a part of the bucket's trees
	Version string
	Why     string
}

// maxLostTold bounds what a report names.
const maxLostTold = 1000

// attempt is the last one to repair what is lost.
type attempt struct {
	left  int // lost chunks that there were afterwards
	ended time.Time
	took  time.Duration
}

// repairPause is how many times as long as the last attempt took nothing is tried again while a scrub finds more: each goes through all metadata.
const repairPause = 10

// repairing repairs what is lost as a scrub finds it, and what could not be repaired now and then, until over is closed.
func (s *Segment) repairing(ctx context.Context, found, over <-chan struct{}) {
	for last := false; ; {
		s.repairDue(ctx, last)
		if last || ctx.Err() != nil {
			return
		}
		select {
		case <-found:
		case <-over:
			last = true
		case <-ctx.Done():
			return
		}
	}
}

// repairDue repairs if it is time to; what was found by the end of a scrub is not put off.
func (s *Segment) repairDue(ctx context.Context, last bool) {
	lost, err := s.cfg.Scrubber.Lost(ctx, s.domains())
	if err == nil && len(lost) > 0 && s.scrubs.tried.over(s.cfg.Clock(), len(lost), last) {
		began := s.cfg.Clock()
		err = s.repair(ctx, lost)
		ended := s.cfg.Clock()
		s.scrubs.tried = attempt{s.scrubs.left(), ended, ended.Sub(began)}
		if err == nil {
			_, err = s.cfg.Scrubber.Lost(ctx, s.domains()) // which forgets what came back
		}
	}
	if err != nil && ctx.Err() == nil {
		s.cfg.Logger.Warn("damaged chunks are not repaired, trying again", "error", err)
	}
}

// left is what the last attempt left: what was found since is another's.
func (k *scrubs) left() int { k.mu.Lock(); defer k.mu.Unlock(); return k.report.Chunks }

// over says whether it is time for another attempt, of that many.
func (t attempt) over(now time.Time, lost int, last bool) bool {
	since := now.Sub(t.ended)
	pause := repairPause * t.took
	if t.ended.IsZero() || since < 0 || since >= max(repairRetry, pause) {
		return true
	}
	return lost != t.left && (last || since >= pause)
}

// repair is one attempt.
type repair struct {
	s      *Segment
	left   map[chunk.ID]chunk.Lost
	report RepairReport
	idle   int  // chunks that nothing names
	deaf   bool // no other segment answers
}

// repair looks for all that is lost: in another place here, then at the peers, on behalf of what names it.
func (s *Segment) repair(ctx context.Context, lost []chunk.Lost) error {
	r := &repair{s: s, left: map[chunk.ID]chunk.Lost{}, report: RepairReport{At: s.cfg.Clock()}}
	for _, l := range lost {
		r.left[l.ID] = l
	}
	before := len(r.left)
	err := r.run(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.report.Chunks = len(r.left)
	if err != nil {
		r.report.Failed = err.Error()
	}
	s.scrubs.note(func(k *scrubs) {
		k.repaired += int64(before - len(r.left) - r.idle)
		r.report.Repaired = k.repaired
		k.report = r.report
	})
	return err
}

func (r *repair) run(ctx context.Context) error {
	if err := r.here(ctx); err != nil || len(r.left) == 0 {
		return err
	}
	var failed error
	for _, b := range r.s.allBuckets() {
		failed = errors.Join(failed, r.bucket(ctx, b))
		if ctx.Err() != nil || len(r.left) == 0 {
			return ctx.Err()
		}
	}
	if err := r.settle(ctx); err != nil {
		return errors.Join(failed, err)
	}
	return nil // what could not be read was of no matter
}

// here puts chunks back of which a copy is here, that is only cached, or waits to be put.
func (r *repair) here(ctx context.Context) error {
	byPlace := map[chunk.Class]map[chunk.ID][]chunk.Lost{}
	for _, l := range r.left {
		if byPlace[l.Class] == nil {
			byPlace[l.Class] = map[chunk.ID][]chunk.Lost{}
		}
		tag := l.Domain.Tag()
		byPlace[l.Class][tag] = append(byPlace[l.Class][tag], l)
	}
	for class, domains := range byPlace {
		for _, some := range domains {
			store := r.s.cfg.Chunks.Open(some[0].Domain, class)
			for part := range slices.Chunk(some, 64) {
				if err := r.back(ctx, store, part); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *repair) back(ctx context.Context, store chunk.Store, lost []chunk.Lost) error {
	ids := make([]chunk.ID, len(lost))
	for i, l := range lost {
		ids[i] = l.ID
	}
	var got []chunk.Chunk
	_ = store.Get(ctx, ids, func(c chunk.Chunk) error { got = append(got, c.Clone()); return nil }) // what it does not give is lost
	if len(got) == 0 {
		return ctx.Err()
	}
	if err := store.Put(ctx, got); err != nil {
		return err
	}
	for _, c := range got {
		delete(r.left, c.ID())
	}
	return nil
}

// bucket mends a bucket's trees and those of its snapshots, and then asks the peers for what its versions name. An error is of what cannot be read.
func (r *repair) bucket(ctx context.Context, b *Bucket) error {
	if b.waits() != nil || b.isPast() {
		return nil
	}
	err := r.trees(ctx, b)
	name := b.calledName()
	for v, e := range b.Payload(ctx) {
		if e == nil {
			e = r.version(ctx, b, name, v)
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("bucket %s: %w", name, e))
			break
		}
	}
	for k, e := range b.OnlyInSnapshots(ctx) {
		if e == nil {
			e = r.version(ctx, b, name+"@"+k.Snapshot, k.Version)
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("bucket %s: %w", name, e))
			break
		}
	}
	return err
}

// trees reads all nodes, which mends what peers have in the same places, if one of them may be lost.
func (r *repair) trees(ctx context.Context, b *Bucket) error {
	if !r.lacks(chunk.Meta) {
		return nil
	}
	b.mu.RLock()
	n := b.base
	b.mu.RUnlock()
	err := errors.Join(b.restoreRoot(ctx, n), b.Scrub(ctx))
	for _, at := range b.shownSnapshots() {
		if !b.s.hasSnapshot(at.doc.id) || len(at.doc.root) == 0 {
			continue
		}
		f, e := b.freeze(at.doc, at.name)
		if e == nil {
			e = errors.Join(b.restoreRoot(ctx, f.base), f.Scrub(ctx))
		}
		err = errors.Join(err, e)
	}
	return errors.Join(err, r.look(ctx, b, chunk.Meta))
}

func (r *repair) lacks(class chunk.Class) bool {
	for _, l := range r.left {
		if l.Class == class {
			return true
		}
	}
	return false
}

// look takes out what came back.
func (r *repair) look(ctx context.Context, b *Bucket, class chunk.Class) error {
	var ids []chunk.ID
	for id, l := range r.left {
		if l.Class == class && l.Domain.Tag() == b.domain.Tag() {
			ids = append(ids, id)
		}
	}
	_, err := r.came(ctx, b, ids)
	return err
}

// came takes those of ids out that are held, and whole, and returns the others.
func (r *repair) came(ctx context.Context, b *Bucket, ids []chunk.ID) (rest []chunk.ID, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rest, err = b.chunks.Data.Missing(ctx, ids)
	if err != nil {
		return ids, err
	}
	for _, id := range ids {
		if !slices.Contains(rest, id) {
			delete(r.left, id)
		}
	}
	return rest, nil
}

// version asks the peers for what a version names and is lost.
func (r *repair) version(ctx context.Context, b *Bucket, place string, v Version) error {
	ref := Ref{b.id, v.stored(), v.VersionID}
	n := naming{r: r, b: b, place: place, v: &v}
	o := b.objectIn(v, func(path []chunk.ID) chunk.Store {
		return lacking{b.stores.Data, &n, Reading{ref, slices.Clone(path)}}
	})
	for p, err := range o.Pieces(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, lost := r.left[p.ID]; err != nil || p.Level > 0 || !lost {
			continue // a node was asked for before it was read
		}
		if n.at.Bucket == (BucketID{}) || !slices.Equal(n.at.Path, p.Path) || len(n.ids) == 64 {
			n.ask(ctx)
			n.at = Reading{ref, slices.Clone(p.Path)}
		}
		n.ids = append(n.ids, p.ID)
	}
	n.ask(ctx)
	return ctx.Err()
}

// naming is a version that names what is lost.
type naming struct {
	r     *repair
	b     *Bucket
	place string
	v     *Version
	at    Reading
	ids   []chunk.ID // payload, below what is read
}

func (n *naming) ask(ctx context.Context) {
	if len(n.ids) > 0 {
		n.fetch(ctx, n.at, n.ids)
	}
	n.ids = n.ids[:0]
}

// fetch asks the peers, and notes what did not come.
func (n *naming) fetch(ctx context.Context, at Reading, ids []chunk.ID) {
	r, why := n.r, errNotThere
	if r.s.cfg.Repair != nil && n.b.Linked() && !r.deaf {
		why = r.s.cfg.Repair(ctx, n.b.domain, at, ids)
		r.deaf = errors.Is(why, ErrNobody)
	}
	rest, err := r.came(ctx, n.b, ids)
	if ctx.Err() != nil {
		return
	}
	for _, id := range rest {
		l := LostChunk{Chunk: id, Bucket: n.place, Key: n.v.Key, Version: n.v.Ref(), Why: cmp.Or(err, why, errNotThere).Error()}
		if len(r.report.Lost) < maxLostTold && !slices.Contains(r.report.Lost, l) {
			r.report.Lost = append(r.report.Lost, l)
		}
	}
}

var errNotThere = errors.New("no other segment has it")

// lacking reads nodes of manifests, and asks for those first that are lost.
type lacking struct {
	chunk.Store
	n  *naming
	at Reading
}

func (l lacking) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	var lost []chunk.ID
	for _, id := range ids {
		if _, ok := l.n.r.left[id]; ok {
			lost = append(lost, id)
		}
	}
	if len(lost) > 0 {
		l.n.fetch(ctx, l.at, lost)
	}
	return l.Store.Get(ctx, ids, yield)
}

// settle names what else keeps what is left: trees, states that are remembered, uploads; and forgets what nothing does. That cannot be told while a part of the metadata is lost.
func (r *repair) settle(ctx context.Context) error {
	if len(r.left) == 0 {
		return nil
	}
	told := map[chunk.ID]bool{}
	for _, l := range r.report.Lost {
		told[l.Chunk] = true
	}
	named := map[chunk.ID]bool{}
	m := &reached{s: r.s, most: markMost, parts: 1 << 20} // the names of what is reached need not be kept
	m.told = func(id chunk.ID, why string, b *Bucket, key string) {
		if _, lost := r.left[id]; !lost {
			return
		}
		named[id] = true
		if told[id] || len(r.report.Lost) >= maxLostTold {
			return
		}
		told[id] = true
		l := LostChunk{Chunk: id, Key: key, Why: why}
		if b != nil {
			l.Bucket = b.calledName()
		}
		r.report.Lost = append(r.report.Lost, l)
	}
	r.s.frozen.forget()
	runtime.GC() // who still has which state of a bucket is known then
	if err := m.mark(ctx); err != nil {
		return fmt.Errorf("what names them is not known: %w", err)
	}
	var idle []chunk.Lost
	for id, l := range r.left {
		if !named[id] && !m.listed.Has(id) {
			idle = append(idle, l)
			delete(r.left, id)
		}
	}
	r.idle = len(idle)
	return r.s.cfg.Scrubber.Forget(ctx, idle)
}
