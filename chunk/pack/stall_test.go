package pack

import (
	"errors"
	"path"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

// slow is a device in memory whose disk can be made to hang. Time is the bubble's.
func slow(t *testing.T) (*site, *vfs.Fault) {
	opts := inMemory()
	fault := vfs.NewFault(opts.FS)
	opts.FS = fault
	return open(t, opts), fault
}

func TestADiskThatHangsIsGivenUpUntilItAnswers(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpWrite, vfs.OpSync, vfs.OpRead} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, fault := slow(t)
				view := s.Device.Open(crashDomain, chunk.Data)
				before, after := chunktest.Chunks(crashDomain, 1, 5, 100), chunktest.Chunks(crashDomain, 2, 5, 100)
				must(t, view.Put(t.Context(), before))
				release := fault.Hang(kind)
				began := time.Now()
				get := func() error {
					return view.Get(t.Context(), chunktest.IDs(before), func(chunk.Chunk) error { return nil })
				}
				call := func() error { return view.Put(t.Context(), after) }
				if kind == vfs.OpRead {
					call = get
				}
				if err := call(); !errors.Is(err, ErrStalled) || !errors.Is(err, chunk.ErrUnavailable) {
					t.Errorf("a call while the disk hangs: %v", err)
				}
				if took := time.Since(began); took < s.pulse.limit || took > 2*s.pulse.limit {
					t.Errorf("given up after %v, with a limit of %v", took, s.pulse.limit)
				}
				began = time.Now()
				if err := errors.Join(call(), get()); !errors.Is(err, ErrStalled) || time.Since(began) > 0 {
					t.Errorf("calls of a stalled device: %v, after %v", err, time.Since(began))
				}
				if st := s.Stats(); !st.Stalled || st.Failed {
					t.Errorf("figures of a stalled device: %+v", st)
				}
				release()
				synctest.Wait()
				if s.Stalled() {
					t.Error("the disk answers, and the device is still stalled")
				}
				must(t, view.Put(t.Context(), after))
				must(t, get())
				s.reopen()
				must(t, s.Device.Open(crashDomain, chunk.Data).Get(t.Context(), chunktest.IDs(append(before, after...)), func(chunk.Chunk) error { return nil }))
			})
		})
	}
}

func TestClosingDoesNotWaitForADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, fault := slow(t)
		view := s.Device.Open(crashDomain, chunk.Data)
		release := fault.Hang(vfs.OpSync)
		if err := view.Put(t.Context(), chunktest.Chunks(crashDomain, 1, 5, 100)); !errors.Is(err, ErrStalled) {
			t.Errorf("put: %v", err)
		}
		if err := s.Close(); !errors.Is(err, ErrStalled) {
			t.Errorf("close: %v", err)
		}
		release()
	})
}

func TestASlowDiskIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, fault := slow(t)
		fault.Inject(func(vfs.Op) error { time.Sleep(s.pulse.limit / 2); return nil })
		for i := range uint64(5) {
			must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), chunktest.Chunks(crashDomain, i, 5, 100)))
		}
		if s.Stalled() {
			t.Error("a disk that answers counts as stalled")
		}
	})
}

// TestAReadThatWasGivenUpKeepsItsMemory lets a read end when others have long used the memory of reads again.
func TestAReadThatWasGivenUpKeepsItsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, fault := slow(t)
		view := s.Device.Open(crashDomain, chunk.Data)
		chunks := chunktest.Chunks(crashDomain, 1, 20, 9000)
		must(t, view.Put(t.Context(), chunks))
		release := fault.Hang(vfs.OpRead)
		if err := view.Get(t.Context(), chunktest.IDs(chunks[:1]), func(chunk.Chunk) error { return nil }); !errors.Is(err, ErrStalled) {
			t.Errorf("get: %v", err)
		}
		lent := s.buffers.get(100)
		want := string(lent.data)
		release()
		synctest.Wait()
		if string(lent.data) != want {
			t.Error("a read that was given up wrote into memory that is lent to somebody else")
		}
		lent.Release()
	})
}

func TestADeviceOfAnotherSegmentIsRefused(t *testing.T) {
	opts := inMemory()
	opts.Owner = Owner{1}
	s := open(t, opts)
	id := s.ID()
	must(t, s.Close())
	if found, err := Look(opts.FS, opts.Dir); err != nil || found != (Identity{id, Owner{1}}) {
		t.Errorf("found %v, %v", found, err)
	}
	opts.Owner = Owner{2}
	if _, err := Open(t.Context(), opts); !errors.Is(err, ErrOwned) {
		t.Errorf("open: %v", err)
	}
	opts.Owner = Owner{1}
	open(t, opts)
}

