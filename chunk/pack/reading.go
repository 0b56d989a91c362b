package pack

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

// ErrReadOnly says that an [Inspection] takes no chunks.
var ErrReadOnly = fmt.Errorf("%w: the device is only looked at", chunk.ErrUnavailable)

// Open is [chunk.Opener].
func (n *Inspection) Open(d chunk.Domain, c chunk.Class) chunk.Store {
	return look{n, d, TagOf(d), c}
}

// look is a view of an inspection.
type look struct {
	n      *Inspection
	domain chunk.Domain
	tag    Tag
	class  chunk.Class
}

// Put is [chunk.Store].
func (l look) Put(context.Context, []chunk.Chunk) error { return ErrReadOnly }

// Missing is [chunk.Store].
func (l look) Missing(ctx context.Context, ids []chunk.ID) (missing []chunk.ID, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.n.files.mu.Lock()
	defer l.n.files.mu.Unlock()
	seen := make(map[chunk.ID]bool, len(ids))
	for _, id := range ids {
		if !seen[id] && !l.held(id) {
			missing = append(missing, id)
		}
		seen[id] = true
	}
	return missing, nil
}

func (l look) held(id chunk.ID) (held bool) {
	spots := l.n.catalog.of(keyOf(l.tag, id))
	for i := range spots {
		s := &spots[i]
		s.flags |= spotReached
		held = held || s.flags&spotBad == 0 && (s.flags&spotDurable != 0 || !l.class.Durable())
	}
	return held
}

// Get is [chunk.Store].
func (l look) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	var failed failures
	seen := make(map[chunk.ID]bool, len(ids))
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		c, err := l.one(id)
		if err != nil {
			failed.note(fmt.Errorf("chunk %v: %w", id, err))
			continue
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return failed.worst()
}

// one reads the first copy that is whole.
func (l look) one(id chunk.ID) (chunk.Chunk, error) {
	l.n.files.mu.Lock()
	defer l.n.files.mu.Unlock()
	spots, err := l.n.catalog.of(keyOf(l.tag, id)), chunk.ErrNotFound
	for i := range spots {
		s := &spots[i]
		s.flags |= spotReached
		if s.flags&spotBad != 0 {
			err = chunk.ErrCorrupt
			continue
		}
		c, e := l.read(id, s)
		if e == nil {
			return c, nil
		}
		if errors.Is(e, chunk.ErrCorrupt) {
			s.flags |= spotBad
		}
		err = e
	}
	return chunk.Chunk{}, err
}

func (l look) read(id chunk.ID, s *spot) (chunk.Chunk, error) {
	i := l.n.packs[s.pack]
	name := packName(l.n.opts.Dir, i.generation)
	damaged := func(what string) error {
		return fmt.Errorf("%w: %s, in %s at offset %d", chunk.ErrCorrupt, what, name, s.offset())
	}
	f, err := l.n.files.open(name)
	if err != nil {
		return chunk.Chunk{}, fmt.Errorf("%w: %w", chunk.ErrUnavailable, err)
	}
	head := make([]byte, recordSize)
	if err := readFull(f, head, s.offset()); err != nil && !errors.Is(err, errShort) {
		return chunk.Chunk{}, fmt.Errorf("%w: %w", chunk.ErrUnavailable, err)
	}
	r, ok := decodeRecord(i, head)
	if !ok || r.offset != s.offset() || r.key != keyOf(l.tag, id) {
		return chunk.Chunk{}, damaged("the header of its record is damaged")
	}
	if r.codec > S2 {
		return chunk.Chunk{}, fmt.Errorf("%w: codec %d is not known to this build", chunk.ErrUnavailable, r.codec)
	}
	payload := make([]byte, r.length)
	if err := readFull(f, payload, s.offset()+recordSize); err != nil && !errors.Is(err, errShort) {
		return chunk.Chunk{}, fmt.Errorf("%w: %w", chunk.ErrUnavailable, err)
	}
	data, _, err := l.n.forms.open(r.entry(), payload) // what is lent is not given back: the chunk is the caller's
	if err != nil {
		return chunk.Chunk{}, damaged("its content cannot be unpacked")
	}
	c, err := l.domain.Verify(id, data)
	if err != nil {
		return c, damaged("its content is damaged")
	}
	return c, nil
}

// readFiles are packs that are open for reading.
type readFiles struct {
	sys    vfs.FS
	mu     sync.Mutex // also guards the flags of the catalog
	opened map[string]vfs.File
}

const maxReadFiles = 64

func (r *readFiles) open(name string) (vfs.File, error) {
	if f := r.opened[name]; f != nil {
		return f, nil
	}
	if len(r.opened) >= maxReadFiles {
		if err := r.drop(); err != nil {
			return nil, err
		}
	}
	f, err := r.sys.Open(name, 0)
	if err != nil {
		return nil, err
	}
	if r.opened == nil {
		r.opened = map[string]vfs.File{}
	}
	r.opened[name] = f
	return f, nil
}

func (r *readFiles) drop() (err error) {
	for name, f := range r.opened {
		err = errors.Join(err, f.Close())
		delete(r.opened, name)
	}
	return err
}

func (r *readFiles) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drop()
}

// Unreached tells of what a walk that asked for everything has shown: records that are needed, and that the index does not lead to though it says that it holds
// all of their pack. It returns the number of durable chunks that nobody asked for.
func (n *Inspection) Unreached() (lost, unreached int64) {
	n.files.mu.Lock()
	defer n.files.mu.Unlock()
	for from := 0; from < len(n.catalog.spots); {
		to, needed, whole, led := from, false, false, false
		for h := n.catalog.spots[from].hash; to < len(n.catalog.spots) && n.catalog.spots[to].hash == h; to++ {
			s := n.catalog.spots[to]
			needed = needed || s.flags&spotReached != 0
			led = led || s.flags&spotIndexed != 0 || !n.noted[s.pack]
			whole = whole || s.flags&(spotBad|spotDurable) == spotDurable
		}
		switch {
		case needed && whole && !led && n.indexed:
			lost++
		case !needed && whole:
			unreached++
		}
		from = to
	}
	if lost > 0 {
		n.tell.Repairable("index.lacks", n.indexDir(), 0, fmt.Sprintf("it leads to none of %d chunks that are needed and that the packs hold", lost), madeAgain, n.dropIndex)
	}
	return lost, unreached
}
