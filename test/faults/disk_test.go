package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/loadtest"
	"github.com/edgefs/edgefs/loadtest/history"
	"github.com/edgefs/edgefs/test/process"
)

// world is a segment on two devices: one on a sound disk, one on a disk that fails when it is told to.
type world struct {
	t      *testing.T
	binary string
	dir    string
	server *process.Server
	disk   *disk
	device string // on the disk
	puts   uint64
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, binary: process.Build(t), dir: t.TempDir(), disk: mount(t)}
	w.start()
	t.Cleanup(func() {
		if err := w.server.Kill(); err != nil {
			t.Error(err)
		}
	})
	d, err := w.admin().AddDevice(t.Context(), filepath.Join(w.disk.dir, "device"))
	if err != nil {
		t.Fatal(err)
	}
	w.device = d.ID
	return w
}

func (w *world) start() { w.server = process.Serve(w.t, w.binary, filepath.Join(w.dir, "data")) }

func (w *world) admin() *admin.Client { w.t.Helper(); return w.server.Admin(w.t) }

// restart kills the process and starts another.
func (w *world) restart() {
	w.t.Helper()
	if err := w.server.Kill(); err != nil {
		w.t.Error(err)
	}
	w.start()
}

// until waits for something that the segment says of the device, for a minute.
func (w *world) until(what string, is func(admin.Device) bool) {
	w.t.Helper()
	client := w.admin()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for last := (admin.Device{}); ; {
		all, err := client.Devices(ctx)
		if err != nil {
			w.t.Fatalf("%s: %v; last it was %+v\n%s", what, err, last, w.server.Words())
		}
		for _, d := range all {
			if d.ID == w.device {
				last = d
			}
		}
		if is(last) {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			w.t.Fatalf("it never was %s; last it was %+v\n%s", what, last, w.server.Words())
		}
	}
}

func in(state string) func(admin.Device) bool {
	return func(d admin.Device) bool { return d.State == state }
}

// load writes objects until it is stopped.
func (w *world) load() (stop func()) {
	w.t.Helper()
	sizes, err := loadtest.ParseSizes("4KiB:60,64KiB:30,1MiB:10")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	client := w.server.Client(w.t, "history")
	done := make(chan error, 1)
	go func() {
		r, err := history.Put(ctx, client, history.PutOptions{State: w.history(), Bucket: "history", Workers: 8, Keys: 8, Sizes: sizes, Deletes: 0.1})
		if err == nil && r.Acknowledged == 0 {
			err = errors.New("nothing was acknowledged")
		}
		done <- err
	}()
	return func() {
		w.t.Helper()
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("load: %v", err)
		}
	}
}

func (w *world) history() string { return filepath.Join(w.dir, "history") }

// check finds all that was acknowledged.
func (w *world) check(when string) {
	w.t.Helper()
	r, err := history.Check(w.t.Context(), w.server.Client(w.t, "history"), history.CheckOptions{State: w.history(), Bucket: "history", Workers: 4})
	if err != nil || !r.OK() || r.Keys == 0 {
		w.t.Fatalf("%s: %+v, %v\n%s", when, r, err, w.server.Words())
	}
}

// objects are some of content that nothing else has, so many and so small that each disk gets some of them.
func (w *world) objects() []loadtest.Object {
	content := loadtest.NewContent(rand.Uint64(), loadtest.Sizes{}, 0)
	all := make([]loadtest.Object, 64)
	for i := range all {
		w.puts++
		all[i] = content.Sized(fmt.Sprint("object-", i), w.puts, 40<<10)
	}
	return all
}

func (w *world) put(objects []loadtest.Object) {
	w.t.Helper()
	s := w.server.Client(w.t, "objects").Session()
	defer s.Close()
	for _, o := range objects {
		if err := s.Put(w.t.Context(), o); err != nil {
			w.t.Fatalf("put %s: %v\n%s", o.Key, err, w.server.Words())
		}
	}
}

