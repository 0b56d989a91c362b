package server

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

func (s *Server) startScrub(w http.ResponseWriter, r *http.Request) error {
	var q admin.ScrubRequest
	if err := read(r, &q); err != nil {
		return err
	}
	st, _ := s.Segment.ScrubStatus()
	rate := st.Rate
	if q.Rate != nil {
		rate = *q.Rate
	}
	if rate < 0 {
		return invalid("rate is bytes a second")
	}
	if err := s.Segment.StartScrub(r.Context(), rate); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Server) stopScrub(w http.ResponseWriter, r *http.Request) error {
	if err := s.Segment.StopScrub(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) scrubStatus(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, s.ScrubStatus())
}

// ScrubStatus is how the scrub stands.
func (s *Server) ScrubStatus() admin.Scrub {
	st, _ := s.Segment.ScrubStatus()
	return scrubOf(st)
}

// followScrub answers with a line for each time that the scrub has got on, until it does not run.
func (s *Server) followScrub(w http.ResponseWriter, r *http.Request) error {
	ctx, done := s.whileServing(r.Context())
	defer done()
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	for {
		st, changed := s.Segment.ScrubStatus()
		if lines.Encode(scrubOf(st)) != nil || http.NewResponseController(w).Flush() != nil || !st.Running {
			return nil // whoever reads sees that the last line is none
		}
		select {
		case <-changed:
		case <-time.After(scrubTell):
		case <-ctx.Done():
			return nil
		}
	}
}

// scrubTell is how long a scrub may say nothing.
const scrubTell = 5 * time.Second

func scrubOf(st segment.ScrubStatus) admin.Scrub {
	r := st.Repairs
	s := admin.Scrub{
		Running: st.Running, Stopped: st.Stopped, Every: st.Every.String(), Rate: st.Rate, Next: st.Next, Failed: st.Failed,
		RepairedChunks: r.Repaired, LostUnknown: r.Failed, LostAt: r.At, Devices: []admin.ScrubDevice{}, Lost: []admin.LostChunk{},
	}
	for _, d := range st.Devices {
		s.LostChunks += d.Lost
		s.Devices = append(s.Devices, admin.ScrubDevice{
			Path: d.Device, Began: d.Began, Ended: d.Ended, Files: d.Files, AllFiles: d.AllFiles, Chunks: d.Chunks, Bytes: d.Bytes, Damaged: d.Damaged,
			Rewritten: d.Rewritten, Unreadable: d.Unreadable, Unknown: d.Unknown, Unnamed: d.Unnamed, Footers: d.Footers, Lost: d.Lost, Why: d.Why,
		})
	}
	if s.LostChunks == 0 {
		return s
	}
	for _, l := range r.Lost {
		s.Lost = append(s.Lost, admin.LostChunk{Chunk: l.Chunk.String(), Bucket: l.Bucket, Key: l.Key, Version: l.Version, Why: l.Why})
	}
	return s
}
