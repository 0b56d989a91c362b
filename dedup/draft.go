package dedup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/edgefs/edgefs/chunk"
)

// DraftLimit is about how many bytes of what was written a [Draft] keeps in memory.
const DraftLimit = 8 << 20

// ErrTooLarge says that an object would be longer than one can be.
var ErrTooLarge = errors.New("object too large")

// Draft is an object's content that is changed in place: begun at a manifest, or at nothing, and ended as another. What was not touched is shared
// with the first, whatever its size, and is only read where a changed piece has to be cut anew.
//
// Pieces are cut again from the beginning of the first that changed on, until a boundary falls on an old one. So equal content gives equal
// manifests, whatever was written in which order, as far as the first was made so: only where no boundary is found again for long, as in
// periodic data, one is taken over that another history would not have.
//
// It holds some 20 MiB at the most. It is not safe for concurrent use.
type Draft struct {
	stores Stores
	domain chunk.Domain
	params Params
	base   *Reader // of the manifest begun at, which may bring what is not here; nil for none
	max    int64
	limit  int // bytes of dirty

	m       Manifest // all that is not in memory
	kept    int64    // how much of m is still part of it
	size    int64
	dirty   extents
	changed bool
	stats   Stats
}

// NewDraft begins at r's manifest, or, with nil, at nothing; no object becomes longer than max bytes. The parameters must be valid. The stores are what is
// here; r may read from elsewhere, if what it has read is in the stores then.
func NewDraft(stores Stores, domain chunk.Domain, p Params, r *Reader, max int64) *Draft {
	d := &Draft{stores: stores, domain: domain, params: p, base: r, max: max, limit: DraftLimit}
	if r != nil {
		d.m = r.m
		d.kept, d.size = r.m.Size(), r.m.Size()
	}
	return d
}

// Size is the length in bytes.
func (d *Draft) Size() int64 { return d.size }

// Changed says whether anything was written since the draft was begun, or based anew.
func (d *Draft) Changed() bool { return d.changed }

// WriteAt takes p, which stays the caller's. What lies between the end and offset becomes zeros. With an error nothing is known of what
// was taken of p; what was written before is still there.
func (d *Draft) WriteAt(ctx context.Context, p []byte, offset int64) (int, error) {
	if offset < 0 || offset > d.max-int64(len(p)) {
		return 0, fmt.Errorf("write %d bytes at %d: %w", len(p), offset, ErrTooLarge)
	}
	n := 0
	for n < len(p) {
		if d.dirty.cost() >= d.limit {
			if err := d.spill(ctx); err != nil {
				return n, err
			}
		}
		k := min(len(p)-n, d.limit/4)
		d.dirty.write(p[n:n+k], offset)
		d.changed = true
		n, offset = n+k, offset+int64(k)
		d.size = max(d.size, offset)
	}
	return n, nil
}

// Truncate makes the content size bytes long, by cutting it off or by zeros.
func (d *Draft) Truncate(size int64) error {
	if size < 0 || size > d.max {
		return fmt.Errorf("truncate to %d: %w", size, ErrTooLarge)
	}
	d.changed = d.changed || size != d.size
	d.dirty.truncate(size)
	d.kept, d.size = min(d.kept, size), size
	return nil
}

// ReadAt fills p from offset on with what was written, as [Reader.ReadAt] does.
func (d *Draft) ReadAt(ctx context.Context, p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("read at %d: %w", offset, ErrRange)
	}
	if offset >= d.size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), d.size-offset)]
	for at := offset; at < offset+int64(len(want)); {
		rest := want[at-offset:]
		data, next := d.dirty.at(at)
		switch {
		case len(data) > 0:
			at += int64(copy(rest, data))
			continue
		case next > at:
			rest = rest[:min(int64(len(rest)), next-at)]
		}
		if err := d.readOld(ctx, rest, at); err != nil {
			return int(at - offset), err
		}
		at += int64(len(rest))
	}
	if len(want) < len(p) {
		return len(want), io.EOF
	}
	return len(want), nil
}

// readOld fills p with what is not in memory, and zeros behind it.
func (d *Draft) readOld(ctx context.Context, p []byte, offset int64) error {
	n := int(max(min(int64(len(p)), d.kept-offset), 0))
	clear(p[n:])
	if n == 0 {
		return nil
	}
	if d.base != nil && d.m.Equal(d.base.m) {
		_, err := d.base.ReadAt(ctx, p[:n], offset)
		return err
	}
	here := NewReader(d.here, d.m)
	_, err := here.ReadAt(ctx, p[:n], offset)
	if !notHere(err) || d.base == nil || offset >= d.base.m.Size() {
		return err
	}
	// What is not here was never written anew: it is what the base has there.
	if _, err := d.base.ReadAt(ctx, make([]byte, n), offset); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, err = here.ReadAt(ctx, p[:n], offset)
	return err
}

// here is where the manifest's own chunks are.
func (d *Draft) here(path []chunk.ID) chunk.Store {
	if len(path) < d.m.Level() {
		return d.stores.Meta
	}
	return d.stores.Data
}

// spill takes what is in memory into the manifest.
func (d *Draft) spill(ctx context.Context) error {
	m, pending, err := d.splice(ctx)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		if err := d.stores.Data.Put(ctx, pending); err != nil {
			return fmt.Errorf("put %d chunks: %w", len(pending), err)
		}
	}
	d.m, d.kept, d.dirty = m, d.size, extents{}
	return nil
}

// Finish gives the manifest of all that was written, and goes on from it. Its chunks are durable, except for pending: whoever makes the manifest durable
// must make them durable with it, and they are read only then; see [Writer.Pending]. The caller then begins anew at r's manifest, by [Draft.Rebase], or is done.
func (d *Draft) Finish(ctx context.Context) (m Manifest, pending []chunk.Chunk, err error) {
	return d.splice(ctx)
}

// Rebase makes r's manifest, which the draft was finished as, the one begun at; what is written from now on goes to the stores.
func (d *Draft) Rebase(r *Reader, stores Stores) {
	d.stores = stores
	d.base, d.m, d.kept, d.size, d.dirty, d.changed = r, r.m, r.m.Size(), r.m.Size(), extents{}, false
}

// Stats is what was written so far.
func (d *Draft) Stats() Stats { return d.stats }
