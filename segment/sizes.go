package segment

import (
	"context"
	"fmt"

	"github.com/edgefs/edgefs/segment/tree"
)

// sizes is the bytes of all versions that a bucket holds: those of a tree, which its root knows, and what became of them since, folds or not.
type sizes struct {
	of  *tree.Tree // nil: they are in sum
	sum int64
}

func sizesOf(n *base) sizes {
	if n.here != nil { // no peer is asked
		n = n.here
	}
	history := n.historyTree // alone: what has the base keeps it
	return sizes{of: &history}
}

// changed accounts for what a record did. The caller holds mu.
func (s *sizes) changed(changes []change) {
	for _, c := range changes {
		if c.was != nil {
			s.sum -= c.was.Size()
		}
		if c.now != nil {
			s.sum += c.now.Size()
		}
	}
}

// Logical is the bytes of all versions that the bucket holds, each with its whole size. It answers from memory, but for the first time after a start, or a merge, when
// it reads a node; a fold does that too, for the node may go afterwards. Of a snapshot it is what listings show.
func (b *Bucket) Logical(ctx context.Context) (int64, error) {
	if b.frozen != "" {
		return b.Stats().Bytes, nil
	}
	for {
		b.mu.RLock()
		s := b.sizes
		b.mu.RUnlock()
		if s.of == nil {
			return s.sum, nil
		}
		n, err := s.of.Weight(ctx)
		if err != nil {
			return 0, fmt.Errorf("bucket %v: %w", b.id, err)
		}
		b.mu.Lock()
		if b.sizes.of == s.of {
			b.sizes.of, b.sizes.sum = nil, b.sizes.sum+n
		}
		b.mu.Unlock()
	}
}
