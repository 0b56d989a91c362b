package isgw

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// node is where a chunk of a bucket's tree is asked for.
type node struct {
	snapshot segment.SnapshotID
	tree     segment.TreeID
	place    segment.Place
}

// Mend asks the peers for chunks of a bucket's trees that are lost or damaged here, as segment.Config.Mend wants it. They come as payload does:
// verified, put back, counted as repaired, once for all that wait for them.
func (l *Lazy) Mend(ctx context.Context, d chunk.Domain, lost segment.Lost, yield func(chunk.Chunk) error) error {
	o := order{domain: d, bucket: lost.Bucket, class: chunk.Meta, repair: true}
	var failure error
	for part := range slices.Chunk(lost.Places, maxAsk) {
		o.groups = nil
		for _, p := range part {
			o.groups = append(o.groups, group{node: &node{lost.Snapshot, lost.Tree, p}, ids: []chunk.ID{p.ID}})
		}
		err := l.fetch(ctx, o, yield)
		var own *yieldError
		if errors.As(err, &own) {
			return own.err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failure = errors.Join(failure, err)
		if errors.Is(err, errUnreached) {
			break
		}
	}
	return failure
}

// request is the group as it is asked of a peer, its chunks to be added.
func (g *group) request() wire.Group {
	if g.node != nil {
		return wire.Group{Snapshot: g.node.snapshot, Tree: g.node.tree, Level: g.node.place.Level, Key: string(g.node.place.Key)}
	}
	return wire.Group{Key: g.Key, Version: g.Version, Path: g.Path}
}

// serveNode gives a chunk of a bucket's tree, if this segment's tree has it in the same place.
func (s *session) serveNode(ctx context.Context, o *fetchOut, bucket segment.BucketID, g int, group *wire.Group) (wire.Status, error) {
	place := segment.Place{ID: group.IDs[0], Level: group.Level, Key: []byte(group.Key)}
	var lost error
	lack := segment.Lost{Bucket: bucket, Snapshot: group.Snapshot, Tree: group.Tree, Places: []segment.Place{place}}
	err := s.k.l.seg.ServeNodes(ctx, lack, func(c chunk.Chunk) error {
		lost = o.add(wire.Piece{Group: g, Data: bytes.Clone(c.Data())})
		return lost
	})
	if lost != nil {
		return 0, lost
	}
	return s.served(ctx, group, err)
}

// heal syncs buckets of whose trees something was lost here and not mended: the peer's state makes up for it. Each is tried at once, and then
// ever less often: what heals it may be something else, or nothing.
func (s *session) heal(ctx context.Context) error {
	type attempt struct {
		next  time.Time
		pause time.Duration
	}
	last := map[segment.BucketID]attempt{}
	for ctx.Err() == nil {
		for _, id := range s.k.l.seg.Ailing() {
			a := last[id]
			if time.Now().Before(a.next) {
				continue
			}
			if err := s.sync(ctx, id); err != nil && ctx.Err() == nil {
				s.k.l.log.Warn("a damaged bucket is not healed by this peer, trying again", "peer", s.conn.Peer().Name, "bucket", id, "error", err)
			}
			a.pause = min(max(2*a.pause, repayLook), repayMax)
			a.next = time.Now().Add(a.pause)
			last[id] = a
		}
		wait(ctx, repayLook)
	}
	return nil
}
