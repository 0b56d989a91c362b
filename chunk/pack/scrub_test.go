package pack

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

// anew begins a pass, whenever the last one was.
func anew(domains ...chunk.Domain) Scrubbing {
	return Scrubbing{Scrubbing: chunk.Scrubbing{Domains: domains, Since: time.Now().Add(time.Hour)}}
}

// scrub makes a whole pass.
func (s *site) scrub(domains ...chunk.Domain) chunk.Scrubbed {
	s.t.Helper()
	must(s.t, s.Scrub(context.Background(), anew(domains...)))
	r := s.Scrubbed()
	if r.Began.IsZero() || r.Ended.IsZero() || r.Files != r.AllFiles {
		s.t.Errorf("a pass that is over: %+v", r)
	}
	return r
}

// overwrite writes into a pack, behind the device's back.
func (s *site) overwrite(generation uint64, off int64, b []byte) {
	s.t.Helper()
	f, err := s.opts.FS.Open(packName(s.opts.Dir, generation), vfs.Write)
	must(s.t, err)
	defer f.Close()
	_, err = f.WriteAt(b, off)
	must(s.t, err)
	must(s.t, f.Sync())
}

func (s *site) bytesAt(generation uint64, off int64, size int) []byte {
	s.t.Helper()
	f, err := s.opts.FS.Open(packName(s.opts.Dir, generation), 0)
	must(s.t, err)
	defer f.Close()
	b := make([]byte, size)
	must(s.t, readFull(f, b, off))
	return b
}

// wantLost checks that chunks are missing, and what is remembered of them.
func (s *site) wantLost(chunks ...chunk.Chunk) {
	s.t.Helper()
	missing, err := s.Device.Open(crashDomain, chunk.Cache).Missing(context.Background(), chunktest.IDs(chunks))
	if err != nil || len(missing) != len(chunks) {
		s.t.Errorf("%d of %d are missing, %v", len(missing), len(chunks), err)
	}
	lost, err := s.Lost(context.Background())
	must(s.t, err)
	want := map[Key]bool{}
	for _, c := range chunks {
		want[Key{TagOf(crashDomain), c.ID()}] = true
	}
	if len(lost) != len(want) {
		s.t.Errorf("%d chunks are lost, want %d", len(lost), len(want))
	}
	for k := range lost {
		if !want[k] {
			s.t.Errorf("chunk %v is lost, it says", k.ID)
		}
	}
}

// TestAScrubFindsWhatDisksDo plays what disks do to what they were told to keep.
func TestAScrubFindsWhatDisksDo(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(s *site, at, other Entry)
	}{
		{"bit rot", func(s *site, at, _ Entry) {
			flip(s.t, s.opts.FS, packName(s.opts.Dir, at.Generation), at.Offset+recordSize+777)
		}},
		{"a torn sector", func(s *site, at, _ Entry) {
			s.overwrite(at.Generation, vfs.AlignUp(at.Offset+recordSize), make([]byte, 512))
		}},
		{"a lost write", func(s *site, at, _ Entry) {
			s.overwrite(at.Generation, at.Offset, make([]byte, recordSize+int(at.Length)))
		}},
		{"a lost write into a recycled file", func(s *site, at, _ Entry) {
			b := s.bytesAt(at.Generation, at.Offset, recordSize+int(at.Length))
			old, ok := decodeRecord(packInfo{s.id, at.Generation, durableLane}, b)
			if !ok {
				s.t.Fatal("no record")
			}
			old.generation-- // an earlier life of the file, with the same chunk at the same place
			payload := bytes.Clone(b[recordSize:])
			payload[0] ^= 1
			old.sum = payloadSum(payload)
			old.encode(&s.id, b)
			s.overwrite(at.Generation, at.Offset, append(b[:recordSize:recordSize], payload...))
		}},
		{"a misdirected write", func(s *site, at, other Entry) {
			s.overwrite(at.Generation, at.Offset, s.bytesAt(other.Generation, other.Offset, recordSize+int(other.Length)))
		}},
		{"a file that ends early", func(s *site, at, _ Entry) {
			f, err := s.opts.FS.Open(packName(s.opts.Dir, at.Generation), vfs.Write)
			must(s.t, err)
			defer f.Close()
			size, err := f.Size()
			must(s.t, err)
			must(s.t, f.Truncate(vfs.AlignUp(at.Offset)))
			must(s.t, f.Truncate(size))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, inMemory())
			chunks := chunktest.Chunks(crashDomain, 1, 2, 7000)
			must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), chunks[:1]))
			must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), chunks[1:]))
			if r := s.scrub(crashDomain); r.Chunks != 2 || r.ScrubCount != (chunk.ScrubCount{Chunks: 2, Bytes: 14_001}) || r.AllFiles != 1 {
				t.Errorf("before: %+v", r)
			}
			c.do(s, s.where(crashDomain, chunks[1].ID()), s.where(crashDomain, chunks[0].ID()))
			if r := s.scrub(crashDomain); r.Chunks != 2 || r.Damaged != 1 || r.Rewritten != 0 || r.Lost != 1 {
				t.Errorf("%+v", r)
			}
			s.wantHeld(chunk.Data, chunks[:1])
			s.wantLost(chunks[1])
			s.reopen()
			s.wantLost(chunks[1])
			must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), chunks[1:]))
			s.wantHeld(chunk.Data, chunks)
			s.wantLost()
			if r := s.scrub(crashDomain); r.Damaged != 0 || r.Lost != 0 {
				t.Errorf("once it was put again: %+v", r)
			}
		})
	}
}

