package segment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// A start goes through the log from its state on, and so through bases that were left behind since: while a collection runs, say.
func TestAStartGoesThroughBasesThatWereLeftBehindDuringACollection(t *testing.T) {
	ctx := context.Background()
	l := newLone(t)
	b := l.bucket("photos")
	for n := range 3000 {
		l.put(b, fmt.Sprintf("dir/%04d", n), []byte{byte(n)})
	}
	folded := false
	_, err := l.Collect(ctx, CollectOptions{Progress: func(p CollectProgress) {
		if folded || p.Phase != CollectMarks {
			return
		}
		folded = true
		for n := range 3 {
			l.put(b, "dir/0007", []byte(fmt.Sprint("changed ", n)))
			l.put(b, fmt.Sprintf("dir/%04d", 1000*n), []byte(fmt.Sprint("changed ", n)))
			for _, b := range l.allBuckets() {
				if _, err := b.Fold(ctx); err != nil {
					t.Error(err)
				}
			}
		}
		runtime.GC() // nobody has the bases between any more
	}})
	if err != nil || !folded {
		t.Fatal(folded, err)
	}
	for n := range 200 { // other packs, so that what was expunged is not found in one that a start reads
		l.put(b, fmt.Sprintf("more/%03d", n%100), blob(n))
	}
	l.cutPower(rand.New(rand.NewPCG(1, 1)))
	if b, err = l.Bucket("photos"); err != nil {
		t.Fatal(err)
	}
	if err := b.Err(); err != nil {
		t.Errorf("after the start: %v", err)
	}
	if got, err := read(b, "dir/0007"); err != nil || string(got) != "changed 2" {
		t.Errorf("%q, %v", got, err)
	}
}
