package tree

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

var rewriteGolden = flag.Bool("rewrite", false, "write the golden files anew")

// goldenID is an id that the golden nodes refer to.
func goldenID(b byte) (id chunk.ID) {
	for i := range id {
		id[i] = b
	}
	return id
}

func goldenNodes() map[string][]byte {
	return map[string][]byte{
		"leaf": encodeNode(0, []item{
			{key: []byte{}, value: []byte("empty key"), size: 9, count: 1},
			{key: []byte("a"), value: []byte{}, count: 1, weight: -3},
			{key: []byte("a/b"), value: []byte("x"), size: 1, count: 1, weight: 1 << 40},
			{key: []byte("a/c"), ref: true, id: goldenID(7), size: MaxInline + 1, count: 1, weight: 1},
		}),
		"inner": encodeNode(2, []item{
			{key: []byte("dir/m"), ref: true, id: goldenID(1), count: 64, weight: 1000},
			{key: []byte("dir/z"), ref: true, id: goldenID(2), count: 1, weight: -1},
		}),
		"value": encodeValue(bytes.Repeat([]byte("v"), MaxInline+1)),
	}
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewriteGolden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestEncodingIsGolden(t *testing.T) {
	for name, data := range goldenNodes() {
		golden(t, name+".hex", hex.EncodeToString(data)+"\n")
		if _, err := decode(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRootsAreGolden(t *testing.T) {
	var b strings.Builder
	for _, n := range []int{0, 1, 2, 64, 1000, 20000} {
		s, _ := newStore(nil)
		tr := build(t, s, numbered(n))
		fmt.Fprintf(&b, "%d %v\n", n, tr.Root())
	}
	golden(t, "roots", b.String())
}

// The vectors are those of the SipHash paper's reference implementation: key 00 to 0f, input 00, 01, 02, ...
func TestHashIsSipHash(t *testing.T) {
	var key [16]byte
	in := make([]byte, 16)
	for i := range key {
		key[i], in[i] = byte(i), byte(i)
	}
	for n, want := range map[int]string{0: "310e0edd47db6f72", 1: "fd67dc93c539f874", 8: "6224939a79f5f593", 15: "e545be4961ca29a1"} {
		got := binary.LittleEndian.AppendUint64(nil, newSplitter(key).hash(in[:n]))
		if hex.EncodeToString(got) != want {
			t.Errorf("hash of %d bytes: %x, want %s", n, got, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	leaf := func(items ...item) []byte { return encodeNode(0, items) }
	inner := func(items ...item) []byte { return encodeNode(1, items) }
	k := func(s string) item { return item{key: []byte(s), value: []byte{}, count: 1} }
	good := leaf(k("a"), k("b"))
	if _, err := decode(good); err != nil {
		t.Fatal(err)
	}
	many := make([]item, maxEntries+1)
	for i := range many {
		many[i] = k(fmt.Sprintf("%04d", i))
	}
	heavy := k("b")
	heavy.weight = math.MaxInt64
	light := k("a")
	light.weight = 1
	for name, data := range map[string][]byte{
		"nothing":             nil,
		"one byte":            good[:1],
		"kind":                append([]byte{'x'}, good[1:]...),
		"version":             append([]byte{'n', 2}, good[2:]...),
		"level":               append([]byte{'n', 1, 64}, good[3:]...),
		"no entries":          {'n', 1, 0, 0},
		"long varint":         append([]byte{'n', 1, 0, 0x82, 0}, good[4:]...),
		"cut":                 good[:len(good)-1],
		"trailing":            append(slices.Clone(good), 0),
		"many entries":        leaf(many...),
		"equal keys":          leaf(k("a"), k("a")),
		"descending keys":     leaf(k("b"), k("a")),
		"long key":            leaf(k(strings.Repeat("k", MaxKey+1))),
		"shares more":         {'n', 1, 0, 2, 0, 1, 'a', 0, 0, 0, 2, 'a', 'b', 0, 0},
		"shares too much":     {'n', 1, 0, 2, 0, 1, 'a', 0, 0, 2, 1, 'b', 0, 0},
		"weights overflow":    leaf(light, heavy),
		"inner without count": inner(item{key: []byte("a"), ref: true}),
		"counts overflow":     inner(item{key: []byte("a"), ref: true, count: math.MaxInt64}, item{key: []byte("b"), ref: true, count: 1}),
		"short value":         encodeValue(make([]byte, MaxInline)),
	} {
		if d, err := decode(data); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range goldenNodes() {
		f.Add(data)
	}
	s, ms := newStore(nil)
	build(f, s, numbered(200))
	for id := range ms.written {
		f.Add(ms.data(f, id))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, err := Children(data)
		if err != nil {
			return
		}
		d, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		n, ok := d.(*node)
		if !ok {
			if len(ids) != 0 {
				t.Fatal("a value with children")
			}
			return
		}
		var items []item
		for i := range n.len() {
			if i > 0 && bytes.Compare(n.key(i-1), n.key(i)) >= 0 {
				t.Fatalf("entry %d does not ascend", i)
			}
			items = append(items, n.item(i))
		}
		if again := encodeNode(n.level, items); !bytes.Equal(again, data) {
			t.Fatalf("not canonical: %x, again %x", data, again)
		}
	})
}
