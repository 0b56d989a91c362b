package isgw_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/isgw/identity/identitytest"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
	"github.com/klauspost/compress/zstd"
)

// intruder is a member whose software says what the test wants.
type intruder struct {
	t    *testing.T
	conn transport.Conn
	ctl  *wire.Writer
}

// withIntruder runs a story with segment a and a member that is no segment.
func withIntruder(t *testing.T, story func(t *testing.T, a *site, dial func(hello wire.Hello) *intruder)) {
	synctest.Test(t, func(t *testing.T) {
		n := inMemory()
		w := &world{t: t, net: n, sites: map[string]*site{}}
		ids := identitytest.Federation(t, "a", "x")
		a := w.adopt(ids[0])
		net, err := n.Join(ids[1], "x")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = net.Close() }()
		story(t, a, func(hello wire.Hello) *intruder {
			c, err := net.Dial(t.Context(), "a", a.id.Segment)
			if err != nil {
				t.Fatal(err)
			}
			if hello.Segment == 0 {
				hello.Segment = ids[1].Segment
			}
			x := &intruder{t: t, conn: c}
			s := x.open()
			x.ctl = wire.NewWriter(s)
			if err := x.ctl.Write(&wire.Request{Hello: &hello}); err != nil {
				t.Fatal(err)
			}
			return x
		})
	})
}

