package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/test/demo/site"
	"github.com/edgefs/edgefs/test/demo/story"
	"github.com/edgefs/edgefs/test/demo/tree"
)

// parallel is how many requests are in flight.
const parallel = 24

// patience is how long the demo waits for what should take a moment.
const patience = time.Minute

// ledger is what was acknowledged, by key. It is safe for concurrent use.
type ledger struct {
	mu   sync.Mutex
	held map[string]entry
}

type entry struct {
	size int64
	etag string
}

func (l *ledger) add(key string, e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]entry{}
	}
	l.held[key] = e
}

func (l *ledger) get(key string) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.held[key]
	return e, ok
}

func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// comparison is how a listing differs from a ledger.
type comparison struct{ listed, missing, wrong, unknown int }

func (c comparison) same() bool { return c.missing+c.wrong+c.unknown == 0 }

func (c comparison) String() string {
	if c.same() {
		return fmt.Sprintf("%s listed, none missing, wrong or unknown", count(c.listed))
	}
	return fmt.Sprintf("%s listed; %d missing, %d with another size or ETag, %d unknown", count(c.listed), c.missing, c.wrong, c.unknown)
}

// compare lists all of the bucket at a site, and compares it with what was acknowledged.
func (d *demo) compare(ctx context.Context, s *site.Site) (c comparison, err error) {
	d.acknowledged.mu.Lock()
	defer d.acknowledged.mu.Unlock()
	err = s.List(ctx, bucket, "", func(o minio.ObjectInfo) error {
		c.listed++
		want, known := d.acknowledged.held[o.Key]
		switch {
		case !known:
			c.unknown++
		case want != entry{o.Size, o.ETag}:
			c.wrong++
		}
		return nil
	})
	c.missing = len(d.acknowledged.held) - (c.listed - c.unknown)
	return c, err
}

// put uploads files under a prefix, and enters what was acknowledged. It returns how many answers had another ETag than the file's MD5.
func (d *demo) put(ctx context.Context, st *story.Step, s *site.Site, prefix string, files []tree.File) (wrong int, err error) {
	bar := st.Bar("put", int64(len(files)))
	defer bar.Done()
	var mu sync.Mutex
	err = each(ctx, parallel, files, func(ctx context.Context, f tree.File) error {
		content, err := f.Content()
		if err != nil {
			return err
		}
		etag, err := s.Put(ctx, bucket, prefix+f.Name, content)
		if err != nil {
			return err
		}
		if etag != f.ETag {
			mu.Lock()
			wrong++
			mu.Unlock()
		}
		d.acknowledged.add(prefix+f.Name, entry{f.Size, f.ETag})
		bar.Add(1)
		return nil
	})
	return wrong, err
}

// reading is what a number of reads found.
type reading struct {
	latencies []time.Duration // sorted
	bytes     int64
	wrong     []string // keys whose content was another
	failed    []error
}

func (r reading) at(quantile float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[int(quantile*float64(len(r.latencies)-1))]
}

// right says that all reads were answered with the right content.
func (r reading) right() bool { return len(r.wrong)+len(r.failed) == 0 }

func (r reading) String() string {
	s := fmt.Sprintf("%s files, %s: median %s, p99 %s", count(len(r.latencies)), size(r.bytes), story.Duration(r.at(0.5)), story.Duration(r.at(0.99)))
	if len(r.wrong) > 0 {
		s += fmt.Sprintf("; %d with wrong bytes, as %s", len(r.wrong), r.wrong[0])
	}
	if len(r.failed) > 0 {
		s += fmt.Sprintf("; %d failed, as %v", len(r.failed), r.failed[0])
	}
	return s
}

