package tree

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// mender gives what it is asked for from a twin, as a peer does: only what that one names at the same place.
type mender struct {
	twin Tree
	back *watched // where what came is put again

	mu     sync.Mutex // a Diff reads with several goroutines
	given  int
	denied int
}

var errDenied = errors.New("denied")

func (m *mender) mend(ctx context.Context, lost []Place, yield func(chunk.Chunk) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var denied error
	for _, p := range lost {
		has, err := m.twin.Has(ctx, p)
		if err != nil {
			return err
		}
		if !has {
			m.denied++
			denied = errDenied
			continue
		}
		err = m.twin.store.chunks.Get(ctx, []chunk.ID{p.ID}, func(c chunk.Chunk) error {
			m.given++
			m.back.mu.Lock()
			delete(m.back.lost, c.ID())
			m.back.mu.Unlock()
			return yield(c)
		})
		if err != nil {
			return err
		}
	}
	return denied
}

// mended are two equal trees of which the first one loses all its chunks.
func mended(t *testing.T, m model, cache *Cache) (Tree, *mender) {
	t.Helper()
	twin, _ := newStore(nil)
	plain, w := newStore(nil)
	x := &mender{twin: build(t, twin, m), back: w}
	tr := build(t, plain, m)
	w.lost = maps.Clone(w.written)
	return New(NewStore(w, testDomain, cache, Mended(x.mend)), testSalt, tr.Root()), x
}

func TestReadingGoesOnWithWhatIsMended(t *testing.T) {
	r := newRandom(t)
	m := r.model(5000, 1<<20)
	edits := r.change(maps.Clone(m), 300, 1<<20)
	for what, read := range map[string]func(Tree) error{
		"scan": func(tr Tree) error {
			got, err := readAll(t.Context(), tr)
			if err == nil && !maps.Equal(got, m) {
				err = errors.New("other content")
			}
			return err
		},
		"get": func(tr Tree) error {
			for k := range m {
				if v, ok, err := tr.Get(t.Context(), []byte(k)); err != nil || !ok || string(v) != m[k].value {
					return fmt.Errorf("%q: %v, %w", k, ok, err)
				}
			}
			return nil
		},
		"nodes": func(tr Tree) error {
			for _, err := range tr.Nodes(t.Context(), nil) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"apply": func(tr Tree) error {
			got, err := tr.Apply(t.Context(), seqOf(edits))
			if err != nil {
				return err
			}
			s, _ := newStore(nil)
			want, err := build(t, s, m).Apply(t.Context(), seqOf(edits))
			if got.Root() != want.Root() {
				return fmt.Errorf("root %v, want %v", got.Root(), want.Root())
			}
			return err
		},
		"diff": func(tr Tree) error {
			s, _ := newStore(nil)
			b, err := build(t, s, m).Apply(t.Context(), seqOf(edits))
			if err != nil {
				return err
			}
			for _, err := range Diff(t.Context(), tr, b) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"far diff": func(tr Tree) error {
			s, _ := newStore(nil)
			for _, err := range Diff(t.Context(), build(t, s, numbered(3000)), tr) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		for _, cache := range []*Cache{nil, NewCache(1 << 20)} {
			tr, x := mended(t, m, cache)
			if err := read(tr); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if x.given == 0 || x.denied > 0 {
				t.Errorf("%s: %d given, %d denied", what, x.given, x.denied)
			}
			given := x.given
			if err := read(tr); err != nil || x.given != given {
				t.Errorf("%s once more: %d given after %d, %v", what, x.given, given, err)
			}
		}
	}
}

// Most leaves are at the same places in a tree that has changed here and there; what differs is asked for and denied.
func TestAPlaceNamesAChunkInATreeThatHasChanged(t *testing.T) {
	r := newRandom(t)
	m := r.model(20_000, 1<<20)
	tr, x := mended(t, m, nil)
	var err error
	if x.twin, err = x.twin.Apply(t.Context(), seqOf(r.change(maps.Clone(m), 5, 1<<20))); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(t.Context(), tr); !errors.Is(err, errDenied) || !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("the roots differ: %v", err)
	}
	for id := range x.back.written {
		if d, err := decode(x.back.data(t, id)); err != nil {
			t.Fatal(err)
		} else if n, ok := d.(*node); ok && n.level > 0 {
			delete(x.back.lost, id)
		}
	}
	x.denied = 0
	got := 0
	for k := range m {
		v, ok, err := tr.Get(t.Context(), []byte(k))
		switch {
		case err == nil && ok && string(v) == m[k].value:
			got++
		case !errors.Is(err, errDenied):
			t.Fatalf("%q: %v, %v", k, ok, err)
		}
	}
	t.Logf("%d of %d keys are read, %d chunks given, %d denied", got, len(m), x.given, x.denied)
	if got < len(m)/2 || got == len(m) {
		t.Errorf("%d of %d keys are read", got, len(m))
	}
}

func TestATreeHasNothingElsewhere(t *testing.T) {
	m := newRandom(t).model(5000, 1<<20)
	s, _ := newStore(nil)
	tr, other := build(t, s, m), build(t, s, numbered(5000))
	c := tr.Cursor()
	if err := c.Seek(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	key, leaf := c.Key(), c.p.top().n
	id := c.p.frames[len(c.p.frames)-2].n.id(0)
	for _, x := range []struct {
		what string
		p    Place
		want bool
	}{
		{"its first leaf", Place{id, 0, leaf.lastKey()}, true},
		{"by another key of the leaf", Place{id, 0, key}, true},
		{"by a key of another leaf", Place{id, 0, []byte("zzz")}, false},
		{"at another level", Place{id, 1, leaf.lastKey()}, false},
		{"as a value", Place{id, Value, leaf.lastKey()}, false},
		{"as the root", Place{id, Root, nil}, false},
		{"beyond the root", Place{id, 40, key}, false},
		{"at no level", Place{id, -7, key}, false},
		{"the root", Place{tr.Root(), Root, nil}, true},
		{"another tree's root", Place{other.Root(), Root, nil}, false},
		{"another tree's root for a leaf", Place{other.Root(), 0, leaf.lastKey()}, false},
		{"nothing", Place{chunk.ID{}, 0, leaf.lastKey()}, false},
	} {
		if has, err := tr.Has(t.Context(), x.p); err != nil || has != x.want {
			t.Errorf("%s: %v, %v", x.what, has, err)
		}
		if has, err := New(s, testSalt, chunk.ID{}).Has(t.Context(), x.p); err != nil || has {
			t.Errorf("%s, in an empty tree: %v, %v", x.what, has, err)
		}
	}
}
