package server

import (
	"net/http"
	"net/http/pprof"

	"github.com/edgefs/edgefs/internal/admin"
)

// profiles serves what "go tool pprof" asks for, below Version1. Only administrators get there.
func (s *Server) profiles() {
	const below = admin.Version1 + "/debug/pprof/"
	s.mux.HandleFunc("GET "+below+"profile", pprof.Profile)
	s.mux.HandleFunc("GET "+below+"trace", pprof.Trace)
	s.mux.HandleFunc("GET "+below+"{name}", func(w http.ResponseWriter, r *http.Request) {
		pprof.Handler(r.PathValue("name")).ServeHTTP(w, r)
	})
}
