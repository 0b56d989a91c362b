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

// mendFromAll makes the site mend its trees from all others, and heal them by syncs.
func (s *site) mendFromAll() {
	s.cfg.Mend = func(ctx context.Context, _ chunk.Domain, l Lost, yield func(chunk.Chunk) error) error {
		left := l.Places
		for _, other := range s.w.sites {
			if other == s {
				continue
			}
			var lack []Place
			for _, p := range left {
				err := other.ServeNodes(ctx, Lost{l.Bucket, l.Snapshot, l.Tree, []Place{p}}, func(c chunk.Chunk) error {
					if err := s.cfg.Chunks.(mapStore).Put(ctx, []chunk.Chunk{c}); err != nil {
						return err
					}
					return yield(c)
				})
				if err != nil {
					lack = append(lack, p)
				}
			}
			left = lack
		}
		if len(left) > 0 {
			return chunk.ErrUnavailable
		}
		return nil
	}
	s.restart()
}

// loseSome takes chunks of a bucket's trees away, each with a chance of one in n.
func (s *site) loseSome(r *rand.Rand, id BucketID, n int) (lost int) {
	s.w.t.Helper()
	b, m := s.bucket(id), s.cfg.Chunks.(mapStore)
	var ids []chunk.ID
	for _, root := range []chunk.ID{b.base.heads, b.base.history} {
		for id, err := range b.tree(b.trees.here, root).Nodes(s.w.ctx, nil) {
			if err != nil {
				s.w.t.Fatal(err)
			}
			ids = append(ids, id)
		}
	}
	m.mu.Lock()
	for _, id := range ids {
		if r.IntN(n) == 0 {
			delete(m.chunks, id)
			lost++
		}
	}
	m.mu.Unlock()
	s.restart()
	s.Suspect(id)
	return lost
}

// healed syncs a damaged bucket with one that has seen all that is in it until nothing ails.
func (w *world) healed(s, from *site, id BucketID) error {
	var err error
	for range 3 {
		if err = w.sync(s, from, id); err == nil && s.bucket(id).Err() == nil && len(s.Ailing()) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d buckets ail: %w", len(s.Ailing()), errors.Join(err, s.bucket(id).Err()))
}

// Sites write, remove, fold and exchange at random; one loses some of its nodes, or all; another has seen all that was in them. Afterwards each holds what
// the oracle says.
func TestDamagedBucketsAreHealed(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { healAtRandom(t, seed) })
	}
}

func healAtRandom(t *testing.T, seed uint64) {
	w := newSeededWorld(t, seed, "a", "b", "c")
	r := rand.New(rand.NewPCG(seed, 1))
	for _, s := range w.sites {
		s.mendFromAll()
	}
	id := versionedBucket(t, w.sites[0], "photos").id
	w.settle()
	keys := 10 + r.IntN(200)
	for range 6 {
		for range 30 + r.IntN(100) {
			s := w.sites[r.IntN(3)]
			b, err := s.Bucket("photos")
			if err != nil {
				t.Fatal(err)
			}
			key := fmt.Sprintf("k%03d", r.IntN(keys))
			switch r.IntN(12) {
			case 0:
				_, err = b.Delete(w.ctx, key, Cond{})
			case 1:
				if v, e := b.Stat(w.ctx, key, VersionRef{}); e == nil {
					_, err = b.Remove(w.ctx, key, VersionRef{ID: v.VersionID}, Cond{})
				}
			case 2:
				_, err = b.Fold(w.ctx)
			case 3:
				if from := w.sites[r.IntN(3)]; from != s {
					err = w.pull(s, from)
				}
			default:
				attrs := Attrs{Meta: map[string]string{"long": strings.Repeat("x", r.IntN(700))}}
				_, err = b.Put(w.ctx, key, attrs, Cond{}, strings.NewReader("x"))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		i := r.IntN(3)
		s, from := w.sites[i], w.sites[(i+1+r.IntN(2))%3]
		if err := w.pull(from, s); err != nil {
			t.Fatal(err)
		}
		if r.IntN(2) == 0 {
			from.put("photos", "k000", "of who heals")
		}
		lost := s.loseSome(r, id, 1+r.IntN(4))
		if err := w.healed(s, from, id); err != nil {
			t.Fatalf("%s loses %d chunks and syncs with %s: %v", s.Name(), lost, from.Name(), err)
		}
	}
	w.verify()
}

// A peer that lacks something of what is in the base does not take its place: that would undo writes.
func TestABucketIsNotTakenFromWhoHasSeenLess(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	photos := versionedBucket(t, a, "photos")
	a.put("photos", "k", "seen by both")
	w.settle()
	a.put("photos", "l", "of a alone")
	if _, err := photos.Fold(w.ctx); err != nil {
		t.Fatal(err)
	}
	b.put("photos", "m", "of b")
	lost := a.lose(photos.base.history)
	a.Suspect(photos.id)
	if err := w.healed(a, b, photos.id); !errors.Is(err, ErrUnavailable) {
		t.Errorf("healed by less: %v", err)
	}
	if err := w.pull(b, a); err != nil { // the log still has it
		t.Fatal(err)
	}
	if err := w.healed(a, b, photos.id); err != nil {
		t.Errorf("not healed: %v", err)
	}
	if missing, err := a.cfg.Chunks.(mapStore).Missing(w.ctx, []chunk.ID{lost.ID()}); err != nil || len(missing) == 0 {
		t.Error("the lost node came back: nothing was tested")
	}
	w.verify()
}

// After two writes of one name the sites keep what they have: damage does not decide between them.
func TestABucketInQuarantineIsNotTakenAnew(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	photos := versionedBucket(t, a, "photos")
	w.settle()
	for i, s := range []*site{a, b} {
		if _, err := s.Receive(w.ctx, 99, []FeedItem{crafted(photos.id, 1, hlcAt(w.now), fmt.Sprint("k", i), []byte("x"))}, Cursor{1, 2}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.bucket(photos.id).Fold(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	a.lose(a.bucket(photos.id).base.history)
	a.Suspect(photos.id)
	if err := w.sync(a, b, photos.id); !errors.Is(err, ErrQuarantine) {
		t.Errorf("%v", err)
	}
}

func TestAScrubbedBucketDoesNotAil(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	photos := versionedBucket(t, a, "photos")
	a.put("photos", "k", "x")
	w.settle()
	w.roots(photos.id)
	a.mendFrom(b)
	root := photos.base.id
	a.lose(photos.base.heads)
	a.lose(photos.base.history)
	a.Suspect(photos.id)
	if err := w.healed(a, b, photos.id); err != nil {
		t.Fatal(err)
	}
	if now := a.bucket(photos.id).base; now.id != root || now.at != photos.base.at {
		t.Errorf("taken anew, though it could be mended")
	}
	w.verify()
}
