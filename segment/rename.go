package segment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// RenameOptions say what a rename may find at its target.
type RenameOptions struct {
	// Replace lets the target be there: a key that the source has too is written over, as a put would; others of the target stay. Else a
	// target is [ErrTargetExists], but for a directory whose one key is its own name.
	Replace bool
}

// Renamed is what a rename did.
type Renamed struct {
	Keys     int64     // that moved
	Versions int64     // that moved: of a key in conflict each open one
	ID       VersionID // of the record, which is that of the first version that it made
}

// RenamePrefix moves all keys that begin with src, which ends in a slash, to the same names behind dst, which does too, as one write: durable, and
// there for every reader at once, when it returns. It is one small record, however many keys they are. What is current or open of a key moves, under
// new ids; the rest of a key's history stays, as a delete of the key would leave it, and so do locked versions. A write to a key of src elsewhere
// that this segment has not seen stays where it is.
//
// It fails with ErrNoSuchKey when nothing is listed below src, with [ErrTargetExists], and with ErrInvalidArgument for a key that would become too
// long, or where one of src and dst holds the other. Writers of the bucket wait for a part of its work; of a directory that takes more than half of
// Config.RenameBytes for most of it, which is seconds for each million keys. Readers do not.
func (b *Bucket) RenamePrefix(ctx context.Context, src, dst string, o RenameOptions) (Renamed, error) {
	r, err := b.renamePrefix(ctx, src, dst, o)
	if err != nil {
		return Renamed{}, fmt.Errorf("rename %q to %q: %w", src, dst, err)
	}
	return r, nil
}

func (b *Bucket) renamePrefix(ctx context.Context, src, dst string, o RenameOptions) (Renamed, error) {
	if b.elsewhere() {
		return b.forwardRename(ctx, src, &renameTask{dst, true, o})
	}
	return b.renameDirectory(ctx, src, dst, o, Cond{})
}

// renameDirectory is that of this segment; it does c's request, and judges no condition.
func (b *Bucket) renameDirectory(ctx context.Context, src, dst string, o RenameOptions, c Cond) (_ Renamed, err error) {
	if err := errors.Join(checkDirectories(src, dst), checkKey(src), checkKey(dst)); err != nil {
		return Renamed{}, err
	}
	if b.frozen != "" {
		return Renamed{}, ErrReadOnly
	}
	if err := b.s.admit(ctx); err != nil {
		return Renamed{}, err
	}
	ack, err := b.acknowledging()
	if err != nil {
		return Renamed{}, err
	}
	defer ack.await(ctx, &err)
	done, err := b.s.roomToRename(ctx)
	if err != nil {
		return Renamed{}, err
	}
	defer done()
	look := func(here bool) (*expansion, error) { return b.look(ctx, b.ownExpander(src, dst, o), here) }
	x, leave, err := b.lookAlone(ctx, src, dst, look)
	if err != nil {
		return Renamed{}, err
	}
	defer leave()
	if err := errors.Join(b.Err(), b.there()); err != nil {
		return Renamed{}, err
	}
	v := b.view(src)
	p := plan{b: b, own: v.own, moves: true, r: &record{deps: v.deps, rename: &rename{src: src, dst: dst}}}
	e := &entry{}
	told := func(x *expansion) {
		p.r.rename.count, p.r.rename.mode, p.r.rename.digest = x.count, x.mode, x.digest
		c.note(p.r, Renamed{Keys: x.keys, Versions: x.moved}.outcome(), true)
	}
	if x.large {
		defer b.s.weave()()
		x, err = b.planAside(ctx, e, &p, b.ownExpander(src, dst, o), told)
	} else {
		p.r.effects, p.hint = x.effects, &hint{heads: x.heads}
		told(x)
	}
	if err != nil {
		return Renamed{}, err
	}
	if err := ack.submitWith(e, p); err != nil {
		return Renamed{}, err
	}
	return Renamed{x.keys, x.moved, p.r.VersionID}, nil
}

