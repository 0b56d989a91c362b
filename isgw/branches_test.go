package isgw_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/segment"
)

func (s *site) branch(from, name string) *segment.Bucket {
	s.w.t.Helper()
	b, err := s.CreateBranch(s.w.t.Context(), from, name)
	if err != nil {
		s.w.t.Fatal(err)
	}
	return b
}

// A branch is read and written at the other segment, which brings by itself what it lacks of it.
func TestBranchIsBroughtAndWritten(t *testing.T) {
	w := newWorld(t, inMemory(), "a", "b")
	w.link("a", "b")
	a, b := w.sites["a"], w.sites["b"]
	a.create("bkt", segment.Settings{})
	for i := range 50 {
		a.put("bkt", fmt.Sprint("k", i), fmt.Sprint("first ", i))
	}
	a.branch("bkt", "work")
	a.put("bkt", "k1", "second")
	w.eventually("the branch is at b", func() error { return b.bucket("work").Err() })
	for i := range 50 {
		w.eventually("content of the branch at b", func() error {
			got, err := b.read("work", fmt.Sprint("k", i))
			if err == nil && got != fmt.Sprint("first ", i) {
				t.Fatalf("it holds %q", got)
			}
			return err
		})
	}
	b.put("work", "k2", "at b")
	a.put("work", "k3", "at a")
	w.converge("work", "a", "b")
	a.lists("work", "k2", 4)
	b.lists("work", "k3", 4)
	for _, l := range a.links.Status() {
		if len(l.Stopped) > 0 {
			t.Errorf("stopped: %+v", l.Stopped)
		}
	}
}

// A segment that is linked later, or was cut off while a branch was made and written to, has it all. The parent may be gone by then.
func TestBranchIsBroughtByALaterLink(t *testing.T) {
	w := newWorld(t, inMemory(), "a", "b", "c")
	w.link("a", "b")
	a, b, c := w.sites["a"], w.sites["b"], w.sites["c"]
	a.create("bkt", segment.Settings{Full: true})
	a.put("bkt", "k", "first")
	w.converge("bkt", "a", "b")
	w.cut("a", "b")
	a.put("bkt", "k", strings.Repeat("second", 10_000))
	a.branch("bkt", "work")
	a.branch("work", "twig")
	a.put("work", "l", "work")
	a.put("twig", "l", "twig")
	if _, err := a.bucket("bkt").Delete(t.Context(), "k", segment.Cond{}); err != nil {
		t.Fatal(err)
	}
	if err := a.DeleteBucket(t.Context(), "bkt"); err != nil {
		t.Fatal(err)
	}
	w.heal("a", "b")
	w.link("b", "c")
	for _, s := range []*site{b, c} {
		for _, name := range []string{"work", "twig"} {
			s.lists(name, "l", 4)
			s.lists(name, "k", 60_000)
		}
	}
	w.converge("twig", "a", "b", "c")
	a.exposed("work", 0)
	c.put("twig", "m", "at c")
	w.converge("twig", "a", "b", "c")
}
