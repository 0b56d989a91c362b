package server

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/finding"
)

// Devices is what the API asks of the devices of a segment. Errors that are *admin.Error are answered as they are. Devices are named by their ids.
type Devices interface {
	List() []admin.Device
	Add(ctx context.Context, path string) (admin.Device, error)
	Drain(id string) error
	Undrain(id string) error
	// Follow tells how a device is, at first and as its drain gets on, until tell says that it is enough.
	Follow(ctx context.Context, id string, tell func(admin.Device) (goOn bool)) error
	Remove(ctx context.Context, id string, lose bool) error
	Discover(context.Context) ([]admin.Candidate, error)
	// Check looks at what lies on the devices, and tells of what is wrong and how many packs of a device it has looked at, of how many.
	Check(ctx context.Context, tell finding.Tell, progress func(done, of int64)) error
}

func (s *Server) devices(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, admin.Devices{Devices: s.Devices.List()})
}

func (s *Server) addDevice(w http.ResponseWriter, r *http.Request) error {
	var n admin.NewDevice
	if err := read(r, &n); err != nil {
		return err
	}
	d, err := s.Devices.Add(r.Context(), n.Path)
	if err != nil {
		return err
	}
	answer(w, http.StatusCreated, d)
	return nil
}

func (s *Server) drainDevice(w http.ResponseWriter, r *http.Request) error {
	if err := s.Devices.Drain(r.PathValue("device")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Server) undrainDevice(w http.ResponseWriter, r *http.Request) error {
	if err := s.Devices.Undrain(r.PathValue("device")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// followDevice answers with a line for each time that the drain has got on, until it is over, or waits for something.
func (s *Server) followDevice(w http.ResponseWriter, r *http.Request) error {
	ctx, done := s.whileServing(r.Context())
	defer done()
	lines := json.NewEncoder(w)
	begun := false
	err := s.Devices.Follow(ctx, r.PathValue("device"), func(d admin.Device) bool {
		if !begun {
			w.Header().Set("Content-Type", "application/x-ndjson")
			begun = true
		}
		if lines.Encode(d) != nil || http.NewResponseController(w).Flush() != nil {
			return false
		}
		return d.GetsOn()
	})
	if begun {
		return nil // whoever reads sees that the last line is none
	}
	return err
}

func (s *Server) removeDevice(w http.ResponseWriter, r *http.Request) error {
	if err := s.Devices.Remove(r.Context(), r.PathValue("device"), param(r, "lose") == "true"); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) discoverDevices(w http.ResponseWriter, r *http.Request) error {
	found, err := s.Devices.Discover(r.Context())
	if err != nil {
		return err
	}
	return ok(w, admin.Candidates{Candidates: found})
}
