package segment

import (
	"context"
	"iter"
)

// payloadOfSnapshots are the versions that only snapshots hold, once each.
func (b *Bucket) payloadOfSnapshots(ctx context.Context) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		if err := b.foldSeals(ctx); err != nil { // what has no root yet would be missed
			yield(Version{}, err)
			return
		}
		var before []*base
		for _, d := range b.s.names.snapshotsOf(b.id) {
			if !b.s.hasSnapshot(d.id) {
				continue
			}
			f, err := b.freeze(d, d.name)
			if err != nil {
				yield(Version{}, err)
				return
			}
			for v, err := range f.Payload(ctx) {
				held := false
				if err == nil {
					held, err = b.holds(ctx, before, &v)
				}
				if held {
					continue
				}
				if !yield(v, err) || err != nil {
					return
				}
			}
			before = append(before, f.base)
		}
	}
}

// holds says whether the bucket as it is now holds a version, or one of the bases.
func (b *Bucket) holds(ctx context.Context, bases []*base, v *Version) (bool, error) {
	w, err := b.view(v.Key).version(ctx, v.Key, v.VersionID)
	for _, o := range bases {
		if w != nil || err != nil {
			break
		}
		w, err = o.version(ctx, v.Key, v.VersionID)
	}
	return w != nil, err
}

// heldVersion looks a version up in the bucket as it is, and in its snapshots: what a peer may read.
func (b *Bucket) heldVersion(ctx context.Context, key string, id VersionID) (*Version, error) {
	if b.waits() != nil {
		return nil, nil
	}
	v, err := b.view(key).version(ctx, key, id)
	if v != nil || err != nil {
		return v, err
	}
	for _, d := range b.s.names.snapshotsOf(b.id) {
		if !b.s.hasSnapshot(d.id) {
			continue
		}
		f, err := b.freeze(d, d.name)
		if err != nil {
			return nil, err
		}
		if v, err := f.base.version(ctx, key, id); v != nil || err != nil {
			return v, err
		}
	}
	return nil, nil
}
