package isgw_test

import (
	"fmt"
	"testing"

	"github.com/edgefs/edgefs/segment"
)

// Who changed a bucket's settings is told which peers may not know yet.
func TestSettingsArePendingUntilThePeerHasThem(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, lazyBucket())
		bkt := a.bucket("bkt")
		pending := func(at *site) error {
			if p := at.links.Pending(bkt.ID()); len(p) > 0 {
				return fmt.Errorf("pending at %v", p)
			}
			return nil
		}
		if err := pending(a); err != nil {
			t.Errorf("nothing was set: %v", err)
		}
		w.cut("a", "b")
		if err := bkt.Configure(t.Context(), func(s *segment.Settings) error { s.Policy = segment.Home; return nil }); err != nil {
			t.Fatal(err)
		}
		if p := a.links.Pending(bkt.ID()); len(p) != 1 || p[0] != b.ID() {
			t.Errorf("cut off: pending at %v", p)
		}
		w.heal("a", "b")
		w.eventually("a knows that b knows", func() error { return pending(a) })
		if got := b.bucket("bkt").Settings().Policy; got != segment.Home {
			t.Errorf("b has the policy %v", got)
		}
		if err := pending(b); err != nil {
			t.Errorf("as b sees it: %v", err)
		}
	})
}
