package server

import (
	"net/http"
	"strings"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// rename moves a key, or a directory.
func (s *Server) rename(w http.ResponseWriter, r *http.Request) error {
	var m admin.Rename
	if err := read(r, &m); err != nil {
		return err
	}
	b, err := s.named(r)
	if err != nil {
		return err
	}
	directory := strings.HasSuffix(m.From, "/")
	if directory != strings.HasSuffix(m.To, "/") {
		return invalid("%q and %q: either both end in a slash, and are directories, or none does", m.From, m.To)
	}
	rename := b.Rename
	if directory {
		rename = b.RenamePrefix
	}
	d, err := rename(r.Context(), m.From, m.To, segment.RenameOptions{Replace: m.Replace})
	if err != nil {
		return err
	}
	return ok(w, admin.Renamed{From: m.From, To: m.To, Keys: d.Keys, Versions: d.Versions})
}
