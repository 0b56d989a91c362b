package isgw

import (
	"context"
	"time"

	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

const (
	snapshotFirst = time.Second // wait after no peer had a snapshot, doubled up to the last
	snapshotLast  = time.Minute
)

// bringSnapshots brings the metadata of snapshots here that were made elsewhere, as soon as a peer has it.
func (l *Links) bringSnapshots(ctx context.Context) {
	again := time.NewTimer(0)
	defer again.Stop()
	pause := snapshotFirst
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		case <-l.seg.NewSnapshots():
			pause = snapshotFirst
		case <-l.snapshots: // a peer came
			pause = snapshotFirst
		}
		if l.bringAll(ctx) {
			continue
		}
		again.Reset(pause)
		pause = min(2*pause, snapshotLast)
	}
}

// bringAll says whether nothing is left to be brought.
func (l *Links) bringAll(ctx context.Context) bool {
	missing, err := l.seg.MissingSnapshots(ctx)
	if err != nil {
		l.log.Warn("snapshots cannot be listed", "error", err)
		return false
	}
	all := true
	for _, r := range missing {
		if !l.bring(ctx, r) {
			all = false
		}
	}
	return all
}

// bring asks one peer after the other.
func (l *Links) bring(ctx context.Context, r segment.SnapshotRef) bool {
	for _, k := range l.all() {
		s := k.session()
		if s == nil {
			continue
		}
		err := s.bring(ctx, r)
		if err == nil {
			if l.prefetch != nil { // what only the snapshot holds is to be here too, if all of the bucket is
				l.prefetch.hear(segment.Applied{Bucket: r.Bucket, Lost: true})
			}
			return true
		}
		l.log.Debug("a peer did not bring a snapshot", "peer", s.conn.Peer().Name, "bucket", r.Bucket, "snapshot", r.ID, "error", err)
	}
	return false
}

// bring asks this peer.
func (s *session) bring(ctx context.Context, r segment.SnapshotRef) error {
	return s.syncTree(ctx, wire.Sync{Bucket: r.Bucket, Snapshot: r.ID}, func(_ segment.Offer, t *remoteTree) error {
		return s.k.l.seg.AdoptSnapshot(ctx, r, t)
	})
}

// signal makes sure that a channel of one holds something.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
