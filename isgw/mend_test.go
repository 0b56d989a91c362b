package isgw_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw/identity/identitytest"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// treeChunk is one chunk of a bucket's state, and those that it names.
type treeChunk struct {
	id       chunk.ID
	children []chunk.ID
}

// chunkHere reads a chunk of class Meta as it is on the medium.
func (s *site) chunkHere(id chunk.ID) (data []byte, err error) {
	err = s.store.Open(s.Domain(), chunk.Meta).Get(s.w.t.Context(), []chunk.ID{id}, func(c chunk.Chunk) error {
		data = c.Clone().Data()
		return nil
	})
	return data, err
}

// trees are all chunks of the bucket's last fold, the root chunk first.
func (s *site) trees(bucket string) (all []treeChunk) {
	s.w.t.Helper()
	root := s.bucket(bucket).Stats().Root
	for queue := []chunk.ID{root}; len(queue) > 0; queue = queue[1:] {
		data, err := s.chunkHere(queue[0])
		if err != nil {
			s.w.t.Fatal(err)
		}
		children, err := segment.NodeChildren(data)
		if queue[0] == root {
			children, err = segment.RootChildren(data)
		}
		if err != nil {
			s.w.t.Fatal(err)
		}
		all = append(all, treeChunk{queue[0], children})
		queue = append(queue, children...)
	}
	return all
}

// lastBelow is the last leaf, or value, of the tree whose root is all[i]: 1 for the heads, 2 for the history.
func lastBelow(all []treeChunk, i int) treeChunk {
	for len(all[i].children) > 0 {
		last := all[i].children[len(all[i].children)-1]
		i = slices.IndexFunc(all, func(c treeChunk) bool { return c.id == last })
	}
	return all[i]
}

// damage spoils chunks, and starts the segment anew: it holds nothing of them in memory.
func (s *site) damage(all []treeChunk) {
	s.w.t.Helper()
	s.stop()
	for _, c := range all {
		s.store.Damage(s.Domain(), c.id)
	}
	s.start()
}

// fill makes a bucket whose trees have several levels and values that are chunks of their own, alike at a and b.
func (w *world) fill(bucket string, keys int) {
	w.t.Helper()
	a := w.at("a")
	b := a.bucket(bucket)
	for i := range keys {
		attrs := segment.Attrs{}
		if i%10 == 0 {
			attrs.Meta = map[string]string{"long": strings.Repeat(fmt.Sprint(i), 400)}
		}
		if _, err := b.Put(w.t.Context(), fmt.Sprintf("k%04d", i), attrs, segment.Cond{}, strings.NewReader(fmt.Sprint("body of ", i))); err != nil {
			w.t.Fatal(err)
		}
	}
	w.converge(bucket, "a", "b")
}

// listsAll says whether the site lists so many keys and knows each by its history, too.
func (s *site) listsAll(bucket string, keys int) error {
	b, err := s.Bucket(bucket)
	if err != nil {
		return err
	}
	page, err := b.List(s.w.t.Context(), segment.ListOptions{Limit: keys + 1})
	if err != nil {
		return err
	}
	versions, err := b.ListVersions(s.w.t.Context(), segment.ListVersionsOptions{Limit: keys + 1})
	if err == nil && (len(page.Entries) != keys || len(versions.Entries) != keys) {
		err = fmt.Errorf("%d keys, %d versions, want %d", len(page.Entries), len(versions.Entries), keys)
	}
	return err
}

func TestDamagedTreesAreMendedFromAPeer(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		const keys = 1000
		a, b := pair(t, w, fullBucket())
		w.fill("bkt", keys)
		all := a.trees("bkt")
		if len(all) < 100 {
			t.Fatalf("%d chunks", len(all))
		}
		a.damage(all)
		w.up("a", "b")
		if err := a.listsAll("bkt", keys); err != nil {
			t.Fatal(err)
		}
		a.reads("bkt", "k0500", "body of 500")
		if got, want := a.link("b").Repaired, uint64(len(all)-1); got < want { // the root chunk's bytes are here
			t.Errorf("%d repaired, want %d", got, want)
		}
		for _, c := range all[1:] {
			if _, err := a.chunkHere(c.id); err != nil {
				t.Errorf("not durable again: %v", err)
			}
		}
		b.stop()
		a.stop()
		a.start()
		if err := a.listsAll("bkt", keys); err != nil {
			t.Errorf("later, alone: %v", err)
		}
		b.start()
		a.put("bkt", "later", "x")
		b.lists("bkt", "later", 1)
		w.converge("bkt", "a", "b")
	})
}

