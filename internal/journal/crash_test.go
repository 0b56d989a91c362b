package journal

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/vfs"
)

// history is what a workload knows of its journal.
type history struct {
	mu       sync.Mutex
	appended []string // appended[i] has position i+1
	acked    uint64   // all up to here were acknowledged
	cut      uint64   // nothing before is needed
}

func (h *history) ack(rs []Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked = rs[len(rs)-1].Pos
}

// work appends, waits and cuts, through several files, until the disk fails.
func (h *history) work(fs vfs.FS, rounds int) error {
	opts := small(fs)
	opts.FileSize, opts.MaxBatch = 32<<10, 8<<10
	opts.Committed = h.ack
	opts.idle = time.Millisecond
	j, err := Open(opts, max(h.cut, 1), nil)
	if err != nil {
		return err
	}
	defer j.Close()
	for round := range rounds {
		n := round%4 + 1
		var pos uint64
		for i := range n {
			data := payload(len(h.appended), (round*977+i*331)%5000)
			if pos, err = j.Append([]byte(data), nil); err != nil {
				return err
			}
			if int(pos) != len(h.appended)+1 {
				return fmt.Errorf("position %d after %d records", pos, len(h.appended))
			}
			h.appended = append(h.appended, data)
		}
		if err := j.Wait(context.Background(), pos); err != nil {
			return err
		}
		if round%5 == 4 {
			if err := j.Cut(pos - 3); err != nil {
				return err
			}
			h.cut = pos - 3
		}
	}
	return j.Close()
}

// check opens what a crash left: all that was acknowledged is there, nothing else than what was appended, in its place; and it goes on.
func (h *history) check(fs vfs.FS) error {
	from := max(h.cut, 1)
	var got []string
	opts := small(fs)
	opts.FileSize, opts.MaxBatch = 32<<10, 8<<10
	j, err := Open(opts, from, collect(&got, from))
	if err != nil {
		return err
	}
	defer j.Close()
	end := from - 1 + uint64(len(got))
	if end < h.acked {
		return fmt.Errorf("%d records were acknowledged, found up to %d", h.acked, end)
	}
	if end > uint64(len(h.appended)) || !slices.Equal(got, h.appended[from-1:end]) {
		return fmt.Errorf("found other records than were appended")
	}
	h.appended, h.acked = h.appended[:end], end
	return nil
}

// seeds is how often the crash tests cut the power at each operation, each time with another outcome.
var seeds = flag.Uint64("seeds", 1, "outcomes of each crash point")

// TestEveryCrashPoint cuts the power, or kills the process, at every operation of a workload, and looks at what is left; then again in the lives
// that follow.

func TestEveryCrashPoint(t *testing.T) {
	fs := vfs.NewCrash()
	must(t, (&history{}).work(fs, 25))
	total := fs.Ops()
	t.Logf("%d operations", total)
	for n := range total {
		for seed := range *seeds {
			rng := rand.New(rand.NewPCG(uint64(n), seed))
			fs, h := vfs.NewCrash(), &history{}
			fs.CutAfter(n)
			err := h.work(fs, 25)
			for life := range 3 {
				if err != nil && !errors.Is(err, vfs.ErrCut) {
					t.Fatalf("operation %d, seed %d, life %d: %v", n, seed, life, err)
				}
				if rng.IntN(3) == 0 {
					fs.Kill()
				} else {
					fs = fs.Crash(rng)
				}
				if err := h.check(fs); err != nil {
					t.Fatalf("after a crash at operation %d, seed %d, life %d: %v", n, seed, life, err)
				}
				fs.CutAfter(rng.IntN(60))
				err = h.work(fs, 10)
			}
		}
	}
}

func TestAFailedSyncEndsTheJournal(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpSync, vfs.OpWrite} {
		fs := vfs.NewCrash()
		j, _ := open(t, small(fs), 1)
		put(t, j, "a")
		fs.Inject(func(op vfs.Op) error {
			if op.Kind == kind {
				return syscall.EIO
			}
			return nil
		})
		pos, err := j.Append([]byte("b"), nil)
		must(t, err)
		<-j.Failed()
		fs.Inject(nil)
		if err := j.Wait(t.Context(), pos); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s fails: wait: %v", kind, err)
		}
		if _, err := j.Append([]byte("c"), nil); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s fails: append: %v", kind, err)
		}
		if got := readAll(t, j, 1); !slices.Equal(got, []string{"a"}) {
			t.Errorf("%s fails: read: %q", kind, got)
		}
		if err := j.Close(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s fails: close: %v", kind, err)
		}
		_, got := open(t, small(fs.Crash(rand.New(rand.NewPCG(1, 1)))), 1)
		if len(got) == 0 || got[0] != "a" {
			t.Errorf("%s fails: opened again: %q", kind, got)
		}
	}
}

