package segment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// asking is a request of a verb with arguments for a bucket that [world.furnish] has filled.
func asking(b *Bucket, name byte, key string, t task) *Request {
	return &Request{Bucket: b.id, Name: RequestName{name}, verb: t.verb(), key: key, task: t}
}

// tasksAt is a request of each verb that one record does.
func tasksAt(b *Bucket) map[string]*Request {
	hold := true
	return map[string]*Request{
		"tags":                asking(b, 1, "k", &attributeTask{"tags", tagsValue(map[string]string{"a": "1"})}),
		"lock":                asking(b, 2, "m", &lockTask{LockChange{LegalHold: &hold}}),
		"rename":              asking(b, 3, "tree/x", &renameTask{"leaf", false, RenameOptions{}}),
		"rename of directory": asking(b, 4, "tree/", &renameTask{"wood/", true, RenameOptions{}}),
		"file":                asking(b, 5, "", &fileTask{what: fileCreate, path: "dir/new", kind: RegularFile, NewFile: NewFile{Exclusive: true}}),
		"directory renamed":   asking(b, 6, "", &fileTask{what: fileRename, path: "dir", to: "empty/dir"}),
		"flush":               asking(b, 7, "k", &flushTask{id: FileID{9}}),
	}
}

// Whoever is the home by then knows what the old one did, by the feed and by a sync alike, and what it was to tell.
func TestATaskThatIsAskedAgainFindsItsAnswerAtTheNewHome(t *testing.T) {
	for _, how := range []string{"feed", "sync"} {
		names := tasksAt(&Bucket{})
		for name := range names {
			if testing.Short() && name != "rename of directory" && name != "file" {
				continue
			}
			w, a, b := lockedHome(t, "a", "b", "c")
			r := tasksAt(a.box())[name]
			if f, ok := r.task.(*flushTask); ok {
				f.id, f.set.Mode = w.fileID(a, "k"), new(uint32)
			}
			first := a.ServeRequest(w.ctx, r, nil)
			if err := first.refused(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := a.box().MoveHome(w.ctx, b.ID()); err != nil {
				t.Fatal(err)
			}
			if err := a.ServeRequest(w.ctx, r, nil).refused(); !errors.Is(err, ErrNotHome) {
				t.Errorf("%s: the old home: %v", name, err)
			}
			bring := w.pull
			if how == "sync" {
				bring = w.syncAll
			}
			if err := bring(b, a); err != nil {
				t.Fatal(err)
			}
			before := b.picture()
			again := b.ServeRequest(w.ctx, r, nil)
			if err := again.refused(); err != nil || again.outcome != first.outcome {
				t.Errorf("%s, by %s: the new home answers %+v, %v; the old one %+v", name, how, again, err, first)
			}
			if got := b.picture(); got != before {
				t.Errorf("%s, by %s: it is done again:\n%s", name, how, others(got, before))
			}
		}
	}
}

// handedUpload completes an upload in parts.
func handedUpload() handed {
	return handed{"a completed upload", func(ctx context.Context, b *Bucket) (string, error) {
		u, err := b.CreateUpload(ctx, "big", Attrs{})
		if err != nil {
			return "", err
		}
		part, err := b.PartWriter(ctx, "big", u.ID, 1, -1)
		if err != nil {
			return "", err
		}
		if _, err := part.ReadFrom(strings.NewReader("all of it")); err != nil {
			return "", err
		}
		if _, err := part.CommitPart(ctx, Attrs{ETag: "1"}); err != nil {
			return "", err
		}
		v, err := b.CompleteUpload(ctx, "big", u.ID, []PartRef{{1, "1"}}, Completion{ETag: "all"}, Cond{})
		if _, gone := b.Upload(ctx, "big", u.ID); err == nil && !errors.Is(gone, ErrNoSuchUpload) {
			err = fmt.Errorf("the upload is still there: %v", gone)
		}
		return v.Attrs.ETag, err
	}}
}

// ends says whether something ends within a minute.
func ends(t *testing.T, what string, do func()) bool {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
		return true
	case <-time.After(time.Minute):
		t.Errorf("%s does not end", what)
		return false
	}
}

