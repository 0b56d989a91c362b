package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/internal/vfs"
)

// lone is a segment on a device whose power can be cut.
type lone struct {
	*Segment
	t      testing.TB
	fs     *vfs.Crash
	index  *pack.MemoryIndex
	device *pack.Device
	cfg    Config
	onMeta func() // after nodes were put
}

func newLone(t testing.TB, change ...func(*Config)) *lone {
	l := &lone{t: t, fs: vfs.NewCrash(), index: pack.NewMemoryIndex()}
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	l.cfg = Config{
		Dir: "/segment", ID: 1, Name: "a", Secret: [32]byte{7}, LogFileSize: 1 << 20, sealsWait: true, LosersEvery: 1000 * time.Hour,
		Clock: func() time.Time { now = now.Add(time.Second); return now }, Rand: rand.NewChaCha8([32]byte{1}),
	}
	for _, c := range change {
		c(&l.cfg)
	}
	l.open()
	t.Cleanup(l.close)
	return l
}

func (l *lone) open() {
	l.t.Helper()
	var err error
	l.device, err = pack.Open(context.Background(), pack.Options{FS: l.fs, Dir: "device", PackSize: 256 << 10, Index: l.index, Reserve: 1, Recent: 64})
	if err != nil {
		l.t.Fatal(err)
	}
	cfg := l.cfg
	cfg.FS, cfg.Chunks, cfg.Sweeper, cfg.Census = l.fs, metaHooks{stage.New(l.device), l}, l.device, l.device
	if l.Segment, err = Open(context.Background(), cfg); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lone) close() {
	_ = l.Segment.Close(context.Background())
	_ = l.device.Close()
}

func (l *lone) restart() { l.close(); l.open() }

func (l *lone) cutPower(rng *rand.Rand) {
	l.fs.CutAfter(0)
	l.close()
	l.fs, l.index = l.fs.Crash(rng), l.index.Crash(rng)
	l.open()
}

// metaHooks calls a function after nodes were put.
type metaHooks struct {
	*stage.Stage
	l *lone
}

func (h metaHooks) Open(d chunk.Domain, c chunk.Class) chunk.Store {
	if c == chunk.Meta {
		return metaHook{h.Stage.Open(d, c), h.l}
	}
	return h.Stage.Open(d, c)
}

type metaHook struct {
	chunk.Store
	l *lone
}

func (h metaHook) Put(ctx context.Context, cs []chunk.Chunk) error {
	err := h.Store.Put(ctx, cs)
	if f := h.l.onMeta; f != nil {
		h.l.onMeta = nil
		f()
	}
	return err
}

