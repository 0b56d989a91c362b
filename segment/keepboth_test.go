package segment

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestLoserNamesComeBackAsTheyWere(t *testing.T) {
	first, later := Dot{Origin{0xc0, 1}, 27}, Dot{Origin{0x1122334455667788, 1795000000}, 3}
	for _, n := range []struct {
		key  string
		dot  Dot
		name string
	}{
		{"a/report.txt", first, "a/report.txt~00000000000000c0-27.txt"},
		{"a/report.txt", later, "a/report.txt~1122334455667788.1795000000-3.txt"},
		{"report", first, "report~00000000000000c0-27"},
		{"v1.2/report", first, "v1.2/report~00000000000000c0-27"},
		{".profile", first, ".profile~00000000000000c0-27"},
		{"a.tar.gz", first, "a.tar.gz~00000000000000c0-27.gz"},
		{"what. now", first, "what. now~00000000000000c0-27"},
		{"end.", first, "end.~00000000000000c0-27"},
		{"folder/", first, "folder/~00000000000000c0-27"},
		{"a~b.txt~00000000000000c0-27.txt", first, "a~b.txt~00000000000000c0-27.txt~00000000000000c0-27.txt"},
	} {
		name := LoserName(n.key, n.dot)
		if name != n.name {
			t.Errorf("%q by %v is %q, want %q", n.key, n.dot, name, n.name)
		}
		if key, dot, ok := ParseLoserName(name); !ok || key != n.key || dot != n.dot {
			t.Errorf("%q comes back as %q, %v, %t", name, key, dot, ok)
		}
	}
	for _, name := range []string{"", "~", "k", "k~", "~00000000000000c0-27", "k~00000000000000c0", "k~00000000000000c0-027", "k~00000000000000C0-27", "k~c0-27",
		"k~00000000000000c0.1-27", "k~00000000000000c0.-27", "k.txt~00000000000000c0-27", "k~00000000000000c0-27.txt", "k~00000000000000c0-27~"} {
		if key, dot, ok := ParseLoserName(name); ok {
			t.Errorf("%q is taken for %v of %q", name, dot, key)
		}
	}
}

func FuzzLoserNames(f *testing.F) {
	f.Add("a/report.txt~00000000000000c0-27.txt")
	f.Add("k~1122334455667788.1795000000-3")
	f.Fuzz(func(t *testing.T, name string) {
		key, dot, ok := ParseLoserName(name)
		if ok && (LoserName(key, dot) != name || key == "" || !strings.HasPrefix(name, key+"~")) {
			t.Errorf("%q is %v of %q, which is %q", name, dot, key, LoserName(key, dot))
		}
	})
}

// Names of losers lie far behind their keys, among others, before and behind prefixes and places where pages end.
func TestLosersAreListedInTheirPlace(t *testing.T) {
	w, box := newConflicts(t, []string{"a", "a/", "a/b", "a/b.txt", "a/b.txt~", "a/b/c", "a0", "a~b", "ab", "abc", "b", "é", "é/x"},
		[]string{"a-1", "a.txt", "a/a", "a/b.txt/x", "a/b.txt0", "a/b.txt~0000000000000001-1", "a/c", "abcd", "a~", "a~z", "b~b", "c", "éé"})
	for _, folded := range []bool{false, true} {
		if folded {
			if _, err := box.Fold(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
		all := listAll(t, box, ListOptions{Limit: 1000})
		if len(all) != 13*2+13 || !slices.IsSorted(all) {
			t.Fatalf("%d names: %q", len(all), all)
		}
		for _, delimiter := range []string{"", "/", "~", "b", "-", "0", "/b"} {
			for _, prefix := range append([]string{"", "a/b.txt~0", "a/b~", "é~", "zz"}, all...) {
				want := grouped(all, prefix, delimiter)
				for _, limit := range []int{1, 2, 3, 1000} {
					if got := listAll(t, box, ListOptions{Prefix: prefix, Delimiter: delimiter, Limit: limit}); !slices.Equal(got, want) {
						t.Fatalf("prefix %q, delimiter %q, pages of %d: %q, want %q", prefix, delimiter, limit, got, want)
					}
				}
			}
		}
		for _, after := range append([]string{"a/b.txt~0", "a/b.txt~~", "a\x7f", "\xff"}, all...) {
			got, want := listAll(t, box, ListOptions{After: after, Limit: 1}), slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s <= after })
			if !slices.Equal(got, want) {
				t.Fatalf("after %q: %q, want %q", after, got, want)
			}
		}
	}
}

