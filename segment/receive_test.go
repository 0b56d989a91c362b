package segment

import (
	"errors"
	"math/rand/v2"
	"testing"
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
