package tree

import (
	"fmt"
	"maps"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// diffModels is the difference by brute force.
func diffModels(a, b model) map[string][2]*entry {
	d := map[string][2]*entry{}
	for k, e := range a {
		if f, ok := b[k]; !ok {
			d[k] = [2]*entry{&e, nil}
		} else if e != f {
			d[k] = [2]*entry{&e, &f}
		}
	}
	for k, f := range b {
		if _, ok := a[k]; !ok {
			d[k] = [2]*entry{nil, &f}
		}
	}
	return d
}

func checkDiff(t *testing.T, ta, tb Tree, a, b model, opts ...DiffOption) {
	t.Helper()
	want := diffModels(a, b)
	prev, n := "", 0
	for c, err := range Diff(t.Context(), ta, tb, opts...) {
		if err != nil {
			t.Fatal(err)
		}
		k := string(c.Key)
		if n > 0 && k <= prev {
			t.Fatalf("key %q after %q", k, prev)
		}
		w, ok := want[k]
		if !ok || !isEntry(w[0], c.A, c.WeightA) || !isEntry(w[1], c.B, c.WeightB) {
			t.Fatalf("change of %q: %q (%d) to %q (%d); want %v", k, c.A, c.WeightA, c.B, c.WeightB, w)
		}
		prev, n = k, n+1
	}
	if n != len(want) {
		t.Fatalf("%d changes, want %d", n, len(want))
	}
}

func isEntry(e *entry, v []byte, weight int64) bool {
	if e == nil {
		return v == nil && weight == 0
	}
	return v != nil && e.value == string(v) && e.weight == weight
}

func TestDiffMatchesBruteForce(t *testing.T) {
	r := newRandom(t)
	for range 60 {
		near, _ := newStore(NewCache(1 << 20))
		far, _ := newStore(nil)
		sizes := []int{0, 1, 5, 300, 5000}
		a := r.model(sizes[r.IntN(5)], 1+r.IntN(20000))
		b := r.model(sizes[r.IntN(5)], 1+r.IntN(20000))
		if r.IntN(2) == 0 {
			b = maps.Clone(a)
			r.change(b, 1+r.IntN(50), 20000)
		}
		opts := []DiffOption{DiffBatch(r.IntN(10)), DiffAhead(r.IntN(3))}
		checkDiff(t, build(t, near, a), build(t, far, b), a, b, opts...)
		checkDiff(t, build(t, near, b), build(t, far, a), b, a, opts...)
	}
}

func TestDiffStopsEarly(t *testing.T) {
	near, _ := newStore(nil)
	far, _ := newStore(nil)
	m := newRandom(t).model(9000, 1<<20)
	n := 0
	for _, err := range Diff(t.Context(), New(near, testSalt, chunk.ID{}), build(t, far, m), DiffBatch(2)) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 100 {
			break
		}
	}
}

func numbered(n int) model {
	m := model{}
	for i := range n {
		m[fmt.Sprintf("key/%08d", i)] = entry{fmt.Sprintf("value %d", i), 1}
	}
	return m
}

func TestDiffOfFewEditsReadsOnlyTheirPaths(t *testing.T) {
	near, nearMap := newStore(nil)
	far, farMap := newStore(nil)
	m := numbered(100_000)
	a := build(t, near, m)
	b := build(t, far, m)
	b, err := b.Apply(t.Context(), seqOf([]Edit{{Key: []byte("key/00050000"), Value: []byte("other")}}))
	if err != nil {
		t.Fatal(err)
	}
	near0, far0, gets0, nearGets0 := near.Stats(), far.Stats(), farMap.gets.Load(), nearMap.gets.Load()
	n := 0
	for _, err := range Diff(t.Context(), a, b) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	t.Logf("height 4 or less: near %d chunks, far %d chunks in %d gets", near.Stats().ChunksRead-near0.ChunksRead, far.Stats().ChunksRead-far0.ChunksRead, farMap.gets.Load()-gets0)
	if n != 1 || far.Stats().ChunksRead-far0.ChunksRead > 5 || nearMap.gets.Load()-nearGets0 > 20 {
		t.Fatalf("%d changes", n)
	}
}

func TestDiffOfAllReadsInLargeBatches(t *testing.T) {
	near, _ := newStore(nil)
	far, farMap := newStore(nil)
	b := build(t, far, numbered(100_000))
	read0, gets0 := far.Stats().ChunksRead, farMap.gets.Load()
	n := 0
	for _, err := range Diff(t.Context(), New(near, testSalt, chunk.ID{}), b) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	read, gets := far.Stats().ChunksRead-read0, farMap.gets.Load()-gets0
	t.Logf("%d chunks in %d gets", read, gets)
	if n != 100_000 || gets > read/100 {
		t.Fatalf("%d changes, %d chunks in %d gets", n, read, gets)
	}
}
