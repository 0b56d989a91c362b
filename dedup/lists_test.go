package dedup

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/chunk/idset"
	"github.com/edgefs/edgefs/chunk/memory"
)

func numbered(n int) (id chunk.ID) {
	binary.LittleEndian.PutUint64(id[:], uint64(n)*0x9e3779b97f4a7c15)
	return id
}

func gathered(ls *Lists) func(chunk.ID) bool {
	var exact idset.Set
	l := ls.Gather(func(x uint64) { exact.Add(x) })
	return func(id chunk.ID) bool { return exact.Has(idset.Of(id)) || l.Has(id) }
}

func TestWhatIsAskedForOrPutIsListedUntilTheEnd(t *testing.T) {
	var ls Lists
	d := chunktest.Domain(1)
	chunks := chunktest.Chunks(d, 1, 4, 100)
	l := ls.Begin()
	s := l.Stores(Stores{Data: memory.New().Open(d, chunk.Data), Meta: memory.New().Open(d, chunk.Meta)})
	if _, err := s.Data.Missing(t.Context(), chunktest.IDs(chunks[:2])); err != nil {
		t.Fatal(err)
	}
	if err := s.Meta.Put(t.Context(), chunks[2:3]); err != nil {
		t.Fatal(err)
	}
	listed := gathered(&ls)
	for i, c := range chunks {
		if listed(c.ID()) != (i < 3) {
			t.Errorf("chunk %d is listed: %v", i, i >= 3)
		}
	}
	l.End()
	l.End()
	if listed(chunks[0].ID()) != true || gathered(&ls)(chunks[0].ID()) || ls.Open() != 0 {
		t.Error("a list that has ended is what it was when it was gathered, and nothing after")
	}
}

func TestALongListTakesLittleMemoryAndForgetsNothing(t *testing.T) {
	const n = 500_000
	var ls Lists
	l, other := ls.Begin(), ls.Begin()
	for i := range n {
		l.Add(numbered(i))
	}
	other.Add(numbered(n))
	if got := len(l.ids); got >= listExact || len(ls.filters) != 1 {
		t.Errorf("%d names are kept, and %d filters", got, len(ls.filters))
	}
	listed := gathered(&ls)
	for i := range n + 1 {
		if !listed(numbered(i)) {
			t.Fatalf("chunk %d is not listed", i)
		}
	}
	wrong := 0
	for i := range n {
		if listed(numbered(2*n + i)) {
			wrong++
		}
	}
	if wrong > n/50 {
		t.Errorf("%d of %d others are taken for listed", wrong, n)
	}
	l.End()
	if len(ls.filters) != 0 || gathered(&ls)(numbered(1)) || !gathered(&ls)(numbered(n)) {
		t.Error("what it took stays after its end")
	}
}

func TestAListThatRepeatsItselfStaysShort(t *testing.T) {
	var ls Lists
	l := ls.Begin()
	for i := range 4 * listExact {
		l.Add(numbered(i % 100))
	}
	if len(ls.filters) != 0 {
		t.Error("a hundred chunks fill a filter")
	}
}

// pieces writes an object of n distinct pieces and returns its manifest and where its nodes are.
func pieces(t testing.TB, n, from int) (Manifest, chunk.Store) {
	d := chunktest.Domain(1)
	nodes := memory.New().Open(d, chunk.Meta)
	b := builder{domain: d, meta: nodes}
	for i := range n {
		if err := b.piece(context.Background(), Entry{numbered(from + i), 1000}); err != nil {
			t.Fatal(err)
		}
	}
	m, err := b.finish(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return m, nodes
}

func TestAMarkerNamesAllPiecesAndReadsEachNodeOnce(t *testing.T) {
	const n = 20_000
	m, nodes := pieces(t, n, 0)
	counted := &countedGets{Store: nodes}
	named := map[chunk.ID]bool{}
	k := Marker{Nodes: counted, Walked: new(idset.Set), Name: func(id chunk.ID, of string) {
		if of != "x" {
			t.Fatalf("of %q", of)
		}
		named[id] = true
	}}
	for range 2 {
		if err := k.Mark(t.Context(), m, "x"); err != nil {
			t.Fatal(err)
		}
		if err := k.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if !named[numbered(i)] {
			t.Fatalf("piece %d is not named", i)
		}
	}
	if read := len(named) - n; counted.chunks != read || read == 0 {
		t.Errorf("%d nodes are read, of %d", counted.chunks, read)
	}
}

type countedGets struct {
	chunk.Store
	chunks int
}

func (c *countedGets) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	c.chunks += len(ids)
	return c.Store.Get(ctx, ids, yield)
}

func BenchmarkMark(b *testing.B) {
	const n = 1 << 20
	m, nodes := pieces(b, n, 0)
	b.ReportAllocs()
	for b.Loop() {
		var ids, walked idset.Set
		k := Marker{Nodes: nodes, Walked: &walked, Name: func(id chunk.ID, _ string) { ids.Add(idset.Of(id)) }}
		if err := k.Mark(b.Context(), m, ""); err != nil {
			b.Fatal(err)
		}
		if err := k.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		if ids.Len() < n {
			b.Fatal(fmt.Sprint(ids.Len()))
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mchunks/s")
}
