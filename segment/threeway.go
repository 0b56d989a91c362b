package segment

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// MergePolicy says what a merge does with a key that was changed on both sides since they knew the same.
type MergePolicy uint8

const (
	// MergeBoth keeps both: what is merged becomes the current version and what was there an open loser, a conflict as any. A change wins over a
	// deletion.
	MergeBoth MergePolicy = iota
	// MergeOurs leaves the target as it is.
	MergeOurs
	// MergeTheirs takes what is merged.
	MergeTheirs
	// MergeFail merges nothing at all where there is one: ErrMergeConflict. Of one that somebody makes while the merge is under way, what was
	// merged until then stays.
	MergeFail
)

func mergePolicies() []MergePolicy {
	return []MergePolicy{MergeBoth, MergeOurs, MergeTheirs, MergeFail}
}

// String is "both", "ours", "theirs" or "fail".
func (p MergePolicy) String() string {
	switch p {
	case MergeOurs:
		return "ours"
	case MergeTheirs:
		return "theirs"
	case MergeFail:
		return "fail"
	}
	return "both"
}

// MarshalText writes what [MergePolicy.String] says.
func (p MergePolicy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads "both", "ours", "theirs" or "fail"; nothing is "both".
func (p *MergePolicy) UnmarshalText(b []byte) error {
	for _, known := range mergePolicies() {
		if known.String() == string(b) || len(b) == 0 {
			*p = known
			return nil
		}
	}
	return fmt.Errorf("merge policy %q: want both, ours, theirs or fail: %w", b, ErrInvalidArgument)
}

// MergeAction is what a merge does to a key of the target.
type MergeAction string

const (
	MergePut      MergeAction = "put"      // the target had not changed it: it is as what is merged has it
	MergeDelete   MergeAction = "delete"   // the same, of a key that is not there any more
	MergeConflict MergeAction = "conflict" // changed on both sides: the policy says what became of it
	mergeSame     MergeAction = ""         // nothing is to be done
)

// MergeStep is a key that a merge has done, or would do.
type MergeStep struct {
	Key    string
	Action MergeAction
}

// Merged counts what a merge did.
type Merged struct {
	Put, Deleted int64
	Conflicts    int64 // keys that were changed on both sides
	Same         int64 // keys that the target has as they are merged
}

func (m *Merged) add(a MergeAction) {
	switch a {
	case MergePut:
		m.Put++
	case MergeDelete:
		m.Deleted++
	case MergeConflict:
		m.Conflicts++
	default:
		m.Same++
	}
}

func (m Merged) appendTo(b []byte) []byte {
	for i, n := range []int64{m.Put, m.Deleted, m.Conflicts, m.Same} {
		b = putUint(b, fieldNum(i+1), uint64(n))
	}
	return b
}

func parseMerged(b []byte) (m Merged, err error) {
	err = eachField("counts of a merge", b, func(f field) error {
		switch f.num {
		case 1:
			m.Put = int64(f.n)
		case 2:
			m.Deleted = int64(f.n)
		case 3:
			m.Conflicts = int64(f.n)
		case 4:
			m.Same = int64(f.n)
		}
		return nil
	})
	return m, err
}

// MergeOptions say how to merge.
type MergeOptions struct {
	Policy MergePolicy
	DryRun bool // write nothing
	// Redo passes over merges of which not all is here, and may never be: the segment that made them is lost. What they did that is here is found done; should
	// the rest come after all, what was merged twice shows as conflicts of equal content.
	Redo bool
	// Step, unless nil, is called for each key that is not the same on both sides, one at a time, with what was done so far.
	Step func(MergeStep, Merged)

	id       SnapshotID // of the merge's document; zero for a new one
	oneByOne bool       // for tests that replay
}

const (
	mergersAtOnce  = 32  // keys of a merge that are written at a time: the log makes one batch of them
	mergersCopying = 256 // the same where each waits for a second segment, which takes a round trip
)

// Merge brings what from, a branch of into or its parent, has changed since the two last knew the same, into into: by ordinary writes, one for each
// key, that are judged with what the target holds at that moment and move no payload. What is written to from after it began is left for the next
// merge, which takes only what is new, in either direction.
//
// Under the policy [Home] it is the home of into that merges, of what it has seen, which is no less than is seen here; Step is then not called.
//
// A merge that ends early has done a part, and can be done again: it finds what it did. Only one that is whole is remembered.
func Merge(ctx context.Context, from, into *Bucket, o MergeOptions) (done Merged, err error) {
	if into.elsewhere() && !o.DryRun {
		done, err = forwardMerge(ctx, from, into, o)
	} else {
		done, err = mergeHere(ctx, from, into, o)
	}
	if err != nil {
		err = fmt.Errorf("merge %q into %q: %w", from.Info().Name, into.Info().Name, err)
	}
	return done, err
}

func mergeHere(ctx context.Context, from, into *Bucket, o MergeOptions) (Merged, error) {
	m, err := newMerge(ctx, from, into, o)
	if err != nil {
		return Merged{}, err
	}
	defer m.branch.mergers.Unlock()
	err = m.run(ctx)
	return m.done, err
}

// mergeable refuses what is no branch and its parent.
func mergeable(from, into *Bucket) error {
	if from.frozen != "" || into.frozen != "" {
		return fmt.Errorf("only buckets are merged: make a branch of the snapshot: %w", ErrReadOnly)
	}
	_, err := family(from, into)
	return err
}

// merge is one three-way merge.
type merge struct {
	MergeOptions
	branch, from, into *Bucket
	base, theirs       *Bucket // frozen
	doc                *mergeDoc

	mu   sync.Mutex
	done Merged
}

// newMerge leaves the branch's merges locked, unless it fails.
func newMerge(ctx context.Context, from, into *Bucket, o MergeOptions) (*merge, error) {
	if err := mergeable(from, into); err != nil {
		return nil, err
	}
	branch, err := family(from, into)
	if err != nil {
		return nil, err
	}
	if !branch.mergers.TryLock() {
		return nil, fmt.Errorf("another merge is under way: %w", ErrUnavailable)
	}
	m := &merge{MergeOptions: o, branch: branch, from: from, into: into}
	if err := m.prepare(ctx); err != nil {
		branch.mergers.Unlock()
		return nil, err
	}
	return m, nil
}

func (m *merge) prepare(ctx context.Context) (err error) {
	if m.base, err = m.branch.mergeBase(ctx, m.Redo); err != nil {
		return err
	}
	n, err := m.from.foldNow(ctx)
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(n) // until theirs holds it
	s := m.from.s
	m.doc = &mergeDoc{branch: m.branch.id, from: m.from.id, into: m.into.id, by: s.cfg.ID, root: n.bytes, stats: n.stats, seen: n.seen}
	if m.doc.id = m.id; m.id == (SnapshotID{}) {
		if err := s.random(m.doc.id[:]); err != nil {
			return err
		}
	}
	m.theirs, err = m.from.freeze(m.doc.kept(), "merged")
	return err
}

func (m *merge) run(ctx context.Context) error {
	defer runtime.KeepAlive(m) // and what it was made of, until it is remembered
	if m.DryRun || m.Policy == MergeFail {
		if err := m.walk(ctx, m.look, m.DryRun); err != nil || m.DryRun {
			return err
		}
		if n := m.done.Conflicts; n > 0 {
			return fmt.Errorf("%d changed on both sides: %w", n, ErrMergeConflict)
		}
		m.done = Merged{}
	}
	if err := m.walk(ctx, m.write, true); err != nil {
		return err
	}
	if m.done == (Merged{}) {
		return nil // nothing is new
	}
	return m.remember(ctx)
}

// walk does each key that from has changed, several at a time, and tells of it: first what is put, then what is deleted, so that one that ends early has
// taken away nothing that is to be found under another name.
func (m *merge) walk(ctx context.Context, do func(context.Context, Difference) (MergeAction, error), tell bool) error {
	for _, deletes := range []bool{false, true} {
		if err := m.pass(ctx, do, tell, deletes); err != nil {
			return err
		}
	}
	return nil
}

func (m *merge) pass(ctx context.Context, do func(context.Context, Difference) (MergeAction, error), tell, deletes bool) error {
	keys, ctx := errgroup.WithContext(ctx)
	switch {
	case m.oneByOne:
		keys.SetLimit(1)
	case m.into.Settings().Ack == Copies:
		keys.SetLimit(mergersCopying)
	default:
		keys.SetLimit(mergersAtOnce)
	}
	var failed error
	for d, err := range diff(ctx, m.base, m.theirs, "") {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			failed = err
			break
		}
		if (d.To == nil) != deletes {
			continue
		}
		keys.Go(func() error {
			a, err := do(ctx, d)
			if err != nil {
				return err
			}
			m.note(d.Key, a, tell)
			return nil
		})
	}
	if err := keys.Wait(); err != nil {
		return err
	}
	return failed
}

