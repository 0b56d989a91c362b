package isgw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment"
)

// exposures remember what was counted, until what was seen or held changes.
type exposures struct {
	mu   sync.Mutex // held while counting: nobody counts twice
	last map[segment.BucketID]exposure
}

type exposure struct {
	seen  segment.Vector
	held  []segment.Vector
	bytes int64
}

func (e exposure) of(seen segment.Vector, held []segment.Vector) bool {
	return e.seen.Equal(seen) && slices.EqualFunc(e.held, held, segment.Vector.Equal)
}

// Exposed is the bytes of a bucket's versions whose payload this segment holds durably and no other segment is known to hold durably.
// Versions that share payload are counted each. What peers said before a link was cut still counts; what they said before this process
// started does not.
func (l *Links) Exposed(ctx context.Context, id segment.BucketID) (int64, error) {
	b, err := l.seg.BucketByID(id)
	if err != nil {
		return 0, fmt.Errorf("count exposed bytes: %w", err)
	}
	if id == segment.FederationBucket || !b.Linked() {
		return 0, nil
	}
	seen := b.Seen()
	var held []segment.Vector
	for _, k := range l.all() {
		h := k.holds(id)
		if h.Covers(seen) {
			return 0, nil
		}
		held = append(held, h)
	}
	l.exposures.mu.Lock()
	defer l.exposures.mu.Unlock()
	if e, ok := l.exposures.last[id]; ok && e.of(seen, held) {
		return e.bytes, nil
	}
	n, err := l.countExposed(ctx, id, held)
	if errors.Is(err, segment.ErrNoSuchBucket) {
		delete(l.exposures.last, id)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("count exposed bytes of bucket %v: %w", id, err)
	}
	if l.exposures.last == nil {
		l.exposures.last = map[segment.BucketID]exposure{}
	}
	l.exposures.last[id] = exposure{seen, held, n}
	return n, nil
}

const exposedBatch = 1024

func (l *Links) countExposed(ctx context.Context, id segment.BucketID, held []segment.Vector) (total int64, err error) {
	durable := l.cfg.Chunks.Open(l.seg.Domain(), chunk.Data)
	var batch []segment.Version
	count := func() error {
		n, err := bytesHere(ctx, durable, batch)
		total += n
		batch = batch[:0]
		return err
	}
	for v, err := range l.seg.Payload(ctx, id) {
		if err != nil {
			return 0, err
		}
		if slices.ContainsFunc(held, func(h segment.Vector) bool { return h.Has(v.Dot) }) {
			continue
		}
		if batch = append(batch, v); len(batch) == exposedBatch {
			if err := count(); err != nil {
				return 0, err
			}
		}
	}
	return total, count()
}

// bytesHere sums the versions whose payload is here. Of a large one its manifest's own entries stand for what is below them.
func bytesHere(ctx context.Context, durable chunk.Store, versions []segment.Version) (int64, error) {
	var ids []chunk.ID
	for _, v := range versions {
		for _, e := range v.Content.Entries() {
			ids = append(ids, e.ID)
		}
	}
	missing, err := durable.Missing(ctx, ids)
	if err != nil {
		return 0, err
	}
	absent := make(idSet, len(missing))
	for _, id := range missing {
		absent[id] = struct{}{}
	}
	var n int64
	for _, v := range versions {
		here := true
		for _, e := range v.Content.Entries() {
			if _, ok := absent[e.ID]; ok {
				here = false
			}
		}
		if here {
			n += v.Size()
		}
	}
	return n, nil
}