func (x *intruder) open() transport.Stream {
	x.t.Helper()
	s, err := x.conn.Open(x.t.Context())
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

func (x *intruder) ask(r *wire.Request) (transport.Stream, *wire.Reader, *wire.Writer) {
	x.t.Helper()
	s := x.open()
	out := wire.NewWriter(s)
	if err := out.Write(r); err != nil {
		x.t.Fatal(err)
	}
	return s, wire.NewReader(s), out
}

func good() wire.Hello { return wire.Hello{Protocol: 1, MinProtocol: 1, Process: 5} }

func (x *intruder) closed() error {
	<-x.conn.Context().Done()
	return context.Cause(x.conn.Context())
}

func TestBadHellosAreRefused(t *testing.T) {
	withIntruder(t, func(t *testing.T, a *site, dial func(wire.Hello) *intruder) {
		later := good()
		later.Protocol, later.MinProtocol = 9, 7
		if err := dial(later).closed(); !errors.Is(err, transport.ErrVersion) {
			t.Errorf("later version: %v", err)
		}
		other := good()
		other.Segment = 99
		var e *transport.CloseError
		if err := dial(other).closed(); !errors.As(err, &e) || e.Code != transport.Protocol {
			t.Errorf("another segment's id: %v", err)
		}
		if st := a.link("x"); st.State == isgw.Up {
			t.Errorf("up: %+v", st)
		}
	})
}

func TestGarbageEndsTheConnection(t *testing.T) {
	withIntruder(t, func(t *testing.T, a *site, dial func(wire.Hello) *intruder) {
		x := dial(good())
		if err := x.ctl.Write(junk("\xff\xff\xff")); err != nil {
			t.Fatal(err)
		}
		var e *transport.CloseError
		if err := x.closed(); !errors.As(err, &e) || e.Code != transport.Protocol {
			t.Errorf("garbage for a heartbeat: %v", err)
		}
	})
}

type junk string

func (j junk) Append(b []byte) []byte { return append(b, j...) }
func (j junk) Parse([]byte) error     { return nil }

// A peer whose process hangs keeps its connection, and says nothing.
func TestSilentPeerIsGivenUp(t *testing.T) {
	withIntruder(t, func(t *testing.T, a *site, dial func(wire.Hello) *intruder) {
		began := time.Now()
		if err := dial(good()).closed(); !errors.Is(err, transport.ErrLost) && err == nil {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 20*time.Second {
			t.Errorf("after %v", took)
		}
	})
}

func TestFetchOfWhatIsNotReachedIsRefused(t *testing.T) {
	withIntruder(t, func(t *testing.T, a *site, dial func(wire.Hello) *intruder) {
		bkt := a.create("bkt", segment.Settings{})
		a.create("other", segment.Settings{})
		mine, secret := a.put("bkt", "mine", "granted"), a.put("other", "secret", "not asked by its name")
		id := bkt.Info().ID
		local := segment.BucketID([]byte("local..........."))
		x := dial(good())
		own, foreign := mine.Content.Entries()[0].ID, secret.Content.Entries()[0].ID
		for _, c := range []struct {
			what   string
			bucket segment.BucketID
			group  wire.Group
			want   wire.Status
			chunks int
		}{
			{"what the version reaches", id, wire.Group{Key: "mine", Version: mine.VersionID, IDs: []chunk.ID{own}}, wire.OK, 1},
			{"another version's chunk", id, wire.Group{Key: "mine", Version: mine.VersionID, IDs: []chunk.ID{foreign}}, wire.Refused, 0},
			{"one of each", id, wire.Group{Key: "mine", Version: mine.VersionID, IDs: []chunk.ID{own, foreign}}, wire.Refused, 0},
			{"a key of another bucket", id, wire.Group{Key: "secret", Version: secret.VersionID, IDs: []chunk.ID{foreign}}, wire.NotFound, 0},
			{"a path that is none", id, wire.Group{Key: "mine", Version: mine.VersionID, Path: []chunk.ID{own}, IDs: []chunk.ID{foreign}}, wire.Refused, 0},
			{"a bucket that does not exist", segment.BucketID{1}, wire.Group{Key: "mine", Version: mine.VersionID, IDs: []chunk.ID{own}}, wire.Refused, 0},
			{"a bucket that is not linked", local, wire.Group{Key: "mine", Version: mine.VersionID, IDs: []chunk.ID{own}}, wire.Refused, 0},
		} {
			s, in, _ := x.ask(&wire.Request{Fetch: &wire.Fetch{Bucket: c.bucket, Groups: []wire.Group{c.group}}})
			var m wire.Fetched
			if err := in.Read(&m, wire.MaxPieces); err != nil || len(m.Pieces) != c.chunks || len(m.Ends) != 1 || m.Ends[0].Status != c.want {
				t.Errorf("%s: %d chunks, %v, %v", c.what, len(m.Pieces), m.Ends, err)
			}
			s.Abort()
		}
	})
}

// A sync gives the offered tree's nodes from the root down and nothing else that is here.
func TestSyncGivesOnlyTheOfferedTree(t *testing.T) {
	withIntruder(t, func(t *testing.T, a *site, dial func(wire.Hello) *intruder) {
		bkt := a.create("bkt", segment.Settings{})
		v := a.put("bkt", "k", "payload")
		other := a.create("other", segment.Settings{})
		a.put("other", "k", "payload of another bucket")
		foreign, err := other.Fold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		x := dial(good())
		want := func(ids func(wire.Offer) []chunk.ID) wire.Nodes {
			s, in, out := x.ask(&wire.Request{Sync: &wire.Sync{Bucket: bkt.Info().ID}})
			defer s.Abort()
			var offer wire.Offer
			if err := in.Read(&offer, wire.MaxControl); err != nil || offer.Status != wire.OK {
				t.Fatal(offer, err)
			}
			z, err := zstd.NewReader(in.Rest(), zstd.WithDecoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			if err := out.Write(&wire.Want{IDs: ids(offer)}); err != nil {
				t.Fatal(err)
			}
			var m wire.Nodes
			if err := wire.NewReader(z).Read(&m, wire.MaxNodes); err != nil {
				t.Fatal(err)
			}
			return m
		}
		if m := want(func(o wire.Offer) []chunk.ID { return []chunk.ID{o.Root} }); m.Status != wire.OK || len(m.Pieces) != 1 {
			t.Errorf("the root: %+v", m)
		}
		for what, id := range map[string]chunk.ID{"payload": v.Content.Entries()[0].ID, "another bucket's root": foreign} {
			if m := want(func(wire.Offer) []chunk.ID { return []chunk.ID{id} }); m.Status != wire.Refused || len(m.Pieces) != 0 {
				t.Errorf("%s: %+v", what, m)
			}
		}
		s, in, _ := x.ask(&wire.Request{Sync: &wire.Sync{Bucket: segment.BucketID([]byte("local..........."))}})
		defer s.Abort()
		var offer wire.Offer
		if err := in.Read(&offer, wire.MaxControl); err != nil || offer.Status != wire.Refused || !offer.Root.IsZero() {
			t.Errorf("a bucket that is not linked: %+v, %v", offer, err)
		}
	})
}

// A cursor of another life, or beyond the log, is told to sync.
func TestForeignCursorsAreToldToSync(t *testing.T) {
	withIntruder(t, func(t *testing.T, a *site, dial func(wire.Hello) *intruder) {
		x := dial(good())
		life := a.Origin().Inc
		for _, c := range []segment.Cursor{{Inc: life + 1, Pos: 1}, {Inc: life, Pos: 1 << 40}, {}} {
			s, in, _ := x.ask(&wire.Request{Subscribe: &wire.Subscribe{From: c}})
			var m wire.Start
			if err := in.Read(&m, wire.MaxControl); err != nil || !m.Resync {
				t.Errorf("%+v: %+v, %v", c, m, err)
			}
			s.Abort()
		}
	})
}

// What a peer serves is believed only when it has the right name.
func TestWrongBytesOfAPeerAreNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inMemory()
		w := &world{t: t, net: n, sites: map[string]*site{}}
		ids := identitytest.Federation(t, "a", "b", "x")
		a, b := w.adopt(ids[0]), w.adopt(ids[1])
		a.create("bkt", segment.Settings{})
		a.put("bkt", "k", "right")
		w.link("b", "a")
		b.lists("bkt", "k", 5)
		liar, err := n.Join(ids[2], "x")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = liar.Close() }()
		c, err := liar.Dial(t.Context(), "b", b.id.Segment)
		if err != nil {
			t.Fatal(err)
		}
		go serveLies(t.Context(), c, wire.Hello{Protocol: 1, MinProtocol: 1, Process: 7, Segment: ids[2].Segment})
		w.up("b", "x")
		w.cut("a", "b")
		if got, err := b.read("bkt", "k"); err == nil || !errors.Is(err, chunk.ErrUnavailable) {
			t.Errorf("read %q, %v", got, err)
		}
		w.heal("a", "b")
		w.up("b", "a")
		b.reads("bkt", "k", "right")
		c.Close(transport.Leaving, "")
		synctest.Wait()
	})
}

