package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/identity/identitytest"
	"github.com/edgefs/edgefs/isgw/transport/memnet"
	"github.com/edgefs/edgefs/segment"
)

// linkedSegment is a segment with links on a network in memory.
func linkedSegment(t *testing.T, net *memnet.Network, id *identity.Identity) (*segment.Segment, *isgw.Links) {
	t.Helper()
	fs, store := vfs.NewCrash(), memory.New()
	log := slog.New(slog.DiscardHandler)
	lazy := isgw.NewLazy(isgw.LazyConfig{Chunks: store, Timeout: time.Minute, Logger: log})
	copies := isgw.NewCopies(time.Minute)
	s, err := segment.Open(t.Context(), segment.Config{
		FS: fs, Dir: "/" + id.Name, ID: id.Segment, Name: id.Name, Secret: id.Secret, Chunks: stage.New(store),
		Read: lazy.Store, Mend: lazy.Mend, Forward: lazy.Forward, Copied: copies.Await, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	joined, err := net.Join(id, id.Name)
	if err != nil {
		t.Fatal(err)
	}
	links, err := isgw.Open(t.Context(), isgw.Config{
		Segment: s, Identity: id, Chunks: store, Lazy: lazy, Copies: copies, FS: fs, Dir: "/" + id.Name, Clock: time.Now, Rand: rand.Reader, Logger: log, Net: joined,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(links.Close(), s.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return s, links
}

// Away from the home a client gets what it gets at the home; and where the home cannot be asked, 503, which it may try again.
func TestWritesAwayFromTheHome(t *testing.T) {
	net := memnet.New(15 * time.Second)
	ids := identitytest.Federation(t, "hawaii", "tokyo")
	home, _ := linkedSegment(t, net, ids[0])
	away, links := linkedSegment(t, net, ids[1])
	set := segment.DefaultSettings()
	set.Policy, set.Versioning, set.Locks.Enabled = segment.Home, segment.Versioned, true
	if _, err := home.CreateBucket(t.Context(), "ledger", segment.BucketOptions{Settings: &set}); err != nil {
		t.Fatal(err)
	}
	if err := links.Add(isgw.Peer{Segment: ids[0].Segment, Name: "hawaii", Addresses: []string{"hawaii"}}); err != nil {
		t.Fatal(err)
	}
	for {
		news := away.Progress()
		if _, err := away.Bucket("ledger"); err == nil {
			break
		}
		<-news
	}
	s := newSite(t, func(c *Config) { c.Segment = away })
	s.put("/ledger/k", "body")
	const tags = `<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>`
	const hold = `<LegalHold><Status>ON</Status></LegalHold>`
	writes := []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"PUT", "/ledger/k?tagging", tags, 200, ""},
		{"PUT", "/ledger/none?tagging", tags, 404, "NoSuchKey"},
		{"DELETE", "/ledger/k?tagging", "", 204, ""},
		{"PUT", "/ledger/k?legal-hold", hold, 200, ""},
		{"PUT", "/ledger/k?legal-hold", strings.Replace(hold, "ON", "OFF", 1), 200, ""},
		{"PUT", "/ledger/none?legal-hold", hold, 404, "NoSuchKey"},
		{"PUT", "/ledger/j", "body", 200, ""},
		{"DELETE", "/ledger/j", "", 204, ""},
	}
	for _, x := range writes {
		s.want(x.status, x.code, x.method, x.path, x.body)
	}
	s.get("/ledger/k", "body")
	net.Cut(ids[0].Segment, ids[1].Segment)
	if err := links.Remove("hawaii"); err != nil { // as an operator may: now it is known that there is no link
		t.Fatal(err)
	}
	for _, x := range writes {
		a := s.want(503, "ServiceUnavailable", x.method, x.path, x.body)
		if a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "nothing was written") {
			t.Errorf("%s %s: %v %s", x.method, x.path, a.Header, a.body)
		}
	}
	s.get("/ledger/k", "body") // reads go on
}
