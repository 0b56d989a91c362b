package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/segment/stream"
)

// abroad is a segment of another federation, whose clock is that of w.
func abroad(t *testing.T, w *world) *site {
	t.Helper()
	other := newSeededWorld(t, 99, "elsewhere")
	s := other.sites[0]
	if err := s.Close(other.ctx); err != nil {
		t.Fatal(err)
	}
	s.cfg.ID, s.cfg.Secret, s.cfg.Dir, s.cfg.Chunks = 77, [32]byte{8}, "/abroad", newMapStore()
	s.cfg.Clock = func() time.Time { return w.now }
	s.open()
	return s
}

// exported is the stream of a bucket.
func (s *site) exported(name string, o ExportOptions) []byte {
	s.w.t.Helper()
	var out bytes.Buffer
	if _, err := s.bucketNamed(name).Export(s.w.ctx, &out, o); err != nil {
		s.w.t.Fatalf("export %s: %v", name, err)
	}
	return out.Bytes()
}

func (s *site) imported(name string, in []byte) (*Bucket, Imported) {
	s.w.t.Helper()
	b, done, err := s.Import(s.w.ctx, name, bytes.NewReader(in), ImportOptions{})
	if err != nil {
		s.w.t.Fatalf("import %s: %v", name, err)
	}
	return b, done
}

// everything is what a user can see of a bucket.
func (s *site) everything(name string) (out []string) {
	s.w.t.Helper()
	b, ctx := s.bucketNamed(name), s.w.ctx
	must := func(err error) {
		if err != nil {
			s.w.t.Fatalf("look at %s: %v", name, err)
		}
	}
	st, set := b.Stats(), b.Settings()
	set.Home = Origin{}
	out = append(out, fmt.Sprintf("%d objects, %d bytes, %d versions, %d conflicts", st.Objects, st.Bytes, st.Versions, st.Conflicts),
		fmt.Sprintf("%+v %v", set, b.Cutter()))
	var o ListVersionsOptions
	for more := true; more; {
		o.Limit = 7
		page, err := b.ListVersions(ctx, o)
		must(err)
		for _, e := range page.Entries {
			v := e.Version
			content := ""
			if !v.Marker {
				content, err = s.read(b, v.Key, VersionRef{ID: v.VersionID})
				must(err)
				content = fmt.Sprintf("%d bytes, %x", len(content), chunk.NewDomain([32]byte{}).Name([]byte(content)).String()[:8])
			}
			a := v.Attrs
			a.Tags = v.Tags()
			out = append(out, fmt.Sprintf("%q %v latest %v null %v marker %v superseded %v: %s %+v %+v %s",
				v.Key, v.VersionID, e.Latest, v.Null, v.Marker, v.Superseded, content, a, v.Lock(), v.Attribute(ACL)))
		}
		o.KeyMarker, o.VersionMarker, more = page.NextKeyMarker, page.NextVersionMarker, page.Truncated
	}
	conflicts, err := b.Conflicts(ctx, "", 100)
	must(err)
	for _, c := range conflicts {
		out = append(out, fmt.Sprintf("conflict %q of %v and %d", c.Key, c.Current.VersionID, len(c.Losers)))
	}
	for _, path := range []string{"by file", "by another name", "folder"} {
		if st, err := b.Files().GetAttr(ctx, path); err == nil {
			st.Change = 0 // of directories it is a bucket's own
			out = append(out, fmt.Sprintf("%q %+v", path, st))
		}
	}
	return out
}

