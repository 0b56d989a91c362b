package spread

import (
	"errors"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/vfs"
)

// TestADeviceThatFailsKeepsTheOthersFromNothing is about an error of writing: what the device holds can be read.
func TestADeviceThatFailsKeepsTheOthersFromNothing(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpWrite, vfs.OpSync} {
		n := newNode(t, 3)
		before, during, after := chunktest.Chunks(domain, 1, 60, 3000), chunktest.Chunks(domain, 2, 60, 3000), chunktest.Chunks(domain, 3, 60, 3000)
		n.spread(before)
		held := n.on(1, before)
		var writes atomic.Int64
		n.disk(folder(1)).Inject(func(op vfs.Op) error {
			if op.Kind == kind {
				return syscall.EIO
			}
			return nil
		})
		n.spread(during)
		if st := n.status(1); st.State != Failed || st.Why == "" {
			t.Fatalf("%s fails: the device is %+v", kind, st)
		}
		n.disk(folder(1)).Inject(func(op vfs.Op) error {
			if op.Kind != vfs.OpRead {
				writes.Add(1)
			}
			return nil
		})
		n.spread(after)
		if writes.Load() > 0 {
			t.Errorf("%s failed: %d operations would have changed the device since", kind, writes.Load())
		}
		n.wantAll(slices.Concat(before, during, after))
		if missing := n.missing(before); !slices.Equal(missing, chunktest.IDs(held)) || len(held) == 0 {
			t.Errorf("%s failed: %d chunks are missing, %d were on it", kind, len(missing), len(held))
		}
		n.spread(before)
		if missing := n.missing(before); len(missing) > 0 || len(n.on(1, before)) != len(held) {
			t.Errorf("%s failed: %d chunks are missing once they were put again", kind, len(missing))
		}
		if err := n.Err(); err != nil {
			t.Errorf("two devices take writes: %v", err)
		}
		if err := n.Close(); !errors.Is(err, pack.ErrFailed) {
			t.Errorf("close: %v", err)
		}
	}
}

// TestWhatADeadDeviceHeldIsUnavailable is about a device that gives nothing any more.
func TestWhatADeadDeviceHeldIsUnavailable(t *testing.T) {
	n := newNode(t, 2)
	chunks := chunktest.Chunks(domain, 1, 60, 3000)
	n.spread(chunks)
	lost, kept := n.on(1, chunks), n.on(0, chunks)
	n.disk(folder(1)).Inject(func(vfs.Op) error { return syscall.EIO })
	got, err := n.get(chunks)
	if len(got) != len(kept) || !errors.Is(err, chunk.ErrUnavailable) || errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("%d of %d chunks are read, %v", len(got), len(kept), err)
	}
	n.wantAll(kept)
	if _, err := n.get(chunktest.Chunks(domain, 2, 1, 10)); !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("an absent chunk, where all indexes can be asked: %v", err)
	}
	if missing := n.missing(chunks); !slices.Equal(missing, chunktest.IDs(lost)) {
		t.Errorf("%d chunks are missing, %d cannot be read", len(missing), len(lost))
	}
	n.spread(lost) // as if they had come from another segment
	n.wantAll(chunks)
	if missing := n.missing(chunks); len(missing) > 0 {
		t.Errorf("%d chunks are missing", len(missing))
	}
}

func TestOfADeviceThatCannotReadMuchNothingCounts(t *testing.T) {
	n := newNode(t, 2)
	n.opts.Unread = 10
	n.reopen()
	chunks := chunktest.Chunks(domain, 1, 60, 20)
	n.spread(chunks)
	held := n.on(1, chunks)
	if len(held) <= n.opts.Unread+1 {
		t.Skipf("%d chunks are on the device", len(held)) // names of devices are random
	}
	silent := n.disk(folder(1))
	silent.Fail(syscall.EIO, vfs.OpRead)
	if _, err := n.get(held[1:]); !errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	silent.Inject(nil)
	if missing := n.missing(held); len(missing) != len(held) {
		t.Errorf("%d of %d chunks are missing", len(missing), len(held))
	}
	n.wantAll(held)
}

func TestAHangingDeviceHoldsUpTheOthersForItsTimeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3)
		limit := 30 * time.Second
		before, during := chunktest.Chunks(domain, 1, 60, 3000), chunktest.Chunks(domain, 2, 60, 3000)
		n.spread(before)
		held := n.on(1, before)
		release := n.disk(folder(1)).Hang()
		began := time.Now()
		n.spread(during)
		if took := time.Since(began); took < limit || took > 2*limit {
			t.Errorf("60 batches took %v", took)
		}
		if st := n.status(1); st.State != Stalled {
			t.Errorf("the device is %+v", st)
		}
		began = time.Now()
		got, err := n.get(slices.Concat(before, during))
		if len(got) != len(before)+len(during)-len(held) || !errors.Is(err, chunk.ErrUnavailable) || errors.Is(err, chunk.ErrNotFound) {
			t.Errorf("%d chunks are read, %d are on the device that hangs: %v", len(got), len(held), err)
		}
		if missing := n.missing(before); !slices.Equal(missing, chunktest.IDs(held)) {
			t.Errorf("%d chunks are missing, %d are on the device that hangs", len(missing), len(held))
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("what does not need the device took %v", took)
		}
		release()
		synctest.Wait()
		if st := n.status(1); st.State != Serving {
			t.Errorf("the device is %+v", st)
		}
		n.wantAll(slices.Concat(before, during))
		n.reopen()
		n.wantAll(slices.Concat(before, during))
	})
}

