package pack

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/internal/vfs"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	goldenDevice = deviceID{'g', 'o', 'l', 'd', 'e', 'n', ' ', 'd', 'e', 'v', 'i', 'c', 'e', '.', '.', '.'}
	goldenPack   = packInfo{goldenDevice, 9, durableLane}
	goldenDomain = chunktest.Domain(1)
)

// goldenRecords are two chunks as they lie in a pack, one after the other.
func goldenRecords() ([]byte, []record) {
	b := make([]byte, 0, 400)
	var records []record
	for i, data := range []string{"a chunk", "another chunk, of metadata"} {
		r := record{
			key:        Key{TagOf(goldenDomain), goldenDomain.Name([]byte(data))},
			generation: goldenPack.generation,
			offset:     dataStart + int64(len(b)),
			length:     uint32(len(data)),
			size:       uint32(len(data)),
			class:      []chunk.Class{chunk.Data, chunk.Meta}[i],
			sum:        payloadSum([]byte(data)),
		}
		place := make([]byte, recordSpace(len(data)))
		r.encode(&goldenDevice, place)
		copy(place[recordSize:], data)
		b = append(b, place...)
		records = append(records, r)
	}
	return b, records
}

func goldenSeal() seal {
	_, records := goldenRecords()
	footer := encodeFooter(goldenDevice, records)
	return seal{generation: goldenPack.generation, footer: 3 * vfs.Align, count: 2, sum: payloadSum(footer[:2*recordSize])}
}

func golden() string {
	info, end := make([]byte, infoSize), make([]byte, infoSize)
	goldenPack.encode(info)
	goldenSeal().encode(end)
	records, list := goldenRecords()
	entry := list[1].entry().append(nil)
	out := ""
	for _, part := range [][]byte{encodeDevice(Identity{Device: goldenDevice}), info, end, records, entry} {
		out += hex.Dump(part) + "\n"
	}
	return out
}

func TestGoldenBytes(t *testing.T) {
	name := filepath.Join("testdata", "pack.v1.hex")
	if *update {
		must(t, os.WriteFile(name, []byte(golden()), 0o600))
	}
	want, err := os.ReadFile(name)
	must(t, err)
	if golden() != string(want) {
		t.Error("the format has changed: devices of older builds could not be read")
	}
}

func TestGoldenFormatOfADeviceWithAnOwner(t *testing.T) {
	const want = "45444745444556430200000094f16d9d" + "676f6c64656e206465766963652e2e2e" + "6f776e65720000000000000000000000" + "00000000000000000000000000000000"
	i := Identity{goldenDevice, Owner{'o', 'w', 'n', 'e', 'r'}}
	if got := hex.EncodeToString(encodeDevice(i)); got != want {
		t.Errorf("the format has changed: %s", got)
	}
	if back, err := decodeDevice(encodeDevice(i)); err != nil || back != i {
		t.Errorf("read as %v, %v", back, err)
	}
}

// TestAPackOfTheFirstVersionIsRead makes a device of golden bytes: its pack is sealed, and there is no index.
func TestAPackOfTheFirstVersionIsRead(t *testing.T) {
	for _, sealed := range []bool{true, false} {
		opts := inMemory()
		goldenFiles(t, opts, sealed)
		s := open(t, opts)
		got := ""
		ids := []chunk.ID{goldenDomain.Name([]byte("a chunk")), goldenDomain.Name([]byte("another chunk, of metadata"))}
		must(t, s.Device.Open(goldenDomain, chunk.Data).Get(t.Context(), ids, func(c chunk.Chunk) error { got += string(c.Data()); return nil }))
		if got != "a chunkanother chunk, of metadata" {
			t.Errorf("read %q", got)
		}
		if n := s.Stats().Chunks; n[chunk.Data].Chunks != 1 || n[chunk.Meta].Chunks != 1 {
			t.Errorf("figures %v", n)
		}
	}
}

func goldenFiles(t testing.TB, opts Options, sealed bool) {
	t.Helper()
	must(t, opts.FS.MkdirAll(opts.Dir+"/"+packDir))
	f, err := opts.FS.Open(opts.Dir+"/"+formatFile, vfs.Create)
	must(t, err)
	_, err = f.WriteAt(encodeDevice(Identity{Device: goldenDevice}), 0)
	must(t, err)
	records, list := goldenRecords()
	b := make([]byte, 4*vfs.Align)
	goldenPack.encode(b)
	if sealed {
		goldenSeal().encode(b[sealStart:])
		copy(b[3*vfs.Align:], encodeFooter(goldenDevice, list))
	}
	copy(b[dataStart:], records)
	f, err = opts.FS.Open(packName(opts.Dir, goldenPack.generation), vfs.Create)
	must(t, err)
	_, err = f.WriteAt(b, 0)
	must(t, err)
}

func TestARecordCountsOnlyWhereItWasWritten(t *testing.T) {
	b, _ := goldenRecords()
	for what, i := range map[string]packInfo{"generation": {goldenDevice, 10, durableLane}, "device": {deviceID{}, 9, durableLane}} {
		if _, ok := decodeRecord(i, b); ok {
			t.Errorf("a record of another %s was taken", what)
		}
	}
	moved := append(make([]byte, dataStart+recordAlign), b...)
	fs := vfs.NewCrash()
	f, err := fs.Open("moved", vfs.Create)
	must(t, err)
	_, err = f.WriteAt(moved, 0)
	must(t, err)
	must(t, scan(context.Background(), f, goldenPack, func(r record) { t.Errorf("a record was taken at another offset: %+v", r) }))
}

