package segment

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestNamesHaveNoHolesWhenALifeBegins lets lives begin while buckets are made and written. A hole in the names of a life's writes would make
// every feed of the bucket stop there for a sync.
func TestNamesHaveNoHolesWhenALifeBegins(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.site("a"), w.site("b")
	for round := range 20 {
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				box, err := a.CreateBucket(w.ctx, fmt.Sprintf("bucket-%d-%d", round, i), BucketOptions{})
				for n := 0; n < 5 && err == nil; n++ {
					_, err = box.Put(w.ctx, fmt.Sprint("k", n), Attrs{}, Cond{}, strings.NewReader("v"))
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			if err := a.newLife(a.inc.Load() + 1); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
	}
	given := map[BucketID]map[Origin][]uint64{}
	items, next, err := a.FeedFrom(w.ctx, 1, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if given[item.Bucket] == nil {
			given[item.Bucket] = map[Origin][]uint64{}
		}
		given[item.Bucket][item.Dot.Origin] = append(given[item.Bucket][item.Dot.Origin], item.Dot.N)
	}
	for id, lives := range given {
		for life, numbers := range lives {
			for i, n := range numbers {
				if n != uint64(i+1) {
					t.Fatalf("bucket %v has the names %v of life %v", id, numbers, life)
				}
			}
		}
	}
	for len(items) > 0 { // one by one: a bucket is known when its document is applied
		if _, err := b.Receive(w.ctx, a.ID(), items[:1], Cursor{a.Origin().Inc, next}); err != nil {
			t.Fatalf("a feed of it: %v", err)
		}
		items = items[1:]
	}
}

// TestAWriteKnowsTheLifeItWasPlannedIn: a write that is planned before a life begins and named after has seen what was written before, and
// says so: elsewhere it waits for that.
func TestAWriteKnowsTheLifeItWasPlannedIn(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	box, err := a.CreateBucket(w.ctx, "box", BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	before := a.put("box", "k", "before")
	in, err := box.enter(w.ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	defer in.leave()
	p, err := box.planPut(w.ctx, Cond{}, &Version{Key: "k"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.newLife(a.inc.Load() + 1); err != nil {
		t.Fatal(err)
	}
	if err := a.submit(p); err != nil {
		t.Fatal(err)
	}
	if !p.r.deps.Has(before.Dot) {
		t.Errorf("%v, which replaces %v, says that it has seen %v", p.r.Dot, before.Dot, p.r.deps)
	}
	if gone := slices.ContainsFunc(p.r.effects[0].gone, func(g goneHold) bool { return g.hold == before.Dot }); !gone {
		t.Errorf("%+v does not replace %v", p.r.effects[0], before.Dot)
	}
}
