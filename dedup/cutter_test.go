package dedup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestGearTableIsDerived(t *testing.T) {
	for i := range gear {
		s := sha256.Sum256(append([]byte("edgefs gear 1"), byte(i)))
		if want := binary.LittleEndian.Uint64(s[:]); gear[i] != want {
			t.Fatalf("entry %d is %#x, derived is %#x", i, gear[i], want)
		}
	}
}

// noise is n bytes that depend on the seed alone, on every Go release: ChaCha8 is specified.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// words is n bytes of something like text: a small vocabulary, heavily repeated.
func words(seed byte, n int) []byte {
	b := make([]byte, 0, n+16)
	source := rand.NewChaCha8([32]byte{seed})
	for len(b) < n {
		w := source.Uint64() % 977
		w = w * w % 977 // some words come oftener than others
		b = append(b, byte('a'+w%26))
		b = append(strconv.AppendUint(b, w*w, 16), ' ')
		if w%11 == 0 {
			b = append(b, '\n')
		}
	}
	return b[:n]
}

// cutAll returns the ends of data's chunks, showing the cutter step bytes more at a time.
func cutAll(p Params, data []byte, step int) []int {
	c := NewCutter(p)
	var ends []int
	start, seen := 0, 0
	for start < len(data) {
		n := c.Next(data[start:seen])
		switch {
		case n > 0:
			start += n
			ends = append(ends, start)
		case seen < len(data):
			seen = min(seen+step, len(data))
		default:
			return append(ends, len(data))
		}
	}
	return ends
}

func goldenInputs() map[string][]byte {
	zeros := make([]byte, 1<<20)
	return map[string][]byte{
		"noise": noise(1, 3<<20),
		"words": words(2, 3<<20),
		"zeros": zeros,
		"mixed": slices.Concat(words(3, 300_000), zeros[:700_001], noise(4, 500_003)),
		"short": noise(5, 30_000),
		"empty": nil,
	}
}

func TestGoldenBoundaries(t *testing.T) {
	var got strings.Builder
	inputs := goldenInputs()
	for _, name := range []string{"noise", "words", "zeros", "mixed", "short", "empty"} {
		for _, text := range []string{"content:4KiB", "content:64KiB", "content:1MiB", "fixed:64KiB"} {
			p, err := ParseParams(text)
			if err != nil {
				t.Fatal(err)
			}
			ends := cutAll(p, inputs[name], len(inputs[name]))
			fmt.Fprintf(&got, "%s %s %d:", name, p, len(ends))
			for _, e := range ends[:min(24, len(ends))] {
				fmt.Fprintf(&got, " %d", e)
			}
			h := sha256.New()
			for _, e := range ends {
				fmt.Fprintf(h, "%d\n", e)
			}
			fmt.Fprintf(&got, " all %x\n", h.Sum(nil)[:8])
		}
	}
	golden(t, "boundaries.txt", []byte(got.String()))
}

// golden compares with a file of testdata, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: stored data depends on this and must not change; got\n%s", path, got)
	}
}

// describedCuts is docs/format/cutter.md, word for word.
func describedCuts(average int, data []byte) []int {
	var ends []int
	var hash uint64
	start := 0
	for i, b := range data {
		hash = hash<<1 + gear[b]
		n := i + 1 - start
		likely := uint64(1) << 62 / uint64(average)
		if n > average*3/4 {
			likely *= 16
		}
		if n > average/2 && hash < likely || n == 4*average || i+1 == len(data) {
			start = i + 1
			ends = append(ends, start)
		}
	}
	return ends
}

func TestCutterDoesWhatIsDocumented(t *testing.T) {
	inputs := goldenInputs()
	inputs["long"] = noise(6, unlessRace(64<<20, 8<<20))
	for name, data := range inputs {
		for _, average := range []int{4 << 10, 64 << 10} {
			if !slices.Equal(cutAll(Params{Content, average}, data, len(data)), describedCuts(average, data)) {
				t.Errorf("%s, average %d: the boundaries differ", name, average)
			}
		}
	}
}

