package pack

import (
	"context"
	"maps"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
)

// wantFigures compares the device's figures with its copies, and with the records that lie in its packs.
func (s *site) wantFigures(when string) {
	s.t.Helper()
	<-s.learnt // all is counted
	ctx := context.Background()
	got := map[chunk.Class]Count{}
	domains := []chunk.Domain{chunktest.Domain(7), crashDomain}
	must(s.t, s.Copies(ctx, domains, func(c chunk.Copy) error {
		if e := s.where(crashDomain, c.ID); c.Domain != 1 || c.Size != int64(e.Size) || c.Stored != recordSpace(int(e.Length)) {
			s.t.Errorf("%s: a copy is told as %+v, and stored as %+v", when, c, e)
		}
		n := got[c.Class]
		got[c.Class] = Count{n.Chunks + 1, 0, n.Plain + c.Size, n.Space + c.Stored}
		return nil
	}))
	stats := s.Stats().Chunks
	for class, n := range stats {
		n.Bytes = 0
		if n != got[class] {
			s.t.Errorf("%s: the figures of %v are %+v, and copies are %+v", when, class, n, got[class])
		}
	}
	lie := map[chunk.Class]int64{}
	x := recordReader{d: s.Device}
	for _, p := range s.allPacks() {
		records, err := x.records(ctx, p)
		must(s.t, err)
		live, err := x.live(records)
		must(s.t, err)
		for _, f := range live {
			lie[f.entry.Class] += recordSpace(int(f.entry.Length))
		}
	}
	want := map[chunk.Class]int64{}
	for class, n := range stats {
		if n.Space > 0 {
			want[class] = n.Space
		}
	}
	if !maps.Equal(lie, want) {
		s.t.Errorf("%s: records of use take %v, the figures are %v", when, lie, want)
	}
	if packs, _ := s.packed(); packs < want[chunk.Data]+want[chunk.Meta]+want[chunk.Cache] {
		s.t.Errorf("%s: packs of %d bytes hold %v", when, packs, want)
	}
}

// TestFiguresAreThoseOfThePacks goes through what changes them.
func TestFiguresAreThoseOfThePacks(t *testing.T) {
	s := open(t, inMemory())
	s.wantFigures("new")
	durable, _ := s.fill(1)
	s.wantFigures("filled")
	fast := packable(3).Wishing(chunk.Fast)
	must(t, s.Device.Open(crashDomain, chunk.Data).Put(t.Context(), []chunk.Chunk{fast}))
	must(t, s.Device.Open(crashDomain, chunk.Meta).Put(t.Context(), []chunk.Chunk{packable(4)}))
	s.wantFigures("packed")
	s.collect(keeping(append(durable[:7], fast)))
	s.wantFigures("collected")
	s.reopen()
	s.wantFigures("opened again")
	s.damage(crashDomain, durable[0].ID())
	s.scrub(crashDomain)
	s.wantFigures("damaged")
	must(t, s.Close())
	s.Device, s.opts.Index = nil, NewMemoryIndex()
	s.reopen()
	s.wantFigures("with an index made again")
}

// TestFiguresOfAnOlderBuildAreCountedAgain opens a device whose note counts less.
func TestFiguresOfAnOlderBuildAreCountedAgain(t *testing.T) {
	s := open(t, inMemory())
	s.fill(1)
	want := s.Stats().Chunks
	for _, open := range []int{0, 1, 2, 3, 4} { // packs that were not sealed
		must(t, s.Close())
		s.Device = nil
		old := make([]byte, 16*len(classes)+open*draftSize) // which begins as a newer one might
		old[0] = countsVersion
		must(t, s.opts.Index.SetNote(cleanNote, old))
		s.reopen()
		s.wantFigures("of an older build")
		if got := s.Stats().Chunks; !maps.Equal(got, want) {
			t.Errorf("with %d: %+v, want %+v", open, got, want)
		}
	}
}