// manyThings is a world whose buckets hold what buckets can hold: "plain", "kept" with versions and locks, and "torn" with conflicts.
func manyThings(t *testing.T) (*world, *site) {
	w := newWorld(t, "a", "b")
	a, b := w.sites[0], w.sites[1]
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	noise := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{5}).Read(noise)
	set := DefaultSettings()
	_, err := a.CreateBucket(w.ctx, "plain", BucketOptions{Cutter: dedup.Params{Kind: dedup.Content, Average: 4 << 10}, Settings: &set})
	must(err)
	for i := range 20 {
		a.put("plain", fmt.Sprintf("docs/%02d", i), fmt.Sprint("text ", i%7))
	}
	a.put("plain", "large", string(noise))
	a.put("plain", "large too", "x"+string(noise)+"y")
	a.put("plain", "empty", "")
	a.remove("plain", "docs/03")
	files := a.bucketNamed("plain").Files()
	_, err = files.Create(w.ctx, "by file", NewFile{Mode: 0o640})
	must(err)
	a.flushed(files, "by file", "written by a file client")
	_, err = files.Mkdir(w.ctx, "folder", NewFile{Mode: 0o750})
	must(err)
	a.linkTo(files, "by file", "by another name")

	set.Versioning, set.Locks.Enabled, set.Ack, set.Policy = Versioned, true, Copies, Newest
	set.Ack = Local
	kept, err := a.CreateBucket(w.ctx, "kept", BucketOptions{Settings: &set})
	must(err)
	for i := range 5 {
		w.tick(time.Second)
		a.put("kept", "often", strings.Repeat("v", i))
	}
	first := a.put("kept", "held", string(noise[:300_000]))
	w.tick(time.Minute)
	a.put("kept", "held", string(noise[:300_001]))
	_, err = kept.Lock(w.ctx, "held", VersionRef{ID: first.VersionID}, retain(Compliance, w.now.Add(time.Hour)), Cond{})
	must(err)
	_, err = kept.Lock(w.ctx, "held", VersionRef{}, legalHold(true), Cond{})
	must(err)
	_, err = kept.SetTags(w.ctx, "held", VersionRef{}, map[string]string{"colour": "green"}, Cond{})
	must(err)
	_, err = kept.SetAttribute(w.ctx, "often", VersionRef{}, ACL, []byte("public"), Cond{})
	must(err)
	_, err = kept.Put(w.ctx, "said", Attrs{ETag: "odd", Meta: map[string]string{"content-type": "text/plain", "x-amz-meta-b": "2"},
		Tags: map[string]string{"a": "b"}, Checksums: []Checksum{{"CRC32", "AAAAAA==", true}}, Parts: []int64{5}}, Cond{}, strings.NewReader("five."))
	must(err)
	a.put("kept", "gone", "but remembered")
	a.remove("kept", "gone")

	torn, err := a.CreateBucket(w.ctx, "torn", BucketOptions{})
	must(err)
	w.settle()
	for _, s := range []*site{a, b} {
		w.tick(time.Second)
		s.put("torn", "both", "by "+s.Name())
		s.put("torn", "twin", "alike")
		s.put("torn", s.Name(), "mine")
	}
	w.settle()
	must(torn.Configure(w.ctx, func(s *Settings) error { s.Losers.Keep = 3; return nil }))
	w.settle()
	w.carry()
	return w, a
}

// What was exported and imported elsewhere is what it was, under the same version ids; exported again it is the same bytes, and each chunk is there once.
func TestABucketComesBackFromAStream(t *testing.T) {
	w, a := manyThings(t)
	there := abroad(t, w)
	for _, name := range []string{"plain", "kept", "torn"} {
		text := a.exported(name, ExportOptions{})
		if again := a.exported(name, ExportOptions{}); !bytes.Equal(text, again) {
			t.Errorf("%s is exported in two ways", name)
		}
		for _, s := range []*site{there, a, w.sites[1]} { // another federation, the same segment, another of the federation
			copied := name + "-copy"
			if s == w.sites[1] {
				copied = name + "-of-b"
			}
			_, done := s.imported(copied, text)
			if s != there && (done.New != 0 || done.Chunks == 0) {
				t.Errorf("%s at %s: %d of %d chunks were new, though all are there", name, s.Name(), done.New, done.Chunks)
			}
			for _, when := range []string{"at once", "after a restart"} {
				if diff := cmp.Diff(a.everything(name), s.everything(copied)); diff != "" {
					t.Fatalf("%s at %s, %s:\n%s", name, s.Name(), when, diff)
				}
				if again := s.exported(copied, ExportOptions{}); !bytes.Equal(text, again) {
					t.Errorf("%s at %s, %s: exported again it is other bytes", name, s.Name(), when)
				}
				s.restart()
			}
		}
		once(t, text)
	}
}

