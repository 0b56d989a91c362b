package tree

import (
	"fmt"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

const benchEntries = 1_000_000

func benchEdits(n int) func(yield func(Edit, error) bool) {
	return func(yield func(Edit, error) bool) {
		for i := range n {
			e := Edit{
				Key:    fmt.Appendf(nil, "bucket/dir-%04d/object-%08d", i/1000, i),
				Value:  fmt.Appendf(nil, "%0150d", i),
				Weight: 4096,
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func benchTree(b *testing.B, n int) Tree {
	b.Helper()
	s, _ := newStore(NewCache(2 << 30))
	tr, err := New(s, testSalt, chunk.ID{}).Apply(b.Context(), benchEdits(n))
	if err != nil {
		b.Fatal(err)
	}
	return tr
}

func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		s, _ := newStore(NewCache(64 << 20))
		if _, err := New(s, testSalt, chunk.ID{}).Apply(b.Context(), benchEdits(100_000)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkScan(b *testing.B) {
	tr := benchTree(b, benchEntries)
	c := tr.Cursor()
	n := 0
	for b.Loop() {
		if !c.Valid() {
			if err := c.Seek(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
		}
		if v, err := c.Value(b.Context()); err != nil || len(v) != 150 || len(c.Key()) == 0 {
			b.Fatal(err)
		}
		if err := c.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkPageOf1000(b *testing.B) {
	tr := benchTree(b, benchEntries)
	i := 0
	for b.Loop() {
		i = (i + 7919) % (benchEntries - 1000)
		c := tr.Cursor()
		if err := c.Seek(b.Context(), fmt.Appendf(nil, "bucket/dir-%04d/object-%08d", i/1000, i)); err != nil {
			b.Fatal(err)
		}
		for range 1000 {
			if _, err := c.Value(b.Context()); err != nil {
				b.Fatal(err)
			}
			if err := c.Next(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkGet(b *testing.B) {
	tr := benchTree(b, benchEntries)
	i := 0
	for b.Loop() {
		i = (i + 7919) % benchEntries
		if _, ok, err := tr.Get(b.Context(), fmt.Appendf(nil, "bucket/dir-%04d/object-%08d", i/1000, i)); err != nil || !ok {
			b.Fatal(err)
		}
	}
}

func BenchmarkSkipDelimiter(b *testing.B) {
	tr := benchTree(b, benchEntries)
	c := tr.Cursor()
	i := 0
	for b.Loop() {
		i = (i + 1) % 1000
		if err := c.Seek(b.Context(), fmt.Appendf(nil, "bucket/dir-%04d0", i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApplyOneEdit(b *testing.B) { benchApply(b, 1) }
func BenchmarkApply1000(b *testing.B)    { benchApply(b, 1000) }

// benchApply makes n edits spread evenly over a large tree.
func benchApply(b *testing.B, n int) {
	tr := benchTree(b, benchEntries)
	k := 0
	for b.Loop() {
		var edits []Edit
		for j := range n {
			i := j*(benchEntries/n) + k%(benchEntries/n)
			edits = append(edits, Edit{Key: fmt.Appendf(nil, "bucket/dir-%04d/object-%08d", i/1000, i), Value: fmt.Appendf(nil, "%0149d", k)})
		}
		k++
		var err error
		if tr, err = tr.Apply(b.Context(), seqOf(edits)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiffAll(b *testing.B) {
	tr := benchTree(b, 100_000)
	empty := New(tr.store, testSalt, chunk.ID{})
	n := 0
	for b.Loop() {
		for _, err := range Diff(b.Context(), empty, tr) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
}
