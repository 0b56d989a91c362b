package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// find finds a bucket, or a state of one. The answer's header tells which it is, where one as of a time was asked for.
func (s *Server) find(w http.ResponseWriter, name string) (*segment.Bucket, error) {
	b, err := s.Segment.Bucket(name)
	if err != nil {
		return nil, err
	}
	if st, ok := b.State(); ok && !st.Asked.IsZero() {
		text, err := json.Marshal(admin.AsOf{Bucket: name, State: b.Info().Name, Time: st.Time, Asked: st.Asked, Before: st.Asked.Sub(st.Time).Seconds()})
		if err != nil {
			return nil, err
		}
		w.Header().Add(admin.HeaderAsOf, base64.StdEncoding.EncodeToString(text))
	}
	return b, nil
}

// pin makes the bucket of the path that was asked for as of a time the state that is found now: a call is of one.
func (s *Server) pin(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("bucket")
	if !strings.Contains(name, "@") {
		return nil
	}
	b, err := s.find(w, name)
	if err == nil {
		r.SetPathValue("bucket", b.Info().Name)
	}
	return err
}
