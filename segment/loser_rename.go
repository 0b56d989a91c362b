package segment

import (
	"context"
	"fmt"
	"slices"
)

// renameLoser gives what is shown under a loser's name a name of its own: its content is put at dst, and the loser is ended with that, as one write. Where
// dst is the key that it lost, it wins. It does c's request, and judges no condition.
func (b *Bucket) renameLoser(ctx context.Context, loser *Version, dst string, o RenameOptions, c Cond) (_ Renamed, err error) {
	ack, err := b.acknowledging()
	if err != nil {
		return Renamed{}, err
	}
	defer ack.await(ctx, &err)
	leave, err := b.begin(ctx)
	if err != nil {
		return Renamed{}, err
	}
	defer leave()
	of := loser.LoserOf
	t, err := b.targetOf(ctx, dst, of)
	if err != nil {
		return Renamed{}, err
	}
	defer t.unlock()
	if err := t.free(dst, o); err != nil {
		return Renamed{}, err
	}
	h, mode := t.source, t.view.settings.Versioning
	i := slices.IndexFunc(h.losers(), func(l *Version) bool { return l.VersionID == loser.VersionID })
	if i < 0 { // somebody ended it meanwhile
		return Renamed{}, ErrNoSuchKey
	}
	ends := []effect{h.dismissal(of, mode, h.losers()[i])}
	e := t.head.address(dst, mode, false)
	if dst == of {
		e = h.addressing(of, mode, func(v *Version) bool { return v.Marker || h.twin(v) || v.VersionID == loser.VersionID })
		ends = nil
	}
	e.hold = h.losers()[i].movedTo(dst, mode)
	r := &record{deps: t.view.deps, effects: append(append([]effect{e}, ends...), t.ends(mode)...)}
	done := Renamed{Keys: 1, Versions: 1}
	c.note(r, done.outcome(), true)
	if err := ack.submit(plan{b: b, r: r, own: t.view.own, moves: true}); err != nil {
		return Renamed{}, err
	}
	done.ID = r.VersionID
	return done, nil
}

// renameTarget is what a rename of one key finds at its target, and at its source; the latches of all that it writes are held until unlock.
type renameTarget struct {
	unlock       func()
	view         keyView
	head, source head
	loser        *Version // that is shown under the target; nil for none
	loserHead    head     // of its key
}

// targetOf looks at both keys of a rename.
func (b *Bucket) targetOf(ctx context.Context, dst, src string) (_ *renameTarget, err error) {
	t, keys := new(renameTarget), []string{src, dst}
	if of, _, ok := ParseLoserName(dst); ok {
		keys = append(keys, of)
	}
	t.unlock = b.s.latches.lockAll(b.id, keys)
	defer func() {
		if err != nil {
			t.unlock()
		}
	}()
	if t.loser, t.loserHead, err = b.loserNamed(ctx, dst); err != nil {
		return nil, err
	}
	views := b.views(keys)
	t.view = views[0]
	if t.source, err = views[0].head(ctx, src); err != nil {
		return nil, err
	}
	if t.head, err = views[1].head(ctx, dst); err != nil {
		return nil, err
	}
	if t.head.content() != nil { // it goes before a loser
		t.loser = nil
	}
	if t.loser != nil && t.loser.LoserOf == src {
		return nil, fmt.Errorf("%q is shown there because %q is in conflict: end that first, by resolving it or by deleting one of the two: %w", dst, src, ErrInvalidArgument)
	}
	return t, nil
}

// free refuses a target that is listed, unless it may be written over.
func (t *renameTarget) free(dst string, o RenameOptions) error {
	if !o.Replace && (t.head.content() != nil || t.loser != nil) {
		return fmt.Errorf("%q: %w", dst, ErrTargetExists)
	}
	return nil
}

// ends is what ends the loser that is shown under the target, and that is written over.
func (t *renameTarget) ends(mode Versioning) []effect {
	if t.loser == nil {
		return nil
	}
	return []effect{t.loserHead.dismissal(t.loser.LoserOf, mode, t.loser)}
}
