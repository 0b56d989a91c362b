package isgw_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/isgw/identity/identitytest"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// patient restarts a segment with the time limit of lazy reads that a daemon has.
func (s *site) patient() {
	s.stop()
	s.limit = 10 * time.Second
	s.start()
}

// fails reads keys that are elsewhere, all at once, and says how long the last took to be refused.
func (s *site) fails(bucket string, keys ...string) (took time.Duration, last error) {
	s.w.t.Helper()
	began := time.Now()
	var mu sync.Mutex
	var readers sync.WaitGroup
	for _, key := range keys {
		readers.Go(func() {
			_, err := s.read(bucket, key)
			mu.Lock()
			defer mu.Unlock()
			if last = err; !errors.Is(err, chunk.ErrUnavailable) {
				s.w.t.Errorf("read %s: %v", key, err)
			}
		})
	}
	readers.Wait()
	return time.Since(began), last
}

// However a link is cut, readers are told soon, the same for one as for hundreds.
func TestReadsOverACutLinkFailSoon(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		w.at("b").patient()
		a, b := pair(t, w, lazyBucket())
		var keys []string
		for i := range 300 {
			keys = append(keys, fmt.Sprint("k", i))
			a.put("bkt", keys[i], text(20))
		}
		b.lists("bkt", keys[299], 20)
		w.cut("a", "b")
		took, err := b.fails("bkt", keys[0])
		if took > 6*time.Second || !strings.Contains(err.Error(), "asked a at a: ") {
			t.Errorf("when the link is cut: after %v: %v", took, err)
		}
		if st := b.link("a"); st.State != isgw.Up {
			t.Fatalf("the connection has ended already: %+v", st)
		}
		if took, err = b.fails("bkt", keys...); took > 1500*time.Millisecond {
			t.Errorf("while the connection is up and the peer is not heard of: after %v: %v", took, err)
		}
		time.Sleep(time.Minute)
		if took, err = b.fails("bkt", keys...); took > 0 || !strings.Contains(err.Error(), "the link to a is cut") {
			t.Errorf("cut for a minute: after %v: %v", took, err)
		}
		if st := b.lazy.Status(); st.Waiting != 0 {
			t.Errorf("%d bytes wait for nobody", st.Waiting)
		}
	})
}

func TestAReconnectIsBridged(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		w.at("b").patient()
		a, b := pair(t, w, lazyBucket())
		a.put("bkt", "k", "body")
		a.put("bkt", "l", "body")
		b.lists("bkt", "l", 4)
		lose := func() { w.net.Break(a.id.Segment, b.id.Segment) }
		lose()
		b.reads("bkt", "k", "body")
		w.cut("a", "b") // the request is on its way when the connection ends
		time.AfterFunc(500*time.Millisecond, func() {
			w.heal("a", "b")
			lose()
		})
		b.reads("bkt", "l", "body")
	})
}

// A peer that is heard of and does not answer is given the time that it may need.
func TestAPeerThatIsUpIsGivenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inMemory()
		w := &world{t: t, net: n, sites: map[string]*site{}}
		ids := identitytest.Federation(t, "a", "b", "x")
		a, b := w.adopt(ids[0]), w.adopt(ids[1])
		b.patient()
		a.create("bkt", segment.Settings{})
		for i := range 100 {
			a.put("bkt", fmt.Sprint(i), text(20))
		}
		w.link("b", "a")
		b.lists("bkt", "99", 20)
		net, err := n.Join(ids[2], "x")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = net.Close() }()
		c, err := net.Dial(t.Context(), "b", b.id.Segment)
		if err != nil {
			t.Fatal(err)
		}
		var mute sync.WaitGroup
		mute.Go(func() {
			stayMute(t.Context(), c, wire.Hello{Protocol: 1, MinProtocol: 1, Process: 7, Segment: ids[2].Segment})
		})
		w.up("b", "x")
		w.cut("a", "b")
		time.Sleep(20 * time.Second)
		took, err := b.fails("bkt", "0")
		if took != 10*time.Second || !strings.Contains(err.Error(), "asked x at x: nothing came for 10s") {
			t.Errorf("after %v: %v", took, err)
		}
		var keys []string
		for i := range 100 {
			keys = append(keys, fmt.Sprint(i))
		}
		took, err = b.fails("bkt", keys...)
		if took > 20*time.Second {
			t.Errorf("many: after %v: %v", took, err)
		}
		c.Close(transport.Leaving, "")
		mute.Wait()
	})
}

// stayMute sends heartbeats and answers nothing.
func stayMute(ctx context.Context, c transport.Conn, hello wire.Hello) {
	s, err := c.Open(ctx)
	if err != nil {
		return
	}
	out := wire.NewWriter(s)
	if err := out.Write(&wire.Request{Hello: &hello}); err != nil {
		return
	}
	for out.Write(&wire.Heartbeat{Clock: time.Now()}) == nil {
		time.Sleep(2 * time.Second)
	}
}