// read reads objects, and says how many were refused. Wrong bytes end the test.
func (w *world) read(objects []loadtest.Object) (refused int) {
	w.t.Helper()
	s := w.server.Client(w.t, "objects").Session()
	defer s.Close()
	s.Once = true
	scratch := make([]byte, 1<<20)
	for _, o := range objects {
		n, err := s.Get(w.t.Context(), o.Key, func(_, off int64, piece []byte) error {
			if at := o.Check(piece, off, scratch); at >= 0 {
				w.t.Fatalf("%s has wrong bytes at %d", o.Key, at)
			}
			return nil
		})
		if err != nil {
			refused++
		} else if n != o.Size {
			w.t.Fatalf("%s has %d bytes, want %d", o.Key, n, o.Size)
		}
	}
	return refused
}

// someOf says that some were, not none and not all: the others lie on the sound disk.
func (w *world) someOf(what string, n int, of []loadtest.Object) {
	w.t.Helper()
	if n == 0 || n == len(of) {
		w.t.Errorf("%s: %d of %d objects", what, n, len(of))
	}
}

// TestADiskThatFailsToSyncIsNotWrittenToAgain: what was not synced is forgotten by the disk, and a later sync would not say so.
func TestADiskThatFailsToSyncIsNotWrittenToAgain(t *testing.T) {
	w := newWorld(t)
	stop := w.load()
	w.until("written to", func(d admin.Device) bool { return d.Chunks > 20 })
	w.disk.all("sync", fault{err: syscall.EIO})
	w.until("failed", in("failed"))
	w.put(w.objects()) // what was on its way to the disk is there then
	writes, syncs := w.disk.count("write"), w.disk.count("sync")
	before := w.objects()
	w.put(before)
	stop()
	if w.disk.count("write") != writes || w.disk.count("sync") != syncs {
		t.Errorf("%d writes and %d syncs after the device had failed", w.disk.count("write")-writes, w.disk.count("sync")-syncs)
	}
	w.disk.set(nil)
	for range 2 {
		w.check("after a failed sync")
		if n := w.read(before); n > 0 {
			t.Errorf("%d objects are refused", n)
		}
		w.restart()
	}
	w.until("serving again", in(admin.DeviceServing))
}

// TestADiskThatGivesNothingOrOtherBytes errs on reads, gives flipped bits, and loses what it was given to write: what it has is refused, never wrong, and heals.
func TestADiskThatGivesNothingOrOtherBytes(t *testing.T) {
	w := newWorld(t)
	objects := w.objects()
	w.put(objects)

	w.disk.all("read", fault{err: syscall.EIO})
	w.someOf("refused while the disk errs", w.read(objects), objects)
	w.disk.set(nil)
	if n := w.read(objects); n > 0 {
		t.Errorf("%d objects are refused after the disk erred", n)
	}

	w.disk.all("read", fault{flip: true})
	w.someOf("refused while bits are flipped", w.read(objects), objects)
	w.disk.set(nil)
	w.someOf("refused after bits were flipped", w.read(objects), objects)
	w.put(objects)
	if n := w.read(objects); n > 0 {
		t.Errorf("%d objects are refused that were put again", n)
	}

	w.disk.all("write", fault{lose: true})
	lost := w.objects()
	w.put(lost)
	w.disk.set(nil)
	w.someOf("refused that the disk lost", w.read(lost), lost)
	w.put(lost)
	for range 2 {
		if n := w.read(lost); n > 0 {
			t.Errorf("%d objects are refused that were put again", n)
		}
		w.restart()
	}
}

// TestADiskThatHangsHoldsUpNobody for longer than it takes to notice.
func TestADiskThatHangsHoldsUpNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("a disk may take half a minute")
	}
	w := newWorld(t)
	objects := w.objects()
	w.put(objects)
	release := w.disk.hang()
	defer release()
	stop := w.load()
	w.until("stalled", in("stalled"))
	more := w.objects()
	w.put(more)
	if n := w.read(more); n > 0 {
		t.Errorf("%d objects are refused that were written while a disk hangs", n)
	}
	release()
	w.until("serving again", in(admin.DeviceServing))
	stop()
	if n := w.read(more); n > 0 {
		t.Errorf("%d objects are refused after the disk answered", n)
	}
	w.check("after the disk hung")
	w.restart()
	w.check("after the disk hung, and a restart")
}
