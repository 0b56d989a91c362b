package journal

import (
	"errors"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgefs/edgefs/internal/vfs"
)

// unconfirmed does not confirm the last batch by itself.
func unconfirmed(fs vfs.FS) Options {
	opts := small(fs)
	opts.idle = time.Hour
	return opts
}

func flip(t testing.TB, fs vfs.FS, name string, off int64) {
	t.Helper()
	f, err := fs.Open(name, vfs.Write)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	must(t, readFull(f, b, off))
	b[0] ^= 0x04
	_, err = f.WriteAt(b, off)
	must(t, err)
	must(t, f.Sync())
}

func logs(t testing.TB, fs vfs.FS) []string {
	t.Helper()
	names, err := fs.ReadDir("log")
	must(t, err)
	var files []string
	for _, n := range names {
		if path.Ext(n) == logSuffix {
			files = append(files, path.Join("log", n))
		}
	}
	return files
}

// several makes a journal of a few files on a file system that was synced, and closes it.
func several(t testing.TB, n, size int) (*vfs.Crash, []string) {
	t.Helper()
	fs := vfs.NewCrash()
	j, _ := open(t, small(fs), 1)
	var want []string
	for i := range n {
		want = append(want, payload(i, size+i%97))
		put(t, j, want[i])
	}
	must(t, j.Close())
	return fs, want
}

// TestNoFlippedBitIsReplayed flips bits all over the files of a journal that was closed. What was committed is replayed as it was, all of it, or
// the damage is reported.
func TestNoFlippedBitIsReplayed(t *testing.T) {
	fs, want := several(t, 40, 3000)
	rng := rand.New(rand.NewPCG(3, 4))
	reported := 0
	for _, name := range logs(t, fs) {
		info, err := fs.Stat(name)
		must(t, err)
		for off := int64(0); off < info.Size; off += 1 + rng.Int64N(500) {
			flip(t, fs, name, off)
			copied := fs.Crash(rng) // opening writes
			var got []string
			j, err := Open(small(copied), 1, collect(&got, 1))
			if err == nil {
				must(t, j.Close())
				if !slices.Equal(got, want) {
					t.Fatalf("bit at %d of %s: %d of %d records are replayed, or others", off, name, len(got), len(want))
				}
			} else {
				var d *DamagedError
				if !errors.Is(err, ErrDamaged) || !errors.As(err, &d) || !slices.Contains(logs(t, fs), d.File) {
					t.Fatalf("bit at %d of %s: %v", off, name, err)
				}
				reported++
			}
			flip(t, fs, name, off)
		}
	}
	if reported < 100 {
		t.Errorf("damage was reported only %d times", reported)
	}
}

// TestTheLastBatchIsConfirmedWhenIdle damages the last batch of a journal that was not closed.
func TestTheLastBatchIsConfirmedWhenIdle(t *testing.T) {
	for _, idle := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			fs := vfs.NewCrash()
			opts := small(fs)
			j, _ := open(t, opts, 1)
			put(t, j, "a", "b")
			if idle {
				time.Sleep(time.Second) // of the bubble's clock
				synctest.Wait()
			}
			after := fs.Crash(rand.New(rand.NewPCG(1, 1)))
			last := j.out.off - vfs.Align // the last batch, or the mark
			if idle {
				last -= vfs.Align
			}
			flip(t, after, logs(t, after)[0], last+batchHeader+frameHeader)
			again, err := Open(small(after), 1, nil)
			if err == nil {
				must(t, again.Close())
			}
			if damaged := errors.Is(err, ErrDamaged); damaged != idle {

				t.Errorf("idle %v: %v", idle, err)
			}
			must(t, j.Close())
		})
	}
}

func TestDamageBeforeWhatIsNeededDoesNotMatter(t *testing.T) {
	fs, want := several(t, 60, 3000)
	name := logs(t, fs)[0]
	for _, off := range []int64{dataStart + 10, dataStart + 100, dataStart + 20_000} {
		flip(t, fs, name, off)
	}
	if _, err := Open(small(fs), 1, nil); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrMissing) {
		t.Errorf("open from the damage: %v", err)
	}
	j, got := open(t, small(fs), 50)
	if !slices.Equal(got, want[49:]) {
		t.Errorf("%d records after the damage", len(got))
	}
	if first := j.First(); first <= 1 || first > 50 {
		t.Errorf("the first record is %d", first)
	}
}

func TestReadReportsDamage(t *testing.T) {
	fs := vfs.NewCrash()
	opts := small(fs)
	j, _ := open(t, opts, 1)
	j.recent.limit = 0
	for i := range 20 {
		put(t, j, payload(i, 3000))
	}
	name := logs(t, fs)[0]
	flip(t, fs, name, dataStart+3*vfs.Align+2000)
	_, err := j.Read(t.Context(), 1, 1<<20, func(Record) error { return nil })
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
		t.Errorf("read: %v", err)
	}
}