func FuzzDecode(f *testing.F) {
	f.Add(encodeDevice(Identity{Device: goldenDevice}))
	f.Add(encodeDevice(Identity{goldenDevice, Owner{1}}))
	info := make([]byte, infoSize)
	goldenPack.encode(info)
	f.Add(bytes.Clone(info))
	goldenSeal().encode(info)
	f.Add(info)
	records, list := goldenRecords()
	f.Add(records)
	f.Add(list[0].entry().append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := decodeDevice(b); err == nil && !bytes.Equal(encodeDevice(id)[16:32], b[16:32]) || id.Owner != (Owner{}) && id.Owner != Owner(b[32:48]) {
			t.Error("a device is not what it was encoded from")
		}
		again := make([]byte, recordSize)
		if i, err := decodePackInfo(b); err == nil {
			if i.encode(again); !bytes.Equal(again[16:40], b[16:40]) {
				t.Error("a pack's header is not what it was encoded from")
			}
		}
		if s, ok := decodeSeal(goldenPack, 1<<20, b); ok {
			if s.encode(again); !bytes.Equal(again[16:40], b[16:40]) || s.footer+s.size() > 1<<20 {
				t.Error("a seal is not what it was encoded from")
			}
		}
		if r, ok := decodeRecord(goldenPack, b); ok {
			if r.encode(&goldenDevice, again); !bytes.Equal(again[36:recordSize], b[36:recordSize]) {
				t.Error("a record is not what it was encoded from")
			}
		}
		if e, ok := decodeEntry(b); ok && !bytes.Equal(e.append(nil), b) {
			t.Error("an entry is not what it was encoded from")
		}
	})
}

// FuzzOpen opens a device with a pack of any bytes after the header; whatever it serves is verified.
func FuzzOpen(f *testing.F) {
	records, list := goldenRecords()
	f.Add(records, true)
	f.Add(append(records, encodeFooter(goldenDevice, list)...), false)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		opts := inMemory()
		goldenFiles(t, opts, sealed)
		w, err := opts.FS.Open(packName(opts.Dir, goldenPack.generation), vfs.Write)
		must(t, err)
		_, err = w.WriteAt(b, sealStart)
		must(t, err)
		d, err := Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		chunks := chunktest.Chunks(goldenDomain, 1, 3, 500)
		must(t, d.Open(goldenDomain, chunk.Data).Put(t.Context(), chunks))
		must(t, d.Close())
		d, err = Open(t.Context(), opts)
		must(t, err)
		must(t, d.Open(goldenDomain, chunk.Data).Get(t.Context(), chunktest.IDs(chunks), func(chunk.Chunk) error { return nil }))
		must(t, d.Close())
	})
}

// FuzzFooter opens a device with a pack whose footer is whole, checksums and all, and says whatever it likes. Nothing that it leads to is served unless its name is
// right, nothing panics, and what is put later is kept.
func FuzzFooter(f *testing.F) {
	_, list := goldenRecords()
	for _, r := range list {
		f.Add(r.offset, r.length, r.size, byte(r.class), byte(r.codec), r.sum, int64(3*vfs.Align), uint32(1), false)
	}
	f.Add(int64(1<<40), uint32(chunk.MaxSize), uint32(chunk.MaxSize), byte(2), byte(1), uint32(0), int64(3*vfs.Align), uint32(3), true)
	f.Fuzz(func(t *testing.T, offset int64, length, size uint32, class, codec byte, sum uint32, at int64, count uint32, twice bool) {
		at, count = dataStart+(at&0xffff), count%64
		_, list := goldenRecords()
		r := record{list[0].key, goldenPack.generation, offset, length, size, chunk.Class(class), Codec(codec), sum}
		footer := make([]byte, int(count)*recordSize)
		for n := range int(count) {
			if !twice {
				r.key.ID[31] = byte(n)
			}
			r.encode(&goldenDevice, footer[n*recordSize:])
		}
		opts := inMemory()
		goldenFiles(t, opts, true)
		w, err := opts.FS.Open(packName(opts.Dir, goldenPack.generation), vfs.Write)
		must(t, err)
		_, err = w.WriteAt(footer, at)
		must(t, err)
		head := make([]byte, infoSize)
		seal{goldenPack.generation, at, count, payloadSum(footer)}.encode(head)
		_, err = w.WriteAt(head, sealStart)
		must(t, err)

		s := open(t, opts)
		ids := []chunk.ID{list[0].key.ID, list[1].key.ID}
		_ = s.Device.Open(goldenDomain, chunk.Data).Get(t.Context(), ids, func(chunk.Chunk) error { return nil })
		chunks := chunktest.Chunks(crashDomain, 1, 3, 500)
		must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), chunks))
		sweep, err := s.Condemn(t.Context(), []chunk.Domain{goldenDomain}, nothing)
		must(t, err)
		_, err = sweep.Expunge(t.Context(), nothing)
		must(t, err)
		_, _ = sweep.Compact(t.Context(), chunk.Compaction{Dead: 1})
		sweep.End()
		s.reopen()
		s.wantHeld(chunk.Data, chunks)
	})
}
