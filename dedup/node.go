package dedup

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// loadNode reads one node, whose entries are of the level given.
func loadNode(ctx context.Context, store chunk.Store, e Entry, level int) (list, error) {
	ls, err := loadNodes(ctx, store, []Entry{e}, level)
	if err != nil {
		return list{}, err
	}
	return ls[0], nil
}

// loadNodes reads nodes whose entries are of the level given. With an error, those that could not be read have no entries.
func loadNodes(ctx context.Context, store chunk.Store, nodes []Entry, level int) ([]list, error) {
	ids := make([]chunk.ID, len(nodes))
	for i, e := range nodes {
		ids[i] = e.ID
	}
	lists := make([]list, len(nodes))
	var malformed error
	err := store.Get(ctx, ids, func(c chunk.Chunk) error {
		for i, e := range nodes {
			if e.ID != c.ID() {
				continue
			}
			l, err := parseNode(c, e, level)
			if err != nil {
				malformed = err
				continue
			}
			lists[i] = l
		}
		return nil
	})
	if err == nil {
		err = malformed
	}
	if err != nil {
		return lists, fmt.Errorf("read nodes: %w", err)
	}
	for i := range lists {
		if len(lists[i].entries) == 0 {
			return lists, fmt.Errorf("read node %v: the store yielded nothing: %w", nodes[i].ID, chunk.ErrNotFound)
		}
	}
	return lists, nil
}
