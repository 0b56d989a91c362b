package vfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/edgefs/edgefs/internal/vfs"
)

func create(t *testing.T, fs vfs.FS, name string, mode vfs.Mode) vfs.File {
	t.Helper()
	f, err := fs.Open(name, mode|vfs.Create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, f vfs.File, s string, off int64) {
	t.Helper()
	_, err := f.WriteAt([]byte(s), off)
	must(t, err)
}

func content(t *testing.T, fs vfs.FS, name string) string {
	t.Helper()
	f, err := fs.Open(name, 0)
	if err != nil {
		return "-"
	}
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	if size > 0 {
		must(t, err)
	}
	return string(b)
}

// outcomes crashes c with many seeds and says which contents name had afterwards.
func outcomes(t *testing.T, c *vfs.Crash, name string) map[string]bool {
	seen := map[string]bool{}
	for seed := range uint64(200) {
		seen[content(t, c.Crash(rand.New(rand.NewPCG(seed, 0))), name)] = true
	}
	return seen
}

func wantOutcomes(t *testing.T, got map[string]bool, want ...string) {
	t.Helper()
	for _, w := range want {
		if !got[w] {
			t.Errorf("never found %.40q after a crash", w)
		}
		delete(got, w)
	}
	for g := range got {
		t.Errorf("found %.40q after a crash", g)
	}
}

func TestWhatWasSyncedSurvives(t *testing.T) {
	c := vfs.NewCrash()
	f := create(t, c, "a", 0)
	write(t, f, "one", 0)
	must(t, f.Sync())
	must(t, c.SyncDir("."))
	wantOutcomes(t, outcomes(t, c, "a"), "one")
}

func TestAnUnsyncedWriteIsKeptOrLost(t *testing.T) {
	c := vfs.NewCrash()
	f := create(t, c, "a", 0)
	write(t, f, "one", 0)
	must(t, f.Sync())
	must(t, c.SyncDir("."))
	write(t, f, "two", 0)
	write(t, f, "three", 3)
	wantOutcomes(t, outcomes(t, c, "a"), "one", "two", "onethree", "twothree")
}

func TestAnUnsyncedWriteIsTornBetweenSectors(t *testing.T) {
	c := vfs.NewCrash()
	f := create(t, c, "a", 0)
	old, new := bytes.Repeat([]byte("o"), 512), bytes.Repeat([]byte("n"), 512)
	write(t, f, string(old)+string(old), 0)
	must(t, f.Sync())
	must(t, c.SyncDir("."))
	write(t, f, string(new)+string(new), 0)
	wantOutcomes(t, outcomes(t, c, "a"), string(old)+string(old), string(old)+string(new), string(new)+string(old), string(new)+string(new))
}

func TestNamesNeedTheFoldersSync(t *testing.T) {
	c := vfs.NewCrash()
	must(t, c.MkdirAll("d"))
	must(t, c.SyncDir("."))
	f := create(t, c, "d/a", 0)
	write(t, f, "one", 0)
	must(t, f.Sync())
	wantOutcomes(t, outcomes(t, c, "d/a"), "-", "one")
	must(t, c.SyncDir("d"))
	must(t, c.Rename("d/a", "d/b"))
	wantOutcomes(t, outcomes(t, c, "d/a"), "-", "one")
	wantOutcomes(t, outcomes(t, c, "d/b"), "-", "one")
	must(t, c.SyncDir("d"))
	wantOutcomes(t, outcomes(t, c, "d/b"), "one")
	must(t, c.Remove("d/b"))
	wantOutcomes(t, outcomes(t, c, "d/b"), "-", "one")
	must(t, c.SyncDir("d"))
	wantOutcomes(t, outcomes(t, c, "d/b"), "-")
}

func TestARenamedFileIsNeverAtBothNames(t *testing.T) {
	c := vfs.NewCrash()
	create(t, c, "a", 0)
	must(t, c.Rename("a", "b"))
	must(t, c.Rename("b", "c"))
	for seed := range uint64(100) {
		names, err := c.Crash(rand.New(rand.NewPCG(seed, 1))).ReadDir(".")
		must(t, err)
		if len(names) > 1 {
			t.Fatalf("after a crash: %v", names)
		}
	}
}

func TestCutAfterFailsAllThatFollows(t *testing.T) {
	c := vfs.NewCrash()
	f := create(t, c, "a", 0)
	c.CutAfter(1)
	write(t, f, "one", 0)
	if _, err := f.WriteAt([]byte("two"), 0); !errors.Is(err, vfs.ErrCut) {
		t.Errorf("write after the cut: %v", err)
	}
	if err := f.Sync(); !errors.Is(err, vfs.ErrCut) {
		t.Errorf("sync after the cut: %v", err)
	}
	if _, err := c.ReadDir("."); !errors.Is(err, vfs.ErrCut) {
		t.Errorf("readdir after the cut: %v", err)
	}
	if c.Ops() != 2 {
		t.Errorf("%d operations, want 2", c.Ops())
	}
	wantOutcomes(t, outcomes(t, c, "a"), "-", "", "one")
}

func TestAFailedSyncLosesWhatWasWritten(t *testing.T) {
	c := vfs.NewCrash()
	f := create(t, c, "a", 0)
	must(t, c.SyncDir("."))
	write(t, f, "one", 0)
	c.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			return syscall.EIO
		}
		return nil
	})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	c.Inject(nil)
	must(t, f.Sync())
	wantOutcomes(t, outcomes(t, c, "a"), "")
}

