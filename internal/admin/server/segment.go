package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
)

// Status is the segment at this moment, apart from the exposed bytes, which take long to count.
func (s *Server) Status() (admin.Status, error) {
	st, err := s.Base()
	if err != nil {
		return st, err
	}
	st.Storage.ExposedBytes = -1
	st.Links = s.Links.List()
	for _, info := range s.Segment.Buckets() {
		b, err := s.Segment.BucketByID(info.ID)
		if err != nil {
			continue // deleted meanwhile
		}
		n := b.Stats()
		st.Buckets++
		st.Objects += n.Objects
		st.Bytes += n.Bytes
		st.Conflicts += n.Conflicts
		st.Dropped += b.Dropped().Count
	}
	return st, nil
}

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) error {
	st, err := s.Status()
	if err != nil {
		return err
	}
	n, err := s.ExposedBytes(r.Context())
	switch {
	case r.Context().Err() != nil:
		return err
	case err != nil: // all the rest is the more wanted
		st.Storage.ExposedWhy = err.Error()
	default:
		st.Storage.ExposedBytes = n
	}
	return ok(w, st)
}

// ExposedBytes counts, in all buckets, what no other segment is known to hold. It may take long.
func (s *Server) ExposedBytes(ctx context.Context) (total int64, err error) {
	for _, info := range s.Segment.Buckets() {
		n, err := s.Exposed(ctx, info.ID)
		if err != nil {
			return 0, fmt.Errorf("bucket %s: %w", info.Name, err)
		}
		total += n
	}
	return total, nil
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error { return ok(w, s.Health()) }

func (s *Server) credentials(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	return ok(w, s.Credentials)
}

func (s *Server) links(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, admin.Links{Links: s.Links.List()})
}

func (s *Server) invite(w http.ResponseWriter, r *http.Request) error {
	var q admin.InvitationRequest
	if err := read(r, &q); err != nil {
		return err
	}
	valid := time.Hour
	if q.Valid != "" {
		d, err := time.ParseDuration(q.Valid)
		if err != nil || d <= 0 {
			return invalid("valid %q: want a time such as 10m or 1h", q.Valid)
		}
		valid = d
	}
	i, err := s.Links.Invite(r.Context(), valid, q.Addresses)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return ok(w, i)
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) error {
	var j admin.Join
	if err := read(r, &j); err != nil {
		return err
	}
	l, err := s.Links.Join(r.Context(), j.Invitation)
	if err != nil {
		return err
	}
	return ok(w, l)
}

func (s *Server) removeLink(w http.ResponseWriter, r *http.Request) error {
	if err := s.Links.Remove(r.Context(), r.PathValue("peer")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