// ownExpander works out what a rename by this segment does.
func (b *Bucket) ownExpander(src, dst string, o RenameOptions) *expander {
	return &expander{m: &rename{src: src, dst: dst}, most: math.MaxInt64, limit: b.s.mostRenamed(), whole: true, o: o}
}

// planAside makes the state after the planned rename, and adds it to the entry. told completes the record. The caller has the bucket alone.
func (b *Bucket) planAside(ctx context.Context, e *entry, p *plan, x *expander, told func(*expansion)) (*expansion, error) {
	if err := p.nameAhead(); err != nil {
		return nil, err
	}
	a := b.aside(p.r)
	out, err := a.expand(ctx, x)
	if err != nil {
		return nil, err
	}
	told(out)
	item, err := a.item(ctx, p.r)
	e.merges = []mergeItem{item}
	return out, err
}

// look expands a rename in the bucket's state of this moment: here without asking a peer for what is lost of it.
func (b *Bucket) look(ctx context.Context, x *expander, here bool) (*expansion, error) {
	b.lookAt(x)
	if here {
		x.at.base = x.at.base.here
	}
	return x.expand(ctx)
}

// lookAt gives an expander the bucket's state of this moment. The writer's own takes its mode from there.
func (b *Bucket) lookAt(x *expander) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x.at, x.out.seq = snapshot{b.base, b.overlay.Copy()}, b.tail.seq()
	if x.whole {
		x.m.mode = b.Settings().Versioning
	}
}

// mostLooks bounds how often a rename begins anew, because what is lost of the bucket would be waited for, or folds come between.
const mostLooks = 5

// lookAlone expands a rename while others go on, and then has the bucket alone until leave is called: nothing that the rename depends on is other
// than it was expanded to. If it is large, that is left to [aside], for which the fold lock is held, too.
//
// While everybody waits it asks no peer: what is lost is asked for by the next look.
func (b *Bucket) lookAlone(ctx context.Context, src, dst string, look func(here bool) (*expansion, error)) (x *expansion, leave func(), err error) {
	for range mostLooks {
		if x, err = look(false); err != nil {
			return nil, nil, err
		}
		if x.large {
			if leave, err = b.aloneAfterFold(ctx); err == nil {
				return x, leave, nil
			}
			continue
		}
		leave = b.alone()
		if b.untouched(x.seq, src, dst) {
			return x, leave, nil
		}
		if x, err = look(true); err == nil && !x.large {
			return x, leave, nil
		}
		leave()
	}
	return nil, nil, fmt.Errorf("the bucket changes all the time: %w", errors.Join(err, ErrUnavailable))
}

// aloneAfterFold has the bucket, and its folds, alone, with little that is not folded. It waits for a fold only while others go on: folds may wait
// for peers.
func (b *Bucket) aloneAfterFold(ctx context.Context) (leave func(), err error) {
	if _, err := b.Fold(ctx); err != nil {
		return nil, err
	}
	others := b.alone()
	if !b.fold.TryLock() {
		others()
		return nil, errFolding
	}
	return func() { b.fold.Unlock(); others() }, nil
}

var errFolding = errors.New("the bucket is being folded")

// untouched says whether nothing that a rename of src to dst depends on was written since the bucket had seen seq records.
func (b *Bucket) untouched(seq uint64, src, dst string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if seq < b.tail.gone {
		return false
	}
	for _, t := range b.tail.records[seq-b.tail.gone:] {
		r, err := parseRecord(t.raw)
		if err != nil || r.settings != nil || r.touches(src) || r.touches(dst) {
			return false
		}
	}
	return true
}

// touches says whether the record may change a key of a directory.
func (r *record) touches(dir string) bool {
	if r.expands() {
		for _, d := range []string{r.rename.src, r.rename.dst} {
			if strings.HasPrefix(d, dir) || strings.HasPrefix(dir, d) {
				return true
			}
		}
	}
	return slices.ContainsFunc(r.effects, func(e effect) bool { return strings.HasPrefix(e.key, dir) })
}

