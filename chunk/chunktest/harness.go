package chunktest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// Harness is one place under test, empty at first.
type Harness struct {
	Opener chunk.Opener

	// Reopen closes the place and opens it again; nil where nothing outlives the process.
	Reopen func() chunk.Opener

	// Damage changes bytes of the chunk where they are kept; nil where they cannot be reached.
	Damage func(chunk.Domain, chunk.ID)

	// Down makes the place, or one of those behind it, unable to answer until restore is called; nil where there is no such state.
	Down func() (restore func())
}

// Run tests the contract on places that open makes.
func Run(t *testing.T, open func(*testing.T) Harness) {
	tests := []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"GetYieldsEachDistinctChunkOnce", getYieldsOnce},
		{"GetOfAbsentChunksYieldsTheOthers", getAbsent},
		{"GetReturnsTheErrorOfYieldUnwrapped", getYieldError},
		{"GetServesWhateverTheClass", getAnyClass},
		{"CallsOfYieldDoNotOverlap", yieldAlone},
		{"WhatIsHeldByItsLeaseStaysAsItIs", leases},
		{"NothingIsAskedOfEmptyBatches", emptyBatches},
		{"PutDoesNotKeepTheCallersBytes", putOwnership},
		{"PutOfWhatIsHeldChangesNothing", putTwice},
		{"PutTakesAChunkTwiceInABatch", putRepeated},
		{"PutTakesEverySize", putSizes},
		{"MissingKeepsTheOrderAndNamesEachOnce", missingOrder},
		{"MissingCountsByClass", missingClasses},
		{"DurableCopiesReplaceCachedOnes", promote},
		{"DomainsDoNotSeeEachOther", domains},
		{"EndedContextsEndCalls", contexts},
		{"ConcurrentUse", concurrent},
		{"RandomOperationsAgreeWithAModel", randomOperations},
		{"DurableChunksAreThereAfterReopening", reopen},
		{"DamagedCopiesAreForgotten", damaged},
		{"DamageIsReportedAboveAbsence", damagedAndAbsent},
		{"DamagedCopiesCanBePutAgain", damagedPut},
		{"UnavailableIsNeverAbsent", unavailable},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, open(t)) })
	}
}

// Domain is a domain with a key made of n.
func Domain(n byte) chunk.Domain { return chunk.NewDomain([32]byte{n, 31: 1}) }

// Bytes returns size bytes that look random and depend on seed only.
func Bytes(seed uint64, size int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// Chunks makes n different chunks of about the given size.
func Chunks(d chunk.Domain, seed uint64, n, size int) []chunk.Chunk {
	chunks := make([]chunk.Chunk, n)
	for i := range chunks {
		chunks[i] = d.Make(Bytes(seed<<32+uint64(i), size+i%7))
	}
	return chunks
}

// IDs names chunks.
func IDs(chunks []chunk.Chunk) []chunk.ID {
	ids := make([]chunk.ID, len(chunks))
	for i, c := range chunks {
		ids[i] = c.ID()
	}
	return ids
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get reads ids, checks that no chunk comes twice or unasked, and returns the bytes by name.
func get(s chunk.Store, ids []chunk.ID) (map[chunk.ID]string, error) {
	got := map[chunk.ID]string{}
	var wrong error
	err := s.Get(context.Background(), ids, func(c chunk.Chunk) error {
		if _, twice := got[c.ID()]; twice {
			wrong = fmt.Errorf("chunk %v was yielded twice", c.ID())
		}
		if !slices.Contains(ids, c.ID()) {
			wrong = fmt.Errorf("chunk %v was not asked for", c.ID())
		}
		got[c.ID()] = string(c.Data())
		return nil
	})
	return got, errors.Join(wrong, err)
}

// wantHeld checks that exactly these chunks are read when all of ids are asked for.
func wantHeld(t testing.TB, s chunk.Store, chunks []chunk.Chunk) {
	t.Helper()
	got, err := get(s, IDs(chunks))
	if err != nil {
		t.Errorf("get %d chunks: %v", len(chunks), err)
	}
	wantBytes(t, got, chunks)
}

func wantBytes(t testing.TB, got map[chunk.ID]string, want []chunk.Chunk) {
	t.Helper()
	names := map[chunk.ID]bool{}
	for _, c := range want {
		names[c.ID()] = true
		if data, ok := got[c.ID()]; !ok {
			t.Errorf("chunk %v was not yielded", c.ID())
		} else if data != string(c.Data()) {
			t.Errorf("chunk %v came with other bytes", c.ID())
		}
	}
	if len(got) != len(names) {
		t.Errorf("%d chunks were yielded, want %d", len(got), len(names))
	}
}

func wantMissing(t testing.TB, s chunk.Store, ids, want []chunk.ID) {
	t.Helper()
	got, err := s.Missing(context.Background(), ids)
	if err != nil {
		t.Errorf("missing: %v", err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("missing %d of %d, want %d: %.8v, want %.8v", len(got), len(ids), len(want), got, want)
	}
}

func put(t testing.TB, s chunk.Store, chunks []chunk.Chunk) {
	t.Helper()
	if err := s.Put(context.Background(), chunks); err != nil {
		t.Fatalf("put %d chunks: %v", len(chunks), err)
	}
}
