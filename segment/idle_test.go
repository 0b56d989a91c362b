package segment

import (
	"fmt"
	"strings"
	"testing"
)

// TestABucketThatWasIdleForLongStarts writes into a bucket behind whose last fold the log has long been cut.
func TestABucketThatWasIdleForLongStarts(t *testing.T) {
	w := newWorld(t, "a")
	a := w.site("a")
	a.cfg.LogFileSize, a.cfg.LogKeep = 32<<10, 1
	a.restart()
	for _, name := range []string{"busy", "idle"} {
		if _, err := a.CreateBucket(w.ctx, name, BucketOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	a.put("idle", "k", "first")
	for round := range 6 {
		for i := range 20 {
			a.put("busy", fmt.Sprint("k", i, strings.Repeat("k", 900)), strings.Repeat(fmt.Sprintf("%8d", 100*round+i), 2500))
		}
		if err := a.foldAll(w.ctx); err != nil {
			t.Fatal(err)
		}
		if err := a.checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	idle, err := a.Bucket("idle")
	if err != nil {
		t.Fatal(err)
	}
	if first := a.log.First(); first <= idle.base.covers+1 {
		t.Fatalf("the log begins at %d, the bucket's base covers %d: nothing was cut", first, idle.base.covers)
	}
	a.put("idle", "l", "second")
	a.restart()
	if idle, err = a.Bucket("idle"); err != nil || idle.Stats().Objects != 2 {
		t.Errorf("%v", err)
	}
}
