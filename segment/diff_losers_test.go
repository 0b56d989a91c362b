package segment

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// keepingBoth is a bucket that keeps both, at two sites.
func keepingBoth(t *testing.T, versioning Versioning) (w *world, a, b *site, box *Bucket) {
	t.Helper()
	w, box = apart(t, LoserBounds{}, versioning)
	if err := box.Configure(w.ctx, func(s *Settings) error { s.Policy, s.Locks.Enabled = KeepBoth, versioning == Versioned; return nil }); err != nil {
		t.Fatal(err)
	}
	w.settle()
	return w, w.site("a"), w.site("b"), box
}

// tagged is a PUT of content that is its ETag.
func (s *site) tagged(key, text string) {
	s.w.t.Helper()
	s.w.tick(time.Second)
	if _, err := s.bucketNamed("box").Put(s.w.ctx, key, Attrs{ETag: text}, Cond{}, strings.NewReader(text)); err != nil {
		s.w.t.Fatal(err)
	}
}

// shows is what is listed: names and ETags.
func (s *site) shows(bucket string) map[string]string {
	s.w.t.Helper()
	out := map[string]string{}
	page, err := s.bucketNamed(bucket).List(s.w.ctx, ListOptions{Limit: 1000})
	if err != nil {
		s.w.t.Fatal(err)
	}
	for _, e := range page.Entries {
		out[e.Version.Key] = e.Version.Attrs.ETag
	}
	return out
}

// What a listing shows to keep both is what states differ in, and what a restore brings back: losers that came, that were ended, that are hidden by a key of
// their name, and that became one.
func TestDiffAndRestoreAreOfWhatIsListed(t *testing.T) {
	for _, versioning := range []Versioning{Unversioned, Versioned} {
		w, a, b, box := keepingBoth(t, versioning)
		rng := rand.New(rand.NewPCG(3, uint64(versioning)))
		names, states := []string{}, map[string]map[string]string{}
		for n := range 5 {
			for i := range 20 {
				key, text := []string{"k", "k.txt", "k/x", "l", "l~"}[rng.IntN(5)], fmt.Sprint("v", n, "-", i)
				listed := slices.Sorted(maps.Keys(a.shows("box")))
				switch n := rng.IntN(8); {
				case n < 3 || len(listed) == 0:
					a.tagged(key, text)
					b.tagged(key, text+"b")
				case n < 5:
					a.tagged(listed[rng.IntN(len(listed))], text)
				case n < 7:
					if _, err := box.Delete(w.ctx, listed[rng.IntN(len(listed))], Cond{}); err != nil {
						t.Fatal(err)
					}
				default:
					b.tagged(key, text)
				}
				w.settle()
			}
			name := fmt.Sprint("box@s", n)
			a.snap("box", fmt.Sprint("s", n))
			names, states[name] = append(names, name), a.shows(name)
		}
		for _, x := range names {
			for _, y := range names {
				for _, prefix := range []string{"", "k~", "k.txt~0"} {
					if got, want := a.differences(x, y, prefix), naiveDiff(states[x], states[y], prefix); !slices.Equal(got, want) {
						t.Errorf("%v: %s to %s under %q: %q, want %q", versioning, x, y, prefix, got, want)
					}
				}
			}
		}
		for _, name := range names {
			if _, err := box.Restore(w.ctx, a.bucketNamed(name), "", nil); err != nil {
				t.Fatal(err)
			}
			w.settle()
			for _, s := range w.sites {
				if got := s.shows("box"); !maps.Equal(got, states[name]) {
					t.Errorf("%v: back at %s %s lists %v, want %v", versioning, name, s.Name(), got, states[name])
				}
			}
		}
	}
}

// loserOf makes a conflict of a key, "by a" against "by b", and returns the name that what a wrote is listed under.
func (w *world) loserOf(key string) string {
	w.t.Helper()
	for _, s := range w.sites {
		s.tagged(key, "by "+s.Name())
	}
	w.settle()
	losers := losersOf(w.t.(*testing.T), w.site("a").bucketNamed("box"), key)
	if len(losers) != 1 {
		w.t.Fatalf("%q has %d losers", key, len(losers))
	}
	return LoserName(key, losers[0].Dot)
}