// Nobody has asked for what is damaged: it is found by who looks.
func TestScrubMends(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, _ := pair(t, w, lazyBucket())
		w.fill("bkt", 300)
		all := a.trees("bkt")[1:]
		if err := a.listsAll("bkt", 300); err != nil { // into memory
			t.Fatal(err)
		}
		for _, c := range all {
			a.store.Damage(a.Domain(), c.id)
		}
		if err := a.bucket("bkt").Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := a.link("b").Repaired; got != uint64(len(all)) {
			t.Errorf("%d repaired of %d", got, len(all))
		}
		w.cut("a", "b")
		a.store.Damage(a.Domain(), all[1].id)
		if err := a.bucket("bkt").Scrub(t.Context()); !errors.Is(err, chunk.ErrUnavailable) || len(a.Ailing()) != 1 {
			t.Errorf("with nobody to ask: %v, %d ail", err, len(a.Ailing()))
		}
		w.heal("a", "b")
		w.up("a", "b")
		time.Sleep(2 * time.Minute)
		if len(a.Ailing()) != 0 || a.bucket("bkt").Scrub(t.Context()) != nil {
			t.Error("it still ails")
		}
	})
}

// The root chunk is read by peers only; its bytes are known here.
func TestADamagedRootIsWrittenAnew(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, _ := pair(t, w, lazyBucket())
		w.fill("bkt", 10)
		root := a.trees("bkt")[:1]
		a.damage(root)
		if _, err := a.Offer(t.Context(), a.bucket("bkt").Info().ID); err != nil {
			t.Fatal(err)
		}
		if _, err := a.chunkHere(root[0].id); err != nil {
			t.Error(err)
		}
	})
}

// Where writes went on at both, the rest of the trees is the same.
func TestNodesThatBothHaveAreMendedThoughWritesGoOn(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		const keys = 1000
		a, b := pair(t, w, lazyBucket())
		w.fill("bkt", keys)
		var leaves []treeChunk
		for _, c := range a.trees("bkt") {
			if data, err := a.chunkHere(c.id); err != nil {
				t.Fatal(err)
			} else if len(c.children) == 0 || data[2] == 0 {
				leaves = append(leaves, c)
			}
		}
		leaves = leaves[1:] // not the root chunk
		w.cut("a", "b")
		a.put("bkt", "k0001", "of a")
		b.put("bkt", "k0999", "of b")
		if _, err := b.bucket("bkt").Fold(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.damage(leaves)
		w.heal("a", "b")
		w.up("a", "b")
		time.Sleep(5 * time.Second) // a could not apply its own last record when it started
		a.reads("bkt", "k0500", "body of 500")
		a.lists("bkt", "k0001", 4)
		if got := a.link("b").Repaired; got == 0 {
			t.Error("nothing was repaired")
		}
	})
}

// Nobody has it: the bucket answers that it is unavailable, the others go on, and it comes back without a restart.
func TestWhatNobodyHasIsUnavailableUntilSomebodyHasIt(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, fullBucket())
		a.create("other", fullBucket())
		w.fill("bkt", 300)
		all := a.trees("bkt")[1:]
		right := map[chunk.ID][]byte{}
		for _, c := range all {
			var err error
			if right[c.id], err = b.chunkHere(c.id); err != nil {
				t.Fatal(err)
			}
		}
		w.cut("a", "b")
		a.damage(all)
		b.damage(all)
		w.heal("a", "b")
		w.up("a", "b")
		for _, s := range []*site{a, b} {
			if err := s.listsAll("bkt", 300); !errors.Is(err, chunk.ErrUnavailable) {
				t.Errorf("%s: %v", s.id.Name, err)
			}
			if st := s.lazy.Status(); st.Lost == 0 {
				t.Errorf("%s: %+v", s.id.Name, st)
			}
			s.put("other", "k-"+s.id.Name, "goes on")
		}
		a.lists("other", "k-b", 7)
		var chunks []chunk.Chunk
		for id, data := range right {
			if _, err := b.chunkHere(id); err == nil { // which makes it known as damaged
				t.Errorf("%v is not damaged", id)
			}
			chunks = append(chunks, b.Domain().Make(data))
		}
		if err := b.store.Open(b.Domain(), chunk.Meta).Put(t.Context(), chunks); err != nil { // a disk was mended
			t.Fatal(err)
		}
		for _, s := range []*site{b, a} {
			if err := s.listsAll("bkt", 300); err != nil {
				t.Errorf("%s: %v", s.id.Name, err)
			}
		}
	})
}