func (m *merge) note(key string, a MergeAction, tell bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done.add(a)
	if tell && m.Step != nil && a != mergeSame && !reserved(key) {
		m.Step(MergeStep{key, a}, m.done)
	}
}

// judge says what is to be done with a key of which the target has this head.
func judge(d Difference, h head) MergeAction {
	now := h.content()
	switch {
	case alike(now, d.To):
		return mergeSame
	case alike(now, d.From) && d.To == nil:
		return MergeDelete
	case alike(now, d.From):
		return MergePut
	}
	for _, l := range h.losers() { // a merge that ended early left it, or somebody wrote over it
		if alike(l, d.To) {
			return mergeSame
		}
	}
	return MergeConflict
}

// alike says whether two versions, nil for none, have the same content and attributes.
func alike(a, b *Version) bool { return Difference{From: a, To: b}.same() }

// look judges a key and writes nothing.
func (m *merge) look(ctx context.Context, d Difference) (MergeAction, error) {
	h, err := m.into.view(d.Key).head(ctx, d.Key)
	return judge(d, h), err
}

// write does what is to be done with a key: judged and written as one step. What a merge before this one, which ended early, has written is waited for too,
// where it is to be at a second segment.
func (m *merge) write(ctx context.Context, d Difference) (did MergeAction, err error) {
	b := m.into
	ack, err := b.acknowledging()
	if err != nil {
		return did, err
	}
	defer ack.await(ctx, &err)
	leave, err := b.begin(ctx)
	if err != nil {
		return did, err
	}
	defer leave()
	defer b.s.latches.lock(b.id, d.Key)()
	p, err := b.planned(ctx, d.Key, func(h head, v keyView) (effect, error) {
		did = judge(d, h)
		if did == mergeSame {
			ack.found(h)
		}
		return m.effect(d, h, v.settings.Versioning, did)
	})
	if errors.Is(err, errStop) {
		return did, nil
	}
	if err == nil {
		err = ack.submit(p)
	}
	if err != nil {
		return did, fmt.Errorf("%q: %w", d.Key, err)
	}
	return did, nil
}

