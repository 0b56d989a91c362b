package segment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// noRoomToRename makes every rename one that is too large for the site's memory.
func (s *site) noRoomToRename() { s.renameWithin(1) }

// renameWithin sets what all renames together may take, in bytes: a key takes some 800.
func (s *site) renameWithin(n int64) {
	s.cfg.RenameBytes = n
	s.restart()
}

// What a rename moves is in the trees when it is logged, in many parts: neither its writer, nor who gets the record, nor a start has it in memory.
func TestARenameThatIsTooLargeForMemoryIsMadeInParts(t *testing.T) {
	for _, mode := range []Versioning{Unversioned, Versioned, Suspended} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			set := DefaultSettings()
			set.Versioning = mode
			w, a, b, atA, atB := pair(t, set)
			const keys = 300
			fillBelow(t, atA, "d/", keys)
			a.put("box", "d/twice", "1")
			a.put("box", "d/twice", "2")
			a.put("box", "e/000/file-00000500", "stays")
			w.settle()
			b.put("box", "d/twice", "b's")
			a.put("box", "d/twice", "a's")
			w.settle() // a conflict
			for _, s := range []*site{a, b} {
				s.renameWithin(64 << 10)
			}
			atA, atB = a.bucket(atA.id), b.bucket(atB.id)
			from := a.LogEnd()
			r, err := atA.RenamePrefix(w.ctx, "d/", "e/", RenameOptions{Replace: true})
			if err != nil || r.Keys != keys+1 || r.Versions != keys+2 {
				t.Fatalf("%+v, %v", r, err)
			}
			atA.mu.RLock()
			if !atA.base.seen.Has(Dot{r.ID.Dot.Origin, r.ID.Dot.N + keys + 1}) || atA.overlay.Len() > 0 || atA.renamed > 0 {
				t.Errorf("the base has seen %v, and %d keys are over it", atA.base.seen, atA.overlay.Len())
			}
			atA.mu.RUnlock()
			items, _, err := a.FeedFrom(w.ctx, from, 1<<20)
			if err != nil || len(items) > 4 {
				t.Fatalf("%d items, %v", len(items), err)
			}
			b.syncs = 0
			if err := w.pull(b, a); err != nil || b.syncs > 0 {
				t.Fatalf("%d syncs, %v", b.syncs, err)
			}
			atB.mu.RLock()
			if atB.overlay.Len() > 0 || atB.renamed > 0 {
				t.Errorf("%d keys are over the base of who got it", atB.overlay.Len())
			}
			atB.mu.RUnlock()
			for _, bucket := range []*Bucket{atA, atB} {
				if all := listed(t, bucket); len(all) != keys+2 || !strings.HasPrefix(all[0], "e/") {
					t.Errorf("%d keys from %q", len(all), all[0])
				}
			}
			a.put("box", "d/new", "after it")
			w.verify()
		})
	}
}

// A start that has nothing but the log does not expand it again, nor does what makes a bucket anew.
func TestALargeRenameIsAppliedAsItIsInTheLog(t *testing.T) {
	w, a, _, box, _ := pair(t, DefaultSettings())
	for i := range 20 {
		a.put("box", fmt.Sprintf("d/%d", i), "v")
	}
	a.noRoomToRename()
	box = a.bucket(box.id)
	before := box.base
	renamed(t, box, "d/", "e/")
	twin := newBucket(a.Segment, box.id, box.doc.Load())
	twin.setBase(before)
	if _, err := a.relive(w.ctx, twin, before.covers+1, a.LogEnd()-1); err != nil || twin.base.id != box.base.id || twin.overlay.Len() > 0 {
		t.Errorf("made anew with %d keys over its base, %v", twin.overlay.Len(), err)
	}
	m := &sim{world: w, oracle: newOracle(), learnt: map[string]uint64{"a": 1, "b": 1}, rng: rand.New(rand.NewPCG(1, 1))}
	m.reopen(a, a.fs)
	if again := a.bucket(box.id); again.base.id != box.base.id || again.overlay.Len() > 0 {
		t.Errorf("a start has %d keys over its base", again.overlay.Len())
	}
	if err := m.check(a); err != nil {
		t.Error(err)
	}
	w.verify()
}

