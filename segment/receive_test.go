package segment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// items are all that a site feeds of a bucket.
func (s *site) items(id BucketID) []FeedItem {
	s.w.t.Helper()
	var all []FeedItem
	for pos := s.log.First(); pos < s.LogEnd(); {
		items, next, err := s.FeedFrom(s.w.ctx, pos, 1<<20)
		if err != nil {
			s.w.t.Fatal(err)
		}
		for _, item := range items {
			if item.Bucket == id {
				all = append(all, item)
			}
		}
		pos = next
	}
	return all
}

func TestARecordWaitsForWhatItsWriterHadSeen(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	a, b, c := w.site("a"), w.site("b"), w.site("c")
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	c.put("photos", "cause", "by c")
	if err := w.pull(b, c); err != nil {
		t.Fatal(err)
	}
	b.put("photos", "effect", "by b")
	b.put("photos", "effect2", "by b")
	all := b.items(bucket.ID())
	n := len(all)
	for _, c := range []struct {
		name  string
		items []FeedItem
	}{{"without the cause", all[n-2:]}, {"with a hole", []FeedItem{all[n-3], all[n-1]}}} {
		name, some := c.name, c.items
		before, end := bucket.Seen(), Cursor{1, b.LogEnd()}
		done, err := a.Receive(w.ctx, b.ID(), some, end)
		var doubt *DoubtError
		if !errors.As(err, &doubt) || doubt.Bucket != bucket.ID() || done != len(some)-1 && done != 0 {
			t.Fatalf("%s: %d done, %v", name, done, err)
		}
		if cur, _ := a.Cursor(b.ID()); cur.Pos != some[done].Pos {
			t.Errorf("%s: the cursor stands at %d, the record is at %d", name, cur.Pos, some[done].Pos)
		}
		for _, item := range some[done:] {
			if bucket.Seen().Has(item.Dot) {
				t.Errorf("%s: %v counts as seen", name, item.Dot)
			}
		}
		if name == "without the cause" && !bucket.Seen().Equal(before) {
			t.Errorf("%s: %v was applied", name, bucket.Seen())
		}
	}
	w.verify()
}

func TestRecordsAndCursorAreOneEntry(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	for range 3 {
		a.put("photos", "k", "v")
	}
	items := a.items(bucket.ID())
	end, next := b.LogEnd(), Cursor{1, a.LogEnd()}
	if n, err := b.Receive(w.ctx, a.ID(), items, next); err != nil || n != len(items) {
		t.Fatal(n, err)
	}
	if b.LogEnd() != end+1 {
		t.Errorf("it took %d entries", b.LogEnd()-end)
	}
	if cur, _ := b.Cursor(a.ID()); cur != next {
		t.Errorf("the cursor is %+v, want %+v", cur, next)
	}
	b.restart()
	if cur, _ := b.Cursor(a.ID()); cur != next {
		t.Errorf("after a restart the cursor is %+v, want %+v", cur, next)
	}
	w.verify()
}