// effect is what an action does to a key; errStop for nothing.
func (m *merge) effect(d Difference, h head, mode Versioning, a MergeAction) (effect, error) {
	beside := false
	switch {
	case a == mergeSame, a == MergeConflict && m.Policy == MergeOurs:
		return effect{}, errStop
	case a == MergeConflict && m.Policy == MergeFail: // written since it was looked at
		return effect{}, fmt.Errorf("changed on both sides: %w", ErrMergeConflict)
	case a == MergeConflict && m.Policy == MergeBoth && d.To == nil:
		return effect{}, errStop
	case a == MergeConflict && m.Policy == MergeBoth:
		beside = h.content() != nil
	}
	e := h.address(d.Key, mode, false)
	if beside {
		e = e.leaving(h.current().VersionID)
	}
	switch {
	case d.To != nil:
		e.hold = &Version{Key: d.Key, Null: mode != Versioned}
		d.To.carry(e.hold)
	case mode != Unversioned || h.remains(e):
		e.hold = &Version{Key: d.Key, Null: mode != Versioned, Marker: true}
	}
	return e, nil
}

// remember makes what was merged the base of the next merge.
func (m *merge) remember(ctx context.Context) error {
	s, d := m.into.s, m.doc
	d.after, d.merged = m.into.Seen(), m.done
	d.created = s.clock.now()
	if err := s.admit(ctx); err != nil {
		return err
	}
	k := d.kept()
	return s.submit(newDocument(s.local, snapshotMark+k.id.String(), markOf(m.from.domain, k)), newDocument(s.federation, d.key(), d.appendTo(nil)))
}