func TestAScrubFindsEveryDamage(t *testing.T) {
	s := open(t, inMemory())
	durable, cached := s.fill(1)
	all := append(durable, cached...)
	s.reopen() // whatever is full is sealed by then
	want := s.scrub(crashDomain)
	if want.Damaged != 0 || want.Footers != 0 || want.Unnamed != 0 || want.Chunks != int64(len(all)) || want.AllFiles != s.Stats().Packs {
		t.Errorf("%+v", want)
	}
	for i, off := range []int64{0, 20, 45, 79, recordSize, recordSize + 200} { // of the record
		at := s.where(crashDomain, all[7*i].ID())
		flip(t, s.opts.FS, packName(s.opts.Dir, at.Generation), at.Offset+off)
		if got := s.scrub(); got.Damaged != 1 || got.Unnamed != got.Chunks-1 {
			t.Errorf("after damage at %d: %+v", off, got)
		}
		missing, err := s.Device.Open(crashDomain, chunk.Cache).Missing(t.Context(), chunktest.IDs(all))
		if err != nil || len(missing) != i+1 || !slices.Contains(missing, all[7*i].ID()) {
			t.Errorf("%d are missing, %v", len(missing), err)
		}
	}
	if s.Stats().Corrupt != 6 {
		t.Errorf("%d damaged copies are counted", s.Stats().Corrupt)
	}
	sealed := packName(s.opts.Dir, 1)
	flip(t, s.opts.FS, sealed, fileSize(t, s.opts.FS, sealed)-vfs.Align)
	if got := s.scrub(crashDomain); got.Damaged != 0 || got.Footers != 1 || got.Chunks != want.Chunks-6 {
		t.Errorf("with a damaged footer: %+v", got)
	}
}

func TestAPackThatIsGoneIsLost(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	at := s.where(crashDomain, durable[0].ID())
	must(t, s.opts.FS.Remove(packName(s.opts.Dir, at.Generation)))
	s.handles.forget(at.Generation)
	must(t, s.opts.FS.Rename("device/format", "device/other")) // as if another disk were mounted there
	if err := s.Scrub(t.Context(), anew(crashDomain)); !errors.Is(err, chunk.ErrUnavailable) {
		t.Errorf("a folder that is not the device's: %v", err)
	}
	must(t, s.opts.FS.Rename("device/other", "device/format"))
	s.wantLost()
	r := s.scrub(crashDomain)
	missing, err := s.Device.Open(crashDomain, chunk.Data).Missing(t.Context(), chunktest.IDs(durable))
	if err != nil || len(missing) == 0 || r.Damaged != int64(len(missing)) || r.Lost != len(missing) {
		t.Errorf("%d are missing, %v: %+v", len(missing), err, r)
	}
}

