package segment

import (
	"context"
	"iter"
	"slices"
)

// listedDiff is diffOf of what listings show: under keep-both losers too, under their names, where both states show them.
func listedDiff(ctx context.Context, a, b *base, prefix string) iter.Seq2[Difference, error] {
	if a.root.settings.Policy != KeepBoth || b.root.settings.Policy != KeepBoth {
		return diffOf(ctx, a, b, prefix)
	}
	return func(yield func(Difference, error) bool) {
		w := &shownDiff{from: a, to: b, tell: func(d Difference, err error) bool {
			if err == nil && (d.same() || !below(d.Key, prefix)) {
				return true
			}
			return yield(d, err) && err == nil
		}}
		for c, err := range changedHeads(ctx, a, b) {
			if err != nil {
				yield(Difference{}, err)
				return
			}
			if !w.take(ctx, c) {
				return
			}
		}
		w.flush(ctx, "")
	}
}

// shownDiff puts the losers of keys that changed in their places among the keys. The names that wait for theirs begin with the keys that the walk's key
// begins with, so they are few.
type shownDiff struct {
	from, to *base
	tell     func(Difference, error) bool
	later    []string // names of losers still to come, in order
}

// take tells what is other of a key, behind the names that lie before it; false ends the walk.
func (w *shownDiff) take(ctx context.Context, c changedHead) bool {
	if !w.flush(ctx, c.key) {
		return false
	}
	if reserved(c.key) {
		return w.tell(Difference{c.key, c.from.content(), c.to.content()}, nil)
	}
	for _, h := range []head{c.from, c.to} {
		for _, l := range h.losers() {
			name := LoserName(c.key, l.Dot)
			if i, found := slices.BinarySearch(w.later, name); !found {
				w.later = slices.Insert(w.later, i, name)
			}
		}
	}
	if _, _, ok := ParseLoserName(c.key); ok {
		return w.look(ctx, c.key)
	}
	return w.tell(Difference{c.key, c.from.content(), c.to.content()}, nil)
}

// flush tells of the names that lie before a key, of all for none.
func (w *shownDiff) flush(ctx context.Context, key string) bool {
	for len(w.later) > 0 && (key == "" || w.later[0] <= key) {
		name := w.later[0]
		w.later = w.later[1:]
		if name != key && !w.look(ctx, name) { // a key of that very name is told of in its turn
			return false
		}
	}
	return true
}

// look tells what the two states show under a name that a loser may have.
func (w *shownDiff) look(ctx context.Context, name string) bool {
	a, err := w.from.shownUnder(ctx, name)
	if err != nil {
		return w.tell(Difference{Key: name}, err)
	}
	b, err := w.to.shownUnder(ctx, name)
	return w.tell(Difference{name, a, b}, err)
}

// shownUnder is what is listed under a name, to keep both: nil for nothing.
func (n *base) shownUnder(ctx context.Context, name string) (*Version, error) {
	h, err := n.headOf(ctx, name)
	if err != nil || h.content() != nil {
		return h.content(), err
	}
	key, dot, ok := ParseLoserName(name)
	if !ok {
		return nil, nil
	}
	if h, err = n.headOf(ctx, key); err != nil {
		return nil, err
	}
	for _, l := range h.losers() {
		if l.Dot == dot {
			shown := l.asLoser()
			return &shown, nil
		}
	}
	return nil, nil
}
