package server

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// Space is what takes space, as far as it is known without counting.
func (s *Server) Space(ctx context.Context) (admin.Space, error) {
	st, err := s.Base()
	if err != nil {
		return admin.Space{}, err
	}
	out := admin.Space{Buckets: []admin.BucketSpace{}, Devices: st.Storage.Devices}
	t := &out.Total
	t.Staged, t.Free = st.Storage.StagedBytes, st.Storage.FreeBytes
	for _, d := range out.Devices {
		t.Content, t.Meta, t.Cached = t.Content.Add(d.Content), t.Meta.Add(d.Meta), t.Cached.Add(d.Cached)
		t.Packs += d.PackBytes
	}
	t.Other = max(0, t.Packs-t.Content.Stored-t.Meta.Stored-t.Cached.Stored)
	counts := map[segment.BucketID]segment.BucketSpace{}
	if sp := s.Segment.Space(); sp != nil {
		out.Count = spaceCount(sp)
		for _, b := range sp.Buckets {
			counts[b.ID] = b
		}
	}
	for _, info := range s.Segment.Buckets() {
		b, err := s.Segment.BucketByID(info.ID)
		if err != nil {
			continue // deleted meanwhile
		}
		row := bucketSpace(ctx, b, info)
		if c, ok := counts[info.ID]; ok {
			row.Count = new(bucketCount(c))
		}
		t.Objects += row.Objects
		t.Current += row.Current
		if row.Logical < 0 || t.Logical < 0 {
			t.Logical = -1
		} else {
			t.Logical += row.Logical
		}
		out.Buckets = append(out.Buckets, row)
	}
	return out, ctx.Err()
}

func bucketSpace(ctx context.Context, b *segment.Bucket, info segment.BucketInfo) admin.BucketSpace {
	st := b.Stats()
	row := admin.BucketSpace{Bucket: info.Name, ID: info.ID.String(), Objects: st.Objects, Current: st.Bytes, Logical: -1}
	if n, err := b.Logical(ctx); err == nil {
		row.Logical = n
	}
	return row
}

func spaceCount(sp *segment.Space) *admin.SpaceCount {
	out := &admin.SpaceCount{At: sp.Began, Took: sp.Took.Round(time.Millisecond).String(), Copies: admin.Use(sp.Copies), Foreign: admin.Use(sp.Foreign)}
	for _, d := range sp.Domains {
		out.Domains = append(out.Domains, admin.DomainSpace{
			Domain: d.Name, Unique: admin.Use(d.Content), Meta: admin.Use(d.Meta), Shared: admin.Use(d.Shared),
			Underway: admin.Use(d.Underway), Unreached: admin.Use(d.Unreached), CompressionRatio: ratio(d.Content.Bytes, d.Content.Stored),
		})
	}
	var system segment.BucketSpace
	for _, b := range sp.Buckets {
		if b.System {
			system.Content = segment.Shares{Exclusive: system.Content.Exclusive.Add(b.Content.Exclusive), Shared: system.Content.Shared.Add(b.Content.Shared)}
			system.Meta = segment.Shares{Exclusive: system.Meta.Exclusive.Add(b.Meta.Exclusive), Shared: system.Meta.Shared.Add(b.Meta.Shared)}
			system.NotHere += b.NotHere
		}
	}
	out.System = bucketCount(system)
	return out
}

func bucketCount(b segment.BucketSpace) admin.BucketCount {
	unique := b.Content.All()
	out := admin.BucketCount{
		Current: b.Current, Logical: b.Logical, Unique: admin.Use(unique), Exclusive: admin.Use(b.Content.Exclusive), Shared: admin.Use(b.Content.Shared),
		MetaExclusive: admin.Use(b.Meta.Exclusive), MetaShared: admin.Use(b.Meta.Shared), NotHere: b.NotHere,
		CompressionRatio: ratio(unique.Bytes, unique.Stored),
	}
	if b.NotHere == 0 {
		out.DedupRatio = ratio(b.Logical, unique.Bytes)
	}
	return out
}

// ratio is 0 where there is none.
func ratio(a, b int64) float64 {
	if b <= 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func (s *Server) space(w http.ResponseWriter, r *http.Request) error {
	sp, err := s.Space(r.Context())
	if err != nil {
		return err
	}
	return ok(w, sp)
}

// countSpace counts for as long as the client listens and the daemon lives.
func (s *Server) countSpace(w http.ResponseWriter, r *http.Request) error {
	ctx, done := s.whileServing(r.Context())
	defer done()
	lines, told := json.NewEncoder(w), time.Time{}
	tell := func(e admin.SpaceEvent) {
		if told.IsZero() {
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		told = time.Now()
		_ = lines.Encode(e) // whoever does not listen any more has ended the context
		_ = http.NewResponseController(w).Flush()
	}
	_, err := s.Segment.CountSpace(ctx, segment.SpaceOptions{Progress: func(named int64) {
		if time.Since(told) > collectTell {
			tell(admin.SpaceEvent{Named: named})
		}
	}})
	var sp admin.Space
	if err == nil {
		sp, err = s.Space(ctx)
	}
	switch {
	case err != nil && told.IsZero():
		return err
	case err != nil:
		tell(admin.SpaceEvent{Done: true, BrokenOff: cmp.Or(context.Cause(ctx), err).Error()})
	default:
		tell(admin.SpaceEvent{Done: true, Space: &sp})
	}
	return nil
}
