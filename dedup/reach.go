package dedup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/edgefs/edgefs/chunk"
)

// ErrNotReached says that a manifest does not reach what was asked for.
var ErrNotReached = errors.New("not reached by the manifest")

// Reaches says whether path leads from one of m's entries down to a node, and all ids are children of it; with an empty path, whether they
// are m's own entries. It reads the path's nodes from store. What is not reached is [ErrNotReached], whether or not the place holds it.
func Reaches(ctx context.Context, store chunk.Store, m Manifest, path, ids []chunk.ID) error {
	l := m.top
	if len(path) > l.level {
		return fmt.Errorf("path of %d nodes in a manifest of level %d: %w", len(path), l.level, ErrNotReached)
	}
	for _, id := range path {
		i := slices.IndexFunc(l.entries, func(e Entry) bool { return e.ID == id })
		if i < 0 {
			return fmt.Errorf("node %v: %w", id, ErrNotReached)
		}
		var err error
		if l, err = loadNode(ctx, store, l.entries[i], l.level-1); err != nil {
			return err
		}
	}
	children := make(map[chunk.ID]struct{}, len(l.entries))
	for _, e := range l.entries {
		children[e.ID] = struct{}{}
	}
	for _, id := range ids {
		if _, ok := children[id]; !ok {
			return fmt.Errorf("chunk %v: %w", id, ErrNotReached)
		}
	}
	return nil
}
