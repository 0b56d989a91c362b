package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

func (s *Server) conflicts(w http.ResponseWriter, r *http.Request) error {
	b, err := s.named(r)
	if err != nil {
		return err
	}
	n, err := limit(r)
	if err != nil {
		return err
	}
	found, err := b.ConflictsBelow(r.Context(), param(r, "prefix"), param(r, "after"), n)
	if err != nil {
		return err
	}
	dropped := b.Dropped()
	page := admin.Conflicts{Conflicts: []admin.Conflict{}, Total: b.Stats().Conflicts, Dropped: dropped.Count}
	if dropped.Count > 0 {
		page.LastDrop = &dropped.Last
	}
	for _, c := range found {
		page.Conflicts = append(page.Conflicts, s.conflictOf(b, c))
	}
	if len(found) == n {
		page.Next = found[n-1].Key
	}
	return ok(w, page)
}

func (s *Server) conflictOf(b *segment.Bucket, c segment.Conflict) admin.Conflict {
	both := b.Settings().Policy == segment.KeepBoth
	out := admin.Conflict{Key: c.Key, Current: s.oneOf(c.Current), Losers: []admin.Object{}}
	for _, l := range c.Losers {
		o := s.oneOf(l)
		if both {
			o.Name = segment.LoserName(c.Key, l.Dot)
		}
		out.Losers = append(out.Losers, o)
	}
	return out
}

// conflict is one, with what of each version is here.
func (s *Server) conflict(w http.ResponseWriter, r *http.Request) error {
	b, key, err := s.target(r)
	if err != nil {
		return err
	}
	found, err := b.Conflict(r.Context(), key)
	if err != nil {
		return err
	}
	if found == nil {
		return &admin.Error{Code: admin.NoSuchKey, Message: fmt.Sprintf("%q is not in conflict", key)}
	}
	out := s.conflictOf(b, *found)
	if out.Current.Here, err = s.bytesHere(r.Context(), b, found.Current); err != nil {
		return err
	}
	for i, l := range found.Losers {
		if out.Losers[i].Here, err = s.bytesHere(r.Context(), b, l); err != nil {
			return err
		}
	}
	return ok(w, out)
}

// hereBatch bounds the memory of counting.
const hereBatch = 4096

// bytesHere counts the bytes of a version's content that can be read without asking another segment; nil of a delete marker.
func (s *Server) bytesHere(ctx context.Context, b *segment.Bucket, v segment.Version) (*int64, error) {
	if v.Marker {
		return nil, nil
	}
	object, err := s.Segment.ObjectHere(b.ID(), v)
	if err != nil {
		return nil, err
	}
	var here int64
	sizes := map[chunk.ID]int64{} // of the chunks of a batch, in all places where the content has them
	count := func() error {
		missing, err := s.Local.Missing(ctx, slices.Collect(maps.Keys(sizes)))
		for _, id := range missing {
			delete(sizes, id)
		}
		for _, n := range sizes {
			here += n
		}
		clear(sizes)
		return err
	}
	for piece, err := range object.Pieces(ctx) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil || piece.Level > 0 { // what is below a node that is not here counts as elsewhere
			continue
		}
		if sizes[piece.ID] += piece.Size; len(sizes) >= hereBatch {
			if err := count(); err != nil {
				return nil, err
			}
		}
	}
	return &here, count()
}
