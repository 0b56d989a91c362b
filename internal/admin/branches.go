package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Branch is a bucket that began as another one was.
type Branch struct {
	Name    string    `json:"name"`
	ID      string    `json:"id"`
	Parent  string    `json:"parent,omitempty"` // empty when it was deleted
	Created time.Time `json:"created"`
	Segment string    `json:"segment"` // that made it
	Base    string    `json:"base"`    // the root that it began as
	Writes  uint64    `json:"writes"`  // since then, as far as they are known here
	Ready   bool      `json:"ready"`   // it can be used here; else what it begins with is on its way
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
