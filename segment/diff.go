package segment

import (
	"context"
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
		a, b, err := bothNow(ctx, from, to)
		if err != nil {
			yield(Difference{}, err)
			return
		}
		for d, err := range diffOf(ctx, a, b, prefix) {
			if !yield(d, err) {
				return
			}
		}
	}
}

// bothNow are the bases of two states, as they are now.
func bothNow(ctx context.Context, from, to *Bucket) (a, b *base, err error) {
	if !from.kin(to) {
		return nil, nil, fmt.Errorf("these are two buckets, neither two states of one nor branches: %w", ErrInvalidArgument)
	}
	if a, err = from.foldNow(ctx); err == nil {
		b, err = to.foldNow(ctx)
	}
	return a, b, err
}

func diffOf(ctx context.Context, a, b *base, prefix string) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
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
