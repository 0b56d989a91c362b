package spread

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/vfs"
)

func TestADeviceIsDrainedAndRemoved(t *testing.T) {
	n := newNode(t, 3)
	data, meta := chunktest.Chunks(domain, 1, 90, 3000), chunktest.Chunks(domain, 2, 20, 700)
	n.spread(data)
	n.put(chunk.Meta, meta)
	n.put(chunk.Cache, chunktest.Chunks(domain, 3, 20, 700))
	id, all := n.id(0), slices.Concat(data, meta)
	was := n.status(0).Stats.Chunks
	if was[chunk.Meta].Chunks != int64(len(meta)) || was[chunk.Data].Chunks == 0 {
		t.Fatalf("the first device holds %v", was)
	}
	n.drained(0)
	st := n.status(0)
	if d := st.Drain; st.State != Empty || !d.Done || d.Left != (Left{}) || d.Chunks != was[chunk.Meta].Chunks+was[chunk.Data].Chunks || d.Passed != d.Bytes || d.Moved != d.Bytes {
		t.Errorf("drained: %+v, %+v", st, d)
	}
	more := chunktest.Chunks(domain, 4, 30, 3000)
	n.spread(more)
	if got := n.on(0, more); len(got) > 0 {
		t.Errorf("%d chunks were put on a device that is drained", len(got))
	}
	n.wantAll(append(all, more...))
	must(t, n.Remove(t.Context(), id, false))
	n.wantAll(append(all, more...))
	if len(n.Devices()) != 2 {
		t.Errorf("devices: %+v", n.Devices())
	}
	delete(n.disks, folder(0))
	n.reopen()
	n.wantAll(append(all, more...))
	for i, class := range []chunk.Class{chunk.Data, chunk.Meta} {
		missing, err := n.Store.Open(domain, class).Missing(t.Context(), chunktest.IDs(all))
		if err != nil || len(missing) > 0 {
			t.Errorf("%d: %d are missing, %v", i, len(missing), err)
		}
	}
	if names, err := n.opts.FS.ReadDir("/"); err != nil || !slices.Equal(names, []string{listFile}) {
		t.Errorf("in the data directory are %q, %v", names, err)
	}
}

func TestRemovingWhatIsNotElsewhereIsRefused(t *testing.T) {
	n := newNode(t, 2)
	chunks := chunktest.Chunks(domain, 1, 60, 3000)
	n.spread(chunks)
	gone, id := n.on(1, chunks), n.id(1)
	var holds *HoldsError
	err := n.Remove(t.Context(), id, false)
	if !errors.Is(err, ErrHolds) || !errors.As(err, &holds) || holds.Left.Chunks != int64(len(gone)) || holds.Left.Bytes == 0 {
		t.Fatalf("remove: %v", err)
	}
	n.spread(chunktest.Chunks(domain, 2, 60, 3000)) // it takes writes as before
	n.wantAll(chunks)
	must(t, n.Remove(t.Context(), id, true))
	got, err := n.get(chunks)
	if len(got) != len(chunks)-len(gone) || !errors.Is(err, chunk.ErrNotFound) || errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("%d of %d chunks are read, %v", len(got), len(chunks), err)
	}
	if err := n.Remove(t.Context(), n.id(0), true); !errors.Is(err, ErrLast) {
		t.Errorf("the last one: %v", err)
	}
	if err := n.Remove(t.Context(), id, true); !errors.Is(err, ErrNoDevice) {
		t.Errorf("again: %v", err)
	}
	if id != n.add(1) { // it was the segment's
		t.Error("it came back as another")
	}
	n.wantAll(chunks)
}

func TestRemovingADeviceThatCannotBeAskedIsRefused(t *testing.T) {
	n := newNode(t, 2)
	chunks := chunktest.Chunks(domain, 1, 60, 3000)
	n.spread(chunks)
	id := n.id(1)
	must(t, n.Close())
	delete(n.disks, folder(1))
	n.Store = nil
	n.reopen()
	var holds *HoldsError
	if err := n.Remove(t.Context(), id, false); !errors.As(err, &holds) || holds.Known {
		t.Errorf("remove: %v", err)
	}
	must(t, n.Remove(t.Context(), id, true))
	if _, err := n.get(chunks); !errors.Is(err, chunk.ErrNotFound) || errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
}

