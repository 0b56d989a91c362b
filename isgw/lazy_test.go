package isgw_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/chunktest"
	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/isgw/transport/memnet"
	"github.com/edgefs/edgefs/segment"
)

// lazyBucket is one whose payload comes when it is read.
func lazyBucket() segment.Settings { return segment.Settings{} }

func fullBucket() segment.Settings { return segment.Settings{Full: true} }

// pair is a and b linked, with a bucket that a created.
func pair(t testing.TB, w *world, settings segment.Settings) (a, b *site) {
	t.Helper()
	a, b = w.at("a"), w.at("b")
	a.create("bkt", settings)
	w.link("a", "b")
	w.up("a", "b")
	w.up("b", "a")
	b.bucket("bkt")
	return a, b
}

func TestReadFetchesOnceAndKeeps(t *testing.T) {
	onBoth(t, func(t *testing.T, net *memnet.Network) {
		w := newWorld(t, net, "a", "b")
		a, b := pair(t, w, lazyBucket())
		for _, size := range []int{1, 100, 300 << 10, 5 << 20} { // inline manifests, and a tree
			key, body := fmt.Sprint(size), text(size)
			a.put("bkt", key, body)
			b.lists("bkt", key, size)
			if got := b.link("a").Bytes["payload"].Received; size == 1 && got != 0 {
				t.Errorf("%d bytes of payload came unasked", got)
			}
			b.reads("bkt", key, body)
			before := b.link("a").Fetches
			b.reads("bkt", key, body)
			if after := b.link("a").Fetches; after != before || before == 0 {
				t.Errorf("%s: second read: %d fetches after %d", key, after, before)
			}
		}
	})
}

func TestDamagedChunkIsRepairedFromAPeer(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, fullBucket())
		body := text(100)
		v := a.put("bkt", "k", body)
		b.lists("bkt", "k", 100)
		w.eventually("b holds it", func() error { return b.holdsAll("bkt") })
		id := v.Content.Entries()[0].ID
		a.store.Damage(a.Domain(), id)
		a.reads("bkt", "k", body)
		if got := a.link("b").Repaired; got != 1 {
			t.Errorf("repaired %d", got)
		}
		if missing, err := a.store.Open(a.Domain(), chunk.Data).Missing(t.Context(), []chunk.ID{id}); err != nil || len(missing) > 0 {
			t.Errorf("not durable again: %v, %v", missing, err)
		}
	})
}

// holdsAll says whether all payload of the bucket is here durably.
func (s *site) holdsAll(bucket string) error {
	b, err := s.Bucket(bucket)
	if err != nil {
		return err
	}
	for v, err := range s.Payload(s.w.t.Context(), b.Info().ID) {
		if err != nil {
			return err
		}
		o, err := s.Object(b.Info().ID, v)
		if err != nil {
			return err
		}
		for p, err := range o.Pieces(s.w.t.Context()) {
			if err != nil {
				return err
			}
			if missing, err := s.store.Open(s.Domain(), chunk.Data).Missing(s.w.t.Context(), []chunk.ID{p.ID}); err != nil || len(missing) > 0 {
				return fmt.Errorf("%s: %v is missing: %w", v.Key, p.ID, err)
			}
		}
	}
	return nil
}

// Nobody has it: 503 for the client, never a wrong byte, never 404.
func TestLostChunkIsUnavailable(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, lazyBucket())
		v := a.put("bkt", "k", text(100))
		b.lists("bkt", "k", 100)
		a.store.Damage(a.Domain(), v.Content.Entries()[0].ID)
		for _, s := range []*site{a, b} {
			if _, err := s.read("bkt", "k"); !errors.Is(err, chunk.ErrUnavailable) || errors.Is(err, chunk.ErrNotFound) {
				t.Errorf("%s: %v", s.id.Name, err)
			}
			if st := s.lazy.Status(); st.Lost == 0 {
				t.Errorf("%s: not counted as lost: %+v", s.id.Name, st)
			}
		}
	})
}

func TestReadWhilePeerIsAway(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, lazyBucket())
		a.put("bkt", "read", "had before")
		a.put("bkt", "unread", "not had")
		b.lists("bkt", "unread", 7)
		b.reads("bkt", "read", "had before")
		w.cut("a", "b")
		b.reads("bkt", "read", "had before")
		began := time.Now()
		_, err := b.read("bkt", "unread")
		if took := time.Since(began); !errors.Is(err, chunk.ErrUnavailable) || took > b.limit {
			t.Errorf("half-dead peer: after %v: %v", took, err)
		}
		time.Sleep(time.Minute)
		began = time.Now()
		_, err = b.read("bkt", "unread")
		if took := time.Since(began); !errors.Is(err, chunk.ErrUnavailable) || took > 0 || !strings.Contains(err.Error(), "cut") {
			t.Errorf("cut link: after %v: %v", took, err)
		}
		w.heal("a", "b")
		w.up("b", "a")
		b.reads("bkt", "unread", "not had")
	})
}

