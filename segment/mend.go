package segment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment/tree"
)

// TreeID tells a bucket's two trees apart. Its numbers are those of the links' protocol.
type TreeID uint8

const (
	HeadsTree   TreeID = 1
	HistoryTree TreeID = 2
)

// Place is where a tree names a chunk.
type Place = tree.Place

// Lost are chunks of one of the trees of a bucket, or of a snapshot of it, that are lost here, or damaged.
type Lost struct {
	Bucket   BucketID
	Snapshot SnapshotID // zero for the bucket as it is now
	Tree     TreeID
	Places   []Place
}

// trees are the ways to the nodes of a bucket's trees.
type trees struct {
	here           *tree.Store // asks nobody
	heads, history *tree.Store // peers mend what is lost
}

func newTrees(b *Bucket) trees {
	return trees{tree.NewStore(b.stores.Meta, b.domain, b.s.nodes), b.treeStore(HeadsTree, b.s.nodes), b.treeStore(HistoryTree, b.s.nodes)}
}

// treeStore is a store of one of the trees' nodes that peers mend.
func (b *Bucket) treeStore(id TreeID, cache *tree.Cache) *tree.Store {
	return tree.NewStore(b.stores.Meta, b.domain, cache, tree.Mended(func(ctx context.Context, lost []Place, yield func(chunk.Chunk) error) error {
		err := chunk.ErrUnavailable
		if b.s.cfg.Mend != nil && b.Linked() {
			err = b.s.cfg.Mend(ctx, b.domain, Lost{b.id, b.snapshotID, id, lost}, yield)
		}
		if err != nil && ctx.Err() == nil {
			b.ailing.Store(true)
		}
		return err
	}))
}

func (b *Bucket) tree(s *tree.Store, root chunk.ID) tree.Tree {
	return tree.New(s, b.doc.Load().salt, root)
}

// plant gives a base its trees.
func (b *Bucket) plant(n *base) {
	here := *n
	here.headTree, here.historyTree = b.tree(b.trees.here, n.heads), b.tree(b.trees.here, n.history)
	here.of, here.nodes = b.id, b.chunks.Meta
	n.headTree, n.historyTree = b.tree(b.trees.heads, n.heads), b.tree(b.trees.history, n.history)
	n.here = &here
	b.s.sparing.hold(&here)
}

// restoreRoot puts the root chunk back if it is lost: its bytes are in the log and in the state, too.
func (b *Bucket) restoreRoot(ctx context.Context, n *base) error {
	if n.id.IsZero() {
		return nil
	}
	err := b.stores.Meta.Get(ctx, []chunk.ID{n.id}, func(chunk.Chunk) error { return nil })
	if !errors.Is(err, chunk.ErrCorrupt) && !errors.Is(err, chunk.ErrNotFound) {
		return err
	}
	defer b.s.weave()()
	b.s.cfg.Logger.Warn("a damaged root is written anew", "bucket", b.id, "root", n.id, "error", err)
	return b.stores.Meta.Put(ctx, []chunk.Chunk{b.domain.Make(n.bytes)})
}

// foldForPeers is how often a bucket is folded so that a peer finds its nodes.
const foldForPeers = time.Second

// ServeNodes yields chunks of a linked bucket's trees for a peer that lost its own: only what the tree of this segment names at the same
// place, and only what is here; else chunk.ErrNotFound, whatever else of the domain is here. It asks no peer: so no two ever wait for each other.
func (s *Segment) ServeNodes(ctx context.Context, l Lost, yield func(chunk.Chunk) error) error {
	b := s.bucket(l.Bucket)
	if b == nil || !b.Linked() || l.Tree != HeadsTree && l.Tree != HistoryTree {
		return fmt.Errorf("bucket %v: %w", l.Bucket, ErrRefused)
	}
	if l.Snapshot != (SnapshotID{}) {
		_, d, err := s.snapshotDoc(SnapshotRef{l.Bucket, l.Snapshot})
		if err == nil {
			b, err = b.freeze(d, d.name)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	if b.waits() != nil {
		return fmt.Errorf("bucket %v has not begun here: %w", l.Bucket, chunk.ErrNotFound)
	}
	b.mu.RLock()
	n := b.base
	b.mu.RUnlock()
	ids, lack, err := n.named(ctx, l.Tree, l.Places)
	if len(lack) > 0 {
		// What the peer has folded may lie in records here. Else its tree has what this one has not, or not any more.
		var more []chunk.ID
		if n := b.foldForPeer(ctx); n != nil {
			more, lack, err = n.named(ctx, l.Tree, lack)
			ids = append(ids, more...)
		}
	}
	if len(ids) > 0 {
		err = errors.Join(b.stores.Meta.Get(ctx, ids, yield), err)
	}
	if errors.Is(err, chunk.ErrCorrupt) || errors.Is(err, chunk.ErrNotFound) {
		b.ailing.Store(true)
	}
	if err == nil && len(lack) > 0 {
		err = fmt.Errorf("%d nodes: %w", len(lack), chunk.ErrNotFound)
	}
	return err
}

// named are the ids of those places that the tree has; lack are the others. An error is that of a part of the tree that cannot be read.
func (n *base) named(ctx context.Context, id TreeID, places []Place) (ids []chunk.ID, lack []Place, err error) {
	t := n.here.headTree
	if id == HistoryTree {
		t = n.here.historyTree
	}
	for _, p := range places {
		has, e := t.Has(ctx, p)
		if has {
			ids = append(ids, p.ID)
			continue
		}
		lack, err = append(lack, p), errors.Join(err, e)
	}
	return ids, lack, err
}

// foldForPeer folds, unless that is under way, or was done for a peer just now, or fails; then it returns nil. A snapshot has nothing to fold.
func (b *Bucket) foldForPeer(ctx context.Context) *base {
	if b.snapshotID != (SnapshotID{}) || !b.fold.TryLock() {
		return nil
	}
	defer b.fold.Unlock()
	if !b.folded.IsZero() && time.Since(b.folded) < foldForPeers {
		return nil
	}
	n, err := b.foldReading(ctx, func(n *base) *base { return n.here })
	if err != nil {
		return nil
	}
	b.folded = time.Now()
	return n
}