func TestADrainIsStopped(t *testing.T) {
	n := newNode(t, 2)
	n.opts.Rate = 1 // a byte a second
	n.reopen()
	chunks := chunktest.Chunks(domain, 1, 60, 3000)
	n.spread(chunks)
	must(t, n.Drain(n.id(1)))
	if st := n.status(1); st.State != Draining {
		t.Errorf("the device is %+v", st)
	}
	if err := n.Drain(n.id(0)); !errors.Is(err, ErrLast) {
		t.Errorf("draining the other too: %v", err)
	}
	followed := make(chan error, 1)
	go func() {
		followed <- n.Follow(context.Background(), n.id(1), func(st Status) bool { return st.State == Draining })
	}()
	must(t, n.Undrain(n.id(1)))
	must(t, <-followed)
	if st := n.status(1); st.State != Serving || st.Drain != nil {
		t.Errorf("the device is %+v", st)
	}
	more := chunktest.Chunks(domain, 2, 60, 3000)
	n.spread(more)
	if len(n.on(1, more)) == 0 {
		t.Error("the device takes nothing")
	}
	n.reopen()
	if st := n.status(1); st.State != Serving {
		t.Errorf("after a restart the device is %+v", st)
	}
	n.wantAll(append(chunks, more...))
}

func TestADrainGoesOnAfterARestart(t *testing.T) {
	n := newNode(t, 2)
	n.opts.Rate = 1
	n.reopen()
	chunks := chunktest.Chunks(domain, 1, 60, 3000)
	n.spread(chunks)
	must(t, n.Drain(n.id(1)))
	n.opts.Rate = -1
	n.reopen()
	n.awaitDrained(1)
	if got := n.on(0, chunks); len(got) != len(chunks) {
		t.Errorf("%d of %d chunks are elsewhere", len(got), len(chunks))
	}
	n.reopen()
	n.awaitDrained(1) // which moves nothing
	if d := n.status(1).Drain; d.Moved != 0 {
		t.Errorf("%d bytes were moved again", d.Moved)
	}
	must(t, n.Remove(t.Context(), n.id(1), false))
}

// TestADrainWaitsForRoom has nowhere to go at first.
func TestADrainWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2)
		chunks := chunktest.Chunks(domain, 1, 200, 3000)
		n.spread(chunks)
		n.disk(folder(0)).crash.Limit(1)
		must(t, n.Drain(n.id(1)))
		synctest.Wait()
		if st := n.status(1); st.State != Draining || st.Why == "" {
			t.Errorf("the device is %+v", st)
		}
		if err := n.Remove(t.Context(), n.id(1), false); !errors.Is(err, ErrHolds) {
			t.Errorf("remove: %v", err)
		}
		n.disk(folder(0)).crash.Limit(1 << 30)
		n.awaitDrained(1)
		must(t, n.Remove(t.Context(), n.id(1), false))
		n.wantAll(chunks)
	})
}

// TestADrainSaysWhatCannotBeRead moves all but what the disk does not give.
func TestADrainSaysWhatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2)
		chunks := chunktest.Chunks(domain, 1, 60, 3000)
		n.spread(chunks)
		held := n.on(1, chunks)
		bad := held[3].ID()
		at := n.where(n.device(1), domain, bad)
		n.disk(folder(1)).Inject(func(op vfs.Op) error {
			if op.Kind == vfs.OpRead && op.Name == packOf(folder(1), at) && op.Off <= at.Offset+80 && at.Offset+80 < op.Off+op.Len {
				return syscall.EIO
			}
			return nil
		})
		must(t, n.Drain(n.id(1)))
		synctest.Wait()
		st := n.status(1)
		if st.State != Draining || st.Why == "" || st.Drain.Left.Chunks != 1 {
			t.Errorf("the device is %+v, %+v", st, st.Drain)
		}
		if got := n.on(0, held); len(got) != len(held)-1 {
			t.Errorf("%d of %d chunks are elsewhere", len(got), len(held))
		}
		n.put(chunk.Data, held[3:4]) // it came from another segment
		n.awaitDrained(1)
		must(t, n.Remove(t.Context(), n.id(1), false))
		n.wantAll(chunks)
	})
}

