package segment

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/edgefs/edgefs/internal/vfs"
)

// slowDisk holds syncs up, from the one on that is told, until outcome says how they end.
type slowDisk struct {
	vfs.FS
	left    atomic.Int64
	outcome chan error
}

type slowFile struct {
	vfs.File
	d *slowDisk
}

func (d *slowDisk) Open(name string, mode vfs.Mode) (vfs.File, error) {
	f, err := d.FS.Open(name, mode)
	return slowFile{f, d}, err
}

func (f slowFile) Sync() error {
	if f.d.left.Add(-1) >= 0 {
		return f.File.Sync()
	}
	if err := <-f.d.outcome; err != nil {
		return err
	}
	return f.File.Sync()
}

func TestCloseReturnsWhenTheLogFailsUnderIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		d := &slowDisk{FS: vfs.NewCrash(), outcome: make(chan error)}
		d.left.Store(1 << 60)
		s, err := Open(ctx, Config{FS: d, Dir: "/a", ID: 1, Name: "a", Chunks: newMapStore(), OverlayBytes: 5000, LogFileSize: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.CreateBucket(ctx, "photos", BucketOptions{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the folds that this has set off are done
		d.left.Store(1)
		if _, err := b.Put(ctx, "k", Attrs{ETag: strings.Repeat("x", 3000)}, Cond{}, strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the next fold waits for the disk
		closed := make(chan error, 1)
		go func() { closed <- s.Close(ctx) }()
		synctest.Wait()
		d.outcome <- syscall.EIO
		if err := <-closed; !errors.Is(err, syscall.EIO) {
			t.Errorf("close: %v", err)
		}
	})
}
