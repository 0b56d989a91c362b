package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment"
	"github.com/edgefs/edgefs/test/measure"
)

// mostVersions bounds the versions of the hot key: its writers take turns, so each waits for the disk.
const mostVersions = 1_000_000

// neighbours lie on each side of the hot key.
const neighbours = 1000

// versioned is a bucket whose key "hot" has very many versions.
type versioned struct {
	*bench
	bucket *segment.Bucket
	n      int
	puts   int
	ids    []segment.VersionRef // of versions from the newest to the oldest, a page apart
}

// put writes a version of the hot key that is like no other.
func (v *versioned) put(ctx context.Context) error {
	v.puts++
	_, err := v.bucket.Writer(ctx, 0).Commit(ctx, "hot", segment.Attrs{ETag: fmt.Sprintf("%032x", v.puts)}, segment.Cond{})
	return err
}

func (v *versioned) what(s string) string {
	return fmt.Sprintf("%s of a key with %s versions", s, measure.Count(uint64(v.n)))
}

// versions are what one key with very many of them costs, and what it costs its neighbours.
func (b *bench) versions(ctx context.Context) ([]measure.Result, error) {
	bucket, err := b.bucket(ctx, "versions", segment.Settings{Versioning: segment.Versioned})
	if err != nil {
		return nil, err
	}
	v := &versioned{bench: b, bucket: bucket, n: int(min(b.keys/10, mostVersions))}
	var out []measure.Result
	for _, figure := range []func(context.Context) ([]measure.Result, error){v.load, v.pages, v.reads, v.listing, v.folds, v.snapshots, v.removes} {
		rs, err := figure(ctx)
		if out = append(out, rs...); err != nil {
			return out, err
		}
	}
	return out, nil
}

// load writes the versions that are missing, in tenths: the last must not cost more than the first.
func (v *versioned) load(ctx context.Context) ([]measure.Result, error) {
	for i := range 2 * neighbours {
		name := fmt.Sprintf("a/%04d", i)
		if i >= neighbours {
			name = fmt.Sprintf("z/%04d", i-neighbours)
		}
		if _, err := v.bucket.Stat(ctx, name, segment.VersionRef{}); err == nil {
			continue
		}
		if _, err := v.bucket.Writer(ctx, 0).Commit(ctx, name, segment.Attrs{}, segment.Cond{}); err != nil {
			return nil, err
		}
	}
	have := int(v.bucket.Stats().Versions) - 2*neighbours
	if have >= v.n {
		return nil, nil
	}
	memory, stop := measure.WatchMemory()
	defer stop()
	began, wrote := time.Now(), measure.Written()
	var tenths [10]struct {
		measure.Times
		cpu float64 // microseconds of processors for each
	}
	each := max((v.n-have)/len(tenths), 1)
	for i := range tenths {
		cpu, err := measure.Processor(), error(nil)
		if tenths[i].Times, err = measure.Timed(each, func(int) error { return v.put(ctx) }); err != nil {
			return nil, err
		}
		tenths[i].cpu = (measure.Processor() - cpu).Seconds() * 1e6 / float64(each)
		fmt.Fprintf(os.Stderr, "  %d versions, put p50 %.3f ms, %.0f µs of processors\n", have+(i+1)*each, tenths[i].At(0.5), tenths[i].cpu)
	}
	stop()
	first, last := tenths[0], tenths[len(tenths)-1]
	n := float64(each * len(tenths))
	put := measure.AtMost(0, measure.Result{Name: "versions-put", What: v.what("put") + ", p50 of the last tenth", Value: last.At(0.5), Unit: "ms"})
	put.Detail = fmt.Sprintf("first tenth %.3f ms; %.0f and %.0f µs of processors; all in %.0f s", first.At(0.5), last.cpu, first.cpu, time.Since(began).Seconds())
	return []measure.Result{put,
		measure.AtMost(768, measure.Result{Name: "versions-memory", What: "peak RssAnon while putting them", Value: float64(memory.Load() >> 20), Unit: "MiB"}),
		measure.AtMost(0, measure.Result{Name: "versions-written", What: "written to disk for each version", Value: float64(measure.Written()-wrote) / n, Unit: "bytes"}),
	}, nil
}

