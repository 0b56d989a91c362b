package isgw_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/edgefs/edgefs/segment"
)

// A batch of the feed is one log entry with many writes: a fold that falls into its midst must not take those not yet applied for folded.
func TestFoldsWhileABatchIsApplied(t *testing.T) {
	w := newWorld(t, inMemory(), "a", "b")
	a, b := w.at("a"), w.at("b")
	a.create("bkt", segment.DefaultSettings())
	for i := range 1000 {
		a.put("bkt", fmt.Sprint(i), "")
	}
	stop := make(chan struct{})
	var folds sync.WaitGroup
	folds.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, info := range b.Buckets() {
				if _, err := b.bucket(info.Name).Fold(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for pos := uint64(1); pos < a.LogEnd(); {
		items, next, err := a.FeedFrom(t.Context(), pos, 8<<10)
		if err == nil {
			_, err = b.Receive(t.Context(), a.id.Segment, items, segment.Cursor{Inc: a.Origin().Inc, Pos: next})
		}
		var doubt *segment.DoubtError
		switch {
		case errors.As(err, &doubt): // the bucket is in what was just committed
			next = items[doubt.Item].Pos
		case err != nil:
			t.Fatal(err)
		}
		pos = next
	}
	close(stop)
	folds.Wait()
	w.converge("bkt", "a", "b")
}
