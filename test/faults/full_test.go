package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/loadtest"
	"github.com/edgefs/edgefs/test/process"
)

// loop mounts a file system of its own, of so many MiB, and returns its folder. Where that is not possible, the test is skipped.
func loop(t *testing.T, size int64) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, size<<20)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no file system can be made and mounted here: %v: %v: %s", c, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// filled is a segment on a disk that gets full.
type filled struct {
	*world
	content *loadtest.Content
	next    int
	objects []loadtest.Object // that were acknowledged
}

func newFilled(t *testing.T, data string, args ...string) *filled {
	f := &filled{world: &world{t: t, binary: process.Build(t)}, content: loadtest.NewContent(rand.Uint64(), loadtest.Sizes{}, 0)}
	f.server = process.Serve(t, f.binary, data, args...)
	t.Cleanup(func() {
		if err := f.server.Kill(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// fill has many put objects of a size until each is refused, and wants them to be told what a full disk is called, which clients do not try again by
// themselves. 512 MiB are too many.
func (f *filled) fill(size int64, many int) {
	f.t.Helper()
	var putting errgroup.Group
	var mu sync.Mutex
	first := f.next
	f.next += many << 20
	client := f.server.Client(f.t, "objects")
	for n := range many {
		putting.Go(func() error {
			s := client.Session()
			defer s.Close()
			for i := range 512 << 20 / size / int64(many) {
				o := f.content.Sized(fmt.Sprint("object-", first+n<<20+int(i)), 1, size)
				if err := s.Put(f.t.Context(), o); err != nil {
					return err
				}
				mu.Lock()
				f.objects = append(f.objects, o)
				mu.Unlock()
			}
			return nil
		})
	}
	err := putting.Wait()
	var answer *loadtest.ResponseError
	if !errors.As(err, &answer) || answer.Status != http.StatusInsufficientStorage {
		f.t.Fatalf("puts to a full disk, after %d: %v\n%s", len(f.objects), err, f.server.Words())
	}
}

func (f *filled) wantAll(when string) {
	f.t.Helper()
	if n := f.read(f.objects); n > 0 {
		f.t.Errorf("%s: %d of %d objects are refused\n%s", when, n, len(f.objects), f.server.Words())
	}
}

// drop deletes the first n objects.
func (f *filled) drop(n int) {
	f.t.Helper()
	s := f.server.Client(f.t, "objects").Session()
	defer s.Close()
	for _, o := range f.objects[:n] {
		if err := s.Delete(f.t.Context(), o.Key); err != nil {
			f.t.Fatalf("delete while the disk is full: %v\n%s", err, f.server.Words())
		}
	}
	f.objects = f.objects[n:]
}

// TestAFullDeviceRefusesReadsDeletesAndRecovers fills a device that has a file system of its own.
func TestAFullDeviceRefusesReadsDeletesAndRecovers(t *testing.T) {
	disk := loop(t, 160)
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 30<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFilled(t, filepath.Join(t.TempDir(), "data"), "--device", filepath.Join(disk, "device"))
	f.fill(1<<20, 1)
	f.wantAll("on a full disk")
	if len(f.objects) < 4 {
		t.Fatalf("%d objects fit", len(f.objects))
	}

	if err := os.Remove(ballast); err != nil { // somebody else gives room back
		t.Fatal(err)
	}
	before := len(f.objects)
	f.fill(1<<20, 1)
	if len(f.objects) < before+8 {
		t.Errorf("%d objects were put when there were 30 MiB again", len(f.objects)-before)
	}

	gone := len(f.objects) / 2
	f.drop(gone)
	var last admin.CollectEvent
	err := f.admin().Collect(t.Context(), admin.CollectRequest{}, func(e admin.CollectEvent) error { last = e; return nil })
	if err != nil || !last.Done || last.Gone.Bytes < int64(gone)<<19 {
		t.Fatalf("a collection of a full disk: %+v, %v\n%s", last, err, f.server.Words())
	}
	before = len(f.objects)
	f.fill(1<<20, 1)
	if len(f.objects) < before+gone/2 {
		t.Errorf("%d objects were put when %d had been collected", len(f.objects)-before, gone)
	}
	f.wantAll("in the end")
}

// TestAFullDataDirectoryRefusesReadsAndRecovers fills the file system of log and state, with the chunks elsewhere.
func TestAFullDataDirectoryRefusesReadsAndRecovers(t *testing.T) {
	if testing.Short() {
		t.Skip("a log is filled")
	}
	disk := loop(t, 128)
	f := newFilled(t, filepath.Join(disk, "data"), "--device", filepath.Join(t.TempDir(), "device"))
	f.wantOne()
	ballast := filepath.Join(disk, "ballast")
	fillUp(t, ballast)
	f.fill(30_000, 16)
	f.wantAll("while the data directory is full")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	f.wantOne()
	f.wantAll("in the end")
}

// wantOne has an object taken within a minute: the log looks for room now and then.
func (f *filled) wantOne() {
	f.t.Helper()
	s := f.server.Client(f.t, "objects").Session()
	defer s.Close()
	o := f.content.Sized(fmt.Sprint("object-", f.next), 1, 16<<10)
	f.next++
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.After(time.Minute)
	for {
		err := s.Put(f.t.Context(), o)
		if err == nil {
			f.objects = append(f.objects, o)
			return
		}
		select {
		case <-again.C:
		case <-late:
			f.t.Fatalf("put, though there is room: %v\n%s", err, f.server.Words())
		}
	}
}

// fillUp makes a file that takes all the room there is.
func fillUp(t *testing.T, name string) {
	t.Helper()
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := out.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
}
