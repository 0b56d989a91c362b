package chunktest

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// randomOperations runs random batches of two domains against a map.
func randomOperations(t *testing.T, h Harness) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	type key struct {
		domain byte
		id     chunk.ID
	}
	held := map[key]chunk.Class{}
	pools := map[byte][]chunk.Chunk{1: Chunks(Domain(1), 1, 40, 1500), 2: Chunks(Domain(2), 1, 40, 1500)}
	for range 300 {
		domain := byte(1 + rng.IntN(2))
		class := chunk.Class(1 + rng.IntN(3))
		s := h.Opener.Open(Domain(domain), class)
		var batch []chunk.Chunk
		for range rng.IntN(12) {
			batch = append(batch, pools[domain][rng.IntN(40)])
		}
		if rng.IntN(3) == 0 {
			put(t, s, batch)
			for _, c := range batch {
				k := key{domain, c.ID()}
				if !held[k].Durable() {
					held[k] = class
				}
			}
		}
		var there []chunk.Chunk
		var missing []chunk.ID
		seen, absent := map[chunk.ID]bool{}, false
		for _, c := range batch {
			have := held[key{domain, c.ID()}]
			if have != 0 {
				there = append(there, c)
			} else {
				absent = true
			}
			if ok := have.Durable() || have == chunk.Cache && class == chunk.Cache; !ok && !seen[c.ID()] {
				missing = append(missing, c.ID())
			}
			seen[c.ID()] = true
		}
		wantMissing(t, s, IDs(batch), missing)
		got, err := get(s, IDs(batch))
		wantBytes(t, got, there)
		if absent != errors.Is(err, chunk.ErrNotFound) || !absent && err != nil {
			t.Errorf("get: %v, though absent is %v", err, absent)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
