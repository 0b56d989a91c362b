package segment

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/edgefs/edgefs/chunk"
)

func (l *lone) export(b *Bucket) []byte {
	l.t.Helper()
	var out bytes.Buffer
	if _, err := b.Export(context.Background(), &out, ExportOptions{}); err != nil {
		l.t.Fatal(err)
	}
	return out.Bytes()
}

func (l *lone) importing(name string, in io.Reader) *Bucket {
	l.t.Helper()
	b, _, err := l.Import(context.Background(), name, in, ImportOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

func (l *lone) named(name string) *Bucket {
	l.t.Helper()
	b, err := l.Segment.Bucket(name)
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

// What was deleted from an imported bucket is no more, though the bucket began with it; what was not is there, through restarts and power cuts.
func TestAnImportedBucketGivesSpaceBack(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	box := l.bucket("box")
	for n := range 40 {
		l.put(box, fmt.Sprint(n), blob(n))
	}
	text := l.export(box)
	for n := range 40 {
		l.delete(box, fmt.Sprint(n))
	}
	b := l.importing("copy", bytes.NewReader(text))
	l.collect()
	rest := func(round int) {
		t.Helper()
		for n := 10 * (round + 1); n < 40; n++ {
			l.wantContent(b, fmt.Sprint(n), blob(n))
		}
	}
	for round := range 3 {
		o, err := b.Open(ctx, fmt.Sprint(10*round+3), VersionRef{})
		if err != nil {
			t.Fatal(err)
		}
		var ids []chunk.ID
		for p, err := range o.Pieces(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, p.ID)
		}
		for n := range 10 {
			l.delete(b, fmt.Sprint(10*round+n))
		}
		l.collect()
		rest(round)
		l.wantNoGarbage()
		if missing, err := b.chunks.Data.Missing(ctx, ids); err != nil || len(missing) != len(ids) {
			t.Errorf("round %d: %d of %d chunks are gone, %v", round, len(missing), len(ids), err)
		}
		if round == 1 {
			l.cutPower(rand.New(rand.NewPCG(1, 2)))
		} else {
			l.restart()
		}
		b = l.named("copy")
		rest(round)
	}
}

// A collection between any two steps of an export, or of an import, takes nothing that they need.
func TestNothingIsTakenFromUnderAStream(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	box := l.bucket("box")
	const n = 60
	for i := range n {
		l.put(box, fmt.Sprintf("%03d", i), blob(i))
	}
	want := l.export(box)
	var got bytes.Buffer
	steps := 0
	_, err := box.Export(ctx, writerFunc(func(p []byte) (int, error) {
		if steps++; steps == 1 {
			for i := range n {
				l.delete(box, fmt.Sprintf("%03d", i))
			}
		}
		if steps < 6 {
			l.collect()
		}
		return got.Write(p)
	}), ExportOptions{})
	if err != nil || !bytes.Equal(got.Bytes(), want) || steps < 6 {
		t.Fatalf("%d bytes, want %d, in %d steps: %v", got.Len(), len(want), steps, err)
	}
	l.collect()
	rest := want
	reads := 0
	l.importing("copy", readerFunc(func(p []byte) (int, error) {
		if len(rest) == 0 {
			return 0, io.EOF
		}
		k := copy(p[:min(len(p), 200_000)], rest)
		rest = rest[k:]
		if reads++; reads%3 == 0 {
			l.collect()
		}
		return k, nil
	}))
	l.collect()
	l.restart()
	b := l.named("copy")
	for i := range n {
		l.wantContent(b, fmt.Sprintf("%03d", i), blob(i))
	}
	l.wantNoGarbage()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Whenever the power goes during an import, the bucket is there afterwards as a whole or not at all; if the import had ended, it is there.
func TestAPowerCutLeavesNoHalfImport(t *testing.T) {
	seed := newLone(t)
	box := seed.bucket("box")
	for i := range 12 {
		seed.put(box, fmt.Sprint(i), blob(i))
	}
	text := seed.export(box)
	there, not := 0, 0
	for cut := range 10 {
		l := newLone(t)
		rng := rand.New(rand.NewPCG(7, uint64(cut)))
		after := cut * cut
		if cut == 9 {
			after = 1 << 20 // never
		}
		l.fs.CutAfter(after)
		_, _, failed := l.Import(context.Background(), "copy", bytes.NewReader(text), ImportOptions{})
		l.cutPower(rng)
		b, err := l.Segment.Bucket("copy")
		switch {
		case failed == nil && err != nil:
			t.Errorf("cut %d: the import had ended, and the bucket is not there: %v", cut, err)
		case err != nil:
			not++
			b = l.importing("copy", bytes.NewReader(text))
		default:
			there++
		}
		for i := range 12 {
			l.wantContent(b, fmt.Sprint(i), blob(i))
		}
		if again := l.export(b); !bytes.Equal(again, text) {
			t.Errorf("cut %d: %d bytes, want %d", cut, len(again), len(text))
		}
	}
	if there == 0 || not == 0 {
		t.Errorf("it was there %d times, and %d times not", there, not)
	}
}

// A later beginning changes nothing that anybody sees, whoever hears of it, and when.
func TestALaterBeginningIsTheSameBucket(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprint("the other site knew the first: ", known), func(t *testing.T) {
			w, a := manyThings(t)
			b := w.sites[1]
			copied, _ := a.imported("copied", a.exported("kept", ExportOptions{}))
			if known {
				w.settle()
			}
			for round := range 3 {
				w.tick(time.Second)
				a.put("copied", "often", fmt.Sprint("round ", round))
				a.remove("copied", "said")
				if err := copied.Configure(w.ctx, func(s *Settings) error { s.EagerBytes = int64(round); return nil }); err != nil {
					t.Fatal(err)
				}
				if err := a.rebegin(w.ctx); err != nil {
					t.Fatal(err)
				}
				was := a.everything("copied")
				if round == 1 {
					a.restart()
					copied = a.bucketNamed("copied")
				}
				if diff := cmp.Diff(was, a.everything("copied")); diff != "" {
					t.Error(diff)
				}
				if copied.Settings().EagerBytes != int64(round) {
					t.Errorf("%+v", copied.Settings())
				}
			}
			if !known { // a segment that was told of nothing begins with what there is now
				if err := w.syncAll(b, a); err != nil {
					t.Fatal(err)
				}
			}
			w.settle()
			w.carry()
			life := a.Origin()
			b.restart()
			w.settle()
			b.put("copied", "often", "of b")
			w.settle()
			w.carry()
			if diff := cmp.Diff(a.everything("copied"), b.everything("copied")); diff != "" {
				t.Error(diff)
			}
			w.roots(copied.ID())
			if a.Origin() != life {
				t.Errorf("another life began: %v, was %v", a.Origin(), life)
			}
		})
	}
}
