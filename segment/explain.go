package segment

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
)

// Holder says what keeps a chunk.
type Holder struct {
	Bucket string `json:"bucket,omitempty"` // as listed
	Why    string `json:"why"`              // what of the bucket: its current state, a snapshot, ...
	Key    string `json:"key,omitempty"`    // of a version whose content it is part of; empty for a part of the bucket's trees
}

// calledName is the bucket's name, as listed; of those that every segment has, what they are.
func (b *Bucket) calledName() string {
	switch b.id {
	case localBucket:
		return "(local)"
	case FederationBucket:
		return "(federation)"
	}
	return b.Info().Name
}

// maxHolders bounds the answer of [Segment.Explain].
const maxHolders = 64

// Explain says what reaches a chunk here: each that is found in going once through everything; nothing for garbage. What is shared, as a part of a tree that
// snapshots have in common, is told of once.
func (s *Segment) Explain(ctx context.Context, id chunk.ID) ([]Holder, error) {
	var out []Holder
	seen := map[Holder]bool{}
	const few = 1 << 20 // of all names: the others need not be kept
	r := &reached{s: s, most: markMost, part: idset.Of(id) >> 32 % few, parts: few}
	r.told = func(found chunk.ID, why string, b *Bucket, key string) {
		if found != id || len(out) == maxHolders {
			return
		}
		h := Holder{Why: why, Key: key}
		if b != nil {
			h.Bucket = b.calledName()
		}
		if !seen[h] {
			seen[h] = true
			out = append(out, h)
		}
	}
	if err := r.mark(ctx); err != nil {
		return nil, fmt.Errorf("explain chunk %v: %w", id, err)
	}
	if len(out) == 0 && (r.has(idset.Of(id)) || r.listed.Has(id)) {
		out = append(out, Holder{Why: "a write that has not ended"})
	}
	return out, nil
}
