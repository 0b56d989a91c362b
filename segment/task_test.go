package segment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

// sampleTasks is a request of each verb that has arguments.
func sampleTasks() map[string]*Request {
	on, mode, at := true, uint32(0), time.Unix(1795000000, 5).UTC()
	ref, cond := VersionRef{ID: sampleID}, Cond{Match: []string{"a"}}
	all := map[string]*Request{
		"attribute": {key: "k", ref: ref, cond: cond, task: &attributeTask{"tags", tagsValue(map[string]string{"a": "1"})}},
		"lock":      {key: "k", ref: ref, cond: cond, task: &lockTask{LockChange{&Retention{Governance, time.UnixMilli(1795000000123).UTC()}, &on}}},
		"rename":    {key: "a/", task: &renameTask{"b/", true, RenameOptions{Replace: true}}},
		"file": {task: &fileTask{
			what: fileCreate, path: "a/b", to: "../target", kind: SymbolicLink, NewFile: NewFile{0o640, 1, 2, true, 3},
			set: SetFile{Mode: &mode, Atime: &at, Mtime: &at, ID: FileID{4}}, name: "user.x", value: "y", how: CreateXattr, attrs: []byte("attrs"),
		}},
		"flush": {key: "k", put: &Version{Key: "k", Attrs: Attrs{ETag: "e"}}, payload: [][]byte{[]byte("payload")}, task: &flushTask{FileID{1}, &sampleID, at, SetFile{UID: &mode}}},
		"merge": {task: &mergeTask{BucketID{3}, MergeTheirs, Vector{sampleOrigin: 5}, true}},
	}
	for _, r := range all {
		r.Bucket, r.Name, r.verb = BucketID{1, 2}, RequestName{3}, r.task.verb()
	}
	return all
}

// furnish makes a bucket that has one of everything.
func (w *world) furnish(s *site) {
	w.t.Helper()
	f := s.box().Files()
	must := func(_ any, err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	for _, key := range []string{"k", "m", "held", "gone", "tree/x", "tree/y", "tree/z"} {
		s.put("box", key, "content of "+key)
	}
	must(f.Mkdir(w.ctx, "dir", NewFile{Mode: 0o750}))
	must(f.Mkdir(w.ctx, "empty", NewFile{Mode: 0o700}))
	must(f.Create(w.ctx, "dir/file", NewFile{Mode: 0o640, UID: 5}))
	must(f.Link(w.ctx, "dir/file", "dir/name"))
	must(0, f.SetXattr(w.ctx, "dir/file", "user.old", "1", PutXattr))
	must(s.box().Delete(w.ctx, "gone", Cond{}))
	must(s.box().Lock(w.ctx, "held", VersionRef{}, LockChange{Retention: &Retention{Compliance, w.now.Add(time.Hour)}}, Cond{}))
	w.settle()
}

// picture is all that clients can see of a bucket but the names of writes.
func (s *site) picture() string {
	s.w.t.Helper()
	var out strings.Builder
	b := s.box()
	for v, err := range b.eachVersion(s.w.ctx, "", nil) {
		if err != nil {
			s.w.t.Fatal(err)
		}
		fmt.Fprintf(&out, "%q marker %t of %d bytes %q: tags %v acl %q lock %+v file %x\n", v.Key, v.Marker, v.Size(), v.Attrs.ETag, v.Tags(), v.Attribute(ACL), v.Lock(), v.Attrs.File)
	}
	return out.String()
}

func (i FileInfo) shown() string {
	return fmt.Sprint(i.Name, i.Type, i.Mode, i.UID, i.GID, i.Size, i.Links, i.ID, i.Mtime, i.Atime, i.Key, i.ETag)
}

// handed is a write that is handed to the home, and what its client is told.
type handed struct {
	name string
	do   func(ctx context.Context, b *Bucket) (told string, err error)
}

// handedFile is one of files.
func handedFile(name string, do func(context.Context, Files) (FileInfo, error)) handed {
	return handed{name, func(ctx context.Context, b *Bucket) (string, error) {
		i, err := do(ctx, b.Files())
		return i.shown(), err
	}}
}

func handedName(name string, do func(context.Context, Files) error) handed {
	return handed{name, func(ctx context.Context, b *Bucket) (string, error) { return "", do(ctx, b.Files()) }}
}

// handedAmend is one of a version that stays.
func handedAmend(name string, do func(context.Context, *Bucket) (Version, error)) handed {
	return handed{name, func(ctx context.Context, b *Bucket) (string, error) {
		v, err := do(ctx, b)
		return fmt.Sprint(v.Key, v.Tags(), string(v.Attribute(ACL)), v.Lock()), err
	}}
}

func handedRename(name, src, dst string, o RenameOptions) handed {
	return handed{name, func(ctx context.Context, b *Bucket) (string, error) {
		do := b.Rename
		if strings.HasSuffix(src, "/") {
			do = b.RenamePrefix
		}
		r, err := do(ctx, src, dst, o)
		return fmt.Sprint(r.Keys, r.Versions), err
	}}
}

// flushing writes a file anew, in the middle and behind its end.
func flushing(name, path string, size int, seen *VersionID) handed {
	return handedFile(name, func(ctx context.Context, f Files) (i FileInfo, err error) {
		h, err := f.Open(ctx, path)
		if err != nil {
			return i, err
		}
		defer h.Close()
		body := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{3}).Read(body)
		if _, err := h.WriteAt(ctx, body, 5); err != nil {
			return i, err
		}
		if i, err = h.Flush(ctx, seen); err != nil {
			return i, err
		}
		got := make([]byte, size)
		if n, err := h.ReadAt(ctx, got, 5); n != size || string(got) != string(body) || h.Changed() {
			return i, fmt.Errorf("the handle has %d bytes of %d then, %v", n, size, err)
		}
		return i, nil
	})
}

