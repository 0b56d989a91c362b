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

// Diff yields, in key order, what is other in the listing of to than in that of from: two states of one bucket, now or as
// snapshots keep it, or two buckets of which one is a branch of the other, or both of a third. Losers are in it, under their names, where both states show
// them. It costs what differs, whatever the size of the bucket. An error ends the sequence.
func Diff(ctx context.Context, from, to *Bucket, prefix string) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		a, b, err := bothNow(ctx, from, to)
		if err != nil {
			yield(Difference{}, err)
			return
		}
		for d, err := range listedDiff(ctx, a, b, prefix) {
			if err == nil && reserved(d.Key) {
				continue
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// diff is what is other of the keys' current versions, also of the reserved keys of what is below the prefix.
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
		for c, err := range changedHeads(ctx, a, b) {
			d := Difference{c.key, c.from.content(), c.to.content()}
			if err == nil && (d.same() || !below(d.Key, prefix)) {
				continue
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// below says whether a difference of a key is one of a prefix: reserved keys are those of the files that are there.
func below(key, prefix string) bool {
	return strings.HasPrefix(key, prefix) || reservedFor(key, prefix)
}

// changedHead is a key of which not the same is current or open in two states.
type changedHead struct {
	key      string
	from, to head
}

// changedHeads are those of the keys that are listed, or in conflict, in one of the states.
func changedHeads(ctx context.Context, a, b *base) iter.Seq2[changedHead, error] {
	return func(yield func(changedHead, error) bool) {
		for c, err := range tree.Diff(ctx, a.headTree, b.headTree) {
			if err != nil {
				yield(changedHead{}, err)
				return
			}
			if c.Key[0] != regionShown {
				return // what follows is not listed
			}
			h, err := headsOf(c)
			if !yield(h, err) || err != nil {
				return
			}
		}
	}
}

func headsOf(c tree.Change) (h changedHead, err error) {
	h.key = string(c.Key[1:])
	if c.A != nil {
		h.from, err = parseHead(h.key, c.A)
	}
	if c.B != nil && err == nil {
		h.to, err = parseHead(h.key, c.B)
	}
	return h, err
}

// same says whether the key's content and attributes are the same: only what lies under the current version has changed, or the same was
// written again.
func (d Difference) same() bool {
	if d.From == nil || d.To == nil {
		return d.From == d.To
	}
	return d.From.Content.Equal(d.To.Content) && d.From.sameAttributes(d.To)
}
