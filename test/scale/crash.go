package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/edgefs/edgefs/test/measure"
)

// crashed is how many records a start after a crash finds over the last fold.
const crashed = 400_000

// start opens the store after the process that had it open was killed.
func (b *bench) start(ctx context.Context) ([]measure.Result, error) {
	n := min(crashed, b.keys/4)
	if err := b.shut(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-keys", fmt.Sprint(b.keys), "-dir", filepath.Dir(b.dir), "-crash", fmt.Sprint(n))
	cmd.Stderr = os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
		err = fmt.Errorf("the process that was to be killed ended by itself: %w", err)
	} else {
		err = nil
	}
	cpu := measure.Processor()
	var openErr error
	b.site, openErr = open(ctx, b.dir, b.overlay)
	if err = errors.Join(err, openErr); err != nil {
		return nil, err
	}
	r := measure.AtMost(0, measure.Result{Name: "start", What: fmt.Sprintf("start after kill -9, %s keys, %s records since the last state", measure.Count(b.keys), measure.Count(n)), Value: b.opened.Seconds(), Unit: "s"})
	r.Detail = fmt.Sprintf("%.1f s of processors", (measure.Processor() - cpu).Seconds())
	return []measure.Result{r}, nil
}

// die writes n records over a fold, and kills the process.
func (b *bench) die(ctx context.Context, n uint64) error {
	bucket, err := b.largest(ctx)
	if err != nil {
		return err
	}
	if _, err := bucket.Fold(ctx); err != nil {
		return err
	}
	if err := b.reopen(ctx); err != nil { // which writes a state behind the fold
		return err
	}
	if bucket, err = b.largest(ctx); err != nil {
		return err
	}
	failed := make([]error, b.workers)
	var writers sync.WaitGroup
	for w := range b.workers {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(4, uint64(w)))
			for range n / uint64(b.workers) {
				if failed[w] = errors.Join(failed[w], put(ctx, bucket, rng.Uint64N(b.keys))); failed[w] != nil {
					return
				}
			}
		})
	}
	writers.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func (b *bench) reopen(ctx context.Context) error {
	err := b.shut()
	var openErr error
	b.site, openErr = open(ctx, b.dir, b.overlay)
	return errors.Join(err, openErr)
}

// shut closes the site and forgets its memory, as a process that ends does.
func (b *bench) shut() error {
	s := b.site
	b.site = nil
	err := s.close()
	debug.FreeOSMemory()
	return err
}
