package isgw

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// What comes of one bucket and cannot be taken in stops that bucket's feed from that peer, and nothing else: what a later build writes, what no
// segment writes, two writes of one name, a tree that is damaged here or there. The segment remembers that the bucket is owed a sync, and
// catchUp tries one at the start of every session, and now and then.

const (
	repayLook = 15 * time.Second // how often it is looked for buckets that are owed
	repayMin  = time.Minute      // between two attempts, doubled after each
	repayMax  = time.Hour
)

// StoppedBucket is a bucket that is not received from a peer. It is as it was when it stopped, but for what other peers bring.
type StoppedBucket struct {
	Bucket segment.BucketID
	Name   string // empty when it is not known here
	Since  time.Time
	Why    string
	// Quarantine says that both sides have seen the same and hold different states: two writes bear one name.
	Quarantine bool
}

// passOver stops a bucket's feed. The bucket is owed a sync.
func (s *session) passOver(ctx context.Context, id segment.BucketID, why error) error {
	if err := s.k.l.seg.PassOver(ctx, s.k.id, id); err != nil {
		return fmt.Errorf("stop bucket %v, of which %w, lest others stop: %w", id, why, err)
	}
	s.k.stopped(id, why)
	return nil
}

// syncOrStop syncs a bucket; what is the matter with the bucket alone stops it, and is no error.
func (s *session) syncOrStop(ctx context.Context, id segment.BucketID) error {
	err := s.sync(ctx, id)
	if err == nil || s.concernsAll(ctx, err) {
		return err
	}
	return s.passOver(ctx, id, err)
}

// concernsAll says whether an error of a sync is of the session, the segment or the machine, and not of the bucket.
func (s *session) concernsAll(ctx context.Context, err error) bool {
	if ctx.Err() != nil || s.conn.Context().Err() != nil || s.k.l.seg.Err() != nil || isClosed(err) {
		return true
	}
	for _, e := range []error{wire.ErrMalformed, segment.ErrClockAhead, segment.ErrClosed, segment.ErrFull} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// catchUp syncs the buckets that are owed. It does so beside the feed; only what that passes over meanwhile is fetched while the feed waits.
func (s *session) catchUp(ctx context.Context) error {
	type attempt struct {
		next  time.Time
		pause time.Duration
	}
	last := map[segment.BucketID]attempt{}
	for ctx.Err() == nil {
		for _, d := range s.k.l.seg.Debts(s.k.id) {
			a := last[d.Bucket]
			if time.Now().Before(a.next) {
				continue
			}
			if err := s.repay(ctx, d.Bucket); err != nil && ctx.Err() == nil && s.concernsAll(ctx, err) {
				s.k.trouble(fmt.Errorf("sync what is owed: %w", err))
			}
			a.pause = min(max(2*a.pause, repayMin), repayMax)
			a.next = time.Now().Add(a.pause)
			last[d.Bucket] = a
		}
		wait(ctx, repayLook)
	}
	return nil
}

// repay syncs a bucket that is owed.
func (s *session) repay(ctx context.Context, id segment.BucketID) error {
	err := s.syncOrStop(ctx, id)
	if err != nil || !s.owes(id) || s.k.reasonOf(id) != nil {
		return err
	}
	s.taking.Lock() // what the feed passed over meanwhile
	defer s.taking.Unlock()
	return s.syncOrStop(ctx, id)
}

func (s *session) owes(id segment.BucketID) bool {
	for _, d := range s.k.l.seg.Debts(s.k.id) {
		if d.Bucket == id {
			return true
		}
	}
	return false
}

// stopped notes why a bucket is not received.
func (k *link) stopped(id segment.BucketID, why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old := k.reasons[id]; old == nil || old.Error() != why.Error() {
		k.l.log.Error("a bucket is not received from this peer; the others go on", "peer", k.to.Name, "bucket", id, "error", why)
	}
	k.reasons[id], k.last = why, why
}

// synced notes that nothing is the matter with a bucket any more.
func (k *link) synced(id segment.BucketID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reasons[id] != nil {
		k.l.log.Info("a bucket is received again", "peer", k.to.Name, "bucket", id)
		delete(k.reasons, id)
	}
}

// reasonOf is why a bucket is not received, as far as was found out since the start.
func (k *link) reasonOf(id segment.BucketID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reasons[id]
}

// stoppedBuckets are those that are owed, by the time since when.
func (k *link) stoppedBuckets() []StoppedBucket {
	var out []StoppedBucket
	for _, d := range k.l.seg.Debts(k.id) {
		st := StoppedBucket{Bucket: d.Bucket, Since: d.Since, Why: "it is to be synced when the link is up"}
		if why := k.reasonOf(d.Bucket); why != nil {
			st.Why, st.Quarantine = reason(why), errors.Is(why, segment.ErrQuarantine)
		}
		if b, err := k.l.seg.BucketByID(d.Bucket); err == nil && d.Bucket != segment.FederationBucket {
			st.Name = b.Info().Name
		}
		out = append(out, st)
	}
	return out
}
