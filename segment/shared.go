package segment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

const (
	docPeer       = "peer/"      // + id -> name: that segment may know of this one's buckets; in the local bucket
	docCollection = "collection" // the last collection; in the local bucket
)

// Shared notes, durably, that another segment is told of this one's buckets from now on. Links call it before they tell it anything: what it may then ask for is
// not collected.
func (s *Segment) Shared(ctx context.Context, peer ID, name string) error {
	key := docPeer + peer.String()
	if _, err := s.local.Stat(ctx, key, VersionRef{}); err == nil {
		return nil
	} else if !isMissing(err) {
		return fmt.Errorf("note segment %v: %w", peer, err)
	}
	if _, err := s.local.put(ctx, Cond{}, Version{Key: key, Data: []byte(name)}, nil); err != nil {
		return fmt.Errorf("note segment %v: %w", peer, err)
	}
	return nil
}

// sharedWith are the other segments that may know of this one's buckets, by name: those that it was linked with, and those that the federation knows of.
func (s *Segment) sharedWith(ctx context.Context) ([]string, error) {
	peers := s.Segments()
	s.mu.RLock()
	for id := range s.cursors {
		if _, known := peers[id]; !known {
			peers[id] = id.String()
		}
	}
	s.mu.RUnlock()
	for v, err := range s.local.eachCurrent(ctx, docPeer) {
		if err != nil {
			return nil, err
		}
		id, ok := strings.CutPrefix(v.Key, docPeer)
		if !ok {
			break
		}
		peer, err := ParseID(id)
		if err != nil {
			return nil, err
		}
		if _, known := peers[peer]; !known {
			peers[peer] = string(v.Data)
		}
	}
	delete(peers, s.cfg.ID)
	return slices.Sorted(maps.Values(peers)), nil
}

// noteCollection writes down what a collection has done.
func (s *Segment) noteCollection(ctx context.Context, r *CollectReport) error {
	_, err := s.local.put(ctx, Cond{}, Version{Key: docCollection, Data: r.appendTo(nil)}, nil)
	return err
}

// lastCollection is what was written down last; nil for nothing, or nothing that has ended.
func (s *Segment) lastCollection(ctx context.Context) (*CollectReport, error) {
	v, err := s.local.Stat(ctx, docCollection, VersionRef{})
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := parseReport(v.Data)
	if errors.Is(err, ErrForeign) || err == nil && r.Ended.IsZero() {
		return nil, nil
	}
	return r, err
}

const reportFormat = 1

func (r *CollectReport) appendTo(b []byte) []byte {
	b = putUint(b, 1, reportFormat)
	for i, n := range []int64{
		r.Began.UnixMilli(), r.ended(), r.Reached, r.Condemned.Chunks, r.Condemned.Bytes, r.Gone.Chunks, r.Gone.Bytes,
		int64(r.Compacted.Files), r.Compacted.Freed, r.Compacted.Copied, r.Compacted.Dead, int64(r.Compacted.Skipped),
	} {
		b = putUint(b, fieldNum(i+2), uint64(n))
	}
	return b
}

func (r *CollectReport) ended() int64 {
	if r.Ended.IsZero() {
		return 0
	}
	return r.Ended.UnixMilli()
}

func parseReport(b []byte) (*CollectReport, error) {
	var n [14]int64
	err := eachField("collection", b, func(f field) error {
		if f.num < 1 || int(f.num) >= len(n) {
			return fmt.Errorf("collection field %d: %w", f.num, ErrForeign)
		}
		n[f.num] = int64(f.n)
		return nil
	})
	if err == nil && n[1] != reportFormat {
		err = fmt.Errorf("collection format %d: %w", n[1], ErrForeign)
	}
	if err != nil {
		return nil, err
	}
	r := &CollectReport{
		Began: time.UnixMilli(n[2]).UTC(), Reached: n[4], Condemned: chunk.Swept{Chunks: n[5], Bytes: n[6]}, Gone: chunk.Swept{Chunks: n[7], Bytes: n[8]},
		Compacted: chunk.Compacted{Files: int(n[9]), Freed: n[10], Copied: n[11], Dead: n[12], Skipped: int(n[13])},
	}
	if n[3] != 0 {
		r.Ended = time.UnixMilli(n[3]).UTC()
	}
	return r, nil
}