// TestTwoWritesOfOneNameAreNotMerged rolls a machine back that then gives a name again before it hears of anybody.
func TestTwoWritesOfOneNameAreNotMerged(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	bucket, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	backup := a.fs.Crash(rand.New(rand.NewPCG(1, 1)))
	a.put("photos", "k", "told")
	w.settle()
	old := a.Segment
	a.fs, a.cfg.FS = backup, backup
	a.open()
	if err := old.Close(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.put("photos", "k", "told once more")
	for _, pair := range [][2]*site{{a, b}, {b, a}} {
		if err := w.sync(pair[0], pair[1], bucket.ID()); !errors.Is(err, ErrQuarantine) {
			t.Errorf("%s adopts from %s: %v", pair[0].Name(), pair[1].Name(), err)
		}
	}
}

// A batch that makes a bucket and writes to it needs no sync.
func TestReceiveMakesABucketAndWritesToIt(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	w.settle()
	from, _ := b.Cursor(a.ID())
	a.putNew(t, "photos", "k")
	a.putNew(t, "music", "l")
	items, next, err := a.FeedFrom(w.ctx, from.Pos, 1<<20)
	for err == nil && next < a.LogEnd() {
		var more []FeedItem
		more, next, err = a.FeedFrom(w.ctx, next, 1<<20)
		items = append(items, more...)
	}
	if err != nil {
		t.Fatal(err)
	}
	to := Cursor{from.Inc, next}
	if done, err := b.Receive(w.ctx, a.ID(), items, to); err != nil || done != len(items) {
		t.Fatalf("%d of %d taken in: %v", done, len(items), err)
	}
	if at, _ := b.Cursor(a.ID()); at != to {
		t.Errorf("the cursor is %+v, want %+v", at, to)
	}
	w.verify()
}

// putNew makes a bucket and puts a key.
func (s *site) putNew(t *testing.T, bucket, key string) {
	t.Helper()
	if _, err := s.CreateBucket(s.w.ctx, bucket, BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	s.put(bucket, key, "v")
}

// What a feed brings and passes over while a sync is under way is owed still when the sync is done.
func TestWhatIsPassedOverDuringASyncIsOwedStill(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	photos, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	b.old[photos.id] = true
	a.put("photos", "k", "passed over")
	if err := w.pull(b, a); err != nil {
		t.Fatal(err)
	}
	clear(b.old)
	o, err := a.Offer(w.ctx, photos.id)
	if err != nil {
		t.Fatal(err)
	}
	a.put("photos", "l", "passed over meanwhile")
	if err := w.pull(b, a); err != nil {
		t.Fatal(err)
	}
	if err := b.Adopt(w.ctx, a.ID(), photos.id, o, a.cfg.Chunks.(mapStore)); err != nil {
		t.Fatal(err)
	}
	if d := b.Debts(a.ID()); len(d) != 1 || d[0].Bucket != photos.id {
		t.Errorf("after a sync of less than was passed over, debts are %v", d)
	}
	if err := w.repay(b, a); err != nil {
		t.Fatal(err)
	}
	if d := b.Debts(a.ID()); len(d) != 0 {
		t.Errorf("after a sync of all, debts are %v", d)
	}
	w.verify()
	if roots := w.roots(photos.id); roots[0] != roots[1] {
		t.Errorf("roots %v", roots)
	}
}

// A bucket whose document only a later build can read is owed, too, and its records do not stop the others.
func TestABucketThatIsNotKnownIsOwed(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	w.settle()
	b.old[FederationBucket] = true
	a.putNew(t, "photos", "k")
	photos, _ := a.Bucket("photos")
	if err := w.pull(b, a); err != nil {
		t.Fatal(err)
	}
	if got := b.Debts(a.ID()); len(got) != 2 || got[0].Bucket != FederationBucket || got[1].Bucket != photos.id {
		t.Errorf("debts are %v", got)
	}
	if cur, _ := b.Cursor(a.ID()); cur.Pos == 0 {
		t.Errorf("the cursor is %+v", cur)
	}
	clear(b.old)
	w.settle()
	if got := b.Debts(a.ID()); len(got) != 0 {
		t.Errorf("debts are %v", got)
	}
	w.verify()
	if roots := w.roots(photos.id); roots[0] != roots[1] {
		t.Errorf("roots %v", roots)
	}
}

func TestDebtsAreBounded(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	for i := range maxDebts {
		if err := a.PassOver(w.ctx, 99, BucketID{1, byte(i), byte(i >> 8)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.PassOver(w.ctx, 99, BucketID{2}); !errors.Is(err, ErrRefused) {
		t.Errorf("one more: %v", err)
	}
	if err := a.PassOver(w.ctx, 98, localBucket); !errors.Is(err, ErrRefused) {
		t.Errorf("the segment's own bucket: %v", err)
	}
	a.restart()
	if n := len(a.Debts(99)); n != maxDebts {
		t.Errorf("%d debts after a restart", n)
	}
}

// granting serves a state as a peer does: its root, and what it has brought names. It breaks after so many calls.
type granting struct {
	chunk.Store
	root    chunk.ID
	granted map[chunk.ID]bool
	left    int
}

var errBroken = errors.New("the connection broke")

func (g *granting) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	if g.left--; g.left < 0 {
		return errBroken
	}
	for _, id := range ids {
		if !g.granted[id] {
			return fmt.Errorf("%v was not named: %w", id, ErrRefused)
		}
	}
	return g.Store.Get(ctx, ids, func(c chunk.Chunk) error {
		children, err := NodeChildren(c.Data())
		if c.ID() == g.root {
			children, err = RootChildren(c.Data())
		}
		if err != nil {
			return err
		}
		for _, id := range children {
			g.granted[id] = true
		}
		return yield(c)
	})
}

// A sync that broke is begun anew from the root: a peer serves what it has named in this very sync.
func TestASyncThatBrokeIsBegunAnew(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	photos, err := a.CreateBucket(w.ctx, "photos", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	for i := range 3000 {
		a.put("photos", fmt.Sprintf("some/folder/%05d", i), "")
	}
	o, err := a.Offer(w.ctx, photos.id)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for n := 0; ; n++ {
		if calls++; calls > 100 {
			t.Fatal("no end")
		}
		err := b.Adopt(w.ctx, a.ID(), photos.id, o, &granting{a.cfg.Chunks.(mapStore), o.Root, map[chunk.ID]bool{o.Root: true}, n})
		if err == nil {
			break
		}
		if !errors.Is(err, errBroken) {
			t.Fatalf("after a sync that broke at call %d: %v", n, err)
		}
	}
	if roots := w.roots(photos.id); calls < 3 || roots[0] != roots[1] {
		t.Errorf("%d calls, roots %v", calls, roots)
	}
}
