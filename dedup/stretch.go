package dedup

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/edgefs/edgefs/chunk"
)

const (
	// stretchSize is how much payload is asked for at once.
	stretchSize = 4 << 20
	// aheadFrom is beyond how many bytes a range is worth a goroutine and buffers.
	aheadFrom = stretchSize
	// nodesAhead is how many nodes of one level are asked for at once.
	nodesAhead = 16
)

// stretch is neighbouring pieces under one node, and which of their bytes are wanted.
type stretch struct {
	path   []chunk.ID // to the node
	pieces []Entry
	skip   int // bytes of the first piece that are not wanted
	size   int // bytes wanted, up to stretchSize or one piece
}

// wanted is which bytes of a stretch's piece i are wanted, and where they stand among the wanted.
type wanted struct {
	from, to int // in the piece
	at       int // in the stretch
}

func (s stretch) each(visit func(i int, w wanted) error) error {
	at, left := 0, s.size
	for i, e := range s.pieces {
		from := 0
		if i == 0 {
			from = s.skip
		}
		n := min(int(e.Size)-from, left)
		if err := visit(i, wanted{from, from + n, at}); err != nil {
			return err
		}
		at, left = at+n, left-n
	}
	return nil
}

// stretches is the range in order, in bounded memory. It reads the nodes that the range touches, a few of each level ahead.
func (r *Reader) stretches(ctx context.Context, offset, length int64) iter.Seq2[stretch, error] {
	return func(yield func(stretch, error) bool) {
		if length > 0 {
			r.descend(ctx, nil, r.m.top, offset, length, yield)
		}
	}
}

// descend yields the stretches of length bytes at offset of l's, and says whether to go on.
func (r *Reader) descend(ctx context.Context, path []chunk.ID, l list, offset, length int64, yield func(stretch, error) bool) bool {
	first := 0
	for offset >= l.entries[first].Size {
		offset -= l.entries[first].Size
		first++
	}
	for length > 0 {
		n, bytes := take(l, first, offset, length)
		group := l.entries[first : first+n]
		if l.level == 0 {
			if !yield(stretch{path, group, int(offset), int(bytes)}, nil) {
				return false
			}
		} else if !r.descendInto(ctx, path, group, l.level, offset, bytes, yield) {
			return false
		}
		first, length, offset = first+n, length-bytes, 0
	}
	return true
}

// take says how many entries from first on are asked for at once, at least one, and how many of the length bytes behind skip they hold.
func take(l list, first int, skip, length int64) (n int, bytes int64) {
	for _, e := range l.entries[first:] {
		more := min(e.Size-skip, length-bytes)
		if n > 0 && (more == 0 || l.level == 0 && bytes+more > stretchSize || l.level > 0 && n == nodesAhead) {
			break
		}
		n, bytes, skip = n+1, bytes+more, 0
	}
	return n, bytes
}

func (r *Reader) descendInto(ctx context.Context, path []chunk.ID, nodes []Entry, level int, offset, length int64, yield func(stretch, error) bool) bool {
	lists, err := r.load(ctx, path, nodes, level-1)
	if err != nil {
		yield(stretch{}, err)
		return false
	}
	for i, l := range lists {
		n := min(nodes[i].Size-offset, length)
		below := append(path[:len(path):len(path)], nodes[i].ID)
		if !r.descend(ctx, below, l, offset, n, yield) {
			return false
		}
		length, offset = length-n, 0
	}
	return true
}

// get asks for a stretch's pieces and hands each, once and in any order, to visit.
func (r *Reader) get(ctx context.Context, s stretch, visit func(i int, w wanted, c chunk.Chunk) error) error {
	ids := make([]chunk.ID, len(s.pieces))
	for i, e := range s.pieces {
		ids[i] = e.ID
	}
	seen := 0
	var stopped error
	err := r.open(s.path).Get(ctx, ids, func(c chunk.Chunk) error {
		stopped = s.each(func(i int, w wanted) error {
			if ids[i] != c.ID() {
				return nil
			}
			if int64(c.Size()) != s.pieces[i].Size {
				return fmt.Errorf("piece %v has %d bytes, its manifest says %d: %w", c.ID(), c.Size(), s.pieces[i].Size, ErrMalformed)
			}
			seen++
			return visit(i, w, c)
		})
		return stopped
	})
	switch {
	case stopped != nil:
		return stopped
	case err != nil:
		return fmt.Errorf("read %d pieces: %w", len(ids), err)
	case seen != len(ids):
		return fmt.Errorf("read %d pieces: the store yielded %d: %w", len(ids), seen, chunk.ErrNotFound)
	}
	return nil
}

// fetch copies a stretch into p, which is as long.
func (r *Reader) fetch(ctx context.Context, s stretch, p []byte) error {
	return r.get(ctx, s, func(_ int, w wanted, c chunk.Chunk) error {
		copy(p[w.at:], c.Data()[w.from:w.to])
		return nil
	})
}

// stream writes a stretch to w. Pieces that come in order are not copied.
func (r *Reader) stream(ctx context.Context, s stretch, w io.Writer) (int64, error) {
	var n int64
	next := 0
	early := make([][]byte, len(s.pieces)) // pieces that came before their turn
	write := func(data []byte) error {
		k, err := w.Write(data)
		n += int64(k)
		next++
		return err
	}
	err := r.get(ctx, s, func(i int, w wanted, c chunk.Chunk) error {
		data := c.Data()[w.from:w.to]
		if i != next {
			early[i] = append([]byte(nil), data...)
			return nil
		}
		if err := write(data); err != nil {
			return err
		}
		for next < len(early) && early[next] != nil {
			data, early[next] = early[next], nil
			if err := write(data); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
