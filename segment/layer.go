package segment

import "slices"

// layer is what the overlay has of the records behind a position of the log, up to the next layer's. A fold up to there makes a base over which
// the layers from there on are all there is, so what the log's goroutine has to do when it is done is little, however much was written meanwhile.
type layer struct {
	at   uint64
	over *overlay // of the last layer what is written goes into; others never change
}

// beginLayer begins one where the bucket is. The caller holds mu.
func (b *Bucket) beginLayer() {
	if n := len(b.layers); n == 0 || b.layers[n-1].at != b.last {
		b.layers = append(b.layers, layer{b.last, newOverlay()})
	}
}

// shed is the overlay over a fold of it up to a position. The layers that begin later stay. The caller holds mu.
func (b *Bucket) shed(covers uint64) (*overlay, error) {
	i := slices.IndexFunc(b.layers, func(l layer) bool { return l.at == covers })
	if i < 0 {
		b.layers = nil
		return b.touched(covers)
	}
	first, later := b.layers[i], slices.Clone(b.layers[i+1:])
	b.layers = later
	if len(later) == 0 {
		return first.over, nil
	}
	out := first.over.Copy()
	for _, l := range later {
		l.over.Scan(func(key string, _ *overlayKey) bool {
			o, _ := b.overlay.Get(key)
			out.Set(key, o)
			return true
		})
	}
	return out, nil
}

// rebase gives the seals that lie over the bucket's base one that was folded from that: what an overlay says of a key is absolute, so it is right
// over any base between its own and the seal. Where layers begin at both it is left with what lies between. The caller holds mu.
func (b *Bucket) rebase(n *base) {
	var between *overlay // this fold and the next layer
	next := uint64(0)
	for i, l := range b.layers {
		if l.at == n.covers && i+1 < len(b.layers) {
			between, next = l.over, b.layers[i+1].at
		}
	}
	for _, q := range b.seals {
		if q.base.at != b.base.at || q.covers < n.covers {
			continue
		}
		q.base, q.from = n, n.covers
		switch {
		case q.covers == n.covers:
			q.overlay = newOverlay()
		case between != nil && q.covers == next:
			q.overlay = between
		}
	}
}
