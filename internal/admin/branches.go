package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Branch is a bucket that began as another one was.
type Branch struct {
	Name     string    `json:"name"`
	ID       string    `json:"id"`
	Parent   string    `json:"parent,omitempty"`   // empty when it was deleted
	Snapshot string    `json:"snapshot,omitempty"` // of the parent, that it was made of; empty for none, or one that was deleted
	Created  time.Time `json:"created"`
	Segment  string    `json:"segment"` // that made it
	Base     string    `json:"base"`    // the root that it began as; zeros until that is made, and other segments hear of it
	Writes   uint64    `json:"writes"`  // since then, as far as they are known here
	Ready    bool      `json:"ready"`   // it can be used here; else what it begins with is on its way
}

// NewBranch says what a branch is to begin as.
type NewBranch struct {
	From string `json:"from"` // BUCKET or BUCKET@SNAPSHOT
	Name string `json:"name"`
}

// Branches are those of a bucket, or of all when it is empty, the oldest first.
func (c *Client) Branches(ctx context.Context, bucket string) (b []Branch, err error) {
	return b, c.call(ctx, request{method: http.MethodGet, path: "/branches", query: map[string]string{"of": bucket}}, nil, &b)
}

// CreateBranch makes a bucket that begins as another one is.
func (c *Client) CreateBranch(ctx context.Context, n NewBranch) (b Branch, err error) {
	return b, c.call(ctx, request{method: http.MethodPost, path: "/branches", patient: true}, n, &b)
}

// DeleteBranch removes a branch with all that it holds; with force also when it has changes that were not merged.
func (c *Client) DeleteBranch(ctx context.Context, name string, force bool) error {
	query := map[string]string{}
	if force {
		query["force"] = "true"
	}
	return c.call(ctx, request{method: http.MethodDelete, path: "/branches/" + url.PathEscape(name), query: query, patient: true}, nil, nil)
}

// Merge says what to merge into a bucket, a branch of it or the bucket that it is a branch of, and how.
type Merge struct {
	From   string `json:"from"`
	Policy string `json:"policy,omitempty"` // of keys changed on both sides: both (default), ours, theirs or fail
	DryRun bool   `json:"dryRun,omitempty"` // tell what would be done
	Redo   bool   `json:"redo,omitempty"`   // pass over merges of which not all is here: the segment that made them is lost
}

// MergeEvent is where a merge stands; the last one has Done. All keys are told of when nothing is written, else those in conflict and, from time
// to time, where it stands.
type MergeEvent struct {
	Key       string `json:"key,omitempty"`
	Action    string `json:"action,omitempty"` // put, delete or conflict
	Put       int64  `json:"put"`
	Deleted   int64  `json:"deleted"`
	Conflicts int64  `json:"conflicts"` // keys that were changed on both sides
	Same      int64  `json:"same"`      // keys that were the same already
	Done      bool   `json:"done,omitempty"`
	Error     *Error `json:"error,omitempty"` // what broke it off
}

// Merge merges into a bucket, and tells of each event.
func (c *Client) Merge(ctx context.Context, into string, m Merge, at func(MergeEvent) error) (e MergeEvent, err error) {
	return e, c.lines(ctx, request{method: http.MethodPost, path: bucketPath(into, "/merge"), patient: true}, m, func(line *json.Decoder) (bool, error) {
		var now MergeEvent
		if err := line.Decode(&now); err != nil {
			return false, fmt.Errorf("the merge was broken off: %w", err)
		}
		e = now
		if e.Error != nil {
			return true, e.Error
		}
		if e.Done {
			return true, nil
		}
		return false, at(e)
	})
}
