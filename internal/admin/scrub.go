package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// ScrubRequest begins a scrub of all devices. Where one is under way it goes on.
type ScrubRequest struct {
	// Rate bounds what is read of each device, in bytes a second; 0: nothing does. Nil: what the configuration says.
	Rate *int64 `json:"rate,omitempty"`
}

// Scrub is how the scrub stands: the pass of each device that is under way, or the last one.
type Scrub struct {
	Running bool          `json:"running"`
	Stopped bool          `json:"stopped,omitempty"` // by somebody: it goes on when it is asked to, at Next, or after a restart
	Devices []ScrubDevice `json:"devices"`
	Every   string        `json:"every"`            // how often a device is scrubbed by itself; "0s": never
	Rate    int64         `json:"rate"`             // bytes a second that are read of each device at the most; 0: nothing bounds it
	Next    time.Time     `json:"next,omitzero"`    // when it begins, or goes on, by itself
	Failed  string        `json:"failed,omitempty"` // why it does not get on; it tries again

	RepairedChunks int64       `json:"repairedChunks"`        // damaged ones that came from elsewhere, since the start
	LostChunks     int         `json:"lostChunks"`            // damaged ones that did not
	Lost           []LostChunk `json:"lost"`                  // what names these; 1000 at the most
	LostUnknown    string      `json:"lostUnknown,omitempty"` // why it is not known what names them
	LostAt         time.Time   `json:"lostAt,omitzero"`       // when that was looked for
}

// ScrubDevice is the pass of a device.
type ScrubDevice struct {
	Path       string    `json:"path"`
	Began      time.Time `json:"began,omitzero"`
	Ended      time.Time `json:"ended,omitzero"` // zero: it is under way
	Files      int       `json:"files"`          // of chunks, that were read
	AllFiles   int       `json:"allFiles"`
	Chunks     int64     `json:"chunks"` // that were read
	Bytes      int64     `json:"bytes"`  // of these
	Damaged    int64     `json:"damaged"`
	Rewritten  int64     `json:"rewritten"`     // of the damaged, written once more from the same copy
	Unreadable int64     `json:"unreadable"`    // that the disk did not give
	Unknown    int64     `json:"unknown"`       // stored in a form that this build does not know; their checksums are right
	Unnamed    int64     `json:"unnamed"`       // of domains that are not known; their checksums are right
	Footers    int64     `json:"footers"`       // damaged lists at the ends of files
	Lost       int       `json:"lost"`          // chunks that have not come back
	Why        string    `json:"why,omitempty"` // why it is not scrubbed at present
}

// LostChunk says what names a chunk that is lost.
type LostChunk struct {
	Chunk   string `json:"chunk"`
	Bucket  string `json:"bucket,omitempty"` // BUCKET@SNAPSHOT where only that has it
	Key     string `json:"key,omitempty"`    // of an object; empty for a part of the bucket's trees
	Version string `json:"version,omitempty"`
	Why     string `json:"why"`
}

// StartScrub begins a scrub, or has the one that is under way go on at another rate.
func (c *Client) StartScrub(ctx context.Context, q ScrubRequest) error {
	return c.call(ctx, request{method: http.MethodPost, path: "/scrub", patient: true}, q, nil)
}

// StopScrub stops the scrub where it is.
func (c *Client) StopScrub(ctx context.Context) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/scrub", patient: true}, nil, nil)
}

// Scrub says how the scrub stands.
func (c *Client) Scrub(ctx context.Context) (s Scrub, err error) {
	return s, c.call(ctx, request{method: http.MethodGet, path: "/scrub"}, nil, &s)
}

// FollowScrub tells how the scrub stands, at first and as it gets on, until it does not run any more. An error of event ends it.
func (c *Client) FollowScrub(ctx context.Context, event func(Scrub) error) error {
	r := request{method: http.MethodGet, path: "/scrub/progress", patient: true}
	return c.lines(ctx, r, nil, func(line *json.Decoder) (bool, error) {
		var s Scrub
		if err := line.Decode(&s); err != nil {
			return false, fmt.Errorf("the scrub goes on, but how far it is was not told to the end: %w", err)
		}
		return !s.Running, event(s)
	})
}
