package server

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// withContent is a server with a bucket of some megabytes, and its client.
func withContent(t *testing.T) (*Server, *admin.Client) {
	t.Helper()
	s := newServer(t)
	c := socketOf(t, s)
	must(c.CreateBucket(t.Context(), admin.NewBucket{Name: "photos"}))(t)
	noise := make([]byte, 12<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	must(c.Put(t.Context(), "photos", admin.PutRequest{Key: "large"}, bytes.NewReader(noise)))(t)
	must(c.Put(t.Context(), "photos", admin.PutRequest{Key: "small"}, strings.NewReader("small")))(t)
	return s, c
}

func TestABucketGoesThroughTheAPIAsAStream(t *testing.T) {
	_, c := withContent(t)
	text := must(io.ReadAll(must(c.Export(t.Context(), "photos", false))(t)))(t)
	i := must(c.Import(t.Context(), "copied", admin.ImportRequest{}, bytes.NewReader(text), int64(len(text))))(t)
	if i.Versions != 2 || i.NewChunks != 0 || i.Chunks < 2 || i.Bucket.Name != "copied" {
		t.Errorf("%+v", i)
	}
	again := must(io.ReadAll(must(c.Export(t.Context(), "copied", false))(t)))(t)
	if !bytes.Equal(text, again) {
		t.Errorf("%d bytes, and %d", len(text), len(again))
	}
	_, err := c.Export(t.Context(), "nothing", false)
	wantCode(t, err, admin.NoSuchBucket)
	_, err = c.Import(t.Context(), "copied", admin.ImportRequest{}, bytes.NewReader(text), 0)
	wantCode(t, err, admin.BucketExists)
	_, err = c.Import(t.Context(), "other", admin.ImportRequest{}, bytes.NewReader(text[1:]), 0)
	wantCode(t, err, admin.BadStream)
}

// An export that cannot be made to its end says why, and is not taken for whole.
func TestAnExportThatBreaksOffSaysWhy(t *testing.T) {
	s, c := withContent(t)
	b := must(s.Segment.Bucket("photos"))(t)
	o := must(b.Open(t.Context(), "large", segment.VersionRef{}))(t)
	var last chunk.ID
	for p, err := range o.Pieces(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Level == 0 {
			last = p.ID
		}
	}
	m := s.Local.(*memory)
	m.mu.Lock()
	delete(m.chunks, last)
	m.mu.Unlock()
	text, err := io.ReadAll(must(c.Export(t.Context(), "photos", false))(t))
	wantCode(t, err, admin.Unavailable)
	if err == nil || !strings.Contains(err.Error(), `"large"`) || len(text) < 1<<20 {
		t.Errorf("%d bytes, then %v", len(text), err)
	}
	_, err = c.Import(t.Context(), "copied", admin.ImportRequest{}, bytes.NewReader(text), 0)
	wantCode(t, err, admin.BadStream)
}

// Who is still sending hears why that is of no use.
func TestARefusalReachesWhoIsStillSending(t *testing.T) {
	c := onSocket(t)
	must(c.CreateBucket(t.Context(), admin.NewBucket{Name: "photos"}))(t)
	for range 20 {
		_, err := c.Import(t.Context(), "copied", admin.ImportRequest{}, io.LimitReader(rand.NewChaCha8([32]byte{2}), 1<<40), 0)
		wantCode(t, err, admin.BadStream)
	}
}
