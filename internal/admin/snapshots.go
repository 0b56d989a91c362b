package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Snapshot is a bucket as it was at a moment. It is read as the bucket BUCKET@NAME.
type Snapshot struct {
	Name     string    `json:"name"`
	Created  time.Time `json:"created"`
	Segment  string    `json:"segment"`        // that made it
	Root     string    `json:"root,omitempty"` // left out until it is made, soon after the snapshot
	Objects  int64     `json:"objects"`
	Bytes    int64     `json:"bytes"`
	Versions int64     `json:"versions"`
	Complete bool      `json:"complete"`       // its metadata is here; else it is on its way
	Until    time.Time `json:"until,omitzero"` // it is deleted then; zero: kept
	Due      time.Time `json:"due,omitzero"`   // of a schedule's: the moment that it is called by; what it holds is as of Created
}

// NewSnapshot is what a snapshot is made of.
type NewSnapshot struct {
	Name    string `json:"name"`
	KeepFor string `json:"keepFor,omitempty"` // a span after which it is deleted, as 12h or 7d
}

// SnapshotRule takes snapshots by themselves.
type SnapshotRule struct {
	Every string `json:"every"` // as 1h, 1d, 1w, counted in UTC
	Keep  int    `json:"keep"`  // so many, the newest
}

// Difference is a key whose content or attributes are not the same in two states of a bucket. From or To is nil where it is not listed.
type Difference struct {
	Key  string  `json:"key"`
	From *Object `json:"from,omitempty"`
	To   *Object `json:"to,omitempty"`
}

// DiffEvent is a line of a difference that is told: Difference, or at the end Done, with what broke it off if anything did.
type DiffEvent struct {
	*Difference
	Done  bool   `json:"done,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// Restore says what to go back to.
type Restore struct {
	From   string `json:"from"`             // a snapshot of the bucket, as BUCKET@NAME
	Prefix string `json:"prefix,omitempty"` // only the keys below it
}

// RestoreEvent is where a restore stands; the last one has Done.
type RestoreEvent struct {
	Put      int64  `json:"put"`      // keys that were put back
	Deleted  int64  `json:"deleted"`  // keys that the snapshot does not have
	Skipped  int64  `json:"skipped"`  // keys that were written meanwhile, and left alone
	Differed int64  `json:"differed"` // keys that there were to do, as far as they are counted
	Done     bool   `json:"done,omitempty"`
	Error    *Error `json:"error,omitempty"` // what broke it off
}

// Snapshots are those of a bucket, oldest first.
func (c *Client) Snapshots(ctx context.Context, bucket string) (s []Snapshot, err error) {
	return s, c.call(ctx, request{method: http.MethodGet, path: bucketPath(bucket, "/snapshots")}, nil, &s)
}

// CreateSnapshot keeps a bucket as it is.
func (c *Client) CreateSnapshot(ctx context.Context, bucket string, n NewSnapshot) (s Snapshot, err error) {
	return s, c.call(ctx, request{method: http.MethodPost, path: bucketPath(bucket, "/snapshots"), patient: true}, n, &s)
}

// DeleteSnapshot forgets one, at all segments.
func (c *Client) DeleteSnapshot(ctx context.Context, bucket, name string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: bucketPath(bucket, "/snapshots/"+url.PathEscape(name))}, nil, nil)
}

// Diff hands each key that differs between two states of a bucket, BUCKET or BUCKET@NAME, to each, in order. An error of each ends it.
func (c *Client) Diff(ctx context.Context, from, to, prefix string, each func(Difference) error) error {
	return c.lines(ctx, request{method: http.MethodGet, path: bucketPath(c.state(from), "/diff"), query: map[string]string{"to": c.state(to), "prefix": prefix}, patient: true}, nil,
		func(line *json.Decoder) (bool, error) {
			var e DiffEvent
			if err := line.Decode(&e); err != nil {
				return false, fmt.Errorf("the difference was broken off: %w", err)
			}
			if e.Error != nil {
				return true, e.Error
			}
			if e.Done {
				return true, nil
			}
			return false, each(*e.Difference)
		})
}

// Restore makes a bucket what a snapshot of it holds, and tells from time to time where it stands.
// When it fails, the last word of that is returned too.
func (c *Client) Restore(ctx context.Context, bucket string, r Restore, at func(RestoreEvent)) (e RestoreEvent, err error) {
	r.From = c.state(r.From)
	err = c.lines(ctx, request{method: http.MethodPost, path: bucketPath(bucket, "/restore"), patient: true}, r, func(line *json.Decoder) (bool, error) {
		var now RestoreEvent
		if err := line.Decode(&now); err != nil {
			return false, fmt.Errorf("the restore was broken off: %w", err)
		}
		e = now
		if e.Error != nil {
			return true, e.Error
		}
		at(e)
		return e.Done, nil
	})
	return e, err
}

// lines does a call whose answer is documents, one after the other, until take says that it has the last one.
func (c *Client) lines(ctx context.Context, r request, in any, take func(*json.Decoder) (last bool, err error)) error {
	res, err := c.send(ctx, r, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := json.NewDecoder(res.Body)
	for {
		if last, err := take(lines); last || err != nil {
			return err
		}
	}
}
