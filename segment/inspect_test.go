package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/vfs"
)

// looked is what a look at the files of a segment has found.
type looked struct {
	*Segment
	found  []finding.Finding
	report CheckReport
	device *pack.Inspection
}

// lookAt looks at a segment that nobody has open.
func (l *lone) lookAt() *looked {
	l.t.Helper()
	o := &looked{}
	tell := func(f finding.Finding) { o.found = append(o.found, f) }
	ctx := context.Background()
	var err error
	o.device, err = pack.Inspect(ctx, pack.InspectOptions{FS: l.fs, Dir: "device", Index: l.index}, tell)
	if err != nil {
		l.t.Fatal(err)
	}
	cfg := l.cfg
	cfg.FS, cfg.Chunks = l.fs, stage.New(o.device)
	ops := l.fs.Ops()
	if o.Segment, err = Inspect(ctx, cfg, tell); err != nil {
		l.t.Fatal(err)
	}
	if o.Segment != nil {
		if o.report, err = o.Segment.Check(ctx, CheckOptions{Tell: tell, Progress: func(CheckReport) {}}); err != nil {
			l.t.Fatal(err)
		}
	}
	o.device.Unreached()
	if l.fs.Ops() != ops {
		l.t.Fatalf("a look wrote: %d operations", l.fs.Ops()-ops)
	}
	if err := o.device.Close(); err != nil {
		l.t.Fatal(err)
	}
	return o
}

// kinds are those of the damage that was found.
func (o *looked) kinds() (kinds []string) {
	for _, f := range o.found {
		if f.Grade == finding.Damage {
			kinds = append(kinds, f.Kind)
		}
	}
	return kinds
}

