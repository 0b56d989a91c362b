package pack

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

// lackingOn is what Each is to read for another device.
func lackingOn(t *testing.T, to *site) func([]Pair) ([]int, error) {
	return func(pairs []Pair) (lacking []int, err error) {
		held, err := to.Held(t.Context(), pairs)
		for i := range held {
			if !held[i] {
				lacking = append(lacking, i)
			}
		}
		return lacking, err
	}
}

func keepOn(t *testing.T, to *site) func([]Stored) error {
	return func(chunks []Stored) error {
		for _, c := range chunks {
			if err := to.Keep(t.Context(), c.Class, []Stored{c}); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestChunksMoveAsTheyAreStored(t *testing.T) {
	from, to := open(t, inMemory()), open(t, inMemory())
	data, meta := chunktest.Chunks(crashDomain, 1, 60, 5000), []chunk.Chunk{crashDomain.Make(make([]byte, 4000))}
	must(t, from.Device.Open(crashDomain, chunk.Data).Put(t.Context(), data))
	must(t, from.Device.Open(crashDomain, chunk.Meta).Put(t.Context(), meta))
	must(t, from.Device.Open(crashDomain, chunk.Cache).Put(t.Context(), chunktest.Chunks(crashDomain, 2, 5, 100)))
	must(t, to.Device.Open(crashDomain, chunk.Data).Put(t.Context(), data[:20]))
	read := 0
	count := func(chunks []Stored) error { read += len(chunks); return keepOn(t, to)(chunks) }
	skipped, err := from.Each(t.Context(), lackingOn(t, to), count)
	must(t, err)
	if skipped.Damaged != 0 || skipped.Err != nil || read != 41 {
		t.Errorf("%d chunks were read, %+v passed over", read, skipped)
	}
	must(t, to.Device.Open(crashDomain, chunk.Data).Get(t.Context(), chunktest.IDs(slices.Concat(data, meta)), func(chunk.Chunk) error { return nil }))
	was, is := from.Stats().Chunks, to.Stats().Chunks
	if was[chunk.Data] != is[chunk.Data] || was[chunk.Meta] != is[chunk.Meta] || is[chunk.Cache].Chunks != 0 {
		t.Errorf("%v became %v", was, is)
	}
}

func TestWhatCannotBeReadIsPassedOverAndSaid(t *testing.T) {
	opts := inMemory()
	fault := vfs.NewFault(opts.FS)
	opts.FS = fault
	from, to := open(t, opts), open(t, inMemory())
	chunks := chunktest.Chunks(crashDomain, 1, 30, 3000)
	must(t, from.Device.Open(crashDomain, chunk.Data).Put(t.Context(), chunks))
	from.damage(crashDomain, chunks[3].ID())
	bad := from.where(crashDomain, chunks[7].ID()).Offset + recordSize
	fault.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && op.Off <= bad && bad < op.Off+op.Len {
			return syscall.EIO
		}
		return nil
	})
	skipped, err := from.Each(t.Context(), lackingOn(t, to), keepOn(t, to))
	must(t, err)
	if skipped.Damaged != 1 || len(skipped.Unreadable) != 1 || skipped.Unreadable[0].ID != chunks[7].ID() || !errors.Is(skipped.Err, syscall.EIO) {
		t.Errorf("passed over: %+v", skipped)
	}
	missing, err := to.Device.Open(crashDomain, chunk.Data).Missing(t.Context(), chunktest.IDs(chunks))
	must(t, err)
	if !slices.Equal(missing, []chunk.ID{chunks[3].ID(), chunks[7].ID()}) {
		t.Errorf("%d are missing: %v", len(missing), missing)
	}
	left := 0
	must(t, from.Entries(t.Context(), func(k Key, _ Entry) error {
		if k.ID == chunks[7].ID() {
			left++
		}
		if k.ID == chunks[3].ID() {
			t.Error("the index leads to a damaged copy")
		}
		return nil
	}))
	if left != 1 {
		t.Errorf("the index leads %d times to what could not be read", left)
	}
}
