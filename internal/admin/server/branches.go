package server

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

func branchOf(b segment.Branch) admin.Branch {
	return admin.Branch{Name: b.Name, ID: b.ID.String(), Parent: b.Parent, Snapshot: b.Snapshot, Created: b.Created, Segment: b.Segment, Base: b.Base.String(), Writes: b.Writes, Ready: b.Ready}
}

func (s *Server) branches(w http.ResponseWriter, r *http.Request) error {
	var parent segment.BucketID
	if of := param(r, "of"); of != "" {
		b, err := s.Segment.Bucket(of)
		if err != nil {
			return err
		}
		parent = b.ID()
	}
	all := []admin.Branch{}
	for _, b := range s.Segment.Branches(parent) {
		all = append(all, branchOf(b))
	}
	return ok(w, all)
}

func (s *Server) createBranch(w http.ResponseWriter, r *http.Request) error {
	var n admin.NewBranch
	if err := read(r, &n); err != nil {
		return err
	}
	made, err := s.Segment.CreateBranch(r.Context(), n.From, n.Name)
	if err != nil {
		return err
	}
	for _, b := range s.Segment.Branches(segment.BucketID{}) {
		if b.ID == made.ID() {
			answer(w, http.StatusCreated, branchOf(b))
			return nil
		}
	}
	return segment.ErrNoSuchBucket // deleted meanwhile
}

func (s *Server) deleteBranch(w http.ResponseWriter, r *http.Request) error {
	if err := s.Segment.DeleteBranch(r.Context(), r.PathValue("branch"), param(r, "force") == "true"); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// merge writes a line for each key that it would do or that is in conflict, where it stands now and then, and one at the end.
func (s *Server) merge(w http.ResponseWriter, r *http.Request) error {
	into, err := s.named(r)
	if err != nil {
		return err
	}
	var q admin.Merge
	if err := read(r, &q); err != nil {
		return err
	}
	from, err := s.Segment.Bucket(q.From)
	if err != nil {
		return err
	}
	o := segment.MergeOptions{DryRun: q.DryRun, Redo: q.Redo}
	if err := o.Policy.UnmarshalText([]byte(q.Policy)); err != nil {
		return err
	}
	lines, told, begun := json.NewEncoder(w), time.Now(), false
	tell := func(e admin.MergeEvent) {
		if !begun {
			w.Header().Set("Content-Type", "application/x-ndjson")
			begun = true
		}
		_ = lines.Encode(e)
		_ = http.NewResponseController(w).Flush()
		told = time.Now()
	}
	event := func(m segment.Merged) admin.MergeEvent {
		return admin.MergeEvent{Put: m.Put, Deleted: m.Deleted, Conflicts: m.Conflicts, Same: m.Same}
	}
	o.Step = func(step segment.MergeStep, so segment.Merged) {
		if q.DryRun || step.Action == segment.MergeConflict || time.Since(told) > restoreTell {
			e := event(so)
			e.Key, e.Action = step.Key, string(step.Action)
			tell(e)
		}
	}
	done, err := segment.Merge(r.Context(), from, into, o)
	if err != nil && !begun {
		return err
	}
	e := event(done)
	if e.Done = true; err != nil {
		e.Error = refusal(err)
	}
	tell(e)
	return nil
}
