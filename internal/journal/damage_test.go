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

// TestABatchThatFollowsAnotherIsDamage puts an older batch where the last mark was: its sum and place are right, but it follows another batch.
func TestABatchThatFollowsAnotherIsDamage(t *testing.T) {
	fs := vfs.NewCrash()
	j, _ := open(t, small(fs), 1)
	put(t, j, "a", "b")
	must(t, j.Close())
	old := fs.Crash(rand.New(rand.NewPCG(1, 1)))
	j, _ = open(t, small(fs), 1)
	put(t, j, "c")
	off := j.out.off - 2*vfs.Align // of the mark that opening wrote, and of c
	must(t, j.Close())

	other, _ := open(t, small(old), 1) // another life of the same journal
	put(t, other, "x")
	must(t, other.Close())
	src, err := old.Open(logs(t, old)[0], 0)
	must(t, err)
	b := make([]byte, vfs.Align)
	must(t, readFull(src, b, off+vfs.Align))
	dst, err := fs.Open(logs(t, fs)[0], vfs.Write)
	must(t, err)
	for h := off; h <= off+2*vfs.Align; h += vfs.Align {
		_, err = dst.WriteAt(b, h)
		must(t, err)
	}
	var got []string
	if _, err := Open(small(fs), 1, collect(&got, 1)); err == nil && slices.Contains(got, "x") {
		t.Errorf("a batch of another life was replayed: %q", got)
	}
}
