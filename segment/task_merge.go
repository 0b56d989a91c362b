package segment

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// mergeTask is [Merge] into the request's bucket. The home does it with what it has seen of the other, which is no less than who asks has.
//
// It is no one record, so that no record remembers it: the document of the merge has the request's name, and one that was stopped is done again.
type mergeTask struct {
	from   BucketID
	policy MergePolicy
	seen   Vector // of from
	redo   bool
}

func (*mergeTask) verb() verb { return verbMerge }

func (t *mergeTask) appendTo(b []byte) []byte {
	b = putMessage(b, 1, t.from[:])
	b = putUint(b, 2, uint64(t.policy))
	return putBool(putSome(b, 3, t.seen.appendTo), 4, t.redo)
}

func (t *mergeTask) take(f field) (err error) {
	switch {
	case f.num == 1 && f.typ == protowire.BytesType:
		t.from, err = bucketIDOf(f.b)
	case f.num == 2 && f.typ == protowire.VarintType && known(f.n, mergePolicies()...):
		t.policy = MergePolicy(f.n)
	case f.num == 3 && f.typ == protowire.BytesType:
		t.seen, err = parseVector(f.b)
	case f.num == 4 && f.typ == protowire.VarintType && f.n == 1:
		t.redo = true
	default:
		err = badFormat("merge")
	}
	return err
}

func (t *mergeTask) check(*Request) error { return nil }

func (t *mergeTask) do(ctx context.Context, b *Bucket, r *Request, _ Cond) (outcome, error) {
	id := SnapshotID(r.Name)
	if d := b.s.names.mergeNamed(id); d != nil {
		return d.merged.outcome(), nil
	}
	from := b.s.bucket(t.from)
	switch {
	case from == nil: // or not yet: who asks may have made it just now
		return outcome{}, fmt.Errorf("bucket %v is not known: %w", t.from, ErrUnavailable)
	case !from.Linked() || from.id == FederationBucket:
		return outcome{}, fmt.Errorf("bucket %v: %w", t.from, ErrNoSuchBucket)
	}
	if err := from.awaitSeen(ctx, t.seen); err != nil {
		return outcome{}, fmt.Errorf("%w: %w", err, ErrUnavailable)
	}
	done, err := mergeHere(ctx, from, b, MergeOptions{Policy: t.policy, Redo: t.redo, id: id})
	return done.outcome(), err
}

// mergeNamed is the document of a merge; nil when there is none.
func (n *names) mergeNamed(id SnapshotID) *mergeDoc {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, all := range n.merges {
		if i := slices.IndexFunc(all, func(d *mergeDoc) bool { return d.id == id }); i >= 0 {
			return all[i]
		}
	}
	return nil
}

// forwardMerge has a merge made at the home of the target.
func forwardMerge(ctx context.Context, from, into *Bucket, o MergeOptions) (Merged, error) {
	if err := mergeable(from, into); err != nil {
		return Merged{}, err
	}
	out, err := into.forward(ctx, &Request{verb: verbMerge, task: &mergeTask{from.id, o.Policy, from.Seen(), o.Redo}}, nil)
	if err != nil {
		return Merged{}, err
	}
	m, err := parseMerged([]byte(out.told))
	if err != nil {
		return Merged{}, fmt.Errorf("%w: %w", err, ErrUnavailable)
	}
	return m, nil
}

func (m Merged) outcome() outcome { return outcome{told: string(m.appendTo(nil))} }
