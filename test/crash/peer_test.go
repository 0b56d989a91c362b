package crash

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/segment"
)

// peer is another site, as a link has shown it: what it feeds, what it offers, and its chunks.
type peer struct {
	id     segment.ID
	chunks *stage.Stage
	feed   []feed
	offers map[string]segment.Offer
	ids    map[string]segment.BucketID
}

// feed is what a link carries at once.
type feed struct {
	items []segment.FeedItem
	next  segment.Cursor
}

const (
	federation = "" // key of the federation's own bucket in a peer's offers
	shared     = "shared"
	archive    = "archive"
)

func newPeer(t testing.TB) *peer {
	t.Helper()
	ctx := context.Background()
	p := &peer{id: 2, chunks: stage.New(memory.New()), offers: map[string]segment.Offer{}, ids: map[string]segment.BucketID{federation: segment.FederationBucket}}
	c := &clock{step: -3600}
	s, err := segment.Open(ctx, segment.Config{FS: vfs.NewCrash(), Dir: "/peer", ID: p.id, Name: "peer", Secret: secret, Chunks: p.chunks, Clock: c.now, Rand: c})
	must(t, err)
	defer func() { must(t, s.Close(ctx)) }()

	b := p.create(t, s, c, shared)
	p.read(t, s)
	for i, size := range []int{10, 3000, 70_000, 200, 9000, 40} {
		p.put(t, b, c, fmt.Sprint("from-peer-", i), i, size)
	}
	p.read(t, s)
	p.put(t, b, c, "both", 100, 500)
	p.put(t, b, c, "from-peer-1", 101, 20)
	_, err = b.Delete(ctx, "from-peer-3", segment.Cond{})
	must(t, err)
	p.read(t, s)

	b = p.create(t, s, c, archive)
	for i := range 60 {
		p.put(t, b, c, fmt.Sprintf("%02d", i%50), 200+i, 100+i)
	}
	for name, id := range p.ids {
		p.offers[name], err = s.Offer(ctx, id)
		must(t, err)
	}
	return p
}

func (p *peer) create(t testing.TB, s *segment.Segment, c *clock, name string) *segment.Bucket {
	t.Helper()
	c.at(c.step + 1)
	b, err := s.CreateBucket(context.Background(), name, segment.BucketOptions{Cutter: cutter(t)})
	must(t, err)
	p.ids[name] = b.ID()
	return b
}

func (p *peer) put(t testing.TB, b *segment.Bucket, c *clock, key string, seed, size int) {
	t.Helper()
	c.at(c.step + 1)
	_, err := b.Put(context.Background(), key, segment.Attrs{ETag: fmt.Sprint(seed)}, segment.Cond{}, bytes.NewReader(content(seed, size)))
	must(t, err)
}

// read adds what came since to the feed.
func (p *peer) read(t testing.TB, s *segment.Segment) {
	t.Helper()
	f := feed{next: segment.Cursor{Inc: s.Origin().Inc, Pos: 1}}
	if n := len(p.feed); n > 0 {
		f.next = p.feed[n-1].next
	}
	for f.next.Pos < s.LogEnd() {
		items, next, err := s.FeedFrom(context.Background(), f.next.Pos, 1<<20)
		must(t, err)
		f.items, f.next.Pos = append(f.items, items...), next
	}
	p.feed = append(p.feed, f)
}

// meta serves the peer's tree nodes.
func (p *peer) meta(d chunk.Domain) chunk.Store { return p.chunks.Open(d, chunk.Meta) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