// TestADamagedHeaderCostsNoChunk: the payload is what its name says, so a reader is served; a start from the packs alone would not find it.
func TestADamagedHeaderCostsNoChunk(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	at := s.where(crashDomain, durable[3].ID())
	flip(t, s.opts.FS, packName(s.opts.Dir, at.Generation), at.Offset+45)
	if r := s.scrub(crashDomain); r.Damaged != 1 || r.Rewritten != 1 || r.Lost != 0 {
		t.Errorf("%+v", r)
	}
	if s.where(crashDomain, durable[3].ID()) == at {
		t.Error("it lies where it lay")
	}
	must(t, s.Close())
	s.Device, s.opts.Index = nil, NewMemoryIndex()
	s.reopen()
	s.wantHeld(chunk.Data, durable)
}

func TestADamagedFormOfALaterBuildIsDamage(t *testing.T) {
	s := open(t, inMemory())
	k := Key{TagOf(crashDomain), packable(1).ID()}
	must(t, s.Keep(t.Context(), chunk.Data, []Stored{{Key: k, Class: chunk.Data, Codec: laterCodec, Size: 3000, Payload: []byte("of a codec that comes later")}}))
	at := s.where(crashDomain, k.ID)
	flip(t, s.opts.FS, packName(s.opts.Dir, at.Generation), at.Offset+recordSize)
	if r := s.scrub(crashDomain); r.Damaged != 1 || r.Lost != 1 || r.Unknown != 0 {
		t.Errorf("%+v", r)
	}
}

func TestWhatADiskDoesNotGiveIsNotDropped(t *testing.T) {
	opts := inMemory()
	disk := vfs.NewFault(opts.FS)
	opts.FS = disk
	s := open(t, opts)
	durable, _ := s.fill(1)
	at := s.where(crashDomain, durable[0].ID())
	name := packName(s.opts.Dir, at.Generation)
	disk.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && op.Name == name && op.Off <= at.Offset && at.Offset < op.Off+op.Len {
			return syscall.EIO
		}
		return nil
	})
	var told []Key
	o := anew(crashDomain)
	o.Unread = func(keys []Key) error { told = append(told, keys...); return nil }
	must(t, s.Scrub(t.Context(), o))
	if r := s.Scrubbed(); r.Unreadable != 1 || r.Damaged != 0 || r.Lost != 0 || !slices.Contains(told, Key{TagOf(crashDomain), durable[0].ID()}) {
		t.Errorf("%+v, told of %v", r, told)
	}
	enough := errors.New("enough")
	o.Unread = func([]Key) error { return enough }
	if err := s.Scrub(t.Context(), o); !errors.Is(err, enough) {
		t.Errorf("a scrub that is told to end: %v", err)
	}
	lost, err := s.Lost(t.Context())
	must(t, err)
	var gone []chunk.Chunk
	for _, c := range durable {
		if _, ok := lost[Key{TagOf(crashDomain), c.ID()}]; ok {
			gone = append(gone, c)
		}
	}
	if len(gone) == 0 || len(gone) != len(lost) {
		t.Fatalf("%d are lost, %d of them are known", len(lost), len(gone))
	}
	must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), gone[:1])) // it is written elsewhere
	if now := s.where(crashDomain, gone[0].ID()); now == at {
		t.Error("it lies where the disk does not give it")
	}
	if lost, err := s.Lost(t.Context()); err != nil || len(lost) != len(gone)-1 {
		t.Errorf("%d are lost, %v", len(lost), err)
	}
	s.reopen()
	disk.Inject(nil)
	s.wantHeld(chunk.Data, durable)
	if r := s.scrub(crashDomain); r.Unreadable != 0 {
		t.Errorf("when the disk gives it again: %+v", r)
	}
}

