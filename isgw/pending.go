package isgw

import "github.com/edgefs/edgefs/segment"

// Pending are the peers that are not known to have taken in a bucket's settings as they are here: those that have not been heard of since, too. A
// peer that is cut off may still write by the settings before.
func (l *Links) Pending(id segment.BucketID) []segment.ID {
	b, err := l.seg.BucketByID(id)
	if err != nil {
		return nil
	}
	dot, pos := b.Acknowledgement()
	if dot.N == 0 { // they are as the bucket was made
		return nil
	}
	var out []segment.ID
	for _, k := range l.all() {
		if k.id != dot.Segment && !k.knows(id, dot, pos) {
			out = append(out, k.id)
		}
	}
	return out
}

// knows says whether the peer has a write: it said so, or has taken in this segment's log up to its place.
func (k *link) knows(id segment.BucketID, d segment.Dot, pos uint64) bool {
	k.gap.mu.Lock()
	acked := k.gap.known && k.gap.acked > pos
	k.gap.mu.Unlock()
	if acked {
		return true
	}
	s := k.session()
	return s != nil && s.peerSeen(id).Has(d)
}