// pages lists all versions, a thousand at a time.
func (v *versioned) pages(ctx context.Context) ([]measure.Result, error) {
	var took measure.Times
	seen := 0
	for o := (segment.ListVersionsOptions{Prefix: "hot", Limit: 1000}); ; {
		began := time.Now()
		p, err := v.bucket.ListVersions(ctx, o)
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
		seen += len(p.Entries)
		v.ids = append(v.ids, segment.VersionRef{ID: p.Entries[len(p.Entries)-1].Version.VersionID})
		if !p.Truncated {
			break
		}
		o.KeyMarker, o.VersionMarker = p.NextKeyMarker, p.NextVersionMarker
	}
	if seen < v.n {
		return nil, fmt.Errorf("%d versions are listed, of %d", seen, v.n)
	}
	took = measure.Sorted(took)
	return []measure.Result{
		measure.AtMost(5, measure.Result{Name: "versions-page", What: v.what("page of 1,000 versions") + ", p50", Value: took.At(0.5), Unit: "ms"}),
		measure.AtMost(50, measure.Result{Name: "versions-page", What: v.what("page of 1,000 versions") + ", p99", Value: took.At(0.99), Unit: "ms"}),
	}, nil
}

func (v *versioned) anyID(rng *rand.Rand) segment.VersionRef { return v.ids[rng.IntN(len(v.ids))] }

// reads look versions up.
func (v *versioned) reads(ctx context.Context) ([]measure.Result, error) {
	rng := rand.New(rand.NewPCG(7, uint64(v.n)))
	var out []measure.Result
	for _, f := range []struct {
		name, what string
		which      func() segment.VersionRef
	}{
		{"newest", "the newest version", func() segment.VersionRef { return segment.VersionRef{} }},
		{"oldest", "the oldest version, by its id,", func() segment.VersionRef { return v.ids[len(v.ids)-1] }},
		{"any", "any version, by its id,", func() segment.VersionRef { return v.anyID(rng) }},
	} {
		took, err := measure.Timed(5000, func(int) error { _, err := v.bucket.Stat(ctx, "hot", f.which()); return err })
		if err != nil {
			return out, err
		}
		r := measure.AtMost(0, measure.Result{Name: "versions-" + f.name, What: v.what(f.what) + ", p50", Value: 1000 * took.At(0.5), Unit: "µs"})
		r.Detail = fmt.Sprintf("p99 %.0f µs", 1000*took.At(0.99))
		out = append(out, r)
	}
	return out, nil
}

