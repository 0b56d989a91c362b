package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/edgefs/edgefs/segment/tree"
)

// Difference is a key whose content or attributes are not the same in two states of a bucket. From or To is nil where it is not listed.
type Difference struct {
	Key      string
	From, To *Version
}

// Diff yields, in key order, what is other in to than in from: two states of one bucket, now or as
// snapshots keep it, or two buckets of which one is a branch of the other, or both of a third. It costs what differs,
// whatever the size of the bucket. An error ends the sequence.
func Diff(ctx context.Context, from, to *Bucket, prefix string) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		for d, err := range diff(ctx, from, to, prefix) {
			if err == nil && reserved(d.Key) {
				continue
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// diff is Diff with the reserved keys of what is below the prefix.
func diff(ctx context.Context, from, to *Bucket, prefix string) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		if !from.kin(to) {
			yield(Difference{}, fmt.Errorf("these are two buckets, neither two states of one nor branches: %w", ErrInvalidArgument))
			return
		}
		a, err := from.foldNow(ctx)
		var b *base
		if err == nil {
			b, err = to.foldNow(ctx)
		}
		if err != nil {
			yield(Difference{}, err)
			return
		}
		for c, err := range tree.Diff(ctx, a.headTree, b.headTree) {
			if err != nil {
				yield(Difference{}, err)
				return
			}
			if c.Key[0] != regionShown {
				return // what follows is not listed
			}
			d, err := difference(c)
			if err == nil && (d.same() || !strings.HasPrefix(d.Key, prefix) && !reservedFor(d.Key, prefix)) {
				continue
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

func difference(c tree.Change) (Difference, error) {
	d := Difference{Key: string(c.Key[1:])}
	for raw, v := range map[*[]byte]**Version{&c.A: &d.From, &c.B: &d.To} {
		if *raw == nil {
			continue
		}
		h, err := parseHead(d.Key, *raw)
		if err != nil {
			return d, err
		}
		*v = h.content()
	}
	return d, nil
}

// same says whether the key's content and attributes are the same: only what lies under the current version has changed, or the same was
// written again.
func (d Difference) same() bool {
	if d.From == nil || d.To == nil {
		return d.From == d.To
	}
	return d.From.Content.Equal(d.To.Content) && d.From.sameAttributes(d.To)
}

// Restored is what a restore did.
type Restored struct {
	Put, Deleted int64
	Skipped      int64 // keys that were written meanwhile, and left alone
}

// Restore makes what the bucket lists under a prefix what from, a snapshot of it, lists there: by ordinary writes, one for each key that
// differs, which move no payload. Keys that are written at the same time are left as their writer wants them. done, unless nil, is called after
// each key with what was done so far.
func (b *Bucket) Restore(ctx context.Context, from *Bucket, prefix string, done func(Difference, Restored)) (Restored, error) {
	var r Restored
	for d, err := range diff(ctx, b, from, prefix) {
		if err == nil {
			err = b.restore(ctx, from, d)
		}
		switch {
		case errors.Is(err, ErrPrecondition), errors.Is(err, ErrNoSuchKey):
			r.Skipped++
		case err != nil:
			return r, err
		case reserved(d.Key):
			continue
		case d.To == nil:
			r.Deleted++
		default:
			r.Put++
		}
		if done != nil {
			done(d, r)
		}
	}
	return r, nil
}

func (b *Bucket) restore(ctx context.Context, from *Bucket, d Difference) error {
	if reserved(d.Key) {
		return b.restoreReserved(ctx, d)
	}
	cond := Cond{Absent: d.From == nil}
	if d.From != nil {
		cond.Version = &d.From.VersionID
	}
	if d.To == nil {
		_, err := b.Delete(ctx, d.Key, cond)
		return err
	}
	if d.From != nil && d.From.VersionID == d.To.VersionID {
		return b.restoreAttributes(ctx, d, cond)
	}
	a := d.To.Attrs
	a.Tags = d.To.Tags()
	_, err := b.Copy(ctx, from.object(*d.To), d.Key, a, cond)
	return err
}

// restoreAttributes gives a version that stayed what was changed of it since.
func (b *Bucket) restoreAttributes(ctx context.Context, d Difference, cond Cond) error {
	for _, name := range attributes {
		was := d.To.Attribute(name)
		if bytes.Equal(was, d.From.Attribute(name)) {
			continue
		}
		if _, err := b.SetAttribute(ctx, d.Key, VersionRef{ID: d.To.VersionID}, name, was, cond); err != nil {
			return err
		}
	}
	return nil
}