// once counts the chunks of a stream.
func once(t *testing.T, text []byte) {
	t.Helper()
	there := map[string]bool{}
	r := stream.NewReader(bytes.NewReader(text))
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind == stream.KindChunk {
			if there[string(rec.Data)] {
				t.Fatalf("a chunk of %d bytes is there twice", len(rec.Data))
			}
			there[string(rec.Data)] = true
		}
	}
}

// An imported bucket is one like any other: it is written to, linked, snapshotted, and deleted; it is no branch.
func TestAnImportedBucketLives(t *testing.T) {
	w, a := manyThings(t)
	b := w.sites[1]
	life := a.Origin()
	copied, _ := b.imported("copied", a.exported("kept", ExportOptions{}))
	w.settle()
	w.carry()
	if a.Origin() != life {
		t.Errorf("%v began another life, %v, since its own writes came back to it", life, a.Origin())
	}
	w.tick(time.Second)
	first := b.put("copied", "often", "after the import")
	w.settle()
	v := a.put("copied", "often", "at the other site")
	w.settle()
	w.carry()
	w.roots(copied.ID())
	if diff := cmp.Diff(a.everything("copied"), b.everything("copied")); diff != "" {
		t.Error(diff)
	}
	if v.Compare(first.VersionID) <= 0 || a.bucketNamed("copied").Stats().Conflicts != 0 {
		t.Errorf("%v behind %v, %d conflicts", v.VersionID, first.VersionID, a.bucketNamed("copied").Stats().Conflicts)
	}
	if got := a.Branches(BucketID{}); len(got) != 0 {
		t.Errorf("branches: %+v", got)
	}
	if err := b.DeleteBranch(w.ctx, "copied", true); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("delete it as a branch: %v", err)
	}
	if _, err := copied.Remove(w.ctx, "held", VersionRef{}, Cond{}); !errors.Is(err, ErrLocked) {
		t.Errorf("remove what is locked: %v", err)
	}
	if _, err := copied.Delete(w.ctx, "held", Cond{}); err != nil {
		t.Error(err)
	}
}

func TestCurrentVersionsAlone(t *testing.T) {
	w, a := manyThings(t)
	there := abroad(t, w)
	_, done := there.imported("kept", a.exported("kept", ExportOptions{Current: true}))
	if diff := cmp.Diff(a.holds("kept"), there.holds("kept")); diff != "" || done.Versions != 3 || !done.Current {
		t.Errorf("%+v\n%s", done, diff)
	}
	if st := there.bucketNamed("kept").Stats(); st.Versions != 3 {
		t.Errorf("%+v", st)
	}
	old, err := a.bucketNamed("kept").CreateSnapshot(w.ctx, "now")
	if err != nil {
		t.Fatal(err)
	}
	text := a.exported("kept", ExportOptions{})
	w.tick(time.Second)
	a.put("kept", "later", "than the snapshot")
	if !bytes.Equal(text, a.exported("kept@"+old.Name, ExportOptions{})) {
		t.Error("the snapshot is not what the bucket was")
	}
}

