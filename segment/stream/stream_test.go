package stream

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("golden.rewrite", false, "write testdata anew: only for a format that no release has written")

var sampleHeader = Header{Cutter: "content:64KiB", Seen: []byte{1, 2, 3}, Settings: []byte{4}, Current: true}

// sample writes every kind of record, over several frames where the chunks are large.
func sample(t testing.TB, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, sampleHeader)
	must := func(_ uint64, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		must(w.Chunk(bytes.Repeat([]byte{byte('a' + i)}, size+i)))
	}
	must(w.Node(List{Refs: []Ref{{0, int64(size)}, {1, int64(size + 1)}, {0, int64(size)}}, Other: []byte{0x50, 1}}))
	must(0, w.Version([]byte("whole"), List{Level: 1, Refs: []Ref{{3, 3*int64(size) + 1}}}))
	must(0, w.Version([]byte("small"), List{Refs: []Ref{{2, int64(size + 2)}}}))
	must(0, w.Version([]byte("marker"), List{}))
	must(w.Chunk([]byte("more")))
	must(0, w.Version([]byte("last"), List{Refs: []Ref{{4, 4}, {1, int64(size + 1)}}}))
	if _, err := w.End(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// readAll is what a reader gives out, in words, and why it ended.
func readAll(r *Reader) (out []string, _ error) {
	for {
		rec, err := r.Next()
		if err != nil {
			return out, err
		}
		switch rec.Kind {
		case KindHeader:
			out = append(out, fmt.Sprintf("header %+v", rec.Header))
		case KindChunk:
			out = append(out, fmt.Sprintf("%d: chunk of %d %q", rec.N, len(rec.Data), rec.Data[0]))
		case KindNode:
			out = append(out, fmt.Sprintf("%d: node %+v", rec.N, rec.List))
		case KindVersion:
			out = append(out, fmt.Sprintf("%s %+v", rec.Data, rec.List))
		case KindEnd:
			out = append(out, fmt.Sprintf("end %d %d %d %d %d", rec.End.Chunks, rec.End.Nodes, rec.End.Versions, rec.End.Bytes, rec.End.Logical))
		}
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	want := []string{
		"header {Cutter:content:64KiB Seen:[1 2 3] Settings:[4] Current:true}",
		"0: chunk of 1000000 'a'", "1: chunk of 1000001 'b'", "2: chunk of 1000002 'c'",
		"3: node {Level:0 Refs:[{N:0 Size:1000000} {N:1 Size:1000001} {N:0 Size:1000000}] Other:[80 1]}",
		"whole {Level:1 Refs:[{N:3 Size:3000001}] Other:[]}",
		"small {Level:0 Refs:[{N:2 Size:1000002}] Other:[]}",
		"marker {Level:0 Refs:[] Other:[]}",
		"4: chunk of 4 'm'",
		"last {Level:0 Refs:[{N:4 Size:4} {N:1 Size:1000001}] Other:[]}",
		"end 4 1 4 3000007 5000008",
	}
	got, err := readAll(NewReader(bytes.NewReader(sample(t, 1_000_000))))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestGoldenBytes(t *testing.T) {
	const name = "testdata/stream.v1.hex"
	got := sample(t, 5)
	if *rewrite {
		if err := os.WriteFile(name, []byte(hex.Dump(got)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), hex.Dump(got)); diff != "" {
		t.Error(diff)
	}
}

// A stream cut anywhere, or with any byte changed, is never taken for whole, and what is given out of it was written.
func TestNoDamageIsTakenForWhole(t *testing.T) {
	whole := sample(t, 40)
	all, _ := readAll(NewReader(bytes.NewReader(whole)))
	check := func(what string, damaged []byte) {
		t.Helper()
		got, err := readAll(newReader(bytes.NewReader(damaged), 16<<10))
		if err == nil || errors.Is(err, io.EOF) || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrShort) && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
		if len(got) > len(all) || !slices.Equal(got, all[:len(got)]) {
			t.Errorf("%s: read %q", what, got)
		}
	}
	for i := range whole {
		check(fmt.Sprintf("cut at %d", i), whole[:i])
		changed := bytes.Clone(whole)
		changed[i] ^= 1 << (i % 8)
		check(fmt.Sprintf("changed at %d", i), changed)
	}
	check("more behind the end", append(bytes.Clone(whole), 0))
	check("twice", append(bytes.Clone(whole), whole...))
}

// frames are the frames of a stream.
func frames(t *testing.T, all []byte) (out [][]byte) {
	for len(all) > 0 {
		h, err := parseHead(all)
		if err != nil {
			t.Fatal(err)
		}
		n := headSize + int(h.length)
		out, all = append(out, all[:n]), all[n:]
	}
	return out
}

func TestWhatIsWholeBehindDamageIsRead(t *testing.T) {
	whole := sample(t, 1_000_000)
	f := frames(t, whole)
	if len(f) < 4 {
		t.Fatalf("%d frames", len(f))
	}
	rotten := func(at int) []byte {
		b := bytes.Clone(f[at])
		b[headSize+7] ^= 1
		return b
	}
	hole := f[1][:len(f[1])-100]
	for _, c := range []struct {
		what   string
		in     [][]byte
		want   []Damage // but for why
		chunks []uint64
	}{
		{"a frame is rotten", [][]byte{f[0], rotten(1), f[2], f[3]}, []Damage{{Offset: int64(len(f[0])), Bytes: int64(len(f[1])), Frames: 1, Lost: 2}}, []uint64{2, 4}},
		{"a frame is missing", [][]byte{f[0], f[2], f[3]}, []Damage{{Offset: int64(len(f[0])), Frames: 1, Lost: 2}}, []uint64{2, 4}},
		{"bytes are missing", [][]byte{f[0], hole, f[2], f[3]}, []Damage{{Offset: int64(len(f[0])), Bytes: int64(len(hole)), Frames: 1, Lost: 2}}, []uint64{2, 4}},
		{"bytes were put between", [][]byte{f[0], {1, 2, 3}, f[1], f[2], f[3]}, []Damage{{Offset: int64(len(f[0])), Bytes: 3}}, []uint64{0, 1, 2, 4}},
		{"a frame is there twice", [][]byte{f[0], f[1], f[1], f[2], f[3]}, []Damage{{Offset: int64(len(f[0]) + len(f[1])), Bytes: int64(len(f[1]))}}, []uint64{0, 1, 2, 4}},
		{"the end is missing", [][]byte{f[0], f[1], f[2]}, []Damage{{Offset: int64(len(f[0]) + len(f[1]) + len(f[2]))}}, []uint64{0, 1, 2, 4}},
		{"all behind the header is rotten", [][]byte{f[0], rotten(1), rotten(2)}, []Damage{{Offset: int64(len(f[0])), Bytes: int64(len(f[1]) + len(f[2]))}}, nil},
	} {
		var got []Damage
		r := NewReader(bytes.NewReader(bytes.Join(c.in, nil)))
		r.Damaged = func(d Damage) error {
			if d.Why == nil {
				t.Errorf("%s: no reason", c.what)
			}
			d.Why = nil
			got = append(got, d)
			return nil
		}
		var chunks []uint64
		for {
			rec, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", c.what, err)
			}
			if rec.Kind == KindChunk {
				chunks = append(chunks, rec.N)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" || !slices.Equal(chunks, c.chunks) {
			t.Errorf("%s: chunks %v, want %v\n%s", c.what, chunks, c.chunks, diff)
		}
	}
}

// endless is a frame that says it is the longest there may be, and noise for ever.
type endless struct{ r *rand.ChaCha8 }

func (e endless) Read(p []byte) (int, error) { return e.r.Read(p) }

func TestMemoryIsBoundedWhateverComes(t *testing.T) {
	var out bytes.Buffer
	NewWriter(&out, sampleHeader)
	noise := rand.NewChaCha8([32]byte{1})
	r := NewReader(io.MultiReader(&out, io.LimitReader(endless{noise}, 64<<20)))
	n := 0
	r.Damaged = func(Damage) error { n++; return nil }
	got, err := readAll(r)
	if err != io.EOF || n != 1 || len(got) != 1 {
		t.Errorf("%v, %d damages, %q", err, n, got)
	}
	if r.in.Size() > 10<<20 {
		t.Errorf("a buffer of %d bytes", r.in.Size())
	}
}

func FuzzReader(f *testing.F) {
	whole := sample(f, 9)
	f.Add(whole, false)
	f.Add(whole[:len(whole)-3], true)
	f.Add(append(bytes.Clone(whole[:200]), whole[150:]...), true)
	f.Fuzz(func(t *testing.T, b []byte, goOn bool) {
		r := newReader(bytes.NewReader(b), 16<<10) // for speed
		if goOn {
			r.Damaged = func(Damage) error { return nil }
		}
		at := uint64(0)
		for {
			rec, err := r.Next()
			if err != nil {
				break
			}
			for _, ref := range rec.List.Refs {
				if ref.N >= rec.N && rec.Kind == KindNode || ref.Size < 1 {
					t.Fatalf("reference to %d of %d bytes", ref.N, ref.Size)
				}
			}
			if rec.Kind == KindChunk || rec.Kind == KindNode {
				if rec.N < at {
					t.Fatalf("number %d behind %d", rec.N, at)
				}
				at = rec.N + 1
			}
		}
	})
}

// What the frames' checksums do not let through is not what a fuzzer finds: so the messages are fuzzed as they are, too.
func FuzzMessages(f *testing.F) {
	f.Add(sampleHeader.append(nil), uint64(9))
	f.Add(List{Level: 1, Refs: []Ref{{3, 9}, {1, 1}}, Other: []byte{1}}.append(nil, 4), uint64(4))
	f.Add(End{1, 2, 3, 4, 5, [32]byte{6}}.append(nil), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, at uint64) {
		if h, err := parseHeader(b); err == nil && !bytes.Equal(h.append(nil), b) {
			t.Errorf("header %x is %x", b, h.append(nil))
		}
		if l, err := parseList(b, at); err == nil && !bytes.Equal(l.append(nil, at), b) {
			t.Errorf("list %x is %x", b, l.append(nil, at))
		}
		if e, err := parseEnd(b); err == nil && e.Hash != [32]byte{} && !bytes.Equal(e.append(nil), b) {
			t.Errorf("end %x is %x", b, e.append(nil))
		}
	})
}

// Each frame of two streams is whole. What is made of both is found by the end.
func TestFramesOfAnotherStreamAreFound(t *testing.T) {
	make := func(fill byte) []byte {
		var out bytes.Buffer
		w := NewWriter(&out, sampleHeader)
		for i := range 3 {
			if _, err := w.Chunk(bytes.Repeat([]byte{fill + byte(i)}, wantBody)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.End(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	one, two := frames(t, make('a')), frames(t, make('A'))
	one[2] = two[2]
	if _, err := readAll(NewReader(bytes.NewReader(bytes.Join(one, nil)))); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}
