package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/segment/stream"
)

// importedChunks are the chunks of a stream, as they are named here. What number is which chunk is written into chunks of its own, pages, which nothing names
// when the import is over: so memory holds a name for 256 chunks, and the last pages.
type importedChunks struct {
	domain chunk.Domain
	stores dedup.Stores

	data, meta, paged batchOf
	fresh             dedup.Kept // of data

	page   []byte // that is written
	open   uint64 // its number
	pages  map[uint64]chunk.ID
	cached map[chunk.ID][]byte
	order  []chunk.ID // of cached, the oldest first
}

// batchOf is chunks to be put together.
type batchOf struct {
	chunks []chunk.Chunk
	named  map[chunk.ID]bool
	bytes  int
}

func (b *batchOf) add(c chunk.Chunk) {
	if b.named[c.ID()] {
		return
	}
	b.named[c.ID()] = true
	b.chunks = append(b.chunks, c)
	b.bytes += c.Size()
}

const (
	importBatch = 4 << 20 // bytes that are put together
	pageEntries = 256
	pageEntry   = chunk.IDSize + 8 + 1 // name, payload bytes, level: 0 of payload, else that of a node's entries and 1
	pagesCached = 1024
)

// errLost says that a stream names what is missing in it.
var errLost = errors.New("content is missing")

func newImportedChunks(d chunk.Domain, s dedup.Stores) *importedChunks {
	h := &importedChunks{domain: d, stores: s, pages: map[uint64]chunk.ID{}, cached: map[chunk.ID][]byte{}}
	for _, b := range []*batchOf{&h.data, &h.meta, &h.paged} {
		b.named = map[chunk.ID]bool{}
	}
	return h
}

// piece takes a chunk of payload. It keeps nothing of data.
func (h *importedChunks) piece(ctx context.Context, n uint64, data []byte) error {
	c := h.domain.Make(append([]byte(nil), data...))
	h.data.add(c)
	return h.number(ctx, n, dedup.Entry{ID: c.ID(), Size: int64(len(data))}, 0)
}

// node takes a node, all of which came before.
func (h *importedChunks) node(ctx context.Context, n uint64, l stream.List) error {
	o, err := h.outline(ctx, l)
	if err != nil {
		return err
	}
	c, err := o.Node(h.domain)
	if err != nil {
		return refuseStream("node %d: %w", n, err)
	}
	h.meta.add(c)
	size := int64(0)
	for _, e := range o.Entries {
		size += e.Size
	}
	return h.number(ctx, n, dedup.Entry{ID: c.ID(), Size: size}, l.Level+1)
}

// content is a version's manifest.
func (h *importedChunks) content(ctx context.Context, l stream.List) (dedup.Manifest, error) {
	o, err := h.outline(ctx, l)
	if err != nil {
		return dedup.Manifest{}, err
	}
	m, err := o.Manifest()
	if err != nil {
		err = refuseStream("%w", err)
	}
	return m, err
}

// outline is a list by the names that its chunks have here. What it names must be in the stream, and be what the list says.
func (h *importedChunks) outline(ctx context.Context, l stream.List) (dedup.Outline, error) {
	o := dedup.Outline{Level: l.Level, Other: l.Other}
	for _, r := range l.Refs {
		e, level, err := h.of(ctx, r.N)
		if err != nil {
			return o, err
		}
		if e.Size != r.Size || level != l.Level {
			return o, refuseStream("chunk %d of %d bytes and level %d is named as one of %d and %d", r.N, e.Size, level, r.Size, l.Level)
		}
		o.Entries = append(o.Entries, e)
	}
	return o, nil
}

// number remembers a chunk. Numbers ascend; those that are left out are lost.
func (h *importedChunks) number(ctx context.Context, n uint64, e dedup.Entry, level int) error {
	if len(h.page) > 0 && h.open != n/pageEntries {
		h.turn()
	}
	h.open = n / pageEntries
	h.page = append(h.page, make([]byte, int(n%pageEntries)*pageEntry-len(h.page))...)
	h.page = append(h.page, e.ID[:]...)
	h.page = binary.LittleEndian.AppendUint64(h.page, uint64(e.Size))
	h.page = append(h.page, byte(level))
	if len(h.page) == pageEntries*pageEntry {
		h.turn()
	}
	if h.data.bytes+h.meta.bytes+h.paged.bytes < importBatch {
		return nil
	}
	return h.flush(ctx)
}

// turn ends the page that is open.
func (h *importedChunks) turn() {
	c := h.domain.Make(h.page)
	h.pages[h.open] = c.ID()
	h.paged.add(c)
	h.remember(c.ID(), h.page)
	h.page = nil
}

func (h *importedChunks) remember(id chunk.ID, page []byte) {
	if len(h.order) == pagesCached {
		delete(h.cached, h.order[0])
		h.order = h.order[1:]
	}
	h.cached[id] = page
	h.order = append(h.order, id)
}

// of is the chunk of a number, and its level.
func (h *importedChunks) of(ctx context.Context, n uint64) (e dedup.Entry, level int, err error) {
	page := h.page
	if len(h.page) == 0 || n/pageEntries != h.open {
		id, ok := h.pages[n/pageEntries]
		if !ok {
			return e, 0, fmt.Errorf("chunk %d: %w", n, errLost)
		}
		if page, err = h.read(ctx, id); err != nil {
			return e, 0, err
		}
	}
	at := int(n%pageEntries) * pageEntry
	if len(page) < at+pageEntry {
		return e, 0, fmt.Errorf("chunk %d: %w", n, errLost)
	}
	entry := page[at : at+pageEntry]
	e.ID = chunk.ID(entry[:chunk.IDSize])
	e.Size = int64(binary.LittleEndian.Uint64(entry[chunk.IDSize:]))
	if e.Size == 0 {
		return e, 0, fmt.Errorf("chunk %d: %w", n, errLost)
	}
	return e, int(entry[pageEntry-1]), nil
}

func (h *importedChunks) read(ctx context.Context, id chunk.ID) ([]byte, error) {
	if page, ok := h.cached[id]; ok {
		return page, nil
	}
	if err := h.flush(ctx); err != nil { // it may not be put yet
		return nil, err
	}
	var page []byte
	err := h.stores.Data.Get(ctx, []chunk.ID{id}, func(c chunk.Chunk) error {
		page = append(page, c.Data()...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what was imported: %w", err)
	}
	h.remember(id, page)
	return page, nil
}

// flush makes all that was taken durable.
func (h *importedChunks) flush(ctx context.Context) error {
	for _, b := range []struct {
		*batchOf
		to    chunk.Store
		count *dedup.Kept
	}{{&h.data, h.stores.Data, &h.fresh}, {&h.meta, h.stores.Meta, new(dedup.Kept)}, {&h.paged, h.stores.Data, new(dedup.Kept)}} {
		if len(b.chunks) == 0 {
			continue
		}
		kept, err := dedup.Keep(ctx, b.to, b.chunks)
		if err != nil {
			return fmt.Errorf("keep what was imported: %w", err)
		}
		b.count.Chunks += kept.Chunks
		b.count.Bytes += kept.Bytes
		clear(b.chunks)
		clear(b.named)
		b.chunks, b.bytes = b.chunks[:0], 0
	}
	return nil
}