// What ends early leaves no bucket, and can be run again.
func TestAnImportIsWholeOrNothing(t *testing.T) {
	w, a := manyThings(t)
	there := abroad(t, w)
	noise := make([]byte, 3*importBatch)
	_, _ = rand.NewChaCha8([32]byte{6}).Read(noise)
	a.put("plain", "very large", string(noise))
	text := a.exported("plain", ExportOptions{})
	for _, cut := range []int{0, 10, 100, len(text) / 2, len(text) - 1} {
		_, _, err := there.Import(w.ctx, "plain", bytes.NewReader(text[:cut]), ImportOptions{})
		if !errors.Is(err, ErrStream) {
			t.Errorf("%d bytes: %v", cut, err)
		}
	}
	ctx, stop := context.WithCancel(w.ctx)
	_, _, err := there.Import(ctx, "plain", io.MultiReader(bytes.NewReader(text[:len(text)*3/4]), stopper{stop}, bytes.NewReader(text[len(text)*3/4:])), ImportOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if n := len(there.Buckets()); n != 0 {
		t.Errorf("%d buckets", n)
	}
	_, done := there.imported("plain", text)
	if done.New*2 > done.Chunks {
		t.Errorf("%d of %d chunks were written again", done.New, done.Chunks)
	}
	if _, _, err := there.Import(w.ctx, "plain", bytes.NewReader(text), ImportOptions{}); !errors.Is(err, ErrBucketExists) {
		t.Errorf("twice: %v", err)
	}
	if _, _, err := there.Import(w.ctx, "No Name", bytes.NewReader(text), ImportOptions{}); !errors.Is(err, ErrInvalidName) {
		t.Errorf("no name: %v", err)
	}
	if n := there.sparing.lists.Open(); n != 0 {
		t.Errorf("%d lists are open", n)
	}
}

// stopper stops when it is read from.
type stopper struct{ stop context.CancelFunc }

func (s stopper) Read([]byte) (int, error) {
	s.stop()
	return 0, io.EOF
}

// Of a damaged stream, if that is asked for, all comes that is whole, and what is not is told.
func TestWhatIsWholeOfADamagedStreamIsImported(t *testing.T) {
	w, a := manyThings(t)
	there := abroad(t, w)
	text := a.exported("plain", ExportOptions{})
	text[len(text)*2/3] ^= 1 // within the large objects
	if _, _, err := there.Import(w.ctx, "plain", bytes.NewReader(text), ImportOptions{}); !errors.Is(err, ErrStream) {
		t.Fatalf("damaged: %v", err)
	}
	var lost []string
	var damage []stream.Damage
	o := ImportOptions{KeepGoing: true,
		Damaged: func(d stream.Damage) { damage = append(damage, d) },
		Lost:    func(key string, _ VersionID) { lost = append(lost, key) }}
	_, done, err := there.Import(w.ctx, "plain", bytes.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	want := a.holds("plain")
	for _, key := range lost {
		delete(want, key)
	}
	if diff := cmp.Diff(want, there.holds("plain")); diff != "" || len(damage) != 1 || len(lost) == 0 || done.Lost != int64(len(lost)) {
		t.Errorf("%v lost, %+v, %+v\n%s", lost, damage, done, diff)
	}
}

// forged is a stream of what is said; its checksums are right.
func forged(h stream.Header, say func(*stream.Writer)) []byte {
	var out bytes.Buffer
	w := stream.NewWriter(&out, h)
	say(w)
	_, _ = w.End()
	return out.Bytes()
}

func TestAStreamOfWhatNoBucketHoldsIsRefused(t *testing.T) {
	w := newWorld(t, "a")
	a := w.sites[0]
	by := Origin{5, 1}
	good := stream.Header{Cutter: "content:64KiB", Seen: Vector{by: 10}.appendTo(nil), Settings: settingsRecord{Settings: DefaultSettings()}.appendTo(nil)}
	id := func(n uint64) VersionID { return VersionID{Stamp{HLC: hlcAt(w.now) + HLC(n)}, Dot{by, n}} }
	version := func(key string, n uint64, change func(*Version)) []byte {
		v := &Version{VersionID: id(n), Key: key, Holds: []Dot{{by, n}}}
		if change != nil {
			change(v)
		}
		return v.appendWhole(nil)
	}
	far := hlcAt(w.now.Add(24 * time.Hour))
	for what, c := range map[string]struct {
		head func(*stream.Header)
		say  func(*stream.Writer)
		want error
	}{
		"no cutter":       {func(h *stream.Header) { h.Cutter = "content:3KiB" }, nil, ErrStream},
		"no vector":       {func(h *stream.Header) { h.Seen = []byte{1} }, nil, ErrStream},
		"too many writes": {func(h *stream.Header) { h.Seen = Vector{by: 1 << 60}.appendTo(nil) }, nil, ErrStream},
		"no settings":     {func(h *stream.Header) { h.Settings = []byte{1} }, nil, ErrStream},
		"settings that cannot be": {func(h *stream.Header) {
			h.Settings = settingsRecord{Settings: Settings{Locks: LockSettings{Enabled: true}}}.appendTo(nil)
		}, nil, ErrStream},
		"settings by nobody": {func(h *stream.Header) { h.Settings = settingsRecord{by: VersionID{Dot: Dot{by, 11}}}.appendTo(nil) }, nil, ErrStream},
		"settings of tomorrow": {func(h *stream.Header) {
			h.Settings = settingsRecord{by: VersionID{Stamp{HLC: far}, Dot{by, 1}}}.appendTo(nil)
		}, nil, ErrClockAhead},
		"no version":                {nil, func(w *stream.Writer) { _ = w.Version([]byte{1}, stream.List{}) }, ErrStream},
		"a version without a key":   {nil, func(w *stream.Writer) { _ = w.Version(version("", 1, nil), stream.List{}) }, ErrStream},
		"a key that is too long":    {nil, func(w *stream.Writer) { _ = w.Version(version(strings.Repeat("k", MaxKey+1), 1, nil), stream.List{}) }, ErrStream},
		"a key that is no UTF-8":    {nil, func(w *stream.Writer) { _ = w.Version(version("\xff", 1, nil), stream.List{}) }, ErrStream},
		"a write that was not seen": {nil, func(w *stream.Writer) { _ = w.Version(version("k", 11, nil), stream.List{}) }, ErrStream},
		"an epoch that nobody began": {nil, func(w *stream.Writer) {
			_ = w.Version(version("k", 1, func(v *Version) { v.Epoch = Epoch{1, by} }), stream.List{})
		}, ErrStream},
		"a version of tomorrow": {nil, func(w *stream.Writer) {
			_ = w.Version(version("k", 1, func(v *Version) { v.HLC = far }), stream.List{})
		}, ErrClockAhead},
		"a version that nothing holds": {nil, func(w *stream.Writer) {
			_ = w.Version(version("k", 1, func(v *Version) { v.Holds = nil }), stream.List{})
		}, ErrStream},
		"keys in the wrong order": {nil, func(w *stream.Writer) {
			_ = w.Version(version("k", 1, nil), stream.List{})
			_ = w.Version(version("j", 2, nil), stream.List{})
		}, ErrStream},
		"a version twice": {nil, func(w *stream.Writer) {
			_ = w.Version(version("k", 1, nil), stream.List{})
			_ = w.Version(version("k", 1, nil), stream.List{})
		}, ErrStream},
		"content of another size": {nil, func(w *stream.Writer) {
			_, _ = w.Chunk([]byte("abc"))
			_ = w.Version(version("k", 1, nil), stream.List{Refs: []stream.Ref{{N: 0, Size: 4}}})
		}, ErrStream},
		"content of another level": {nil, func(w *stream.Writer) {
			_, _ = w.Chunk([]byte("abc"))
			_ = w.Version(version("k", 1, nil), stream.List{Level: 1, Refs: []stream.Ref{{N: 0, Size: 3}}})
		}, ErrStream},
		"a manifest of too much": {nil, func(w *stream.Writer) {
			_, _ = w.Chunk([]byte("abc"))
			_ = w.Version(version("k", 1, nil), stream.List{Refs: slices.Repeat([]stream.Ref{{N: 0, Size: 3}}, 5)})
		}, ErrStream},
		"a marker with content": {nil, func(w *stream.Writer) {
			_, _ = w.Chunk([]byte("abc"))
			_ = w.Version(version("k", 1, func(v *Version) { v.Marker = true }), stream.List{Refs: []stream.Ref{{N: 0, Size: 3}}})
		}, ErrStream},
		"sizes that run over": {nil, func(w *stream.Writer) { // a bomb: 256^7 times one chunk
			_, _ = w.Chunk(make([]byte, 8<<20))
			size := int64(8 << 20)
			for n := range uint64(14) {
				_, _ = w.Node(stream.List{Level: int(n), Refs: slices.Repeat([]stream.Ref{{N: n, Size: size}}, 256)})
				size *= 256
			}
		}, ErrStream},
	} {
		h := good
		if c.head != nil {
			c.head(&h)
		}
		say := c.say
		if say == nil {
			say = func(*stream.Writer) {}
		}
		if _, _, err := a.Import(w.ctx, "box", bytes.NewReader(forged(h, say)), ImportOptions{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(a.Buckets()) != 0 {
		t.Errorf("buckets: %+v", a.Buckets())
	}
	ok := forged(good, func(w *stream.Writer) { _ = w.Version(version("k", 1, nil), stream.List{}) })
	a.imported("box", ok)
}

// A chunk that comes again after more than memory holds is written again, and named right.
func TestLittleMemoryWritesTwiceAndNotWrongly(t *testing.T) {
	n := newNumbered()
	n.most = 2
	id := func(i byte) chunk.ID { return chunk.ID{i} }
	for i := range byte(5) {
		n.add(id(i), uint64(i))
		if got, ok := n.of(id(i)); !ok || got != uint64(i) {
			t.Fatalf("%d is %d, %v", i, got, ok)
		}
	}
	n.addNode(id(100), 100)
	if _, ok := n.of(id(0)); ok {
		t.Error("nothing is forgotten")
	}
	for range 3 {
		if got, ok := n.of(id(100)); !ok || got != 100 {
			t.Error("a node is forgotten")
		}
		n.add(id(byte(50)), 50)
		n.add(id(byte(51)), 51)
		n.add(id(byte(52)), 52)
	}
}

// What numbers mean is found again when it is no longer in memory.
func TestNumbersAreFoundBeyondMemory(t *testing.T) {
	w := newWorld(t, "a")
	d := w.sites[0].Domain()
	store := newMapStore()
	h := newImportedChunks(d, dedup.Stores{Data: store, Meta: store})
	const n = (pagesCached + 50) * pageEntries
	for i := range uint64(n) {
		if i%5000 == 7 {
			continue
		}
		if err := h.number(w.ctx, i, dedup.Entry{ID: chunk.ID{byte(i), byte(i >> 8), byte(i >> 16), 1}, Size: int64(i + 1)}, int(i%3)); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		i := r.Uint64N(n + 10)
		e, level, err := h.of(w.ctx, i)
		if i%5000 == 7 || i >= n {
			if !errors.Is(err, errLost) {
				t.Fatalf("%d: %v", i, err)
			}
			continue
		}
		if err != nil || e.Size != int64(i+1) || e.ID != (chunk.ID{byte(i), byte(i >> 8), byte(i >> 16), 1}) || level != int(i%3) {
			t.Fatalf("%d is %v of %d, level %d: %v", i, e.ID, e.Size, level, err)
		}
	}
	if len(h.cached) > pagesCached || len(h.order) != len(h.cached) {
		t.Errorf("%d pages in memory, %d in order", len(h.cached), len(h.order))
	}
}
