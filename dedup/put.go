package dedup

import (
	"context"
	"errors"

	"github.com/edgefs/edgefs/chunk"
)

// written counts what a store did not hold.
type written struct {
	chunks int
	bytes  int64
}

// errOrder guards the one use of Missing whose mistake would lose data.
var errOrder = errors.New("the store answered Missing with other ids than it was asked for, or in another order")

// putMissing puts those chunks that the store does not hold.
func putMissing(ctx context.Context, store chunk.Store, chunks []chunk.Chunk) (written, error) {
	ids := make([]chunk.ID, len(chunks))
	for i, c := range chunks {
		ids[i] = c.ID()
	}
	missing, err := store.Missing(ctx, ids)
	if err != nil || len(missing) == 0 {
		return written{}, err
	}
	fresh := make([]chunk.Chunk, 0, len(missing))
	var w written
	for _, c := range chunks {
		if len(fresh) < len(missing) && c.ID() == missing[len(fresh)] {
			fresh = append(fresh, c)
			w.bytes += int64(c.Size())
		}
	}
	if w.chunks = len(fresh); w.chunks != len(missing) {
		return written{}, errOrder
	}
	return w, store.Put(ctx, fresh)
}
