package segment

import (
	"context"
	"fmt"
	"slices"
)

// Resolve ends the conflict of a key in favour of one of the versions in it, which keep names: the current one, or an open loser; of any
// other it is ErrPrecondition. What is kept becomes the current version, under a new id, and no payload moves; it is as that
// version is but for its locks, which stay with that one. A delete marker that is kept leaves the key deleted. Where there is no conflict nothing is written.
//
// It returns the version that is current then, or the marker that was kept. What it ends is what this segment has seen: see
// [Cond.Resolve], which lets any write end a conflict.
func (b *Bucket) Resolve(ctx context.Context, key string, keep VersionRef, c Cond) (Version, error) {
	out, err := b.write(ctx, &keyWrite{
		does: "resolve",
		ask:  Request{verb: verbResolve, key: key, ref: keep, cond: c},
		plan: func(ctx context.Context, key string) (plan, outcome, error) {
			return b.planResolution(ctx, key, keep, c)
		},
	})
	if err != nil {
		return Version{}, err
	}
	return b.asItIs(ctx, key, out), nil
}

func (b *Bucket) planResolution(ctx context.Context, key string, keep VersionRef, c Cond) (_ plan, out outcome, err error) {
	p, err := b.planned(ctx, key, func(h head, v keyView) (effect, error) {
		if err := c.check(h); err != nil {
			return effect{}, err
		}
		kept, err := v.resolve(ctx, key, keep)
		if err != nil {
			return effect{}, err
		}
		if kept.VersionID != h.current().VersionID && !slices.ContainsFunc(h.open(), func(l *Version) bool { return l.VersionID == kept.VersionID }) {
			return effect{}, fmt.Errorf("version %s is not in conflict: %w", kept.VersionID, ErrPrecondition)
		}
		out = outcome{version: kept.VersionID, null: kept.Null, marker: kept.Marker}
		e := h.resolution(key, v.settings.Versioning, kept)
		if e.hold == nil && len(e.gone) == 0 && len(e.over) == 0 {
			return effect{}, errStop
		}
		return e, nil
	})
	return p, out, err
}

// resolution is the write that leaves kept, one of the open versions, as the only one. What it keeps it writes once more, the current version too: a
// resolution in favour of another version, made in ignorance of this one, then meets a write, and is in conflict with it, as any two writes.
func (h head) resolution(key string, mode Versioning, kept *Version) effect {
	e := h.address(key, mode, true)
	switch {
	case kept.Marker && mode == Unversioned && !h.remains(e):
		// with the losers goes what the marker was to hide
	case kept.Marker, !h.conflicted(): // then there are twins at most
		return e.leaving(kept.VersionID)
	default:
		e.hold = &Version{Key: key, Null: mode != Versioned}
		kept.carry(e.hold)
	}
	return e
}