// get reads files at a site and compares every byte. Only the context's end is an error.
func (d *demo) get(ctx context.Context, st *story.Step, s *site.Site, prefix string, files []tree.File, workers int) (r reading, err error) {
	bar := st.Bar("get", int64(len(files)))
	defer bar.Done()
	var mu sync.Mutex
	err = each(ctx, workers, files, func(ctx context.Context, f tree.File) error {
		want, err := f.Content()
		if err != nil {
			return err
		}
		begun := time.Now()
		got, err := s.Get(ctx, bucket, prefix+f.Name, "")
		took := time.Since(begun)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		bar.Add(1)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			r.failed = append(r.failed, err)
		case !bytes.Equal(got, want):
			r.wrong = append(r.wrong, f.Name)
		default:
			r.latencies = append(r.latencies, took)
			r.bytes += int64(len(got))
		}
		return nil
	})
	slices.Sort(r.latencies)
	return r, err
}

// each does something for all items, some at a time. The first error ends it.
func each[T any](ctx context.Context, workers int, items []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, item := range items {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(ctx, item)
		})
	}
	return group.Wait()
}

// pick chooses n of the files by chance, always the same.
func (d *demo) pick(n int, stream uint64, files []tree.File) []tree.File {
	r := rand.New(rand.NewPCG(d.seed, stream))
	var chosen []tree.File
	for _, i := range r.Perm(len(files))[:min(n, len(files))] {
		chosen = append(chosen, files[i])
	}
	return chosen
}

// until waits, not too long, for something that should come true in a moment. It returns how long that took.
func until(ctx context.Context, what string, ask func(context.Context) (bool, error)) (time.Duration, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("waiting until %s: not so after %v", what, patience))
	defer cancel()
	err := site.Until(ctx, 5*time.Millisecond, func() (bool, error) {
		yes, err := ask(ctx)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		return yes, err
	})
	return time.Since(begun), err
}

// linked waits until both sides say that the link is up.
func (d *demo) linked(ctx context.Context) error {
	_, err := until(ctx, "the link is up", func(ctx context.Context) (bool, error) {
		for _, s := range d.sites() {
			l, err := link(ctx, s)
			if err != nil || l.State != admin.LinkUp {
				return false, nil // while it joins, a segment answers nothing
			}
		}
		return true, nil
	})
	return err
}

// known waits until tokyo knows of a bucket.
func (d *demo) known(ctx context.Context, name string) error {
	_, err := until(ctx, "tokyo knows the bucket "+name, func(ctx context.Context) (bool, error) {
		_, err := d.tokyo.Admin.Bucket(ctx, name, false)
		var refused *admin.Error
		if errors.As(err, &refused) && refused.Code == admin.NoSuchBucket {
			return false, nil
		}
		return err == nil, err
	})
	return err
}

var errNotLinked = errors.New("there is no link")

// link is a site's side of the link.
func link(ctx context.Context, s *site.Site) (admin.Link, error) {
	links, err := s.Admin.Links(ctx)
	if err != nil {
		return admin.Link{}, err
	}
	if len(links) != 1 {
		return admin.Link{}, fmt.Errorf("%s: %w", s.Name(), errNotLinked)
	}
	return links[0], nil
}

// shipped is the payload that came to tokyo over the link so far, as tokyo counts it.
func (d *demo) shipped(ctx context.Context) (int64, error) {
	l, err := link(ctx, d.tokyo)
	return int64(l.Traffic["payload"].Received), err
}

// objects is how many objects of the bucket a site knows.
func objects(ctx context.Context, s *site.Site) (int64, error) {
	b, err := s.Admin.Bucket(ctx, bucket, false)
	if err != nil {
		return 0, err
	}
	return b.Stats.Objects, nil
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func count[N int | int64 | uint64](n N) string { return humanize.Comma(int64(n)) }

func since(begun time.Time) string { return story.Duration(time.Since(begun)) }

// rate is a number per second.
func rate(n int64, took time.Duration) int64 { return int64(float64(n) / max(took.Seconds(), 1e-9)) }

// percent is a part of a whole.
func percent(part, whole int64) float64 { return 100 * float64(part) / float64(max(whole, 1)) }