func TestForeignAndMissingFiles(t *testing.T) {
	for what, tc := range map[string]struct {
		spoil func(t *testing.T, fs *vfs.Crash, files []string)
		want  error
	}{
		"a file that is no journal's": {func(t *testing.T, fs *vfs.Crash, files []string) {
			f, err := fs.Open(logName("log", 99), vfs.Create)
			must(t, err)
			_, err = f.WriteAt([]byte("dear diary"), 0)
			must(t, err)
		}, ErrDamaged},
		"a file of another journal": {func(t *testing.T, fs *vfs.Crash, files []string) {
			other, _ := several(t, 60, 3000)
			src, err := other.Open(files[1], 0)
			must(t, err)
			b := make([]byte, 64<<10)
			must(t, readFull(src, b, 0))
			dst, err := fs.Open(files[1], vfs.Write)
			must(t, err)
			_, err = dst.WriteAt(b, 0)
			must(t, err)
		}, ErrDamaged},
		"a file under another's name": {func(t *testing.T, fs *vfs.Crash, files []string) { must(t, fs.Rename(files[1], files[0])) }, ErrDamaged},
		"a file cut short": {func(t *testing.T, fs *vfs.Crash, files []string) {
			f, err := fs.Open(files[0], vfs.Write)
			must(t, err)
			must(t, f.Truncate(20_000))
		}, ErrDamaged},
		"no first file":  {func(t *testing.T, fs *vfs.Crash, files []string) { must(t, fs.Remove(files[0])) }, ErrMissing},
		"no second file": {func(t *testing.T, fs *vfs.Crash, files []string) { must(t, fs.Remove(files[1])) }, ErrMissing},
		"a newer format": {func(t *testing.T, fs *vfs.Crash, files []string) {
			f, err := fs.Open(files[0], vfs.Write)
			must(t, err)
			_, err = f.WriteAt([]byte{fileVersion + 1}, 8)
			must(t, err)
		}, ErrDamaged},
	} {
		fs, _ := several(t, 60, 3000)
		tc.spoil(t, fs, logs(t, fs))
		_, err := Open(small(fs), 1, nil)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), ".log") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestTheCopiesOfAJournalDoNotMix puts a batch that a copy of the journal wrote in the place of one of its own.
func TestTheCopiesOfAJournalDoNotMix(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, unconfirmed(fs), 1)
	put(t, j, "a", "b")
	must(t, j.Close())
	copied := fs.Crash(rand.New(rand.NewPCG(1, 1)))
	j, _ = open(t, unconfirmed(fs), 1)
	put(t, j, "c")
	off := j.out.off - vfs.Align
	must(t, j.Close())
	j, _ = open(t, unconfirmed(copied), 1)
	put(t, j, "x")
	must(t, j.Close())

	b := make([]byte, vfs.Align)
	readBlock(t, copied, off, b)
	writeBlock(t, fs, off, b)
	clear(b)
	writeBlock(t, fs, off+vfs.Align, b) // nothing else tells that a batch was here
	var got []string
	if _, err := Open(small(fs), 1, collect(&got, 1)); !errors.Is(err, ErrDamaged) {
		t.Errorf("%q are replayed, %v", got, err)
	}
}

func readBlock(t *testing.T, fs vfs.FS, off int64, b []byte) {
	t.Helper()
	f, err := fs.Open(logs(t, fs)[0], 0)
	must(t, err)
	must(t, readFull(f, b, off))
}

func writeBlock(t *testing.T, fs vfs.FS, off int64, b []byte) {
	t.Helper()
	f, err := fs.Open(logs(t, fs)[0], vfs.Write)
	must(t, err)
	_, err = f.WriteAt(b, off)
	must(t, err)
}

func TestOpeningConfirmsWhatItFound(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, unconfirmed(fs), 1)
	put(t, j, "a")
	rng := rand.New(rand.NewPCG(1, 1))
	fs, off := fs.Crash(rng), j.out.off-vfs.Align
	must(t, j.Close())
	j, _ = open(t, unconfirmed(fs), 1)
	fs = fs.Crash(rng)
	must(t, j.Close())
	flip(t, fs, logs(t, fs)[0], off+batchHeader+frameHeader)
	if _, err := Open(small(fs), 1, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("open: %v", err)
	}
}

// TestDataThatLooksLikeABatchProvesNothing tears a batch with a record that was made to look like a later batch by somebody who does not know the
// journal's identity.
func TestDataThatLooksLikeABatchProvesNothing(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, unconfirmed(fs), 1)
	put(t, j, "a")
	off := j.out.off
	data := make([]byte, 9000)
	forged := header{generation: 1, offset: off + vfs.Align, first: 10, count: 0, length: 0}
	forged.encode(identity{}, data[vfs.Align-batchHeader-frameHeader:])
	put(t, j, string(data))
	after := fs.Crash(rand.New(rand.NewPCG(1, 1)))
	must(t, j.Close())
	flip(t, after, logs(t, after)[0], off+8500)
	_, got := open(t, unconfirmed(after), 1)
	if !slices.Equal(got, []string{"a"}) {
		t.Errorf("%d records", len(got))
	}
}

// TestATornBatchInTheNextFileIsForgotten leaves a torn batch at the start of the next file, and goes on in this one.
func TestATornBatchInTheNextFileIsForgotten(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, unconfirmed(fs), 1)
	want := []string{payload(0, 14_000), payload(1, 14_000), payload(2, 14_000)}
	put(t, j, want...)
	put(t, j, payload(3, 14_000))
	after := fs.Crash(rand.New(rand.NewPCG(1, 1)))
	must(t, j.Close())
	flip(t, after, logName("log", 2), dataStart+8000)
	for i := range 3 {
		j, got := open(t, unconfirmed(after), 1)
		if !slices.Equal(got, want) {
			t.Fatalf("life %d: %d records, want %d", i, len(got), len(want))
		}
		want = append(want, "more")
		put(t, j, "more")
		must(t, j.Close())
	}
}