// A record comes for which the history is needed, that only who has not folded since has. The bucket is broken off, and comes back by itself.
func TestABrokenBucketComesBackWithItsPeer(t *testing.T) {
	inVirtualTime(t, names("a b c"), brokenAndBack)
}

func brokenAndBack(t *testing.T, w *world) {
	versioned := segment.DefaultSettings()
	versioned.Versioning = segment.Versioned
	a, b := pair(t, w, versioned)
	c := w.at("c")
	for _, l := range []string{"b c", "a c"} {
		w.link(l[:1], l[2:])
		w.up(l[:1], l[2:])
	}
	for i := range 3 {
		a.put("bkt", "k", fmt.Sprint(i))
	}
	w.converge("bkt", "a", "b", "c")
	history := a.trees("bkt")[2:3]
	w.cut("a", "b")
	w.cut("a", "c")
	// That a marker is removed uncovers a version, which a must look up when the record comes.
	d, err := b.bucket("bkt").Delete(t.Context(), "k", segment.Cond{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.bucket("bkt").Remove(t.Context(), "k", segment.VersionRef{ID: d.Version}, segment.Cond{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("c has seen it", func() error {
		if seen, want := c.bucket("bkt").Seen(), b.bucket("bkt").Seen(); !seen.Equal(want) {
			return fmt.Errorf("%v, not %v", seen, want)
		}
		return nil
	})
	if _, err := c.bucket("bkt").Fold(t.Context()); err != nil { // so it has no such node any more
		t.Fatal(err)
	}
	a.damage(history)
	a.put("bkt", "l", "needs no history")
	w.heal("a", "c")
	time.Sleep(2 * time.Minute) // it is broken off, unless the damage was found, and healed, before the record came
	a.lists("bkt", "k", 1)
	a.lists("bkt", "l", 16)
	if n := len(a.Ailing()); n != 0 {
		t.Errorf("%d buckets ail", n)
	}
	a.put("bkt", "m", "written again")
	w.heal("a", "b")
	b.lists("bkt", "m", 13)
	w.converge("bkt", "a", "b", "c")
}

// A small bucket that is written to has few nodes that are the same at both sites, or none.
func TestABucketThatCannotBeMendedIsTakenAnew(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, lazyBucket())
		w.fill("bkt", 20)
		all := a.trees("bkt")[1:]
		for i := range 5 {
			b.put("bkt", fmt.Sprint("later-", i), "x")
			a.put("bkt", fmt.Sprint("own-", i), "y")
		}
		a.lists("bkt", "later-4", 1)
		b.lists("bkt", "own-4", 1)
		if _, err := b.bucket("bkt").Fold(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.cut("a", "b")
		a.put("bkt", "own-0", "again")
		a.damage(all)
		if err := a.bucket("bkt").Err(); !errors.Is(err, segment.ErrUnavailable) {
			t.Errorf("applied without a tree: %v", err)
		}
		w.heal("a", "b")
		w.up("a", "b")
		time.Sleep(time.Minute)
		if err := a.listsAll("bkt", 30); err != nil {
			t.Error(err)
		}
		a.lists("bkt", "own-0", 5)
		b.lists("bkt", "own-0", 5)
		w.converge("bkt", "a", "b")
		a.stop()
		a.start()
		if err := a.listsAll("bkt", 30); err != nil {
			t.Errorf("after a start: %v", err)
		}
	})
}

// What a reads for b alone, and cannot, is mended by c.
func TestWhatCannotBeServedIsMended(t *testing.T) {
	inVirtualTime(t, names("a b c"), func(t *testing.T, w *world) {
		const keys = 1000
		a, b, c := w.at("a"), w.at("b"), w.at("c")
		a.create("bkt", lazyBucket())
		w.link("a", "c")
		c.bucket("bkt")
		for i := range keys {
			a.put("bkt", fmt.Sprintf("k%04d", i), "x")
		}
		w.converge("bkt", "a", "c")
		all := a.trees("bkt")
		a.damage([]treeChunk{lastBelow(all, 2)})
		w.link("a", "b")
		w.up("a", "b")
		time.Sleep(15 * time.Minute)
		if err := b.listsAll("bkt", keys); err != nil {
			t.Error(err, b.link("a"))
		}
	})
}

func TestNodesAreServedOnlyWhereTheTreeHasThem(t *testing.T) {
	withIntruder(t, func(t *testing.T, a *site, dial func(wire.Hello) *intruder) {
		bkt, other := a.create("bkt", segment.Settings{}), a.create("other", segment.Settings{})
		v := a.put("bkt", "mine", "payload")
		a.put("other", "secret", "payload of another")
		for _, b := range []*segment.Bucket{bkt, other} {
			if _, err := b.Fold(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		heads, history := a.trees("bkt")[1].id, a.trees("bkt")[2].id
		foreign := a.trees("other")
		payload := v.Content.Entries()[0].ID
		id := bkt.Info().ID
		const key = "\x00mine"
		x := dial(good())
		for _, c := range []struct {
			what   string
			bucket segment.BucketID
			group  wire.Group
			want   wire.Status
		}{
			{"its root", id, wire.Group{Tree: segment.HeadsTree, Level: -2, IDs: []chunk.ID{heads}}, wire.OK},
			{"its leaf", id, wire.Group{Tree: segment.HistoryTree, Level: 0, Key: key, IDs: []chunk.ID{history}}, wire.OK},
			{"a root of the other tree", id, wire.Group{Tree: segment.HistoryTree, Level: -2, IDs: []chunk.ID{heads}}, wire.NotFound},
			{"another bucket's root", id, wire.Group{Tree: segment.HeadsTree, Level: -2, IDs: []chunk.ID{foreign[1].id}}, wire.NotFound},
			{"another bucket's leaf", id, wire.Group{Tree: segment.HeadsTree, Level: 0, Key: key, IDs: []chunk.ID{foreign[1].id}}, wire.NotFound},
			{"another bucket's root chunk", id, wire.Group{Tree: segment.HeadsTree, Level: -2, IDs: []chunk.ID{foreign[0].id}}, wire.NotFound},
			{"payload for a leaf", id, wire.Group{Tree: segment.HeadsTree, Level: 0, Key: key, IDs: []chunk.ID{payload}}, wire.NotFound},
			{"payload for a value", id, wire.Group{Tree: segment.HeadsTree, Level: -1, Key: key, IDs: []chunk.ID{payload}}, wire.NotFound},
			{"what does not exist", id, wire.Group{Tree: segment.HeadsTree, Level: 0, Key: key, IDs: []chunk.ID{{1}}}, wire.NotFound},
			{"a tree that is none", id, wire.Group{Tree: 77, Level: 0, Key: key, IDs: []chunk.ID{heads}}, wire.Refused},
			{"a snapshot that does not exist", id, wire.Group{Snapshot: segment.SnapshotID{9}, Tree: segment.HeadsTree, Level: -2, IDs: []chunk.ID{heads}}, wire.Refused},
			{"a bucket that does not exist", segment.BucketID{1}, wire.Group{Tree: segment.HeadsTree, Level: -2, IDs: []chunk.ID{heads}}, wire.Refused},
			{"a bucket that is not linked", segment.BucketID([]byte("local...........")), wire.Group{Tree: segment.HeadsTree, Level: -2, IDs: []chunk.ID{heads}}, wire.Refused},
		} {
			s, in, _ := x.ask(&wire.Request{Fetch: &wire.Fetch{Bucket: c.bucket, Groups: []wire.Group{c.group}}})
			var m wire.Fetched
			if err := in.Read(&m, wire.MaxPieces); err != nil || (len(m.Pieces) == 1) != (c.want == wire.OK) || len(m.Ends) != 1 || m.Ends[0].Status != c.want {
				t.Errorf("%s: %d chunks, %v, %v", c.what, len(m.Pieces), m.Ends, err)
			}
			s.Abort()
		}
	})
}

// What a peer gives for a node is kept only when it has the right name.
func TestWrongBytesMendNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inMemory()
		w := &world{t: t, net: n, sites: map[string]*site{}}
		ids := identitytest.Federation(t, "a", "b", "x")
		a, b := w.adopt(ids[0]), w.adopt(ids[1])
		a.create("bkt", segment.Settings{})
		w.link("a", "b")
		b.bucket("bkt")
		w.fill("bkt", 10)
		all := a.trees("bkt")[1:]
		w.cut("a", "b")
		a.damage(all)
		liar, err := n.Join(ids[2], "x")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = liar.Close() }()
		c, err := liar.Dial(t.Context(), "a", a.id.Segment)
		if err != nil {
			t.Fatal(err)
		}
		go serveLies(t.Context(), c, wire.Hello{Protocol: 1, MinProtocol: 1, Process: 7, Segment: ids[2].Segment})
		w.up("a", "x")
		if err := a.listsAll("bkt", 10); !errors.Is(err, chunk.ErrUnavailable) {
			t.Errorf("with the liar alone: %v", err)
		}
		if got := a.link("x").Repaired; got != 0 {
			t.Errorf("%d repaired from a liar", got)
		}
		w.heal("a", "b")
		w.up("a", "b")
		if err := a.listsAll("bkt", 10); err != nil {
			t.Error(err)
		}
		c.Close(transport.Leaving, "")
		synctest.Wait()
	})
}

