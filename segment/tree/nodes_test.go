package tree

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// reached are the ids that Nodes yields.
func reached(t *testing.T, tr Tree, skip func(chunk.ID) bool) map[chunk.ID]bool {
	t.Helper()
	ids := map[chunk.ID]bool{}
	for id, err := range tr.Nodes(t.Context(), skip) {
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = true
	}
	return ids
}

func TestNodesAreAllThatABuildWrote(t *testing.T) {
	r := newRandom(t)
	s, ms := newStore(nil)
	tr := build(t, s, r.model(20_000, 1<<20))
	written := ms.written
	gets := ms.gets.Load()
	if ids := reached(t, tr, nil); !maps.Equal(ids, written) {
		t.Errorf("%d chunks reached, %d written", len(ids), len(written))
	}
	if gets := ms.gets.Load() - gets; gets > int64(len(written))/8 {
		t.Errorf("%d gets for %d chunks", gets, len(written))
	}
}

func TestNodesSkipsWhatIsMarked(t *testing.T) {
	r := newRandom(t)
	s, _ := newStore(nil)
	m := r.model(20_000, 1<<20)
	old := build(t, s, m)
	tr, err := old.Apply(t.Context(), seqOf(r.change(m, 20, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	marked := reached(t, old, nil)
	all := reached(t, tr, nil)
	fresh := reached(t, tr, func(id chunk.ID) bool { return marked[id] })
	for id := range all {
		if fresh[id] == marked[id] {
			t.Fatalf("%v: fresh and marked are both %v", id, marked[id])
		}
	}
	t.Logf("%d of %d chunks are new", len(fresh), len(all))
}

func TestNodesStops(t *testing.T) {
	s, _ := newStore(nil)
	n := 0
	for _, err := range build(t, s, numbered(20_000)).Nodes(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 30 {
			break
		}
	}
}

func TestChildrenLeadToAllChunks(t *testing.T) {
	s, ms := newStore(nil)
	tr := build(t, s, newRandom(t).model(5000, 1<<20))
	got := map[chunk.ID]bool{tr.Root(): true}
	for queue := []chunk.ID{tr.Root()}; len(queue) > 0; queue = queue[1:] {
		ids, err := Children(ms.data(t, queue[0]))
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			got[id] = true
		}
		queue = append(queue, ids...)
	}
	if len(got) != len(ms.written) {
		t.Errorf("%d chunks reached of %d", len(got), len(ms.written))
	}
}

func TestValueThatLooksLikeANodeHasNoChildren(t *testing.T) {
	s, ms := newStore(nil)
	many := make([]item, 40)
	for i := range many {
		many[i] = item{key: []byte{byte(i)}, ref: true, id: goldenID(byte(i)), count: 1}
	}
	crafted := encodeNode(1, many)
	tr := build(t, s, model{"k": {string(crafted), 1}})
	ids, err := Children(ms.data(t, tr.Root()))
	if err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	if ids, err := Children(ms.data(t, ids[0])); err != nil || len(ids) != 0 {
		t.Fatal(ids, err)
	}
}

// TestForgedParentsAreRefused puts nodes into a store that decode well, but do not fit together.
func TestForgedParentsAreRefused(t *testing.T) {
	leaf := func(keys ...string) []item {
		var items []item
		for _, k := range keys {
			items = append(items, item{key: []byte(k), value: []byte("v"), size: 1, count: 1, weight: 1})
		}
		return items
	}
	big := strings.Repeat("v", MaxInline+1)
	for name, forge := range map[string]func(put func([]byte) chunk.ID) []byte{
		"count": func(put func([]byte) chunk.ID) []byte {
			id := put(encodeNode(0, leaf("a", "b")))
			return encodeNode(1, []item{{key: []byte("b"), ref: true, id: id, count: 3, weight: 2}})
		},
		"weight": func(put func([]byte) chunk.ID) []byte {
			id := put(encodeNode(0, leaf("a", "b")))
			return encodeNode(1, []item{{key: []byte("b"), ref: true, id: id, count: 2, weight: 3}})
		},
		"last key": func(put func([]byte) chunk.ID) []byte {
			id := put(encodeNode(0, leaf("a", "b")))
			return encodeNode(1, []item{{key: []byte("c"), ref: true, id: id, count: 2, weight: 2}})
		},
		"level": func(put func([]byte) chunk.ID) []byte {
			id := put(encodeNode(0, leaf("a", "b")))
			return encodeNode(2, []item{{key: []byte("b"), ref: true, id: id, count: 2, weight: 2}})
		},
		"overlap": func(put func([]byte) chunk.ID) []byte {
			x, y := put(encodeNode(0, leaf("a", "b"))), put(encodeNode(0, leaf("a", "c")))
			return encodeNode(1, []item{
				{key: []byte("b"), ref: true, id: x, count: 2, weight: 2},
				{key: []byte("c"), ref: true, id: y, count: 2, weight: 2},
			})
		},
		"value for a node": func(put func([]byte) chunk.ID) []byte {
			id := put(encodeValue([]byte(big)))
			return encodeNode(1, []item{{key: []byte("c"), ref: true, id: id, count: 2, weight: 2}})
		},
		"node for a value": func(put func([]byte) chunk.ID) []byte {
			id := put(encodeNode(0, leaf("a", "b")))
			return encodeNode(0, []item{{key: []byte("c"), ref: true, id: id, size: MaxInline + 1, count: 1}})
		},
		"size of a value": func(put func([]byte) chunk.ID) []byte {
			id := put(encodeValue([]byte(big)))
			return encodeNode(0, []item{{key: []byte("c"), ref: true, id: id, size: MaxInline + 2, count: 1}})
		},
		"one child twice": func(put func([]byte) chunk.ID) []byte {
			id := put(encodeNode(0, leaf("a", "b")))
			return encodeNode(1, []item{
				{key: []byte("b"), ref: true, id: id, count: 2, weight: 2},
				{key: []byte("c"), ref: true, id: id, count: 2, weight: 2},
			})
		},
		"overlap under two parents": func(put func([]byte) chunk.ID) []byte {
			over := func(leaf []item) item {
				last := leaf[len(leaf)-1].key
				low := item{key: last, ref: true, id: put(encodeNode(0, leaf)), count: 2, weight: 2}
				low.id = put(encodeNode(1, []item{low}))
				return low
			}
			return encodeNode(2, []item{over(leaf("a", "b")), over(leaf("b", "c"))})
		},
		"no tree at all": func(func([]byte) chunk.ID) []byte { return []byte("hello") },
	} {
		s, ms := newStore(nil)
		put := func(data []byte) chunk.ID { return ms.add(t, data) }
		tr := New(s, testSalt, put(forge(put)))
		if _, err := readAll(t.Context(), tr); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: a scan says %v", name, err)
		}
		near, _ := newStore(nil)
		if err := lastError(Diff(t.Context(), build(t, near, numbered(3)), tr)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: a diff says %v", name, err)
		}
		if err := lastError(Diff(t.Context(), tr, build(t, near, numbered(3)))); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: a diff the other way says %v", name, err)
		}
	}
}

