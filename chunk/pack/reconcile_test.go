package pack

import (
	"errors"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

// held is an index that is gone through only when it is let.
type heldIndex struct {
	*MemoryIndex
	hold chan struct{} // nil: at once
}

func (x *heldIndex) All(yield func(Key, Entry) error) error {
	hold := x.hold
	return x.MemoryIndex.All(func(k Key, e Entry) error {
		err := yield(k, e)
		if hold != nil {
			<-hold
		}
		return err
	})
}

// TestWhatIsInDoubtIsNotHeld has an index lead, after a crash, to chunks that are not there, as it may to cached ones, and to a pack that is gone.
func TestWhatIsInDoubtIsNotHeld(t *testing.T) {
	opts := inMemory()
	under := NewMemoryIndex()
	opts.Index = under
	s := open(t, opts)
	view := s.Device.Open(crashDomain, chunk.Data)
	whole, lost, gone := chunktest.Chunks(crashDomain, 1, 20, 500), chunktest.Chunks(crashDomain, 2, 20, 500), chunktest.Chunks(crashDomain, 3, 5, 500)
	must(t, view.Put(t.Context(), whole))
	must(t, s.index.Sync())
	s.abandon()

	// Behind what was written in the pack, where others are going to be, and in a pack that there is not.
	end := int64(0)
	for _, c := range whole {
		e := find(t, under, c.ID())
		end = max(end, vfs.AlignUp(e.Offset+recordSpace(int(e.Length))))
	}
	astray := func(chunks []chunk.Chunk, generation uint64) {
		for i, c := range chunks {
			e := Entry{Generation: generation, Offset: end + int64(i)*recordSpace(500), Length: 500, Size: 500, Class: chunk.Data}
			must(t, under.Apply([]Pair{{Key{TagOf(crashDomain), c.ID()}, e}}, nil))
		}
	}
	astray(lost, 1)
	astray(gone, 2) // that would be the next one

	x := &heldIndex{under, make(chan struct{})}
	opts.Index = x
	s.opts = opts
	s.Device = nil
	s.reopen()
	view = s.Device.Open(crashDomain, chunk.Data)
	for _, chunks := range [][]chunk.Chunk{lost, gone} {
		if missing, err := view.Missing(t.Context(), chunktest.IDs(chunks)); err != nil || len(missing) != len(chunks) {
			t.Errorf("%d of %d chunks count as missing while the index is gone through, %v", len(missing), len(chunks), err)
		}
	}
	s.wantHeld(chunk.Data, whole)
	must(t, view.Put(t.Context(), lost)) // where some of them were said to be
	must(t, s.index.Sync())
	s.wantHeld(chunk.Data, lost)
	close(x.hold)
	<-s.learnt
	s.wantHeld(chunk.Data, append(whole, lost...))
	if missing, err := view.Missing(t.Context(), chunktest.IDs(gone)); err != nil || len(missing) != len(gone) {
		t.Errorf("%d of %d chunks count as missing in the end, %v", len(missing), len(gone), err)
	}
	if n := s.Stats(); n.Chunks[chunk.Data].Chunks != 40 || n.Corrupt != 25 {
		t.Errorf("the figures are %+v", n)
	}
	must(t, s.index.Sync())
	if n := len(content(t, under)); n != 40 {
		t.Errorf("the index has %d entries", n)
	}
}

func find(t *testing.T, x Index, id chunk.ID) (at Entry) {
	t.Helper()
	must(t, x.Lookup([]Key{{TagOf(crashDomain), id}}, func(_ int, e Entry) { at = e }))
	return at
}

// abandon ends a device as a crash does: nothing is noted.
func (s *site) abandon() {
	s.t.Helper()
	s.fail(errors.New("the process ends"))
	_ = s.Close()
	s.Device = nil
}

// TestADeviceThatIsClosedWhileItIsInDoubtStaysSo closes it before its index was gone through.
func TestADeviceThatIsClosedWhileItIsInDoubtStaysSo(t *testing.T) {
	opts := inMemory()
	under := NewMemoryIndex()
	opts.Index = under
	s := open(t, opts)
	chunks, lost := chunktest.Chunks(crashDomain, 1, 20, 500), chunktest.Chunks(crashDomain, 2, 20, 500)
	must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), chunks))
	s.abandon()
	for _, c := range lost {
		must(t, under.Apply([]Pair{{Key{TagOf(crashDomain), c.ID()}, Entry{Generation: 1, Offset: 1 << 15, Length: 500, Size: 500, Class: chunk.Data}}}, nil))
	}
	x := &heldIndex{under, make(chan struct{})}
	s.opts.Index = x
	s.reopen()
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-s.ending
	close(x.hold) // it was told to end by then, or is about to be
	must(t, <-closed)
	s.Device, s.opts.Index = nil, under
	s.reopen()
	<-s.learnt
	view := s.Device.Open(crashDomain, chunk.Data)
	if missing, err := view.Missing(t.Context(), chunktest.IDs(lost)); err != nil || len(missing) != len(lost) {
		t.Errorf("%d of %d chunks count as missing, %v", len(missing), len(lost), err)
	}
	s.wantHeld(chunk.Data, chunks)
	if n := s.Stats().Chunks[chunk.Data].Chunks; n != 20 {
		t.Errorf("%d chunks are counted", n)
	}
}

// TestAStartAfterACleanStopReadsNoRecords counts what is read of packs.
func TestAStartAfterACleanStopReadsNoRecords(t *testing.T) {
	opts := inMemory()
	fault := vfs.NewFault(opts.FS)
	opts.FS = fault
	s := open(t, opts)
	durable, cached := s.fill(1)
	more := chunktest.Chunks(crashDomain, 77, 3, 400)
	for round := range 3 {
		must(t, s.Close())
		s.Device = nil
		read := int64(0)
		fault.Inject(func(op vfs.Op) error {
			if op.Kind == vfs.OpRead && op.Off > sealStart {
				read += op.Len
			}
			return nil
		})
		s.reopen()
		fault.Inject(nil)
		if most := int64(len(durable)+len(cached)+len(more)) * recordSize; read > most {
			t.Errorf("round %d: %d bytes are read, where all headers have %d", round, read, most)
		}
		s.wantHeld(chunk.Cache, append(durable, cached...))
		must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), more[round:round+1])) // over the draft
	}
	s.abandon()
	s.opts.Index = NewMemoryIndex()
	s.reopen()
	s.wantHeld(chunk.Data, append(durable, more...))
}
