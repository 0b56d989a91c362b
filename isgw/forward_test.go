package isgw_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw/transport/memnet"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

func homeBucket() segment.Settings { return segment.Settings{Policy: segment.Home} }

func (s *site) putIf(key, body string, c segment.Cond) (segment.Version, error) {
	return s.bucket("bkt").Put(s.w.t.Context(), key, segment.Attrs{ETag: fmt.Sprint(len(body), body[:1])}, c, strings.NewReader(body))
}

// What is written at another segment is at the home, payload and all, when that is acknowledged; and who wrote it reads it.
func TestWritesAreHandedToTheHome(t *testing.T) {
	onBoth(t, func(t *testing.T, net *memnet.Network) {
		w := newWorld(t, net, "a", "b")
		a, b := pair(t, w, homeBucket())
		for _, size := range []int{1, 100 << 10, 5 << 20} { // with the request, in one level, below nodes
			key, body := fmt.Sprint(size), text(size)
			v, err := b.putIf(key, body, segment.Cond{Absent: true})
			if err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if v.Dot.Segment != a.ID() {
				t.Errorf("%d bytes: written by %v", size, v.Dot)
			}
			o, err := a.ObjectHere(a.bucket("bkt").ID(), v)
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, size)
			if n, err := o.ReadAt(t.Context(), p, 0); n != size || string(p) != body {
				t.Errorf("%d bytes: the home holds %d of them, %v", size, n, err)
			}
			if s, err := b.bucket("bkt").Stat(t.Context(), key, segment.VersionRef{}); err != nil || s.VersionID != v.VersionID {
				t.Errorf("%d bytes: who wrote it sees %+v, %v", size, s, err)
			}
			b.reads("bkt", key, body)
			if _, err := b.putIf(key, body, segment.Cond{Absent: true}); !errors.Is(err, segment.ErrPrecondition) {
				t.Errorf("%d bytes: put again if absent: %v", size, err)
			}
		}
		o, err := b.bucket("bkt").Open(t.Context(), "1", segment.VersionRef{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.bucket("bkt").Copy(t.Context(), o, "copy", segment.Attrs{}, segment.Cond{}); err != nil {
			t.Errorf("copy: %v", err)
		}
		a.lists("bkt", "copy", 1)
		if _, err := b.bucket("bkt").Delete(t.Context(), "copy", segment.Cond{}); err != nil {
			t.Errorf("delete: %v", err)
		}
		if _, err := a.read("bkt", "copy"); !errors.Is(err, segment.ErrNoSuchKey) {
			t.Errorf("the home after a delete: %v", err)
		}
	})
}

// A home that is cut off writes nothing for others: they are told soon, and that is no refusal of what they asked for.
func TestAHomeThatIsCutOffIsUnavailable(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, homeBucket())
		w.cut("a", "b")
		for _, state := range []string{"nobody has noticed", "it is silent", "the connection is lost"} {
			began := time.Now()
			_, err := b.putIf("k", "body", segment.Cond{Absent: true})
			if !errors.Is(err, segment.ErrUnavailable) || errors.Is(err, segment.ErrPrecondition) {
				t.Errorf("%s: %v", state, err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("%s: it took %v", state, took)
			}
			time.Sleep(10 * time.Second) // virtual
		}
		if _, err := a.putIf("j", "body", segment.Cond{Absent: true}); err != nil {
			t.Errorf("the home itself: %v", err)
		}
		w.heal("a", "b")
		w.up("b", "a")
		w.eventually("b writes", func() error {
			_, err := b.putIf("k", "body", segment.Cond{})
			return err
		})
	})
}

// The home is moved while others write: no write is lost, none is done twice, and all end at the new home.
func TestTheHomeMovesUnderWrites(t *testing.T) {
	inVirtualTime(t, names("a b c"), func(t *testing.T, w *world) {
		a, b := pair(t, w, homeBucket())
		c := w.at("c")
		w.link("c", "a")
		w.link("c", "b")
		w.up("c", "a")
		w.up("c", "b")
		last, err := c.putIf("k", "0", segment.Cond{Absent: true})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if i%5 == 4 {
				from, to := a, b
				if !a.bucket("bkt").Info().Here {
					from, to = b, a
				}
				if err := from.bucket("bkt").MoveHome(t.Context(), to.ID()); err != nil {
					t.Fatalf("move %d: %v", i, err)
				}
			}
			v, err := c.putIf("k", fmt.Sprint(i), segment.Cond{Version: &last.VersionID})
			if err != nil {
				t.Fatalf("write %d: %v", i, err)
			}
			last = v
		}
		if e := c.bucket("bkt").Info().Epoch.N; e != 4 {
			t.Errorf("epoch %d", e)
		}
		w.converge("bkt", "a", "b", "c")
	})
}

// What a peer may not ask for is refused, and its payload is its home's alone.
func TestRequestsOfAnIntruder(t *testing.T) {
	withIntruder(t, func(t *testing.T, a *site, dial func(wire.Hello) *intruder) {
		bkt := a.create("bkt", homeBucket())
		v := a.put("bkt", "k", "granted")
		before := bkt.Seen()
		x := dial(good())
		for _, body := range [][]byte{{}, []byte("garbage"), {10, 3, 1, 2, 3}} {
			s, in, _ := x.ask(&wire.Request{Forward: body})
			var m wire.Answer
			if err := in.Read(&m, wire.MaxControl); err == nil {
				t.Errorf("%q is answered: %+v", body, m)
			}
			s.Abort()
		}
		s, in, _ := x.ask(&wire.Request{Fetch: &wire.Fetch{Bucket: bkt.ID(), Groups: []wire.Group{{Request: segment.RequestName{1}, IDs: []chunk.ID{v.Content.Entries()[0].ID}}}}})
		var m wire.Fetched
		if err := in.Read(&m, wire.MaxPieces); err != nil || len(m.Pieces) > 0 || len(m.Ends) != 1 || m.Ends[0].Status != wire.Refused {
			t.Errorf("payload of a request that is not: %+v, %v", m, err)
		}
		s.Abort()
		if !bkt.Seen().Equal(before) {
			t.Error("something was written")
		}
	})
}
