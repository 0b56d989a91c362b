package s3

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/segment"
)

// A write that no second segment confirmed is 503 with the reason, and shows; repeating it when one is there is what clients do.
func TestAWriteWithoutASecondSegmentIs503(t *testing.T) {
	var away error = errors.New("no link")
	place, err := segment.Open(t.Context(), segment.Config{
		Dir: t.TempDir(), ID: 1, Name: "hawaii", Chunks: stage.New(memory.New()),
		Copied: func(context.Context, segment.Ref) error { return away },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = place.Close(context.Background()) })
	s := newSite(t, func(c *Config) { c.Segment = place })
	set := segment.DefaultSettings()
	set.Ack = segment.Copies
	if _, err := place.CreateBucket(t.Context(), "bkt", segment.BucketOptions{Settings: &set}); err != nil {
		t.Fatal(err)
	}
	a := s.want(503, "ServiceUnavailable", "PUT", "/bkt/k", "v")
	if a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "no second segment") {
		t.Errorf("%v: %s", a.Header, a.body)
	}
	s.get("/bkt/k", "v")
	s.want(503, "ServiceUnavailable", "DELETE", "/bkt/k", "")
	s.want(503, "ServiceUnavailable", "PUT", "/bkt/k", "v")
	away = nil
	s.put("/bkt/k", "v")
	s.get("/bkt/k", "v")
}
