package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/journal"
	"github.com/edgefs/edgefs/segment/tree"
)

// Cursor is a place in the log of one life of a peer: what lies before Pos is applied here.
type Cursor struct {
	Inc uint32
	Pos uint64
}

// FeedItem is one step of a linked bucket, as a feed carries it.
type FeedItem struct {
	Pos    uint64 // in the sender's log
	Bucket BucketID
	Record []byte // encoded; empty for a mark
	Dot    Dot    // the record's: the last, where it takes several
	// Mark says that the sender learned something by a sync: a receiver that has not seen all of it syncs too.
	Mark Vector
}

// LogEnd is the position behind the last one applied: where a feed of what comes next begins.
func (s *Segment) LogEnd() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.pos + 1
}

// waitApplied waits until the log record at pos is applied: what a peer is told of is readable here.
func (s *Segment) waitApplied(ctx context.Context, pos uint64) error {
	for {
		s.mu.RLock()
		last, news := s.pos, s.applied
		s.mu.RUnlock()
		if last >= pos {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.failure.ch:
			return s.failure.get()
		}
	}
}

// NodeChildren are the ids that a node of a bucket's trees names: what a peer that was given the node may ask for next.
func NodeChildren(node []byte) ([]chunk.ID, error) { return tree.Children(node) }

// RootChildren are the ids of the two trees that a root chunk names.
func RootChildren(data []byte) ([]chunk.ID, error) {
	r, err := parseRoot(data)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc([]chunk.ID{r.heads, r.history}, chunk.ID.IsZero), nil
}

// FeedFrom reads the committed steps of linked buckets from a log position on, about max bytes of log, and the position to go on from. It
// waits while there is no log record at pos. Items may be empty. It fails with ErrLogCut when the log no longer reaches back to pos.
func (s *Segment) FeedFrom(ctx context.Context, pos uint64, max int64) (items []FeedItem, next uint64, err error) {
	if err := s.waitApplied(ctx, pos); err != nil {
		return nil, pos, err
	}
	end := s.LogEnd()
	next, err = s.log.Read(ctx, pos, max, func(r journal.Record) error {
		if r.Pos >= end {
			return errStop
		}
		items, err = appendFeed(items, r)
		return err
	})
	if errors.Is(err, errStop) {
		next, err = end, nil
	}
	if errors.Is(err, journal.ErrCut) {
		return nil, pos, fmt.Errorf("feed from %d: %w", pos, ErrLogCut)
	}
	if err != nil {
		return nil, pos, fmt.Errorf("feed from %d: %w", pos, err)
	}
	return s.told(items), next, nil
}

// appendFeed picks what a feed carries from a log record, without its payload.
func appendFeed(items []FeedItem, r journal.Record) ([]FeedItem, error) {
	err := eachField("log entry", r.Data, func(f field) error {
		switch f.num {
		case entryFieldWrite:
			item, err := feedWrite(f.b)
			item.Pos = r.Pos
			if item.Bucket != localBucket {
				items = append(items, item)
			}
			return err
		case entryFieldMerge:
			m, err := parseMerge(f.b)
			if m.bucket != localBucket {
				items = append(items, FeedItem{Pos: r.Pos, Bucket: m.bucket, Mark: m.theirs})
			}
			return err
		}
		return nil
	})
	return items, err
}

func feedWrite(b []byte) (item FeedItem, err error) {
	err = eachField("write", b, func(f field) (err error) {
		switch f.num {
		case 1:
			item.Bucket, err = bucketIDOf(f.b)
		case 2:
			item.Record = bytes.Clone(f.b)
			item.Dot, err = lastDot(f.b)
		}
		return err
	})
	return item, err
}

// lastDot is the last dot that an encoded record takes.
func lastDot(b []byte) (Dot, error) {
	var r record
	err := eachField("record", b, func(f field) (err error) {
		switch f.num {
		case recordFieldID:
			r.VersionID, err = parseVersionID(f.b)
		case recordFieldRename:
			r.rename, err = parseRename(f.b)
		}
		return err
	})
	if err == nil && r.Dot.N == 0 {
		err = badFormat("record")
	}
	return r.last(), err
}

// LinkedBuckets are the buckets that links carry, the federation's own first, and what is seen of each: of a branch, what was written to it. Those
// that have not begun here are left out.
func (s *Segment) LinkedBuckets() map[BucketID]Vector {
	out := map[BucketID]Vector{}
	for _, b := range s.allBuckets() {
		if b.Linked() && b.waits() == nil && !b.pending() {
			out[b.id] = b.written()
		}
	}
	return out
}

// SelfSeen compares what a peer has seen of this life with what this segment knows of it. Where the peer has seen more, this segment came
// back from a backup: it begins another life, so that no name is given to two writes.
func (s *Segment) SelfSeen(_ context.Context, peer map[BucketID]Vector) error {
	self := s.Origin()
	for id, c := range peer {
		b := s.bucket(id)
		if b == nil {
			if c[self] > 0 {
				return s.newLife(self.Inc + 1)
			}
			continue
		}
		if !b.gave(Dot{self, c[self]}) {
			return s.newLife(self.Inc + 1)
		}
	}
	return nil
}

// gave says whether a name of this life has been given to a write.
func (b *Bucket) gave(d Dot) bool {
	b.seq.Lock()
	defer b.seq.Unlock()
	return d.N <= b.lastGiven()
}

// newLife begins a life, inc at the least, unless this one is as late. Its number is the time where that is greater, so that two restores
// of one backup begin two lives. No write is named meanwhile.
func (s *Segment) newLife(inc uint32) error {
	s.naming.Lock()
	defer s.naming.Unlock()
	if inc <= s.inc.Load() {
		return nil
	}
	inc = max(inc, uint32(s.cfg.Clock().Unix()))
	s.cfg.Logger.Warn("writes of ours may be unknown to us: a new life begins", "life", inc)
	return s.commit(&entry{life: inc})
}