func handedWrites() []handed {
	mode, uid, size, at := uint32(0o600), uint32(7), int64(3), time.Unix(1795000000, 5)
	retention := func(m RetentionMode, until time.Time) LockChange { return LockChange{Retention: &Retention{m, until}} }
	hold := true
	far := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	amend := func(key string, c Cond) func(context.Context, *Bucket) (Version, error) {
		return func(ctx context.Context, b *Bucket) (Version, error) {
			return b.SetTags(ctx, key, VersionRef{}, map[string]string{"a": "1"}, c)
		}
	}
	lock := func(key string, change LockChange) func(context.Context, *Bucket) (Version, error) {
		return func(ctx context.Context, b *Bucket) (Version, error) {
			return b.Lock(ctx, key, VersionRef{}, change, Cond{})
		}
	}
	return some([]handed{
		handedAmend("tags", amend("k", Cond{})),
		handedAmend("tags on a condition that does not hold", amend("k", Cond{Match: []string{"another"}})),
		handedAmend("tags of nothing", amend("none", Cond{})),
		handedAmend("tags of a marker", amend("gone", Cond{})),
		handedAmend("an ACL", func(ctx context.Context, b *Bucket) (Version, error) {
			return b.SetAttribute(ctx, "k", VersionRef{}, ACL, []byte("mine"), Cond{})
		}),
		handedAmend("a hold", lock("k", LockChange{LegalHold: &hold})),
		handedAmend("a retention", lock("k", retention(Governance, far))),
		handedAmend("a lock that is as it was", lock("k", LockChange{LegalHold: new(bool)})),
		handedAmend("a retention that is over", lock("k", retention(Governance, time.Unix(5, 0)))),
		handedAmend("a retention that is shortened", lock("held", LockChange{Retention: &Retention{}})),
		handedRename("a rename", "k", "j", RenameOptions{}),
		handedRename("a rename onto a key", "k", "m", RenameOptions{}),
		handedRename("a rename in place of a key", "k", "m", RenameOptions{Replace: true}),
		handedRename("a rename of nothing", "none", "m", RenameOptions{}),
		handedRename("a rename of a marker", "gone", "j", RenameOptions{}),
		handedRename("a rename of a directory", "tree/", "wood/", RenameOptions{}),
		handedRename("a rename of a directory onto another", "tree/", "dir/", RenameOptions{}),
		handedRename("a rename of a directory into itself", "tree/", "tree/b/", RenameOptions{}),
		handedFile("a file", func(ctx context.Context, f Files) (FileInfo, error) {
			return f.Create(ctx, "dir/new", NewFile{Mode: 0o644, UID: 1, GID: 2, Exclusive: true, Verifier: 9})
		}),
		handedFile("a file that is there", func(ctx context.Context, f Files) (FileInfo, error) {
			return f.Create(ctx, "dir/file", NewFile{Mode: 0o644})
		}),
		handedFile("a file that must be new", func(ctx context.Context, f Files) (FileInfo, error) {
			return f.Create(ctx, "dir/file", NewFile{Exclusive: true})
		}),
		handedFile("a file in a file", func(ctx context.Context, f Files) (FileInfo, error) {
			return f.Create(ctx, "k/new", NewFile{})
		}),
		handedFile("a directory", func(ctx context.Context, f Files) (FileInfo, error) {
			return f.Mkdir(ctx, "dir/below", NewFile{Mode: 0o700})
		}),
		handedFile("a symbolic link", func(ctx context.Context, f Files) (FileInfo, error) {
			return f.Symlink(ctx, "../k", "dir/sym", NewFile{Mode: 0o777})
		}),
		handedFile("a link", func(ctx context.Context, f Files) (FileInfo, error) { return f.Link(ctx, "k", "dir/k") }),
		handedFile("attributes", func(ctx context.Context, f Files) (FileInfo, error) {
			return f.SetAttr(ctx, "dir/file", SetFile{Mode: &mode, UID: &uid, Atime: &at, Mtime: &at})
		}),
		handedFile("attributes of another file", func(ctx context.Context, f Files) (FileInfo, error) {
			return f.SetAttr(ctx, "dir/file", SetFile{Mode: &mode, ID: FileID{9}})
		}),
		handedFile("a size", func(ctx context.Context, f Files) (FileInfo, error) {
			return f.SetAttr(ctx, "k", SetFile{Size: &size, Mode: &mode})
		}),
		handedName("an extended attribute", func(ctx context.Context, f Files) error {
			return f.SetXattr(ctx, "dir/file", "user.new", "v", CreateXattr)
		}),
		handedName("an extended attribute that is there", func(ctx context.Context, f Files) error {
			return f.SetXattr(ctx, "dir/file", "user.old", "v", CreateXattr)
		}),
		handedName("an extended attribute less", func(ctx context.Context, f Files) error { return f.RemoveXattr(ctx, "dir/file", "user.old") }),
		handedName("an extended attribute that is not there", func(ctx context.Context, f Files) error { return f.RemoveXattr(ctx, "k", "user.old") }),
		handedName("a file less", func(ctx context.Context, f Files) error { return f.Remove(ctx, "dir/file") }),
		handedName("no file less", func(ctx context.Context, f Files) error { return f.Remove(ctx, "dir") }),
		handedName("a directory less", func(ctx context.Context, f Files) error { return f.Rmdir(ctx, "empty") }),
		handedName("a directory that is full", func(ctx context.Context, f Files) error { return f.Rmdir(ctx, "dir") }),
		handedName("a file renamed", func(ctx context.Context, f Files) error { return f.Rename(ctx, "dir/file", "empty/other") }),
		handedName("a file renamed to where nothing is", func(ctx context.Context, f Files) error { return f.Rename(ctx, "k", "none/k") }),
		handedName("a directory renamed", func(ctx context.Context, f Files) error { return f.Rename(ctx, "dir", "empty/dir") }),
		handedName("a directory renamed onto a file", func(ctx context.Context, f Files) error { return f.Rename(ctx, "dir", "k") }),
		flushing("a flush", "dir/file", 10, nil),
		flushing("a flush of many chunks", "dir/file", 2<<20, nil),
		flushing("a flush of a file that S3 wrote", "k", 10, nil),
		flushing("a flush onto another version", "k", 10, &sampleID),
	})
}

