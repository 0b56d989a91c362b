package server

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// limit is the page size that was asked for.
func limit(r *http.Request) (int, error) {
	text := param(r, "limit")
	if text == "" {
		return admin.MaxPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, invalid("limit %q: want a number from 1 to %d", text, admin.MaxPage)
	}
	return min(n, admin.MaxPage), nil
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	b, err := s.named(r)
	if err != nil {
		return err
	}
	n, err := limit(r)
	if err != nil {
		return err
	}
	if param(r, "versions") == "true" {
		return s.listVersions(w, r, b, n)
	}
	page, err := b.List(r.Context(), segment.ListOptions{
		Prefix: param(r, "prefix"), Delimiter: param(r, "delimiter"), After: param(r, "after"), Limit: n,
	})
	if err != nil {
		return err
	}
	l := admin.List{Objects: []admin.Object{}, Truncated: page.Truncated, Next: page.Next}
	for _, e := range page.Entries {
		if e.Prefix != "" {
			l.Prefixes = append(l.Prefixes, e.Prefix)
			continue
		}
		l.Objects = append(l.Objects, s.objectOf(e.Version))
	}
	return ok(w, l)
}

// listVersions is list for all versions. Its place is a key and a version: version, space, key.
func (s *Server) listVersions(w http.ResponseWriter, r *http.Request, b *segment.Bucket, n int) error {
	o := segment.ListVersionsOptions{Prefix: param(r, "prefix"), Delimiter: param(r, "delimiter"), Limit: n}
	if after := param(r, "after"); after != "" {
		version, key, found := strings.Cut(after, " ")
		if !found {
			return invalid("after %q: this is not the place of a listing of versions", after)
		}
		o.KeyMarker = key
		marker, err := segment.ParseVersionRef(version)
		if err != nil {
			return invalid("after %q: %v", after, err)
		}
		o.VersionMarker = marker
	}
	page, err := b.ListVersions(r.Context(), o)
	if err != nil {
		return err
	}
	l := admin.List{Objects: []admin.Object{}, Truncated: page.Truncated}
	if page.Truncated {
		l.Next = page.NextVersionMarker.String() + " " + page.NextKeyMarker
	}
	for _, e := range page.Entries {
		if e.Prefix != "" {
			l.Prefixes = append(l.Prefixes, e.Prefix)
			continue
		}
		object := s.objectOf(e.Version)
		object.Latest = e.Latest
		l.Objects = append(l.Objects, object)
	}
	return ok(w, l)
}
