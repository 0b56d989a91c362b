package tree

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// checked is what a check tells.
type checked struct {
	got    model
	faults []error
	ids    []chunk.ID
}

func checkAll(t *testing.T, tr Tree) checked {
	t.Helper()
	c := checked{got: model{}}
	_, err := tr.Check(t.Context(), CheckOptions{
		First: func(chunk.ID, bool) bool { return true },
		Entry: func(k, v []byte) error { c.got[string(k)] = entry{value: string(v)}; return nil },
		Fault: func(id chunk.ID, err error) { c.faults, c.ids = append(c.faults, err), append(c.ids, id) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// without weights, which a check does not tell.
func (m model) plain() model {
	out := model{}
	for k, e := range m {
		out[k] = entry{value: e.value}
	}
	return out
}

func TestACheckFindsNothingWrongWithATree(t *testing.T) {
	r := newRandom(t)
	s, _ := newStore(nil)
	for _, n := range []int{0, 1, 63, 300, 5000} {
		m := r.model(n, 1<<20)
		c := checkAll(t, build(t, s, m))
		if len(c.faults) > 0 || !maps.Equal(c.got, m.plain()) {
			t.Errorf("%d entries: %d told of, %v", n, len(c.got), c.faults)
		}
	}
}

func TestACheckGoesOnBesideWhatIsLost(t *testing.T) {
	r := newRandom(t)
	s, w := newStore(nil)
	m := r.model(3000, 1<<20)
	tr := build(t, s, m)
	told := 0
	for i, id := range slices.SortedFunc(maps.Keys(w.written), chunk.ID.Compare) {
		if i%7 > 0 {
			continue
		}
		w.lost[id] = true
		c := checkAll(t, tr)
		delete(w.lost, id)
		if len(c.faults) == 0 { // a node of a tree on the way
			continue
		}
		told++
		if len(c.faults) > 1 || c.ids[0] != id || !errors.Is(c.faults[0], chunk.ErrNotFound) {
			t.Errorf("chunk %v is lost: %v", id, c.faults)
		}
		for k, e := range c.got {
			if m[k].value != e.value {
				t.Errorf("chunk %v is lost: %q is another", id, k)
			}
		}
		if id != tr.Root() && len(c.got) < len(m)/100 {
			t.Errorf("chunk %v is lost: only %d entries of %d", id, len(c.got), len(m))
		}
	}
	if told < 10 {
		t.Errorf("only %d chunks were missed", told)
	}
}

func TestACheckFindsTreesOfAnotherShape(t *testing.T) {
	r := newRandom(t)
	s, w := newStore(nil)
	tr := build(t, s, r.model(2000, 1<<20))
	if c := checkAll(t, New(s, [16]byte{9}, tr.Root())); len(c.faults) == 0 || !strings.Contains(c.faults[0].Error(), "end") {
		t.Errorf("of another salt: %v", c.faults)
	}
	root, err := tr.rootNode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	forge := func(change func([]item) []item) Tree {
		items := make([]item, root.len())
		for i := range items {
			items[i] = root.item(i)
		}
		return New(s, testSalt, w.add(t, encodeNode(root.level, change(items))))
	}
	for what, change := range map[string]func([]item) []item{
		"a count":        func(is []item) []item { is[1].count++; return is },
		"a weight":       func(is []item) []item { is[1].weight++; return is },
		"a key":          func(is []item) []item { is[1].key = append(slices.Clone(is[1].key), 0); return is },
		"a child of two": func(is []item) []item { is[1].id = is[0].id; return is },
		"a root of one":  func(is []item) []item { return is[:1] },
	} {
		c := checkAll(t, forge(change))
		if len(c.faults) == 0 || !errors.Is(c.faults[0], ErrInvalid) {
			t.Errorf("%s: %v", what, c.faults)
		}
	}
}
