package dedup

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// Concat is the manifest of the parts' contents one behind the other. No payload is read or written, and the seams are not cut again:
// whole subtrees are taken as they are, nodes are made above them and, where parts of different height meet, a few along the seam. The nodes
// are durable when it returns.
//
// The store is the domain's, at class Meta. Equal parts in equal order give equal manifests, which differ from that of the same content
// written at once.
func Concat(ctx context.Context, meta chunk.Store, domain chunk.Domain, parts []Manifest) (Manifest, error) {
	b := builder{domain: domain, meta: meta}
	for i, m := range parts {
		for _, e := range m.top.entries {
			if err := b.add(ctx, e, m.top.level); err != nil {
				return Manifest{}, fmt.Errorf("concatenate part %d of %d: %w", i+1, len(parts), err)
			}
		}
	}
	m, err := b.finish(ctx)
	if err != nil {
		return Manifest{}, fmt.Errorf("concatenate %d parts: %w", len(parts), err)
	}
	return m, nil
}
