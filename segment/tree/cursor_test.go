package tree

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

func TestCursorSeeksAsInASortedList(t *testing.T) {
	r := newRandom(t)
	s, _ := newStore(NewCache(1 << 20))
	m := r.model(5000, 1<<16)
	keys := slices.Sorted(maps.Keys(m))
	c := build(t, s, m).Cursor()
	for range 3000 {
		want := r.key(1 << 16)
		if r.IntN(3) == 0 && c.Valid() {
			want = string(c.Key()) + "\xff" // a little forward
		}
		if err := c.Seek(t.Context(), []byte(want)); err != nil {
			t.Fatal(err)
		}
		i := sort.SearchStrings(keys, want)
		for range 1 + r.IntN(150) {
			if c.Valid() != (i < len(keys)) {
				t.Fatalf("seek %q: valid is %v", want, c.Valid())
			}
			if i == len(keys) {
				break
			}
			v, err := c.Value(t.Context())
			e := m[keys[i]]
			if err != nil || string(c.Key()) != keys[i] || string(v) != e.value || c.Weight() != e.weight || c.ValueSize() != len(v) {
				t.Fatalf("seek %q: at %q, %v; want %q", want, c.Key(), err, keys[i])
			}
			if err := c.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			i++
		}
	}
}

func TestCursorSeeksBackByOne(t *testing.T) {
	s, _ := newStore(NewCache(64 << 20))
	m := numbered(20_000)
	keys := slices.Sorted(maps.Keys(m))
	c := build(t, s, m).Cursor()
	for i := 1; i < len(keys); i++ {
		for _, k := range []string{keys[i], keys[i-1]} {
			if err := c.Seek(t.Context(), []byte(k)); err != nil || !c.Valid() || string(c.Key()) != k {
				t.Fatalf("seek %q: at %q, %v", k, c.Key(), err)
			}
		}
	}
}

func TestCursorOfTheEmptyTreeIsInvalid(t *testing.T) {
	s, ms := newStore(nil)
	c := New(s, testSalt, chunk.ID{}).Cursor()
	if err := c.Seek(t.Context(), nil); err != nil || c.Valid() || ms.gets.Load() != 0 {
		t.Fatal(err, c.Valid())
	}
}

func TestScanReadsAhead(t *testing.T) {
	s, ms := newStore(nil)
	m := numbered(50_000)
	for k, e := range m {
		if strings.HasSuffix(k, "5") {
			m[k] = entry{strings.Repeat(k, 60), e.weight}
		}
	}
	tr := build(t, s, m)
	gets, read := ms.gets.Load(), s.Stats().ChunksRead
	if !maps.Equal(content(t, tr), m) {
		t.Fatal("content differs")
	}
	gets, read = ms.gets.Load()-gets, s.Stats().ChunksRead-read
	t.Logf("%d chunks in %d gets", read, gets)
	if gets > read/4 {
		t.Error("a scan waits for each chunk")
	}
	if ms.largest > maxValuesAhead {
		t.Errorf("%d chunks at once", ms.largest)
	}
}

func TestScanOfLargeValuesIsBounded(t *testing.T) {
	s, ms := newStore(nil)
	m := model{}
	for i := range 200 {
		m[fmt.Sprint(i)] = entry{strings.Repeat("v", 100_000+i), 1}
	}
	if !maps.Equal(content(t, build(t, s, m)), m) {
		t.Fatal("content differs")
	}
	t.Logf("at most %d bytes at once", ms.longest)
	if ms.longest > maxValueBytesAhead || ms.longest < maxValueBytesAhead/2 {
		t.Error("too much or too little at once")
	}
}

func TestSeekReadsOnlyItsPath(t *testing.T) {
	s, _ := newStore(nil)
	tr := build(t, s, numbered(50_000))
	height := int64(len(sizes(t, tr)))
	read := s.Stats().ChunksRead
	if err := tr.Cursor().Seek(t.Context(), []byte("key/00030000")); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().ChunksRead - read; got != height {
		t.Errorf("%d nodes read in a tree of height %d", got, height)
	}
}

func TestCachedTreeIsNotReadAgain(t *testing.T) {
	s, ms := newStore(NewCache(64 << 20))
	m := numbered(20_000)
	tr := build(t, s, m)
	content(t, tr)
	if got := ms.gets.Load(); got != 0 {
		t.Errorf("%d gets of what was just written", got)
	}
}

func TestTreesServeManyReaders(t *testing.T) {
	s, _ := newStore(NewCache(256 << 10)) // smaller than the tree
	m := numbered(10_000)
	tr := build(t, s, m)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got, err := readAll(t.Context(), tr); err != nil || !maps.Equal(got, m) {
				t.Error("content differs", err)
			}
		})
		wg.Go(func() {
			next, err := tr.Apply(t.Context(), seqOf([]Edit{{Key: []byte("key/00005000"), Delete: true}}))
			if err != nil {
				t.Error(err)
				return
			}
			n := 0
			for _, err := range Diff(t.Context(), tr, next) {
				if n++; err != nil {
					t.Error(err)
				}
			}
			if n != 1 {
				t.Errorf("%d changes", n)
			}
		})
	}
	wg.Wait()
}
