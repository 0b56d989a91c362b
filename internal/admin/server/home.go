package server

import (
	"net/http"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// moveHome hands a bucket over to another segment or, by force, makes this one its home.
func (s *Server) moveHome(w http.ResponseWriter, r *http.Request) error {
	var m admin.HomeMove
	if err := read(r, &m); err != nil {
		return err
	}
	b, err := s.named(r)
	if err != nil {
		return err
	}
	to, err := s.segmentNamed(m.Segment)
	if err != nil {
		return err
	}
	switch {
	case !m.Force:
		err = b.MoveHome(r.Context(), to)
	case to != s.Segment.ID():
		err = invalid("by force a segment makes itself the home: ask %s", s.Segment.SegmentName(to))
	default:
		err = b.TakeHome(r.Context())
	}
	if err != nil {
		return err
	}
	return ok(w, s.withPending(b))
}

// renameBucket gives a bucket another name.
func (s *Server) renameBucket(w http.ResponseWriter, r *http.Request) error {
	var n admin.BucketName
	if err := read(r, &n); err != nil {
		return err
	}
	b, err := s.Segment.RenameBucket(r.Context(), r.PathValue("bucket"), n.Name)
	if err != nil {
		return err
	}
	return ok(w, s.withPending(b))
}

// segmentNamed finds a segment of the federation by its name or id.
func (s *Server) segmentNamed(text string) (segment.ID, error) {
	var found []segment.ID
	for id, name := range s.Segment.Segments() {
		if name == text || id.String() == text {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return 0, invalid("segment %q is not known here", text)
	case 1:
		return found[0], nil
	}
	return 0, invalid("%d segments are named %q: say the id", len(found), text)
}

// withPending describes a bucket, and who may not know its settings yet.
func (s *Server) withPending(b *segment.Bucket) admin.Bucket {
	out := bucketOf(b.Info())
	for _, id := range s.Links.Pending(b.ID()) {
		out.Pending = append(out.Pending, s.Segment.SegmentName(id))
	}
	return out
}
