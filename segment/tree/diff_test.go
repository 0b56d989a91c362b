package tree

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	for range 25 {
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

func TestDiffReportsWhatIsMissing(t *testing.T) {
	m := numbered(30_000)
	near, _ := newStore(nil)
	a := build(t, near, numbered(10))
	far, farMap := newStore(nil)
	b := build(t, far, m)
	all := slices.Collect(maps.Keys(farMap.written))
	r := newRandom(t)
	for range 20 {
		id := all[r.IntN(len(all))]
		farMap.lost[id] = true
		if err := lastError(Diff(t.Context(), a, b, DiffBatch(8))); !errors.Is(err, chunk.ErrNotFound) {
			t.Fatalf("without %v: %v", id, err)
		}
		delete(farMap.lost, id)
	}
}

func TestDiffEndsWithItsContext(t *testing.T) {
	near, _ := newStore(nil)
	far, _ := newStore(nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range Diff(ctx, New(near, testSalt, chunk.ID{}), build(t, far, numbered(50_000)), DiffBatch(2)) {
		if n++; n == 100 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Fatalf("%d changes, then %v", n, last)
	}
}

func TestDiffReadsEachFarChunkOnce(t *testing.T) {
	r := newRandom(t)
	for range 4 {
		near, _ := newStore(nil)
		far, farMap := newStore(nil)
		m := r.model(20_000, 1<<22)
		a := build(t, near, m)
		r.change(m, 1+r.IntN(300), 1<<22)
		b := build(t, far, m)
		held := reached(t, a, nil)
		lacking := int64(len(reached(t, b, func(id chunk.ID) bool { return held[id] })))
		read, gets := far.Stats().ChunksRead, farMap.gets.Load()
		if err := lastError(Diff(t.Context(), a, b)); err != nil {
			t.Fatal(err)
		}
		read, gets = far.Stats().ChunksRead-read, farMap.gets.Load()-gets
		t.Logf("%d chunks lacking, %d read in %d gets", lacking, read, gets)
		if read != lacking || gets > 8 {
			t.Error("more is read than lacks, or in small pieces")
		}
	}
}

func TestDiffOfManyLargeValuesIsBounded(t *testing.T) {
	m := model{}
	for i := range 400 {
		m[fmt.Sprint(i)] = entry{strings.Repeat(fmt.Sprint(i), 20_000), 1}
	}
	near, _ := newStore(nil)
	far, farMap := newStore(nil)
	a, b := build(t, near, model{}), build(t, far, m)
	gets := farMap.gets.Load()
	checkDiff(t, a, b, model{}, m)
	gets = farMap.gets.Load() - gets
	total := b.store.Stats().BytesRead
	t.Logf("%d bytes in %d gets", total, gets)
	if gets < total/batchValueBytes || gets > 2*total/batchValueBytes+8 {
		t.Errorf("%d gets for %d bytes", gets, total)
	}
}

func TestDiffReadsChangedValuesTogether(t *testing.T) {
	near, _ := newStore(nil)
	far, farMap := newStore(nil)
	a, b := model{}, model{}
	for i := range 5000 {
		k := fmt.Sprintf("%06d", i)
		a[k] = entry{fmt.Sprintf("%0600d", i), 1}
		b[k] = a[k]
		if i%10 == 0 {
			b[k] = entry{fmt.Sprintf("%0600d", -i-1), 1} // as long as before
		}
	}
	ta, tb := build(t, near, a), build(t, far, b)
	read, gets := far.Stats().ChunksRead, farMap.gets.Load()
	checkDiff(t, ta, tb, a, b)
	read, gets = far.Stats().ChunksRead-read, farMap.gets.Load()-gets
	t.Logf("%d chunks in %d gets", read, gets)
	if gets > 5 || read > 700 {
		t.Error("more is read than differs, or in small pieces")
	}
}
