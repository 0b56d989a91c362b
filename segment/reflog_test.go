package segment

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func (s *site) remember(bucket string) {
	s.w.t.Helper()
	if err := s.bucketNamed(bucket).remember(s.w.ctx); err != nil {
		s.w.t.Fatal(err)
	}
}

// A bucket is read, compared, restored and branched as it was at a time that is remembered.
func TestABucketIsReadAsOfATime(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	began := w.now
	states := map[time.Time]map[string]string{}
	for i := range 8 {
		w.tick(time.Hour)
		if i != 4 { // nothing happens in one of the hours
			a.put("photos", "k", fmt.Sprint(i))
			a.put("photos", fmt.Sprint("k", i), "v")
		}
		states[w.now] = a.holds("photos")
		w.tick(time.Second)
		a.remember("photos")
		if i == 5 {
			a.restart()
		}
	}
	if _, err := a.Bucket("photos@" + began.Format(time.RFC3339)); !errors.Is(err, ErrNoSuchSnapshot) {
		t.Errorf("before anything was remembered: %v", err)
	}
	for at, want := range states {
		for _, name := range []string{
			at.Add(time.Minute).Format(time.RFC3339), at.Add(59 * time.Minute).Format("20060102T150405Z"), at.Add(time.Second).Format(momentFormat),
			fmt.Sprintf("%dm", int(w.now.Sub(at.Add(time.Minute)).Minutes())),
		} {
			if strings.HasPrefix(name, "-") || name == "0m" {
				continue
			}
			a.wantHolds("photos@"+name, want)
		}
	}
	then := slices.SortedFunc(maps.Keys(states), time.Time.Compare)[2]
	old := a.bucketNamed("photos@" + then.Add(time.Minute).Format(time.RFC3339))
	if got, want := old.Info().Name, "photos@"+then.Add(time.Second).Format(momentFormat); got != want {
		t.Errorf("it is called %s, want %s", got, want)
	}
	a.wantHolds(old.Info().Name, states[then])
	if _, err := old.Put(w.ctx, "k", Attrs{}, Cond{}, strings.NewReader("x")); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a write: %v", err)
	}
	a.branch(old.Info().Name, "past")
	a.wantHolds("past", states[then])
	a.restart()
	a.wantHolds("past", states[then])
	if _, err := a.bucketNamed("photos").Restore(w.ctx, a.bucketNamed(old.Info().Name), "", nil); err != nil {
		t.Fatal(err)
	}
	a.wantHolds("photos", states[then])
	day := w.now.UTC().Format("2006-01-02")
	a.snap("photos", day)
	a.put("photos", "new", "x")
	a.wantHolds("photos@"+day, states[then]) // what has the name goes before what is a time
	if _, err := a.bucketNamed("photos").CreateSnapshot(w.ctx, "2h"); !errors.Is(err, ErrInvalidName) {
		t.Errorf("a name that tells how long ago: %v", err)
	}
}

// What is due is told by what is remembered: a segment that never runs for as long as one interval remembers as often as one that does.
func TestRootsAreRememberedAcrossRestarts(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	const every = 10 * time.Minute
	times := func() (out []time.Time) {
		for e, err := range a.bucketNamed("photos").roots(w.ctx, ^HLC(0)) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, e.time.Time())
		}
		return out
	}
	began := w.now
	for i := range 12 {
		a.put("photos", "k", fmt.Sprint(i))
		w.tick(9 * time.Minute)
		a.restart()
		due := map[BucketID]time.Time{}
		a.rememberDue(w.ctx, every, due)
		a.rememberDue(w.ctx, every, due) // at once again: nothing is due
	}
	if got := times(); len(got) != 6 || got[5].Sub(began) != 18*time.Minute {
		t.Errorf("remembered at %v since %v", got, began)
	}
	w.tick(-time.Hour) // the clock was an hour ahead
	a.restart()
	due := map[BucketID]time.Time{}
	a.put("photos", "k", "back")
	for range 2 {
		a.rememberDue(w.ctx, every, due)
		w.tick(every)
	}
	if got := times(); len(got) != 7 {
		t.Errorf("after the clock was set back: %v", got)
	}
}