func (l *lone) bucket(name string) *Bucket {
	l.t.Helper()
	b, err := l.CreateBucket(context.Background(), name, BucketOptions{Cutter: mustParams(l.t, "fixed:16KiB")})
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

func mustParams(t testing.TB, text string) dedup.Params {
	p, err := dedup.ParseParams(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// blob is content that depends on n, of several chunks and a node for most n.
func blob(n int) []byte {
	b := make([]byte, []int{1000, 40_000, 120_000, 200_000}[n%4])
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b)
	return b
}

func (l *lone) put(b *Bucket, key string, content []byte) {
	l.t.Helper()
	if _, err := b.Put(context.Background(), key, Attrs{}, Cond{}, bytes.NewReader(content)); err != nil {
		l.t.Fatal(err)
	}
}

func read(b *Bucket, key string) ([]byte, error) {
	o, err := b.Open(context.Background(), key, VersionRef{})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	v := o.Version()
	_, err = o.ReadRange(context.Background(), &out, 0, v.Size())
	return out.Bytes(), err
}

func (l *lone) wantContent(b *Bucket, key string, want []byte) {
	l.t.Helper()
	if got, err := read(b, key); err != nil || !bytes.Equal(got, want) {
		l.t.Fatalf("%q: %d bytes, want %d, %v", key, len(got), len(want), err)
	}
}

func (l *lone) stat(b *Bucket, key string) Version {
	l.t.Helper()
	v, err := b.Stat(context.Background(), key, VersionRef{})
	if err != nil {
		l.t.Fatal(err)
	}
	return v
}

func (l *lone) delete(b *Bucket, key string) {
	l.t.Helper()
	if _, err := b.Delete(context.Background(), key, Cond{}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lone) collect() CollectReport {
	l.t.Helper()
	r, err := l.Collect(context.Background(), CollectOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// cycle is a collection without the fold before it, for the middle of one.
func (l *lone) cycle() {
	l.t.Helper()
	c := &collection{s: l.Segment}
	if err := c.cycle(context.Background(), 0, 1); err != nil {
		l.t.Fatal(err)
	}
}

// garbage are the chunks on the device that nothing reaches.
func (l *lone) garbage() (n int) {
	l.t.Helper()
	l.frozen.forget()
	runtime.GC()
	r := &reached{s: l.Segment, most: markMost}
	if err := r.mark(context.Background()); err != nil {
		l.t.Fatal(err)
	}
	err := l.device.Entries(context.Background(), func(k pack.Key, _ pack.Entry) error {
		if !r.ids.Has(idset.Of(k.ID)) {
			n++
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

func (l *lone) wantNoGarbage() {
	l.t.Helper()
	if n := l.garbage(); n > 0 {
		l.t.Errorf("%d chunks are left that nothing reaches", n)
	}
}

func TestSpaceIsBackWithinOneCollection(t *testing.T) {
	ctx := context.Background()
	type setup func(t *testing.T, l *lone, b *Bucket) (release func())
	ok := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, run := range map[string]setup{
		"a deleted object": func(t *testing.T, l *lone, b *Bucket) func() {
			l.put(b, "x", blob(3))
			return func() { l.delete(b, "x") }
		},
		"an overwritten version": func(t *testing.T, l *lone, b *Bucket) func() {
			l.put(b, "x", blob(3))
			return func() { l.put(b, "x", blob(7)) }
		},
		"an aborted write": func(t *testing.T, l *lone, b *Bucket) func() {
			w := b.Writer(ctx, -1)
			_, err := w.Write(blob(3))
			ok(t, err)
			_, err = w.w.Finish()
			ok(t, err)
			return w.Abort
		},
		"an aborted upload, and a replaced part": func(t *testing.T, l *lone, b *Bucket) func() {
			u, err := b.CreateUpload(ctx, "x", Attrs{})
			ok(t, err)
			for n := range 2 {
				w, err := b.PartWriter(ctx, "x", u.ID, 1, -1)
				ok(t, err)
				_, err = w.Write(blob(3 + 4*n))
				ok(t, err)
				_, err = w.CommitPart(ctx, Attrs{})
				ok(t, err)
			}
			return func() { ok(t, b.AbortUpload(ctx, "x", u.ID)) }
		},
		"a deleted snapshot": func(t *testing.T, l *lone, b *Bucket) func() {
			l.put(b, "x", blob(3))
			s, err := b.CreateSnapshot(ctx, "s")
			ok(t, err)
			_, err = b.WaitSnapshot(ctx, s.ID)
			ok(t, err)
			l.delete(b, "x")
			return func() { ok(t, b.DeleteSnapshot(ctx, "s")) }
		},
		"a deleted branch": func(t *testing.T, l *lone, b *Bucket) func() {
			br, err := l.CreateBranch(ctx, b.Info().Name, "branch")
			ok(t, err)
			l.put(br, "x", blob(3))
			return func() { ok(t, l.DeleteBranch(ctx, "branch", true)) }
		},
		"a deleted bucket": func(t *testing.T, l *lone, b *Bucket) func() {
			o := l.bucket("other")
			l.put(o, "x", blob(3))
			return func() { l.delete(o, "x"); ok(t, l.DeleteBucket(ctx, "other")) }
		},
		"a forgotten root": func(t *testing.T, l *lone, b *Bucket) func() {
			l.put(b, "x", blob(3))
			ok(t, b.remember(ctx))
			l.delete(b, "x")
			return func() { ok(t, b.forgetRoots(ctx)) }
		},
		"a file's earlier content": func(t *testing.T, l *lone, b *Bucket) func() {
			l.put(b, "x", blob(3))
			h, err := b.Files().Open(ctx, "x")
			ok(t, err)
			_, err = h.WriteAt(ctx, blob(1), 20_000)
			ok(t, err)
			_, err = h.Flush(ctx, nil)
			ok(t, err)
			return h.Close
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLone(t)
			b := l.bucket("photos")
			l.put(b, "stays", blob(2))
			release := run(t, l, b)
			l.collect()
			l.wantNoGarbage()
			before := l.device.Stats()
			release()
			l.collect()
			l.wantNoGarbage()
			if after := l.device.Stats(); after.Chunks[chunk.Data].Bytes > before.Chunks[chunk.Data].Bytes && name != "an overwritten version" {
				t.Errorf("%d bytes of payload, %d before", after.Chunks[chunk.Data].Bytes, before.Chunks[chunk.Data].Bytes)
			}
			l.restart()
			b, err := l.Bucket("photos")
			ok(t, err)
			l.wantContent(b, "stays", blob(2))
		})
	}
}

// TestWhoWritesKeepsWhatHeWasToldIsHeld has a write rely on garbage, before a cycle and in its midst.
func TestWhoWritesKeepsWhatHeWasToldIsHeld(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	b := l.bucket("photos")
	for round := range 4 {
		garbage := blob(4*round + 3)
		l.put(b, "x", garbage)
		l.delete(b, "x")
		if _, err := b.Fold(ctx); err != nil {
			t.Fatal(err)
		}
		w := b.Writer(ctx, -1)
		if _, err := w.Write(garbage); err != nil {
			t.Fatal(err)
		}
		m, err := w.w.Finish() // all is there, as the store says
		if err != nil {
			t.Fatal(err)
		}
		if w.w.Stats().NewChunks > 0 {
			t.Fatalf("%d chunks were written anew: the test is of no use", w.w.Stats().NewChunks)
		}
		phases := 0
		_, err = l.Collect(ctx, CollectOptions{Progress: func(p CollectProgress) {
			if phases++; phases == round+2 {
				_, err := b.put(ctx, Cond{}, Version{Key: "y", Content: m}, nil)
				if err != nil {
					t.Fatal(err)
				}
				w.Abort()
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		l.wantContent(b, "y", garbage)
	}
}

// TestWhatIsBeingCommittedIsListed runs a cycle while a commit is under way: it is known before the log has it, and after.
func TestWhatIsBeingCommittedIsListed(t *testing.T) {
	var hook func()
	l := newLone(t, func(c *Config) {
		clock := c.Clock
		c.Clock = func() time.Time {
			if f := hook; f != nil {
				hook = nil
				f()
			}
			return clock()
		}
	})
	b := l.bucket("photos")
	l.put(b, "x", blob(3))
	l.delete(b, "x")
	if _, err := b.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := b.Writer(t.Context(), -1)
	defer w.Abort()
	if _, err := w.Write(blob(3)); err != nil {
		t.Fatal(err)
	}
	hook = l.cycle
	if _, err := w.Commit(t.Context(), "y", Attrs{}, Cond{}); err != nil {
		t.Fatal(err)
	}
	if hook != nil {
		t.Fatal("nothing was collected meanwhile")
	}
	l.wantContent(b, "y", blob(3))
}

// TestAFoldKeepsTheNodesItHasWritten collects between a fold's nodes and its commit.
func TestAFoldKeepsTheNodesItHasWritten(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	b := l.bucket("photos")
	for i := range 200 {
		l.put(b, fmt.Sprint(i), blob(0))
	}
	l.onMeta = l.cycle
	if _, err := b.Fold(ctx); err != nil {
		t.Fatal(err)
	}
	if l.onMeta != nil {
		t.Fatal("nothing was folded")
	}
	if err := b.Scrub(ctx); err != nil { // before a start finds again what is gone
		t.Fatal(err)
	}
	l.restart()
	b, err := l.Bucket("photos")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		l.wantContent(b, fmt.Sprint(i), blob(0))
	}
	l.wantNoGarbage()
}

// TestWhatWasUndoneSinceAFoldBeganIsReachedByIt deletes an object while a fold is under way that has it, and collects then.
func TestWhatWasUndoneSinceAFoldBeganIsReachedByIt(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	b := l.bucket("photos")
	l.put(b, "x", blob(3))
	l.onMeta = func() { l.delete(b, "x"); l.cycle() }
	if _, err := b.Fold(ctx); err != nil {
		t.Fatal(err)
	}
	l.garbage() // it fails if a node is gone that the fold's tree reaches
}

// TestAStartFindsWhatItsStateNames folds after the state was written, and collects before the next one is.
func TestAStartFindsWhatItsStateNames(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	b := l.bucket("photos")
	for round := range 3 {
		for i := range 200 {
			l.put(b, fmt.Sprint(i), blob(4*round))
		}
		if _, err := b.Fold(ctx); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			if err := l.checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.cycle()
	files, err := l.stateFiles()
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, name := range files {
		st, err := l.readState(filepath.Join(l.cfg.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, bs := range st.buckets {
			n, err := b.newBase(bs.prev, bs.foldItem)
			if err == nil && bs.bucket == b.id {
				err = b.scrub(ctx, n)
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// TestNoStateComesBackFromBeforeACollection cuts the power behind one: a state that was removed names trees that are gone.
func TestNoStateComesBackFromBeforeACollection(t *testing.T) {
	for seed := range uint64(8) {
		l := newLone(t)
		b := l.bucket("photos")
		for round := range 3 {
			for i := range 100 {
				l.put(b, fmt.Sprint(i), blob(4*round))
			}
			if _, err := b.Fold(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := l.checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		l.collect()
		after := l.fs.Crash(rand.New(rand.NewPCG(seed, 1)))
		names, err := after.ReadDir(l.cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, statePrefix) })
		if len(names) != statesKept {
			t.Errorf("seed %d: after a power cut there are the states %q", seed, names)
		}
	}
}

func TestACopyOfWhatIsDeletedMeanwhileIsWholeOrRefused(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	b := l.bucket("photos")
	for _, early := range []bool{false, true} {
		l.put(b, "x", blob(3))
		o, err := b.Open(ctx, "x", VersionRef{})
		if err != nil {
			t.Fatal(err)
		}
		l.delete(b, "x")
		if early {
			l.collect()
		}
		_, err = b.Copy(ctx, o, "y", Attrs{}, Cond{})
		if !errors.Is(err, ErrNoSuchVersion) {
			t.Errorf("copy of what was deleted: %v", err)
		}
	}
}

// TestWhoReadsGetsAllOfWhatIsDeletedMeanwhile deletes an object, and collects, in the midst of a read.
func TestWhoReadsGetsAllOfWhatIsDeletedMeanwhile(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	b := l.bucket("photos")
	content := append(blob(3), blob(7)...)
	for range 3 {
		content = append(content, content...)
	}
	l.put(b, "x", content)
	o, err := b.Open(ctx, "x", VersionRef{})
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	first := true
	_, err = o.ReadRange(ctx, writerFunc(func(p []byte) (int, error) {
		if first {
			first = false
			l.delete(b, "x")
			l.collect()
		}
		return got.Write(p)
	}), 0, int64(len(content)))
	if err != nil || !bytes.Equal(got.Bytes(), content) {
		t.Errorf("%d bytes of %d are read, %v", got.Len(), len(content), err)
	}
	l.collect()
	l.wantNoGarbage()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestAnOpenFileKeepsWhatItShares(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	b := l.bucket("photos")
	l.put(b, "x", blob(3))
	h, err := b.Files().Open(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.WriteAt(ctx, []byte("changed"), 100_000); err != nil {
		t.Fatal(err)
	}
	o, err := b.Files().Open(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := o.Truncate(10); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Flush(ctx, nil); err != nil {
		t.Fatal(err)
	}
	l.collect()
	if _, err := h.Flush(ctx, nil); err != nil {
		t.Fatal(err)
	}
	want := blob(3)
	copy(want[100_000:], "changed")
	l.wantContent(b, "x", want)
}

func TestWhoHasASnapshotKeepsIt(t *testing.T) {
	ctx := context.Background()
	for _, folded := range []bool{false, true} {
		l := newLone(t)
		b := l.bucket("photos")
		l.put(b, "x", blob(3))
		info, err := b.CreateSnapshot(ctx, "s")
		if err == nil && folded {
			_, err = b.WaitSnapshot(ctx, info.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		at, err := b.At(ctx, "s")
		if err != nil {
			t.Fatal(err)
		}
		l.delete(b, "x")
		if err := b.DeleteSnapshot(ctx, "s"); err != nil {
			t.Fatal(err)
		}
		l.collect()
		l.wantContent(at, "x", blob(3))
		o, err := at.Open(ctx, "x", VersionRef{})
		if err != nil {
			t.Fatal(err)
		}
		at = nil
		l.collect()
		if _, err := b.Copy(ctx, o, "y", Attrs{}, Cond{}); err != nil {
			t.Fatal(err)
		}
		l.wantContent(b, "y", blob(3))
		o = nil
		l.delete(b, "y")
		l.collect()
		l.wantNoGarbage()
	}
}

func TestNothingIsCollectedThatAPeerMayNeed(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	b := l.bucket("photos")
	l.put(b, "x", blob(3))
	joined := false
	r, err := l.Collect(ctx, CollectOptions{Progress: func(p CollectProgress) {
		if p.Phase == CollectRemarks && !joined { // it learns what there is, and that goes then
			joined = true
			if err := l.Shared(ctx, 7, "tokyo"); err != nil {
				t.Fatal(err)
			}
			l.delete(b, "x")
			if _, err := b.Fold(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}})
	if err != nil || r.Gone.Chunks != 0 || !slices.Equal(r.Kept, []string{"tokyo"}) {
		t.Errorf("%+v, %v", r, err)
	}
	l.restart()
	if r := l.collect(); r.Gone.Chunks != 0 || !slices.Equal(r.Kept, []string{"tokyo"}) {
		t.Errorf("%+v", r)
	}
	st, err := l.CollectStatus(ctx)
	if err != nil || !slices.Equal(st.Kept, []string{"tokyo"}) {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestWhatIsDamagedIsNotGuessedAbout(t *testing.T) {
	l := newLone(t)
	b := l.bucket("photos")
	l.put(b, "x", blob(3))
	l.put(b, "y", blob(7))
	l.delete(b, "y")
	node := l.stat(b, "x").Content.Entries()[0].ID
	before := l.device.Stats()
	sweep, err := l.device.Condemn(t.Context(), l.domains(), func(id chunk.ID) bool { return id != node })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sweep.Expunge(t.Context(), func(chunk.ID) bool { return false }); err != nil {
		t.Fatal(err)
	}
	sweep.End()
	if _, err := l.Collect(t.Context(), CollectOptions{}); !errors.Is(err, chunk.ErrNotFound) || !bytes.Contains([]byte(err.Error()), []byte(`"x"`)) {
		t.Errorf("collect: %v", err)
	}
	if after := l.device.Stats(); after.Chunks[chunk.Data] != before.Chunks[chunk.Data] {
		t.Errorf("payload %+v, before %+v", after.Chunks[chunk.Data], before.Chunks[chunk.Data])
	}
	l.delete(b, "x")
	l.collect()
	l.wantNoGarbage()
}

// TestPayloadThatLooksLikeANodeHidesNothing uploads the bytes of nodes, which anybody can make who knows what they name.
func TestPayloadThatLooksLikeANodeHidesNothing(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	b := l.bucket("photos")
	l.put(b, "x", blob(3))
	if _, err := b.Fold(ctx); err != nil {
		t.Fatal(err)
	}
	v := l.stat(b, "x")
	nodes := []chunk.ID{v.Content.Entries()[0].ID, b.base.heads, b.base.history, b.base.id}
	for i, id := range nodes {
		var raw []byte
		if err := b.stores.Meta.Get(ctx, []chunk.ID{id}, func(c chunk.Chunk) error { raw = bytes.Clone(c.Data()); return nil }); err != nil {
			t.Fatal(err)
		}
		l.put(b, fmt.Sprint("a", i), raw)
	}
	l.cycle()
	l.collect()
	l.wantContent(b, "x", blob(3))
	l.wantNoGarbage()
}

func TestManyChunksAreCollectedInParts(t *testing.T) {
	l := newLone(t, func(c *Config) { c.markMost = 40 })
	b := l.bucket("photos")
	for i := range 20 {
		l.put(b, fmt.Sprint(i), blob(3+4*i))
	}
	for i := range 10 {
		l.delete(b, fmt.Sprint(i))
	}
	l.collect()
	if l.collects.parts < 4 {
		t.Errorf("%d parts", l.collects.parts)
	}
	l.wantNoGarbage()
	for i := 10; i < 20; i++ {
		l.wantContent(b, fmt.Sprint(i), blob(3+4*i))
	}
}

func TestExplainSaysWhatKeepsAChunk(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	b := l.bucket("photos")
	l.put(b, "x", blob(1))
	id := l.stat(b, "x").Content.Entries()[0].ID
	want := func(hs ...Holder) {
		t.Helper()
		got, err := l.Explain(ctx, id)
		if err != nil || !slices.Equal(got, hs) {
			t.Errorf("%+v, %v, want %+v", got, err, hs)
		}
	}
	want(Holder{"photos", "current state", "x"})
	info, err := b.CreateSnapshot(ctx, "s")
	if err == nil {
		_, err = b.WaitSnapshot(ctx, info.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.delete(b, "x")
	l.collect()
	want(Holder{"photos", "snapshot s", "x"})
	w := b.Writer(ctx, -1)
	if _, err := w.Write(blob(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.w.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteSnapshot(ctx, "s"); err != nil {
		t.Fatal(err)
	}
	l.collect()
	want(Holder{Why: "a write that has not ended"})
	w.Abort()
	l.collect()
	want()
}
