package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/internal/vfs"
)

func small(fs vfs.FS) Options {
	return Options{FS: fs, Dir: "log", FileSize: 64 << 10, MaxBatch: 16 << 10}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens a journal and waits for its next file: what is done to the disk afterwards meets what the test does, not that.
func open(t testing.TB, opts Options, from uint64) (*Journal, []string) {
	t.Helper()
	var got []string
	j, err := Open(opts, from, collect(&got, from))
	must(t, err)
	select {
	case <-j.tended:
	case <-j.Failed():
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, got
}

// collect gathers records and checks that their positions have no holes.
func collect(into *[]string, from uint64) func(Record) error {
	return func(r Record) error {
		if want := from + uint64(len(*into)); r.Pos != want {
			return fmt.Errorf("record %d, want %d", r.Pos, want)
		}
		*into = append(*into, string(r.Data))
		return nil
	}
}

// put appends records and waits until they are committed.
func put(t testing.TB, j *Journal, records ...string) {
	t.Helper()
	var pos uint64
	for _, r := range records {
		var err error
		pos, err = j.Append([]byte(r), nil)
		must(t, err)
	}
	must(t, j.Wait(t.Context(), pos))
}

// payload is the n-th record of a test: its bytes say which it is.
func payload(n, size int) string {
	return string(bytes.Repeat(fmt.Appendf(nil, "%d;", n), size))[:size]
}

func TestRecordsAreFoundAgain(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, small(fs), 1)
	var want []string
	for i := range 200 {
		want = append(want, payload(i, i*37%3000))
		put(t, j, want[i])
	}
	must(t, j.Close())
	for _, from := range []uint64{1, 2, 100, 200, 201} {
		j, got := open(t, small(fs), from)
		if !slices.Equal(got, want[from-1:]) {
			t.Errorf("from %d: %d records, want %d", from, len(got), len(want)-int(from)+1)
		}
		if j.Last() != 200 || j.First() != 1 {
			t.Errorf("records %d to %d", j.First(), j.Last())
		}
		must(t, j.Close())
	}
}

func TestAppendGoesOnAfterReopening(t *testing.T) {
	fs := vfs.NewCrash()
	var want []string
	for i := range 30 {
		j, got := open(t, small(fs), 1)
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: found %d records, want %d", i, len(got), len(want))
		}
		for k := range 3 {
			want = append(want, payload(10*i+k, 5000))
		}
		put(t, j, want[len(want)-3:]...)
		must(t, j.Close())
	}
}

func TestARecordLargerThanAFile(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, small(fs), 1)
	want := []string{"a", payload(1, 300_000), "b", payload(2, 70_000), payload(3, 100_000), "c"}
	put(t, j, want...)
	must(t, j.Close())
	j, got := open(t, small(fs), 1)
	if !slices.Equal(got, want) {
		t.Errorf("found %d records, want %d", len(got), len(want))
	}
	j.recent.limit = 0
	if got := readAll(t, j, 1); !slices.Equal(got, want) {
		t.Errorf("read %d records, want %d", len(got), len(want))
	}
	if _, err := j.Append(make([]byte, MaxRecord+1), nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large a record: %v", err)
	}
}

