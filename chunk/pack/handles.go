package pack

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

const maxHandles = 256

// handles are the packs that are open for reading, the most recently used ones.
type handles struct {
	mu     sync.Mutex
	open   map[uint64]*list.Element
	recent list.List // of *handle, the last used first
}

// handle is an open pack. It is closed when it is neither kept nor used.
type handle struct {
	generation uint64
	file       vfs.File
	users      int
	kept       bool
}

// get opens a pack, or takes the handle that is open. A pack that is not there is damage.
func (h *handles) get(d *Device, generation uint64) (*handle, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.open[generation]; e != nil {
		h.recent.MoveToFront(e)
		f := e.Value.(*handle)
		f.users++
		return f, nil
	}
	file, err := d.opts.FS.Open(packName(d.opts.Dir, generation), vfs.Scattered)
	if err != nil {
		return nil, unopened(err)
	}
	if h.open == nil {
		h.open = map[uint64]*list.Element{}
	}
	f := &handle{generation: generation, file: file, users: 1, kept: true}
	h.open[generation] = h.recent.PushFront(f)
	if h.recent.Len() > maxHandles {
		h.drop(h.recent.Back())
	}
	return f, nil
}

// unopened is what an error of opening a pack stands for.
func unopened(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", chunk.ErrCorrupt, err)
	}
	return fmt.Errorf("%w: %w", chunk.ErrUnavailable, err)
}

// put gives a handle back.
func (h *handles) put(f *handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.users--
	f.closeUnused()
}

// drop keeps a handle no longer. Called with the lock.
func (h *handles) drop(e *list.Element) {
	f := h.recent.Remove(e).(*handle)
	delete(h.open, f.generation)
	f.kept = false
	f.closeUnused()
}

// forget keeps the handle of a pack no longer, if there is one: its file is going to be another's, or nobody's.
func (h *handles) forget(generation uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.open[generation]; e != nil {
		h.drop(e)
	}
}

// closeUnused closes a file that was only read: an error says nothing.
func (f *handle) closeUnused() {
	if !f.kept && f.users == 0 {
		_ = f.file.Close()
	}
}

func (h *handles) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.recent.Len() > 0 {
		h.drop(h.recent.Back())
	}
}
