package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// Event is one thing that happened to a bucket.
type Event struct {
	Time     time.Time         `json:"time"`
	Kind     string            `json:"kind"`              // created, root, snapshot, branch, merged (into it) or merge (into another)
	Segment  string            `json:"segment,omitempty"` // where
	Name     string            `json:"name,omitempty"`    // of the snapshot, or the other bucket
	Root     string            `json:"root,omitempty"`    // of a root that is remembered: the bucket can be read as of then
	Objects  int64             `json:"objects"`
	Bytes    int64             `json:"bytes"`
	Writes   map[string]uint64 `json:"writes,omitempty"`   // of a root: since the one before, by segment
	Settings *Settings         `json:"settings,omitempty"` // of a root: that were set since the one before
	Merged   *Merged           `json:"merged,omitempty"`
}

// Merged counts what a merge did.
type Merged struct {
	Put       int64 `json:"put"`
	Deleted   int64 `json:"deleted"`
	Conflicts int64 `json:"conflicts"`
	Same      int64 `json:"same"`
}

// Log is a page of what happened to a bucket, the newest first.
type Log struct {
	Events []Event `json:"events"`
	Next   string  `json:"next,omitempty"` // of the next page; empty at the end
}

// KeyVersion is a version in the story of a key.
type KeyVersion struct {
	Object
	Current bool `json:"current,omitempty"`
	Open    bool `json:"open,omitempty"` // in conflict with the current one
}

// KeyLog is a page of the versions of a key that are held, the newest first.
type KeyLog struct {
	Versions []KeyVersion `json:"versions"`
	Next     string       `json:"next,omitempty"`
}

// Log is what happened to a bucket, a page of at most limit; next is that of the page before.
func (c *Client) Log(ctx context.Context, bucket, next string, limit int) (l Log, err error) {
	query := map[string]string{"next": next, "limit": strconv.Itoa(limit)}
	return l, c.call(ctx, request{method: http.MethodGet, path: bucketPath(c.state(bucket), "/log"), query: query, patient: true}, nil, &l)
}

// KeyLog is what happened to a key, as far as its versions are held, a page of at most limit.
func (c *Client) KeyLog(ctx context.Context, bucket, key, next string, limit int) (l KeyLog, err error) {
	query := map[string]string{"key": key, "next": next, "limit": strconv.Itoa(limit)}
	return l, c.call(ctx, request{method: http.MethodGet, path: bucketPath(c.state(bucket), "/log"), query: query, patient: true}, nil, &l)
}
