package pack

import (
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// Stored is a durable chunk as a device stores it, so that it can move to another device as it is: whatever its domain, and without being packed anew.
type Stored struct {
	Key     Key
	Class   chunk.Class
	Codec   Codec
	Size    uint32 // of the chunk, in bytes
	Payload []byte // valid until the function that got it returns
}

// Skipped is what could not be moved, because it could not be read.
type Skipped struct {
	Damaged    int64 // copies that were dropped from the index, as by Get
	Unreadable []Key // that the disk did not give; 65,536 at most
	Err        error // of the last of those
}

// Each yields the durable chunks that the device holds and that lacking asks for, a few at a time, in the order in which they lie. Each was compared with its
// checksum. lacking is told which chunks come next and answers with the indices of those to read. What is put or moved meanwhile may be passed over, which
// [Device.Entries] shows. An error of lacking or yield ends it, and is returned as it is.
func (d *Device) Each(ctx context.Context, lacking func([]Pair) ([]int, error), yield func([]Stored) error) (Skipped, error) {
	if err := d.enter(ctx); err != nil {
		return Skipped{}, err
	}
	defer d.leave()
	m := mover{recordReader: recordReader{d: d}, yield: yield}
	for _, p := range d.allPacks() {
		if p.lane != durableLane {
			continue
		}
		if err := m.pack(ctx, p, lacking); err != nil {
			return m.skipped(), err
		}
	}
	return m.skipped(), nil
}

type mover struct {
	recordReader
	yield  func([]Stored) error
	unread []Key
	err    error
}

func (m *mover) skipped() Skipped { return Skipped{m.dropped, m.unread, m.err} }

func (m *mover) pack(ctx context.Context, p *pack, lacking func([]Pair) ([]int, error)) error {
	records, err := m.records(ctx, p)
	if err != nil {
		return err
	}
	live, err := m.live(records)
	if err != nil {
		return err
	}
	pairs := make([]Pair, len(live))
	for i, f := range live {
		pairs[i] = Pair{f.key, f.entry}
	}
	wanted, err := lacking(pairs)
	if err != nil {
		return err
	}
	for todo := pick(live, wanted); len(todo) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := spanOf(todo)
		if err := m.span(p.packInfo, todo[:n]); err != nil {
			return err
		}
		todo = todo[n:]
	}
	return nil
}

// span reads chunks that lie together and yields those that are whole.
func (m *mover) span(i packInfo, chunks []found) error {
	from := chunks[0].entry.Offset
	buf := m.d.buffers.get(int(chunks[len(chunks)-1].end() - from))
	defer buf.Release()
	err := m.d.read(i.generation, buf, from)
	switch {
	case errors.Is(err, ErrStalled):
		return err
	case err != nil && len(chunks) > 1: // one bad sector must not hide the others
		for n := range chunks {
			if err := m.span(i, chunks[n:n+1]); err != nil {
				return err
			}
		}
		return nil
	case errors.Is(err, chunk.ErrCorrupt):
		return m.drop(chunks[0])
	case err != nil:
		if len(m.unread) < maxRecords {
			m.unread = append(m.unread, chunks[0].key)
		}
		m.err = fmt.Errorf("chunk %v: %w", chunks[0].key.ID, err)
		return nil
	}
	whole := make([]Stored, 0, len(chunks))
	for _, f := range chunks {
		b := buf.data[f.entry.Offset-from:]
		if !m.whole(i, f, b) {
			if err := m.drop(f); err != nil {
				return err
			}
			continue
		}
		whole = append(whole, Stored{f.key, f.entry.Class, f.entry.Codec, f.entry.Size, b[recordSize : recordSize+int64(f.entry.Length)]})
	}
	return m.yield(whole)
}

// Keep puts chunks as another device stored them, all of one durable class, each at most once. It promises what Put does.
func (d *Device) Keep(ctx context.Context, class chunk.Class, chunks []Stored) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.leave()
	keys := make([]Key, len(chunks))
	for i, c := range chunks {
		keys[i] = c.Key
	}
	return d.put(ctx, class, keys, func(i int) form {
		return form{payload: chunks[i].Payload, size: int(chunks[i].Size), codec: chunks[i].Codec}
	}, func(i int) bool { return chunks[i].Codec.known() })
}

// Held says which of chunks, given as another device has them, the device holds durably, and not condemned: in a form that can be read, where theirs can be.
func (d *Device) Held(ctx context.Context, chunks []Pair) ([]bool, error) {
	if err := d.enter(ctx); err != nil {
		return nil, err
	}
	defer d.leave()
	keys, held := make([]Key, len(chunks)), make([]bool, len(chunks))
	for i, c := range chunks {
		keys[i] = c.Key
	}
	found := func(i int, e Entry) { held[i] = d.held(keys[i], e, chunk.Data, chunks[i].Entry.Codec.known()) }
	if err := d.index.Lookup(keys, found); err != nil {
		return nil, fmt.Errorf("%w: %w", chunk.ErrUnavailable, err)
	}
	return held, nil
}

// Entries yields what the index leads to, durable chunks and cached ones, in any order.
func (d *Device) Entries(ctx context.Context, yield func(Key, Entry) error) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.leave()
	return d.index.All(func(k Key, e Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return yield(k, e)
	})
}
