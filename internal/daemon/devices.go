package daemon

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/spread"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/disks"
	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/vfs"
)

// siteDevices is the devices of a site as the admin API sees them.
type siteDevices struct{ store *store }

// List implements server.Devices.
func (s siteDevices) List() []admin.Device {
	all := []admin.Device{}
	for _, st := range s.store.devices.Devices() {
		d := deviceOf(st)
		usageOf(&d, st)
		all = append(all, d)
	}
	return all
}

// Add implements server.Devices.
func (s siteDevices) Add(ctx context.Context, path string) (admin.Device, error) {
	id, err := s.store.devices.Add(ctx, path)
	if err != nil {
		return admin.Device{}, deviceFault(err)
	}
	for _, d := range s.List() {
		if d.ID == id.String() {
			return d, nil
		}
	}
	return admin.Device{ID: id.String(), Path: path}, nil
}

// Drain implements server.Devices.
func (s siteDevices) Drain(id string) error { return deviceFault(s.store.devices.Drain(deviceID(id))) }

// Undrain implements server.Devices.
func (s siteDevices) Undrain(id string) error {
	return deviceFault(s.store.devices.Undrain(deviceID(id)))
}

// Follow implements server.Devices.
func (s siteDevices) Follow(ctx context.Context, id string, tell func(admin.Device) (goOn bool)) error {
	return deviceFault(s.store.devices.Follow(ctx, deviceID(id), func(st spread.Status) bool {
		return tell(deviceOf(st))
	}))
}

// Remove implements server.Devices.
func (s siteDevices) Remove(ctx context.Context, id string, lose bool) error {
	return deviceFault(s.store.devices.Remove(ctx, deviceID(id), lose))
}

// Discover implements server.Devices.
func (s siteDevices) Discover(ctx context.Context) ([]admin.Candidate, error) {
	found, err := disks.Discover(ctx, "/")
	all := []admin.Candidate{}
	for _, c := range found {
		all = append(all, admin.Candidate(c))
	}
	return all, err
}

// Check implements server.Devices.
func (s siteDevices) Check(ctx context.Context, tell finding.Tell, progress func(done, of int64)) error {
	return s.store.devices.Check(ctx, tell, progress)
}

// deviceID reads an id; what is none names no device.
func deviceID(text string) (id pack.ID) {
	if len(text) == hex.EncodedLen(len(id)) {
		_, _ = hex.Decode(id[:], []byte(text))
	}
	return id
}

// deviceFault is err as the admin API says it.
func deviceFault(err error) error {
	for _, f := range []struct {
		err  error
		code admin.Code
	}{
		{spread.ErrNoDevice, admin.NoSuchDevice},
		{spread.ErrHolds, admin.DeviceHolds},
		{spread.ErrLast, admin.LastDevice},
		{spread.ErrTaken, admin.DeviceTaken},
		{vfs.ErrLocked, admin.DeviceTaken},
	} {
		if errors.Is(err, f.err) {
			return &admin.Error{Code: f.code, Message: err.Error()}
		}
	}
	return err
}
