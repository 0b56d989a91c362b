package segment

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

var collectSeeds = flag.Int("collect-seeds", 0, "random lives of a segment that is collected; 0: 500, or 12 with -short")

// lifeOf is a random life of a segment, and what its oracle knows: the content of all keys, of the bucket and of its snapshots.
type lifeOf struct {
	*lone
	rng     *rand.Rand
	keys    map[string]map[string]int // bucket, or bucket@snapshot -> key -> blob
	writers []openWrite
	handles map[*FileHandle]openFile
	uploads []openUpload
	names   int
	inside  bool // a collection is under way
}

type openWrite struct {
	w    *Writer
	key  string
	blob int
}

type openFile struct{ key string }

type openUpload struct {
	u     Upload
	parts []int
}

const lifeBucket = "photos"

// TestALifeWithCollections lives random lives, with collections in the midst of which it goes on, restarts and power cuts. Whatever is reached is whole, and what is
// not is gone in the end.
func TestALifeWithCollections(t *testing.T) {
	n := *collectSeeds
	if n == 0 {
		n = 500
		if testing.Short() {
			n = 12
		}
	}
	for seed := range n {
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			l := &lifeOf{lone: newLone(t), rng: rand.New(rand.NewPCG(uint64(seed), 9)), keys: map[string]map[string]int{}, handles: map[*FileHandle]openFile{}}
			l.bucket(lifeBucket)
			l.keys[lifeBucket] = map[string]int{}
			for range 30 {
				l.step()
			}
			l.end()
		})
		if !ok {
			return
		}
	}
}

func (l *lifeOf) b() *Bucket {
	l.t.Helper()
	b, err := l.Bucket(lifeBucket)
	l.ok(err)
	return b
}

func (l *lifeOf) ok(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lifeOf) key() string { return fmt.Sprint("k", l.rng.IntN(6)) }

// blob is one of few, so that much is written again that is there, or was.
func (l *lifeOf) blob() int { return l.rng.IntN(12) }

func (l *lifeOf) step() {
	ctx := context.Background()
	now := l.keys[lifeBucket]
	switch n := l.rng.IntN(24); {
	case n < 5:
		k, c := l.key(), l.blob()
		l.put(l.b(), k, blob(c))
		now[k] = c
	case n < 8:
		k := l.key()
		l.delete(l.b(), k)
		delete(now, k)
	case n < 9:
		l.copyOne(ctx)
	case n < 11:
		w := openWrite{l.b().Writer(ctx, -1), l.key(), l.blob()}
		_, err := w.w.Write(blob(w.blob))
		l.ok(err)
		l.writers = append(l.writers, w)
	case n < 13 && len(l.writers) > 0:
		w := l.writers[0]
		l.writers = l.writers[1:]
		if l.rng.IntN(3) > 0 {
			_, err := w.w.Commit(ctx, w.key, Attrs{}, Cond{})
			l.ok(err)
			now[w.key] = w.blob
		}
		w.w.Abort()
	case n < 15:
		l.snapshot(ctx)
	case n < 16:
		_, err := l.b().Fold(ctx)
		l.ok(err)
	case n < 17:
		l.upload(ctx)
	case n < 18:
		l.file(ctx)
	case n < 19:
		l.ok(l.checkpoint(ctx))
	case n < 20 && !l.inside:
		l.forgetOpen()
		if l.rng.IntN(2) == 0 {
			l.restart()
		} else {
			l.cutPower(l.rng)
		}
		l.check()
	case n < 23 && !l.inside:
		l.collectWithin()
		l.check()
	}
}

// collectWithin goes on living while a collection runs.
func (l *lifeOf) collectWithin() {
	l.inside = true
	_, err := l.Collect(context.Background(), CollectOptions{Progress: func(CollectProgress) {
		for range l.rng.IntN(3) {
			l.step()
		}
	}})
	l.inside = false
	l.ok(err)
}

func (l *lifeOf) copyOne(ctx context.Context) {
	now := l.keys[lifeBucket]
	at := slices.Sorted(maps.Keys(l.keys))[l.rng.IntN(len(l.keys))]
	src, err := l.Bucket(at)
	l.ok(err)
	for _, k := range slices.Sorted(maps.Keys(l.keys[at])) {
		o, err := src.Open(ctx, k, VersionRef{})
		l.ok(err)
		to := l.key()
		_, err = l.b().Copy(ctx, o, to, Attrs{}, Cond{})
		l.ok(err)
		now[to] = l.keys[at][k]
		return
	}
}

