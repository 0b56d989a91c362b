package segment

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
)

// FileHandle is an open regular file that can be written anywhere. What is written is this handle's alone, and is not durable, until [FileHandle.Flush]
// makes one version of it, which shares all that was not touched with the one before: some 20 MiB of memory do for a file of any size.
//
// It follows its file when a file client of this segment renames it. A handle sees what it was opened at and what it has written. Of two that write one file the
// later Flush wins, whole, having seen the other's: who serves several writers gives them one handle. It is safe for concurrent use.
type FileHandle struct {
	f  Files
	id FileID

	mu      sync.Mutex
	list    *dedup.List // of what the draft has written, and shares with the version it was begun at
	version VersionID   // the draft was begun at
	draft   *dedup.Draft
	err     error // the handle was closed
	loser   bool  // of a conflict: to be read only

	key   string    // guarded by the bucket's openFiles, as is what follows
	wrote time.Time // when the draft was written last; zero where that is not to be the file's time
}

// openFiles are a bucket's handles, so that they follow their files.
type openFiles struct {
	moving sync.RWMutex // a directory's rename excludes flushes, which would not find their files
	mu     sync.Mutex
	all    map[FileID]map[*FileHandle]struct{}
}

func (o *openFiles) add(h *FileHandle) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[FileID]map[*FileHandle]struct{}{}
	}
	if o.all[h.id] == nil {
		o.all[h.id] = map[*FileHandle]struct{}{}
	}
	o.all[h.id][h] = struct{}{}
}

func (o *openFiles) remove(h *FileHandle) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if delete(o.all[h.id], h); len(o.all[h.id]) == 0 {
		delete(o.all, h.id)
	}
}

// moved tells of a file's new key. The caller has the latches of both.
func (o *openFiles) moved(id FileID, from, to string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for h := range o.all[id] {
		if h.key == from {
			h.key = to
		}
	}
}

// movedBelow tells of a directory's. The caller holds moving.
func (o *openFiles) movedBelow(from, to string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, handles := range o.all {
		for h := range handles {
			if rest, ok := strings.CutPrefix(h.key, from); ok {
				h.key = to + rest
			}
		}
	}
}

// timed makes the time that a file was given stay through the next flush.
func (o *openFiles) timed(id FileID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for h := range o.all[id] {
		h.wrote = time.Time{}
	}
}

func (h *FileHandle) where() (key string, wrote time.Time) {
	o := &h.f.b.open
	o.mu.Lock()
	defer o.mu.Unlock()
	return h.key, h.wrote
}

func (h *FileHandle) touched() {
	o := &h.f.b.open
	o.mu.Lock()
	defer o.mu.Unlock()
	h.wrote = h.f.b.s.cfg.Clock()
}

// Open opens a regular file. The handle must be closed.
func (f Files) Open(ctx context.Context, path string) (*FileHandle, error) {
	for {
		h, v, err := f.tryOpen(ctx, path)
		if err != nil {
			return nil, err
		}
		here, err := h.here(ctx, v)
		if here && err == nil {
			return h, nil
		}
		h.Close()
		if err != nil {
			return nil, fmt.Errorf("open %q: %w", path, err)
		}
	}
}

// tryOpen opens a file, and returns the version that is read. It may have been replaced meanwhile.
func (f Files) tryOpen(ctx context.Context, path string) (*FileHandle, *Version, error) {
	s, err := f.opened()
	if err != nil {
		return nil, nil, err
	}
	at, err := f.lookup(ctx, s, path)
	if err != nil {
		return nil, nil, err
	}
	if at.isDir {
		return nil, nil, fmt.Errorf("open %q: %w", path, ErrIsDirectory)
	}
	a := f.b.shownAttrs(at.version)
	if a.kind == SymbolicLink {
		return nil, nil, fmt.Errorf("open %q, a symbolic link: %w", path, ErrInvalidArgument)
	}
	h := &FileHandle{f: f, id: a.id, key: at.key}
	if at.isLoser() {
		h.id, h.loser = f.b.derivedID(at.version), true
		h.begin(*at.version)
		return h, at.version, nil
	}
	h.begin(*at.links.newest)
	f.b.open.add(h)
	return h, at.links.newest, nil
}

