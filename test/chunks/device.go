package main

import (
	"context"
	"encoding/binary"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
)

// device opens a device with the daemon's settings.
func (b *bench) device(ctx context.Context) (*pack.Device, error) {
	return pack.Open(ctx, pack.Options{Dir: b.path("device"), Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// domainOf is a dedup domain: under another one the same bytes are other chunks, so unique data costs nothing to make.
func domainOf(n uint64) chunk.Domain {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], n)
	return chunk.NewDomain(key)
}

func fillRandom(b []byte, seed uint64) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	_, _ = rand.NewChaCha8(key).Read(b)
}

// forget drops files from the page cache.
func forget(dir string) error {
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_ = f.Sync() // what is not written cannot be dropped
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

// during runs n goroutines until the time is over, and returns how often they did it in a second. do is told which of them it is, and how
// often that one did it before.
func during(ctx context.Context, each time.Duration, n int, do func(ctx context.Context, worker, i int) error) (float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	done := make([]int, n)
	var all sync.WaitGroup
	for w := range n {
		all.Go(func() {
			for i := 0; ctx.Err() == nil && time.Since(began) < each; i++ {
				if err := do(ctx, w, i); err != nil {
					cancel(err)
					return
				}
				done[w]++
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	sum := 0
	for _, d := range done {
		sum += d
	}
	return float64(sum) / took.Seconds(), context.Cause(ctx)
}
