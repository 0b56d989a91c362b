package segment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment/tree"
)

// counted is a store that counts the chunks of trees that are read, and keeps the size of the largest that was written.
type counted struct {
	mapStore
	read, largest *atomic.Int64
}

func (c counted) Open(_ chunk.Domain, class chunk.Class) chunk.Store {
	if class == chunk.Meta {
		return c
	}
	return c.mapStore
}

func (c counted) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	c.read.Add(int64(len(ids)))
	return c.mapStore.Get(ctx, ids, yield)
}

func (c counted) Put(ctx context.Context, cs []chunk.Chunk) error {
	for _, ch := range cs {
		c.largest.Store(max(c.largest.Load(), int64(ch.Size())))
	}
	return c.mapStore.Put(ctx, cs)
}

// countedSite is a site that reads each node from its store.
func countedSite(t *testing.T) (*world, *site, counted) {
	w := newWorld(t, "a")
	a := w.site("a")
	c := counted{a.cfg.Chunks.(mapStore), new(atomic.Int64), new(atomic.Int64)}
	a.cfg.Chunks, a.cfg.NodeCache = c, 1
	a.restart()
	return w, a, c
}

// hostileKeys are what a client may choose to do harm: as long as can be, alike but for their ends, each the next one's beginning, of bytes
// that are escaped, of all of Unicode.
func hostileKeys(rng *rand.Rand, n int) []string {
	keys := map[string]bool{}
	for i := range n {
		long := strings.Repeat("k", MaxKey-8)
		zeros := "z" + strings.Repeat("\x00", MaxKey-9)
		keys[fmt.Sprintf("%s%08d", long, i)] = true
		keys[fmt.Sprintf("%s%08d", zeros, i)] = true
		keys["next"+strings.Repeat("\x00", i%(MaxKey-4))] = true
		var b []byte
		for size := 1 + rng.IntN(MaxKey-utf8.UTFMax); len(b) < size; {
			if r := rune(rng.IntN(utf8.MaxRune + 1)); utf8.ValidRune(r) {
				b = utf8.AppendRune(b, r)
			}
		}
		keys[string(b)] = true
	}
	var out []string
	for k := range keys {
		out = append(out, k)
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// TestHostileKeysAreKeptLikeOthers lists them over the overlay and from the trees, and bounds the nodes.
func TestHostileKeysAreKeptLikeOthers(t *testing.T) {
	w, a, c := countedSite(t)
	b, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	keys := hostileKeys(rand.New(rand.NewPCG(3, 5)), 500)
	records := madeRecords(len(keys), func(i int) string { return keys[i] })
	b.applyAll(w.ctx, t, records, 0, len(records))
	slices.Sort(keys)
	for range 2 {
		var got []string
		for after := ""; ; {
			p, err := b.List(w.ctx, ListOptions{After: after, Limit: 300})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range p.Entries {
				got = append(got, e.Version.Key)
			}
			if after = p.Next; !p.Truncated {
				break
			}
		}
		if !slices.Equal(got, keys) {
			t.Fatalf("%d keys are listed, and %d were written", len(got), len(keys))
		}
		for _, k := range []string{keys[0], keys[len(keys)/3], keys[len(keys)-1]} {
			if v, err := b.Stat(w.ctx, k, VersionRef{}); err != nil || v.Key != k {
				t.Errorf("%.20q is %v, %v", k, v, err)
			}
		}
		if _, err := b.Fold(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	const mostEntry = 2*MaxKey + 2 + longVersionID + tree.MaxInline + 32 // zeros are escaped
	if most := int64(256 * mostEntry); c.largest.Load() > most {
		t.Errorf("a node of %d bytes, more than %d", c.largest.Load(), most)
	}
	c.read.Store(0)
	if _, err := b.Stat(w.ctx, keys[len(keys)/2], VersionRef{}); err != nil {
		t.Fatal(err)
	}
	if n := c.read.Load(); n > 12 { // two looks at a tree of some 2,000 keys, which would be 3 nodes high were they harmless
		t.Errorf("a key is found in %d nodes", n)
	}
}

// TestAPageOfVersionsReadsItsPartOnly reads from the middle of a key's many versions, from the trees.
func TestAPageOfVersionsReadsItsPartOnly(t *testing.T) {
	w, a, c := countedSite(t)
	b, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const versions = 12000
	records := madeRecords(versions, func(int) string { return "hot" })
	b.applyAll(w.ctx, t, records, 0, versions)
	if _, err := b.Fold(w.ctx); err != nil {
		t.Fatal(err)
	}
	for what, read := range map[string]func() error{
		"the current version": func() error {
			v, err := b.Stat(w.ctx, "hot", VersionRef{})
			if err == nil && v.Dot.N != versions {
				err = fmt.Errorf("it is %v", v.Dot)
			}
			return err
		},
		"an old version": func() error {
			_, err := b.Stat(w.ctx, "hot", VersionRef{ID: records[100].VersionID})
			return err
		},
		"a page from the middle": func() error {
			o := ListVersionsOptions{Limit: 100, KeyMarker: "hot", VersionMarker: VersionRef{ID: records[versions/2].VersionID}}
			p, err := b.ListVersions(w.ctx, o)
			if err == nil && (len(p.Entries) != 100 || p.Entries[0].Version.VersionID != records[versions/2-1].VersionID) {
				err = fmt.Errorf("%d versions are listed", len(p.Entries))
			}
			return err
		},
	} {
		c.read.Store(0)
		if err := read(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if n := c.read.Load(); n > 40 { // of some 190
			t.Errorf("%s: %d nodes are read", what, n)
		}
	}
	if n := b.Stats().Versions; n != versions {
		t.Errorf("%d versions are counted", n)
	}
}