// Whoever reads as of a time is told which state he reads, and, before the first, which that is.
func TestAStateSaysWhichItIs(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	ask := func(at time.Time) (*Bucket, error) { return a.Bucket("photos@" + at.Format(time.RFC3339Nano)) }
	w.tick(time.Hour)
	a.put("photos", "k", "1")
	if _, err := ask(w.now); !errors.Is(err, ErrNoSuchSnapshot) || !strings.Contains(err.Error(), "nothing is remembered here yet") {
		t.Errorf("before all: %v", err)
	}
	w.tick(time.Minute)
	first := w.now
	a.remember("photos")
	w.tick(time.Minute)
	a.put("photos", "k", "2")
	a.snap("photos", "s")
	made := w.now
	for at, want := range map[time.Duration]time.Time{0: first, 59 * time.Second: first, time.Minute: made, 40 * 24 * time.Hour: made} {
		b, err := ask(first.Add(at))
		if err != nil {
			t.Fatal(err)
		}
		if st, ok := b.State(); !ok || !st.Time.Equal(want) || !st.Asked.Equal(first.Add(at)) {
			t.Errorf("%v after the first: %+v, want %v", at, st, want)
		}
	}
	if st, ok := a.bucketNamed("photos@s").State(); !ok || !st.Time.Equal(made) || !st.Asked.IsZero() {
		t.Errorf("a snapshot: %+v, %t", st, ok)
	}
	if st, ok := a.bucketNamed("photos").State(); ok {
		t.Errorf("the bucket as it is now: %+v", st)
	}
	_, err := ask(first.Add(-time.Second))
	if e := (*NotRememberedError)(nil); !errors.As(err, &e) || !e.First.Equal(first) || !errors.Is(err, ErrNoSuchSnapshot) || !strings.Contains(err.Error(), "begins at "+moment(first)) {
		t.Errorf("before the first: %v", err)
	}
}

func TestTimesAreReadAsTheyAreWritten(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 30, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-11-20T12:00:00Z": "2026-11-20T12:00:00Z", "2026-11-20T13:00:00+01:00": "2026-11-20T12:00:00Z", "2026-11-19": "2026-11-19T00:00:00Z",
		"20261119T101500Z": "2026-11-19T10:15:00Z", "2026-11-20T12:00": "2026-11-20T12:00:00Z",
		"30s": "2026-11-20T12:29:30Z", "2h": "2026-11-20T10:30:00Z", "1d": "2026-11-19T12:30:00Z", "2w": "2026-11-06T12:30:00Z",
		"": "", "h": "", "2": "", "2y": "", "-2h": "", "1.5h": "", "99999999999h": "", "2000000000w": "", "monday": "", "2026-13-01": "",
	} {
		got, ok := parseMoment(text, now)
		if ok != (want != "") || ok && got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %t; want %s", text, got, ok, want)
		}
	}
}

// Roots grow fewer with their age, and so are bounded.
func TestRememberedRootsGrowFewer(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	b := a.bucketNamed("photos")
	count := func() (n int, oldest time.Time) {
		for e, err := range b.roots(w.ctx, ^HLC(0)) {
			if err != nil {
				t.Fatal(err)
			}
			n, oldest = n+1, e.time.Time()
		}
		return n, oldest
	}
	const step = 20 * time.Minute
	first := w.now
	for i := range 3 * 72 {
		w.tick(step)
		a.put("photos", "k", fmt.Sprint(i))
		a.remember("photos")
		a.remember("photos") // nothing is new
	}
	// All of the last day, one an hour of the two before.
	if n, oldest := count(); n < 72+47 || n > 73+49 || oldest.Sub(first) > time.Hour {
		t.Errorf("%d roots, since %v", n, oldest.Sub(first))
	}
	w.tick(200 * 24 * time.Hour)
	a.put("photos", "k", "later")
	a.remember("photos")
	if n, _ := count(); n != 5 { // one of each of four calendar days, and now
		t.Errorf("%d roots after half a year", n)
	}
	w.tick(366 * 24 * time.Hour)
	a.put("photos", "k", "much later")
	a.remember("photos")
	if n, _ := count(); n != 2 { // what it was a year ago, and now
		t.Errorf("%d roots after a year", n)
	}
	a.remove("photos", "k")
	if err := a.DeleteBucket(w.ctx, "photos"); err != nil {
		t.Fatal(err)
	}
	if err := b.remember(w.ctx); err != nil {
		t.Fatal(err)
	}
	if n, _ := count(); n != 0 {
		t.Errorf("%d roots of a bucket that was deleted", n)
	}
}