func TestAFullDiskTakesWhatFits(t *testing.T) {
	c := vfs.NewCrash()
	f := create(t, c, "a", 0)
	c.Limit(5)
	if n, err := f.WriteAt([]byte("onetwo"), 0); n != 5 || !vfs.IsFull(err) {
		t.Errorf("write: %d, %v", n, err)
	}
	if err := f.Allocate(6); !vfs.IsFull(err) {
		t.Errorf("allocate: %v", err)
	}
	write(t, f, "over", 0)
	c.Limit(6)
	must(t, f.Allocate(6))
}

func TestDirectFilesRefuseWhatIsNotAligned(t *testing.T) {
	c := vfs.NewCrash()
	f := create(t, c, "a", vfs.Direct)
	b := vfs.Buffer(2 * vfs.Align)
	for _, bad := range []struct {
		p   []byte
		off int64
	}{{b[:100], 0}, {b[512 : 512+vfs.Align], 0}, {b, 512}} {
		if _, err := f.WriteAt(bad.p, bad.off); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%d bytes at %d: %v", len(bad.p), bad.off, err)
		}
	}
	_, err := f.WriteAt(b, vfs.Align)
	must(t, err)
}

// TestBothFileSystemsAgree runs the same script on both.
func TestBothFileSystemsAgree(t *testing.T) {
	for name, tc := range map[string]struct {
		fs  vfs.FS
		dir string
	}{"crash": {vfs.NewCrash(), "dir"}, "os": {vfs.OS{}, t.TempDir() + "/dir"}} {
		t.Run(name, func(t *testing.T) { script(t, tc.fs, tc.dir) })
	}
}

func script(t *testing.T, sys vfs.FS, dir string) {
	must(t, sys.MkdirAll(dir+"/x/y"))
	must(t, sys.MkdirAll(dir+"/x/y"))
	must(t, sys.SyncDir(dir))
	f := create(t, sys, dir+"/a", vfs.Direct|vfs.Exclusive)
	if _, err := sys.Open(dir+"/a", vfs.Create|vfs.Exclusive); !errors.Is(err, fs.ErrExist) {
		t.Errorf("exclusive: %v", err)
	}
	if _, err := sys.Open(dir+"/none", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := sys.Open(dir+"/none/a", vfs.Create); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing folder: %v", err)
	}
	must(t, f.Allocate(2*vfs.Align))
	b := vfs.Buffer(vfs.Align)
	b[7] = 7
	_, err := f.WriteAt(b, vfs.Align)
	must(t, err)
	must(t, f.Sync())
	got := vfs.Buffer(2 * vfs.Align)
	_, err = f.ReadAt(got, 0)
	must(t, err)
	if want := append(make([]byte, vfs.Align), b...); !bytes.Equal(got, want) {
		t.Error("other bytes read than written")
	}
	must(t, f.Truncate(vfs.Align))
	if size, err := f.Size(); size != vfs.Align || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	must(t, sys.Rename(dir+"/a", dir+"/x/b"))
	if names, err := sys.ReadDir(dir); err != nil || len(names) != 1 || names[0] != "x" {
		t.Errorf("readdir: %q, %v", names, err)
	}
	if i, err := sys.Stat(dir + "/x/b"); err != nil || i.Size != vfs.Align || i.Dir {
		t.Errorf("stat: %+v, %v", i, err)
	}
	if i, err := sys.Stat(dir + "/x"); err != nil || !i.Dir {
		t.Errorf("stat of a folder: %+v, %v", i, err)
	}
	if err := sys.Remove(dir + "/x"); err == nil {
		t.Error("a full folder was removed")
	}
	must(t, sys.RemoveAll(dir+"/x"))
	must(t, sys.RemoveAll(dir+"/x"))
	if free, err := sys.Free(dir); err != nil || free <= 0 {
		t.Errorf("free: %d, %v", free, err)
	}
	l, err := sys.Lock(dir + "/lock")
	must(t, err)
	var locked *vfs.LockedError
	if _, err := sys.Lock(dir + "/lock"); !errors.Is(err, vfs.ErrLocked) || !errors.As(err, &locked) || locked.Owner == "" {
		t.Errorf("second lock: %v", err)
	}
	must(t, l.Close())
	l, err = sys.Lock(dir + "/lock")
	must(t, err)
	must(t, l.Close())
}

func TestAMadeFolderSurvivesAPowerCut(t *testing.T) {
	for seed := range uint64(20) {
		for cut := 0; ; cut++ {
			c := vfs.NewCrash()
			c.CutAfter(cut)
			err := vfs.MakeDir(c, "/a/b/c")
			c.Kill()
			if err != nil { // the next process finds some of it
				if err := vfs.MakeDir(c, "/a/b/c"); err != nil {
					t.Fatal(err)
				}
			}
			after := c.Crash(rand.New(rand.NewPCG(seed, uint64(cut))))
			if info, statErr := after.Stat("/a/b/c"); statErr != nil || !info.Dir {
				t.Fatalf("cut after %d operations: %v", cut, statErr)
			}
			if err == nil {
				break
			}
		}
	}
}
