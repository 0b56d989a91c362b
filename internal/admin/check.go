package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/edgefs/edgefs/internal/finding"
)

// CheckEvent is a line of the answer to [Client.Check]: how far the check is, or what it has found. The last has Done set; when none has, the check was broken off.
type CheckEvent struct {
	Done      bool             `json:"done,omitempty"`
	Phase     string           `json:"phase,omitempty"` // "devices" or "buckets"
	Bucket    string           `json:"bucket,omitempty"`
	Packs     int64            `json:"packs"`
	Buckets   int              `json:"buckets"`
	Roots     int              `json:"roots"`    // states of buckets
	Nodes     int64            `json:"nodes"`    // of trees
	Versions  int64            `json:"versions"` // whose content was looked for
	Absent    int64            `json:"absent"`   // versions of which a part is not here
	Finding   *finding.Finding `json:"finding,omitempty"`
	BrokenOff string           `json:"brokenOff,omitempty"` // why the check ended early
}

// Check looks at the devices and at everything that the segment's roots reach, but content is not read. It reports each finding and, from time to time, where it stands. An error of
// event ends it.
func (c *Client) Check(ctx context.Context, event func(CheckEvent) error) error {
	r := request{method: http.MethodPost, path: "/check", patient: true}
	return c.lines(ctx, r, nil, func(line *json.Decoder) (bool, error) {
		var e CheckEvent
		if err := line.Decode(&e); err != nil {
			return false, fmt.Errorf("the check was broken off: %w", err)
		}
		return e.Done, event(e)
	})
}
