package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

// mapStore keeps chunks in memory, beyond crashes: what is durable here is not what these tests are about.
type mapStore struct {
	mu     *sync.Mutex
	chunks map[chunk.ID]chunk.Chunk
}

func newMapStore() mapStore { return mapStore{new(sync.Mutex), map[chunk.ID]chunk.Chunk{}} }

func (m mapStore) Open(chunk.Domain, chunk.Class) chunk.Store { return m }
func (m mapStore) Hold(_ chunk.Domain, cs []chunk.Chunk)      { _ = m.Put(context.Background(), cs) }
func (m mapStore) Held() int64                                { return 0 }
func (m mapStore) Settle(context.Context) error               { return nil }

func (m mapStore) Put(_ context.Context, cs []chunk.Chunk) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range cs {
		m.chunks[c.ID()] = c.Clone()
	}
	return nil
}

func (m mapStore) Get(_ context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	missing := 0
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			continue
		}
		m.mu.Lock()
		c, ok := m.chunks[id]
		m.mu.Unlock()
		if !ok {
			missing++
			continue
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d: %w", missing, len(ids), chunk.ErrNotFound)
	}
	return nil
}

// lose takes chunks away and returns those that there were; Put brings them back.
func (m mapStore) lose(ids ...chunk.ID) (lost []chunk.Chunk) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if c, ok := m.chunks[id]; ok {
			lost = append(lost, c)
			delete(m.chunks, id)
		}
	}
	return lost
}

func (m mapStore) Missing(_ context.Context, ids []chunk.ID) (out []chunk.ID, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if _, ok := m.chunks[id]; !ok {
			out = append(out, id)
		}
	}
	return out, nil
}

// world is a federation in one process. The test is the network: a feed or a sync happens when it is called; and snapshots have roots when it asks for them.
type world struct {
	t     testing.TB
	ctx   context.Context
	sites []*site
	now   time.Time
	lossy bool // the next answer of a home is lost
	slow  bool // what a home did does not come before its answer
}

type site struct {
	*Segment
	w     *world
	cfg   Config
	fs    *vfs.Crash
	skew  time.Duration
	syncs int
	peers map[string]bool   // up
	old   map[BucketID]bool // buckets that are written by later builds than the site's
}

func newWorld(t testing.TB, names ...string) *world { return newSeededWorld(t, 1, names...) }

func newSeededWorld(t testing.TB, seed uint64, names ...string) *world {
	w := &world{t: t, ctx: context.Background(), now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	for i, name := range names {
		s := &site{w: w, fs: vfs.NewCrash(), peers: map[string]bool{}, old: map[BucketID]bool{}}
		for _, other := range names {
			s.peers[other] = other != name
		}
		s.cfg = Config{FS: s.fs, Dir: "/" + name, ID: ID(i + 1), Name: name, Chunks: newMapStore(), Secret: [32]byte{7},
			Clock: func() time.Time { return w.now.Add(s.skew) }, LogFileSize: 1 << 20, Forward: s.forward, ForwardPatience: 1, sealsWait: true, Rand: rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(i)})}
		s.cfg.LosersEvery = 1000 * time.Hour
		s.open()
		w.sites = append(w.sites, s)
	}
	t.Cleanup(func() {
		for _, s := range w.sites {
			if err := s.Close(w.ctx); err != nil {
				t.Errorf("close %s: %v", s.Name(), err)
			}
		}
	})
	return w
}

func (s *site) open() {
	s.w.t.Helper()
	seg, err := Open(s.w.ctx, s.cfg)
	if err != nil {
		s.w.t.Fatalf("open %s: %v", s.cfg.Name, err)
	}
	s.Segment = seg
}

func (s *site) restart() {
	s.w.t.Helper()
	if err := s.Close(s.w.ctx); err != nil {
		s.w.t.Fatalf("close %s: %v", s.cfg.Name, err)
	}
	s.open()
}

func (w *world) site(name string) *site {
	for _, s := range w.sites {
		if s.Name() == name {
			return s
		}
	}
	w.t.Fatalf("no site %q", name)
	return nil
}

func (w *world) tick(d time.Duration) { w.now = w.now.Add(d) }

// sync makes r adopt what s has of a bucket.
func (w *world) sync(r, s *site, id BucketID) error {
	r.syncs++
	if r.old[id] {
		return fmt.Errorf("sync of a later build's bucket: %w", ErrForeign)
	}
	for _, ref := range r.Beginnings(id) {
		if err := w.bring(r, s, ref); err != nil && ref.Bucket == id {
			return err
		}
	}
	o, err := s.Offer(w.ctx, id)
	if err != nil {
		return err
	}
	if r.bucket(id) == nil {
		return nil // deleted meanwhile, or not known yet
	}
	return r.Adopt(w.ctx, s.ID(), id, o, s.cfg.Chunks.(mapStore))
}

// bring brings r the metadata of a snapshot, or what a branch begins with, that s has.
func (w *world) bring(r, s *site, ref SnapshotRef) error {
	if _, err := s.OfferSnapshot(w.ctx, ref); err != nil {
		return err
	}
	return r.AdoptSnapshot(w.ctx, ref, s.cfg.Chunks.(mapStore))
}

