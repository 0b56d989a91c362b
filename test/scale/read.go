package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/edgefs/edgefs/segment"
	"github.com/edgefs/edgefs/test/measure"
)

// pages are first pages of a thousand keys from anywhere, in each of the buckets.
func (b *bench) pages(ctx context.Context) ([]measure.Result, error) {
	return b.climb(ctx, func(bucket *segment.Bucket, n uint64, last bool) ([]measure.Result, error) {
		rng := rand.New(rand.NewPCG(1, n))
		took, err := measure.Timed(400, func(int) error {
			p, err := bucket.List(ctx, segment.ListOptions{After: key(rng.Uint64N(n)), Limit: 1000})
			if err == nil && len(p.Entries) == 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		goal50, goal99 := 5.0, 50.0
		what := fmt.Sprintf("page of 1,000 anywhere in %s keys", measure.Count(n))
		if !last {
			r := measure.AtMost(0, measure.Result{Name: "pages", What: what + ", p50", Value: took.At(0.5), Unit: "ms"})
			return []measure.Result{r}, nil
		}
		return []measure.Result{
			measure.AtMost(goal50, measure.Result{Name: "pages", What: what + ", p50", Value: took.At(0.5), Unit: "ms"}),
			measure.AtMost(goal99, measure.Result{Name: "pages", What: what + ", p99", Value: took.At(0.99), Unit: "ms"}),
		}, nil
	})
}

// climb measures each bucket of the ladder.
func (b *bench) climb(ctx context.Context, figure func(bucket *segment.Bucket, n uint64, last bool) ([]measure.Result, error)) ([]measure.Result, error) {
	var out []measure.Result
	for _, n := range b.ladder() {
		bucket, err := b.keysIn(ctx, n)
		if err != nil {
			return out, err
		}
		rs, err := figure(bucket, n, n == b.keys)
		if err != nil {
			return out, err
		}
		out = append(out, rs...)
	}
	return out, nil
}

// points are reads of a version by its name.
func (b *bench) points(ctx context.Context) ([]measure.Result, error) {
	return b.climb(ctx, func(bucket *segment.Bucket, n uint64, _ bool) ([]measure.Result, error) {
		rng := rand.New(rand.NewPCG(2, n))
		took, err := measure.Timed(20_000, func(int) error {
			_, err := bucket.Stat(ctx, key(rng.Uint64N(n)), segment.VersionRef{})
			return err
		})
		if err != nil {
			return nil, err
		}
		r := measure.AtMost(0, measure.Result{Name: "points", What: fmt.Sprintf("version by name in %s keys, p50", measure.Count(n)), Value: 1000 * took.At(0.5), Unit: "µs"})
		r.Detail = fmt.Sprintf("p99 %.0f µs", 1000*took.At(0.99))
		return []measure.Result{r}, nil
	})
}

// delimiter is a page of all folders, each a thousandth of the keys.
func (b *bench) delimiter(ctx context.Context) ([]measure.Result, error) {
	bucket, err := b.largest(ctx)
	if err != nil {
		return nil, err
	}
	found := 0
	took, err := measure.Timed(50, func(int) error {
		p, err := bucket.List(ctx, segment.ListOptions{Prefix: "data/", Delimiter: "/", Limit: 1000})
		found = len(p.Entries)
		return err
	})
	if err != nil {
		return nil, err
	}
	r := measure.AtMost(20, measure.Result{Name: "delimiter", What: fmt.Sprintf("page of %d prefixes of %d keys, p50", found, b.keys/prefixes), Value: took.At(0.5), Unit: "ms"})
	r.Detail = fmt.Sprintf("p99 %.1f ms", took.At(0.99))
	return []measure.Result{r}, nil
}

// listing is all keys of the largest bucket, page by page.
func (b *bench) listing(ctx context.Context) ([]measure.Result, error) {
	bucket, err := b.largest(ctx)
	if err != nil {
		return nil, err
	}
	began, n := time.Now(), uint64(0)
	for after := ""; ; {
		p, err := bucket.List(ctx, segment.ListOptions{After: after, Limit: 1000})
		if err != nil {
			return nil, err
		}
		if n += uint64(len(p.Entries)); !p.Truncated {
			break
		}
		after = p.Next
	}
	if n < b.keys {
		return nil, fmt.Errorf("%d of %d: %w", n, b.keys, errCount)
	}
	return []measure.Result{measure.AtLeast(250_000, measure.Result{Name: "listing", What: fmt.Sprintf("all of %s keys listed in process", measure.Count(b.keys)), Value: float64(n) / time.Since(began).Seconds(), Unit: "keys/s"})}, nil
}
