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

func TestMetadataIsPackedAndPayloadWhereItsWriterWishes(t *testing.T) {
	s := open(t, inMemory())
	for _, class := range []chunk.Class{chunk.Meta, chunk.Data, chunk.Cache} {
		c := packable(int(class))
		must(t, s.Device.Open(crashDomain, class).Put(t.Context(), []chunk.Chunk{c}))
		e := s.where(crashDomain, c.ID())
		if packed := int(e.Length) < c.Size()/4; packed != (class == chunk.Meta) || packed != (e.Codec == S2) || int(e.Size) != c.Size() {
			t.Errorf("a chunk of %d bytes and class %v is stored as %+v", c.Size(), class, e)
		}
	}
	for _, class := range []chunk.Class{chunk.Data, chunk.Cache} {
		c := packable(10 + int(class)).Wishing(chunk.Fast)
		must(t, s.Device.Open(crashDomain, class).Put(t.Context(), []chunk.Chunk{c}))
		if e := s.where(crashDomain, c.ID()); e.Codec != S2 || int(e.Length) > c.Size()/4 || int(e.Size) != c.Size() {
			t.Errorf("a chunk of %d bytes and class %v that is wished to be small is stored as %+v", c.Size(), class, e)
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
			if r := s.scrub(crashDomain); r.Damaged != 1 {
				t.Fatalf("bit %d: %+v", bit, r)
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

// TestPayloadIsPackedWhereThatSavesATenth makes chunks of which less and less is random.
func TestPayloadIsPackedWhereThatSavesATenth(t *testing.T) {
	s := open(t, inMemory())
	data := s.Device.Open(crashDomain, chunk.Data)
	packed := 0
	for zeros := 0; zeros <= 1000; zeros += 20 {
		b := chunktest.Bytes(uint64(zeros+1), 4000)
		clear(b[:zeros])
		c := crashDomain.Make(b).Wishing(chunk.Fast)
		must(t, data.Put(t.Context(), []chunk.Chunk{c}))
		switch e := s.where(crashDomain, c.ID()); {
		case e.Codec == Plain && int(e.Length) != c.Size(), e.Codec == S2 && int(e.Length) > c.Size()-c.Size()/10:
			t.Errorf("with %d zeros it is stored as %+v", zeros, e)
		case e.Codec == S2:
			packed++
		}
		s.wantHeld(chunk.Data, []chunk.Chunk{c})
	}
	if packed < 10 || packed > 40 {
		t.Errorf("%d of 51 are packed", packed)
	}
}

func TestAHeldChunkStaysAsItIsStored(t *testing.T) {
	s := open(t, inMemory())
	data := s.Device.Open(crashDomain, chunk.Data)
	for i, c := range []chunk.Chunk{packable(1), packable(2).Wishing(chunk.Fast)} {
		must(t, data.Put(t.Context(), []chunk.Chunk{c}))
		was := s.where(crashDomain, c.ID())
		must(t, data.Put(t.Context(), []chunk.Chunk{c.Wishing(chunk.Fast - c.Compression())}))
		if now := s.where(crashDomain, c.ID()); now != was || now.Codec != Codec(i) {
			t.Errorf("stored as %+v, and then as %+v", was, now)
		}
	}
}

// TestTheContractHoldsWhereAllIsToBePacked runs it with chunks that shrink and with those that do not.
func TestTheContractHoldsWhereAllIsToBePacked(t *testing.T) {
	chunktest.Run(t, func(t *testing.T) chunktest.Harness {
		s := open(t, inMemory())
		h := s.harness()
		h.Opener = fastOpener{h.Opener}
		reopen := h.Reopen
		h.Reopen = func() chunk.Opener { return fastOpener{reopen()} }
		return h
	})
}

type fastOpener struct{ chunk.Opener }

func (o fastOpener) Open(d chunk.Domain, c chunk.Class) chunk.Store {
	return chunk.Wishing(o.Opener.Open(d, c), func() chunk.Compression { return chunk.Fast })
}

// TestPackedChunksCanBeHeld reads much and little at once, plain and packed by turns, holds what can be held, and looks at it when all was read.
func TestPackedChunksCanBeHeld(t *testing.T) {
	for _, each := range []int{1000, 60_000, 700_000} {
		opts := inMemory()
		opts.PackSize = 32 << 20
		s := open(t, opts)
		data := s.Device.Open(crashDomain, chunk.Data)
		var chunks []chunk.Chunk
		for i := range 24 {
			line := fmt.Appendf(nil, "line %d of the content that is kept, ", i)
			c := crashDomain.Make(bytes.Repeat(line, each/len(line)+1))
			if i%4 < 3 {
				c = c.Wishing(chunk.Fast)
			}
			chunks = append(chunks, c)
		}
		must(t, data.Put(t.Context(), chunks))
		for range 3 { // spans are used again
			leased := 0
			var held []chunk.Chunk
			must(t, data.Get(t.Context(), chunktest.IDs(chunks), func(c chunk.Chunk) error {
				if c.Lease() == nil {
					c = c.Clone()
				} else {
					c.Lease().Hold()
					leased++
				}
				held = append(held, c)
				return nil
			}))
			for _, c := range held {
				if crashDomain.Name(c.Data()) != c.ID() {
					t.Fatalf("a chunk of %d bytes changed while it was held", c.Size())
				}
				if c.Lease() != nil {
					c.Lease().Release()
				}
			}
			if each > 50_000 && leased < len(chunks)/2 || len(held) != len(chunks) {
				t.Errorf("of %d chunks of %d bytes %d were read, %d could be held", len(chunks), each, len(held), leased)
			}
		}
	}
}

// laterCodec is one that a later build may have.
const laterCodec Codec = 2

// TestWhatALaterBuildStoredIsUnavailableAndNothingElse goes through all that comes by a record.
func TestWhatALaterBuildStoredIsUnavailableAndNothingElse(t *testing.T) {
	s := open(t, inMemory())
	c, plain := packable(1), packable(2)
	data := s.Device.Open(crashDomain, chunk.Data)
	later := Stored{Key{TagOf(crashDomain), c.ID()}, chunk.Data, laterCodec, uint32(c.Size()), []byte("in a form that is not known yet")}
	must(t, data.Put(t.Context(), []chunk.Chunk{plain}))
	must(t, s.Keep(t.Context(), chunk.Data, []Stored{later}))
	want := func(when string) {
		t.Helper()
		if got, err := getAll(t, s, []chunk.Chunk{c, plain}); !errors.Is(err, chunk.ErrUnavailable) || errors.Is(err, chunk.ErrCorrupt) || errors.Is(err, chunk.ErrNotFound) || got != 1 {
			t.Errorf("%s: %d are read, %v", when, got, err)
		}
		if e := s.where(crashDomain, c.ID()); e.Codec != laterCodec {
			t.Errorf("%s: stored as %+v", when, e)
		}
		if n := s.Stats(); n.Corrupt != 0 || n.Chunks[chunk.Data].Chunks != 2 {
			t.Errorf("%s: %+v", when, n)
		}
	}
	want("put")
	if r := s.scrub(crashDomain); r.Damaged != 0 || r.Chunks != 2 || r.Unknown != 1 || r.Lost != 0 {
		t.Errorf("scrubbed %+v", r)
	}
	want("scrubbed")
	was := s.where(crashDomain, c.ID())
	fill := chunktest.Chunks(crashDomain, 5, 40, 3000)
	must(t, data.Put(t.Context(), fill))
	s.collect(keeping([]chunk.Chunk{c, plain}))
	if s.where(crashDomain, c.ID()) == was {
		t.Error("it was not moved")
	}
	want("compacted")
	s.reopen()
	want("opened again")
	must(t, s.Close())
	s.Device, s.opts.Index = nil, NewMemoryIndex()
	s.reopen()
	s.collect(keeping([]chunk.Chunk{c, plain})) // records of garbage came back
	want("after the index was made again")
	to := open(t, inMemory())
	for range 2 {
		skipped, err := s.Each(t.Context(), lackingOn(t, to), keepOn(t, to))
		if err != nil || skipped.Damaged != 0 || skipped.Err != nil {
			t.Errorf("moved: %+v, %v", skipped, err)
		}
	}
	s = to
	want("moved")
	if missing, err := s.Device.Open(crashDomain, chunk.Data).Missing(t.Context(), []chunk.ID{c.ID(), plain.ID()}); err != nil || len(missing) != 1 || missing[0] != c.ID() {
		t.Errorf("missing are %v, %v", missing, err)
	}
	must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), []chunk.Chunk{c, plain})) // who has the content heals it
	s.wantHeld(chunk.Data, []chunk.Chunk{c, plain})
	must(t, s.Keep(t.Context(), chunk.Data, []Stored{later}))
	s.wantHeld(chunk.Data, []chunk.Chunk{c, plain})
}

// getAll is how many chunks are read, and the error.
func getAll(t *testing.T, s *site, chunks []chunk.Chunk) (n int, err error) {
	t.Helper()
	err = s.Device.Open(crashDomain, chunk.Data).Get(t.Context(), chunktest.IDs(chunks), func(chunk.Chunk) error { n++; return nil })
	return n, err
}

// TestAReadableCopyIsNotGivenUpForOneThatIsNot moves a chunk to a device that has it in a form which is not known.
func TestAReadableCopyIsNotGivenUpForOneThatIsNot(t *testing.T) {
	from, to := open(t, inMemory()), open(t, inMemory())
	c := packable(1)
	must(t, from.Device.Open(crashDomain, chunk.Data).Put(t.Context(), []chunk.Chunk{c}))
	must(t, to.Keep(t.Context(), chunk.Data, []Stored{{Key{TagOf(crashDomain), c.ID()}, chunk.Data, laterCodec, uint32(c.Size()), []byte("?")}}))
	_, err := from.Each(t.Context(), lackingOn(t, to), keepOn(t, to))
	must(t, err)
	to.wantHeld(chunk.Data, []chunk.Chunk{c})
}

func BenchmarkPack(b *testing.B) {
	lines := []byte(nil)
	for i := 0; len(lines) < 64<<10; i++ {
		lines = fmt.Appendf(lines, `{"time":"2026-11-20T12:%02d:%02d.%03dZ","level":"info","request":%d,"path":"/bucket/key-%d","status":200}`+"\n", i%60, i*7%60, i*37%1000, i*7919, i*31)
	}
	for _, c := range []struct {
		name string
		data []byte
	}{{"lines", lines[:64<<10]}, {"random", chunktest.Bytes(1, 64<<10)}} {
		d := open(b, inMemory())
		v := d.Device.Open(crashDomain, chunk.Data).(view)
		whole := crashDomain.Make(c.data).Wishing(chunk.Fast)
		b.Run(c.name+"/pack", func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			b.ReportAllocs()
			var f form
			for b.Loop() {
				f = v.form(whole)
				d.forms.put(f.lent)
			}
			b.ReportMetric(float64(len(c.data))/float64(len(f.payload)), "ratio")
		})
		f := v.form(whole)
		if f.codec == Plain {
			continue
		}
		e := Entry{Codec: f.codec, Size: uint32(f.size), Length: uint32(len(f.payload))}
		b.Run(c.name+"/unpack", func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			b.ReportAllocs()
			for b.Loop() {
				_, lent, err := d.forms.open(e, f.payload)
				if err != nil {
					b.Fatal(err)
				}
				d.forms.put(lent)
			}
		})
	}
}
