package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// What a client reads as of a time, in however many calls, is one state.
func TestAClientReadsOneStateAsOfATime(t *testing.T) {
	s := newServer(t)
	c := socketOf(t, s)
	ctx := t.Context()
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	b := must(s.Segment.Bucket("photos"))(t)
	state := func(name, key string) segment.SnapshotInfo {
		t.Helper()
		must(c.Put(ctx, "photos", admin.PutRequest{Key: key}, strings.NewReader(name)))(t)
		i := must(b.CreateSnapshot(ctx, name))(t)
		return must(b.WaitSnapshot(ctx, i.ID))(t)
	}
	state("one", "k1")
	state("two", "k2")
	page := must(c.List(ctx, "photos@0s", admin.ListRequest{Limit: 1}))(t)
	second := state("three", "k3")
	if rest := must(c.List(ctx, "photos@0s", admin.ListRequest{After: page.Next}))(t); len(rest.Objects) != 1 || rest.Objects[0].Key != "k2" {
		t.Errorf("the next page has %+v", rest)
	}
	var told []admin.AsOf
	c = socketWith(t, s, admin.Options{AsOf: func(a admin.AsOf) { told = append(told, a) }})
	if all := must(c.List(ctx, "photos@0s", admin.ListRequest{}))(t); len(all.Objects) != 3 {
		t.Errorf("another client reads %+v", all)
	}
	must(c.Stat(ctx, "photos@0s", "k3", ""))(t)
	if len(told) != 1 || told[0].Bucket != "photos@0s" || !told[0].Time.Equal(second.Created) || told[0].Before < 0 {
		t.Errorf("told %+v, want %v", told, second.Created)
	}
	if err := b.DeleteSnapshot(ctx, "three"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stat(ctx, "photos@0s", "k2", ""); err == nil || !strings.Contains(err.Error(), "not remembered any more") {
		t.Errorf("of a state that is gone: %v", err)
	}
	if len(told) != 1 {
		t.Errorf("told %+v", told)
	}
}

// A client that goes away in the middle of a call is no fault of the segment, and its log has no error.
func TestAClientThatGoesAwayIsNoError(t *testing.T) {
	s := newServer(t)
	var said strings.Builder
	s.Logger = slog.New(slog.NewTextHandler(&said, nil))
	ctx, cancel := context.WithCancel(t.Context())
	h := s.wrap(func(http.ResponseWriter, *http.Request) error { cancel(); return ctx.Err() })
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "POST", "/", nil))
	if said.Len() > 0 {
		t.Errorf("the log says %s", said.String())
	}
	s.wrap(func(http.ResponseWriter, *http.Request) error { return io.ErrNoProgress }).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil))
	if !strings.Contains(said.String(), "level=ERROR") {
		t.Errorf("of a fault the log says %q", said.String())
	}
}

// The history of a key that is not there names the key.
func TestTheLogOfNoKeyNamesIt(t *testing.T) {
	c := onSocket(t)
	must(c.CreateBucket(t.Context(), admin.NewBucket{Name: "photos"}))(t)
	if _, err := c.KeyLog(t.Context(), "photos", "cat", "", 1); !errors.Is(err, &admin.Error{Code: admin.NoSuchKey}) || !strings.Contains(err.Error(), `"cat"`) {
		t.Errorf("%v", err)
	}
}