func TestBoundariesDoNotDependOnHowTheStreamArrives(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, data := range goldenInputs() {
		for _, text := range []string{"content:4KiB", "content:64KiB", "fixed:64KiB"} {
			p, _ := ParseParams(text)
			want := cutAll(p, data, len(data))
			for range 3 {
				step := 1 + random.IntN(100_000)
				if got := cutAll(p, data, step); !slices.Equal(got, want) {
					t.Errorf("%s %s in steps of %d: %v, at once: %v", name, p, step, got, want)
				}
			}
		}
		p := Params{Content, 4 << 10}
		if head := data[:min(len(data), 40_000)]; !slices.Equal(cutAll(p, head, 1), cutAll(p, head, len(head))) {
			t.Errorf("%s: byte by byte differs", name)
		}
	}
}

func TestChunkLengthsKeepTheirBounds(t *testing.T) {
	for name, data := range goldenInputs() {
		for _, p := range []Params{{Content, 4 << 10}, {Content, 64 << 10}, {Fixed, 4 << 10}} {
			start := 0
			for _, end := range cutAll(p, data, len(data)) {
				n := end - start
				if n > p.MaxSize() || n < p.Average/2 && end != len(data) {
					t.Errorf("%s %v: chunk of %d bytes", name, p, n)
				}
				start = end
			}
			if start != len(data) {
				t.Errorf("%s %v: chunks end at %d of %d", name, p, start, len(data))
			}
		}
	}
}

func TestAverageIsNearNominal(t *testing.T) {
	for name, data := range map[string][]byte{"noise": noise(7, unlessRace(16<<20, 4<<20)), "words": words(7, unlessRace(16<<20, 4<<20))} {
		for _, p := range []Params{{Content, 4 << 10}, {Content, 16 << 10}} {
			mean := float64(len(data)) / float64(len(cutAll(p, data, len(data))))
			if r := mean / float64(p.Average); r < 0.9 || r > 1.1 {
				t.Errorf("%s %v: the mean chunk has %.0f bytes, %.2f of the average", name, p, mean, r)
			} else {
				t.Logf("%s %v: %.3f of the average", name, p, r)
			}
		}
	}
}

func TestBoundariesComeTogetherAgainAfterAnInsertion(t *testing.T) {
	p := Params{Content, 4 << 10}
	data := noise(8, 4<<20)
	before := cutAll(p, data, len(data))
	const at, extra = 1_000_000, 777
	after := cutAll(p, slices.Concat(data[:at], noise(9, extra), data[at:]), len(data)+extra)
	known := make(map[int]bool)
	for _, e := range after {
		if e > at {
			e -= extra
		}
		known[e] = true
	}
	lost := 0
	for _, e := range before {
		if !known[e] {
			lost++
		}
	}
	if lost > 12 {
		t.Errorf("%d of %d boundaries moved", lost, len(before))
	}
}

func TestParamsText(t *testing.T) {
	for _, s := range []string{"content:64KiB", "content:1MiB", "fixed:64KiB", "content:4KiB", "content:2MiB", "fixed:8MiB"} {
		p, err := ParseParams(s)
		if err != nil || p.String() != s {
			t.Errorf("%s: %v, %v", s, p, err)
		}
	}
	for _, s := range []string{"", "content", "content:", "content:0KiB", "content:65KiB", "content:4MiB", "fixed:16MiB", "rabin:64KiB", "content:-64KiB",
		"content:64GiB", "content:9999999999999999999MiB", "content:64KiB ", "content:1KiB", "fixed:2MB"} {
		if p, err := ParseParams(s); err == nil {
			t.Errorf("%q was read as %v", s, p)
		}
	}
	if err := (Params{}).Validate(); err == nil {
		t.Error("the zero value is valid")
	}
}

func BenchmarkCut(b *testing.B) {
	for _, p := range []Params{{Content, 64 << 10}, {Content, 1 << 20}} {
		for name, data := range map[string][]byte{"noise": noise(1, 64<<20), "words": words(1, 64<<20)} {
			b.Run(fmt.Sprintf("%v/%s", p, name), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				var n int
				for b.Loop() {
					n = len(cutAll(p, data, len(data)))
				}
				b.ReportMetric(float64(len(data))/float64(n)/1024, "KiB/chunk")
			})
		}
	}
}
