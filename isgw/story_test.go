package isgw_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/segment"
)

// inVirtualTime runs a story on the network in memory.
func inVirtualTime(t *testing.T, names []string, story func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, inMemory(), names...)
		story(t, w)
	})
}

func names(s string) []string { return strings.Fields(s) }

func TestCutSitesGoOnAndHeal(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := w.at("a"), w.at("b")
		a.create("both", segment.DefaultSettings())
		a.put("both", "shared", "first")
		w.link("a", "b")
		b.lists("both", "shared", 5)
		w.cut("a", "b")
		a.put("both", "shared", "a's own")
		b.put("both", "shared", "b's")
		a.put("both", "only-a", "x")
		b.put("both", "only-b", "y")
		b.create("new-at-b", segment.DefaultSettings())
		b.put("new-at-b", "k", "v")
		time.Sleep(time.Minute) // virtual: the connection is lost
		if st := a.link("b"); st.State != isgw.Cut || st.Why == "" || st.Out.Age < 50*time.Second || st.Out.Entries == 0 {
			t.Errorf("while cut: %+v", st)
		}
		began := time.Now()
		w.heal("a", "b")
		w.converge("both", "a", "b")
		w.converge("new-at-b", "a", "b")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("healing took %v", took)
		}
		for _, s := range []*site{a, b} {
			conflicts, err := s.bucket("both").Conflicts(t.Context(), "", 10)
			if err != nil || len(conflicts) != 1 || conflicts[0].Key != "shared" {
				t.Errorf("%s: conflicts %v, %v", s.id.Name, conflicts, err)
			}
		}
		w.eventually("no lag", func() error {
			if st := a.link("b"); st.Out != (isgw.Lag{Known: true}) || st.State != isgw.Up {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
	})
}

// A segment that was restarted while it is cut off does not know how far the two are apart, and does not say that they are not.
func TestLagIsUnknownUntilConnected(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := w.at("a"), w.at("b")
		a.create("bkt", segment.DefaultSettings())
		w.link("a", "b")
		b.bucket("bkt")
		w.cut("a", "b")
		a.stop()
		a.start()
		if st := a.link("b"); st.In.Known || st.Out.Known || st.State == isgw.Up {
			t.Errorf("cut off since the start: %+v", st)
		}
		w.heal("a", "b")
		w.eventually("known again", func() error {
			if st := a.link("b"); !st.In.Known || !st.Out.Known {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
	})
}

// A short cut does not even end the connection.
func TestShortCutIsSurvived(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		w.at("a").create("bkt", segment.DefaultSettings())
		w.link("a", "b")
		w.at("b").bucket("bkt")
		w.cut("a", "b")
		w.at("a").put("bkt", "k", "v")
		time.Sleep(5 * time.Second)
		w.heal("a", "b")
		w.at("b").lists("bkt", "k", 1)
		if n := w.net.Connections(w.at("a").id.Segment, w.at("b").id.Segment); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// What the middle of a chain learns by a sync is no record in its log: the mark makes the end sync too.
func TestChainLearnsWhatTheMiddleSynced(t *testing.T) {
	inVirtualTime(t, names("a b c"), func(t *testing.T, w *world) {
		w.at("b").create("bkt", segment.DefaultSettings())
		w.link("a", "b")
		w.link("b", "c")
		w.at("a").bucket("bkt")
		w.at("c").bucket("bkt")
		w.cut("a", "b")
		for i := range 20 {
			w.at("a").put("bkt", fmt.Sprintf("k%d", i), "from a")
		}
		// b forgets where a's log stands, as after another life: only a sync can serve.
		if err := w.at("b").SetCursor(t.Context(), w.at("a").id.Segment, segment.Cursor{Inc: 77, Pos: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		w.heal("a", "b")
		w.at("c").lists("bkt", "k19", 6)
		w.converge("bkt", "a", "b", "c")
		if st := w.at("b").link("a"); st.Syncs == 0 {
			t.Errorf("b did not sync: %+v", st)
		}
		if st := w.at("c").link("b"); st.Syncs < 2 { // at first, and for the mark
			t.Errorf("c did not sync for the mark: %+v", st)
		}
	})
}

func TestMeshConverges(t *testing.T) {
	inVirtualTime(t, names("a b c"), func(t *testing.T, w *world) {
		w.at("a").create("bkt", segment.DefaultSettings())
		for _, l := range []string{"a b", "b c", "c a", "b a"} {
			w.link(l[:1], l[2:])
		}
		for _, s := range names("a b c") {
			w.at(s).bucket("bkt")
		}
		for i := range 50 {
			for _, s := range names("a b c") {
				w.at(s).put("bkt", fmt.Sprintf("%s-%d", s, i), s)
				w.at(s).put("bkt", fmt.Sprintf("all-%d", i), s)
			}
		}
		w.converge("bkt", "a", "b", "c")
		for _, l := range []string{"a b", "b c", "c a"} {
			if n := w.net.Connections(w.at(l[:1]).id.Segment, w.at(l[2:]).id.Segment); n != 1 {
				t.Errorf("%s: %d connections", l, n)
			}
		}
	})
}

// Both dial: one connection stays, and both have the same.
func TestBothDial(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		w.link("a", "b")
		w.link("b", "a")
		w.up("a", "b")
		w.up("b", "a")
		time.Sleep(10 * time.Second)
		if n := w.net.Connections(w.at("a").id.Segment, w.at("b").id.Segment); n != 1 {
			t.Errorf("%d connections", n)
		}
		w.at("a").create("bkt", segment.DefaultSettings())
		w.at("b").bucket("bkt")
	})
}

// A site behind a NAT has no address that others could dial.
func TestOneSideOnlyDialsOut(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		w.link("b", "a")
		w.up("a", "b")
		w.at("a").create("bkt", segment.DefaultSettings())
		w.at("b").bucket("bkt")
		w.net.Break(w.at("a").id.Segment, w.at("b").id.Segment)
		w.at("a").put("bkt", "k", "v")
		w.at("b").lists("bkt", "k", 1)
	})
}