// listing is a page of keys that goes over the hot one.
func (v *versioned) listing(ctx context.Context) ([]measure.Result, error) {
	took, err := measure.Timed(50, func(int) error {
		p, err := v.bucket.List(ctx, segment.ListOptions{After: fmt.Sprintf("a/%04d", neighbours-500), Limit: 1000})
		if err == nil && (len(p.Entries) != 1000 || p.Entries[len(p.Entries)-1].Version.Key < "z") {
			err = errCount
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	r := measure.AtMost(5, measure.Result{Name: "versions-list", What: "page of 1,000 keys, one of them that, p50", Value: took.At(0.5), Unit: "ms"})
	r.Detail = fmt.Sprintf("p99 %.1f ms", took.At(0.99))
	return []measure.Result{r}, nil
}

// folds write few versions into trees that hold many.
func (v *versioned) folds(ctx context.Context) ([]measure.Result, error) {
	const n, records = 11, 100
	if _, err := v.bucket.Fold(ctx); err != nil { // of what was written before
		return nil, err
	}
	var took measure.Times
	stored := v.nodes()
	for range n {
		for range records {
			if err := v.put(ctx); err != nil {
				return nil, err
			}
		}
		one, err := measure.Timed(1, func(int) error { _, err := v.bucket.Fold(ctx); return err })
		if err != nil {
			return nil, err
		}
		took = append(took, one...)
	}
	took = measure.Sorted(took)
	r := measure.AtMost(0, measure.Result{Name: "versions-fold", What: v.what(fmt.Sprintf("fold of %d versions", records)) + ", p50", Value: took.At(0.5), Unit: "ms"})
	r.Detail = fmt.Sprintf("%.0f bytes of nodes for each version", float64(v.nodes()-stored)/n/records)
	return []measure.Result{r}, nil
}

// nodes is how many bytes of metadata are stored.
func (b *bench) nodes() int64 { return b.device.Stats().Chunks[chunk.Meta].Bytes }

// snapshots are made, and compared, while the key gets a thousand versions more.
func (v *versioned) snapshots(ctx context.Context) (_ []measure.Result, err error) {
	names := [2]string{"before", "after"}
	var took measure.Times
	for _, name := range names {
		if err := v.bucket.DeleteSnapshot(ctx, name); err != nil && !errors.Is(err, segment.ErrNoSuchSnapshot) { // of a run that was stopped
			return nil, err
		}
		for range changes {
			if err := v.put(ctx); err != nil {
				return nil, err
			}
		}
		one, err := measure.Timed(1, func(int) error { _, err := v.bucket.CreateSnapshot(ctx, name); return err })
		if err != nil {
			return nil, err
		}
		took = append(took, one...)
	}
	if _, err := v.bucket.Fold(ctx); err != nil { // the snapshots' roots are made
		return nil, err
	}
	var at [2]*segment.Bucket
	for i, name := range names {
		if at[i], err = v.bucket.At(ctx, name); err != nil {
			return nil, err
		}
	}
	began, n := time.Now(), 0
	for _, err := range segment.Diff(ctx, at[0], at[1], "") {
		if err != nil {
			return nil, err
		}
		n++
	}
	diff := time.Since(began)
	if n != 1 {
		return nil, fmt.Errorf("%d keys differ, not 1", n)
	}
	for _, name := range names {
		err = errors.Join(err, v.bucket.DeleteSnapshot(ctx, name))
	}
	return []measure.Result{
		measure.AtMost(10, measure.Result{Name: "versions-snapshot", What: v.what("snapshot") + " acknowledged, most", Value: measure.Sorted(took).At(1), Unit: "ms"}),
		measure.AtMost(0, measure.Result{Name: "versions-diff", What: v.what("diff of two, 1,000 versions apart,"), Value: measure.MS(diff), Unit: "ms"}),
	}, err
}

// removes take versions away: the current one, which uncovers the next, and others.
func (v *versioned) removes(ctx context.Context) ([]measure.Result, error) {
	rng := rand.New(rand.NewPCG(8, uint64(v.n)))
	var out []measure.Result
	for _, f := range []struct {
		name, what string
		which      func() (segment.VersionRef, error)
	}{
		{"remove-current", "removal of the current version", func() (segment.VersionRef, error) {
			now, err := v.bucket.Stat(ctx, "hot", segment.VersionRef{})
			return segment.VersionRef{ID: now.VersionID}, err
		}},
		{"remove", "removal of any version", func() (segment.VersionRef, error) { return v.anyID(rng), nil }},
	} {
		took, err := measure.Timed(200, func(int) error {
			ref, err := f.which()
			if err == nil {
				_, err = v.bucket.Remove(ctx, "hot", ref, segment.Cond{})
			}
			return err
		})
		if err != nil {
			return out, err
		}
		r := measure.AtMost(0, measure.Result{Name: "versions-" + f.name, What: v.what(f.what) + ", p50", Value: took.At(0.5), Unit: "ms"})
		r.Detail = fmt.Sprintf("p99 %.2f ms", took.At(0.99))
		out = append(out, r)
	}
	return out, nil
}