// Offer is a bucket's whole state at one moment, for a peer to sync.
type Offer struct {
	Root chunk.ID // zero when nothing was ever written
	Seen Vector
	Cursor
}

// Offer folds, so that the root is all that is seen. The feed goes on from its cursor.
func (s *Segment) Offer(ctx context.Context, id BucketID) (Offer, error) {
	b := s.bucket(id)
	if b == nil || !b.Linked() {
		return Offer{}, fmt.Errorf("bucket %v: %w", id, ErrNoSuchBucket)
	}
	b.fold.Lock()
	defer b.fold.Unlock()
	n, err := b.foldLocked(ctx)
	if err != nil {
		return Offer{}, fmt.Errorf("offer bucket %v: %w", id, err)
	}
	if err := b.restoreRoot(ctx, n); err != nil {
		return Offer{}, fmt.Errorf("offer bucket %v: %w", id, err)
	}
	return Offer{n.id, n.seen, Cursor{s.inc.Load(), n.covers + 1}}, nil
}

// Adopt takes in what a peer offers of a bucket: it walks the difference of the two states, reading the peer's nodes from remote, and
// makes their union the bucket's state, in one entry that a feed passes on as a mark. Reading and writing go on meanwhile. A feed that passes
// over the bucket ends doing so, unless it passed over more than was offered: that needs another sync.
//
// It fails with ErrQuarantine when both have seen the same and yet hold different states.
func (s *Segment) Adopt(ctx context.Context, peer ID, id BucketID, o Offer, remote chunk.Store) error {
	b := s.bucket(id)
	if b == nil || !b.Linked() {
		return fmt.Errorf("adopt bucket %v: %w", id, ErrNoSuchBucket)
	}
	defer s.weave()()
	if !o.Root.IsZero() {
		if err := b.adopt(ctx, peer, o, remote); err != nil {
			return fmt.Errorf("adopt bucket %v from %v: %w", id, peer, err)
		}
	}
	return s.settle(peer, id)
}

func (b *Bucket) adopt(ctx context.Context, peer ID, o Offer, remote chunk.Store) error {
	theirs, err := readRoot(ctx, remote, o.Root)
	if err != nil {
		return err
	}
	if theirs.settings.by.HLC > b.s.clock.bound() {
		return fmt.Errorf("settings of %v: %w", theirs.settings.by.Time(), ErrClockAhead)
	}
	if theirs.settings.by != (VersionID{}) {
		if err := b.checkSettings(theirs.settings); err != nil {
			return err
		}
	}
	if err := b.s.SelfSeen(ctx, map[BucketID]Vector{b.id: theirs.seen}); err != nil {
		return err
	}
	// Without the cache: a peer gives what is below a node only to a sync that it gave the node.
	nodes := tree.NewStore(remote, b.domain, nil)
	if b.ails() {
		if anew, err := b.heal(ctx, peer, o, theirs, nodes); anew || err != nil {
			return err
		}
	}
	// First without holding up folds: this may take long, and what it finds is then here.
	mine, err := b.foldNow(ctx)
	if err != nil {
		return err
	}
	if mine.seen.Covers(theirs.seen) {
		if mine.seen.Equal(theirs.seen) && mine.id != o.Root {
			return fmt.Errorf("roots %v and %v: %w", mine.id, o.Root, ErrQuarantine)
		}
		return nil
	}
	merged, stats, newest, err := b.merging(ctx, mine, theirs, nodes)
	if err != nil {
		return err
	}
	b.intake.RLock() // no rename comes between the fold and the merge, which would put another state under it
	defer b.intake.RUnlock()
	b.fold.Lock()
	defer b.fold.Unlock()
	now, err := b.foldLocked(ctx)
	if err != nil {
		return err
	}
	if now != mine { // what was folded or merged since
		if merged, stats, _, err = b.merging(ctx, now, merged, b.trees.here); err != nil {
			return err
		}
	}
	raw, err := b.putRoot(ctx, merged)
	if err == nil {
		err = b.readAhead(ctx, raw)
	}
	if err != nil {
		return err
	}
	f := foldItem{bucket: b.id, prev: now.at, covers: now.covers, root: raw, stats: stats}
	if err := b.s.commit(&entry{merges: []mergeItem{{f, theirs.seen, peer, newest}}}); err != nil {
		return err
	}
	_, err = b.currentBase(now)
	return err
}

func (b *Bucket) foldNow(ctx context.Context) (*base, error) {
	b.fold.Lock()
	defer b.fold.Unlock()
	return b.foldLocked(ctx)
}

func readRoot(ctx context.Context, store chunk.Store, id chunk.ID) (r root, err error) {
	found := false
	err = store.Get(ctx, []chunk.ID{id}, func(c chunk.Chunk) (err error) {
		found = true
		r, err = parseRoot(slices.Clone(c.Data()))
		return err
	})
	if err == nil && !found {
		err = chunk.ErrNotFound
	}
	if err != nil {
		err = fmt.Errorf("read root %v: %w", id, err)
	}
	return r, err
}

// readAhead reads what the log's goroutine will read when a merge of the federation's bucket is applied, with what peers have: what is lost there
// would end the segment.
func (b *Bucket) readAhead(ctx context.Context, root []byte) error {
	if b.id != FederationBucket {
		return nil
	}
	n, err := b.newBase(0, foldItem{root: root})
	if err != nil {
		return err
	}
	return b.tree(b.treeStore(HeadsTree, nil), n.heads).Scrub(ctx)
}
