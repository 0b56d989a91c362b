package isgw_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/linear"
	"github.com/edgefs/edgefs/segment"
)

// linearClient does random operations on bucket "bkt" at one segment and notes them.
type linearClient struct {
	id    int
	at    *site
	h     *linear.History
	puts  *atomic.Int64 // of all clients
	rng   *rand.Rand
	known [linear.Keys]segment.Version // what it saw last of each key
	wrote map[string]segment.Version   // by tag, what was acknowledged
	cas   map[string][]string          // key, condition, epoch -> tags that it acknowledged
}

func linearKey(i int) string { return fmt.Sprint("key", i) }

// write is one conditional or plain write. A home that was not asked has done nothing; of any other failure the outcome is unknown.
func (c *linearClient) write(ctx context.Context, b *segment.Bucket) {
	op := linear.Op{Kind: linear.Put, Key: c.rng.IntN(linear.Keys)}
	switch c.rng.IntN(10) {
	case 0, 1:
		op.Kind = linear.Delete
	case 2, 3, 4:
		op.Kind = linear.Mark
	}
	var cond segment.Cond
	known := c.known[op.Key]
	switch n := c.rng.IntN(5); {
	case n == 0 && op.Kind != linear.Mark: // what is absent has none
		op.Absent, cond.Absent = true, true
	case n < 3 && known.Attrs.ETag != "":
		op.Match, cond.Match = known.Attrs.ETag, []string{known.Attrs.ETag}
	case n == 3 && known.Attrs.ETag != "":
		op.Match, cond.Match, cond.Version = known.Attrs.ETag, []string{"*"}, &known.VersionID
	}
	var v segment.Version
	var err error
	call := c.h.Call()
	switch op.Kind {
	case linear.Put:
		op.Tag = fmt.Sprint(c.puts.Add(1))
		v, err = b.Put(ctx, linearKey(op.Key), segment.Attrs{ETag: op.Tag}, cond, strings.NewReader(op.Tag))
	case linear.Mark:
		op.Tag = fmt.Sprint(c.puts.Add(1))
		_, err = b.SetTags(ctx, linearKey(op.Key), segment.VersionRef{}, map[string]string{"mark": op.Tag}, cond)
	default:
		_, err = b.Delete(ctx, linearKey(op.Key), cond)
	}
	seen := linear.Seen{}
	switch {
	case errors.Is(err, segment.ErrPrecondition):
		seen.Result = linear.Refused
	case errors.Is(err, segment.ErrNoSuchKey):
		seen.Result = linear.Missing
	case errors.Is(err, segment.ErrNotAsked):
		return
	case err != nil:
		seen.Result = linear.Unknown
	case op.Kind == linear.Put:
		c.known[op.Key], c.wrote[op.Tag] = v, v
		if op.Match != "" {
			slot := fmt.Sprint(op.Key, " on ", op.Match, " in ", v.Epoch)
			c.cas[slot] = append(c.cas[slot], op.Tag)
		}
	}
	c.h.Return(c.id, call, op, seen)
}

// read looks at a key, and notes it when the segment was the home all the while: only then is a read said to be of now. Elsewhere it must show
// no less than this client was told of.
func (c *linearClient) read(ctx context.Context, b *segment.Bucket) error {
	op := linear.Op{Kind: linear.Get, Key: c.rng.IntN(linear.Keys)}
	before, call := b.Info(), c.h.Call()
	v, err := b.Stat(ctx, linearKey(op.Key), segment.VersionRef{})
	after := b.Info()
	if err != nil && !errors.Is(err, segment.ErrNoSuchKey) {
		return err
	}
	seen := linear.Seen{}
	if err == nil {
		seen.Tags[op.Key] = linear.Marked(v.Attrs.ETag, v.Tags()["mark"])
		if last := c.known[op.Key]; v.Compare(last.VersionID) < 0 {
			return fmt.Errorf("client %d reads %v of %s, and has seen %v", c.id, v.VersionID, v.Key, last.VersionID)
		}
		c.known[op.Key] = v
	}
	if before.Here && after.Here && before.Epoch == after.Epoch {
		c.h.Return(c.id, call, op, seen)
	}
	return nil
}

// turmoil is clients at several segments of which one is the home.
type turmoil struct {
	t       *testing.T
	w       *world
	rng     *rand.Rand
	h       linear.History
	puts    atomic.Int64
	clients []*linearClient
}

func newTurmoil(t *testing.T, w *world, seed uint64) *turmoil {
	m := &turmoil{t: t, w: w, rng: rand.New(rand.NewPCG(seed, 9))}
	w.at("a").create("bkt", segment.Settings{Policy: segment.Home, Versioning: segment.Versioned})
	for _, l := range []string{"a b", "a c", "b c"} {
		n := names(l)
		w.link(n[0], n[1])
		w.up(n[0], n[1])
		w.up(n[1], n[0])
	}
	for i, name := range names("a b b c") {
		w.at(name).bucket("bkt")
		m.clients = append(m.clients, &linearClient{id: i, at: w.at(name), h: &m.h, puts: &m.puts, rng: rand.New(rand.NewPCG(seed, uint64(i))),
			wrote: map[string]segment.Version{}, cas: map[string][]string{}})
	}
	return m
}

