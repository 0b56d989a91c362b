package segment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

func (s *site) bucketNamed(name string) *Bucket {
	s.w.t.Helper()
	b, err := s.Bucket(name)
	if err != nil {
		s.w.t.Fatal(err)
	}
	return b
}

// snap makes a snapshot that has its root.
func (s *site) snap(bucket, name string) SnapshotInfo {
	s.w.t.Helper()
	b := s.bucketNamed(bucket)
	i, err := b.CreateSnapshot(s.w.ctx, name)
	if err == nil {
		i, err = b.WaitSnapshot(s.w.ctx, i.ID)
	}
	if err != nil {
		s.w.t.Fatal(err)
	}
	return i
}

// holds is everything that a bucket lists, with its content.
func (s *site) holds(name string) map[string]string {
	s.w.t.Helper()
	b := s.bucketNamed(name)
	got := map[string]string{}
	for after := ""; ; {
		p, err := b.List(s.w.ctx, ListOptions{After: after, Limit: 3})
		if err != nil {
			s.w.t.Fatal(err)
		}
		for _, e := range p.Entries {
			if got[e.Version.Key], err = s.read(b, e.Version.Key, VersionRef{}); err != nil {
				s.w.t.Fatal(err)
			}
		}
		if !p.Truncated {
			return got
		}
		after = p.Next
	}
}

func (s *site) wantHolds(name string, want map[string]string) {
	s.w.t.Helper()
	if got := s.holds(name); !maps.Equal(got, want) {
		s.w.t.Errorf("%s: %s holds %v, want %v", s.Name(), name, got, want)
	}
}