// The home moves to the one who asks while it is asked: then the write is made here, once, as at any home. Nobody else is kept out of the bucket meanwhile.
func TestTheHomeComesToTheOneWhoAsks(t *testing.T) {
	waits := []handed{handedUpload(), handedRename("a rename of a directory", "tree/", "wood/", RenameOptions{}), flushing("a flush", "dir/file", 10, nil),
		handedName("a file renamed", func(ctx context.Context, f Files) error { return f.Rename(ctx, "dir/file", "empty/other") }),
		handedName("a directory renamed", func(ctx context.Context, f Files) error { return f.Rename(ctx, "dir", "empty/dir") })}
	for _, x := range waits {
		t.Run(x.name, func(t *testing.T) {
			here, first, _ := lockedHome(t, "a", "b")
			want, refused := x.do(here.ctx, first.box())

			w, a, b := lockedHome(t, "a", "b")
			b.Segment.cfg.Forward = func(ctx context.Context, _ ID, r *Request) (*Answer, error) {
				if !ends(t, "a wait for the bucket", func() { b.box().alone()() }) {
					return nil, ErrNotAsked
				}
				if err := a.box().MoveHome(ctx, b.ID()); err != nil {
					return nil, err
				}
				if err := w.pull(b, a); err != nil {
					return nil, err
				}
				return w.exchange(ctx, b, a, r)
			}
			var got string
			var err error
			if !ends(t, x.name, func() { got, err = x.do(w.ctx, b.box()) }) {
				t.FailNow()
			}
			if got != want || (err == nil) != (refused == nil) {
				t.Errorf("it tells %s, %v; at the first home %s, %v", got, err, want, refused)
			}
			if got, want := b.picture(), first.picture(); got != want {
				t.Errorf("there is then\n%s; at the first home\n%s", others(got, want), others(want, got))
			}
			w.settle()
			w.verify()
		})
	}
}

func (w *world) fileID(s *site, path string) FileID {
	w.t.Helper()
	i, err := s.box().Files().GetAttr(w.ctx, path)
	if err != nil {
		w.t.Fatal(err)
	}
	return i.ID
}

