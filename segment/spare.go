package segment

import (
	"context"
	"errors"
	"slices"
	"sync"
	"weak"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
)

// sparing is what collection spares although no root of the segment reaches it: what writers may name before long, and states of buckets that
// somebody still has in his hands.
type sparing struct {
	lists dedup.Lists
	trees treeList

	mu     sync.Mutex
	bases  []weak.Pointer[base]
	frozen []weak.Pointer[Bucket] // of seals: their overlays
	due    int                    // bases at which those that nobody has are forgotten
	log    bool                   // a collection runs
	left   []*base                // that buckets had since it began: a start from one of the states goes through them, entry by entry
}

// treeList is the list of those who write trees' nodes, all together: it begins with the first of them and ends with the last.
type treeList struct {
	mu    sync.Mutex
	users int
	list  *dedup.List
}

// weave lets nodes of trees, and roots, be written until done is called: when the commit that names them was applied, or there will be none.
func (s *Segment) weave() (done func()) {
	t := &s.sparing.trees
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users++; t.users == 1 {
		t.list = s.sparing.lists.Begin()
	}
	return sync.OnceFunc(t.leave)
}

func (t *treeList) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users--; t.users == 0 {
		t.list.End()
		t.list = nil
	}
}

func (t *treeList) now() *dedup.List {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list
}

// errUnlisted says that somebody writes what collection does not know of: a mistake of the program, found before it costs anything.
var errUnlisted = errors.New("chunks are written without a list")

// woven is a store for trees' nodes, written between [Segment.weave] and its end only.
type woven struct {
	chunk.Store
	s *Segment
}

func (w woven) Missing(ctx context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	list := w.s.sparing.trees.now()
	if list == nil {
		return nil, errUnlisted
	}
	return list.Store(w.Store).Missing(ctx, ids)
}

func (w woven) Put(ctx context.Context, chunks []chunk.Chunk) error {
	list := w.s.sparing.trees.now()
	if list == nil {
		return errUnlisted
	}
	return list.Store(w.Store).Put(ctx, chunks)
}

// unlisted is a store to read from: who writes begins a list.
type unlisted struct{ chunk.Store }

func (unlisted) Missing(context.Context, []chunk.ID) ([]chunk.ID, error) { return nil, errUnlisted }
func (unlisted) Put(context.Context, []chunk.Chunk) error                { return errUnlisted }

// list begins a writer's list, and opens the bucket's stores for it. It must be ended.
func (b *Bucket) list() (*dedup.List, dedup.Stores) {
	l := b.s.sparing.lists.Begin()
	return l, l.Stores(b.chunks)
}

// pin makes a version's content stay until the list ends, as far as it is there when that is looked at afterwards.
func (b *Bucket) pin(l *dedup.List, v *Version) {
	l.Pin(dedup.Pin{Store: b.chunks.Meta, Manifest: v.Content})
}

// pinHeld pins a version's content for who will name it in another version, and fails with ErrNoSuchVersion where the version has gone meanwhile: what it
// reached may be gone too.
func (b *Bucket) pinHeld(ctx context.Context, l *dedup.List, v *Version) error {
	b.pin(l, v)
	if b.frozen != "" { // who has it keeps it
		return nil
	}
	held, err := b.heldVersion(ctx, v.stored(), v.VersionID)
	if err == nil && held == nil {
		err = ErrNoSuchVersion
	}
	return err
}

// hold makes a base a root for as long as somebody has it: the collector of Go's memory knows when that is. Who names its root, or what it holds, in a
// commit keeps it alive until that is applied (runtime.KeepAlive).
func (p *sparing) hold(n *base) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.bases) >= p.due {
		p.bases = slices.DeleteFunc(p.bases, func(w weak.Pointer[base]) bool { return w.Value() == nil })
		p.due = 2*len(p.bases) + 1024
	}
	p.bases = append(p.bases, weak.Make(n))
}

// holdFrozen does so with the overlay of a seal that is read.
func (p *sparing) holdFrozen(b *Bucket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = slices.DeleteFunc(p.frozen, func(w weak.Pointer[Bucket]) bool { return w.Value() == nil })
	p.frozen = append(p.frozen, weak.Make(b))
}

// keepLog keeps, until done is called, each base that a bucket leaves behind.
func (p *sparing) keepLog() (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.log, p.left = false, nil
	}
}

// leave notes that n is not a bucket's base any more.
func (p *sparing) leave(n *base) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log {
		p.left = append(p.left, n)
	}
}

// held are the bases, and the buckets of seals, that somebody has.
func (p *sparing) held() (bases []*base, frozen []*Bucket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.bases {
		if n := w.Value(); n != nil {
			bases = append(bases, n)
		}
	}
	for _, w := range p.frozen {
		if b := w.Value(); b != nil {
			frozen = append(frozen, b)
		}
	}
	return bases, frozen
}
