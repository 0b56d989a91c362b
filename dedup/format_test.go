package dedup

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestGoldenManifests(t *testing.T) {
	p := newPlace()
	var got strings.Builder
	show := func(name string, b []byte) { fmt.Fprintf(&got, "%s\n%s\n", name, hex.Dump(b)) }
	show("empty", Manifest{}.Append(nil))
	show("one piece of 4096 bytes", p.build(t, []Entry{{chunk.ID(noise(1, 32)), 4096}}).Append(nil))
	small := randomEntries(7, 3)
	show("three pieces", p.build(t, small).Append(nil))
	large := randomEntries(7, 300)
	m := p.build(t, large)
	show("300 pieces", m.Append(nil))
	show("node of one piece", list{entries: small[:1]}.append(nil))
	show("node of level 2", list{level: 1, entries: small}.append(nil))
	show("with a field of a later build", list{entries: small[:1], unknown: []byte{0x48, 0x07}}.append(nil))
	for piece, err := range NewReader(p.open, m).Pieces(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if piece.Level > 0 {
			fmt.Fprintf(&got, "node of level %d at %d: %d bytes, %v\n", piece.Level, piece.Offset, piece.Size, piece.ID)
		}
	}
	golden(t, "manifests.txt", []byte(got.String()))
}

func TestOnePieceCostsAboutFortyBytes(t *testing.T) {
	for size, want := range map[int64]int{1: 38, 4096: 39, 65536: 40, chunk.MaxSize: 41} {
		m := Manifest{list{entries: []Entry{{chunk.ID{1}, size}}}}
		if n := len(m.Append(nil)); n != want {
			t.Errorf("a piece of %d bytes costs %d, want %d", size, n, want)
		}
	}
}

func TestUnknownFieldsArePreserved(t *testing.T) {
	m := Manifest{list{entries: randomEntries(8, 2)}}
	later := append(m.Append(nil), 0x4a, 3, 'n', 'e', 'w', 0x4a, 0, 0x50, 1)
	got, err := ParseManifest(later)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Append(nil), later) {
		t.Errorf("%x became %x", later, got.Append(nil))
	}
	if got.Equal(m) || got.Size() != m.Size() {
		t.Error("what is known of it changed")
	}
}

func TestMalformedManifestsAreRefused(t *testing.T) {
	two := list{entries: randomEntries(8, 2)}.append(nil)
	id := bytes.Repeat([]byte{7}, 32)
	most := protowire.AppendVarint(nil, math.MaxInt64)
	piece := func(size ...byte) []byte {
		return slices.Concat([]byte{1, 0x12, 32}, id, []byte{0x1a, byte(len(size))}, size)
	}
	if _, err := ParseManifest(piece(5)); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing":                   {},
		"another version":           {2},
		"a field of number 0":       {1, 0x00},
		"ids alone":                 piece(5)[:35],
		"cut short":                 two[:len(two)-1],
		"size 0":                    piece(0),
		"two sizes for one id":      piece(5, 5),
		"a size written too long":   piece(0x85, 0x00),
		"a piece beyond a chunk":    piece(0x81, 0x80, 0x80, 0x04),
		"level 0 written":           append([]byte{1, 0x08, 0}, piece(5)[1:]...),
		"level 16":                  append([]byte{1, 0x08, 16}, piece(5)[1:]...),
		"a level without entries":   {1, 0x08, 1},
		"fields in another order":   slices.Concat([]byte{1, 0x1a, 1, 5, 0x12, 32}, id),
		"ids twice":                 slices.Concat(piece(5)[:35], piece(5)[1:]),
		"an id cut short":           {1, 0x12, 1, 7, 0x1a, 1, 5},
		"a length beyond the bytes": {1, 0x12, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"a length written too long": slices.Concat([]byte{1, 0x12, 0xa0, 0x00}, id, []byte{0x1a, 1, 5}),
		"known after unknown":       append([]byte{1, 0x48, 7}, piece(5)[1:]...),
		"an unknown one cut short":  append(piece(5), 0x4a, 9),
		"sizes beyond 2^63":         slices.Concat([]byte{1, 0x08, 1, 0x12, 64}, id, id, []byte{0x1a, 18}, most, most),
		"five entries":              list{entries: randomEntries(8, 5)}.append(nil),
	} {
		if m, err := ParseManifest(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

func TestANodeMustBeWhatItsParentSays(t *testing.T) {
	p := newPlace()
	entries := randomEntries(9, 50)
	node := testDomain.Make(list{entries: entries}.append(nil))
	noNode := testDomain.Make([]byte("payload that somebody calls a node"))
	p.meta.add(t, []chunk.Chunk{node, noNode})
	size := list{entries: entries}.size()
	for name, top := range map[string]list{
		"another size":  {level: 1, entries: []Entry{{node.ID(), size + 1}}},
		"another level": {level: 2, entries: []Entry{{node.ID(), size}}},
		"no node":       {level: 1, entries: []Entry{{noNode.ID(), size}}},
	} {
		if _, err := NewReader(p.open, Manifest{top}).ReadAt(t.Context(), make([]byte, 1), 0); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add(Manifest{}.Append(nil))
	f.Add(Manifest{list{entries: randomEntries(1, 1)}}.Append(nil))
	f.Add(Manifest{list{level: 2, entries: randomEntries(1, 4), unknown: []byte{0x4a, 1, 'x'}}}.Append(nil))
	f.Add([]byte{1, 0x12, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v is not ErrMalformed", err)
			}
			return
		}
		if got := m.Append(nil); !bytes.Equal(got, b) {
			t.Fatalf("%x became %x", b, got)
		}
		if m.Size() < 0 || len(m.Entries()) > MaxInline {
			t.Fatalf("size %d, %d entries", m.Size(), len(m.Entries()))
		}
	})
}

func FuzzParseNode(f *testing.F) {
	f.Add(list{entries: randomEntries(1, 40)}.append(nil), 0)
	f.Add(list{level: 3, entries: randomEntries(1, 2)}.append(nil), 3)
	f.Fuzz(func(t *testing.T, b []byte, level int) {
		if len(b) > chunk.MaxSize {
			return
		}
		l, err := parseList(b, maxFan)
		if err != nil {
			return
		}
		c := testDomain.Make(b)
		n, err := parseNode(c, Entry{c.ID(), l.size()}, level)
		if (err == nil) != (level == l.level) {
			t.Fatalf("level %d read as %d: %v", l.level, level, err)
		}
		if err == nil && !bytes.Equal(n.append(nil), b) {
			t.Fatalf("%x became %x", b, n.append(nil))
		}
	})
}

func FuzzParseParams(f *testing.F) {
	for _, s := range []string{"content:64KiB", "fixed:8MiB", "content:", "x:1", "fixed:4096B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseParams(s)
		if err != nil {
			return
		}
		if again, err := ParseParams(p.String()); err != nil || again != p {
			t.Fatalf("%q: %v, then %v, %v", s, p, again, err)
		}
	})
}