// lived is a segment with some of everything, most of it folded.
func lived(t testing.TB) *lone {
	l := newLone(t)
	b := l.bucket("bucket")
	if err := b.Configure(context.Background(), func(s *Settings) error { s.Versioning = Versioned; return nil }); err != nil {
		t.Fatal(err)
	}
	for i := range 120 {
		l.put(b, fmt.Sprintf("dir/%d", i%90), blob(i))
	}
	l.delete(b, "dir/7")
	if _, err := b.CreateSnapshot(context.Background(), "snap"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.CreateBranch(context.Background(), "bucket", "branch"); err != nil {
		t.Fatal(err)
	}
	u, err := b.CreateUpload(context.Background(), "large", Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.PartWriter(context.Background(), "large", u.ID, 1, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(blob(3)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CommitPart(context.Background(), Attrs{}); err != nil {
		t.Fatal(err)
	}
	if err := l.foldAll(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		l.put(b, fmt.Sprintf("dir/%d", 80+i), blob(200+i))
	}
	return l
}

func TestALookFindsASoundSegmentSound(t *testing.T) {
	l := lived(t)
	want := map[string]string{}
	b, err := l.Segment.Bucket("bucket")
	if err != nil {
		t.Fatal(err)
	}
	for v, err := range b.Payload(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want[v.Key+v.VersionID.String()] = fmt.Sprint(v.Size())
	}
	ways := []string{"crashed", "closed"} // in this order: the second begins with what the first left
	for i, end := range []func(){func() {
		l.fs.CutAfter(0)
		l.close()
		rng := rand.New(rand.NewPCG(1, 1))
		l.fs, l.index = l.fs.Crash(rng), l.index.Crash(rng)
	}, func() { l.open(); l.close() }} {
		end()
		what := ways[i]
		o := l.lookAt()
		if kinds := o.kinds(); len(kinds) > 0 {
			t.Fatalf("%s: %v", what, o.found)
		}
		b, err := o.Segment.Bucket("bucket")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for v, err := range b.Payload(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			obj, err := o.Segment.ObjectHere(b.ID(), v)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if _, err := obj.ReadRange(t.Context(), &out, 0, v.Size()); err != nil || want[v.Key+v.VersionID.String()] != fmt.Sprint(out.Len()) {
				t.Fatalf("%s: %q: %v", what, v.Key, err)
			}
			n++
		}
		if n != len(want) || o.report.Versions < int64(n) || o.report.Roots < 4 {
			t.Errorf("%s: %d versions of %d, %+v", what, n, len(want), o.report)
		}
	}
}

// checked is what a check of a segment that serves finds.
func checked(t testing.TB, s *Segment) (found []finding.Finding) {
	t.Helper()
	if _, err := s.Check(context.Background(), CheckOptions{Tell: func(f finding.Finding) { found = append(found, f) }, Progress: func(CheckReport) {}}); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestACheckOfASegmentThatServes(t *testing.T) {
	l := lived(t)
	var found []finding.Finding
	r, err := l.Check(t.Context(), CheckOptions{Tell: func(f finding.Finding) { found = append(found, f) }, Progress: func(CheckReport) {}})
	if err != nil || len(found) > 0 || r.Versions < 100 {
		t.Errorf("%+v, %v, %v", r, found, err)
	}
	l.collects.running.Lock()
	_, err = l.Check(t.Context(), CheckOptions{Tell: func(finding.Finding) {}, Progress: func(CheckReport) {}})
	l.collects.running.Unlock()
	if !errors.Is(err, ErrCollecting) {
		t.Errorf("while chunks are collected: %v", err)
	}
}

func TestALookFindsEveryDamagedByteOfAState(t *testing.T) {
	l := lived(t)
	l.close()
	s := &Segment{cfg: l.cfg}
	s.cfg.FS = l.fs
	files, err := s.stateFiles()
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		full := filepath.Join(l.cfg.Dir, name)
		raw, err := readFile(l.fs, full)
		if err != nil {
			t.Fatal(err)
		}
		i := inspection{cfg: s.cfg}
		for off := range raw {
			flipByte(t, l.fs, full, int64(off))
			var found []finding.Finding
			i.tell = func(f finding.Finding) { found = append(found, f) }
			if _, err := i.readStates(); err != nil || len(found) != 1 || found[0].File != full || found[0].Kind != "state" {
				t.Fatalf("byte %d of %s: %v, %v", off, name, found, err)
			}
			flipByte(t, l.fs, full, int64(off))
		}
	}
}

func flipByte(t testing.TB, sys vfs.FS, name string, off int64) {
	t.Helper()
	f, err := sys.Open(name, vfs.Write)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestALookNamesWhatALostChunkWasOf takes chunks away, one after the other, and sees that each that is needed is missed.
func TestALookNamesWhatALostChunkWasOf(t *testing.T) {
	l := lived(t)
	if err := l.foldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &reached{s: l.Segment, most: markMost}
	type holder struct{ why, key string }
	held := map[chunk.ID]holder{}
	r.told = func(id chunk.ID, why string, b *Bucket, key string) {
		if b != nil && b.id != localBucket && b.id != FederationBucket {
			held[id] = holder{why, key}
		}
	}
	if err := r.mark(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.close()
	n := 0
	for id, h := range held {
		if n++; n > 40 {
			break
		}
		hide := func(inspect *pack.Inspection) chunk.Opener { return without{inspect, id} }
		o := &looked{}
		tell := func(f finding.Finding) { o.found = append(o.found, f) }
		device, err := pack.Inspect(t.Context(), pack.InspectOptions{FS: l.fs, Dir: "device", Index: l.index}, tell)
		if err != nil {
			t.Fatal(err)
		}
		cfg := l.cfg
		cfg.FS, cfg.Chunks = l.fs, stage.New(hide(device))
		o.Segment, err = Inspect(t.Context(), cfg, tell)
		if err != nil {
			t.Fatal(err)
		}
		if o.Segment != nil {
			if _, err := o.Segment.Check(t.Context(), CheckOptions{Tell: tell, Progress: func(CheckReport) {}}); err != nil {
				t.Fatal(err)
			}
		}
		named := slices.ContainsFunc(o.found, func(f finding.Finding) bool {
			return strings.Contains(f.What, id.String()) && (h.key == "" || strings.HasPrefix(f.Kind, "content.") && f.Key != "")
		})
		if !named {
			t.Errorf("chunk %v, %s of %q: %v", id, h.why, h.key, o.found)
		}
		_ = device.Close()
	}
}

// without is a place that has lost a chunk.
type without struct {
	chunk.Opener
	id chunk.ID
}

func (w without) Open(d chunk.Domain, c chunk.Class) chunk.Store {
	return withoutStore{w.Opener.Open(d, c), w.id}
}

type withoutStore struct {
	chunk.Store
	id chunk.ID
}

func (w withoutStore) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	rest := slices.DeleteFunc(slices.Clone(ids), func(id chunk.ID) bool { return id == w.id })
	if err := w.Store.Get(ctx, rest, yield); err != nil || len(rest) == len(ids) {
		return err
	}
	return fmt.Errorf("chunk %v: %w", w.id, chunk.ErrNotFound)
}

func (w withoutStore) Missing(ctx context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	rest := slices.DeleteFunc(slices.Clone(ids), func(id chunk.ID) bool { return id == w.id })
	missing, err := w.Store.Missing(ctx, rest)
	if len(rest) < len(ids) {
		missing = append(missing, w.id)
	}
	return missing, err
}
