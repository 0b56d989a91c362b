package server

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/segment"
)

// check looks at devices and buckets for as long as the client listens and the daemon lives.
func (s *Server) check(w http.ResponseWriter, r *http.Request) error {
	ctx, done := s.whileServing(r.Context())
	defer done()
	w.Header().Set("Content-Type", "application/x-ndjson")
	c := structure{Server: s, w: w, lines: json.NewEncoder(w)}
	if err := c.all(ctx); err != nil {
		c.at.BrokenOff = cmp.Or(context.Cause(ctx), err).Error()
	}
	c.at.Done, c.at.Phase, c.at.Bucket = true, "", ""
	c.tell()
	return nil
}

// structure is one run of check.
type structure struct {
	*Server
	w     http.ResponseWriter
	lines *json.Encoder
	at    admin.CheckEvent
	told  time.Time
}

func (c *structure) all(ctx context.Context) error {
	c.at.Phase = "devices"
	c.tell()
	packs := int64(0)
	err := c.Devices.Check(ctx, c.found, func(done, of int64) {
		c.at.Packs = packs + done
		if done+1 >= of {
			packs += of
			c.at.Packs = packs
		}
		c.sometimes()
	})
	if err != nil {
		return err
	}
	c.at.Phase = "buckets"
	r, err := c.Segment.Check(ctx, segment.CheckOptions{Tell: c.found, Progress: func(r segment.CheckReport) {
		c.take(r)
		c.sometimes()
	}})
	c.take(r)
	return err
}

func (c *structure) take(r segment.CheckReport) {
	c.at.Bucket, c.at.Buckets, c.at.Roots, c.at.Nodes, c.at.Versions, c.at.Absent = r.Bucket, r.Buckets, r.Roots, r.Nodes, r.Versions, r.Absent
}

func (c *structure) found(f finding.Finding) {
	c.at.Finding = &f
	c.tell()
	c.at.Finding = nil
}

func (c *structure) sometimes() {
	if time.Since(c.told) > verifyTell {
		c.tell()
	}
}

// tell writes where the check stands. A client that is gone has ended the request's context too.
func (c *structure) tell() {
	_ = c.lines.Encode(c.at)
	_ = http.NewResponseController(c.w).Flush()
	c.told = time.Now()
}