func TestRestartGoesOnWithTheFeed(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		w.at("a").create("bkt", segment.DefaultSettings())
		w.at("a").put("bkt", "k1", "v")
		w.link("a", "b")
		w.at("b").lists("bkt", "k1", 1)
		w.at("b").stop()
		w.at("a").put("bkt", "k2", "v")
		w.at("b").start()
		w.at("b").lists("bkt", "k2", 1)
		w.at("a").stop()
		w.at("b").put("bkt", "k3", "v")
		w.at("a").start() // links are remembered
		w.at("a").lists("bkt", "k3", 1)
		if st := w.at("b").link("a"); st.Syncs != 0 {
			t.Errorf("synced after a restart: %+v", st)
		}
	})
}

func TestRemovedLinkIsRefused(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		w.link("a", "b")
		w.up("b", "a")
		if err := w.at("b").links.Remove("a"); err != nil {
			t.Fatal(err)
		}
		w.eventually("refused", func() error {
			if st := w.at("a").link("b"); st.State != isgw.Refused || !strings.Contains(st.Why, "removed") {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
		w.at("b").stop()
		w.at("b").start() // still refused after a restart
		time.Sleep(10 * time.Second)
		if st := w.at("a").link("b"); st.State != isgw.Refused {
			t.Errorf("%+v", st)
		}
		if err := w.at("b").links.Remove("a"); !errors.Is(err, isgw.ErrNoLink) {
			t.Errorf("removed twice: %v", err)
		}
		w.link("b", "a")
		w.up("a", "b")
	})
}

func TestStrangerIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inMemory()
		w, other := newWorld(t, n, "a"), newWorld(t, n, "x")
		other.sites["a"] = w.at("a")
		other.link("x", "a")
		delete(other.sites, "a")
		other.eventually("refused", func() error {
			if st := other.at("x").link("a"); st.State != isgw.Refused {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
		if got := w.at("a").links.Peers(); len(got) != 0 {
			t.Errorf("a knows %v", got)
		}
	})
}

func TestClockAheadPausesTheLink(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		w.at("a").create("bkt", segment.DefaultSettings())
		w.link("a", "b")
		w.at("b").bucket("bkt")
		w.at("a").skew.Store(int64(20 * time.Minute))
		w.at("a").put("bkt", "future", "v")
		w.eventually("clock", func() error {
			if st := w.at("b").link("a"); st.State != isgw.Clock || st.Why == "" {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
		w.at("b").put("bkt", "now", "v")
		w.at("a").lists("bkt", "now", 1) // the other way goes on
		time.Sleep(16 * time.Minute)
		w.at("b").lists("bkt", "future", 1)
		w.eventually("up again", func() error {
			if st := w.at("b").link("a"); st.State != isgw.Up {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
	})
}

// A segment that came back from a backup learns from its peer that it has written more than it knows.
func TestRestoredBackupBeginsANewLife(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a := w.at("a")
		a.create("bkt", segment.DefaultSettings())
		a.put("bkt", "k1", "v")
		w.link("a", "b")
		w.at("b").lists("bkt", "k1", 1)
		life := a.Origin().Inc
		a.stop()
		backup := a.fs.Crash(rand.New(rand.NewPCG(1, 2))) // what is synced: all
		a.start()
		a.put("bkt", "lost", "v")
		w.at("b").lists("bkt", "lost", 1)
		a.stop()
		a.fs = backup
		a.start()
		w.up("a", "b")
		a.put("bkt", "k2", "v")
		w.at("b").lists("bkt", "k2", 1)
		a.lists("bkt", "lost", 1)
		w.converge("bkt", "a", "b")
		if a.Origin().Inc <= life {
			t.Errorf("life %d after %d", a.Origin().Inc, life)
		}
	})
}

func TestListingIsCompleteAfterLargeSync(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a := w.at("a")
		a.create("bkt", segment.DefaultSettings())
		var want []string
		for i := range 3000 {
			key := fmt.Sprintf("dir-%03d/file-%d", i%100, i)
			a.put("bkt", key, "")
			want = append(want, key)
		}
		w.link("b", "a")
		root := w.converge("bkt", "a", "b")
		if root.IsZero() {
			t.Fatal("no root")
		}
		var got []string
		for after := ""; ; {
			page, err := w.at("b").bucket("bkt").List(t.Context(), segment.ListOptions{After: after, Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				got = append(got, e.Version.Key)
			}
			if !page.Truncated {
				break
			}
			after = page.Next
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%d keys, want %d", len(got), len(want))
		}
	})
}

// The log that a peer needs is cut while it is away: what it lacks comes by a sync, and the feed goes on behind it.
func TestOutageLongerThanTheLog(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := w.at("a"), w.at("b")
		a.stop()
		a.log = 64 << 10
		a.start()
		a.create("bkt", segment.DefaultSettings())
		w.link("a", "b")
		b.bucket("bkt")
		w.cut("a", "b")
		time.Sleep(time.Minute) // nothing is under way any more
		for i := range 2000 {
			a.put("bkt", fmt.Sprintf("k%04d", i), "v")
		}
		w.eventually("the log is cut", func() error {
			at, _ := b.Cursor(a.id.Segment)
			a.put("bkt", "more", "v")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, _, err := a.FeedFrom(ctx, at.Pos, 1); !errors.Is(err, segment.ErrLogCut) {
				return fmt.Errorf("feed from %d: %v", at.Pos, err)
			}
			return nil
		})
		before := b.link("a").Syncs
		w.heal("a", "b")
		w.converge("bkt", "a", "b")
		if st := b.link("a"); st.Syncs == before {
			t.Errorf("no sync: %+v", st)
		}
		a.put("bkt", "after", "v")
		b.lists("bkt", "after", 1)
	})
}

