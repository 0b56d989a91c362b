package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
)

// Space is what buckets take on the devices of this segment, as it was counted. docs/ops/space.md defines the words, and which sums are equal.
type Space struct {
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took"`
	Buckets []BucketSpace `json:"buckets"` // those that the segment keeps for itself too
	Domains []DomainSpace `json:"domains"`
	Copies  Held          `json:"copies"`  // of chunks that another device has too, and that are counted there
	Foreign Held          `json:"foreign"` // of dedup domains of which no bucket is known
}

// Held is a number of chunks that are durable here, and of bytes.
type Held struct {
	Chunks int64 `json:"chunks"`
	Bytes  int64 `json:"bytes"`  // as they are read
	Stored int64 `json:"stored"` // that they take of the devices
}

// Add is the sum of both.
func (h Held) Add(o Held) Held {
	return Held{h.Chunks + o.Chunks, h.Bytes + o.Bytes, h.Stored + o.Stored}
}

// Shares are chunks that a bucket reaches.
type Shares struct {
	Exclusive Held `json:"exclusive"` // and no other bucket
	Shared    Held `json:"shared"`
}

// All is the sum of both.
func (s Shares) All() Held { return s.Exclusive.Add(s.Shared) }

// BucketSpace is what a bucket reaches: as it is, with its history, snapshots, remembered states and uploads.
type BucketSpace struct {
	ID      BucketID `json:"id"`
	Name    string   `json:"name"`
	System  bool     `json:"system"`  // the segment keeps it for itself
	Current int64    `json:"current"` // bytes of the objects that listings show, when it was counted
	Logical int64    `json:"logical"` // bytes of all versions held, then
	Content Shares   `json:"content"`
	Meta    Shares   `json:"meta"`    // trees, and manifests of large objects
	NotHere int64    `json:"notHere"` // chunks that are reached and not on the devices: at other segments, in the log, or lost
}

// DomainSpace is what the buckets of a dedup domain reach together, and what they do not.
type DomainSpace struct {
	Name      string `json:"name"`      // empty: the federation's
	Content   Held   `json:"content"`   // that buckets reach, each chunk once
	Meta      Held   `json:"meta"`      // the same of metadata
	Shared    Held   `json:"shared"`    // what of both several buckets reach
	Underway  Held   `json:"underway"`  // that writers and readers keep, and no bucket reaches
	Unreached Held   `json:"unreached"` // garbage, and what was written while it was counted
}

// errTooMany says that what buckets share cannot be told.
var errTooMany = errors.New("buckets share content in too many ways")

// SpaceOptions say how space is counted.
type SpaceOptions struct {
	// Progress, unless nil, is told of the chunks, with repetition, that were come by, from one goroutine.
	Progress func(named int64)
}

// CountSpace goes through all metadata, once for each bucket that reaches it, and through the index of the devices. There is one count, or collection, which
// counts too, at a time: ErrCollecting. It reads what is here alone.
func (s *Segment) CountSpace(ctx context.Context, o SpaceOptions) (*Space, error) {
	if s.cfg.Census == nil {
		return nil, fmt.Errorf("count space: nothing here tells what it holds: %w", ErrUnavailable)
	}
	if !s.collects.running.TryLock() {
		return nil, ErrCollecting
	}
	defer s.collects.running.Unlock()
	t := s.newSpaceCount()
	parts := max(s.collects.parts, 1)
	for part := uint64(0); part < parts; {
		r := &reached{s: s, part: part, parts: parts, most: cmp.Or(s.cfg.markMost, markMost), owners: newOwners(), step: o.Progress}
		err := r.mark(ctx)
		if err == nil {
			err = t.take(ctx, r)
		}
		switch {
		case errors.Is(err, errMany):
			t, part, parts = s.newSpaceCount(), 0, 2*parts
		case err != nil:
			return nil, fmt.Errorf("count space: %w", err)
		default:
			part++
		}
	}
	s.collects.parts = parts
	return s.counted(t), nil
}

// Space is what was counted last; nil when nothing was since the start.
func (s *Segment) Space() *Space {
	s.collects.mu.Lock()
	defer s.collects.mu.Unlock()
	return s.collects.space
}

// counted makes what was counted what is known.
func (s *Segment) counted(t *spaceCount) *Space {
	sp := t.space()
	s.collects.mu.Lock()
	defer s.collects.mu.Unlock()
	s.collects.space = sp
	return sp
}

// spaceCount adds up what marks and devices say.
type spaceCount struct {
	s       *Segment
	began   time.Time
	buckets map[BucketID]*BucketSpace
	domains []chunk.Domain
	spaces  []DomainSpace // of each of domains
	copies  Held
	foreign Held
}