func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	fs := vfs.NewCrash()
	opts := small(fs)
	opts.retry = time.Millisecond
	j, _ := open(t, opts, 1)
	fs.Limit(4 * 64 << 10)
	var acked []string
	for i := 0; ; i++ {
		data := payload(i, 3000)
		_, err := j.Append([]byte(data), nil)
		if errors.Is(err, ErrFull) {
			break
		}
		must(t, err)
		if i > 1000 {
			t.Fatal("the disk never gets full")
		}
		acked = append(acked, data)
	}
	fs.Limit(1 << 30)

	for {
		if _, err := j.Append([]byte("again"), nil); err == nil {
			break
		} else if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		<-j.tended
	}
	must(t, j.Close())
	_, got := open(t, small(fs), 1)
	if want := append(acked, "again"); !slices.Equal(got, want) {
		t.Errorf("found %d records, want %d", len(got), len(want))
	}
}

func TestCloseOnAFullDisk(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, small(fs), 1)
	put(t, j, "a")
	fs.Limit(1)
	_, err := j.Append(make([]byte, 200_000), nil)
	must(t, err)
	if err := j.Close(); !errors.Is(err, ErrFull) {
		t.Errorf("close: %v", err)
	}
	_, got := open(t, small(fs), 1)
	if !slices.Equal(got, []string{"a"}) {
		t.Errorf("found %q", got)
	}
}

func TestWhatAFailedSyncForgotIsWrittenAgain(t *testing.T) {
	for seed := range uint64(10) {
		fs := vfs.NewCrash()
		j, _ := open(t, small(fs), 1)
		put(t, j, "a")
		fs.Inject(func(op vfs.Op) error {
			if op.Kind == vfs.OpSync {
				return syscall.EIO
			}
			return nil
		})
		_, err := j.Append([]byte("b"), nil)
		must(t, err)
		<-j.Failed()
		_ = j.Close()
		fs.Kill() // the process ends, the machine goes on: what was written is read, though it is not on the disk
		j, got := open(t, small(fs), 1)
		put(t, j, "c")
		if want := []string{"a", "b"}; !slices.Equal(got, want) {
			t.Fatalf("found %q", got)
		}
		_, got = open(t, small(fs.Crash(rand.New(rand.NewPCG(seed, 1)))), 1)
		if want := []string{"a", "b", "c"}; !slices.Equal(got, want) {
			t.Fatalf("after a power cut, seed %d: found %q, want %q", seed, got, want)
		}
	}
}

// TestTheEndOfAFullFileIsMadeDurable kills the process when the last batch of a file was written and not synced. What is written next goes to
// another file, and its sync does not help.
func TestTheEndOfAFullFileIsMadeDurable(t *testing.T) {
	for seed := range uint64(10) {
		fs := vfs.NewCrash()
		opts := small(fs)
		opts.FileSize, opts.idle = 32<<10, time.Hour
		j, _ := open(t, opts, 1)
		var want []string
		for j.left > 2*vfs.Align {
			want = append(want, payload(len(want), 100))
			put(t, j, want[len(want)-1])
		}
		fs.Inject(func(op vfs.Op) error {
			if op.Kind == vfs.OpSync {
				return vfs.ErrCut // it ends before
			}
			return nil
		})
		want = append(want, payload(len(want), vfs.Align))
		_, err := j.Append([]byte(want[len(want)-1]), nil)
		must(t, err)
		<-j.Failed()
		_ = j.Close()
		fs.Kill()
		opts = small(fs)
		opts.FileSize, opts.idle = 32<<10, time.Hour
		j, got := open(t, opts, 1)
		if !slices.Equal(got, want) || j.left > 0 {
			t.Fatalf("found %d of %d records, %d bytes left", len(got), len(want), j.left)
		}
		put(t, j, "next")
		opts.FS = fs.Crash(rand.New(rand.NewPCG(seed, 1)))
		_, got = open(t, opts, 1)
		if !slices.Equal(got, append(want, "next")) {
			t.Fatalf("after a power cut, seed %d: found %d of %d records", seed, len(got), len(want)+1)
		}
	}
}