// Many readers of one damaged node ask for it once.
func TestReadersShareTheMendingOfANode(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, lazyBucket())
		w.fill("bkt", 10)
		a.damage(a.trees("bkt")[1:2])
		w.up("a", "b")
		w.cut("a", "b") // all come before an answer does
		var readers sync.WaitGroup
		for range 50 {
			readers.Go(func() {
				if _, err := a.bucket("bkt").List(t.Context(), segment.ListOptions{Limit: 1}); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(a.limit / 2)
		w.heal("a", "b")
		readers.Wait()
		if got := a.link("b").Repaired; got != 1 {
			t.Errorf("%d repaired", got)
		}
		if got := b.link("a").Served; got != 1 {
			t.Errorf("%d served", got)
		}
	})
}

// The nodes of a large object's manifest are of class Meta, too; they are read on behalf of their version.
func TestDamagedManifestIsRepairedFromAPeer(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		a, b := pair(t, w, fullBucket())
		body := text(8 << 20)
		v := a.put("bkt", "k", body)
		b.lists("bkt", "k", len(body))
		w.eventually("b holds it", func() error { return b.holdsAll("bkt") })
		o, err := a.Object(a.bucket("bkt").Info().ID, v)
		if err != nil {
			t.Fatal(err)
		}
		var nodes []chunk.ID
		for p, err := range o.Pieces(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if p.Level > 0 {
				nodes = append(nodes, p.ID)
			}
		}
		if len(nodes) == 0 {
			t.Fatal("the manifest has no nodes")
		}
		for _, id := range nodes {
			a.store.Damage(a.Domain(), id)
		}
		a.reads("bkt", "k", body)
		if got := a.link("b").Repaired; got != uint64(len(nodes)) {
			t.Errorf("%d repaired of %d", got, len(nodes))
		}
	})
}