// TestWritesThatBeganBeforeADrainAreMoved has a write that is on its way when the drain begins.
func TestWritesThatBeganBeforeADrainAreMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2)
		first := n.goesTo(1)
		release := n.disk(folder(1)).Hang(vfs.OpSync)
		written := make(chan error, 1)
		store := n.Store.Open(domain, chunk.Data)
		go func() { written <- store.Put(context.Background(), []chunk.Chunk{first}) }()
		synctest.Wait()
		must(t, n.Drain(n.id(1)))
		synctest.Wait()
		if st := n.status(1); len(written) > 0 || st.State != Draining {
			t.Errorf("while it is written to the device is %+v", st)
		}
		release()
		must(t, <-written)
		n.awaitDrained(1)
		must(t, n.Remove(t.Context(), n.id(1), false))
		n.wantAll([]chunk.Chunk{first})
	})
}

func TestOnlyWhatIsEmptyOrOursIsAdded(t *testing.T) {
	n := newNode(t, 1)
	add := func(dir string) error { _, err := n.Add(t.Context(), dir); return err }
	thesis := n.disk("/thesis")
	must(t, thesis.MkdirAll("/thesis"))
	f, err := thesis.Open("/thesis/thesis.tex", vfs.Create)
	must(t, err)
	must(t, f.Close())
	for dir, want := range map[string]error{folder(0): ErrTaken, "relative": ErrTaken, "/thesis": pack.ErrForeign} {
		if err := add(dir); !errors.Is(err, want) || !errors.Is(err, ErrTaken) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	other := newNodeOf(t, pack.Owner{'x'}, 2)
	must(t, other.Close())
	n.opts.Tune = func(o *pack.Options) {
		if o.FS, o.Index = n.disk(o.Dir).Fault, n.disk(o.Dir).index; o.Dir == "/1x" {
			o.FS, o.Dir = other.disk(folder(1)), folder(1)
		}
	}
	n.reopen()
	if err := add("/1x"); !errors.Is(err, pack.ErrOwned) || !errors.Is(err, ErrTaken) {
		t.Errorf("a device of another segment: %v", err)
	}
	n.add(1)
	if err := add(folder(1)); !errors.Is(err, ErrTaken) {
		t.Errorf("a second time: %v", err)
	}
	if len(n.Devices()) != 2 {
		t.Errorf("devices: %+v", n.Devices())
	}
}

// TestTheOnlyDeviceIsNobodysUntilThereIsASecond keeps a segment with one device readable to builds that know of one only.
func TestTheOnlyDeviceIsNobodysUntilThereIsASecond(t *testing.T) {
	n := newNode(t, 1)
	ownerOf := func(i int) pack.Owner {
		t.Helper()
		found, err := pack.Look(n.disk(folder(i)), folder(i))
		must(t, err)
		return found.Owner
	}
	n.reopen()
	if got := ownerOf(0); got != (pack.Owner{}) {
		t.Errorf("alone it belongs to %v", got)
	}
	n.add(1)
	if a, b := ownerOf(0), ownerOf(1); a != owner || b != owner {
		t.Errorf("two belong to %v and %v", a, b)
	}
	must(t, n.Close())
	n.opts.FS, n.opts.Owner = vfs.NewCrash(), pack.Owner{'x'}
	if _, err := Open(t.Context(), n.opts); !errors.Is(err, pack.ErrOwned) {
		t.Errorf("the device of another segment as the first: %v", err)
	}
}

// TestTwoDrainsDoNotRelyOnEachOther has a chunk on both of the devices that are drained.
func TestTwoDrainsDoNotRelyOnEachOther(t *testing.T) {
	n := newNode(t, 3)
	chunks := chunktest.Chunks(domain, 1, 20, 3000)
	for _, i := range []int{1, 2} {
		must(t, n.device(i).Open(domain, chunk.Data).Put(t.Context(), chunks))
	}
	n.drained(1)
	n.drained(2)
	must(t, n.Remove(t.Context(), n.id(1), false))
	must(t, n.Remove(t.Context(), n.id(2), false))
	n.wantAll(chunks)
}