func TestTheLogOfABucket(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	w.tick(time.Minute)
	a.put("photos", "k", "1")
	b.put("photos", "l", "1")
	w.settle()
	a.remember("photos")
	w.tick(time.Minute)
	if err := a.bucketNamed("photos").Configure(w.ctx, func(s *Settings) error { s.Versioning = Versioned; return nil }); err != nil {
		t.Fatal(err)
	}
	b.put("photos", "l", "2")
	w.settle()
	a.remember("photos")
	w.tick(time.Minute)
	a.snap("photos", "s")
	a.branch("photos", "work")
	a.put("work", "k", "2")
	w.tick(time.Minute)
	a.merge("work", "photos", MergeOptions{})
	w.tick(time.Minute)
	a.remember("photos")
	for _, limit := range []int{100, 3, 1} {
		var got []string
		for before := HLC(0); ; {
			p, err := a.bucketNamed("photos").Log(w.ctx, before, limit)
			if err != nil || len(p.Events) > limit {
				t.Fatal(p, err)
			}
			for _, e := range p.Events {
				line := fmt.Sprint(e.Kind, " ", e.Name, " at ", e.Segment, " ", e.Writes)
				if e.Settings != nil {
					line += " settings"
				}
				got = append(got, line)
			}
			if before = p.Next; before == 0 {
				break
			}
		}
		want := []string{"root  at a map[a:1]", "merged work at a map[]", "branch work at a map[]", "snapshot s at a map[]", "root  at a map[a:1 b:1] settings",
			"root  at a map[a:1 b:1]", "created  at a map[]"}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d:\n%s\nwant\n%s", limit, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	p, err := a.bucketNamed("work").Log(w.ctx, 0, 10)
	if err != nil || len(p.Events) != 2 || p.Events[0].Kind != EventMerge || p.Events[0].Merged.Put != 1 || p.Events[1].Name != "photos" {
		t.Errorf("of the branch: %+v, %v", p, err)
	}
}

func TestTheLogOfAKey(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	if err := a.bucketNamed("photos").Configure(w.ctx, func(s *Settings) error { s.Versioning = Versioned; return nil }); err != nil {
		t.Fatal(err)
	}
	w.settle()
	a.put("photos", "k", "1")
	a.put("photos", "k", "2")
	a.put("photos", "kk", "other")
	w.settle()
	a.remove("photos", "k")
	w.tick(time.Second)
	b.put("photos", "k", "3")
	w.tick(time.Second)
	a.put("photos", "k", "4")
	w.settle()
	at := b.bucketNamed("photos")
	for _, limit := range []int{10, 2, 1} {
		var got []string
		var after *VersionID
		for more := true; more; {
			var page []KeyVersion
			var err error
			if page, more, err = at.KeyLog(w.ctx, "k", after, limit); err != nil || len(page) > limit {
				t.Fatal(page, err)
			}
			for _, v := range page {
				got = append(got, fmt.Sprint(v.Dot.Segment, v.Marker, v.Current, v.Open, v.Superseded))
				after = &v.VersionID
			}
		}
		id := func(s *site) string { return s.ID().String() }
		want := []string{id(a) + " false true false false", id(b) + " false false true false", id(a) + " true false false true",
			id(a) + " false false false true", id(a) + " false false false true"}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %q want %q", limit, got, want)
		}
	}
	if none, more, err := at.KeyLog(w.ctx, "none", nil, 5); len(none) > 0 || more || err != nil {
		t.Error(none, more, err)
	}
}