// serveLies answers each fetch with bytes of its own.
func serveLies(ctx context.Context, c transport.Conn, hello wire.Hello) {
	s, err := c.Open(ctx)
	if err != nil {
		return
	}
	if err := wire.NewWriter(s).Write(&wire.Request{Hello: &hello}); err != nil {
		return
	}
	for {
		s, err := c.Accept(ctx)
		if err != nil {
			return
		}
		var r wire.Request
		if err := wire.NewReader(s).Read(&r, wire.MaxControl); err != nil || r.Fetch == nil {
			s.Abort()
			continue
		}
		m := &wire.Fetched{Pieces: []wire.Piece{{Data: []byte("wrong")}}, Ends: []wire.End{{}}}
		_ = wire.NewWriter(s).Write(m)
		s.CloseWrite()
		_, _ = io.Copy(io.Discard, s)
		s.Abort()
	}
}

// However many syncs a peer asks for, it is served a few at one time.
func TestSyncsOfOnePeerAreBounded(t *testing.T) {
	withIntruder(t, func(t *testing.T, a *site, dial func(wire.Hello) *intruder) {
		bkt := a.create("bkt", segment.Settings{})
		x := dial(good())
		offers := make(chan error, 10)
		var streams []transport.Stream
		for range cap(offers) {
			s, in, _ := x.ask(&wire.Request{Sync: &wire.Sync{Bucket: bkt.Info().ID}})
			streams = append(streams, s)
			go func() {
				var offer wire.Offer
				offers <- in.Read(&offer, wire.MaxControl)
			}()
		}
		synctest.Wait()
		before := len(offers)
		if before == 0 || before == cap(offers) {
			t.Errorf("%d of %d syncs are served at once", before, cap(offers))
		}
		for range cap(offers) { // each that ends makes room
			synctest.Wait()
			for _, s := range streams[:len(streams)-1] {
				s.CloseWrite()
			}
		}
		synctest.Wait()
		if len(offers) != cap(offers) {
			t.Errorf("%d of %d syncs are served in the end", len(offers), cap(offers))
		}
		for _, s := range streams {
			s.Abort()
		}
	})
}
