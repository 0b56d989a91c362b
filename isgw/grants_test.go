package isgw

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/segment"
	"github.com/edgefs/edgefs/segment/tree"
)

// granting is a store that gives what grants allow, as a peer's sync does.
type granting struct {
	chunk.Store
	t *testing.T

	mu     sync.Mutex
	grants *grants
	most   int // remembered at one time
	asked  int
}

func (g *granting) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	index, asked := map[chunk.ID]int{}, make([]named, len(ids))
	for i, id := range ids {
		depth, ok := g.grants.use(id)
		if !ok {
			return fmt.Errorf("the %dth is refused", g.asked+i)
		}
		index[id], asked[i].depth = i, depth+1
	}
	g.asked += len(ids)
	err := g.Store.Get(ctx, ids, func(c chunk.Chunk) (err error) {
		if asked[index[c.ID()]].ids, err = segment.NodeChildren(c.Data()); err != nil {
			return err
		}
		return yield(c)
	})
	for _, n := range asked {
		if !g.grants.name(n.depth, n.ids) {
			return fmt.Errorf("too many after %d", g.asked)
		}
	}
	g.most = max(g.most, len(g.grants.at))
	return err
}

// big makes a tree of n keys, every third value of which is kept by reference; the values differ with the version of a key.
func big(t *testing.T, s *tree.Store, n int, version func(i int) int) tree.Tree {
	t.Helper()
	out, err := tree.New(s, [16]byte{1}, chunk.ID{}).Apply(t.Context(), func(yield func(tree.Edit, error) bool) {
		for i := range n {
			v := binary.BigEndian.AppendUint64(nil, uint64(i%5000)<<8|uint64(version(i))) // values come again at other keys
			if i%3 == 0 {
				v = append(v, make([]byte, 2000)...)
			}
			if !yield(tree.Edit{Key: fmt.Appendf(nil, "key-%08d", i), Value: v}, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A sync of a large tree is served with little memory, whether it is the first or one of differences here and there.
func TestGrantsForgetWhatLiesBehind(t *testing.T) {
	const keys, batch = 60_000, 8 // leaves at once; a sync takes 128
	const behind = grantsBehind * batch / 128
	domain := chunk.NewDomain([32]byte{1})
	device := memory.New()
	far := tree.NewStore(device.Open(domain, chunk.Meta), domain, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	zero := func(int) int { return 0 }
	whole := big(t, far, keys, zero)
	changed := big(t, far, keys, func(int) int { return int(rng.IntN(100) / 99) })
	for _, c := range []struct {
		name string
		from chunk.ID
		to   tree.Tree
	}{{"first", chunk.ID{}, whole}, {"differences", whole.Root(), changed}} {
		g := &granting{Store: device.Open(domain, chunk.Meta), t: t, grants: newGrants(c.to.Root(), behind, 5*behind)}
		remote := tree.New(tree.NewStore(g, domain, nil), [16]byte{1}, c.to.Root())
		n := 0
		for _, err := range tree.Diff(t.Context(), tree.New(far, [16]byte{1}, c.from), remote, tree.DiffBatch(batch)) {
			if err != nil {
				t.Fatalf("%s: after %d keys: %v", c.name, n, err)
			}
			n++
		}
		if n == 0 || c.from.IsZero() && (n != keys || g.asked < 5*g.most/2) {
			t.Errorf("%s: %d keys, %d chunks of which %d were remembered", c.name, n, g.asked, g.most)
		}
		t.Logf("%s: %d keys, %d chunks of which %d were remembered", c.name, n, g.asked, g.most)
	}
}

func TestGrantsAreBounded(t *testing.T) {
	id := func(n uint64) (id chunk.ID) { binary.BigEndian.PutUint64(id[:], n); return id }
	g := newGrants(id(0), 10, 100)
	if depth, ok := g.use(id(0)); !ok || depth != 0 {
		t.Error("the root is refused")
	}
	if _, ok := g.use(id(1)); ok {
		t.Error("what was not named is given")
	}
	for i := range uint64(90) {
		if !g.name(1, []chunk.ID{id(i + 1)}) {
			t.Fatalf("%d are too many", i+1)
		}
	}
	g.name(1, []chunk.ID{id(1)}) // once more, at the end
	for _, c := range []struct {
		n  uint64
		ok bool
	}{{90, true}, {80, true}, {79, false}, {2, false}, {1, true}, {85, true}, {80, false}} {
		if _, ok := g.use(id(c.n)); ok != c.ok {
			t.Errorf("%d is given: %v", c.n, ok)
		}
	}
	full := newGrants(id(0), 10, 100)
	for i := range uint64(1000) {
		if !full.name(int(i%3), []chunk.ID{id(i + 1)}) {
			if i != 99 {
				t.Errorf("full after %d", i)
			}
			break
		}
	}
	if full.name(300, []chunk.ID{id(1)}) {
		t.Error("a tree of 300 levels")
	}
}
