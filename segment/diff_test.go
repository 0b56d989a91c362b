package segment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func (s *site) differences(from, to, prefix string) []string {
	s.w.t.Helper()
	var out []string
	for d, err := range Diff(s.w.ctx, s.bucketNamed(from), s.bucketNamed(to), prefix) {
		if err != nil {
			s.w.t.Fatal(err)
		}
		switch {
		case d.From == nil:
			out = append(out, "+"+d.Key)
		case d.To == nil:
			out = append(out, "-"+d.Key)
		default:
			out = append(out, "~"+d.Key)
		}
	}
	return out
}

func naiveDiff(from, to map[string]string, prefix string) []string {
	var out []string
	for k := range from {
		if _, there := to[k]; !there {
			out = append(out, "-"+k)
		} else if from[k] != to[k] {
			out = append(out, "~"+k)
		}
	}
	for k := range to {
		if _, there := from[k]; !there {
			out = append(out, "+"+k)
		}
	}
	out = slices.DeleteFunc(out, func(s string) bool { return !strings.HasPrefix(s[1:], prefix) })
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(a[1:], b[1:]) })
	return out
}

// TestDiffAndRestoreAgainstWhatIsListed makes random states of a bucket and compares all of them, then goes back to each.
func TestDiffAndRestoreAgainstWhatIsListed(t *testing.T) {
	for _, versioning := range []Versioning{Unversioned, Versioned} {
		w := oneBucket(t, "a")
		a := w.site("a")
		b := a.bucketNamed("photos")
		if err := b.Configure(w.ctx, func(s *Settings) error { s.Versioning = versioning; return nil }); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(5, uint64(versioning)))
		names, states := []string{}, map[string]map[string]string{}
		for n := range 6 {
			for i := range 40 {
				k := fmt.Sprintf("%c/%d", 'a'+rng.IntN(3), rng.IntN(12))
				if rng.IntN(3) == 0 {
					if _, err := b.Delete(w.ctx, k, Cond{}); err != nil {
						t.Fatal(err)
					}
					continue
				}
				a.put("photos", k, fmt.Sprint(n, i))
			}
			name := fmt.Sprint("photos@s", n)
			a.snap("photos", fmt.Sprint("s", n))
			names, states[name] = append(names, name), a.holds(name)
		}
		for _, x := range names {
			for _, y := range names {
				for _, prefix := range []string{"", "b/"} {
					if got, want := a.differences(x, y, prefix), naiveDiff(states[x], states[y], prefix); !slices.Equal(got, want) {
						t.Errorf("%s to %s under %q: %q, want %q", x, y, prefix, got, want)
					}
				}
			}
		}
		for _, name := range names {
			before := a.holds("photos")
			var told Restored
			r, err := b.Restore(w.ctx, a.bucketNamed(name), "", func(so Restored) { told = so })
			if want := int64(len(naiveDiff(before, states[name], ""))); err != nil || told != r || r.Differed != want || r.Put+r.Deleted != want || r.Skipped != 0 {
				t.Errorf("%s: %+v, %+v told, %d differ: %v", name, r, told, want, err)
			}
			a.wantHolds("photos", states[name])
		}
		want := maps.Clone(states[names[5]])
		for k := range states[names[0]] {
			if strings.HasPrefix(k, "c/") {
				want[k] = states[names[0]][k]
			}
		}
		for k := range want {
			if _, there := states[names[0]][k]; strings.HasPrefix(k, "c/") && !there {
				delete(want, k)
			}
		}
		if _, err := b.Restore(w.ctx, a.bucketNamed(names[0]), "c/", nil); err != nil {
			t.Fatal(err)
		}
		a.wantHolds("photos", want)
	}
}

func TestRestoreLeavesWhatIsWrittenMeanwhile(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	for _, k := range []string{"k1", "k2", "k3"} {
		a.put("photos", k, "old")
	}
	a.snap("photos", "s")
	for _, k := range []string{"k1", "k2", "k3"} {
		a.put("photos", k, "new")
	}
	r, err := a.bucketNamed("photos").Restore(w.ctx, a.bucketNamed("photos@s"), "", func(so Restored) {
		if so.Put+so.Skipped == 0 {
			a.put("photos", "k2", "newest")
		}
	})
	if err != nil || r != (Restored{Put: 2, Skipped: 1, Differed: 3}) {
		t.Errorf("%+v, %v", r, err)
	}
	a.wantHolds("photos", map[string]string{"k1": "old", "k2": "newest", "k3": "old"})
}

// A restore that is stopped has done what it says; done again it does what is left, and nothing twice.
func TestARestoreGoesOnWhereItWasStopped(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	b := a.bucketNamed("photos")
	if err := b.Configure(w.ctx, func(set *Settings) error { set.Versioning = Versioned; return nil }); err != nil {
		t.Fatal(err)
	}
	const keys = 300
	key := func(i int) string { return fmt.Sprintf("d/%03d", i) }
	for i := range keys {
		a.put("photos", key(i), "old")
	}
	a.snap("photos", "s")
	was := a.holds("photos")
	for i := range keys {
		a.put("photos", key(i), "new")
	}
	a.put("photos", "d/extra", "new")
	var put, deleted int64
	for stops := 0; ; stops++ {
		ctx, stop := context.WithCancel(w.ctx)
		r, err := b.Restore(ctx, a.bucketNamed("photos@s"), "d/", func(so Restored) {
			if so.Put >= 100 {
				stop()
			}
		})
		stop()
		if put, deleted = put+r.Put, deleted+r.Deleted; err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || stops > keys/100 || r.Put < 100 || r.Put > 100+restoringAtOnce {
			t.Fatalf("stopped with %+v, %v", r, err)
		}
		if r.Differed != keys+1-put-deleted+r.Put+r.Deleted {
			t.Errorf("after %d stops: %+v of %d put, %d deleted", stops, r, put, deleted)
		}
		if stops == 0 {
			a.restart()
			b = a.bucketNamed("photos")
		}
	}
	if put != keys || deleted != 1 {
		t.Errorf("%d put and %d deleted in all", put, deleted)
	}
	a.wantHolds("photos", was)
	for i := range keys {
		if all, _, err := b.KeyLog(w.ctx, key(i), nil, 10); err != nil || len(all) != 3 {
			t.Errorf("%s has %d versions, want 3: %v", key(i), len(all), err)
		}
	}
}

func TestDiffOfTwoBucketsIsRefused(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	if _, err := a.CreateBucket(w.ctx, "other", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, err := range Diff(w.ctx, a.bucketNamed("photos"), a.bucketNamed("other"), "") {
		if !errors.Is(err, ErrInvalidArgument) {
			t.Error(err)
		}
		return
	}
	t.Error("nothing was said")
}
