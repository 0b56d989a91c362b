package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Use is chunks, and their bytes. docs/ops/space.md defines the words that are used of space.
type Use struct {
	Chunks int64 `json:"chunks"`
	Bytes  int64 `json:"bytes"`  // as they are read
	Stored int64 `json:"stored"` // that they take of the devices' packs
}

// Add is the sum of both.
func (u Use) Add(o Use) Use { return Use{u.Chunks + o.Chunks, u.Bytes + o.Bytes, u.Stored + o.Stored} }

// Space is what takes space in a segment.
type Space struct {
	Buckets []BucketSpace `json:"buckets"`
	Devices []Device      `json:"devices"`
	Total   SpaceTotal    `json:"total"`
	Count   *SpaceCount   `json:"count,omitempty"` // absent where nothing was counted since the start
}

// BucketSpace is a bucket's part. What is counted is as of [Space.Count].
type BucketSpace struct {
	Bucket  string       `json:"bucket"`
	ID      string       `json:"id"`
	Objects int64        `json:"objects"`
	Current int64        `json:"current"` // bytes of the objects that listings show
	Logical int64        `json:"logical"` // bytes of all versions held; -1: not known
	Count   *BucketCount `json:"count,omitempty"`
}

// BucketCount is what a bucket reaches: as it is, with its history, snapshots, remembered states and uploads.
type BucketCount struct {
	Current       int64 `json:"current"` // as above, when it was counted
	Logical       int64 `json:"logical"`
	Unique        Use   `json:"unique"`    // content, each chunk once: exclusive and shared
	Exclusive     Use   `json:"exclusive"` // content that no other bucket reaches
	Shared        Use   `json:"shared"`
	MetaExclusive Use   `json:"metaExclusive"` // the same of metadata
	MetaShared    Use   `json:"metaShared"`
	NotHere       int64 `json:"notHere"` // chunks that are reached and on no device here

	DedupRatio       float64 `json:"dedupRatio,omitempty"`       // logical to unique; left out where a part is not here
	CompressionRatio float64 `json:"compressionRatio,omitempty"` // unique to stored
}

// SpaceCount is what was counted of all buckets together, and when.
type SpaceCount struct {
	At      time.Time     `json:"at"`
	Took    string        `json:"took"`
	Domains []DomainSpace `json:"domains"`
	System  BucketCount   `json:"system"`  // what the segment keeps for itself
	Copies  Use           `json:"copies"`  // of chunks that another device has too, which are counted there
	Foreign Use           `json:"foreign"` // of dedup domains of which no bucket is known
}

// DomainSpace is what the buckets of a dedup domain reach together.
type DomainSpace struct {
	Domain    string `json:"domain"`    // empty: the federation's
	Unique    Use    `json:"unique"`    // content, each chunk once
	Meta      Use    `json:"meta"`      // metadata
	Shared    Use    `json:"shared"`    // what of both more than one bucket reaches
	Underway  Use    `json:"underway"`  // that writers and readers keep, and no bucket reaches
	Unreached Use    `json:"unreached"` // garbage, and what was written while it was counted

	CompressionRatio float64 `json:"compressionRatio,omitempty"`
}

// SpaceTotal is sums.
type SpaceTotal struct {
	Objects int64 `json:"objects"`
	Current int64 `json:"current"`
	Logical int64 `json:"logical"` // -1: not known
	Content Use   `json:"content"` // on the devices, of use or not
	Meta    Use   `json:"meta"`
	Cached  Use   `json:"cached"` // came from other segments, and may go
	Packs   int64 `json:"packs"`  // bytes of the files that these are in
	Other   int64 `json:"other"`  // of them those that are none of these: removed chunks, padding, room for more
	Staged  int64 `json:"staged"` // in memory and in the log, on their way to a device
	Free    int64 `json:"free"`   // of the file systems
}

// SpaceEvent is a line of the answer to who has space counted. The last has Done set; when none has, the count was broken off.
type SpaceEvent struct {
	Named     int64  `json:"named"` // chunks, with repetition, that were come by
	Done      bool   `json:"done,omitempty"`
	Space     *Space `json:"space,omitempty"`
	BrokenOff string `json:"brokenOff,omitempty"`
}

// Space says what takes space, as far as it is known without counting.
func (c *Client) Space(ctx context.Context) (s Space, err error) {
	return s, c.call(ctx, request{method: http.MethodGet, path: "/space"}, nil, &s)
}

// CountSpace counts what buckets take, by going through all metadata, and says how far it is. An error of event ends it.
func (c *Client) CountSpace(ctx context.Context, event func(SpaceEvent) error) error {
	r := request{method: http.MethodPost, path: "/space", patient: true}
	return c.lines(ctx, r, nil, func(line *json.Decoder) (bool, error) {
		var e SpaceEvent
		if err := line.Decode(&e); err != nil {
			return false, fmt.Errorf("the count was broken off: %w", err)
		}
		return e.Done, event(e)
	})
}
