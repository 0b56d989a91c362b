package pack

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

// packable is a chunk that shrinks.
func packable(n int) chunk.Chunk {
	return crashDomain.Make(bytes.Repeat(fmt.Appendf(nil, "entry %d of a node, ", n), 60))
}

func TestMetadataIsPackedAndPayloadIsNot(t *testing.T) {
	s := open(t, inMemory())
	for _, class := range []chunk.Class{chunk.Meta, chunk.Data, chunk.Cache} {
		c := packable(int(class))
		must(t, s.Device.Open(crashDomain, class).Put(t.Context(), []chunk.Chunk{c}))
		e := s.where(crashDomain, c.ID())
		if packed := int(e.Length) < c.Size()/4; packed != (class == chunk.Meta) || packed != (e.Codec == S2) || int(e.Size) != c.Size() {
			t.Errorf("a chunk of %d bytes and class %v is stored as %+v", c.Size(), class, e)
		}
	}
	random := chunktest.Chunks(crashDomain, 1, 1, leastPacked)[0]
	must(t, s.Device.Open(crashDomain, chunk.Meta).Put(t.Context(), []chunk.Chunk{random}))
	if e := s.where(crashDomain, random.ID()); e.Codec != Plain {
		t.Errorf("a chunk that does not shrink is stored as %+v", e)
	}
}

// TestAPackedChunkIsServedWholeOrNotAtAll flips each bit of a packed payload.
func TestAPackedChunkIsServedWholeOrNotAtAll(t *testing.T) {
	c := packable(1)
	for bit := 0; ; bit++ {
		s := open(t, inMemory())
		meta := s.Device.Open(crashDomain, chunk.Meta)
		must(t, meta.Put(t.Context(), []chunk.Chunk{c}))
		e := s.where(crashDomain, c.ID())
		if bit/8 >= int(e.Length) {
			return
		}
		if bit%2 == 0 { // found by a scrub, or by a reader
			flipBit(t, s, e, bit)
			if r, err := s.Verify(t.Context(), []chunk.Domain{crashDomain}, nil); err != nil || r.Damaged != 1 {
				t.Fatalf("bit %d: %+v, %v", bit, r, err)
			}
			continue
		}
		flipBit(t, s, e, bit)
		err := meta.Get(t.Context(), []chunk.ID{c.ID()}, func(chunk.Chunk) error { return nil })
		if !errors.Is(err, chunk.ErrCorrupt) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
}

func flipBit(t *testing.T, s *site, e Entry, bit int) {
	t.Helper()
	f, err := s.opts.FS.Open(packName(s.opts.Dir, e.Generation), vfs.Write)
	must(t, err)
	defer f.Close()
	at, b := e.Offset+recordSize+int64(bit/8), make([]byte, 1)
	_, err = f.ReadAt(b, at)
	must(t, err)
	b[0] ^= 1 << (bit % 8)
	_, err = f.WriteAt(b, at)
	must(t, err)
}

// TestAnS2PayloadOfTheFirstVersionIsRead reads bytes that the first build with the codec wrote.
func TestAnS2PayloadOfTheFirstVersionIsRead(t *testing.T) {
	payload, err := hex.DecodeString("d0054461206e6f6465206f66206120747265652c2011121900b201")
	must(t, err)
	var f forms
	data, _, err := f.open(Entry{Codec: S2, Size: 720}, payload)
	if want := bytes.Repeat([]byte("a node of a tree, "), 40); err != nil || !bytes.Equal(data, want) {
		t.Errorf("%q, %v", data, err)
	}
}

func FuzzOpenPayload(f *testing.F) {
	f.Add(s2.Encode(nil, packable(1).Data()), uint32(packable(1).Size()))
	f.Add([]byte{0}, uint32(0))
	f.Fuzz(func(t *testing.T, payload []byte, size uint32) {
		var forms forms
		data, lent, err := forms.open(Entry{Codec: S2, Size: size}, payload)
		if err != nil && !errors.Is(err, chunk.ErrCorrupt) || err == nil && len(data) != int(size) {
			t.Errorf("%d bytes for %d, %v", len(data), size, err)
		}
		forms.put(lent)
	})
}
