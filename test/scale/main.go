// Command scale fills a bucket with very many keys, through the segment's own interface on a real disk, and measures what the number of keys
// costs: ingest, memory, bytes written for each record, pages, listings, point reads, a restart.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/segment"
)

func main() {
	var o options
	flag.Uint64Var(&o.keys, "keys", 1_000_000, "keys of the bucket")
	flag.StringVar(&o.dir, "dir", "", "where the bucket is kept, and found again; a temporary folder by default")
	flag.IntVar(&o.workers, "workers", 64, "writers at a time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

type options struct {
	keys    uint64
	dir     string
	workers int
}

// prefixes are the folders that keys are spread over.
const prefixes = 1000

// key is the nth key that is written: the order has nothing to do with the names'.
func key(n uint64) string {
	h := n * 0x9e3779b97f4a7c15
	return fmt.Sprintf("data/%03d/%016x.bin", h>>32%prefixes, h)
}

// site is a segment on a disk.
type site struct {
	device *pack.Device
	seg    *segment.Segment
	bucket *segment.Bucket
	opened time.Duration
}

func open(ctx context.Context, dir string) (*site, error) {
	began := time.Now()
	device, err := pack.Open(ctx, pack.Options{Dir: filepath.Join(dir, "device")})
	if err != nil {
		return nil, err
	}
	seg, err := segment.Open(ctx, segment.Config{Dir: filepath.Join(dir, "segment"), ID: 1, Name: "a", Chunks: stage.New(device)})
	if err != nil {
		return nil, errors.Join(err, device.Close())
	}
	s := &site{device: device, seg: seg, opened: time.Since(began)}
	s.bucket, err = seg.Bucket("scale")
	if errors.Is(err, segment.ErrNoSuchBucket) {
		s.bucket, err = seg.CreateBucket(ctx, "scale", segment.BucketOptions{})
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *site) close() error {
	return errors.Join(s.seg.Close(context.Background()), s.device.Close())
}

func (o options) run(ctx context.Context) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "edgefs-scale-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	s, err := open(ctx, o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	have := uint64(s.bucket.Stats().Objects)
	fmt.Printf("opened with %d keys in %v\n", have, s.opened.Round(time.Millisecond))
	if err := o.load(ctx, s, have); err != nil {
		return err
	}
	return o.measure(ctx, s)
}

// load writes the keys that are missing.
func (o options) load(ctx context.Context, s *site, from uint64) error {
	if from >= o.keys {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next atomic.Uint64
	next.Store(from)
	memory, stop := watchMemory()
	began, wrote := time.Now(), written()
	var failed error
	var once sync.Once
	var workers sync.WaitGroup
	for range o.workers {
		workers.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if n >= o.keys {
					return
				}
				if err := put(ctx, s.bucket, n); err != nil {
					once.Do(func() { failed = err })
					cancel()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { workers.Wait(); close(done) }()
	last, at := from, began
	for tick := time.NewTicker(5 * time.Second); ; {
		select {
		case <-tick.C:
			n, now := next.Load(), time.Now()
			fmt.Printf("  %d keys, %.0f records/s now, %.0f so far, RssAnon peak %d MiB\n", n, float64(n-last)/now.Sub(at).Seconds(), float64(n-from)/now.Sub(began).Seconds(), memory.Load()>>20)
			last, at = n, now
			continue
		case <-done:
		}
		break
	}
	stop()
	if failed != nil || ctx.Err() != nil {
		return errors.Join(failed, ctx.Err())
	}
	took := time.Since(began)
	n := float64(o.keys - from)
	fmt.Printf("load: %.0f records/s, RssAnon peak %d MiB, %.0f bytes written for each record\n", n/took.Seconds(), memory.Load()>>20, float64(written()-wrote)/n)
	return nil
}

func put(ctx context.Context, b *segment.Bucket, n uint64) error {
	w := b.Writer(ctx, 0)
	_, err := w.Commit(ctx, key(n), segment.Attrs{ETag: "d41d8cd98f00b204e9800998ecf8427e"}, segment.Cond{})
	return err
}

func (o options) measure(ctx context.Context, s *site) error {
	rng := rand.New(rand.NewPCG(1, o.keys))
	if err := o.timed("first page of 1,000 anywhere", 300, func() error {
		p, err := s.bucket.List(ctx, segment.ListOptions{After: key(rng.Uint64N(o.keys)), Limit: 1000})
		if err == nil && len(p.Entries) == 0 {
			err = io.ErrUnexpectedEOF
		}
		return err
	}); err != nil {
		return err
	}
	if err := o.timed("point read of a version", 5000, func() error {
		_, err := s.bucket.Stat(ctx, key(rng.Uint64N(o.keys)), segment.VersionRef{})
		return err
	}); err != nil {
		return err
	}
	if err := o.timed("delimiter page over all prefixes", 20, func() error {
		p, err := s.bucket.List(ctx, segment.ListOptions{Prefix: "data/", Delimiter: "/", Limit: 1000})
		if err == nil && len(p.Entries) < min(prefixes, int(o.keys/100)) {
			err = fmt.Errorf("%d prefixes", len(p.Entries))
		}
		return err
	}); err != nil {
		return err
	}
	return o.listAll(ctx, s)
}

func (o options) listAll(ctx context.Context, s *site) error {
	began, n := time.Now(), uint64(0)
	for after := ""; ; {
		p, err := s.bucket.List(ctx, segment.ListOptions{After: after, Limit: 1000})
		if err != nil {
			return err
		}
		if n += uint64(len(p.Entries)); !p.Truncated {
			break
		}
		after = p.Next
	}
	if n != o.keys {
		return fmt.Errorf("%d keys listed, %d written", n, o.keys)
	}
	fmt.Printf("full listing: %.0f keys/s\n", float64(n)/time.Since(began).Seconds())
	return nil
}

func (o options) timed(what string, n int, do func() error) error {
	took := make([]time.Duration, n)
	for i := range took {
		began := time.Now()
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	fmt.Printf("%s: p50 %v, p99 %v\n", what, took[n/2].Round(time.Microsecond), took[n*99/100].Round(time.Microsecond))
	return nil
}

// watchMemory samples this process' anonymous memory.
func watchMemory() (peak *atomic.Int64, stop func()) {
	peak = new(atomic.Int64)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			peak.Store(max(peak.Load(), 1024*field("/proc/self/status", "RssAnon:")))
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	}()
	return peak, func() { close(end); <-ended }
}

// written is how many bytes this process has sent towards a disk.
func written() int64 { return field("/proc/self/io", "write_bytes:") }

// field is a number in a file of /proc; 0 where there is none.
func field(file, name string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), name)
	words := strings.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(words[0], 10, 64)
	return n
}