// alone keeps everybody else from changing anything of the bucket until leave is called, for a write that depends on many keys. Most of what that
// needs is done before: see [Bucket.untouched].
func (b *Bucket) alone() (leave func()) {
	b.intake.Lock()
	b.gate.Lock()
	return func() { b.gate.Unlock(); b.intake.Unlock() }
}

// expandHere works out, where it is applied, a rename that was read from the log. What it depends on is what it was when the record was
// logged: see [Bucket.alone]. The caller holds mu.
func (b *Bucket) expandHere(ctx context.Context, r *record) (*hint, error) {
	base := b.base.here
	if b.patient {
		base = b.base
	}
	x, err := (&expander{at: snapshot{base, b.overlay}, m: r.rename, most: r.rename.count, limit: math.MaxInt64, sees: r.sees}).expand(ctx)
	if err == nil {
		err = r.adopt(x)
	}
	if err != nil {
		return nil, fmt.Errorf("rename of %q: %w", r.rename.src, err)
	}
	return &hint{heads: x.heads}, nil
}

// adopt makes an expansion that is what its writer worked out too the record's effects.
func (r *record) adopt(x *expansion) error {
	if !x.is(r.rename) {
		return errOther
	}
	r.effects = x.effects
	r.name(r.VersionID)
	return nil
}

// is says whether the expansion is the one that m's writer worked out.
func (x *expansion) is(m *rename) bool { return x.count == m.count && x.digest == m.digest }

// mostRenamed is how much memory one rename may take, in bytes.
func (s *Segment) mostRenamed() int64 { return s.cfg.RenameBytes / 2 }

// roomToRename lets one rename of the segment go on at a time, when those before it take no more memory than it may. done lets the next.
func (s *Segment) roomToRename(ctx context.Context) (done func(), err error) {
	s.renames.Lock()
	for _, b := range s.allBuckets() {
		if s.renamed() <= s.cfg.RenameBytes-s.mostRenamed() {
			break
		}
		if _, err := b.Fold(ctx); err != nil {
			s.renames.Unlock()
			return nil, err
		}
	}
	return s.renames.Unlock, nil
}

// renamed is the memory that renames which are not folded take.
func (s *Segment) renamed() (sum int64) {
	for _, b := range s.allBuckets() {
		b.mu.RLock()
		sum += b.renamed
		b.mu.RUnlock()
	}
	return sum
}

// Rename moves one key, as one write: what [Bucket.RenamePrefix] does to each. Writers of other keys do not wait for it. It fails with
// ErrNoSuchKey, or a [MarkerError], when src has no content, and with [ErrTargetExists].
func (b *Bucket) Rename(ctx context.Context, src, dst string, o RenameOptions) (Renamed, error) {
	r, err := b.renameOne(ctx, src, dst, o)
	if err != nil {
		return Renamed{}, fmt.Errorf("rename %q to %q: %w", src, dst, err)
	}
	return r, nil
}

func (b *Bucket) renameOne(ctx context.Context, src, dst string, o RenameOptions) (Renamed, error) {
	if b.elsewhere() {
		return b.forwardRename(ctx, src, &renameTask{dst, false, o})
	}
	return b.renameKey(ctx, src, dst, o, Cond{})
}

