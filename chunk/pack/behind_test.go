package pack

import (
	"errors"
	"maps"
	"sync/atomic"
	"testing"

	"github.com/edgefs/edgefs/chunk"
)

// keyed is key n of a test, and where it lies in a generation.
func keyed(n int) Key {
	k := Key{}
	k.ID[0], k.ID[1], k.ID[2] = byte(n), byte(n>>8), byte(n>>16)
	return k
}

func placed(generation uint64) Entry { return Entry{Generation: generation, Class: chunk.Data} }

// content is all that an index says.
func content(t *testing.T, x Index) map[Key]Entry {
	t.Helper()
	all := map[Key]Entry{}
	must(t, x.All(func(k Key, e Entry) error {
		if _, twice := all[k]; twice {
			t.Errorf("%v is yielded twice", k.ID)
		}
		all[k] = e
		return nil
	}))
	for k, e := range all {
		found := false
		must(t, x.Lookup([]Key{k}, func(_ int, got Entry) { found = got == e }))
		if !found {
			t.Errorf("%v is in the index and is not found", k.ID)
		}
	}
	return all
}

func roomy() error { return nil }

func TestChangesOfAnIndexCountBeforeTheyAreBrought(t *testing.T) {
	under := NewMemoryIndex()
	must(t, under.Apply([]Pair{{keyed(1), placed(1)}, {keyed(2), placed(1)}, {keyed(3), placed(1)}}, nil))
	x := newBehind(under, roomy)
	must(t, x.Apply([]Pair{{keyed(2), placed(2)}, {keyed(4), placed(2)}}, []Key{keyed(1)}))
	want := map[Key]Entry{keyed(2): placed(2), keyed(3): placed(1), keyed(4): placed(2)}
	if got := content(t, x); !maps.Equal(got, want) {
		t.Errorf("it says %v, want %v", got, want)
	}
	must(t, x.Sync())
	if got := content(t, under); !maps.Equal(got, want) {
		t.Errorf("once synced the index behind says %v, want %v", got, want)
	}
	if got := content(t, under.durable); !maps.Equal(got, want) {
		t.Errorf("once synced a crash leaves %v, want %v", got, want)
	}
	must(t, x.Apply([]Pair{{keyed(5), placed(3)}}, []Key{keyed(2)}))
	must(t, x.Close())
	if got := content(t, under); len(got) != 3 || got[keyed(5)] != placed(3) {
		t.Errorf("once closed the index behind says %v", got)
	}
}

func TestManyChangesOfAnIndexAreBroughtByThemselves(t *testing.T) {
	under := NewMemoryIndex()
	x := newBehind(under, roomy)
	const n = 3 * behindMost // more than may wait
	for i := range n {
		must(t, x.Apply([]Pair{{keyed(i), placed(1)}}, nil))
	}
	if got := content(t, x); len(got) != n {
		t.Errorf("%d entries, want %d", len(got), n)
	}
	must(t, x.Close())
}

func TestAnIndexIsNotWrittenToWithoutRoom(t *testing.T) {
	under := NewMemoryIndex()
	var full atomic.Bool
	full.Store(true)
	x := newBehind(under, func() error {
		if full.Load() {
			return chunk.ErrFull
		}
		return nil
	})
	must(t, x.Apply([]Pair{{keyed(1), placed(1)}}, nil))
	if err := x.Sync(); !errors.Is(err, chunk.ErrFull) {
		t.Errorf("sync without room: %v", err)
	}
	must(t, x.Apply([]Pair{{keyed(2), placed(1)}}, []Key{keyed(1)}))
	if got := content(t, x); len(got) != 1 {
		t.Errorf("without room it says %v", got)
	}
	if got := content(t, under); len(got) != 0 {
		t.Errorf("without room the index behind has %v", got)
	}
	full.Store(false)
	must(t, x.Sync())
	if got := content(t, under); len(got) != 1 || got[keyed(2)] != placed(1) {
		t.Errorf("with room again the index behind says %v", got)
	}
	full.Store(true)
	must(t, x.Apply([]Pair{{keyed(3), placed(1)}}, nil))
	x.abandon()
	if got := content(t, under); len(got) != 1 {
		t.Errorf("given up without room, the index behind says %v", got)
	}
}

// failingIndex is an index that takes no changes.
type failingIndex struct{ Index }

var errTest = errors.New("it fails")

func (failingIndex) Apply([]Pair, []Key) error { return errTest }

func TestAnIndexThatTakesNoChangesFailsForGood(t *testing.T) {
	x := newBehind(failingIndex{NewMemoryIndex()}, roomy)
	must(t, x.Apply([]Pair{{keyed(1), placed(1)}}, nil))
	if err := x.Sync(); !errors.Is(err, errTest) {
		t.Errorf("sync: %v", err)
	}
	if err := x.Apply([]Pair{{keyed(2), placed(1)}}, nil); !errors.Is(err, errTest) {
		t.Errorf("a change after that: %v", err)
	}
	if got := content(t, x); len(got) != 1 {
		t.Errorf("it says %v", got)
	}
	must(t, x.Close())
}
