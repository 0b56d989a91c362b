package isgw_test

import (
	"fmt"
	"testing"

	"github.com/edgefs/edgefs/isgw/transport/memnet"
	"github.com/edgefs/edgefs/segment"
)

// exposed waits until the site counts so many exposed bytes.
func (s *site) exposed(bucket string, want int64) {
	s.w.t.Helper()
	id := s.bucket(bucket).Info().ID
	s.w.eventually(fmt.Sprintf("%d exposed bytes of %s at %s", want, bucket, s.id.Name), func() error {
		got, err := s.links.Exposed(s.w.t.Context(), id)
		if err == nil && got != want {
			err = fmt.Errorf("%d exposed", got)
		}
		return err
	})
}

func TestFullBucketIsHeldEverywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, net *memnet.Network) {
		w := newWorld(t, net, "a", "b")
		a, b := pair(t, w, lazyBucket())
		bodies := map[string]string{"small": text(10), "pieces": text(200 << 10), "tree": text(3 << 20)}
		total := 0
		for key, body := range bodies {
			a.put("bkt", key, body)
			b.lists("bkt", key, len(body))
			total += len(body)
		}
		b.reads("bkt", "small", bodies["small"]) // cached, which does not count
		a.exposed("bkt", int64(total))
		b.exposed("bkt", 0) // it holds nothing
		if err := a.bucket("bkt").Configure(t.Context(), func(s *segment.Settings) error { s.Full = true; return nil }); err != nil {
			t.Fatal(err)
		}
		a.exposed("bkt", 0)
		if err := b.holdsAll("bkt"); err != nil {
			t.Fatal(err)
		}
		a.put("bkt", "later", text(50))
		a.exposed("bkt", 0)
		b.put("bkt", "from-b", text(60))
		b.exposed("bkt", 0)
		if err := a.holdsAll("bkt"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSmallObjectsComeAtOnce(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		w.at("b").stop()
		w.eager = 4096
		w.at("b").start()
		a, b := pair(t, w, segment.Settings{EagerBytes: 100})
		a.put("bkt", "small", text(100))
		a.put("bkt", "large", text(101)) // the bucket says less than the link
		b.lists("bkt", "large", 101)
		w.eventually("the small one is here", func() error {
			if st := b.link("a"); st.Fetched != 1 {
				return fmt.Errorf("%d fetched", st.Fetched)
			}
			return nil
		})
		a.exposed("bkt", 101)
		w.cut("a", "b")
		a.put("bkt", "meanwhile", text(10))
		a.exposed("bkt", 111)
		w.heal("a", "b")
		b.lists("bkt", "meanwhile", 10)
		w.eventually("it is here", func() error {
			if st := b.link("a"); st.Fetched != 2 {
				return fmt.Errorf("%d fetched", st.Fetched)
			}
			return nil
		})
		a.exposed("bkt", 111) // what a peer holds behind a gap is not known: never too few
	})
}

// A peer that is away when payload is wanted is asked when it is back.
func TestPrefetchingTriesAgain(t *testing.T) {
	inVirtualTime(t, names("a b c"), func(t *testing.T, w *world) {
		a, b := pair(t, w, fullBucket())
		w.link("b", "c")
		w.up("b", "c")
		w.cut("b", "c")
		for i := range 2000 {
			a.put("bkt", fmt.Sprint(i), text(20))
		}
		a.exposed("bkt", 0)
		w.heal("b", "c")
		c := w.at("c")
		w.eventually("c holds all", func() error { return c.holdsAll("bkt") })
		w.converge("bkt", "a", "b", "c")
		w.cut("a", "b")
		w.cut("b", "c")
		b.exposed("bkt", 0) // what peers said still counts
	})
}