// begin makes a version what the handle has. The caller holds mu, or is alone.
func (h *FileHandle) begin(v Version) {
	b := h.f.b
	before := h.list
	list, stores := b.list()
	b.pin(list, &v)
	h.list, h.version = list, v.VersionID
	if h.draft != nil {
		h.draft.Rebase(b.object(v).r, stores)
		before.End()
		return
	}
	h.draft = dedup.NewDraft(stores, b.domain, b.Cutter(), b.object(v).r, maxFederatedSize)
}

// here says whether the version that the handle was begun at is still there. Until then what it shares may have been collected.
func (h *FileHandle) here(ctx context.Context, v *Version) (bool, error) {
	if h.f.b.frozen != "" {
		return true, nil
	}
	held, err := h.f.b.heldVersion(ctx, v.stored(), v.VersionID)
	return held != nil, err
}

// ID is the file's.
func (h *FileHandle) ID() FileID { return h.id }

// Size is the length of what the handle has.
func (h *FileHandle) Size() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.draft.Size()
}

// Changed says whether there is something to flush.
func (h *FileHandle) Changed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.draft.Changed()
}

// ReadAt fills p from off on with what the handle has; io.EOF when that ends before.
func (h *FileHandle) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return 0, h.err
	}
	n, err := h.draft.ReadAt(ctx, p, off)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read file %v: %w", h.id, err)
	}
	return n, err
}

// WriteAt takes p, which stays the caller's.
func (h *FileHandle) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.write(ctx, p, off)
}

// Append writes p at the end of what the handle has, and says where that was.
func (h *FileHandle) Append(ctx context.Context, p []byte) (off int64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	off = h.draft.Size()
	_, err = h.write(ctx, p, off)
	return off, err
}

func (h *FileHandle) write(ctx context.Context, p []byte, off int64) (int, error) {
	if err := h.writable(); err != nil {
		return 0, err
	}
	n, err := h.draft.WriteAt(ctx, p, off)
	if n > 0 {
		h.touched()
	}
	if err != nil {
		err = fmt.Errorf("write file %v: %w", h.id, err)
	}
	return n, err
}

// Truncate cuts the file off, or makes it longer by zeros, which take no room.
func (h *FileHandle) Truncate(size int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.writable(); err != nil {
		return err
	}
	if err := h.draft.Truncate(size); err != nil {
		return fmt.Errorf("write file %v: %w", h.id, err)
	}
	h.touched()
	return nil
}

func (h *FileHandle) writable() error {
	if h.f.b.frozen != "" || h.loser {
		return ErrReadOnly
	}
	return h.err
}

// Refresh makes the handle have the file's current content, unless something of its own is to be flushed. ErrStaleFile: the file is no more.
func (h *FileHandle) Refresh(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil || h.loser || h.draft.Changed() {
		return h.err
	}
	for {
		l, err := h.names(ctx)
		if err != nil || l.newest.VersionID == h.version {
			return err
		}
		h.begin(*l.newest)
		if here, err := h.here(ctx, l.newest); here || err != nil {
			return err
		}
	}
}

// names are the file's: ErrStaleFile where it has none.
func (h *FileHandle) names(ctx context.Context) (linked, error) {
	s, err := h.f.opened()
	if err != nil {
		return linked{}, err
	}
	key, _ := h.where()
	return h.f.named(ctx, s, h.id, key)
}

// named is linked of a file that is there: ErrStaleFile where it has no name.
func (f Files) named(ctx context.Context, s fileState, id FileID, key string) (linked, error) {
	l, err := f.linked(ctx, s, id, key)
	if err == nil && l.newest == nil {
		err = fmt.Errorf("file %v: %w", id, ErrStaleFile)
	}
	return l, err
}

// errMoved says that the handle's file got another name meanwhile.
var errMoved = errors.New("moved")

// Flush makes what was written a version of the file: durable, and what everybody reads, when it returns. With nothing written it does nothing. seen, unless
// nil, is the version that the file must have: ErrPrecondition. It is ErrStaleFile when the file was removed, or replaced by another. What was written is
// still the handle's after an error.
func (h *FileHandle) Flush(ctx context.Context, seen *VersionID) (FileInfo, error) {
	return h.flush(ctx, seen, SetFile{})
}