func (s *site) snapshotNames(bucket string) []string {
	s.w.t.Helper()
	all, err := s.bucketNamed(bucket).Snapshots(s.w.ctx)
	if err != nil {
		s.w.t.Fatal(err)
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names
}

// adopt brings r the snapshots that it lacks.
func (w *world) adopt(r, s *site) {
	w.t.Helper()
	missing, err := r.MissingSnapshots(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, ref := range missing {
		if _, err := s.OfferSnapshot(w.ctx, ref); err != nil {
			w.t.Fatal(err)
		}
		if err := r.AdoptSnapshot(w.ctx, ref, s.cfg.Chunks.(mapStore)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func oneBucket(t *testing.T, names ...string) *world {
	w := newWorld(t, names...)
	if _, err := w.sites[0].CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	return w
}

func TestSnapshotKeepsTheBucketAsItWas(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	a.snap("photos", "empty")
	for i := range 8 {
		a.put("photos", fmt.Sprintf("k%d", i), fmt.Sprint("first ", i))
	}
	before := a.holds("photos")
	a.snap("photos", "monday")
	a.put("photos", "k3", "second")
	a.put("photos", "new", "new")
	if _, err := a.bucketNamed("photos").Delete(w.ctx, "k5", Cond{}); err != nil {
		t.Fatal(err)
	}
	now := a.holds("photos")
	for range 2 {
		a.wantHolds("photos@empty", map[string]string{})
		a.wantHolds("photos@monday", before)
		a.wantHolds("photos", now)
		if got := a.snapshotNames("photos"); !slices.Equal(got, []string{"empty", "monday"}) {
			t.Errorf("snapshots %q", got)
		}
		a.restart()
	}
	if st := a.bucketNamed("photos@monday").Stats(); st.Objects != 8 || st.Pending != 0 {
		t.Errorf("%+v", st)
	}
	// What is in a snapshot can be brought back.
	src, err := a.bucketNamed("photos@monday").Open(w.ctx, "k5", VersionRef{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.bucketNamed("photos").Copy(w.ctx, src, "k5", Attrs{}, Cond{}); err != nil {
		t.Fatal(err)
	}
	if got, err := a.read(a.bucketNamed("photos"), "k5", VersionRef{}); got != "first 5" || err != nil {
		t.Errorf("brought back: %q, %v", got, err)
	}
}

func TestSnapshotCannotBeChanged(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	v := a.put("photos", "k", "1")
	up, err := a.bucketNamed("photos").CreateUpload(w.ctx, "k", Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	a.snap("photos", "s")
	b := a.bucketNamed("photos@s")
	for what, do := range map[string]func() error{
		"put":       func() error { _, err := b.Put(w.ctx, "k", Attrs{}, Cond{}, strings.NewReader("2")); return err },
		"delete":    func() error { _, err := b.Delete(w.ctx, "k", Cond{}); return err },
		"remove":    func() error { _, err := b.Remove(w.ctx, "k", VersionRef{ID: v.VersionID}, Cond{}); return err },
		"upload":    func() error { _, err := b.CreateUpload(w.ctx, "k", Attrs{}); return err },
		"configure": func() error { return b.Configure(w.ctx, func(s *Settings) error { s.Full = true; return nil }) },
		"snapshot":  func() error { _, err := b.CreateSnapshot(w.ctx, "t"); return err },
		"drop":      func() error { return a.DeleteBucket(w.ctx, "photos@s") },
	} {
		if err := do(); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := b.CompleteUpload(w.ctx, "k", up.ID, nil, Completion{}, Cond{}); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("complete: %v", err)
	}
	if err := b.AbortUpload(w.ctx, "k", up.ID); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("abort: %v", err)
	}
	if p, err := b.Uploads(w.ctx, UploadsOptions{Limit: 10}); err != nil || len(p.Entries) > 0 {
		t.Errorf("uploads of a snapshot: %+v, %v", p, err)
	}
	a.wantHolds("photos@s", map[string]string{"k": "1"})
}

func TestNamesOfSnapshots(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	b := a.bucketNamed("photos")
	for _, bad := range []string{"", "-x", "a@b", "a/b", "a~b", "ü", strings.Repeat("x", 64)} {
		if _, err := b.CreateSnapshot(w.ctx, bad); !errors.Is(err, ErrInvalidName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	a.snap("photos", "s")
	if _, err := b.CreateSnapshot(w.ctx, "s"); !errors.Is(err, ErrSnapshotExists) {
		t.Errorf("again: %v", err)
	}
	if err := a.DeleteBucket(w.ctx, "photos"); !errors.Is(err, ErrBucketNotEmpty) {
		t.Errorf("delete a bucket with a snapshot: %v", err)
	}
	for _, name := range []string{"photos@t", "photos@", "photos@s@s", "pictures@s"} {
		if _, err := a.Bucket(name); err == nil {
			t.Errorf("%q is found", name)
		}
	}
	if err := b.DeleteSnapshot(w.ctx, "s"); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteSnapshot(w.ctx, "s"); !errors.Is(err, ErrNoSuchSnapshot) {
		t.Errorf("delete again: %v", err)
	}
	a.restart()
	if got := a.snapshotNames("photos"); len(got) > 0 {
		t.Errorf("deleted, and there: %q", got)
	}
	if err := a.DeleteBucket(w.ctx, "photos"); err != nil {
		t.Error(err)
	}
}

func TestSnapshotIsReadAtEverySegment(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	for i := range 300 {
		a.put("photos", fmt.Sprintf("k%03d", i), fmt.Sprint(i))
	}
	before := a.holds("photos")
	a.snap("photos", "s")
	for i := range 300 { // so that nothing of the snapshot's trees is the bucket's any more
		a.put("photos", fmt.Sprintf("k%03d", i), fmt.Sprint("later ", i))
	}
	w.settle()
	if _, err := b.Bucket("photos@s"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("before its metadata is there: %v", err)
	}
	ref, err := b.MissingSnapshots(w.ctx)
	if err != nil || len(ref) != 1 {
		t.Fatal(ref, err)
	}
	if _, err := b.OfferSnapshot(w.ctx, ref[0]); !errors.Is(err, ErrNoSuchSnapshot) {
		t.Errorf("offered though it is not all here: %v", err)
	}
	w.adopt(b, a)
	b.restart()
	// The payload is asked for in the name of versions that no bucket holds any more, but its snapshot.
	f := b.bucketNamed("photos@s")
	o, err := f.Open(w.ctx, "k007", VersionRef{})
	if err != nil {
		t.Fatal(err)
	}
	v := o.Version()
	r := Reading{Ref: Ref{f.ID(), v.Key, v.VersionID}}
	if err := a.ServeFetch(w.ctx, r, pieceIDs(&v), keepIn(b)); err != nil {
		t.Errorf("payload of a snapshot is refused: %v", err)
	}
	for k := range before {
		o, err := f.Open(w.ctx, k, VersionRef{})
		if err != nil {
			t.Fatal(err)
		}
		v := o.Version()
		if err := a.ServeFetch(w.ctx, Reading{Ref: Ref{f.ID(), k, v.VersionID}}, pieceIDs(&v), keepIn(b)); err != nil {
			t.Fatal(err)
		}
	}
	b.wantHolds("photos@s", before)
	if err := b.bucketNamed("photos").DeleteSnapshot(w.ctx, "s"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := a.snapshotNames("photos"); len(got) > 0 {
		t.Errorf("deleted at the other segment, and there: %q", got)
	}
	if err := a.ServeFetch(w.ctx, r, pieceIDs(&v), keepIn(b)); err == nil {
		t.Error("payload of a deleted snapshot is served")
	}
}

func TestSnapshotsOfOneNameAreBothKept(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	a.put("photos", "k", "a's")
	a.snap("photos", "s")
	w.tick(time.Second)
	b.put("photos", "k", "b's")
	b.snap("photos", "s")
	w.settle()
	w.adopt(a, b)
	w.adopt(b, a)
	for _, s := range w.sites {
		if got := s.snapshotNames("photos"); !slices.Equal(got, []string{"s", "s~b"}) {
			t.Errorf("%s: %q", s.Name(), got)
		}
	}
	a.wantHolds("photos@s", map[string]string{"k": "a's"})
	f := a.bucketNamed("photos@s~b")
	if v, err := f.Stat(w.ctx, "k", VersionRef{}); err != nil || v.Size() != 3 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestDeletionSeenBySyncEndsASnapshot(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	a.put("photos", "k", "1")
	a.snap("photos", "s")
	w.settle()
	w.adopt(b, a)
	if err := a.bucketNamed("photos").DeleteSnapshot(w.ctx, "s"); err != nil {
		t.Fatal(err)
	}
	if err := w.syncAll(b, a); err != nil {
		t.Fatal(err)
	}
	if got := b.snapshotNames("photos"); len(got) > 0 {
		t.Errorf("deleted, and there: %q", got)
	}
}

func TestSnapshotOutlivesADeletionThatDidNotKnow(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	a.put("photos", "k", "1")
	a.snap("photos", "s")
	if _, err := a.bucketNamed("photos").Delete(w.ctx, "k", Cond{}); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteBucket(w.ctx, "photos"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	a.wantHolds("photos@s", map[string]string{"k": "1"})
	w.adopt(b, a)
	if _, err := b.Bucket("photos@s"); err != nil {
		t.Errorf("at the segment that deleted the bucket: %v", err)
	}
}

func pieceIDs(v *Version) []chunk.ID {
	var ids []chunk.ID
	for _, e := range v.Content.Entries() {
		ids = append(ids, e.ID)
	}
	return ids
}

// keepIn is a yield that keeps chunks at a site.
func keepIn(s *site) func(chunk.Chunk) error {
	return func(c chunk.Chunk) error { return s.cfg.Chunks.(mapStore).Put(s.w.ctx, []chunk.Chunk{c}) }
}

// versionsIn is what a bucket lists, by version.
func (s *site) versionsIn(b *Bucket) map[string]VersionID {
	s.w.t.Helper()
	p, err := b.List(s.w.ctx, ListOptions{Limit: 1000})
	if err != nil {
		s.w.t.Fatal(err)
	}
	out := map[string]VersionID{}
	for _, e := range p.Entries {
		out[e.Version.Key] = e.Version.VersionID
	}
	return out
}

// losePower ends a site as a power cut does, and starts it again.
func (s *site) losePower(rng *rand.Rand) {
	s.w.t.Helper()
	fs := s.fs
	fs.Kill()
	_ = s.Close(s.w.ctx)
	s.fs = fs.Crash(rng)
	s.cfg.FS = s.fs
	s.open()
}

// TestSnapshotsSurviveWhatSegmentsGoThrough lives two segments through writes, exchanges, snapshots, deletions of those and power cuts. Every
// snapshot that was acknowledged is in the end, at both, what its bucket was when it was made.
func TestSnapshotsSurviveWhatSegmentsGoThrough(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 15
	}
	for seed := range seeds {
		w := newSeededWorld(t, seed, "a", "b")
		rng := rand.New(rand.NewPCG(seed, 9))
		if _, err := w.sites[0].CreateBucket(w.ctx, "photos", BucketOptions{}); err != nil {
			t.Fatal(err)
		}
		w.settle()
		want := map[SnapshotID]map[string]VersionID{}
		for step := range 150 {
			s, other := w.sites[0], w.sites[1]
			if rng.IntN(2) == 0 {
				s, other = other, s
			}
			b := s.bucketNamed("photos")
			key := fmt.Sprint("k", rng.IntN(30))
			switch n := rng.IntN(20); {
			case n < 10:
				s.put("photos", key, fmt.Sprint(step))
			case n < 12:
				if _, err := b.Delete(w.ctx, key, Cond{}); err != nil {
					t.Fatal(err)
				}
			case n < 14:
				i, err := b.CreateSnapshot(w.ctx, fmt.Sprint("s", rng.IntN(8)))
				if errors.Is(err, ErrSnapshotExists) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				want[i.ID] = s.versionsIn(b)
			case n < 15:
				all, err := b.Snapshots(w.ctx)
				if err != nil {
					t.Fatal(err)
				}
				if len(all) > 0 {
					i := all[rng.IntN(len(all))]
					if err := b.DeleteSnapshot(w.ctx, i.Name); err != nil {
						t.Fatal(err)
					}
					delete(want, i.ID)
				}
			case n < 18:
				if err := w.pull(s, other); err != nil {
					t.Fatal(err)
				}
			case n < 19:
				s.losePower(rng)
			case rng.IntN(2) == 0:
				if err := s.foldAllSeals(w.ctx); err != nil {
					t.Fatal(err)
				}
			default:
				w.tick(time.Second)
			}
		}
		for _, s := range w.sites {
			if err := s.foldAllSeals(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
		w.settle()
		w.adopt(w.sites[0], w.sites[1])
		w.adopt(w.sites[1], w.sites[0])
		for _, s := range w.sites {
			b := s.bucketNamed("photos")
			all, err := b.Snapshots(w.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != len(want) {
				t.Errorf("seed %d: %s has %d snapshots, want %d", seed, s.Name(), len(all), len(want))
			}
			for _, i := range all {
				f, err := b.At(w.ctx, i.Name)
				if err != nil {
					t.Fatal(err)
				}
				if got := s.versionsIn(f); !maps.Equal(got, want[i.ID]) {
					t.Errorf("seed %d: %s: snapshot %s holds %v, want %v", seed, s.Name(), i.Name, got, want[i.ID])
				}
			}
		}
		if t.Failed() {
			return
		}
	}
}

func TestSnapshotThatWasBroughtInPartIsNotRead(t *testing.T) {
	w := oneBucket(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	for i := range 2000 {
		a.put("photos", fmt.Sprintf("k%04d", i), "1")
	}
	a.snap("photos", "s")
	for i := range 2000 {
		a.put("photos", fmt.Sprintf("k%04d", i), "2")
	}
	w.settle()
	ref, err := b.MissingSnapshots(w.ctx)
	if err != nil || len(ref) != 1 {
		t.Fatal(ref, err)
	}
	for left := 1; ; left++ {
		err := b.AdoptSnapshot(w.ctx, ref[0], &breaking{a.cfg.Chunks.(mapStore), left})
		if err == nil {
			if left < 4 {
				t.Errorf("it took only %d reads", left)
			}
			break
		}
		if _, err := b.Bucket("photos@s"); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("after %d reads: %v", left, err)
		}
	}
	if got := len(b.versionsIn(b.bucketNamed("photos@s"))); got != 1000 {
		t.Errorf("a page of %d", got)
	}
}

// breaking is a peer that goes away.
type breaking struct {
	mapStore
	left int
}

func (s *breaking) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	if s.left--; s.left < 0 {
		return chunk.ErrUnavailable
	}
	return s.mapStore.Get(ctx, ids, yield)
}

func TestASnapshotDeletesNoOther(t *testing.T) {
	w := oneBucket(t, "a")
	a := w.site("a")
	a.snap("photos", "one")
	a.snap("photos", "two")
	if err := a.bucketNamed("photos@one").DeleteSnapshot(w.ctx, "two"); !errors.Is(err, ErrReadOnly) {
		t.Errorf("delete: %v", err)
	}
	if got := a.snapshotNames("photos"); len(got) != 2 {
		t.Errorf("%q", got)
	}
}