// A loser has tags, locks and a story by the name that it is listed under: they are its own, not those of what won.
func TestALoserIsChangedByItsName(t *testing.T) {
	w, a, _, box := keepingBoth(t, Versioned)
	name := w.loserOf("k.txt")
	v, err := box.SetTags(w.ctx, name, VersionRef{}, map[string]string{"is": "lost"}, Cond{})
	if err != nil || v.Key != name || v.LoserOf != "k.txt" || v.Tags()["is"] != "lost" {
		t.Errorf("tagged: %+v, %v", v, err)
	}
	a.snap("box", "tagged")
	on := true
	if v, err = box.Lock(w.ctx, name, VersionRef{ID: v.VersionID}, LockChange{LegalHold: &on}, Cond{}); err != nil || !v.Lock().LegalHold {
		t.Errorf("locked: %+v, %v", v, err)
	}
	if _, err := box.Remove(w.ctx, name, VersionRef{ID: v.VersionID}, Cond{}); !errors.Is(err, ErrLocked) {
		t.Errorf("removed though it is locked: %v", err)
	}
	if v, err := box.Stat(w.ctx, "k.txt", VersionRef{}); err != nil || len(v.Tags()) > 0 || v.Lock().LegalHold {
		t.Errorf("what won has %v, %v, %v", v.Tags(), v.Lock(), err)
	}
	all, more, err := box.KeyLog(w.ctx, name, nil, 10)
	if err != nil || more || len(all) != 1 || all[0].LoserOf != "k.txt" || !all[0].Open || all[0].VersionID != v.VersionID {
		t.Errorf("its story: %+v, %t, %v", all, more, err)
	}
	if _, err := box.SetTags(w.ctx, name, VersionRef{}, nil, Cond{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got, want := a.differences("box", "box@tagged", ""), []string{"~" + name}; !slices.Equal(got, want) {
		t.Errorf("tags differ in %q, want %q", got, want)
	}
	if _, err := box.Restore(w.ctx, a.bucketNamed("box@tagged"), "", nil); err != nil {
		t.Fatal(err)
	}
	if v, err := box.Stat(w.ctx, name, VersionRef{}); err != nil || v.Tags()["is"] != "lost" {
		t.Errorf("restored: %v, %v", v.Tags(), err)
	}
}

// A loser is renamed as a file is: what is shown under its name is then under another, and the conflict is over, everywhere.
func TestALoserIsRenamed(t *testing.T) {
	for _, versioning := range []Versioning{Unversioned, Versioned} {
		w, a, b, box := keepingBoth(t, versioning)
		rename := func(src, dst string, o RenameOptions, want error) {
			t.Helper()
			if _, err := box.Rename(w.ctx, src, dst, o); !errors.Is(err, want) {
				t.Errorf("rename %q to %q: %v, want %v", src, dst, err, want)
			}
			w.settle()
		}
		shows := func(want map[string]string) {
			t.Helper()
			for _, s := range []*site{a, b} {
				if got := s.shows("box"); !maps.Equal(got, want) {
					t.Errorf("%v: %s lists %v, want %v", versioning, s.Name(), got, want)
				}
			}
		}
		name := w.loserOf("k")
		a.tagged("other", "other")
		rename(name, "other", RenameOptions{}, ErrTargetExists)
		rename("other", name, RenameOptions{}, ErrTargetExists)
		rename("k", name, RenameOptions{Replace: true}, ErrInvalidArgument)
		shows(map[string]string{"k": "by b", name: "by a", "other": "other"})
		rename(name, "kept", RenameOptions{}, nil)
		shows(map[string]string{"k": "by b", "kept": "by a", "other": "other"})
		rename(name, "kept", RenameOptions{Replace: true}, ErrNoSuchKey)

		name = w.loserOf("k") // over the key that it lost, it wins
		rename(name, "k", RenameOptions{}, ErrTargetExists)
		rename(name, "k", RenameOptions{Replace: true}, nil)
		shows(map[string]string{"k": "by a", "kept": "by a", "other": "other"})

		name = w.loserOf("k") // another file takes its name
		rename("other", name, RenameOptions{Replace: true}, nil)
		shows(map[string]string{"k": "by b", "kept": "by a", name: "other"})
		if n := box.Stats().Conflicts; n != 0 {
			t.Errorf("%v: %d conflicts are left", versioning, n)
		}
	}
}

// What changes the tags of a version changes those of what says the same, written elsewhere: or there would be a conflict of which nobody was told.
func TestTagsOfTwinsChangeTogether(t *testing.T) {
	w, a, b, box := keepingBoth(t, Unversioned)
	a.tagged("k", "same")
	b.tagged("k", "same")
	w.settle()
	if _, err := box.SetTags(w.ctx, "k", VersionRef{}, map[string]string{"is": "new"}, Cond{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	for _, s := range w.sites {
		at := s.bucketNamed("box")
		if v, err := at.Stat(w.ctx, "k", VersionRef{}); err != nil || v.Tags()["is"] != "new" || at.Stats().Conflicts != 0 || len(s.shows("box")) != 1 {
			t.Errorf("%s: %v, %v, %+v", s.Name(), v.Tags(), err, at.Stats())
		}
	}
}

// Whoever asks again for the end of a loser by its name, as the policy changes from home to keep-both, is told what he would have been told.
func TestALoserIsEndedOnceHoweverOftenThatIsAsked(t *testing.T) {
	for what, ask := range map[string]func(b *Bucket, name string) *Request{
		"rename": func(b *Bucket, name string) *Request { return asking(b, 1, name, &renameTask{dst: "own"}) },
		"remove": func(b *Bucket, name string) *Request {
			return asking(b, 2, "", &fileTask{what: fileRemove, path: name})
		},
	} {
		w, a, _, box := keepingBoth(t, Versioned)
		r := ask(box, w.loserOf("k.txt"))
		first, again := a.ServeRequest(w.ctx, r, nil), a.ServeRequest(w.ctx, r, nil)
		if err := errors.Join(first.refused(), again.refused()); err != nil || first.outcome != again.outcome {
			t.Errorf("%s: %+v, and again %+v: %v", what, first, again, err)
		}
	}
}
