package loadtest

import (
	"bytes"
	"compress/flate"
	"fmt"
	"testing"

	"github.com/zeebo/blake3"
)

func bytesOf(o Object) []byte {
	b := make([]byte, o.Size)
	o.Fill(b, 0)
	return b
}

func mustSizes(t testing.TB, text string) Sizes {
	t.Helper()
	s, err := ParseSizes(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// chunksOf cuts by a rolling sum of the content, from 32 to 256 KiB, 64 KiB beyond the minimum on average: what a deduplicating store does.
func chunksOf(data []byte) [][]byte {
	var table [256]uint64
	for i := range table {
		table[i] = mix(uint64(i))
	}
	var chunks [][]byte
	start, roll := 0, uint64(0)
	for i, c := range data {
		roll = roll<<1 + table[c]
		if n := i + 1 - start; n >= 32<<10 && (roll>>48 == 0 || n == 256<<10) {
			chunks = append(chunks, data[start:i+1])
			start, roll = i+1, 0
		}
	}
	return append(chunks, data[start:])
}

// stored is the size of all chunks, each counted once.
func stored(seen map[[32]byte]bool, chunks [][]byte) (n int64) {
	for _, c := range chunks {
		if id := blake3.Sum256(c); !seen[id] {
			seen[id] = true
			n += int64(len(c))
		}
	}
	return n
}

func TestUniqueMeansThatNoChunkIsStoredTwice(t *testing.T) {
	for _, c := range []struct {
		size           string
		keys, versions int
	}{{"4KiB", 1000, 3}, {"100B", 1000, 3}, {"64KiB", 40, 2}, {"8MiB", 1, 2}} {
		content := NewContent(1, mustSizes(t, c.size), 0)
		seen := map[[32]byte]bool{}
		cells := map[[32]byte]bool{}
		var total, kept, keptCells int64
		for key := range c.keys {
			for version := range c.versions {
				data := bytesOf(content.Object(fmt.Sprint("key", key), uint64(1+version)))
				total += int64(len(data))
				kept += stored(seen, chunksOf(data))
				for at := 0; at < len(data); at += CellSize { // a store with fixed blocks of 4 KiB finds nothing either
					keptCells += stored(cells, [][]byte{data[at:min(at+CellSize, len(data))]})
				}
			}
		}
		if kept != total || keptCells != total {
			t.Errorf("%s: of %d bytes %d are stored when cut by content, %d in blocks of 4 KiB", c.size, total, kept, keptCells)
		}
	}
}

func TestUniqueIsIncompressible(t *testing.T) {
	for _, size := range []string{"4KiB", "2MiB"} {
		content := NewContent(1, mustSizes(t, size), 0)
		data := bytesOf(content.Object("key", 1))
		var out bytes.Buffer
		w, err := flate.NewWriter(&out, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(data)
		w.Close()
		if out.Len() < len(data) {
			t.Errorf("%s shrinks to %d bytes", size, out.Len())
		}
		// flate looks back 32 KiB only; no 32 bytes may come twice anywhere, for a codec with a long window.
		words := map[[32]byte]bool{}
		for at := 0; at < len(data); at += 32 {
			words[[32]byte(data[at:])] = true
		}
		if len(words) != len(data)/32 {
			t.Errorf("%s: only %d of %d words differ", size, len(words), len(data)/32)
		}
	}
}

func TestRepeatIsThePartThatIsStoredOnce(t *testing.T) {
	for _, c := range []struct {
		size string
		keys int
	}{{"4KiB", 4000}, {"4MiB", 8}} {
		for _, repeat := range []float64{0, 0.5, 0.75, 1} {
			content := NewContent(5, mustSizes(t, c.size), repeat)
			seen := map[[32]byte]bool{}
			var total, kept, first, claimed int64
			for key := range c.keys {
				o := content.Object(fmt.Sprint("key", key), 1)
				n := stored(seen, chunksOf(bytesOf(o)))
				claimed += o.Repeated()
				if key < c.keys/4 { // the repeated contents themselves are stored once
					first += n
					continue
				}
				total += o.Size
				kept += n
			}
			saved := 1 - float64(kept)/float64(total)
			if saved < repeat-0.03 || saved > repeat+0.02 {
				t.Errorf("%s, repeat %v: %.3f of the bytes need no room", c.size, repeat, saved)
			}
			part := float64(claimed) / float64(content.sizes.Max()) / float64(c.keys)
			if part < repeat-0.02 || part > repeat+0.02 {
				t.Errorf("%s, repeat %v: objects say %.3f", c.size, repeat, part)
			}
		}
	}
}

func TestContentIsTheSameFromAnyOffset(t *testing.T) {
	for _, repeat := range []float64{0, 0.5} {
		for _, size := range []int64{0, 1, 15, 16, 17, 4095, 4096, 4097, 1 << 20, 1<<20 + 12345, 3<<20 - 1} {
			o := NewContent(9, Sizes{}, repeat).Sized("key", 4, size)
			whole := bytesOf(o)
			for off := int64(0); off < size; off += 7 * CellSize {
				part := make([]byte, 3*CellSize)
				n := o.Fill(part, off)
				if !bytes.Equal(part[:n], whole[off:off+int64(n)]) || n != int(min(3*CellSize, size-off)) {
					t.Fatalf("repeat %v, size %d: %d bytes at %d differ", repeat, size, n, off)
				}
			}
			again, told := NewContent(9, Sizes{}, repeat).Identify("key", size, whole, 4)
			if bad := again.Check(whole, 0, make([]byte, size)); bad >= 0 {
				t.Errorf("repeat %v, size %d: identified as %+v (told: %v), wrong at %d", repeat, size, again, told, bad)
			}
			longer := append(bytes.Clone(whole), 0)
			if bad := o.Check(longer, 0, make([]byte, size+1)); bad != size {
				t.Errorf("size %d: a byte too many is wrong at %d", size, bad)
			}
			if told && again.Version != 4 {
				t.Errorf("size %d: version %d was read out of version 4", size, again.Version)
			}
		}
	}
}

func TestSizesReadAsPeopleWriteThem(t *testing.T) {
	s := mustSizes(t, "4KiB:70, 1MiB:30")
	count := map[int64]int{}
	for i := range uint64(10000) {
		count[s.Pick(mix(i))]++
	}
	if n := count[4<<10]; n < 6800 || n > 7200 || count[1<<20] != 10000-n {
		t.Errorf("4KiB:70,1MiB:30 gives %v", count)
	}
	for _, text := range []string{"4KiB", "0B", "4097B", "4KiB:70,1MiB:30,5GiB:1", "1234567B:2,3B:1"} {
		if got := mustSizes(t, text).String(); got != text {
			t.Errorf("%s is written as %s", text, got)
		}
	}
	if s.Max() != 1<<20 || s.Min() != 4<<10 || !s.Has(4096) || s.Has(1) {
		t.Errorf("largest %d, smallest %d", s.Max(), s.Min())
	}
	for _, bad := range []string{"", "x", "4KiB:", "4KiB:0", "4KiB:-1", "6GiB", "4KiB,,1MiB"} {
		if _, err := ParseSizes(bad); err == nil {
			t.Errorf("size %q is accepted", bad)
		}
	}
}

func BenchmarkFill(b *testing.B) {
	o := NewContent(1, Sizes{}, 0).Sized("key", 1, 64<<20)
	buf := make([]byte, pieceSize)
	b.SetBytes(pieceSize)
	for off := int64(0); b.Loop(); off = (off + pieceSize) % o.Size {
		o.Fill(buf, off)
	}
}

func BenchmarkCheck(b *testing.B) {
	o := NewContent(1, Sizes{}, 0).Sized("key", 1, 64<<20)
	buf, scratch := make([]byte, pieceSize), make([]byte, pieceSize)
	o.Fill(buf, 0)
	b.SetBytes(pieceSize)
	for b.Loop() {
		if o.Check(buf, 0, scratch) >= 0 {
			b.Fatal("wrong")
		}
	}
}
