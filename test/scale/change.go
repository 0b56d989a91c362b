package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/edgefs/edgefs/segment"
	"github.com/edgefs/edgefs/test/measure"
)

// acknowledge is what it takes to keep the bucket as it is, with a hundred records over the last fold.
func (b *bench) acknowledge(ctx context.Context) ([]measure.Result, error) {
	bucket, err := b.largest(ctx)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(3, b.keys))
	some := func() error {
		for range 100 {
			if err := put(ctx, bucket, rng.Uint64N(b.keys)); err != nil {
				return err
			}
		}
		return nil
	}
	var out []measure.Result
	for _, f := range []struct {
		what string
		make func(name string) error
		drop func(name string) error
	}{
		{"snapshot", func(name string) error { _, err := bucket.CreateSnapshot(ctx, name); return err }, func(name string) error { return bucket.DeleteSnapshot(ctx, name) }},
		{"branch", func(name string) error { _, err := b.seg.CreateBranch(ctx, bucketName(b.keys), name); return err }, func(name string) error { return b.seg.DeleteBranch(ctx, name, true) }},
	} {
		var took measure.Times
		for i := range 11 {
			if err := some(); err != nil {
				return out, err
			}
			name := fmt.Sprintf("%s-%d", f.what, i)
			one, err := measure.Timed(1, func(int) error { return f.make(name) })
			if err != nil {
				return out, err
			}
			took = append(took, one...)
			if err := f.drop(name); err != nil {
				return out, err
			}
		}
		took = measure.Sorted(took)
		r := measure.AtMost(10, measure.Result{Name: f.what, What: fmt.Sprintf("%s of %s keys acknowledged, p50", f.what, measure.Count(b.keys)), Value: took.At(0.5), Unit: "ms"})
		r.Detail = fmt.Sprintf("most %.1f ms", took.At(1))
		out = append(out, r)
	}
	return out, nil
}

// changes are how many keys differ between the two states that are compared.
const changes = 1000

// diff compares two snapshots, of which nothing is in memory.
func (b *bench) diff(ctx context.Context) ([]measure.Result, error) {
	var out []measure.Result
	for _, f := range []struct {
		name, what   string
		ranges       int
		ms, megabyte float64
	}{
		{"diff-ranges", "1,000 changes in 100 ranges", changes / 10, 100, 5},
		{"diff-random", "1,000 changes anywhere", changes, 0, 50},
	} {
		took, read, err := b.differ(ctx, f.ranges)
		if err != nil {
			return out, err
		}
		what := fmt.Sprintf("diff of two snapshots of %s keys, %s", measure.Count(b.keys), f.what)
		out = append(out, measure.AtMost(f.ms, measure.Result{Name: f.name, What: what, Value: measure.MS(took), Unit: "ms"}),
			measure.AtMost(f.megabyte, measure.Result{Name: f.name + "-read", What: what + ", read", Value: float64(read) / (1 << 20), Unit: "MiB"}))
	}
	return out, nil
}

// differ changes keys in so many ranges between two snapshots, and compares these.
func (b *bench) differ(ctx context.Context, ranges int) (took time.Duration, read int64, err error) {
	bucket, err := b.largest(ctx)
	if err != nil {
		return 0, 0, err
	}
	names := [2]string{"before", "after"}
	for _, name := range names { // of a run that was stopped
		if err := bucket.DeleteSnapshot(ctx, name); err != nil && !errors.Is(err, segment.ErrNoSuchSnapshot) {
			return 0, 0, err
		}
	}
	if _, err := bucket.CreateSnapshot(ctx, names[0]); err != nil {
		return 0, 0, err
	}
	rng := rand.New(rand.NewPCG(uint64(ranges), b.keys))
	for range ranges {
		p, err := bucket.List(ctx, segment.ListOptions{After: key(rng.Uint64N(b.keys)), Limit: changes / ranges})
		if err != nil {
			return 0, 0, err
		}
		for _, e := range p.Entries {
			// By chance, so that it is another in a store that was measured before.
			if _, err := bucket.Writer(ctx, 0).Commit(ctx, e.Version.Key, segment.Attrs{ETag: fmt.Sprint(rand.Uint64())}, segment.Cond{}); err != nil {
				return 0, 0, err
			}
		}
	}
	if _, err := bucket.CreateSnapshot(ctx, names[1]); err != nil {
		return 0, 0, err
	}
	if _, err := bucket.Fold(ctx); err != nil { // the snapshot's roots are made
		return 0, 0, err
	}
	if err := b.reopen(ctx); err != nil {
		return 0, 0, err
	}
	if bucket, err = b.largest(ctx); err != nil {
		return 0, 0, err
	}
	var at [2]*segment.Bucket
	for i, name := range names {
		if at[i], err = bucket.At(ctx, name); err != nil {
			return 0, 0, err
		}
	}
	began, before, n := time.Now(), measure.Asked(), 0
	for _, err := range segment.Diff(ctx, at[0], at[1], "") {
		if err != nil {
			return 0, 0, err
		}
		n++
	}
	took, read = time.Since(began), measure.Asked()-before
	if n < changes*9/10 || n > changes { // of random keys, some may be the same
		return 0, 0, fmt.Errorf("%d differences, not %d", n, changes)
	}
	for _, name := range names {
		err = errors.Join(err, bucket.DeleteSnapshot(ctx, name))
	}
	return took, read, err
}

// renamedKeys are in the folder that is renamed.
const renamedKeys = 100_000

// rename moves a folder of a hundred thousand keys there and back.
func (b *bench) rename(ctx context.Context) ([]measure.Result, error) {
	n := min(renamedKeys, b.keys)
	bucket, err := b.bucket(ctx, fmt.Sprintf("folder-%d", n), segment.Settings{})
	if err != nil {
		return nil, err
	}
	l := loading{bench: b, bucket: bucket, to: n}
	if at, err := bucket.List(ctx, segment.ListOptions{Limit: 1}); err != nil {
		return nil, err
	} else if len(at.Entries) == 0 || uint64(bucket.Stats().Objects) < n {
		if err := l.run(ctx); err != nil {
			return nil, err
		}
	}
	from, to := "data/", "moved/"
	took, carried := measure.Times{}, 0
	for range 4 {
		if p, err := bucket.List(ctx, segment.ListOptions{Prefix: from, Limit: 1}); err != nil {
			return nil, err
		} else if len(p.Entries) == 0 {
			from, to = to, from
		}
		end := b.seg.LogEnd()
		one, err := measure.Timed(1, func(int) error {
			_, err := bucket.RenamePrefix(ctx, from, to, segment.RenameOptions{})
			return err
		})
		if err != nil {
			return nil, err
		}
		took = append(took, one...)
		items, _, err := b.seg.FeedFrom(ctx, end, 1<<20)
		if err != nil {
			return nil, err
		}
		carried = 0
		for _, it := range items {
			carried += len(it.Record)
		}
	}
	took = measure.Sorted(took)
	what := fmt.Sprintf("rename of a folder of %s keys", measure.Count(n))
	return []measure.Result{
		measure.AtMost(1000, measure.Result{Name: "rename", What: what + " acknowledged, p50", Value: took.At(0.5), Unit: "ms"}),
		measure.AtMost(1024, measure.Result{Name: "rename-log", What: what + ", in the log and on a link", Value: float64(carried), Unit: "bytes"}),
	}, nil
}