// some are all, or a few of them in short runs.
func some(all []handed) (few []handed) {
	if !testing.Short() {
		return all
	}
	for i := 0; i < len(all); i += 5 {
		few = append(few, all[i])
	}
	return few
}

// lockedHome is newHome of a bucket that has one of everything.
func lockedHome(t testing.TB, names ...string) (*world, *site, *site) {
	w, a, b := newHome(t, Settings{Versioning: Versioned, Locks: LockSettings{Enabled: true}}, names...)
	w.furnish(a)
	b.Segment.cfg.Read = func(chunk.Domain, Reading) chunk.Store { // what is not there yet is at the home
		return elsewhere{b.cfg.Chunks.(mapStore), a.cfg.Chunks.(mapStore)}
	}
	return w, a, b
}

// elsewhere reads what is not here from another place.
type elsewhere struct {
	mapStore
	other mapStore
}

func (e elsewhere) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	missing, _ := e.Missing(ctx, ids)
	if err := e.other.Get(ctx, missing, func(c chunk.Chunk) error { return e.Put(ctx, []chunk.Chunk{c}) }); err != nil {
		return err
	}
	return e.mapStore.Get(ctx, ids, yield)
}

// others are the lines of a text that another has not.
func others(text, than string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.Contains(than, l) }), "\n")
}

