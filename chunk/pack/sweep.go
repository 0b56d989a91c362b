package pack

import (
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
)

// sweep is a cycle of collection. It is in memory only: a crash ends it, and nothing is condemned then.
//
// What it removes from the index may come back from the packs, where the index is made again, or a pack is read that is not sealed: it is whole, and garbage to the
// next cycle.
type sweep struct {
	d         *Device
	domains   map[Tag]bool
	condemned idset.Set // by [idset.At]; not changed once the device has it
	sum       chunk.Swept
	packs     []remains        // that there were when Expunge began
	live      map[uint64]int64 // bytes that records of use took in each of them, when it ended; nil before that
	ended     bool
}

// errSweeping says that there is a cycle already.
var errSweeping = fmt.Errorf("%w: chunks are being collected already", chunk.ErrUnavailable)

// Condemn is [chunk.Sweeper].
func (d *Device) Condemn(ctx context.Context, domains []chunk.Domain, keep func(chunk.ID) bool) (chunk.Sweep, error) {
	if err := d.enter(ctx); err != nil {
		return nil, err
	}
	defer d.leave()
	if !d.sweeping.TryLock() {
		return nil, errSweeping
	}
	s := &sweep{d: d, domains: map[Tag]bool{}}
	for _, domain := range domains {
		s.domains[TagOf(domain)] = true
	}
	err := d.index.All(func(k Key, e Entry) error {
		if s.domains[k.Tag] && !keep(k.ID) {
			s.condemned.Add(idset.At(k.ID, e.Generation, e.Offset))
			s.sum = s.sum.Add(chunk.Swept{Chunks: 1, Bytes: int64(e.Length)})
		}
		return s.goOn(ctx)
	})
	if err != nil {
		d.sweeping.Unlock()
		return nil, fmt.Errorf("condemn chunks: %w", err)
	}
	d.condemned.Store(&s.condemned)
	return s, nil
}

// goOn is why the cycle cannot.
func (s *sweep) goOn(ctx context.Context) error { return errors.Join(ctx.Err(), s.d.usable()) }

// isCondemned says whether an entry leads to what is condemned.
func (d *Device) isCondemned(k Key, e Entry) bool {
	c := d.condemned.Load()
	return c != nil && c.Has(idset.At(k.ID, e.Generation, e.Offset))
}

// held says whether a chunk counts as held at a class. What this build cannot read does not, so that it heals by being written; it does for who has it in
// no better form, as a drain that moves it.
func (d *Device) held(k Key, e Entry, class chunk.Class, readable bool) bool {
	return e.Class != 0 && e.serves(class) && (e.Codec.known() || !readable) && !d.isCondemned(k, e) && !d.isBad(k, e)
}

// Condemned is [chunk.Sweep].
func (s *sweep) Condemned() chunk.Swept { return s.sum }

// expungeAtOnce is how many entries are removed while nobody else changes any.
const expungeAtOnce = 1 << 10

// Expunge is [chunk.Sweep].
func (s *sweep) Expunge(ctx context.Context, keep func(chunk.ID) bool) (gone chunk.Swept, err error) {
	if err := s.d.enter(ctx); err != nil {
		return gone, err
	}
	defer s.d.leave()
	if s.packs, err = s.d.remains(); err != nil {
		return gone, fmt.Errorf("expunge chunks: %w", err)
	}
	live := map[uint64]int64{}
	var some []found
	remove := func() error {
		n, err := s.remove(some)
		gone, some = gone.Add(n), some[:0]
		return err
	}
	err = s.d.index.All(func(k Key, e Entry) error {
		if !s.domains[k.Tag] || !s.condemned.Has(idset.At(k.ID, e.Generation, e.Offset)) || keep(k.ID) {
			live[e.Generation] += recordSpace(int(e.Length))
			return s.goOn(ctx)
		}
		if some = append(some, found{k, e}); len(some) < expungeAtOnce {
			return nil
		}
		return errors.Join(remove(), s.goOn(ctx))
	})
	if err == nil {
		err = remove()
	}
	if err == nil {
		err = s.d.index.Sync() // before what they lead to may go
	}
	if err != nil {
		return gone, fmt.Errorf("expunge chunks: %w", err)
	}
	s.live = live
	return gone, nil
}

// remove removes entries that are as they were found: what was put meanwhile lies elsewhere.
func (s *sweep) remove(some []found) (gone chunk.Swept, err error) {
	d := s.d
	if len(some) == 0 {
		return gone, nil
	}
	if err := d.indexHasRoom(); err != nil {
		return gone, err
	}
	keys := make([]Key, len(some))
	for i, f := range some {
		keys[i] = f.key
	}
	d.indexing.Lock()
	defer d.indexing.Unlock()
	var drop []Key
	var were []Entry
	err = d.index.Lookup(keys, func(i int, e Entry) {
		if e == some[i].entry {
			drop, were = append(drop, keys[i]), append(were, e)
		}
	})
	if err != nil {
		return gone, err
	}
	if err := d.index.Apply(nil, drop); err != nil {
		return gone, d.fail(fmt.Errorf("index: %w", err))
	}
	for _, e := range were {
		d.count(Entry{}, e)
		gone = gone.Add(chunk.Swept{Chunks: 1, Bytes: int64(e.Length)})
	}
	return gone, nil
}

// End is [chunk.Sweep].
func (s *sweep) End() {
	if s.ended {
		return
	}
	s.ended = true
	s.d.condemned.Store(nil)
	s.d.sweeping.Unlock()
}