func (l *lifeOf) snapshot(ctx context.Context) {
	for _, at := range slices.Sorted(maps.Keys(l.keys)) {
		if at == lifeBucket || l.rng.IntN(3) > 0 {
			continue
		}
		l.ok(l.b().DeleteSnapshot(ctx, at[len(lifeBucket)+1:]))
		delete(l.keys, at)
		return
	}
	l.names++
	name := fmt.Sprint("s-", l.names)
	info, err := l.b().CreateSnapshot(ctx, name)
	l.ok(err)
	l.keys[lifeBucket+"@"+name] = maps.Clone(l.keys[lifeBucket])
	if l.rng.IntN(2) == 0 {
		_, err := l.b().WaitSnapshot(ctx, info.ID)
		l.ok(err)
	}
}

// upload begins one, adds or replaces a part, completes or aborts one.
func (l *lifeOf) upload(ctx context.Context) {
	switch n := l.rng.IntN(4); {
	case len(l.uploads) == 0 || n == 0 && len(l.uploads) < 3:
		u, err := l.b().CreateUpload(ctx, l.key(), Attrs{})
		l.ok(err)
		l.uploads = append(l.uploads, openUpload{u: u})
	case n < 3:
		u := &l.uploads[l.rng.IntN(len(l.uploads))]
		c := l.blob()
		number := 1
		w, err := l.b().PartWriter(ctx, u.u.Key, u.u.ID, number, -1)
		l.ok(err)
		_, err = w.Write(blob(c))
		l.ok(err)
		_, err = w.CommitPart(ctx, Attrs{})
		l.ok(err)
		u.parts = []int{c}
	default:
		u := l.uploads[0]
		l.uploads = l.uploads[1:]
		if len(u.parts) == 0 {
			l.ok(l.b().AbortUpload(ctx, u.u.Key, u.u.ID))
			return
		}
		parts, _, err := l.b().Parts(ctx, u.u.Key, u.u.ID, 0, 10)
		l.ok(err)
		_, err = l.b().CompleteUpload(ctx, u.u.Key, u.u.ID, []PartRef{{1, parts[0].ETag}}, Completion{}, Cond{})
		l.ok(err)
		l.keys[lifeBucket][u.u.Key] = u.parts[0]
	}
}

// file opens a file, or writes one that is open whole and closes it.
func (l *lifeOf) file(ctx context.Context) {
	now := l.keys[lifeBucket]
	for h, f := range l.handles {
		delete(l.handles, h)
		defer h.Close()
		c := l.blob()
		l.ok(h.Truncate(0))
		_, err := h.WriteAt(ctx, blob(c), 0)
		l.ok(err)
		if _, err := h.Flush(ctx, nil); err == nil {
			now[f.key] = c
		} else if !errors.Is(err, ErrStaleFile) {
			l.t.Fatal(err)
		}
		return
	}
	for _, k := range slices.Sorted(maps.Keys(now)) {
		h, err := l.b().Files().Open(ctx, k)
		l.ok(err)
		_, err = h.WriteAt(ctx, []byte("x"), 3)
		l.ok(err)
		l.handles[h] = openFile{k}
		return
	}
}

// forgetOpen gives up what does not survive a restart.
func (l *lifeOf) forgetOpen() {
	for _, w := range l.writers {
		w.w.Abort()
	}
	for h := range l.handles {
		h.Close()
	}
	l.writers = nil
	clear(l.handles)
}

// check reads everything that there must be.
func (l *lifeOf) check() {
	l.t.Helper()
	for at, keys := range l.keys {
		b, err := l.Bucket(at)
		l.ok(err)
		for k, c := range keys {
			if got, err := read(b, k); err != nil || !bytes.Equal(got, blob(c)) {
				l.t.Fatalf("%s %s: %d bytes, want blob %d, %v", at, k, len(got), c, err)
			}
		}
		l.ok(b.Scrub(context.Background()))
	}
}

// end ends all that is under way, and looks for garbage.
func (l *lifeOf) end() {
	l.t.Helper()
	l.forgetOpen()
	l.collect()
	l.wantNoGarbage()
	if found := checked(l.t, l.Segment); len(found) > 0 {
		l.t.Errorf("a check finds %v", found)
	}
	l.check()
	l.restart()
	l.check()
}
