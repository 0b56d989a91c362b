package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// States of a device that programs look for; others come with a reason.
const (
	DeviceServing  = "serving"
	DeviceDraining = "draining"
	DeviceDrained  = "drained"
)

// Device is a folder, on a disk of its own, that keeps chunks of the segment.
type Device struct {
	ID               string   `json:"id"`
	Path             string   `json:"path"`
	State            string   `json:"state"`         // serving, draining, drained, full; opening, missing, stalled, failed
	Why              string   `json:"why,omitempty"` // of a state that has a reason
	Chunks           int64    `json:"chunks"`        // durable
	Bytes            int64    `json:"bytes"`
	CachedChunks     int64    `json:"cachedChunks"`
	CachedBytes      int64    `json:"cachedBytes"`
	UsedBytes        int64    `json:"usedBytes"` // that it takes of its file system
	FreeBytes        int64    `json:"freeBytes"` // of that
	Content          Use      `json:"content"`   // durable, of objects
	Meta             Use      `json:"meta"`      // durable metadata
	Cached           Use      `json:"cached"`    // may vanish
	PackBytes        int64    `json:"packBytes"` // of the files that these are in
	DamagedChunks    int64    `json:"damagedChunks"`
	UnreadableChunks int64    `json:"unreadableChunks"` // that the disk did not give since the daemon started
	Opening          *Opening `json:"opening,omitempty"`
	Drain            *Drain   `json:"drain,omitempty"`
}

// Opening is how far the packs of a device were looked at.
type Opening struct {
	Packs int64 `json:"packs"`
	Of    int64 `json:"of"`
}

// Drain is how far a device is drained.
type Drain struct {
	Bytes      int64 `json:"bytes"`  // that were to be moved
	Passed     int64 `json:"passed"` // of them, in this round
	Moved      int64 `json:"moved"`  // that were copied; others were elsewhere already
	LeftChunks int64 `json:"leftChunks"`
	LeftBytes  int64 `json:"leftBytes"` // on no other device, as last counted
	Done       bool  `json:"done"`
}

// Devices is what a segment has.
type Devices struct {
	Devices []Device `json:"devices"`
}

// NewDevice asks for a folder to be added.
type NewDevice struct {
	Path string `json:"path"` // absolute, at the segment
}

// Candidate is a place where a device could be.
type Candidate struct {
	Kind  string `json:"kind"` // folder, which can be added; disk, which needs a file system first
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"` // of the disk, or free in the folder's file system
	Type  string `json:"type,omitempty"`
}

// Candidates is what was found.
type Candidates struct {
	Candidates []Candidate `json:"candidates"`
}

// Devices are the devices of the segment.
func (c *Client) Devices(ctx context.Context) ([]Device, error) {
	var d Devices
	err := c.call(ctx, request{method: http.MethodGet, path: "/devices"}, nil, &d)
	return d.Devices, err
}

// AddDevice makes an empty folder a device.
func (c *Client) AddDevice(ctx context.Context, path string) (d Device, err error) {
	return d, c.call(ctx, request{method: http.MethodPost, path: "/devices", patient: true}, NewDevice{path}, &d)
}

// DrainDevice begins to move what a device holds to the others.
func (c *Client) DrainDevice(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodPost, path: "/devices/" + id + "/drain"}, nil, nil)
}

// UndrainDevice has a device take writes again.
func (c *Client) UndrainDevice(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/devices/" + id + "/drain", patient: true}, nil, nil)
}

// GetsOn says whether the device is being drained and that does not wait for anything.
func (d Device) GetsOn() bool { return d.State == DeviceDraining && d.Why == "" }

// FollowDevice tells how a device is, at first and as its drain gets on, until that ends, or waits for something. An error of event ends it.
func (c *Client) FollowDevice(ctx context.Context, id string, event func(Device) error) error {
	r := request{method: http.MethodGet, path: "/devices/" + id + "/drain", patient: true}
	return c.lines(ctx, r, nil, func(line *json.Decoder) (bool, error) {
		var d Device
		if err := line.Decode(&d); err != nil {
			return false, fmt.Errorf("the drain goes on, but how far it is was not told to the end: %w", err)
		}
		return !d.GetsOn(), event(d)
	})
}

// RemoveDevice takes a device out of the segment. What no other device holds must be allowed to be lost.
func (c *Client) RemoveDevice(ctx context.Context, id string, lose bool) error {
	r := request{method: http.MethodDelete, path: "/devices/" + id, patient: true}
	if lose {
		r.query = map[string]string{"lose": "true"}
	}
	return c.call(ctx, r, nil, nil)
}

// DiscoverDevices looks for empty places on the segment's machine.
func (c *Client) DiscoverDevices(ctx context.Context) ([]Candidate, error) {
	var d Candidates
	err := c.call(ctx, request{method: http.MethodGet, path: "/devices/candidates", patient: true}, nil, &d)
	return d.Candidates, err
}