// The nearest peer does not answer: another one does.
func TestReadGoesToAnotherPeer(t *testing.T) {
	inVirtualTime(t, names("a b c"), func(t *testing.T, w *world) {
		w.at("a").create("bkt", segment.Settings{})
		for _, l := range []string{"a b", "b c", "a c"} {
			w.link(l[:1], l[2:])
			w.up(l[:1], l[2:])
		}
		w.at("a").put("bkt", "k", "body")
		w.at("b").lists("bkt", "k", 4)
		w.at("c").lists("bkt", "k", 4)
		w.at("b").reads("bkt", "k", "body")
		w.cut("a", "c")
		w.at("c").reads("bkt", "k", "body")
		if st := w.at("c").link("b"); st.Fetched != 1 {
			t.Errorf("from b: %+v", st)
		}
	})
}

// Many readers of one object ask once; one that gives up does not spoil it for the others.
func TestReadersShareAFetch(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, lazyBucket())
		body := text(100)
		a.put("bkt", "k", body)
		b.lists("bkt", "k", 100)
		w.cut("a", "b") // all come before an answer does
		obj, err := b.bucket("bkt").Open(t.Context(), "k", segment.VersionRef{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				p := make([]byte, 100)
				use := t.Context()
				if i%2 == 0 {
					use = ctx
				}
				_, err := obj.ReadAt(use, p, 0)
				switch {
				case i%2 == 0 && !errors.Is(err, context.Canceled):
					t.Errorf("cancelled reader: %v", err)
				case i%2 == 1 && (err != nil || string(p) != body):
					t.Errorf("reader: %v", err)
				}
			})
		}
		time.Sleep(b.limit / 4)
		cancel()
		time.Sleep(b.limit / 4)
		w.heal("a", "b")
		wg.Wait()
		if st := b.link("a"); st.Fetches != 1 || st.Fetched != 1 {
			t.Errorf("%+v", st)
		}
		if st := b.lazy.Status(); st.Waiting != 0 {
			t.Errorf("%d bytes still wait", st.Waiting)
		}
	})
}

// A store whose readers have all gone is not left behind.
func TestLastReaderGivesUp(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, lazyBucket())
		a.put("bkt", "k", "body")
		b.lists("bkt", "k", 4)
		w.cut("a", "b")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		obj, err := b.bucket("bkt").Open(t.Context(), "k", segment.VersionRef{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := obj.ReadAt(ctx, make([]byte, 4), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		w.heal("a", "b")
		b.reads("bkt", "k", "body") // a new fetch, not the one that was given up
	})
}

// The contract of a store, where no version is read: the store of what is here shines through.
func TestLazyStoreKeepsTheContract(t *testing.T) {
	chunktest.Run(t, func(t *testing.T) chunktest.Harness {
		d := memory.New()
		return chunktest.Harness{Opener: lazyOpener{isgw.NewLazy(isgw.LazyConfig{Chunks: d}), d, segment.Reading{}}, Damage: d.Damage}
	})
}

// lazyOpener reads at Data and writes at the class asked for, as a segment does.
type lazyOpener struct {
	l *isgw.Lazy
	d *memory.Device
	r segment.Reading
}

func (o lazyOpener) Open(d chunk.Domain, c chunk.Class) chunk.Store {
	return struct {
		reader
		writer
	}{o.l.Store(d, o.r), o.d.Open(d, c)}
}

type reader interface {
	Get(context.Context, []chunk.ID, func(chunk.Chunk) error) error
}

type writer interface {
	Put(context.Context, []chunk.Chunk) error
	Missing(context.Context, []chunk.ID) ([]chunk.ID, error)
}

// With a version but without peers, what is not here cannot be asked for: that is never absence.
func TestWithoutPeersMissingIsUnavailable(t *testing.T) {
	d := memory.New()
	domain := chunk.NewDomain([32]byte{1})
	held := domain.Make([]byte("held"))
	if err := d.Open(domain, chunk.Data).Put(t.Context(), []chunk.Chunk{held}); err != nil {
		t.Fatal(err)
	}
	s := isgw.NewLazy(isgw.LazyConfig{Chunks: d}).Store(domain, segment.Reading{Ref: segment.Ref{Bucket: segment.BucketID{1}, Key: "k"}})
	got := 0
	err := s.Get(t.Context(), []chunk.ID{domain.Name([]byte("absent")), held.ID()}, func(chunk.Chunk) error { got++; return nil })
	if !errors.Is(err, chunk.ErrUnavailable) || errors.Is(err, chunk.ErrNotFound) || got != 1 {
		t.Errorf("%d chunks, %v", got, err)
	}
}

// TestFetchedChunksAreKeptAsTheirBucketSays reads from a bucket whose content is to be compressed, of which small and large objects have theirs by different ways.
func TestFetchedChunksAreKeptAsTheirBucketSays(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, segment.Settings{Compression: chunk.Fast})
		for _, size := range []int{100, 300 << 10} {
			key, body := fmt.Sprint(size), text(size)
			v := a.put("bkt", key, body)
			b.lists("bkt", key, size)
			b.reads("bkt", key, body)
			o, err := b.Object(b.bucket("bkt").ID(), v)
			if err != nil {
				t.Fatal(err)
			}
			for p, err := range o.Pieces(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if p.Level == 0 && b.store.Wish(b.Domain(), p.ID) != chunk.Fast {
					t.Errorf("a piece of %d bytes of %s is kept as any", p.Size, key)
				}
			}
		}
	})
}
