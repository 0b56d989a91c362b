package server

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// log answers what happened to a bucket, or to a key of it.
func (s *Server) log(w http.ResponseWriter, r *http.Request) error {
	b, err := s.named(r)
	if err != nil {
		return err
	}
	limit, err := strconv.Atoi(param(r, "limit"))
	if err != nil || limit < 1 || limit > admin.MaxPage {
		return invalid("limit %q: want a number from 1 to %d", param(r, "limit"), admin.MaxPage)
	}
	if key := param(r, "key"); key != "" {
		return s.keyLog(w, r, b, key, limit)
	}
	before := uint64(0)
	if next := param(r, "next"); next != "" {
		if before, err = strconv.ParseUint(next, 16, 64); err != nil {
			return invalid("next %q is of no page", next)
		}
	}
	found, err := b.Log(r.Context(), segment.HLC(before), limit)
	if err != nil {
		return err
	}
	page := admin.Log{Events: []admin.Event{}}
	for _, e := range found.Events {
		page.Events = append(page.Events, eventOf(e))
	}
	if found.Next > 0 {
		page.Next = strconv.FormatUint(uint64(found.Next), 16)
	}
	return ok(w, page)
}

func eventOf(e segment.Event) admin.Event {
	out := admin.Event{Time: e.Time, Kind: string(e.Kind), Segment: e.Segment, Name: e.Name, Objects: e.Objects, Bytes: e.Bytes, Writes: e.Writes}
	if e.Root != nil {
		out.Root = e.Root.String()
	}
	if e.Settings != nil {
		set := bucketOf(segment.BucketInfo{Settings: *e.Settings}).Settings
		out.Settings = &set
	}
	if m := e.Merged; m != nil {
		out.Merged = &admin.Merged{Put: m.Put, Deleted: m.Deleted, Conflicts: m.Conflicts, Same: m.Same}
	}
	return out
}

func (s *Server) keyLog(w http.ResponseWriter, r *http.Request, b *segment.Bucket, key string, limit int) error {
	var after *segment.VersionID
	if next := param(r, "next"); next != "" {
		id, err := segment.ParseVersionID(next)
		if err != nil {
			return err
		}
		after = &id
	}
	found, more, err := b.KeyLog(r.Context(), key, after, limit)
	if err != nil {
		return err
	}
	page := admin.KeyLog{Versions: []admin.KeyVersion{}}
	for _, v := range found {
		page.Versions = append(page.Versions, admin.KeyVersion{Object: s.objectOf(v.Version), Current: v.Current, Open: v.Open})
		if more {
			page.Next = v.VersionID.String()
		}
	}
	if len(found) == 0 && after == nil {
		return fmt.Errorf("%q: %w", key, segment.ErrNoSuchKey)
	}
	return ok(w, page)
}