func (h *FileHandle) flush(ctx context.Context, seen *VersionID, set SetFile) (FileInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.writable(); err != nil {
		return FileInfo{}, err
	}
	h.f.b.open.moving.RLock()
	defer h.f.b.open.moving.RUnlock()
	for {
		at, err := h.commit(ctx, seen, set)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return FileInfo{}, fmt.Errorf("flush file %v: %w", h.id, err)
		}
		h.begin(*at.version)
		at.place = place{path: PathOfKey(at.version.Key, false), key: at.version.Key}
		return h.f.info(at), nil
	}
}

// commit writes the draft's content as a version of each of the file's names. The caller holds mu.
func (h *FileHandle) commit(ctx context.Context, seen *VersionID, set SetFile) (at found, err error) {
	w := flushed{id: h.id, seen: seen, set: set}
	if h.draft.Changed() {
		m, pending, err := h.draft.Finish(ctx)
		if err != nil {
			return at, err
		}
		w.content, w.payload = &m, pending
	}
	w.key, w.wrote = h.where()
	if h.f.elsewhere() {
		return h.commitElsewhere(ctx, w)
	}
	w.where = h.where
	return h.f.flush(ctx, w)
}

// flushed is what is to become of a file when a handle is flushed.
type flushed struct {
	id      FileID
	key     string          // one of its names
	seen    *VersionID      // that it must have; nil: any
	content *dedup.Manifest // nil: it stays
	payload []chunk.Chunk   // of the content, durable nowhere yet
	wrote   time.Time       // when the content was written; zero where that is not to be the file's time
	set     SetFile         // but for the size

	where func() (key string, wrote time.Time) // what they are by now; nil: they do not change
}

func (f Files) flush(ctx context.Context, d flushed) (at found, err error) {
	err = f.write(ctx, []string{d.key}, func(w *fileWrite) error {
		wrote := d.wrote
		if d.where != nil {
			var now string
			if now, wrote = d.where(); now != d.key {
				return errMoved
			}
		}
		s, err := f.opened()
		if err != nil {
			return err
		}
		at.links, err = f.named(ctx, s, d.id, d.key)
		if err != nil {
			return err
		}
		at.version = at.links.newest
		if d.seen != nil && at.version.VersionID != *d.seen {
			return fmt.Errorf("version %v: %w", at.version.VersionID, ErrPrecondition)
		}
		a, err := f.b.fileAttrsOf(at.version)
		if err != nil {
			return err
		}
		old := a
		if d.content != nil && !wrote.IsZero() {
			a.mtime = wrote.UnixNano()
		}
		d.set.apply(&a)
		if d.content == nil && a.same(old) {
			return errStop
		}
		a.verifier = 0
		next := *at.version
		next.Attrs.File = a.appendTo(nil)
		if d.content != nil {
			next.Content = *d.content
			next.Attrs = Attrs{ETag: f.b.rootETag(next.Content), Meta: next.Attrs.Meta, Tags: next.Attrs.Tags, File: next.Attrs.File}
		}
		own := at.version.Key
		if err := at.links.putAll(w, next, own); err != nil {
			return err
		}
		at.version = w.put(own, next)
		at.links.newest = at.version
		w.plan.payload = d.payload
		return nil
	})
	return at, err
}

// same says whether both are written alike.
func (a *fileAttrs) same(o fileAttrs) bool { return string(a.appendTo(nil)) == string(o.appendTo(nil)) }

// rootETag is the ETag of content that no client has sent whole: it names the manifest, so equal content that was cut alike has an equal one.
func (b *Bucket) rootETag(m dedup.Manifest) string {
	if m.Size() == 0 {
		return emptyETag
	}
	name := b.domain.Name(m.Append(nil))
	return hex.EncodeToString(name[:16]) + "-1"
}

// Close gives up what was not flushed. The handle is of no use then.
func (h *FileHandle) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = fmt.Errorf("file %v was closed: %w", h.id, ErrInvalidArgument)
		h.f.b.open.remove(h)
		h.list.End()
	}
}

// setSize is SetAttr of a file whose length changes too.
func (f Files) setSize(ctx context.Context, path string, c SetFile) (FileInfo, error) {
	h, err := f.Open(ctx, path)
	if err != nil {
		return FileInfo{}, err
	}
	defer h.Close()
	if c.ID != (FileID{}) && c.ID != h.id {
		return FileInfo{}, fmt.Errorf("%q: %w", path, ErrStaleFile)
	}
	if err := h.Truncate(*c.Size); err != nil {
		return FileInfo{}, err
	}
	return h.flush(ctx, nil, c)
}