// TestSharedNodesUnderForgedEntriesAreRefused makes a peer's root of the children that we have, and lies about them.
func TestSharedNodesUnderForgedEntriesAreRefused(t *testing.T) {
	near, _ := newStore(nil)
	a := build(t, near, numbered(3000))
	root, err := a.rootNode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, lie := range map[string]func(*item){
		"key":    func(it *item) { it.key = append(bytes.Clone(it.key), 0) },
		"count":  func(it *item) { it.count++ },
		"weight": func(it *item) { it.weight++ },
	} {
		for at := range root.len() {
			var items []item
			for i := range root.len() {
				items = append(items, root.item(i))
			}
			lie(&items[at])
			far, ms := newStore(nil)
			forged := ms.add(t, encodeNode(root.level, items))
			for i := range items {
				n, err := near.node(t.Context(), items[i].id)
				if err != nil {
					t.Fatal(err)
				}
				ms.add(t, n.data)
			}
			if err := lastError(Diff(t.Context(), a, New(far, testSalt, forged))); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s of child %d: %v", name, at, err)
			}
		}
	}
}

func TestNodesRefusesWhatIsNoTree(t *testing.T) {
	s, ms := newStore(nil)
	leaf := ms.add(t, encodeNode(0, []item{{key: []byte("a"), count: 1}}))
	root := ms.add(t, encodeNode(2, []item{{key: []byte("a"), ref: true, id: leaf, count: 1}}))
	var last error
	for _, err := range New(s, testSalt, root).Nodes(t.Context(), nil) {
		last = err
	}
	if !errors.Is(last, ErrInvalid) {
		t.Error(last)
	}
}

func lastError(diff func(func(Change, error) bool)) (last error) {
	for _, err := range diff {
		last = err
	}
	return last
}