func TestCommittedComesInOrderAfterDurability(t *testing.T) {
	fs := vfs.NewCrash()
	var got []string
	opts := small(fs)
	opts.Committed = func(rs []Record) {
		for _, r := range rs {
			if int(r.Pos) != len(got)+1 || r.Tag != r.Pos {
				t.Errorf("record %d with tag %v, after %d records", r.Pos, r.Tag, len(got))
			}
			got = append(got, string(r.Data))
		}
	}
	j, _ := open(t, opts, 1)
	var want []string
	for i := range 1000 {
		want = append(want, payload(i, i%50))
		_, err := j.Append([]byte(want[i]), uint64(i+1))
		must(t, err)
	}
	must(t, j.Close())
	if !slices.Equal(got, want) {
		t.Errorf("%d records were handed on, want %d", len(got), len(want))
	}
	if _, err := j.Append(nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if err := j.Wait(t.Context(), 2000); !errors.Is(err, ErrClosed) {
		t.Errorf("wait after close: %v", err)
	}
}

func TestManyWriters(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, small(fs), 1)
	var wg sync.WaitGroup
	var mu sync.Mutex
	want := map[uint64]string{}
	for w := range 16 {
		wg.Go(func() {
			for i := range 50 {
				data := payload(w*1000+i, 200)
				pos, err := j.Append([]byte(data), nil)
				if err == nil {
					err = j.Wait(context.Background(), pos)
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				want[pos] = data
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	must(t, j.Close())
	_, got := open(t, small(fs), 1)
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i, g := range got {
		if want[uint64(i+1)] != g {
			t.Errorf("record %d is another one", i+1)
		}
	}
}

func readAll(t testing.TB, j *Journal, from uint64) []string {
	t.Helper()
	var got []string
	next, err := j.Read(t.Context(), from, 1<<40, collect(&got, from))
	must(t, err)
	if want := from + uint64(len(got)); next != want {
		t.Errorf("read goes on at %d, want %d", next, want)
	}
	return got
}

func TestReadFromMemoryAndFromDisk(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, small(fs), 1)
	j.recent.limit = 10_000
	var want []string
	for i := range 300 {
		want = append(want, payload(i, i*7%900))
		put(t, j, want[i])
	}
	for _, from := range []uint64{1, 17, 150, 299, 300, 301} {
		if got := readAll(t, j, from); !slices.Equal(got, want[from-1:]) {
			t.Errorf("from %d: %d records", from, len(got))
		}
	}
	reads := 0
	fs.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpRead {
			reads++
		}
		return nil
	})
	readAll(t, j, 298)
	fs.Inject(nil)
	if reads > 0 {
		t.Errorf("a reader that has caught up cost %d reads", reads)
	}
}

func TestReadStopsAtMax(t *testing.T) {
	j, _ := open(t, small(vfs.NewCrash()), 1)
	put(t, j, "aaaa", "bbbb", "cccc")
	var got []string
	next, err := j.Read(t.Context(), 1, 5, collect(&got, 1))
	if next != 3 || err != nil || len(got) != 2 {
		t.Errorf("read %q, next %d, %v", got, next, err)
	}
	stop := errors.New("stop")
	if next, err := j.Read(t.Context(), 2, 100, func(Record) error { return stop }); next != 2 || err != stop {
		t.Errorf("next %d, %v", next, err)
	}
}

func TestWaitWakesAFeed(t *testing.T) {
	j, _ := open(t, small(vfs.NewCrash()), 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- j.Wait(context.Background(), 2) }()
	put(t, j, "a", "b")
	must(t, <-done)
	cancel()
	if err := j.Wait(ctx, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled wait: %v", err)
	}
}

func TestCutRecyclesFiles(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, small(fs), 1)
	var want []string
	for i := range 400 {
		want = append(want, payload(i, 3000))
		put(t, j, want[i])
		if i > 20 {
			must(t, j.Cut(uint64(i-20)))
		}
	}
	first := j.First()
	if first < 340 || first > 381 {
		t.Errorf("after the last cut, the first record is %d", first)
	}
	if _, err := j.Read(t.Context(), 1, 1, nil); !errors.Is(err, ErrCut) {
		t.Errorf("read of what was cut: %v", err)
	}
	must(t, j.Close())
	names, err := fs.ReadDir("log")
	must(t, err)
	if len(names) > 8 {
		t.Errorf("too many files are left: %q", names)
	}
	_, got := open(t, small(fs), 390)
	if !slices.Equal(got, want[389:]) {
		t.Errorf("found %d records", len(got))
	}
	if _, err := Open(small(fs), 1, nil); !errors.Is(err, ErrMissing) {
		t.Errorf("open from what was cut: %v", err)
	}
}

func TestOpenBeyondTheEnd(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, small(fs), 1)
	put(t, j, "a")
	must(t, j.Close())
	if _, err := Open(small(fs), 3, nil); !errors.Is(err, ErrMissing) {
		t.Errorf("open from 3 of 1: %v", err)
	}
}