// TestAScrubGoesOnWhereItWas stops it after each pack in turn, and starts the device anew.
func TestAScrubGoesOnWhereItWas(t *testing.T) {
	s := open(t, inMemory())
	durable, cached := s.fill(1)
	s.reopen()
	packs := s.Stats().Packs
	if packs < 3 {
		t.Fatalf("%d packs", packs)
	}
	o := anew(crashDomain)
	for stops := 0; ; stops++ {
		ctx, stop := context.WithCancel(t.Context())
		o.Tell = stop
		err := s.Scrub(ctx, o)
		stop()
		if r := s.Scrubbed(); r.Files != min(stops+1, packs) || r.AllFiles != packs {
			t.Errorf("stopped %d times: %+v", stops, r)
		}
		s.reopen()
		if !s.Scrubbed().Ended.IsZero() {
			t.Fatalf("over after %d stops: %+v", stops, s.Scrubbed())
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped %d times: %v", stops, err)
		}
		if s.Scrubbed().Files == packs {
			break
		}
	}
	o.Since, o.Tell = time.Time{}, func() { t.Error("a pack is read twice") }
	must(t, s.Scrub(t.Context(), o)) // what is under way goes on, though it is not time for a new one
	if r := s.Scrubbed(); r.Ended.IsZero() || r.Chunks != int64(len(durable)+len(cached)) {
		t.Errorf("%+v", r)
	}
	before := s.Scrubbed()
	must(t, s.Scrub(t.Context(), o))
	if after := s.Scrubbed(); after != before {
		t.Errorf("it was not time: %+v, before %+v", after, before)
	}
}

func TestAScrubStopsWhenItIsAskedTo(t *testing.T) {
	s := open(t, inMemory())
	s.fill(1)
	ctx, stop := context.WithCancel(t.Context())
	o := anew(crashDomain)
	o.Rate = 1 // it would take days
	done := make(chan error, 1)
	go func() { done <- s.Scrub(ctx, o) }()
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	o.Rate = 0
	must(t, s.Scrub(t.Context(), o))
}

