package isgw_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/isgw/identity/identitytest"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// crier is a member that feeds one batch, and has trees for nobody until it is mended.
type crier struct {
	conn   transport.Conn
	seen   wire.Buckets
	items  []segment.FeedItem
	next   uint64
	mended atomic.Bool
	acked  atomic.Uint64
	syncs  atomic.Int64
	work   sync.WaitGroup
}

func (r *crier) run(ctx context.Context, hello wire.Hello) error {
	s, err := r.conn.Open(ctx)
	if err != nil {
		return err
	}
	out := wire.NewWriter(s)
	if err := out.Write(&wire.Request{Hello: &hello}); err != nil {
		return err
	}
	r.work.Go(func() {
		for out.Write(&wire.Heartbeat{Clock: time.Now()}) == nil {
			time.Sleep(2 * time.Second)
		}
	})
	r.work.Go(func() { _, _ = io.Copy(io.Discard, s) })
	for {
		s, err := r.conn.Accept(ctx)
		if err != nil {
			return err
		}
		r.work.Go(func() {
			defer s.Abort()
			_ = r.serve(s)
		})
	}
}

func (r *crier) serve(s transport.Stream) error {
	in, out := wire.NewReader(s), wire.NewWriter(s)
	var q wire.Request
	if err := in.Read(&q, wire.MaxControl); err != nil {
		return err
	}
	switch {
	case q.Survey:
		defer s.CloseWrite()
		return out.Write(&wire.Survey{Inc: 1, Pos: 1, Seen: r.seen})
	case q.Sync != nil:
		r.syncs.Add(1)
		defer s.CloseWrite()
		if r.mended.Load() {
			return out.Write(&wire.Offer{}) // nothing that the other side lacks
		}
		return out.Write(&wire.Offer{Status: wire.Failed})
	case q.Subscribe == nil:
		return nil
	}
	if err := out.Write(&wire.Start{Inc: 1}); err != nil {
		return err
	}
	z, err := zstd.NewWriter(s, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(256<<10))
	if err != nil {
		return err
	}
	if err := wire.NewWriter(z).Write(&wire.Batch{Items: r.items, Next: r.next}); err != nil {
		return err
	}
	if err := z.Flush(); err != nil {
		return err
	}
	for {
		var a wire.Ack
		if err := in.Read(&a, wire.MaxControl); err != nil {
			return err
		}
		r.acked.Store(a.Pos)
	}
}

// One bucket is written by a later build: it alone stops, it is told, and it comes back when it can be synced.
func TestABucketOfALaterBuildStopsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inMemory()
		w := &world{t: t, net: n, sites: map[string]*site{}}
		ids := identitytest.Federation(t, "a", "b", "x")
		a, b := w.adopt(ids[0]), w.adopt(ids[1])
		a.create("later", segment.DefaultSettings())
		a.create("other", segment.DefaultSettings())
		w.link("a", "b")
		b.bucket("later")
		b.bucket("other")
		w.cut("a", "b")
		time.Sleep(time.Minute)
		from := b.LogEnd()
		for i := range 3 {
			b.put("later", fmt.Sprint("k", i), "v")
			b.put("other", fmt.Sprint("k", i), "v")
		}
		r := &crier{next: b.LogEnd(), seen: wire.Buckets{}}
		for pos := from; pos < r.next; {
			items, next, err := b.FeedFrom(t.Context(), pos, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			r.items, pos = append(r.items, items...), next
		}
		later := b.bucket("later").ID()
		for i := range r.items {
			if r.items[i].Bucket == later {
				r.items[i].Record[1] = 100 // the format
			}
		}
		net, err := n.Join(ids[2], "x")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = net.Close() }()
		if r.conn, err = net.Dial(t.Context(), "a", a.id.Segment); err != nil {
			t.Fatal(err)
		}
		r.work.Go(func() {
			_ = r.run(t.Context(), wire.Hello{Protocol: 1, MinProtocol: 1, Process: 7, Segment: ids[2].Segment})
		})
		defer r.work.Wait()
		defer r.conn.Close(transport.Leaving, "")

		a.lists("other", "k2", 1)
		w.eventually("the feed is acknowledged", func() error {
			if got := r.acked.Load(); got != r.next {
				return fmt.Errorf("%d of %d", got, r.next)
			}
			return nil
		})
		st := a.link("x")
		if st.State != isgw.Up || len(st.Stopped) != 1 || st.Stopped[0].Name != "later" || st.Stopped[0].Quarantine ||
			!strings.Contains(st.Stopped[0].Why, "format") || time.Since(st.Stopped[0].Since) > time.Minute {
			t.Fatalf("%+v", st)
		}
		time.Sleep(10 * time.Minute)
		if n := r.syncs.Load(); n < 3 || n > 6 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		if st = a.link("x"); len(st.Stopped) != 1 || st.State != isgw.Up {
			t.Fatalf("%+v", st)
		}
		w.heal("a", "b")
		a.lists("later", "k2", 1)
		r.mended.Store(true)
		time.Sleep(time.Hour)
		if st = a.link("x"); len(st.Stopped) != 0 {
			t.Errorf("when it can be synced: %+v", st)
		}
		w.converge("later", "a", "b")
	})
}

// Records that come with the document of their bucket need no sync.
func TestANewBucketComesByTheFeed(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := w.at("a"), w.at("b")
		w.link("a", "b")
		w.up("b", "a")
		a.create("first", segment.DefaultSettings())
		b.bucket("first")
		before := b.link("a").Syncs
		w.cut("a", "b") // what follows is one batch
		for _, name := range names("one two three") {
			a.create(name, segment.DefaultSettings())
			a.put(name, "k", "v")
		}
		time.Sleep(time.Second)
		w.heal("a", "b")
		b.lists("three", "k", 1)
		b.lists("one", "k", 1)
		if n := b.link("a").Syncs - before; n != 0 {
			t.Errorf("%d syncs", n)
		}
	})
}