// begin begins the branches that have not begun at r and have at s.
func (w *world) begin(r, s *site) error {
	missing, err := r.MissingSnapshots(w.ctx)
	for _, ref := range missing {
		if !slices.Contains(r.Beginnings(ref.Bucket), ref) && r.baseNamed(ref) == nil {
			continue // of a snapshot
		}
		if err := w.bring(r, s, ref); err != nil && !errors.Is(err, ErrNoSuchSnapshot) {
			return err
		}
	}
	return err
}

// syncOrStop passes over a bucket that cannot be synced.
func (w *world) syncOrStop(r, s *site, id BucketID) error {
	err := w.sync(r, s, id)
	if errors.Is(err, ErrForeign) {
		return r.PassOver(w.ctx, s.ID(), id)
	}
	return err
}

// repay syncs what r's feed from s passes over.
func (w *world) repay(r, s *site) error {
	for _, d := range r.Debts(s.ID()) {
		err := w.syncOrStop(r, s, d.Bucket)
		if s.bucket(d.Bucket) == nil && errors.Is(err, ErrNoSuchBucket) {
			continue // it was restored to a time before that: it will learn of the bucket
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// arriving is how a site's build sees what a feed brings: a record of a later build has another format.
func (s *site) arriving(items []FeedItem) []FeedItem {
	for i := range items {
		if s.old[items[i].Bucket] && len(items[i].Record) > 0 {
			items[i].Record = append([]byte{recordFieldFormat << 3, 100}, items[i].Record[2:]...)
		}
	}
	return items
}

// take makes r receive what a feed brings, as a link does.
func (w *world) take(r, s *site, items []FeedItem, to Cursor) error {
	items = r.arriving(items)
	var last BucketID
	for {
		done, err := r.Receive(w.ctx, s.ID(), items, to)
		items = items[done:]
		var doubt *DoubtError
		var stop *StopError
		switch {
		case errors.As(err, &stop):
			err = r.PassOver(w.ctx, s.ID(), stop.Bucket)
		case errors.As(err, &doubt) && done == 0 && doubt.Bucket == last:
			err = r.PassOver(w.ctx, s.ID(), items[0].Bucket)
		case errors.As(err, &doubt):
			last = doubt.Bucket
			err = w.syncOrStop(r, s, last)
		default:
			return err
		}
		if err != nil {
			return err
		}
	}
}

// pull brings r all that s has, by the feed where that serves.
func (w *world) pull(r, s *site) error {
	cur, ok := r.Cursor(s.ID())
	if !ok || cur.Inc != s.Origin().Inc {
		return w.syncAll(r, s)
	}
	for cur.Pos < s.LogEnd() {
		items, next, err := s.FeedFrom(w.ctx, cur.Pos, 1<<16)
		if errors.Is(err, ErrLogCut) {
			return w.syncAll(r, s)
		}
		if err != nil {
			return err
		}
		if err := w.take(r, s, items, Cursor{s.Origin().Inc, next}); err != nil {
			return err
		}
		cur.Pos = next
	}
	return nil
}

func (w *world) syncAll(r, s *site) error {
	to := Cursor{s.Origin().Inc, s.LogEnd()}
	if err := w.syncOrStop(r, s, FederationBucket); err != nil {
		return err
	}
	linked := slices.SortedFunc(maps.Keys(s.LinkedBuckets()), func(a, b BucketID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range linked {
		if err := w.syncOrStop(r, s, id); err != nil {
			return err
		}
	}
	return r.SetCursor(w.ctx, s.ID(), to)
}

// settle exchanges everything between all sites that are linked.
func (w *world) settle() {
	w.t.Helper()
	for range 3 * len(w.sites) {
		for _, r := range w.sites {
			for _, s := range w.sites {
				if r == s || !r.peers[s.Name()] || !s.peers[r.Name()] {
					continue
				}
				if err := errors.Join(w.pull(r, s), w.begin(r, s), w.repay(r, s)); err != nil {
					w.t.Fatalf("%s pulls from %s: %v", r.Name(), s.Name(), err)
				}
			}
		}
	}
}

// roots are the folded roots of a bucket at all sites.
func (w *world) roots(id BucketID) []chunk.ID {
	w.t.Helper()
	var out []chunk.ID
	for _, s := range w.sites {
		b, err := s.BucketByID(id)
		if err != nil {
			w.t.Fatal(err)
		}
		root, err := b.Fold(w.ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, root)
	}
	return out
}

func (s *site) put(bucket, key, data string) Version {
	s.w.t.Helper()
	b, err := s.Bucket(bucket)
	if err != nil {
		s.w.t.Fatal(err)
	}
	v, err := b.Put(s.w.ctx, key, Attrs{}, Cond{}, strings.NewReader(data))
	if err != nil {
		s.w.t.Fatal(err)
	}
	return v
}

func (s *site) read(b *Bucket, key string, ref VersionRef) (string, error) {
	o, err := b.Open(s.w.ctx, key, ref)
	if err != nil {
		return "", err
	}
	return s.content(o)
}

func (s *site) content(o *Object) (string, error) {
	p := make([]byte, o.v.Size())
	if _, err := o.ReadAt(s.w.ctx, p, 0); err != nil && err != io.EOF {
		return "", err
	}
	return string(p), nil
}

// foldAll folds every bucket.
func (s *Segment) foldAll(ctx context.Context) error {
	for _, b := range s.allBuckets() {
		if _, err := b.Fold(ctx); err != nil {
			return err
		}
	}
	return nil
}