func TestClosingADeviceEndsItsScrub(t *testing.T) {
	s := open(t, inMemory())
	s.fill(1)
	o := anew(crashDomain)
	o.Rate = 1
	done := make(chan error, 1)
	begun := make(chan struct{})
	o.Clock = func() time.Time { close(begun); return time.Now() }
	go func() { done <- s.Scrub(t.Context(), o) }()
	<-begun
	must(t, s.Close())
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestOneScrubAtATime(t *testing.T) {
	s := open(t, inMemory())
	s.fill(1)
	o := anew(crashDomain)
	var second error
	o.Tell = func() { second = s.Scrub(t.Context(), anew(crashDomain)) }
	must(t, s.Scrub(t.Context(), o))
	if !errors.Is(second, errScrubbing) {
		t.Errorf("a second one: %v", second)
	}
}

// TestWhatIsDamagedDoesNotComeBackWithAnIndexThatIsMadeAgain: a footer that still listed it would have it held, and whoever puts the same content rely on that.
func TestWhatIsDamagedDoesNotComeBackWithAnIndexThatIsMadeAgain(t *testing.T) {
	for _, reader := range []bool{false, true} {
		s := open(t, inMemory())
		durable, cached := s.fill(1)
		hurt := []chunk.Chunk{durable[0], durable[1], durable[30], durable[49]} // in sealed packs, and in the one that is written
		for _, c := range hurt {
			s.damage(crashDomain, c.ID())
		}
		if reader {
			_ = s.Device.Open(crashDomain, chunk.Data).Get(t.Context(), chunktest.IDs(hurt), func(chunk.Chunk) error { return errors.New("served") })
		} else {
			s.scrub(crashDomain)
		}
		s.wantLost(hurt...)
		must(t, s.Close())
		s.Device, s.opts.Index = nil, NewMemoryIndex()
		s.reopen()
		if r := s.Scrubbed(); !r.Began.IsZero() {
			t.Errorf("the position outlived the index: %+v", r)
		}
		if missing, err := s.Device.Open(crashDomain, chunk.Data).Missing(t.Context(), chunktest.IDs(hurt)); err != nil || len(missing) != len(hurt) {
			t.Errorf("%d of %d damaged chunks are missing, %v", len(missing), len(hurt), err)
		}
		rest := slices.DeleteFunc(slices.Clone(durable), func(c chunk.Chunk) bool {
			return slices.ContainsFunc(hurt, func(h chunk.Chunk) bool { return h.ID() == c.ID() })
		})
		s.wantHeld(chunk.Data, rest)
		s.wantHeld(chunk.Cache, cached)
		if r := s.scrub(crashDomain); r.Damaged != 0 || r.Footers != 0 {
			t.Errorf("%+v", r)
		}
	}
}

func TestAPackOfWhichAllIsDamagedIsStruckOff(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	s.reopen()
	gen := s.where(crashDomain, durable[0].ID()).Generation
	var hurt []chunk.Chunk
	for _, c := range durable {
		if s.where(crashDomain, c.ID()).Generation == gen {
			s.damage(crashDomain, c.ID())
			hurt = append(hurt, c)
		}
	}
	s.scrub(crashDomain)
	s.wantLost(hurt...)
	must(t, s.Close())
	s.Device, s.opts.Index = nil, NewMemoryIndex()
	s.reopen()
	if missing, err := s.Device.Open(crashDomain, chunk.Data).Missing(t.Context(), chunktest.IDs(hurt)); err != nil || len(missing) != len(hurt) {
		t.Errorf("%d of %d are missing, %v", len(missing), len(hurt), err)
	}
	s.collect(keeping(durable)) // and it can be given up
	if s.hasPack(gen) {
		t.Error("the pack of nothing is still there")
	}
}

// TestWhatComesBackIsScrubbedAgain: part of the index is lost with the power, and comes back from a pack that the scrub is past.
func TestWhatComesBackIsScrubbedAgain(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	s.reopen()
	s.scrub(crashDomain)
	x := s.opts.Index.(*MemoryIndex)
	at := s.where(crashDomain, durable[0].ID())
	must(t, s.Close())
	s.Device = nil
	must(t, x.Apply(nil, []Key{{TagOf(crashDomain), durable[0].ID()}}))
	must(t, x.SetNote(packNote(at.Generation), nil))
	must(t, x.Sync())
	s.reopen()
	s.wantHeld(chunk.Data, durable)
	if r := s.Scrubbed(); !r.Ended.IsZero() || s.pass.next != at.Generation {
		t.Errorf("the scrub is past what came back: %+v", r)
	}
	s.damage(crashDomain, durable[0].ID())
	must(t, s.Scrub(t.Context(), Scrubbing{Scrubbing: chunk.Scrubbing{Domains: []chunk.Domain{crashDomain}}}))
	s.wantLost(durable[0])
}

// TestAnEntryThatLeadsNowhereIsDropped is for an index that says what the packs do not.
func TestAnEntryThatLeadsNowhereIsDropped(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	at := s.where(crashDomain, durable[0].ID())
	stray := func(seed uint64, change func(*Entry)) chunk.Chunk {
		c, e := chunktest.Chunks(crashDomain, seed, 1, 100)[0], at
		change(&e)
		must(t, s.index.Apply([]Pair{{Key{TagOf(crashDomain), c.ID()}, e}}, nil))
		s.count(e, Entry{})
		return c
	}
	lost := []chunk.Chunk{
		stray(77, func(e *Entry) { e.Generation = 1000 }),    // there is no such pack
		stray(78, func(e *Entry) { e.Offset += recordSize }), // there is no record
		stray(79, func(*Entry) {}),                           // of another chunk
	}
	if r := s.scrub(crashDomain); r.Damaged != 3 || r.Chunks != int64(70) {
		t.Errorf("%+v", r)
	}
	s.wantLost(lost...)
	s.wantHeld(chunk.Data, durable)
}

func TestAScrubWhileWritingAndCompacting(t *testing.T) {
	s := open(t, inMemory())
	durable, _ := s.fill(1)
	done := make(chan error)
	go func() {
		var err error
		for range 10 {
			err = errors.Join(err, s.Scrub(context.Background(), anew(crashDomain)))
		}
		done <- err
	}()
	for i := range uint64(5) {
		more, _ := s.fill(100 * (i + 1))
		s.collect(keeping(durable))
		_ = more
	}
	must(t, <-done)
	s.wantHeld(chunk.Data, durable)
	s.wantLost()
	if n := s.Stats().Corrupt; n != 0 {
		t.Errorf("%d damaged copies were found where there are none", n)
	}
}

// TestEveryCrashPointOfAScrub cuts the power at every operation of a device that is scrubbed, and found damaged, while it is written to: what is damaged is found in the end, what is whole stays.
func TestEveryCrashPointOfAScrub(t *testing.T) {
	for n := 0; ; n++ {
		for seed := range *seeds {
			if s := newScrubStory(t, uint64(n), seed); !s.live(n) {
				t.Logf("%d operations", n)
				return
			}
		}
	}
}

type scrubStory struct {
	*story
	t    *testing.T
	fs   *vfs.Crash
	x    *MemoryIndex
	rng  *rand.Rand
	hurt []chunk.Chunk // payload
	bare []chunk.Chunk // headers: they are only found by the index
}

// newScrubStory is a device with some packs in which chunks are damaged.
func newScrubStory(t *testing.T, n, seed uint64) *scrubStory {
	s := &scrubStory{story: newStory(), t: t, fs: vfs.NewCrash(), x: NewMemoryIndex(), rng: rand.New(rand.NewPCG(n, seed))}
	must(t, s.work(s.fs, s.x, 12))
	d := &site{t: t, opts: crashOptions(s.fs, s.x)}
	d.reopen()
	for i, c := range s.chunks {
		if i%4 != 0 || !s.acked[c.ID()] {
			continue
		}
		at := d.where(crashDomain, c.ID())
		off := int64(recordSize + 3)
		if d.packs[at.Generation].sealed && i%8 == 0 {
			off = 45 // of the header: the chunk is written once more. A pack without a footer is read by its headers
		}
		flip(t, s.fs, packName("device", at.Generation), at.Offset+off)
		if off > recordSize {
			s.hurt = append(s.hurt, c)
			delete(s.acked, c.ID())
		} else {
			s.bare = append(s.bare, c)
		}
	}
	must(t, d.Close())
	if len(s.hurt) < 2 {
		t.Fatalf("%d are damaged", len(s.hurt))
	}
	return s
}

// live scrubs, with the power cut after n operations, and says whether it was; what is left must be as it should.
func (s *scrubStory) live(n int) bool {
	s.fs.CutAfter(n)
	err := s.scrubAndWrite()
	cut := s.fs.IsCut()
	if err != nil && !cut {
		s.t.Fatalf("operation %d: %v", n, err)
	}
	s.fs = s.fs.Crash(s.rng)
	if s.rng.IntN(5) > 0 {
		s.x = s.x.Crash(s.rng)
	} else {
		s.x = NewMemoryIndex()
		for _, c := range s.bare {
			delete(s.acked, c.ID())
		}
	}
	must(s.t, s.scrubAndWrite())
	d := &site{t: s.t, opts: crashOptions(s.fs, s.x)}
	d.reopen()
	missing, err := d.Device.Open(crashDomain, chunk.Data).Missing(s.t.Context(), chunktest.IDs(s.hurt))
	if err != nil || len(missing) != len(s.hurt) {
		s.t.Fatalf("operation %d: %d of %d damaged chunks are missing, %v", n, len(missing), len(s.hurt), err)
	}
	must(s.t, d.Close())
	s.x = NewMemoryIndex() // and they do not come back
	if err := s.check(s.fs, s.x); err != nil {
		s.t.Fatalf("operation %d: %v", n, err)
	}
	d.opts.Index = s.x
	d.reopen()
	missing, err = d.Device.Open(crashDomain, chunk.Data).Missing(s.t.Context(), chunktest.IDs(s.hurt))
	if err != nil || len(missing) != len(s.hurt) {
		s.t.Fatalf("operation %d: with a new index %d of %d damaged chunks are missing, %v", n, len(missing), len(s.hurt), err)
	}
	must(s.t, d.Close())
	return cut
}

func (s *scrubStory) scrubAndWrite() (err error) {
	ctx := context.Background()
	d, err := Open(ctx, crashOptions(s.fs, ticking{s.x, s.fs}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	more := chunktest.Chunks(crashDomain, 5000+uint64(len(s.chunks)), 3, 3000)
	s.chunks = append(s.chunks, more...)
	o := anew(crashDomain)
	tells := 0
	var failed error
	o.Tell = func() {
		if tells++; tells <= len(more) {
			err := d.Open(crashDomain, chunk.Data).Put(ctx, more[tells-1:tells])
			if err == nil {
				s.acked[more[tells-1].ID()] = true
			}
			failed = errors.Join(failed, err)
		}
	}
	if err := errors.Join(d.Scrub(ctx, o), failed); err != nil {
		return err
	}
	_, err = d.Lost(ctx) // which strikes them off
	return err
}

// ticking is an index whose changes are operations of the disk, so that the power is cut between them too.
type ticking struct {
	*MemoryIndex
	fs *vfs.Crash
}

func (x ticking) Apply(set []Pair, remove []Key) error {
	if err := x.fs.SyncDir("device"); err != nil {
		return err
	}
	return x.MemoryIndex.Apply(set, remove)
}

func (x ticking) SetNote(name string, value []byte) error {
	if err := x.fs.SyncDir("device"); err != nil {
		return err
	}
	return x.MemoryIndex.SetNote(name, value)
}

func (x ticking) Sync() error {
	if err := x.fs.SyncDir("device"); err != nil {
		return err
	}
	return x.MemoryIndex.Sync()
}

func TestThePositionOfAScrub(t *testing.T) {
	p := pass{began: time.UnixMilli(1_700_000_000_123).UTC(), next: 7, upTo: 9, files: 3, all: 5}
	for i, n := range counts(&p.ScrubCount) {
		*n = int64(i + 1)
	}
	const golden = "017b68e5cf8b010000" + "0000000000000000" + "0700000000000000" + "0900000000000000" + "03000000" + "05000000" +
		"0100000000000000" + "0200000000000000" + "0300000000000000" + "0400000000000000" + "0500000000000000" + "0600000000000000" + "0700000000000000" + "0800000000000000"
	if got := hex.EncodeToString(p.encode()); got != golden {
		t.Errorf("%s", got)
	}
	if got, ok := decodePass(p.encode()); !ok || got != p {
		t.Errorf("%+v, %v", got, ok)
	}
	b := p.encode()
	b[0]++
	if _, ok := decodePass(b); ok {
		t.Error("a position of another version is read")
	}
}

func FuzzNotesOfAScrub(f *testing.F) {
	f.Add((&pass{}).encode(), lostNote(Key{Tag{1}, chunk.ID{2}}))
	f.Add([]byte{}, lostNotes)
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		if p, ok := decodePass(b); ok && !bytes.Equal(p.encode(), b) {
			t.Errorf("%x", b)
		}
		if k, err := parseLostNote(name); err == nil && !strings.EqualFold(strings.TrimPrefix(lostNote(k), lostNotes), strings.TrimPrefix(name, lostNotes)) {
			t.Errorf("%q", name)
		}
	})
}

func TestOnlySoManyLostChunksAreRemembered(t *testing.T) {
	s := open(t, inMemory())
	for i := range maxLost + 10 {
		must(t, s.noteLost(found{Key{ID: chunk.ID{byte(i), byte(i >> 8), byte(i >> 16)}}, Entry{Generation: 7, Class: chunk.Meta}}))
	}
	s.reopen()
	lost, err := s.Lost(t.Context())
	if err != nil || len(lost) != maxLost {
		t.Errorf("%d, %v", len(lost), err)
	}
	must(t, s.ForgetLost(t.Context(), slices.Collect(maps.Keys(lost))))
	s.reopen()
	if lost, err := s.Lost(t.Context()); err != nil || len(lost) != 0 {
		t.Errorf("%d after they were forgotten, %v", len(lost), err)
	}
}