func TestADeviceOfNobodyIsAdopted(t *testing.T) {
	opts := inMemory()
	s := open(t, opts)
	s.fill(1)
	must(t, s.Adopt(Owner{1}))
	must(t, s.Adopt(Owner{1}))
	if err := s.Adopt(Owner{2}); !errors.Is(err, ErrOwned) {
		t.Errorf("adopted by another: %v", err)
	}
	s.reopen()
	must(t, s.Close())
	opts.Owner = Owner{2}
	if _, err := Open(t.Context(), opts); !errors.Is(err, ErrOwned) {
		t.Errorf("open: %v", err)
	}
}

func TestADeviceThatIsNotThereIsNotMade(t *testing.T) {
	opts := inMemory()
	opts.ID = ID{7}
	if _, err := Open(t.Context(), opts); !errors.Is(err, ErrAbsent) {
		t.Errorf("open: %v", err)
	}
	if _, err := opts.FS.Stat(opts.Dir); err == nil {
		t.Error("something was made")
	}
	opts.ID = ID{}
	must(t, open(t, opts).Close())
	opts.ID = ID{7}
	if _, err := Open(t.Context(), opts); !errors.Is(err, ErrAbsent) {
		t.Errorf("open of another: %v", err)
	}
}

func TestTheIndexMayLieElsewhere(t *testing.T) {
	opts := onDisk(t)
	s := open(t, opts)
	durable, _ := s.fill(3)
	must(t, s.Close())
	opts.IndexDir = path.Join(t.TempDir(), "indexes")
	s = open(t, opts)
	s.wantHeld(chunk.Data, durable)
	if _, err := opts.FS.Stat(path.Join(opts.IndexDir, s.ID().String())); err != nil {
		t.Errorf("the index: %v", err)
	}
	names, err := opts.FS.ReadDir(opts.Dir)
	must(t, err)
	for _, name := range names {
		if name == indexDir {
			t.Error("the index that nobody uses any more is still there")
		}
	}
}

func TestNobodyAsksAStalledDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, fault := slow(t)
		chunks := chunktest.Chunks(crashDomain, 1, 20, 3000)
		view := s.Device.Open(crashDomain, chunk.Data)
		must(t, view.Put(t.Context(), chunks))
		must(t, view.Get(t.Context(), chunktest.IDs(chunks), func(chunk.Chunk) error { return nil })) // the pack is open
		held := make(chan struct{})
		var asked atomic.Int64
		fault.Inject(func(vfs.Op) error { asked.Add(1); <-held; return nil })
		for range 10 {
			if err := view.Get(t.Context(), chunktest.IDs(chunks), func(chunk.Chunk) error { return nil }); !errors.Is(err, ErrStalled) {
				t.Errorf("get: %v", err)
			}
			if _, err := s.Room(); !errors.Is(err, ErrStalled) {
				t.Errorf("room: %v", err)
			}
		}
		synctest.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("%d operations wait for the disk", n)
		}
		fault.Inject(nil)
		close(held)
	})
}

func TestWhatWasWrittenWhileASyncFailedIsNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory()
		opts.PackSize = 1 << 20
		fault := vfs.NewFault(opts.FS)
		opts.FS = fault
		s := open(t, opts)
		view := s.Device.Open(crashDomain, chunk.Data)
		must(t, view.Put(t.Context(), chunktest.Chunks(crashDomain, 1, 1, 100))) // there is a pack
		write, sync := make(chan struct{}), make(chan struct{})
		var writes, syncs atomic.Int64
		fault.Inject(func(op vfs.Op) error {
			switch {
			case op.Kind == vfs.OpWrite && writes.Add(1) == 1:
				<-write
			case op.Kind == vfs.OpSync && syncs.Add(1) == 1: // those after it succeed, as Linux has it
				<-sync
				return syscall.EIO
			}
			return nil
		})
		errs := make(chan error, 2)
		put := func(seed uint64, n int) {
			go func() { errs <- view.Put(t.Context(), chunktest.Chunks(crashDomain, seed, n, 10_000)) }()
			synctest.Wait()
		}
		put(2, 1)
		put(3, 10) // a large batch, which fills while the first is written
		close(write)
		synctest.Wait()
		if writes.Load() != 2 || syncs.Load() != 1 {
			t.Errorf("%d writes and %d syncs: the second batch is not written while the first is synced", writes.Load(), syncs.Load())
		}
		close(sync)
		for range 2 {
			if err := <-errs; !errors.Is(err, ErrFailed) {
				t.Errorf("put: %v", err)
			}
		}
		fault.Inject(nil)
		if err := s.Close(); !errors.Is(err, ErrFailed) {
			t.Errorf("close: %v", err)
		}
	})
}
