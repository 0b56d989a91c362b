package segment

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// TestAHeadIsThatOfItsVersionsHoweverManyChange changes random versions of a key, all at once and one after the other.
func TestAHeadIsThatOfItsVersionsHoweverManyChange(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var before, after []*Version
		var changes []change
		for id := uint64(1 + rng.IntN(12)); id > 0; id-- { // newest first
			version := func() *Version {
				if rng.IntN(3) == 0 {
					return nil
				}
				v := madeVersion("k", id)
				v.Superseded, v.Null, v.Marker = rng.IntN(3) > 0, rng.IntN(8) == 0, rng.IntN(4) == 0
				return v
			}
			was := version()
			now := was
			if rng.IntN(2) == 0 {
				now = version()
			}
			if was != now {
				changes = append(changes, change{was, now})
			}
			for _, v := range []struct {
				held *Version
				in   *[]*Version
			}{{was, &before}, {now, &after}} {
				if v.held != nil {
					*v.in = append(*v.in, v.held)
				}
			}
		}
		newest := func() (*Version, error) {
			if len(after) == 0 {
				return nil, nil
			}
			return after[0], nil
		}
		want := headOf(after)
		one := headOf(before).changing()
		for _, ch := range changes {
			one.takeNext(ch)
		}
		byOne, err := one.done(newest)
		if err != nil {
			t.Fatal(err)
		}
		atOnce, err := headOf(before).after(changes, newest)
		if err != nil {
			t.Fatal(err)
		}
		for how, got := range map[string]head{"one by one": byOne, "at once": atOnce} {
			if got.count != want.count || !slices.EqualFunc(got.versions, want.versions, func(a, b *Version) bool { return reflect.DeepEqual(a, b) }) {
				t.Fatalf("seed %d, %s: %d versions, of which %v; want %d, %v", seed, how, got.count, got.versions, want.count, want.versions)
			}
		}
	}
}

// TestAHeadHoldsLittleOfManyChanges: a peer may bring a million versions of one key.
func TestAHeadHoldsLittleOfManyChanges(t *testing.T) {
	c, most := head{}.changing(), 0
	for id := uint64(1000); id > 0; id-- {
		v := madeVersion("k", id)
		v.Superseded = id != 500
		c.takeNext(change{nil, v})
		most = max(most, len(c.now.versions))
	}
	h, err := c.done(nil)
	if err != nil || h.count != 1000 || len(h.versions) != 2 || most > 2 {
		t.Errorf("%d versions, %d in the head, up to %d of them on the way; %v", h.count, len(h.versions), most, err)
	}
}