func TestFullDevicesRefuseAndRecoverByThemselves(t *testing.T) {
	n := newNode(t, 2)
	n.disk(folder(0)).crash.Limit(300 << 10)
	n.disk(folder(1)).crash.Limit(900 << 10)
	store := n.Store.Open(domain, chunk.Data)
	var held []chunk.Chunk
	var refused []chunk.Chunk
	for i := uint64(0); refused == nil; i++ {
		batch := chunktest.Chunks(domain, i, 2, 10_000)
		switch err := store.Put(t.Context(), batch); {
		case errors.Is(err, chunk.ErrFull):
			refused = batch
		case err != nil:
			t.Fatal(err)
		default:
			held = append(held, batch...)
		}
		if i > 500 {
			t.Fatal("the disks never get full")
		}
	}
	for i := range 2 {
		if st := n.status(i); st.State != Full {
			t.Errorf("device %d is %+v", i, st)
		}
		if got := n.on(i, held); len(got) < 10 {
			t.Errorf("device %d holds %d chunks of %d", i, len(got), len(held))
		}
	}
	n.wantAll(held)
	must(t, store.Put(t.Context(), held))
	n.disk(folder(0)).crash.Limit(1 << 30)
	must(t, store.Put(t.Context(), refused))
	n.wantAll(append(held, refused...))
}

func TestASegmentStartsWithoutOneOfItsDevices(t *testing.T) {
	n := newNode(t, 3)
	chunks := chunktest.Chunks(domain, 1, 60, 3000)
	n.spread(chunks)
	gone := n.on(1, chunks)
	must(t, n.Close())
	there := n.disks[folder(1)]
	delete(n.disks, folder(1)) // the folder where the disk should be mounted is empty
	n.Store = nil
	n.reopen()
	if st := n.status(1); st.State != Missing || st.Why == "" {
		t.Errorf("the device is %+v", st)
	}
	got, err := n.get(chunks)
	if len(got) != len(chunks)-len(gone) || !errors.Is(err, chunk.ErrUnavailable) || errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("%d chunks are read, %d are not there: %v", len(got), len(gone), err)
	}
	if missing := n.missing(chunks); !slices.Equal(missing, chunktest.IDs(gone)) {
		t.Errorf("%d chunks are missing, %d were on the device", len(missing), len(gone))
	}
	more := chunktest.Chunks(domain, 2, 60, 3000)
	n.spread(more)
	if names, err := n.disks[folder(1)].ReadDir("/"); err != nil || len(names) > 0 {
		t.Errorf("something was made where the device should be: %q, %v", names, err)
	}
	must(t, n.Close())
	n.disks[folder(1)] = there
	n.Store = nil
	n.reopen()
	n.wantAll(append(chunks, more...))
}

func TestADeviceThatComesLateIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2)
		n.opts.Patience = 10 * time.Second
		chunks := chunktest.Chunks(domain, 1, 40, 3000)
		n.spread(chunks)
		must(t, n.Close())
		n.disks[folder(1)].Fail(syscall.EIO, vfs.OpRead)
		n.Store = nil
		n.reopen()
		if st := n.status(1); st.State != Missing {
			t.Errorf("the device is %+v", st)
		}
		n.disks[folder(1)].Inject(nil)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		n.wantAll(chunks)
	})
}

// TestAStartDoesNotWaitForASlowDevice has one device that takes long to open.
func TestAStartDoesNotWaitForASlowDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2)
		n.opts.Patience = 10 * time.Second
		chunks := chunktest.Chunks(domain, 1, 40, 3000)
		n.spread(chunks)
		held := n.on(1, chunks)
		must(t, n.Close())
		release := n.disks[folder(1)].Hang()
		n.Store = nil
		began := time.Now()
		n.reopen()
		if took := time.Since(began); took != n.opts.Patience {
			t.Errorf("it took %v", took)
		}
		if st := n.status(1); st.State != Opening {
			t.Errorf("the device is %+v", st)
		}
		if got, err := n.get(chunks); len(got) != len(chunks)-len(held) || !errors.Is(err, chunk.ErrUnavailable) {
			t.Errorf("%d chunks are read, %v", len(got), err)
		}
		release()
		synctest.Wait()
		if st := n.status(1); st.State != Serving {
			t.Errorf("the device is %+v", st)
		}
		n.wantAll(chunks)
	})
}

// TestALongStartSaysHowFarItIs opens a device whose disk takes its time for each pack.
func TestALongStartSaysHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2)
		n.opts.Patience = 10 * time.Second
		chunks := chunktest.Chunks(domain, 1, 400, 3000)
		n.spread(chunks)
		must(t, n.Close())
		slow := n.disks[folder(1)]
		slow.index = pack.NewMemoryIndex() // lost
		slow.Inject(func(vfs.Op) error { time.Sleep(time.Second); return nil })
		n.Store = nil
		n.reopen()
		var st Status
		for st = n.status(1); st.State == Opening && st.Opened < 2; st = n.status(1) {
			time.Sleep(time.Second)
		}
		if st.State != Opening || st.Opened >= st.Of {
			t.Errorf("the device is %+v", st)
		}
		n.wantAll(n.on(0, chunks))
		slow.Inject(nil)
		for n.status(1).State == Opening {
			time.Sleep(time.Second)
		}
		n.wantAll(chunks)
	})
}