// A home made by force knows nothing of what the old one did last: it judges what is asked again by what it has, in an epoch of its own; and when
// the two have met, all agree, on its decision.
func TestATaskIsJudgedAnewByAHomeMadeByForce(t *testing.T) {
	for name := range tasksAt(&Bucket{}) {
		if testing.Short() && name != "rename" && name != "directory renamed" {
			continue
		}
		w, a, b := lockedHome(t, "a", "b", "c")
		r := tasksAt(a.box())[name]
		if f, ok := r.task.(*flushTask); ok {
			f.id, f.set.Mode = w.fileID(a, "k"), new(uint32)
		}
		first := a.ServeRequest(w.ctx, r, nil)
		b.peers["a"], w.site("c").peers["a"] = false, false
		if err := b.box().TakeHome(w.ctx); err != nil {
			t.Fatal(err)
		}
		again := b.ServeRequest(w.ctx, r, nil)
		if err := errors.Join(first.refused(), again.refused()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b.peers["a"], w.site("c").peers["a"] = true, true
		w.settle()
		for _, s := range w.sites {
			if d, ok := s.box().doneNow().find(r.Name); !ok || d.by.Epoch != (Epoch{1, b.Origin()}) {
				t.Errorf("%s: %s remembers %+v", name, s.Name(), d)
			}
		}
		if got := a.ServeRequest(w.ctx, r, nil); !errors.Is(got.refused(), ErrNotHome) {
			t.Errorf("%s: the old home still does it: %+v", name, got)
		}
		w.verify()
	}
}

// What a peer may not ask for is refused, and leaves nothing behind.
func TestBadTasksAreRefused(t *testing.T) {
	w, a, b := lockedHome(t, "a", "b")
	local, err := a.CreateBucket(w.ctx, "other", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("k", MaxKey+1)
	type bad struct {
		key  string
		task task
		want error
	}
	all := map[string]bad{
		"attribute of no name":        {"k", &attributeTask{"owner", "x"}, ErrInvalidArgument},
		"tags that are none":          {"k", &attributeTask{"tags", "xx"}, ErrUnavailable},
		"attribute of a long key":     {long, &attributeTask{"acl", "x"}, ErrInvalidArgument},
		"attribute of a reserved key": {"\x00root", &attributeTask{"acl", "x"}, ErrInvalidArgument},
		"lock of no mode":             {"k", &lockTask{LockChange{Retention: &Retention{9, w.now.AddDate(1, 0, 0)}}}, ErrInvalidArgument},
		"lock for ever":               {"k", &lockTask{LockChange{Retention: &Retention{Governance, w.now.AddDate(9000, 0, 0)}}}, ErrInvalidArgument},
		"rename to nothing":           {"k", &renameTask{}, ErrInvalidArgument},
		"rename to a reserved key":    {"k", &renameTask{"\x00root", false, RenameOptions{Replace: true}}, ErrInvalidArgument},
		"rename of all":               {"", &renameTask{"b/", true, RenameOptions{}}, ErrInvalidArgument},
		"no change of a file":         {"", &fileTask{path: "k"}, ErrRefused},
		"file of no kind":             {"", &fileTask{what: fileCreate, path: "new"}, ErrRefused},
		"file above the root":         {"", &fileTask{what: fileCreate, path: "../new", kind: RegularFile}, ErrInvalidArgument},
		"file of a reserved key":      {"", &fileTask{what: fileRemove, path: "\x00root"}, ErrInvalidArgument},
		"key as a reserved one":       {"", &fileTask{what: fileReserve, path: "k"}, ErrRefused},
		"reserved key with a lock":    {"", &fileTask{what: fileReserve, path: "\x00root", attrs: putPart(nil, attrFieldLock, lock{legal: true}.appendTo)}, ErrRefused},
		"reserved key of garbage":     {"", &fileTask{what: fileReserve, path: "\x00root", attrs: []byte{1}}, ErrRefused},
		"long reserved key":           {"", &fileTask{what: fileReserve, path: "\x00" + strings.Repeat("k", maxFederatedKey)}, ErrRefused},
		"xattrs without end":          {"", &fileTask{what: fileSetXattr, path: "k", name: "user.x", value: strings.Repeat("x", MaxXattrBytes+1)}, ErrXattrTooLarge},
		"flush of no file":            {"k", &flushTask{}, ErrRefused},
		"flush of another file":       {"k", &flushTask{id: FileID{9}}, ErrStaleFile},
		"merge of nothing":            {"", &mergeTask{from: BucketID{9}}, ErrUnavailable},
		"merge of the federation":     {"", &mergeTask{from: FederationBucket}, ErrNoSuchBucket},
		"merge of the segment's own":  {"", &mergeTask{from: localBucket}, ErrNoSuchBucket},
		"merge of a stranger":         {"", &mergeTask{from: local.ID()}, ErrInvalidArgument},
	}
	before, name := a.picture(), byte(0)
	for what, x := range all {
		name++
		r := asking(a.box(), name, x.key, x.task)
		if err := a.ServeRequest(w.ctx, r, nil).refused(); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", what, err, x.want)
		}
	}
	for what, r := range tasksAt(a.box()) {
		for _, id := range []BucketID{{7}, FederationBucket, localBucket} {
			r.Bucket = id
			if err := a.ServeRequest(w.ctx, r, nil).refused(); !errors.Is(err, ErrNoSuchBucket) {
				t.Errorf("%s of bucket %v: %v", what, id, err)
			}
		}
	}
	for what, r := range tasksAt(a.box()) { // who is not the home does nothing for anybody
		if err := b.ServeRequest(w.ctx, r, nil).refused(); !errors.Is(err, ErrNotHome) {
			t.Errorf("%s at another segment: %v", what, err)
		}
	}
	if got := a.picture(); got != before {
		t.Errorf("something is left behind:\n%s", others(got, before))
	}
}

// A request whose arguments are of another verb, or that has more or less than its verb needs, is none.
func TestRequestsThatAreNotWholeAreNone(t *testing.T) {
	content := &Version{Key: "k"}
	for name, r := range map[string]*Request{
		"no arguments":            {verb: verbLock, key: "k"},
		"arguments of a put":      {verb: verbPut, key: "k", put: content, task: &mergeTask{}},
		"content of a lock":       {verb: verbLock, key: "k", put: content, task: &lockTask{}},
		"a verb that is unknown":  {verb: verbMerge + 1, key: "k", task: &mergeTask{}},
		"no verb":                 {key: "k", task: &mergeTask{}},
		"arguments of other kind": {verb: verbLock, key: "k", task: &fileTask{what: fileRename, path: "a"}},
	} {
		r.Name = RequestName{1}
		if got, err := ParseRequest(r.Append(nil)); err == nil {
			t.Errorf("%s is read as %+v", name, got)
		}
	}
}

// A handle follows what its own segment has had renamed at the home, and what it writes then is the file's.
func TestAHandleFollowsARenameMadeAtTheHome(t *testing.T) {
	for from, c := range map[string]struct{ open, to, now string }{"k": {"k", "empty/other", "empty/other"}, "dir": {"dir/file", "wood", "wood/file"}} {
		w, a, b := lockedHome(t, "a", "b")
		f := b.box().Files()
		h, err := f.Open(w.ctx, c.open)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if _, err := h.WriteAt(w.ctx, []byte("written"), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Rename(w.ctx, from, c.to); err != nil {
			t.Fatal(err)
		}
		i, err := h.Flush(w.ctx, nil)
		if err != nil || i.Key != c.now {
			t.Errorf("flush behind the rename of %s: %+v, %v", from, i, err)
		}
		if got, err := a.read(a.box(), c.now, VersionRef{}); err != nil || !strings.HasPrefix(got, "written") {
			t.Errorf("the home reads %q of %s, %v", got, c.now, err)
		}
	}
}

// What shares its pieces with a version that the home has brings the home the others alone; and they are the home's before the version is.
func TestAFlushBringsTheHomeWhatItLacks(t *testing.T) {
	w, a, b := lockedHome(t, "a", "b")
	a.put("box", "big", strings.Repeat("0123456789abcdef", 1<<18)+noise(1, 4<<20))
	w.settle()
	h, err := b.box().Files().Open(w.ctx, "big")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.WriteAt(w.ctx, []byte(noise(2, 300<<10)), 6<<20); err != nil {
		t.Fatal(err)
	}
	count := func() int { return len(a.cfg.Chunks.(mapStore).chunks) }
	before := count()
	i, err := h.Flush(w.ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := count() - before; n < 1 || n > 20 {
		t.Errorf("%d chunks came", n)
	}
	o, err := a.ObjectHere(a.box().ID(), Version{VersionID: i.Version, Key: "big", Content: w.version(a, "big").Content})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, h.Size())
	got := make([]byte, h.Size())
	if _, err := h.ReadAt(w.ctx, want, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := o.ReadAt(w.ctx, got, 0); err != nil || string(got) != string(want) {
		t.Errorf("the home has another file, %v", err)
	}
}

func (w *world) version(s *site, key string) Version {
	w.t.Helper()
	v, err := s.box().Stat(w.ctx, key, VersionRef{})
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// What a snapshot had comes back at another segment as it does at the home: keys, tags, files and their links.
func TestARestoreIsHandedToTheHome(t *testing.T) {
	w, a, b := lockedHome(t, "a", "b")
	a.snap("box", "s")
	w.settle()
	w.adopt(b, a)
	f := a.box().Files()
	for _, err := range []error{f.Remove(w.ctx, "dir/name"), f.Rename(w.ctx, "tree", "wood"), f.SetXattr(w.ctx, "", "user.root", "1", PutXattr)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.box().SetTags(w.ctx, "k", VersionRef{}, map[string]string{"a": "1"}, Cond{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if _, err := b.box().Restore(w.ctx, b.bucketNamed("box@s"), "", nil); err != nil {
		t.Fatal(err)
	}
	for d, err := range diff(w.ctx, b.box(), b.bucketNamed("box@s"), "") {
		t.Errorf("%q is another, %v", d.Key, err)
	}
	if n := b.box().Seen()[b.Origin()]; n != 0 {
		t.Errorf("%d writes are made elsewhere than at the home", n)
	}
}

// noise are bytes that nothing else has.
func noise(seed byte, n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}
