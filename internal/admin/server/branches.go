package server

import (
	"net/http"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

func branchOf(b segment.Branch) admin.Branch {
	return admin.Branch{Name: b.Name, ID: b.ID.String(), Parent: b.Parent, Created: b.Created, Segment: b.Segment, Base: b.Base.String(), Writes: b.Writes, Ready: b.Ready}
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