// Two buckets of one name, made while the sites were cut, are both there under one name each.
func TestOneNameAtTwoSites(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := w.at("a"), w.at("b")
		w.link("a", "b")
		w.up("a", "b")
		w.cut("a", "b")
		a.create("photos", segment.DefaultSettings())
		a.put("photos", "from-a", "v")
		time.Sleep(time.Second)
		b.create("photos", segment.DefaultSettings())
		b.put("photos", "from-b", "v")
		w.heal("a", "b")
		w.eventually("both names at both", func() error {
			var got []string
			for _, s := range []*site{a, b} {
				for _, info := range s.Buckets() {
					got = append(got, info.Name)
				}
			}
			if want := names("photos photos~b photos photos~b"); !slices.Equal(got, want) {
				return fmt.Errorf("%v", got)
			}
			return nil
		})
		for _, s := range []*site{a, b} {
			s.lists("photos", "from-a", 1)
			s.lists("photos~b", "from-b", 1)
		}
	})
}

// Three sites, links that come and go, restarts, writes and deletes of few keys: in the end all have the same. ISGW_SEEDS says how many.
func TestRandomWorldsConverge(t *testing.T) {
	seeds := uint64(5)
	if s := os.Getenv("ISGW_SEEDS"); s != "" {
		if _, err := fmt.Sscan(s, &seeds); err != nil {
			t.Fatal(err)
		}
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inVirtualTime(t, names("a b c"), func(t *testing.T, w *world) { randomWorld(t, w, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func randomWorld(t *testing.T, w *world, rng *rand.Rand) {
	w.at("a").create("bkt", segment.DefaultSettings())
	links := []string{"a b", "b c", "c a"}[:2+rng.IntN(2)]
	for _, l := range links {
		w.link(l[:1], l[2:])
	}
	for _, s := range names("a b c") {
		w.at(s).bucket("bkt")
	}
	for range 200 {
		s := w.at(names("a b c")[rng.IntN(3)])
		l := links[rng.IntN(len(links))]
		key := fmt.Sprint("k", rng.IntN(10))
		switch rng.IntN(12) {
		case 0:
			w.cut(l[:1], l[2:])
		case 1:
			w.heal(l[:1], l[2:])
		case 2:
			s.stop()
			s.start()
		case 3:
			if _, err := s.bucket("bkt").Delete(t.Context(), key, segment.Cond{}); err != nil {
				t.Fatal(err)
			}
		case 4:
			time.Sleep(time.Duration(rng.IntN(20)) * time.Second)
		default:
			s.put("bkt", key, s.id.Name)
			time.Sleep(time.Duration(rng.IntN(50)) * time.Millisecond)
		}
	}
	for _, l := range links {
		w.heal(l[:1], l[2:])
	}
	w.converge("bkt", "a", "b", "c")
	for _, s := range names("a b c") {
		for _, l := range w.at(s).links.Status() {
			if len(l.Stopped) > 0 {
				t.Errorf("%s: %+v", s, l)
			}
		}
	}
}
