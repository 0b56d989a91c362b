package segment

import (
	"testing"
	"time"
)

// TestALoserIsAFileOfItsOwn: under keep-both a file client sees both sides of a conflict, reads them, and ends it by removing one.
func TestALoserIsAFileOfItsOwn(t *testing.T) {
	w, one, two, f, g := twoSites(t)
	if err := f.b.Configure(w.ctx, func(s *Settings) error { s.Policy = KeepBoth; return nil }); err != nil {
		t.Fatal(err)
	}
	w.settle()
	one.flushed(f, "a", "one")
	w.tick(time.Second)
	two.flushed(g, "a", "two")
	w.settle()
	names := one.names(f, "")
	if len(names) != 2 || names[0] != "a" {
		t.Fatalf("names %q", names)
	}
	loser := names[1]
	one.wantLinks(f, 1, "twolo", "a")
	one.wantLinks(f, 1, "onelo", loser)
	winner, _ := f.GetAttr(w.ctx, "a")
	if i, err := f.GetAttr(w.ctx, loser); err != nil || i.ID == winner.ID {
		t.Errorf("the loser is %+v, %v, beside %+v", i, err, winner)
	}
	_, err := one.opened(f, loser).WriteAt(w.ctx, []byte("x"), 0)
	one.wantErr("write", err, ErrReadOnly)
	one.wantErr("rename", f.Rename(w.ctx, loser, "b"), ErrReadOnly)
	_, err = f.SetAttr(w.ctx, loser, SetFile{Mode: ptr(uint32(0))})
	one.wantErr("set", err, ErrReadOnly)
	_, err = f.Link(w.ctx, loser, "b")
	one.wantErr("link", err, ErrReadOnly)
	_, err = f.Create(w.ctx, loser, NewFile{})
	one.wantErr("create", err, ErrFileExists)
	one.wantErr("remove", f.Remove(w.ctx, loser), nil)
	w.settle()
	for _, s := range []*site{one, two} {
		files := s.bucketNamed("photos").Files()
		s.wantNames(files, "", "a")
		if n := files.b.Stats().Conflicts; n != 0 {
			t.Errorf("%s: %d conflicts", s.Name(), n)
		}
	}
}