// What a sync that failed had read is read once more by the next: the peer gives what is below a node only to who asked it for the node.
func TestASyncThatFailedIsDoneAgain(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		const keys = 1000
		a, b := w.at("a"), w.at("b")
		a.create("bkt", lazyBucket())
		bkt := a.bucket("bkt")
		for i := range keys {
			a.put("bkt", fmt.Sprintf("k%04d", i), "x")
		}
		if _, err := bkt.Fold(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := a.trees("bkt")
		leaf := lastBelow(all, 2)
		right, err := a.chunkHere(leaf.id)
		if err != nil {
			t.Fatal(err)
		}
		a.damage([]treeChunk{leaf})
		w.link("a", "b")
		w.up("a", "b")
		time.Sleep(10 * time.Second)
		if n := b.bucket("bkt").Stats().Objects; n != 0 {
			t.Fatalf("%d objects", n)
		}
		if err := a.store.Open(a.Domain(), chunk.Meta).Put(t.Context(), []chunk.Chunk{a.Domain().Make(right)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if err := b.listsAll("bkt", keys); err != nil {
			t.Error(err, b.link("a"))
		}
	})
}

// A snapshot's trees are the same wherever it is, whatever became of the bucket.
func TestDamagedSnapshotIsMendedFromAPeer(t *testing.T) {
	inVirtualTime(t, names("a b"), func(t *testing.T, w *world) {
		const keys = 500
		a, b := pair(t, w, lazyBucket())
		w.fill("bkt", keys)
		a.snap("bkt", "monday")
		all := a.trees("bkt")[1:]
		for i := range keys {
			a.put("bkt", fmt.Sprintf("k%04d", i), "since")
		}
		w.converge("bkt", "a", "b")
		w.eventually("the snapshot is at b", func() error { return b.listsAll("bkt@monday", keys) })
		a.damage(all)
		w.up("a", "b")
		if err := a.listsAll("bkt@monday", keys); err != nil {
			t.Error(err)
		}
		if got, want := a.link("b").Repaired, uint64(len(all)); got < want {
			t.Errorf("%d repaired of %d", got, want)
		}
	})
}
