package segment

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func newFiles(t *testing.T) (*site, Files) {
	t.Helper()
	w := newWorld(t, "a")
	s := w.site("a")
	b, err := s.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s, b.Files()
}

func (s *site) wantErr(what string, err, want error) {
	s.w.t.Helper()
	if !errors.Is(err, want) || err == nil && want != nil {
		s.w.t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// names are a directory's, read a few at a time; a directory's with its slash.
func (s *site) names(f Files, path string) (names []string) {
	s.w.t.Helper()
	for after := ""; ; {
		entries, more, err := f.ReadDir(s.w.ctx, path, after, 3)
		if err != nil {
			s.w.t.Fatalf("read directory %q: %v", path, err)
		}
		for _, e := range entries {
			if after = e.Cursor; e.Type == Directory {
				e.Name += "/"
			}
			names = append(names, e.Name)
		}
		if !more {
			return names
		}
	}
}

func (s *site) wantNames(f Files, path string, want ...string) {
	s.w.t.Helper()
	got := s.names(f, path)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.w.t.Errorf("directory %q has %q, want %q", path, got, want)
	}
}

func TestWhatS3WroteIsFiles(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	for _, key := range []string{"a", "a/b", "a/c/d", "a-", "marked/", "full/", "x//y", "/z", "e/../f"} {
		data := key
		if key == "marked/" {
			data = ""
		}
		s.put("photos", key, data)
	}
	s.wantNames(f, "", "a/", "a%~&", "a-", "marked/", "full/", "x/", "%~@/", "e/")
	s.wantNames(f, "a", "b", "c/")
	s.wantNames(f, "marked")
	s.wantNames(f, "full", "%~@")
	s.wantNames(f, "x", "%~@/")
	s.wantNames(f, "x/%~@", "y")
	s.wantNames(f, "e", "%~@../")
	for path, size := range map[string]int64{"a%~&": 1, "a/b": 3, "full/%~@": 5, "%~@/z": 2, "e/%~@../f": 6} {
		i, err := f.GetAttr(ctx, path)
		if err != nil || i.Type != RegularFile || i.Size != size || i.Mode != defaultFileMode || i.Links != 1 || !i.Mtime.Equal(i.Ctime) {
			t.Errorf("%q is %+v, %v", path, i, err)
		}
	}
	for _, path := range []string{"b", "a/x", "a/b%~&", "marked/%~@", "%~@"} {
		i, err := f.GetAttr(ctx, path)
		if path == "%~@" {
			s.wantErr(path, err, nil)
			continue
		}
		if !errors.Is(err, ErrNoSuchKey) {
			t.Errorf("%q is %+v, %v", path, i, err)
		}
	}
	_, err := f.GetAttr(ctx, "a-/x")
	s.wantErr("below a file", err, ErrNotDirectory)
	first, _ := f.GetAttr(ctx, "a-")
	s.put("photos", "a-", "another")
	if second, err := f.GetAttr(ctx, "a-"); err != nil || second.ID == first.ID || second.Change <= first.Change {
		t.Errorf("written again, %+v is %+v, %v", first, second, err)
	}
}

func TestADirectoryThatFilesEmptyStays(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	s.put("photos", "a/b/c", "x")
	s.put("photos", "d/e", "x")
	was, err := f.GetAttr(ctx, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	s.wantErr("rmdir of what is not empty", f.Rmdir(ctx, "a/b"), ErrDirectoryInUse)
	s.wantErr("remove", f.Remove(ctx, "a/b/c"), nil)
	s.wantNames(f, "a/b")
	if is, err := f.GetAttr(ctx, "a/b"); err != nil || is.ID != was.ID || is.Mode != was.Mode {
		t.Errorf("the directory was %+v and is %+v, %v", was, is, err)
	}
	s.wantErr("rmdir", f.Rmdir(ctx, "a/b"), nil)
	s.wantNames(f, "a")
	s.wantErr("rename away", f.Rename(ctx, "d/e", "e"), nil)
	s.wantNames(f, "", "a/", "d/", "e")
	if _, err := f.b.Delete(ctx, "d/", Cond{}); err != nil {
		t.Fatal(err)
	}
	s.wantNames(f, "", "a/", "e")
}

func TestACreateThatIsAskedAgainIsTheSame(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	o := NewFile{Mode: 0o640, Exclusive: true, Verifier: 77}
	first, err := f.Create(ctx, "a", o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.Create(ctx, "a", o)
	if err != nil || again.ID != first.ID {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	_, err = f.Create(ctx, "a", NewFile{Exclusive: true, Verifier: 78})
	s.wantErr("another's", err, ErrFileExists)
	if _, err := f.SetAttr(ctx, "a", SetFile{Mode: ptr(uint32(0o600)), Mtime: ptr(time.Unix(5, 7)), Atime: ptr(time.Unix(6, 8)), ID: first.ID}); err != nil {
		t.Fatal(err)
	}
	_, err = f.Create(ctx, "a", o)
	s.wantErr("changed since", err, ErrFileExists)
	_, err = f.SetAttr(ctx, "a", SetFile{ID: FileID{1}})
	s.wantErr("another file", err, ErrStaleFile)
	i, err := f.Create(ctx, "a", NewFile{})
	if err != nil || i.ID != first.ID || i.Mode != 0o600 || !i.Mtime.Equal(time.Unix(5, 7)) || !i.Atime.Equal(time.Unix(6, 8)) || i.Ctime.Before(s.w.now.Add(-time.Minute)) {
		t.Errorf("not exclusive: %+v, %v", i, err)
	}
}

// TestDirectoriesShowAllThatIsListed makes odd keys, and compares what reading all directories shows with the paths of the keys.
func TestDirectoriesShowAllThatIsListed(t *testing.T) {
	s, _ := newFiles(t)
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 9))
		b, err := s.CreateBucket(s.w.ctx, fmt.Sprintf("bucket%d", seed), BucketOptions{})
		if err != nil {
			t.Fatal(err)
		}
		f := b.Files()
		long := strings.Repeat("x", 240+rng.IntN(14))
		keys := map[string]bool{}
		for range 40 {
			piece := func() string {
				return strings.ToValidUTF8(oddPieces[rng.IntN(len(oddPieces))], "?")
			}
			key := cmp.Or(piece()+piece(), "k")
			if rng.IntN(3) == 0 {
				key = long + key
			}
			for rng.IntN(2) == 0 {
				key += "/" + piece()
			}
			if len(key) > MaxKey || reserved(key) {
				continue
			}
			s.put(fmt.Sprintf("bucket%d", seed), key, "data")
			keys[key] = true
		}
		var want, got []string
		for key := range keys {
			beside := false
			for other := range keys {
				beside = beside || strings.HasPrefix(other, key+"/")
			}
			if name := key[strings.LastIndexByte(key, '/')+1:]; !beside || len(nameOf(name))+suffixBytes <= maxName {
				want = append(want, PathOfKey(key, beside))
			}
		}
		for dirs := []string{""}; len(dirs) > 0; dirs = dirs[1:] {
			for _, name := range s.names(f, dirs[0]) {
				path := strings.TrimPrefix(dirs[0]+"/"+strings.TrimSuffix(name, "/"), "/")
				i, err := f.GetAttr(s.w.ctx, path)
				switch {
				case err != nil:
					t.Errorf("seed %d: %q is listed, and %v", seed, path, err)
				case i.Type == Directory:
					dirs = append(dirs, path)
				default:
					got = append(got, path)
				}
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("seed %d: directories show\n%q\nwant\n%q", seed, got, want)
		}
	}
}

func TestCursorsSurviveChanges(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	for i := range 20 {
		if _, err := f.Create(ctx, fmt.Sprintf("f%02d", i), NewFile{}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	after := ""
	for round := 0; ; round++ {
		entries, more, err := f.ReadDir(ctx, "", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			got = append(got, e.Name)
			after = e.Cursor
			s.wantErr("remove", f.Remove(ctx, e.Name), nil)
			_, err := f.Create(ctx, "before"+e.Name, NewFile{})
			s.wantErr("create", err, nil)
		}
		if !more {
			break
		}
	}
	if len(got) != 20 || !slices.IsSorted(got) {
		t.Errorf("read %q", got)
	}
	if _, _, err := f.ReadDir(ctx, "", "\x00x", 1); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("a cursor that is none: %v", err)
	}
}

func TestXattrsAreBounded(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	if _, err := f.Create(ctx, "a", NewFile{}); err != nil {
		t.Fatal(err)
	}
	s.wantErr("too long", f.SetXattr(ctx, "a", "user.a", strings.Repeat("x", MaxXattrBytes), PutXattr), ErrXattrTooLarge)
	s.wantErr("just right", f.SetXattr(ctx, "a", "user.a", strings.Repeat("x", MaxXattrBytes-6), PutXattr), nil)
	s.wantErr("full", f.SetXattr(ctx, "a", "b", "", PutXattr), ErrXattrTooLarge)
	s.wantErr("less", f.SetXattr(ctx, "a", "user.a", "", ReplaceXattr), nil)
	for i := range MaxXattrs - 1 {
		s.wantErr("many", f.SetXattr(ctx, "a", fmt.Sprint(i), "", CreateXattr), nil)
	}
	s.wantErr("too many", f.SetXattr(ctx, "a", "b", "", CreateXattr), ErrXattrTooLarge)
	s.wantErr("no name", f.SetXattr(ctx, "a", "", "", PutXattr), ErrInvalidArgument)
	s.wantErr("of the root", f.SetXattr(ctx, "", "user.a", "1", PutXattr), nil)
}

func TestReservedKeysAreNobodys(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	if _, err := f.SetAttr(ctx, "", SetFile{Mode: ptr(uint32(0o700))}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // over the overlay, and from the tree
		if i, err := f.GetAttr(ctx, ""); err != nil || i.Mode != 0o700 {
			t.Errorf("the root is %+v, %v", i, err)
		}
		page, err := f.b.List(ctx, ListOptions{Limit: 10})
		versions, err2 := f.b.ListVersions(ctx, ListVersionsOptions{Limit: 10})
		below, err3 := f.b.List(ctx, ListOptions{Prefix: "\x00", Limit: 10})
		if len(page.Entries)+len(versions.Entries)+len(below.Entries) > 0 || errors.Join(err, err2, err3) != nil {
			t.Errorf("listed: %+v, %+v, %+v, %v", page, versions, below, errors.Join(err, err2, err3))
		}
		if st := f.b.Stats(); st.Objects+st.Versions != 0 {
			t.Errorf("counted: %+v", st)
		}
		_, err = f.b.Stat(ctx, rootKey, VersionRef{})
		s.wantErr("stat", err, ErrNoSuchKey)
		_, err = f.b.Put(ctx, rootKey, Attrs{}, Cond{}, strings.NewReader(""))
		s.wantErr("put", err, ErrInvalidArgument)
		_, err = f.b.Delete(ctx, rootKey, Cond{})
		s.wantErr("delete", err, ErrInvalidArgument)
		if _, err := f.b.Fold(ctx); err != nil {
			t.Fatal(err)
		}
	}
	s.wantErr("a bucket with nothing else is empty", s.DeleteBucket(ctx, "photos"), nil)
}

// TestAttributesOfALaterBuildAreNotTouched: what cannot be read is shown as what S3 wrote, and is not written over.
func TestAttributesOfALaterBuildAreNotTouched(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	for i, file := range [][]byte{{fileFieldFormat << 3, fileFormat + 1}, []byte("no message"), {}} {
		key := fmt.Sprint("k", i)
		if _, err := f.b.Put(ctx, key, Attrs{File: file}, Cond{}, strings.NewReader("data")); err != nil {
			t.Fatal(err)
		}
		if got, err := f.GetAttr(ctx, key); err != nil || got.Mode != defaultFileMode || got.Size != 4 {
			t.Errorf("%q is %+v, %v", key, got, err)
		}
		h := s.opened(f, key)
		s.wrote(h, "x", 0)
		_, flushed := h.Flush(ctx, nil)
		_, set := f.SetAttr(ctx, key, SetFile{Mode: ptr(uint32(0o600))})
		_, linked := f.Link(ctx, key, "l"+key)
		for what, err := range map[string]error{"flush": flushed, "set": set, "link": linked} {
			want := ErrForeign
			if len(file) == 0 {
				want = nil
			}
			s.wantErr(what, err, want)
		}
	}
	s.wantNames(f, "", "k0", "k1", "k2", "lk2")
	s.wantErr("remove", f.Remove(ctx, "k0"), nil)
}

// TestADirectoryStaysWhenTwoEmptyIt: of two who take its last names at once one makes it stay.
func TestADirectoryStaysWhenTwoEmptyIt(t *testing.T) {
	s, f := newFiles(t)
	for round := range 30 {
		dir := fmt.Sprint("d", round)
		names := []string{dir + "/a", dir + "/b", dir + "/c"}
		done := make(chan error)
		for _, name := range names {
			s.put("photos", name, "")
		}
		for _, name := range names {
			go func() { done <- f.Remove(s.w.ctx, name) }()
		}
		for range names {
			s.wantErr("remove", <-done, nil)
		}
		s.wantNames(f, dir)
	}
}

// TestAFileAndADirectoryOfOneNameAreNotMadeAtOnce, nor is anything made in a directory that is being removed.
func TestAFileAndADirectoryOfOneNameAreNotMadeAtOnce(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	for round := range 30 {
		name := fmt.Sprint("d", round)
		done := make(chan error)
		go func() { _, err := f.Create(ctx, name, NewFile{Exclusive: true}); done <- err }()
		go func() { _, err := f.Mkdir(ctx, name, NewFile{}); done <- err }()
		if one, two := <-done, <-done; (one == nil) == (two == nil) || !errors.Is(errors.Join(one, two), ErrFileExists) {
			t.Fatalf("%v, %v", one, two)
		}
		dir := name + "dir"
		if _, err := f.Mkdir(ctx, dir, NewFile{}); err != nil {
			t.Fatal(err)
		}
		go func() { _, err := f.Create(ctx, dir+"/x", NewFile{}); done <- err }()
		go func() { done <- f.Rmdir(ctx, dir) }()
		if one, two := <-done, <-done; (one == nil) == (two == nil) {
			t.Fatalf("a file was made in a directory that was removed: %v, %v", one, two)
		}
	}
}

// TestWhatS3SaidOfAnObjectStays: its metadata and tags, those that it was given later too, through all that file clients do.
func TestWhatS3SaidOfAnObjectStays(t *testing.T) {
	s, f := newFiles(t)
	ctx := s.w.ctx
	if _, err := f.b.Put(ctx, "a", Attrs{Meta: map[string]string{"content-type": "text/x"}, Tags: map[string]string{"t": "old"}}, Cond{}, strings.NewReader("data")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.b.SetTags(ctx, "a", VersionRef{}, map[string]string{"t": "new"}, Cond{}); err != nil {
		t.Fatal(err)
	}
	want := func(key string) {
		t.Helper()
		if v := mustStat(t, f.b, key); v.Tags()["t"] != "new" || v.Attrs.Meta["content-type"] != "text/x" {
			t.Errorf("%q has tags %v, metadata %v", key, v.Tags(), v.Attrs.Meta)
		}
	}
	if _, err := f.SetAttr(ctx, "a", SetFile{Mode: ptr(uint32(0o600))}); err != nil {
		t.Fatal(err)
	}
	want("a")
	s.flushed(f, "a", "x")
	want("a")
	s.linkTo(f, "a", "b")
	want("b")
	s.wantErr("rename", f.Rename(ctx, "b", "c"), nil)
	want("c")
	s.wantLinks(f, 2, "xata", "a", "c")
}