// phase lets all clients do some operations, and trouble happen meanwhile.
func (m *turmoil) phase(steps int, trouble func()) {
	var wg sync.WaitGroup
	for _, c := range m.clients {
		wg.Go(func() {
			for range steps {
				b := c.at.bucket("bkt")
				if c.rng.IntN(3) == 0 {
					if err := c.read(m.t.Context(), b); err != nil {
						m.t.Error(err)
					}
				} else {
					c.write(m.t.Context(), b)
				}
				time.Sleep(time.Duration(c.rng.IntN(300)) * time.Millisecond) // virtual
			}
		})
	}
	wg.Go(trouble)
	wg.Wait()
}

func (m *turmoil) pause() { time.Sleep(time.Duration(m.rng.IntN(2000)) * time.Millisecond) } // virtual

// flap cuts a link for a while.
func (m *turmoil) flap() {
	pair := names([]string{"a b", "a c", "b c"}[m.rng.IntN(3)])
	m.pause()
	m.w.cut(pair[0], pair[1])
	time.Sleep(time.Duration(m.rng.IntN(20)) * time.Second) // virtual; also longer than a connection lives
	m.w.heal(pair[0], pair[1])
}

// move hands the bucket over.
func (m *turmoil) move() {
	m.pause()
	to := m.w.at(names("a b c")[m.rng.IntN(3)])
	for _, name := range names("a b c") {
		if b := m.w.at(name).bucket("bkt"); b.Info().Here {
			if err := b.MoveHome(m.t.Context(), to.ID()); err != nil && !errors.Is(err, segment.ErrNotHome) && !errors.Is(err, segment.ErrUnavailable) {
				m.t.Errorf("move to %s: %v", to.id.Name, err)
			}
			return
		}
	}
}

// take makes a segment the home by force; settings that come just then may get in the way.
func (m *turmoil) take(name string) {
	if err := m.w.at(name).bucket("bkt").TakeHome(m.t.Context()); err != nil && !errors.Is(err, segment.ErrUnavailable) {
		m.t.Errorf("%s takes the home: %v", name, err)
	}
}

// powerCut stops a segment without warning; it comes back with what was durable. Its clients wait.
func (m *turmoil) powerCut() {
	s := m.w.at(names("a b c")[m.rng.IntN(3)])
	fs := s.fs.Crash(m.rng)
	s.stop()
	s.fs = fs
	s.start()
	for _, l := range []string{"a b", "a c", "b c"} {
		n := names(l)
		m.w.up(n[0], n[1])
		m.w.up(n[1], n[0])
	}
}

// settled waits until all know all.
func (m *turmoil) settled() { m.w.converge("bkt", "a", "b", "c") }

// kept wants all that was acknowledged to be in the history of the bucket, whose versions go only by their ids.
func (m *turmoil) kept() {
	b := m.w.at("a").bucket("bkt")
	for _, c := range m.clients {
		for tag, v := range c.wrote {
			if got, err := b.Stat(m.t.Context(), v.Key, segment.VersionRef{ID: v.VersionID}); err != nil || got.Attrs.ETag != tag {
				m.t.Errorf("write %s of client %d is lost: %v", tag, c.id, err)
			}
		}
	}
}

func linearSeeds() uint64 {
	if testing.Short() {
		return 4
	}
	return 30
}

// TestHomesAreLinearizable: clients at three segments write on conditions while links are cut, the home is handed over and segments lose their
// power. All their writes, and what was read at the home, have one order.
func TestHomesAreLinearizable(t *testing.T) {
	for seed := range linearSeeds() {
		t.Run(fmt.Sprint(seed+1), func(t *testing.T) {
			inVirtualTime(t, names("a b c"), func(t *testing.T, w *world) {
				m := newTurmoil(t, w, seed+1)
				for range 3 {
					m.phase(8, m.flap)
					m.phase(6, m.move)
					m.powerCut()
				}
				m.settled()
				m.kept()
				if err := m.h.Check(time.Minute); err != nil {
					t.Errorf("seed %d: %v", seed+1, err)
				}
				if all, unknown := m.h.Len(); testing.Verbose() {
					t.Logf("%d operations, %d unknown", all, unknown)
				}
			})
		})
	}
}

// TestForcedHomesKeepTheirEpochsApart: a segment that cannot ask the home makes itself the home, and the old one goes on until it knows.
// In each epoch at most one write replaces a version that it was made on condition of, and nothing that anybody was told of is lost.
func TestForcedHomesKeepTheirEpochsApart(t *testing.T) {
	for seed := range linearSeeds() {
		t.Run(fmt.Sprint(seed+1), func(t *testing.T) {
			inVirtualTime(t, names("a b c"), func(t *testing.T, w *world) {
				m := newTurmoil(t, w, seed+1)
				for range 2 {
					m.phase(8, func() {
						m.pause()
						w.cut("a", "b")
						w.cut("a", "c")
						m.take("b")
						m.pause()
						w.heal("a", "b")
						w.heal("a", "c")
					})
					m.phase(6, func() {
						m.pause()
						m.take("a")
					})
				}
				m.settled()
				m.kept()
				for _, c := range m.clients[1:] {
					for slot, tags := range c.cas {
						m.clients[0].cas[slot] = append(m.clients[0].cas[slot], tags...)
					}
				}
				for slot, tags := range m.clients[0].cas {
					if len(tags) > 1 {
						t.Errorf("seed %d: %v are all written to key %s", seed+1, tags, slot)
					}
				}
			})
		})
	}
}
