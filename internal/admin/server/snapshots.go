package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

func snapshotOf(i segment.SnapshotInfo) admin.Snapshot {
	s := admin.Snapshot{Name: i.Name, Created: i.Created, Segment: i.Segment, Objects: i.Objects, Bytes: i.Bytes, Versions: i.Versions, Complete: i.Complete, Until: i.Until, Due: i.Due}
	if !i.Root.IsZero() {
		s.Root = i.Root.String()
	}
	return s
}

func (s *Server) snapshots(w http.ResponseWriter, r *http.Request) error {
	b, err := s.named(r)
	if err != nil {
		return err
	}
	found, err := b.Snapshots(r.Context())
	if err != nil {
		return err
	}
	all := []admin.Snapshot{}
	for _, i := range found {
		all = append(all, snapshotOf(i))
	}
	return ok(w, all)
}

func (s *Server) createSnapshot(w http.ResponseWriter, r *http.Request) error {
	b, err := s.named(r)
	if err != nil {
		return err
	}
	var n admin.NewSnapshot
	if err := read(r, &n); err != nil {
		return err
	}
	create := b.CreateSnapshot
	if n.KeepFor != "" {
		keep, ok := segment.ParseSpan(n.KeepFor)
		if !ok {
			return invalid("keep for %q: want a number and one of s, m, h, d and w, as 7d", n.KeepFor)
		}
		create = func(ctx context.Context, name string) (segment.SnapshotInfo, error) {
			return b.CreateSnapshotFor(ctx, name, keep)
		}
	}
	i, err := create(r.Context(), n.Name)
	if err != nil {
		return err
	}
	answer(w, http.StatusCreated, snapshotOf(i))
	return nil
}

func (s *Server) deleteSnapshot(w http.ResponseWriter, r *http.Request) error {
	b, err := s.named(r)
	if err == nil {
		err = b.DeleteSnapshot(r.Context(), r.PathValue("snapshot"))
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// diff writes a line for each key that differs, and one at the end.
func (s *Server) diff(w http.ResponseWriter, r *http.Request) error {
	from, err := s.named(r)
	if err != nil {
		return err
	}
	to, err := s.find(w, param(r, "to"))
	if err != nil {
		return err
	}
	begun := false
	lines := json.NewEncoder(w)
	begin := func() {
		if !begun {
			w.Header().Set("Content-Type", "application/x-ndjson")
			begun = true
		}
	}
	end := admin.DiffEvent{Done: true}
	for d, err := range segment.Diff(r.Context(), from, to, param(r, "prefix")) {
		if err != nil && !begun {
			return err
		}
		if err != nil {
			end.Error = refusal(err)
			break
		}
		begin()
		line := admin.Difference{Key: d.Key}
		if d.From != nil {
			o := s.objectOf(*d.From)
			line.From = &o
		}
		if d.To != nil {
			o := s.objectOf(*d.To)
			line.To = &o
		}
		if err := lines.Encode(admin.DiffEvent{Difference: &line}); err != nil {
			return nil // the client is gone
		}
	}
	begin()
	_ = lines.Encode(end)
	return nil
}

// restoreTell is how often a restore says where it stands.
const restoreTell = 200 * time.Millisecond

func (s *Server) restore(w http.ResponseWriter, r *http.Request) error {
	b, err := s.named(r)
	if err != nil {
		return err
	}
	var q admin.Restore
	if err := read(r, &q); err != nil {
		return err
	}
	from, err := s.find(w, q.From)
	if err != nil {
		return err
	}
	if from.ID() != b.ID() {
		return invalid("%s is no snapshot of %s", q.From, r.PathValue("bucket"))
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines, told := json.NewEncoder(w), time.Time{}
	tell := func(e admin.RestoreEvent) {
		_ = lines.Encode(e) // whoever does not listen any more has ended the context
		_ = http.NewResponseController(w).Flush()
		told = time.Now()
	}
	done, err := b.Restore(r.Context(), from, q.Prefix, func(so segment.Restored) {
		if time.Since(told) > restoreTell {
			tell(restoreEvent(so))
		}
	})
	last := restoreEvent(done)
	if last.Done = true; err != nil {
		last.Error = refusal(err)
	}
	tell(last)
	return nil
}

func restoreEvent(r segment.Restored) admin.RestoreEvent {
	return admin.RestoreEvent{Put: r.Put, Deleted: r.Deleted, Skipped: r.Skipped, Differed: r.Differed}
}
