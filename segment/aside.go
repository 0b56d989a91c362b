package segment

import (
	"context"
	"fmt"
)

// aside is a bucket's state with a rename, made beside it in trees of its own, a part after the other: what is in memory at a time does not grow
// with what moves. Others read the bucket meanwhile, and nobody changes it.
type aside struct {
	b      *Bucket
	from   *base     // the bucket's, over which the state is
	covers uint64    // log position of the last entry that is in it
	twin   *Bucket   // the state so far; nobody else's
	r      record    // stands for the rename's, which has its name
	next   VersionID // of the next version that it puts
	most   int64     // bytes of memory that a part may take
}

// partsOfRename is how many parts there is memory for: one is folded, and garbage stays for a while.
const partsOfRename = 4

// aside begins the state that a rename leads to with that of the bucket. The record has its name, but perhaps not its count and digest: those are
// what [aside.expand] comes to. The caller has the bucket alone, holds its fold lock, and waits for no peer.
func (b *Bucket) aside(r *record) *aside {
	twin := newBucket(b.s, b.id, b.doc.Load())
	a := &aside{b: b, twin: twin, r: record{VersionID: r.VersionID, rename: &rename{count: 1 << 62}}, next: r.VersionID, most: b.s.mostRenamed() / partsOfRename}
	b.mu.Lock()
	defer b.mu.Unlock()
	a.from, a.covers = b.base, b.last
	twin.setBase(b.base)
	twin.overlay, twin.stats, twin.done, twin.cost = b.overlay.Copy(), b.stats, b.done, b.cost
	twin.set(b.settingsNow())
	twin.setSeen(b.seenLocked())
	return a
}

// expand works the rename out, and its state.
func (a *aside) expand(ctx context.Context, x *expander) (*expansion, error) {
	a.b.lookAt(x)
	x.at.base, x.sink = x.at.base.here, a.take
	return x.expand(ctx)
}

// item makes the state the bucket's base, in the entry that has the record, which is complete by now: whoever applies that, or reads it from the
// log, need not expand it.
func (a *aside) item(ctx context.Context, r *record) (mergeItem, error) {
	a.twin.see(r.last())
	a.twin.done = a.twin.done.after(r)
	root, err := a.twin.makeRoot(ctx, a.twin.base.here, a.twin.now())
	if err != nil {
		return mergeItem{}, fmt.Errorf("make the state after a rename: %w", err)
	}
	f := foldItem{bucket: a.b.id, prev: a.from.at, covers: a.covers, root: root, stats: a.twin.stats}
	return mergeItem{f, Vector{r.Dot.Origin: r.last().N}, a.b.s.cfg.ID, r.HLC}, nil
}

// take applies what becomes of one key.
func (a *aside) take(ctx context.Context, x *expansion) error {
	for i := range x.effects {
		if v := x.effects[i].hold; v != nil {
			v.VersionID, v.Holds = a.next, []Dot{a.next.Dot}
			a.next.Dot.N++
		}
	}
	a.r.effects = x.effects
	for i := range x.effects {
		if err := a.twin.applyEffect(ctx, &a.r, i, &hint{heads: x.heads}); err != nil {
			return err
		}
	}
	if a.twin.cost < a.most {
		return nil
	}
	return a.settle(ctx)
}

// settle moves what is in memory into trees. Nobody reads them before the rename is whole, so there is no root chunk.
func (a *aside) settle(ctx context.Context) error {
	r, err := a.twin.makeTrees(ctx, a.twin.base.here, a.twin.now())
	if err != nil {
		return fmt.Errorf("make a part of the state after a rename: %w", err)
	}
	n := &base{root: r, stats: a.twin.stats}
	a.twin.plant(n)
	a.twin.setBase(n)
	return nil
}

// nameAhead gives the record the name that it will bear, for whoever needs it before the log has the record. The caller has the bucket alone, so
// nobody else is given the name meanwhile, unless a life ends: then the log refuses the record, see [plan.keepName].
func (p *plan) nameAhead() error {
	s := p.b.s
	s.naming.RLock()
	defer s.naming.RUnlock()
	p.b.seq.Lock()
	defer p.b.seq.Unlock()
	own := s.Origin()
	if p.own.N > 0 && p.own.Origin != own {
		p.r.deps = p.r.deps.With(p.own)
	}
	epoch, err := p.epoch(own)
	if err != nil {
		return err
	}
	p.named = true
	p.r.name(VersionID{Stamp{epoch, s.clock.now()}, Dot{own, p.b.lastGiven() + 1}})
	return nil
}

// keepName takes the names that the record was given ahead. The caller holds naming and seq.
func (p *plan) keepName(epoch Epoch) error {
	if next := (Dot{p.b.s.Origin(), p.b.lastGiven() + 1}); p.r.Dot != next || p.r.Epoch != epoch {
		return fmt.Errorf("%v is the next write, not %v: %w", next, p.r.Dot, ErrUnavailable)
	}
	p.b.nextDot(p.r.dots())
	return nil
}
