package segment

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
)

// What a bucket began with is kept, for other segments begin with it. An imported bucket that no other segment knows of is given another beginning before chunks are
// collected, the state that it has: else what was deleted from it would be kept for ever.

// rebegin gives imported buckets their present states as beginnings. The caller knows that nobody was told of their documents.
func (s *Segment) rebegin(ctx context.Context) error {
	for _, b := range s.allBuckets() {
		o := b.doc.Load().origin
		if o == nil || !o.imported() || b.gone() || b.Err() != nil {
			continue
		}
		if err := b.rebegin(ctx); err != nil {
			return fmt.Errorf("a later beginning of bucket %v: %w", b.id, err)
		}
	}
	return nil
}

func (b *Bucket) rebegin(ctx context.Context) error {
	n, err := b.foldNow(ctx)
	defer runtime.KeepAlive(n) // until the document names it
	if err != nil {
		return err
	}
	doc := *b.doc.Load()
	if bytes.Equal(doc.origin.root, n.bytes) {
		return nil
	}
	doc.settings = n.root.settings.Settings // in place of those that are said before: see begun
	doc.origin = &origin{root: n.bytes, stats: n.stats, seen: n.seen}
	if err := b.s.random(doc.origin.id[:]); err != nil {
		return err
	}
	mark := Version{Key: snapshotMark + doc.origin.id.String(), Data: markOf(b.domain, doc.beginning())}
	if _, err := b.s.local.put(ctx, Cond{}, mark, nil); err != nil { // first: a bucket whose beginning is not marked waits for peers
		return err
	}
	return b.s.putDoc(ctx, docBucket+b.id.String(), doc.appendTo(nil))
}

// redocument gives the bucket the document of a later beginning.
func (b *Bucket) redocument(doc *bucketDoc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.doc.Load()
	if was.origin == nil || !was.origin.imported() || doc.origin == nil || was.origin.id == doc.origin.id {
		return
	}
	b.doc.Store(doc)
	if !b.unborn.Load() || b.base.at > 0 {
		return
	}
	if n, err := b.newBase(0, foldItem{root: doc.origin.root, stats: doc.origin.stats}); err == nil {
		b.setBase(n)
	}
}