// A bucket that is made anew takes the place of one: what its renames take in memory is counted once.
func TestWhatARevivedBucketsRenamesTakeIsCountedOnce(t *testing.T) {
	w, a, _, box, _ := pair(t, DefaultSettings())
	fillBelow(t, box, "d/", 100)
	renamed(t, box, "d/", "e/")
	counted := func() int64 {
		a.keeper.mu.Lock()
		defer a.keeper.mu.Unlock()
		return a.keeper.renamed
	}
	if n := counted(); n == 0 || n != a.renamed() {
		t.Fatalf("%d bytes are counted, %d are taken", n, a.renamed())
	}
	for range 3 {
		box.mu.Lock()
		_ = box.breakOff(a.LogEnd(), errors.New("for the test"))
		box.mu.Unlock()
		if err := a.revive(w.ctx, box); err != nil {
			t.Fatal(err)
		}
		if n := counted(); n == 0 || n != a.renamed() {
			t.Fatalf("%d bytes are counted, %d are taken", n, a.renamed())
		}
	}
	w.verify()
}

// What a rename finds lost of the bucket when it has everybody wait, it asks peers for only when it has let them go on.
func TestNobodyWaitsForAPeerBehindARename(t *testing.T) {
	w, a, b, box, _ := pair(t, DefaultSettings())
	fillBelow(t, box, "d/", 10)
	w.settle()
	w.roots(box.id)
	asked := 0
	a.cfg.NodeCache = 1
	a.cfg.Mend = func(ctx context.Context, _ chunk.Domain, l Lost, yield func(chunk.Chunk) error) error {
		box := a.bucket(l.Bucket)
		if !box.gate.TryRLock() {
			t.Error("a peer is asked while writers wait")
			return chunk.ErrUnavailable
		}
		box.gate.RUnlock()
		if asked++; asked == 1 { // the rename has to look again
			a.put("box", "d/over", "another")
		}
		return b.ServeNodes(ctx, l, yield) // and it is lost again
	}
	a.restart()
	a.put("box", "d/over", "of which no tree is read")
	a.cfg.Chunks.(mapStore).lose(a.bucket(box.id).base.heads)
	r, err := a.bucket(box.id).RenamePrefix(w.ctx, "d/", "e/", RenameOptions{})
	if err != nil || r.Keys != 11 || asked < 2 {
		t.Errorf("%+v, %v; peers were asked %d times", r, err, asked)
	}
}

// A write between the look at a directory and the rename that is made in parts is moved, too.
func TestALargeRenameMovesWhatCameSinceItsLook(t *testing.T) {
	w, a, _, box, _ := pair(t, DefaultSettings())
	a.put("box", "d/x", "v")
	a.noRoomToRename()
	n := 0
	a.hook(func() {
		if n++; n == 1 { // the fold that goes before
			a.put("box", "d/new", "v")
			a.put("box", "other", "v")
		}
	})
	if r, err := a.bucket(box.id).RenamePrefix(w.ctx, "d/", "e/", RenameOptions{}); err != nil || r.Keys != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := listed(t, a.bucket(box.id)); strings.Join(got, " ") != "e/new e/x other" {
		t.Errorf("%q", got)
	}
	w.verify()
}

// Where something that a rename moves is written over while its receiver gets the bucket alone, the rename is not the one that was written.
func TestALargeRenameIsMadeAsItWasWrittenOrNotAtAll(t *testing.T) {
	w, a, b, box, _ := pair(t, DefaultSettings())
	a.put("box", "d/x", "v")
	w.settle()
	renamed(t, box, "d/", "e/")
	b.put("box", "k", "to fold")
	b.noRoomToRename()
	n := 0
	b.hook(func() {
		if n++; n == 1 {
			b.put("box", "d/x", "over it")
		}
	})
	b.syncs = 0
	if err := w.pull(b, a); err != nil || b.syncs != 1 {
		t.Errorf("%d syncs, %v", b.syncs, err)
	}
	w.verify()
	if got := listed(t, b.bucket(box.id)); strings.Join(got, " ") != "d/x e/x k" {
		t.Errorf("%q", got)
	}
}

// What a home did for another segment is remembered with the rename, wherever it is made in parts.
func TestALargeRenameRemembersWhoAskedForIt(t *testing.T) {
	w, a, b, box, _ := pair(t, DefaultSettings())
	for i := range 5 {
		a.put("box", fmt.Sprintf("d/%d", i), "v")
	}
	a.noRoomToRename()
	b.noRoomToRename()
	asked := &answering{name: RequestName{7}}
	if _, err := a.bucket(box.id).renameDirectory(w.ctx, "d/", "e/", RenameOptions{}, Cond{request: asked}); err != nil || !asked.done {
		t.Fatal(err)
	}
	w.settle()
	a.restart()
	for _, s := range w.sites {
		d, ok := s.bucket(box.id).doneNow().find(asked.name)
		if !ok {
			t.Fatalf("%s does not remember it", s.Name())
		}
		if r, err := d.outcome.renamed(); err != nil || r.Keys != 5 || r.Versions != 5 {
			t.Errorf("%s remembers %+v, %v", s.Name(), r, err)
		}
	}
	w.verify()
}
