package dedup

import (
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// resync is how many times the longest piece is cut again behind a change, at the most, to find a boundary that was there.
const resync = 16

// splicer makes the manifest of a draft.
type splicer struct {
	d      *Draft
	share  slicer // takes over what stays
	pieces pieceWalk

	buf    []byte // what was read and not cut
	at     int64  // offset of buf
	cutter Cutter
	fresh  []chunk.Chunk // not put yet
	bytes  int           // of fresh
	zeros  *Entry        // a piece of nothing but zeros, as the cutter makes it; nil until it is needed
}

// splice is the manifest of the draft's content, and its new payload where that is so little that nothing else is new.
func (d *Draft) splice(ctx context.Context) (Manifest, []chunk.Chunk, error) {
	s := &splicer{d: d, cutter: NewCutter(d.params)}
	meta := fetching{d.stores.Meta, s.bring}
	s.share = slicer{stores: Stores{d.stores.Data, meta}, domain: d.domain, params: d.params, tree: builder{domain: d.domain, meta: meta, before: s.put}}
	s.pieces = pieceWalk{store: meta, top: d.m.top}
	if err := s.run(ctx); err != nil {
		return Manifest{}, nil, fmt.Errorf("change in place: %w", err)
	}
	m, err := s.share.tree.finish(ctx)
	if err == nil && (m.Level() > 0 || s.bytes > DefaultInlineMax) {
		err = s.put(ctx)
	}
	var pending []chunk.Chunk
	if err == nil {
		pending, err = s.pending(ctx)
	}
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("change in place: %w", err)
	}
	d.stats.NewNodes += s.share.tree.stats.NewNodes
	d.stats.NodeBytes += s.share.tree.stats.NodeBytes
	return m, pending, nil
}

// run takes over what stays and cuts anew what has changed, in turns.
func (s *splicer) run(ctx context.Context) error {
	for pos := int64(0); pos < s.d.size; {
		change := s.nextChange(pos)
		if change < 0 {
			return s.share.list(ctx, s.d.m.top, pos, s.d.size)
		}
		start, err := s.startOf(ctx, change)
		if err != nil {
			return err
		}
		start = max(start, pos)
		if err := s.share.list(ctx, s.d.m.top, pos, start); err != nil {
			return err
		}
		if pos, err = s.recut(ctx, start, change); err != nil {
			return err
		}
	}
	return nil
}

// nextChange is the first offset from pos on whose byte may not be that of the manifest, or where the manifest's end is not the content's; -1 when
// there is none.
func (s *splicer) nextChange(pos int64) int64 {
	data, next := s.d.dirty.at(pos)
	if len(data) > 0 {
		next = pos
	}
	end := max(s.d.kept, pos)
	if s.d.kept == s.d.m.Size() && s.d.kept == s.d.size {
		return next
	}
	if next < 0 || next > end {
		return end
	}
	return next
}

// startOf is where the piece begins that a change at an offset falls into, or that ended only because the content did.
func (s *splicer) startOf(ctx context.Context, change int64) (int64, error) {
	if s.d.kept == 0 {
		return 0, nil
	}
	at := min(change, s.d.kept)
	if at == s.d.m.Size() {
		at--
	}
	if err := s.pieces.seek(ctx, at); err != nil {
		return 0, err
	}
	return s.pieces.start, nil
}

// recut cuts the content from start on, until a boundary behind all changes is one of the manifest's, or the content ends. It returns that offset.
func (s *splicer) recut(ctx context.Context, start, change int64) (int64, error) {
	s.buf, s.at, s.cutter = s.buf[:0], start, NewCutter(s.d.params)
	for pos, last := start, change; ; {
		n, err := s.nextPiece(ctx, pos)
		if err != nil || n == 0 {
			return pos, err
		}
		pos += n
		for c := s.nextChange(last); c >= 0 && c < pos; c = s.nextChange(last) {
			last = s.changeEnd(c)
		}
		if pos >= s.d.kept || last > pos || pos == s.d.size {
			continue
		}
		if err := s.pieces.seek(ctx, pos); err != nil {
			return pos, err
		}
		if s.pieces.start == pos {
			return pos, nil
		}
		if end := s.pieces.start + s.pieces.size; pos-last > int64(resync*s.d.params.MaxSize()) && s.sameTo(pos, end) {
			return end, s.forced(ctx, pos, end)
		}
	}
}

// changeEnd is where a change that begins at c ends.
func (s *splicer) changeEnd(c int64) int64 {
	if data, _ := s.d.dirty.at(c); len(data) > 0 {
		return c + int64(len(data))
	}
	return s.d.size
}

// sameTo says whether nothing has changed from pos to end.
func (s *splicer) sameTo(pos, end int64) bool {
	c := s.nextChange(pos)
	return c < 0 || c >= end
}

// forced makes what lies before an old boundary a piece.
func (s *splicer) forced(ctx context.Context, pos, end int64) error {
	if err := s.fill(ctx, pos, int(end-pos)); err != nil {
		return err
	}
	return s.emit(ctx, int(end-pos))
}

