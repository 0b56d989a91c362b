package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// CollectRequest asks for a collection of chunks that nothing reaches.
type CollectRequest struct {
	Dead int   `json:"dead,omitempty"` // percent of a file of chunks that must be of no use for the rest to be copied; 0: 30
	Rate int64 `json:"rate,omitempty"` // bytes a second that are copied at the most; 0: nothing bounds it
	// ForgetHistory are buckets whose remembered states are forgotten first: they cannot be read as of a time any more, but for their snapshots.
	ForgetHistory []string `json:"forgetHistory,omitempty"`
}

// Swept is a number of chunks, and of their bytes as they were stored.
type Swept struct {
	Chunks int64 `json:"chunks"`
	Bytes  int64 `json:"bytes"`
}

// Compacted is what giving room back did.
type Compacted struct {
	Files   int   `json:"files"`   // of chunks, that are gone
	Freed   int64 `json:"freed"`   // bytes that they took
	Copied  int64 `json:"copied"`  // bytes of them that were still of use
	Dead    int64 `json:"dead"`    // bytes of no use that are left in files that were to go
	Skipped int   `json:"skipped"` // files that were to go and could not
}

// Collection is what a collection did, or has done so far.
type Collection struct {
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended,omitzero"`
	Reached   int64     `json:"reached"`   // chunks that are of use
	Condemned Swept     `json:"condemned"` // by the first look
	Gone      Swept     `json:"gone"`      // removed
	Compacted Compacted `json:"compacted"`
	Kept      []string  `json:"kept,omitempty"` // segments for which everything is kept: nothing was collected
	// History is what only remembered states of buckets keep, the most bytes first.
	History []KeptHistory `json:"history,omitempty"`
}

// KeptHistory is content that only states of a bucket reach which are remembered, so that it can be read as of a time.
type KeptHistory struct {
	Bucket string    `json:"bucket"`
	States int       `json:"states"`
	Chunks int64     `json:"chunks"`
	Bytes  int64     `json:"bytes"` // before they are compressed
	Until  time.Time `json:"until"` // when the last of it is forgotten by itself
}

// CollectEvent is a line of the answer to a [CollectRequest]: how far it is. The last has Done set; when none has, the collection was broken off.
type CollectEvent struct {
	Collection
	Done      bool   `json:"done,omitempty"`
	Phase     string `json:"phase,omitempty"`
	Named     int64  `json:"named,omitempty"`     // chunks, with repetition, that a look has come by
	BrokenOff string `json:"brokenOff,omitempty"` // why it ended early; what was done stays done
}

// CollectStatus is what is known of collections.
type CollectStatus struct {
	Running     *CollectEvent `json:"running,omitempty"`
	Last        *Collection   `json:"last,omitempty"`
	Failed      string        `json:"failed,omitempty"` // why the last that was tried since the start ended early
	Kept        []string      `json:"kept,omitempty"`   // segments for which everything is kept
	Writers     int           `json:"writers"`          // writes and reads under way, whose chunks are spared
	Every       string        `json:"every"`            // how often the segment collects by itself; "0s": never
	Runs        int64         `json:"runs"`             // since the start, as what follows
	Failures    int64         `json:"failures"`
	GoneChunks  int64         `json:"goneChunks"`
	GoneBytes   int64         `json:"goneBytes"`
	FreedBytes  int64         `json:"freedBytes"`
	CopiedBytes int64         `json:"copiedBytes"`
}

// Holder is something that keeps a chunk.
type Holder struct {
	Bucket string `json:"bucket,omitempty"`
	Why    string `json:"why"`           // what of the bucket: its current state, a snapshot, ...
	Key    string `json:"key,omitempty"` // of an object; empty for a part of the bucket's trees
}

// Explanation says what keeps a chunk; nothing: it is garbage, or not here.
type Explanation struct {
	Chunk   string   `json:"chunk"`
	Here    bool     `json:"here"`
	Holders []Holder `json:"holders"`
}

// Collect removes chunks that nothing reaches, and reports how far it is from time to time. When ctx ends it stops, and what was done stays done. An error of event
// ends it.
func (c *Client) Collect(ctx context.Context, q CollectRequest, event func(CollectEvent) error) error {
	r := request{method: http.MethodPost, path: "/collect", patient: true}
	return c.lines(ctx, r, q, func(line *json.Decoder) (bool, error) {
		var e CollectEvent
		if err := line.Decode(&e); err != nil {
			return false, fmt.Errorf("the collection was broken off: %w", err)
		}
		return e.Done, event(e)
	})
}

// CollectStatus says what collections have done, and whether one runs.
func (c *Client) CollectStatus(ctx context.Context) (s CollectStatus, err error) {
	return s, c.call(ctx, request{method: http.MethodGet, path: "/collect", patient: true}, nil, &s)
}

// Explain says what keeps a chunk, named by 64 hexadecimal digits. It reads all metadata.
func (c *Client) Explain(ctx context.Context, chunk string) (e Explanation, err error) {
	return e, c.call(ctx, request{method: http.MethodGet, path: "/chunks/" + url.PathEscape(chunk), patient: true}, nil, &e)
}
