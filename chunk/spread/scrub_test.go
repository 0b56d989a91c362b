package spread

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

func always() chunk.Scrubbing {
	return chunk.Scrubbing{Domains: []chunk.Domain{domain}, Since: time.Now().Add(time.Hour)}
}

// wantLost checks which chunks no device holds any more.
func (n *node) wantLost(chunks ...chunk.Chunk) {
	n.t.Helper()
	lost, err := n.Lost(context.Background(), []chunk.Domain{domain})
	must(n.t, err)
	if len(lost) != len(chunks) {
		n.t.Errorf("%d chunks are lost, want %d", len(lost), len(chunks))
	}
	for _, l := range lost {
		if !slices.ContainsFunc(chunks, func(c chunk.Chunk) bool { return c.ID() == l.ID }) || l.Domain.Tag() != domain.Tag() {
			n.t.Errorf("chunk %v is lost, it says", l.ID)
		}
	}
}

func TestDevicesAreScrubbedSideBySide(t *testing.T) {
	n := newNode(t, 3)
	chunks := chunktest.Chunks(domain, 1, 90, 3000)
	n.spread(chunks)
	hurt := []chunk.Chunk{n.on(0, chunks)[0], n.on(1, chunks)[0], n.on(2, chunks)[0]}
	for _, c := range hurt {
		n.damage(domain, c.ID())
	}
	must(t, n.Scrub(t.Context(), always()))
	read := int64(0)
	for i, r := range n.Scrubbed() {
		if r.Device != folder(i) || r.Ended.IsZero() || r.Damaged != 1 || r.Lost != 1 || r.Why != "" {
			t.Errorf("%+v", r)
		}
		read += r.Chunks
	}
	if read != int64(len(chunks)) {
		t.Errorf("%d chunks are read", read)
	}
	n.wantLost(hurt...)
	n.reopen()
	n.wantLost(hurt...)
	n.put(chunk.Data, hurt)
	n.wantLost()
	n.wantAll(chunks)
	other := chunktest.Domain(99)
	if lost, err := n.Lost(t.Context(), []chunk.Domain{other}); err != nil || len(lost) > 0 {
		t.Errorf("%d of another domain are lost, %v", len(lost), err)
	}
}

// TestWhatAnotherDeviceHoldsIsNotLost is about a copy that a drain made, and a device that is not drained then.
func TestWhatAnotherDeviceHoldsIsNotLost(t *testing.T) {
	n := newNode(t, 2)
	chunks := chunktest.Chunks(domain, 1, 60, 3000)
	n.spread(chunks)
	twice := n.on(1, chunks)[0]
	must(t, n.device(0).Open(domain, chunk.Data).Put(t.Context(), []chunk.Chunk{twice}))
	n.damageOn((*n.members.Load())[1], domain, twice.ID())
	must(t, n.Scrub(t.Context(), always()))
	if r := n.Scrubbed()[1]; r.Damaged != 1 {
		t.Errorf("%+v", r)
	}
	n.wantLost()
	n.wantAll(chunks)
	if r := n.Scrubbed()[1]; r.Lost != 0 {
		t.Errorf("it is still remembered: %+v", r)
	}
}

func TestWhatADiskDoesNotGiveIsPutOnAnother(t *testing.T) {
	n := newNode(t, 2)
	chunks := chunktest.Chunks(domain, 1, 60, 3000)
	n.spread(chunks)
	bad := n.on(1, chunks)
	n.disk(folder(1)).Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && op.Off >= 8192 {
			return syscall.EIO
		}
		return nil
	})
	must(t, n.Scrub(t.Context(), always()))
	if r := n.Scrubbed()[1]; r.Unreadable != int64(len(bad)) || r.Damaged != 0 {
		t.Errorf("%+v", r)
	}
	n.wantLost(bad...)
	n.spread(bad)
	n.wantLost()
	n.wantAll(chunks)
}

// TestADeviceThatCannotBeScrubbedKeepsTheOthersFromNothing is about one that has too much that it does not give.
func TestADeviceThatCannotBeScrubbedKeepsTheOthersFromNothing(t *testing.T) {
	n := newNode(t, 3)
	n.opts.Unread = 3
	n.reopen()
	chunks := chunktest.Chunks(domain, 1, 90, 3000)
	n.spread(chunks)
	n.disk(folder(1)).Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && op.Off >= 8192 {
			return syscall.EIO
		}
		return nil
	})
	if err := n.Scrub(t.Context(), always()); !errors.Is(err, errIll) {
		t.Errorf("scrub: %v", err)
	}
	for i, r := range n.Scrubbed() {
		if (r.Why != "") != (i == 1) || r.Ended.IsZero() != (i == 1) {
			t.Errorf("device %d: %+v", i, r)
		}
	}
}

func TestAScrubEndsWhenItsDeviceIsRemoved(t *testing.T) {
	n := newNode(t, 2)
	n.spread(chunktest.Chunks(domain, 1, 60, 3000))
	o := always()
	o.Rate = 1
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Scrub(ctx, o) }()
	must(t, n.Remove(t.Context(), n.id(1), true))
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestForgottenChunksAreNotLost(t *testing.T) {
	n := newNode(t, 2)
	chunks := chunktest.Chunks(domain, 1, 10, 3000)
	n.spread(chunks)
	n.damage(domain, chunks[0].ID())
	must(t, n.Scrub(t.Context(), always()))
	lost, err := n.Lost(t.Context(), []chunk.Domain{domain})
	must(t, err)
	must(t, n.Forget(t.Context(), lost))
	n.wantLost()
	n.reopen()
	n.wantLost()
}
