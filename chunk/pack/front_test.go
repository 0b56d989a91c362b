package pack

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
)

// frontKeys are keys of which several share a place.
func frontKeys(n int) []Key {
	keys := make([]Key, n)
	for i := range keys {
		keys[i].ID[0], keys[i].ID[9] = byte(i%3), byte(i)
	}
	return keys
}

func entryAt(offset int64) Entry { return Entry{Generation: 1, Offset: offset, Class: chunk.Data} }

// counted counts the questions that go on to the index behind.
type counted struct {
	Index
	asked   atomic.Int64
	between func() // called once an answer is there, before it is given
}

func (c *counted) Lookup(keys []Key, found func(int, Entry)) error {
	c.asked.Add(int64(len(keys)))
	return c.Index.Lookup(keys, func(i int, e Entry) {
		if c.between != nil {
			c.between()
		}
		found(i, e)
	})
}

func newTestFront(t *testing.T, behind Index) *front {
	f := newFront(behind, 0, recentPlaces)
	_ = f.learn(t.Context(), f.All, 0) // of an index that cannot be read it claims nothing
	return f
}

func lookup(t *testing.T, x Index, keys []Key) map[int]Entry {
	t.Helper()
	got, last := map[int]Entry{}, -1
	must(t, x.Lookup(keys, func(i int, e Entry) {
		if i <= last {
			t.Errorf("%d is found after %d", i, last)
		}
		got[i], last = e, i
	}))
	return got
}

func TestFrontAnswersAsTheIndexBehind(t *testing.T) {
	behind := NewMemoryIndex()
	keys := frontKeys(40)
	must(t, behind.Apply([]Pair{{keys[0], entryAt(1)}, {keys[1], entryAt(2)}}, nil))
	f := newTestFront(t, behind)
	rng := rand.New(rand.NewPCG(1, 2))
	for step := range int64(5000) {
		k := keys[rng.IntN(len(keys))]
		switch rng.IntN(4) {
		case 0:
			must(t, f.Apply([]Pair{{k, entryAt(step)}}, nil))
		case 1:
			must(t, f.Apply(nil, []Key{k}))
		case 2:
			if rng.IntN(200) == 0 {
				must(t, f.Reset())
			}
		default:
			some := make([]Key, rng.IntN(6))
			for i := range some {
				some[i] = keys[rng.IntN(len(keys))]
			}
			got, want := lookup(t, f, some), lookup(t, behind, some)
			if len(got) != len(want) {
				t.Fatalf("step %d: %v, want %v", step, got, want)
			}
			for i, e := range want {
				if got[i] != e {
					t.Fatalf("step %d: %d is %v, want %v", step, i, got[i], e)
				}
			}
		}
	}
}

func TestFrontAsksOnlyWhatItCannotKnow(t *testing.T) {
	behind := &counted{Index: NewMemoryIndex()}
	held, absent := frontKeys(4)[:2], frontKeys(4)[2:]
	must(t, behind.Apply([]Pair{{held[0], entryAt(1)}}, nil))
	f := newTestFront(t, behind)
	must(t, f.Apply([]Pair{{held[1], entryAt(2)}}, nil))
	for range 3 {
		lookup(t, f, append(held, absent...))
	}
	if n := behind.asked.Load(); n != 2 {
		t.Errorf("%d questions went on, want 2", n)
	}
}

// blind is an index that cannot be read through.
type blind struct{ Index }

func (blind) All(func(Key, Entry) error) error { return errors.New("no") }

func TestFrontThatCouldNotLearnAsks(t *testing.T) {
	behind := NewMemoryIndex()
	k := frontKeys(1)
	must(t, behind.Apply([]Pair{{k[0], entryAt(7)}}, nil))
	if got := lookup(t, newTestFront(t, blind{behind}), k); got[0] != entryAt(7) {
		t.Errorf("found %v", got)
	}
}

func TestFrontDoesNotKeepAnAnswerThatChangedMeanwhile(t *testing.T) {
	behind := &counted{Index: NewMemoryIndex()}
	k := frontKeys(1)
	f := newTestFront(t, behind)
	must(t, f.Apply([]Pair{{k[0], entryAt(1)}}, nil))
	unlocked := make(chan struct{})
	behind.between = func() {
		behind.between = nil
		go func() {
			defer close(unlocked)
			if err := f.Apply([]Pair{{k[0], entryAt(2)}}, nil); err != nil {
				t.Error(err)
			}
		}()
	}
	slow := &slowIndex{behind, unlocked}
	f.Index = slow
	lookup(t, f, k)
	if got := lookup(t, f, k); got[0] != entryAt(2) {
		t.Errorf("found %v after the change", got)
	}
}

// slowIndex gives its answers when wait is closed.
type slowIndex struct {
	Index
	wait chan struct{}
}

func (s *slowIndex) Lookup(keys []Key, found func(int, Entry)) error {
	entries := map[int]Entry{}
	if err := s.Index.Lookup(keys, func(i int, e Entry) { entries[i] = e }); err != nil {
		return err
	}
	<-s.wait
	for i := range keys {
		if e, ok := entries[i]; ok {
			found(i, e)
		}
	}
	return nil
}

func TestFrontLearnsWhileTheIndexChanges(t *testing.T) {
	behind := NewMemoryIndex()
	all := chunktest.IDs(chunktest.Chunks(crashDomain, 1, 3000, 16))
	key := func(i int) Key { return Key{ID: all[i]} }
	for i := range 1000 {
		must(t, behind.Apply([]Pair{{key(i), entryAt(int64(i))}}, nil))
	}
	f := newFront(behind, 0, recentPlaces)
	var writers sync.WaitGroup
	writers.Go(func() {
		if err := f.learn(t.Context(), f.All, 0); err != nil {
			t.Error(err)
		}
	})
	for w := range 2 {
		writers.Go(func() {
			for i := 1000 + w; i < 3000; i += 2 {
				if err := f.Apply([]Pair{{key(i), entryAt(int64(i))}}, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	for i := range all {
		if got := lookup(t, f, []Key{key(i)}); got[0] != entryAt(int64(i)) {
			t.Fatalf("%d: %v", i, got)
		}
	}
}

func TestSeenGrowsAndStaysRight(t *testing.T) {
	var s seen
	s.grow(64)
	ids := chunktest.IDs(chunktest.Chunks(crashDomain, 5, 4000, 8))
	for _, id := range ids[:2000] {
		s.add(Key{ID: id})
	}
	if s.lacks(Key{ID: ids[3000]}) {
		t.Error("it says what an index lacks before it knows all of it")
	}
	s.complete()
	wrong := 0
	for i, id := range ids {
		if lacks := s.lacks(Key{ID: id}); lacks && i < 2000 {
			t.Fatalf("key %d is held", i)
		} else if !lacks && i >= 2000 {
			wrong++
		}
	}
	if wrong > 400 { // a twentieth would be five filters of a hundredth each
		t.Errorf("%d of 2000 are taken for held", wrong)
	}
}

func TestFrontThatIsEndedClaimsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	behind := NewMemoryIndex()
	for i, k := range frontKeys(100) {
		must(t, behind.Apply([]Pair{{k, entryAt(int64(i))}}, nil))
	}
	cancel()
	f := newFront(behind, 0, recentPlaces)
	if err := f.learn(ctx, f.All, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if f.seen.whole {
		t.Error("it was ended, and believes that it knows all")
	}
}
