package idset

import (
	"math/rand/v2"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
)

func TestASetKnowsWhatWasAddedAndNothingElse(t *testing.T) {
	var s Set
	in := map[uint64]bool{}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		x := rng.Uint64N(150_000) * 0x9e3779b97f4a7c15
		if s.Add(x) == in[x] {
			t.Fatalf("%x: new %v, was there %v", x, !in[x], in[x])
		}
		in[x] = true
	}
	if s.Len() != len(in) {
		t.Errorf("%d are in the set, want %d", s.Len(), len(in))
	}
	for i := range uint64(150_000) {
		if x := i * 0x9e3779b97f4a7c15; s.Has(x) != in[x] {
			t.Fatalf("%x: in the set %v, want %v", x, s.Has(x), in[x])
		}
	}
}

func TestTheEmptySetHasNothing(t *testing.T) {
	if new(Set).Has(7) {
		t.Error("7")
	}
}

func TestAMapKeepsANumberForEach(t *testing.T) {
	var m Map
	if m.Find(7) != nil {
		t.Error("the empty map has 7")
	}
	in := map[uint64]uint16{}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		x, v := rng.Uint64N(100_000)*0x9e3779b97f4a7c15, uint16(rng.Uint32())
		at := m.At(x)
		if *at != in[x] {
			t.Fatalf("%x has %d, want %d", x, *at, in[x])
		}
		*at, in[x] = v, v
	}
	var sum, want, values int
	m.Values(func(v uint16) { sum, values = sum+int(v), values+1 })
	for x, v := range in {
		want += int(v)
		if at := m.Find(x); at == nil || *at != v {
			t.Fatalf("%x is not %d any more", x, v)
		}
	}
	if m.Len() != len(in) || values != len(in) || sum != want {
		t.Errorf("%d are in the map and %d are yielded, with a sum of %d; want %d and %d", m.Len(), values, sum, len(in), want)
	}
	for x := range uint64(1000) {
		if at := m.Find(x<<40 | 1); at != nil && in[x<<40|1] == 0 {
			t.Fatalf("%x was never added", x)
		}
	}
}

func TestTheSameChunkElsewhereIsAnother(t *testing.T) {
	id := chunktest.Domain(1).Name([]byte("x"))
	seen := map[uint64]bool{}
	for g := range uint64(300) {
		for off := range int64(300) {
			seen[At(id, g, off*16)] = true
		}
	}
	if len(seen) != 300*300 {
		t.Errorf("%d places are told apart, of %d", len(seen), 300*300)
	}
}

func TestTenMillionChunksTakeLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	var s Set
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000_000 {
		s.Add(rng.Uint64())
	}
	if perChunk := float64(s.Bytes()) / 1e7; perChunk > 16.1 {
		t.Errorf("%.1f bytes for each", perChunk)
	}
}

func BenchmarkAdd(b *testing.B) {
	var s Set
	var id chunk.ID
	rng := rand.NewChaCha8([32]byte{})
	for b.Loop() {
		_, _ = rng.Read(id[:8])
		s.Add(Of(id))
	}
}