// renameKey is that of this segment; it does c's request, and judges no condition.
func (b *Bucket) renameKey(ctx context.Context, src, dst string, o RenameOptions, c Cond) (_ Renamed, err error) {
	if err := errors.Join(CheckName(src), checkKey(dst)); err != nil {
		return Renamed{}, err
	}
	if src == dst {
		return Renamed{}, fmt.Errorf("they are one key: %w", ErrInvalidArgument)
	}
	if loser, err := b.loserShown(ctx, src, VersionRef{}); loser != nil || err != nil {
		if err != nil {
			return Renamed{}, err
		}
		return b.renameLoser(ctx, loser, dst, o, c)
	}
	ack, err := b.acknowledging()
	if err != nil {
		return Renamed{}, err
	}
	defer ack.await(ctx, &err)
	out, err := b.begin(ctx)
	if err != nil {
		return Renamed{}, err
	}
	defer out()
	t, err := b.targetOf(ctx, dst, src)
	if err != nil {
		return Renamed{}, err
	}
	defer t.unlock()
	h := t.source
	switch {
	case h.content() == nil && h.current() != nil:
		return Renamed{}, &MarkerError{*h.current()}
	case h.content() == nil:
		return Renamed{}, ErrNoSuchKey
	}
	if err := t.free(dst, o); err != nil {
		return Renamed{}, err
	}
	mode := t.view.settings.Versioning
	r := &record{deps: t.view.deps, effects: h.move(nil, src, dst, t.head, mode)}
	over := t.head.address(dst, mode, false) // its twins too: what this does is in the record
	r.effects[0].gone, r.effects[0].over = over.gone, over.over
	last := len(r.effects) - 1
	if last > 1 { // versions of one key need dots of their own
		r.rename = &rename{count: uint64(last)}
		if r.effects[last].hold != nil {
			r.rename.count++
		}
	}
	r.effects = append(r.effects, t.ends(mode)...)
	done := Renamed{Keys: 1, Versions: int64(last)}
	c.note(r, done.outcome(), true)
	if err := ack.submit(plan{b: b, r: r, own: t.view.own, moves: true}); err != nil {
		return Renamed{}, err
	}
	done.ID = r.VersionID
	return done, nil
}

// rename takes in what a peer says of a directory, in an entry of its own: from the expansion until it is applied nothing of the bucket changes, so
// a start that reads it from the log expands it to the same. False says that it cannot be expanded to what it was for its writer.
func (r *receipt) rename(ctx context.Context, b *Bucket, w write, at Cursor) (bool, error) {
	if b.id == FederationBucket {
		return false, fmt.Errorf("a rename of the federation's documents: %w", ErrRefused)
	}
	if err := r.flush(at); err != nil {
		return false, err
	}
	done, err := r.s.roomToRename(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	rec := w.record
	expander := func() *expander {
		return &expander{m: rec.rename, sees: rec.sees, most: rec.rename.count, limit: r.s.mostRenamed()}
	}
	look := func(here bool) (*expansion, error) {
		x, err := b.look(ctx, expander(), here)
		if err == nil && !x.is(rec.rename) {
			err = errOther
		}
		return x, err
	}
	x, leave, err := b.lookAlone(ctx, rec.rename.src, rec.rename.dst, look)
	if err != nil {
		return false, unlessOther(err)
	}
	defer leave()
	switch c := b.Seen(); {
	case c.Has(rec.last()): // by another peer's feed
		return true, nil
	case !c.Covers(rec.deps) || c[rec.Dot.Origin] != rec.Dot.N-1:
		return false, nil
	}
	if x.large {
		defer b.s.weave()()
		a := b.aside(rec)
		y, err := a.expand(ctx, expander())
		if err != nil || !y.is(rec.rename) {
			return false, unlessOther(err)
		}
		item, err := a.item(ctx, rec)
		if err != nil {
			return false, err
		}
		r.e.merges = []mergeItem{item}
	} else {
		if rec.adopt(x) != nil {
			return false, nil
		}
		w.hint = &hint{heads: x.heads}
	}
	r.e.writes = append(r.e.writes, w)
	return true, r.commit(at)
}

// unlessOther is the error of an expansion, unless a sync does what the record cannot: then it is nil.
func unlessOther(err error) error {
	if errors.Is(err, errOther) || errors.Is(err, ErrInvalidArgument) {
		return nil
	}
	return err
}