// nextPiece cuts one piece at pos, or some that hold only zeros, and says how many bytes they are: none at the content's end.
func (s *splicer) nextPiece(ctx context.Context, pos int64) (int64, error) {
	if n, err := s.zeroPieces(ctx, pos); n > 0 || err != nil {
		return n, err
	}
	longest := s.d.params.MaxSize()
	for want := min(longest, 64<<10); ; want = min(2*want, longest) {
		if err := s.fill(ctx, pos, want); err != nil {
			return 0, err
		}
		n := s.cutter.Next(s.buf)
		if n == 0 && s.at+int64(len(s.buf)) == s.d.size {
			n = len(s.buf)
			s.cutter = NewCutter(s.d.params)
		}
		if n > 0 || len(s.buf) == 0 {
			return int64(n), s.emit(ctx, n)
		}
	}
}

// fill makes buf hold n bytes from pos on, or what there is.
func (s *splicer) fill(ctx context.Context, pos int64, n int) error {
	n = int(min(int64(n), s.d.size-pos))
	if drop := int(pos - s.at); drop > 0 {
		s.buf = append(s.buf[:0], s.buf[min(drop, len(s.buf)):]...)
	}
	s.at = pos
	have := len(s.buf)
	if n <= have {
		return nil
	}
	s.buf = append(s.buf, make([]byte, n-have)...)
	_, err := s.d.ReadAt(ctx, s.buf[have:], pos+int64(have))
	return err
}

// emit makes the first n bytes of buf a piece.
func (s *splicer) emit(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	c := s.d.domain.Make(s.buf[:n:n]).Clone()
	s.fresh = append(s.fresh, c)
	s.bytes += n
	if s.bytes >= batchSize {
		if err := s.put(ctx); err != nil {
			return err
		}
	}
	return s.share.tree.piece(ctx, Entry{c.ID(), int64(n)})
}

// zeroPieces adds as many pieces of zeros as there is room for in a gap that begins at pos, without cutting each.
func (s *splicer) zeroPieces(ctx context.Context, pos int64) (int64, error) {
	longest := int64(s.d.params.MaxSize())
	if pos < s.d.kept || s.d.size-pos < longest {
		return 0, nil
	}
	data, next := s.d.dirty.at(pos)
	if next < 0 {
		next = s.d.size
	}
	if len(data) > 0 || next-pos < longest {
		return 0, nil
	}
	if s.zeros == nil {
		s.buf, s.at = make([]byte, longest), pos
		cutter := NewCutter(s.d.params)
		c := s.d.domain.Make(s.buf[:cutter.Next(s.buf)])
		s.fresh, s.bytes = append(s.fresh, c.Clone()), s.bytes+c.Size()
		s.zeros = &Entry{c.ID(), int64(c.Size())}
	}
	s.buf, s.cutter = s.buf[:0], NewCutter(s.d.params)
	n := (next - pos) / s.zeros.Size
	return n * s.zeros.Size, s.share.tree.repeat(ctx, *s.zeros, n)
}

// put makes the new pieces durable.
func (s *splicer) put(ctx context.Context) error {
	if len(s.fresh) == 0 {
		return nil
	}
	put, err := putMissing(ctx, s.d.stores.Data, s.fresh)
	if err != nil {
		return fmt.Errorf("put %d chunks: %w", len(s.fresh), err)
	}
	s.count(put)
	clear(s.fresh)
	s.fresh, s.bytes = s.fresh[:0], 0
	return nil
}

func (s *splicer) count(w written) {
	s.d.stats.NewChunks += w.chunks
	s.d.stats.NewBytes += w.bytes
}

// pending are the new pieces that are neither held nor put.
func (s *splicer) pending(ctx context.Context) (out []chunk.Chunk, err error) {
	if len(s.fresh) == 0 {
		return nil, nil
	}
	ids := make([]chunk.ID, len(s.fresh))
	for i, c := range s.fresh {
		ids[i] = c.ID()
	}
	missing, err := s.d.stores.Data.Missing(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("put %d chunks: %w", len(ids), err)
	}
	for _, c := range s.fresh {
		if len(out) < len(missing) && c.ID() == missing[len(out)] {
			out = append(out, c)
			s.count(written{1, int64(c.Size())})
		}
	}
	return out, nil
}

// bring makes the base's nodes be here, near where something is read or added.
func (s *splicer) bring(ctx context.Context) error {
	if s.d.base == nil {
		return nil
	}
	added := s.share.tree.size()
	var one [1]byte
	for _, at := range []int64{added - 1, added, s.pieces.wanted} {
		if at < 0 || at >= s.d.base.m.Size() {
			continue
		}
		if _, err := s.d.base.ReadAt(ctx, one[:], at); err != nil {
			return err
		}
	}
	return nil
}

// fetching asks for what is not here to be brought, and again.
type fetching struct {
	chunk.Store
	bring func(context.Context) error
}

func (f fetching) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	err := f.Store.Get(ctx, ids, yield)
	if !notHere(err) {
		return err
	}
	if err := f.bring(ctx); err != nil {
		return err
	}
	return f.Store.Get(ctx, ids, yield)
}

func notHere(err error) bool {
	return errors.Is(err, chunk.ErrNotFound) || errors.Is(err, chunk.ErrCorrupt)
}