func (s *Segment) newSpaceCount() *spaceCount {
	t := &spaceCount{s: s, began: s.cfg.Clock(), buckets: map[BucketID]*BucketSpace{}}
	at := map[chunk.ID]bool{}
	for _, b := range s.allBuckets() {
		if tag := b.domain.Tag(); !at[tag] {
			at[tag] = true
			t.domains, t.spaces = append(t.domains, b.domain), append(t.spaces, DomainSpace{Name: b.doc.Load().domain})
		}
	}
	return t
}

// take adds a mark, and what is on the devices of what it found. Small objects that only the log has are put there first.
func (t *spaceCount) take(ctx context.Context, r *reached) error {
	if r.given {
		return errTooMany
	}
	if err := t.s.cfg.Chunks.Settle(ctx); err != nil {
		return err
	}
	sets := make([]held, len(r.owners.sets))
	domain := make([]int, len(sets)) // of a set's chunks
	err := t.s.cfg.Census.Copies(ctx, t.domains, func(c chunk.Copy) error {
		x := idset.Of(c.ID)
		if !r.mine(x) || !c.Class.Durable() {
			return nil
		}
		one := Held{1, c.Size, c.Stored}
		if c.Domain < 0 {
			t.foreign = t.foreign.Add(one)
			return nil
		}
		at := r.owners.of.Find(x)
		switch {
		case at == nil && !r.listed.Has(c.ID):
			t.spaces[c.Domain].Unreached = t.spaces[c.Domain].Unreached.Add(one)
		case at == nil || *at == underway:
			t.spaces[c.Domain].Underway = t.spaces[c.Domain].Underway.Add(one)
			if at != nil {
				*at |= copySeen
			}
		case *at&copySeen != 0:
			t.copies = t.copies.Add(one)
		case *at == tooMany:
			return errTooMany
		default:
			domain[*at] = c.Domain
			sets[*at].add(c.Class, one)
			*at |= copySeen
		}
		return nil
	})
	if err != nil {
		return err
	}
	for set := range sets {
		t.add(r.owners.members(uint16(set)), domain[set], sets[set])
	}
	t.missing(r.owners)
	return nil
}

// held is content and metadata.
type held struct{ content, meta Held }

func (h *held) add(c chunk.Class, one Held) {
	if c == chunk.Meta {
		h.meta = h.meta.Add(one)
		return
	}
	h.content = h.content.Add(one)
}

// add accounts for what all of some buckets reach, and no other.
func (t *spaceCount) add(members []BucketID, domain int, h held) {
	if len(members) == 0 || h == (held{}) {
		return
	}
	d := &t.spaces[domain]
	d.Content, d.Meta = d.Content.Add(h.content), d.Meta.Add(h.meta)
	if len(members) > 1 {
		d.Shared = d.Shared.Add(h.content).Add(h.meta)
	}
	for _, id := range members {
		b := t.bucket(id)
		if len(members) == 1 {
			b.Content.Exclusive, b.Meta.Exclusive = b.Content.Exclusive.Add(h.content), b.Meta.Exclusive.Add(h.meta)
			continue
		}
		b.Content.Shared, b.Meta.Shared = b.Content.Shared.Add(h.content), b.Meta.Shared.Add(h.meta)
	}
}

// missing accounts for what was reached and on no device.
func (t *spaceCount) missing(o *owners) {
	sets := make([]int64, len(o.sets))
	o.of.Values(func(set uint16) {
		if set&copySeen == 0 && set != tooMany {
			sets[set]++
		}
	})
	for set, n := range sets {
		if n == 0 {
			continue
		}
		for _, id := range o.members(uint16(set)) {
			t.bucket(id).NotHere += n
		}
	}
}

func (t *spaceCount) bucket(id BucketID) *BucketSpace {
	b := t.buckets[id]
	if b == nil {
		b = &BucketSpace{ID: id}
		t.buckets[id] = b
	}
	return b
}

// space is the result, of all buckets that there are, by name.
func (t *spaceCount) space() *Space {
	sp := &Space{Began: t.began, Took: t.s.cfg.Clock().Sub(t.began), Domains: t.spaces, Copies: t.copies, Foreign: t.foreign}
	for _, b := range t.s.allBuckets() {
		c := t.bucket(b.id)
		c.Name, c.System = b.calledName(), b.id == localBucket || b.id == FederationBucket
		c.Current = b.Stats().Bytes
		c.Logical, _ = b.Logical(context.Background())
		if !b.isPast() || c.Content != (Shares{}) || c.Meta != (Shares{}) {
			sp.Buckets = append(sp.Buckets, *c)
		}
	}
	slices.SortFunc(sp.Buckets, func(a, b BucketSpace) int { return cmp.Compare(a.Name, b.Name) })
	return sp
}
