package segment

import (
	"fmt"
	"testing"
	"time"
)

// twoSites have one bucket with one file, a, of S3's.
func twoSites(t *testing.T) (w *world, one, two *site, f, g Files) {
	t.Helper()
	w = newWorld(t, "one", "two")
	one, two = w.site("one"), w.site("two")
	b, err := one.CreateBucket(w.ctx, "photos", BucketOptions{Settings: &Settings{Full: true}})
	if err != nil {
		t.Fatal(err)
	}
	two.cfg.Chunks = one.cfg.Chunks // payload is not what this is about
	two.restart()
	one.put("photos", "a", "hello")
	w.settle()
	c, err := two.Bucket("photos")
	if err != nil {
		t.Fatal(err)
	}
	return w, one, two, b.Files(), c.Files()
}

func (s *site) wantLinks(f Files, links int, content string, paths ...string) {
	s.w.t.Helper()
	for _, path := range paths {
		i, err := f.GetAttr(s.w.ctx, path)
		if err != nil || i.Links != links {
			s.w.t.Errorf("%s: %q has %d links, %v, want %d", s.Name(), path, i.Links, err, links)
			continue
		}
		got := make([]byte, i.Size)
		if _, err := s.opened(f, path).ReadAt(s.w.ctx, got, 0); err != nil || string(got) != content {
			s.w.t.Errorf("%s: %q holds %q, %v, want %q", s.Name(), path, got, err, content)
		}
	}
}

func (s *site) linkTo(f Files, from, to string) {
	s.w.t.Helper()
	if _, err := f.Link(s.w.ctx, from, to); err != nil {
		s.w.t.Fatal(err)
	}
}

func (s *site) flushed(f Files, path, data string) {
	s.w.t.Helper()
	h := s.opened(f, path)
	s.wrote(h, data, 0)
	if _, err := h.Flush(s.w.ctx, nil); err != nil {
		s.w.t.Fatal(err)
	}
}

func TestAWriteByOneNameIsOneOfAll(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	s.put("photos", "a", "hello")
	s.linkTo(f, "a", "b")
	s.linkTo(f, "b", "c")
	before, _ := f.GetAttr(ctx, "a")
	s.flushed(f, "c", "HE")
	s.wantLinks(f, 3, "HEllo", "a", "b", "c")
	for _, key := range []string{"a", "b", "c"} { // as S3 has it
		s.wantContent(f.b, key, "HEllo")
	}
	if x, y := mustStat(t, f.b, "a"), mustStat(t, f.b, "c"); x.Attrs.ETag != y.Attrs.ETag {
		t.Errorf("ETags %s and %s", x.Attrs.ETag, y.Attrs.ETag)
	}
	h := s.opened(f, "a")
	s.wrote(h, "j", 0)
	s.wantErr("remove", f.Remove(ctx, "a"), nil)
	after, err := f.GetAttr(ctx, "b")
	if err != nil || after.ID != before.ID || after.Change <= before.Change || after.Links != 2 {
		t.Errorf("a name less: %+v, %v, was %+v", after, err, before)
	}
	_, err = h.Flush(ctx, nil)
	s.wantErr("by a name that is no more", err, nil)
	s.wantLinks(f, 2, "jEllo", "b", "c")
	s.put("photos", "c", "S3's own")
	s.wantLinks(f, 1, "jEllo", "b")
	s.wantLinks(f, 1, "S3's own", "c")
	s.wantErr("remove the last", f.Remove(ctx, "b"), nil)
	if page, err := f.b.List(ctx, ListOptions{Limit: 9}); err != nil || len(page.Entries) != 1 {
		t.Errorf("listed: %+v, %v", page, err)
	}
	_, err = f.Mkdir(ctx, "d", NewFile{})
	s.wantErr("mkdir", err, nil)
	_, err = f.Link(ctx, "d", "e")
	s.wantErr("link a directory", err, ErrIsDirectory)
}

func TestNamesInARenamedDirectoryStayNames(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	s.put("photos", "d/sub/a", "hello")
	s.put("photos", "d/z", "")
	s.linkTo(f, "d/sub/a", "b")
	s.linkTo(f, "d/sub/a", "d/c")
	s.wantErr("rename", f.Rename(ctx, "d", "e"), nil)
	s.wantLinks(f, 3, "hello", "e/sub/a", "e/c", "b")
	s.flushed(f, "b", "HE")
	s.wantLinks(f, 3, "HEllo", "e/sub/a", "e/c", "b")
	s.put("photos", "d/c", "another")
	s.wantLinks(f, 1, "another", "d/c")
	snap := f.b.snapshot()
	marked := 0
	for v, err := range snap.eachCurrent(ctx, linkPrefix) {
		if err != nil || !reserved(v.Key) {
			break
		}
		marked++
	}
	if marked != 3 {
		t.Errorf("%d marks", marked)
	}
}

func TestALinkMadeElsewhereKeepsTheContentOfTheLastUnlink(t *testing.T) {
	w, one, two, f, g := twoSites(t)
	one.wantErr("remove", f.Remove(w.ctx, "a"), nil)
	w.tick(time.Second)
	two.linkTo(g, "a", "b")
	w.settle()
	for _, s := range []*site{one, two} {
		files := s.bucketNamed("photos").Files()
		s.wantContent(files.b, "b", "hello")
		i, err := files.GetAttr(w.ctx, "b")
		if err != nil || i.Size != 5 {
			t.Errorf("%s: %+v, %v", s.Name(), i, err)
		}
	}
	if r := w.roots(f.b.ID()); r[0] != r[1] {
		t.Errorf("roots %v", r)
	}
}

// TestNamesThatCameToDifferAreOneFile links at one site while the file is written at the other: both names are the newest content to files, and the next
// write makes them alike to S3.
func TestNamesThatCameToDifferAreOneFile(t *testing.T) {
	w, one, two, f, g := twoSites(t)
	one.linkTo(f, "a", "b")
	w.settle()
	one.linkTo(f, "a", "c")
	w.tick(time.Second)
	two.flushed(g, "b", "HE")
	w.settle()
	for _, s := range []*site{one, two} {
		files := s.bucketNamed("photos").Files()
		s.wantLinks(files, 3, "HEllo", "a", "b", "c")
	}
	one.wantContent(f.b, "c", "hello")
	one.wantErr("remove", f.Remove(w.ctx, "a"), nil)
	one.wantContent(f.b, "c", "HEllo")
	w.settle()
	for _, s := range []*site{one, two} {
		s.wantLinks(s.bucketNamed("photos").Files(), 2, "HEllo", "b", "c")
	}
	if r := w.roots(f.b.ID()); r[0] != r[1] {
		t.Errorf("roots %v", r)
	}
}

func TestLinksAreBounded(t *testing.T) {
	s, f := newFiles(t)
	s.put("photos", "a", "hello")
	for i := range MaxLinks - 1 {
		s.linkTo(f, "a", fmt.Sprint("l", i))
	}
	_, err := f.Link(s.w.ctx, "a", "b")
	s.wantErr("too many", err, ErrTooManyLinks)
	s.flushed(f, "l7", "HE")
	s.wantLinks(f, MaxLinks, "HEllo", "a", "l500")
}