// Whatever is written at another segment comes to what it comes to at the home, once, although the home's answer is lost; and is refused alike.
func TestWhatIsHandedToTheHomeIsDoneAsThere(t *testing.T) {
	for _, x := range handedWrites() {
		t.Run(x.name, func(t *testing.T) {
			here, a, _ := lockedHome(t, "a", "b")
			want, refused := x.do(here.ctx, a.box())
			writes := a.box().Seen()[a.Origin()]
			here.settle()

			w, home, b := lockedHome(t, "a", "b")
			w.lossy = true
			got, err := x.do(w.ctx, b.box())
			if got != want {
				t.Errorf("it tells %s, %v; at home %s, %v", got, err, want, refused)
			}
			for _, is := range append(refusals()[2:], ErrNotHome) {
				if errors.Is(err, is) != errors.Is(refused, is) {
					t.Errorf("%v; at home %v", err, refused)
				}
			}
			var marker *MarkerError
			if errors.As(err, &marker) != errors.As(refused, &marker) {
				t.Errorf("%v; at home %v", err, refused)
			}
			if n := home.box().Seen()[home.Origin()]; n != writes {
				t.Errorf("the home has made %d writes, and would have made %d for itself", n, writes)
			}
			if got, want := b.picture(), a.picture(); got != want {
				t.Errorf("there is then\n%s; at home\n%s", others(got, want), others(want, got))
			}
			w.settle()
			w.verify()
		})
	}
}

// The link is cut when the home has done what it was asked for: that is unknown then, no refusal, and it is done once.
func TestAHandedWriteWhoseAnswerIsCutOffIsDoneOnce(t *testing.T) {
	for _, x := range handedWrites() {
		here, a, _ := lockedHome(t, "a", "b")
		if _, err := x.do(here.ctx, a.box()); err != nil {
			continue
		}
		writes := a.box().Seen()[a.Origin()]
		w, home, b := lockedHome(t, "a", "b")
		forward := b.cfg.Forward
		b.Segment.cfg.Forward = func(ctx context.Context, id ID, r *Request) (*Answer, error) {
			w.lossy = true
			answer, err := forward(ctx, id, r)
			b.peers["a"] = false
			return answer, err
		}
		if _, err := x.do(w.ctx, b.box()); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrHomeAway) {
			t.Errorf("%s: %v", x.name, err)
		}
		if n := home.box().Seen()[home.Origin()]; n != writes {
			t.Errorf("%s: the home has made %d writes, and would have made %d for itself", x.name, n, writes)
		}
		b.peers["a"] = true
		w.settle()
		if got, want := b.picture(), a.picture(); got != want {
			t.Errorf("%s: there is then\n%s; at home\n%s", x.name, others(got, want), others(want, got))
		}
	}
}

// A home that cannot be asked at all does nothing, and says so at once.
func TestAHandedWriteThatIsNotAskedForChangesNothing(t *testing.T) {
	w, _, b := lockedHome(t, "a", "b")
	before := b.picture()
	b.peers["a"] = false
	for _, x := range handedWrites() {
		if _, err := x.do(w.ctx, b.box()); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrHomeAway) {
			if name := strings.Fields(x.name); !slices.Contains(name, "nothing") { // what needs no home to be refused
				t.Errorf("%s: %v", x.name, err)
			}
		}
	}
	if b.picture() != before {
		t.Error("something was written")
	}
}