// newConflicts is a bucket that keeps both, with keys in conflict and others.
func newConflicts(t testing.TB, conflicts, others []string) (*world, *Bucket) {
	t.Helper()
	w := newWorld(t, "a", "b")
	set := DefaultSettings()
	set.Policy = KeepBoth
	box, err := w.site("a").CreateBucket(w.ctx, "box", BucketOptions{Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	for _, s := range w.sites {
		for _, key := range conflicts {
			s.put("box", key, "by "+s.Name())
		}
	}
	w.settle()
	for _, key := range others {
		w.site("a").put("box", key, "other")
	}
	w.settle()
	return w, box
}

func listAll(t *testing.T, b *Bucket, o ListOptions) (names []string) {
	t.Helper()
	for {
		page, err := b.List(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			names = append(names, e.Name())
		}
		if !page.Truncated {
			return names
		}
		o.After = page.Next
	}
}

// grouped is a listing, by its definition.
func grouped(all []string, prefix, delimiter string) (out []string) {
	for _, name := range all {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if common, ok := commonPrefix(name, prefix, delimiter); ok {
			name = common
		}
		if len(out) == 0 || out[len(out)-1] != name {
			out = append(out, name)
		}
	}
	return out
}

// However many keys lie between a key and the name of its loser, a page that begins among them remembers that loser alone.
func TestALoserIsRememberedWhereAPageBegins(t *testing.T) {
	var others []string
	for i := range 300 {
		others = append(others, fmt.Sprintf("k/%05d", i))
	}
	w, box := newConflicts(t, []string{"k", "j"}, others)
	if _, err := box.Fold(w.ctx); err != nil {
		t.Fatal(err)
	}
	for _, after := range []string{"k/", "k/00150", "k/00290"} {
		s, err := box.shown(t.Context(), after)
		if err != nil || len(s.later) != 1 || s.later[0].LoserOf != "k" {
			t.Fatalf("behind %q: %+v, %v", after, s, err)
		}
	}
	if page, err := box.List(t.Context(), ListOptions{After: "k/00299", Limit: 5}); err != nil || len(page.Entries) != 1 || page.Entries[0].Version.LoserOf != "k" {
		t.Errorf("behind all others: %+v, %v", page, err)
	}
}

func TestALoserIsReadUnderItsName(t *testing.T) {
	w, box := newConflicts(t, []string{"k.txt"}, nil)
	a := w.site("a")
	conflicts, err := box.Conflicts(w.ctx, "", 1)
	if err != nil || len(conflicts) != 1 {
		t.Fatal(conflicts, err)
	}
	l := conflicts[0].Losers[0]
	name := LoserName("k.txt", l.Dot)
	for _, ref := range []VersionRef{{}, {Null: true}, {ID: l.VersionID}} {
		o, err := box.Open(w.ctx, name, ref)
		if err != nil {
			t.Fatal(err)
		}
		if v := o.Version(); v.Key != name || v.LoserOf != "k.txt" || v.Ref() != "null" || v.VersionID != l.VersionID {
			t.Errorf("%v: %+v", ref, v)
		}
		if got, err := a.content(o); got != "by a" || err != nil {
			t.Errorf("it reads %q, %v", got, err)
		}
		if _, err := box.Copy(w.ctx, o, "copy", Attrs{}, Cond{}); err != nil {
			t.Error(err)
		}
		if got, err := a.read(box, "copy", VersionRef{}); got != "by a" || err != nil {
			t.Errorf("its copy reads %q, %v", got, err)
		}
	}
	if _, err := box.Open(w.ctx, name, VersionRef{ID: conflicts[0].Current.VersionID}); !errors.Is(err, ErrNoSuchVersion) && !errors.Is(err, ErrNoSuchKey) {
		t.Errorf("the winner is read under the loser's name: %v", err)
	}
	// What is read from elsewhere is asked for by the key that it is of.
	if ref := box.object(*must(box.loserNamed(w.ctx, name))).v; ref.stored() != "k.txt" {
		t.Errorf("payload is asked for as of %q", ref.stored())
	}
	if _, err := box.Remove(w.ctx, name, VersionRef{Null: true}, Cond{}); err != nil {
		t.Fatal(err)
	}
	if n := box.Stats(); n.Conflicts != 0 || n.Versions != 2 { // and the copy
		t.Errorf("after it was removed: %+v", n)
	}
}

func must(v *Version, _ head, err error) *Version {
	if err != nil {
		panic(err)
	}
	return v
}
