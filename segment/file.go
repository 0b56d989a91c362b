package segment

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// MaxSymlink is the longest target of a symbolic link, in bytes.
const MaxSymlink = 4096

// emptyETag is that of what has no content: the MD5 of nothing.
const emptyETag = "d41d8cd98f00b204e9800998ecf8427e"

// NewFile says what a file is made with.
type NewFile struct {
	Mode     uint32 // of which the twelve bits of permissions count
	UID, GID uint32
	// Exclusive makes it an error that the file is there, but for the one that was made with the same Verifier, unless that is zero, and not changed
	// since: so a client that did not hear the answer may ask again.
	Exclusive bool
	Verifier  uint64
}

// GetAttr is what is known of the file.
func (f Files) GetAttr(ctx context.Context, path string) (FileInfo, error) {
	s, err := f.opened()
	if err != nil {
		return FileInfo{}, err
	}
	at, err := f.lookup(ctx, s, path)
	if err != nil {
		return FileInfo{}, err
	}
	return f.info(at), nil
}

// Create makes an empty regular file. Of a file that is there already it tells, unless o asks for a new one: then it is ErrFileExists.
func (f Files) Create(ctx context.Context, path string, o NewFile) (FileInfo, error) {
	return f.create(ctx, path, o, fileAttrs{kind: RegularFile})
}

// Symlink makes a symbolic link to target, which may be anything.
func (f Files) Symlink(ctx context.Context, target, path string, o NewFile) (FileInfo, error) {
	if target == "" || len(target) > MaxSymlink || strings.Contains(target, "\x00") {
		return FileInfo{}, fmt.Errorf("a target of %d bytes: %w", len(target), ErrInvalidArgument)
	}
	o.Exclusive = true
	return f.create(ctx, path, o, fileAttrs{kind: SymbolicLink, target: target})
}

// Mkdir makes a directory, which stays until [Files.Rmdir]. It is ErrFileExists if there is one, even if nobody has made it.
func (f Files) Mkdir(ctx context.Context, path string, o NewFile) (FileInfo, error) {
	o.Exclusive = true
	return f.create(ctx, path, o, fileAttrs{kind: Directory})
}

func (f Files) create(ctx context.Context, path string, o NewFile, a fileAttrs) (i FileInfo, err error) {
	if f.elsewhere() {
		i, err = f.forwardTold(ctx, &fileTask{what: fileCreate, path: path, to: a.target, kind: a.kind, NewFile: o}, path)
	} else {
		i, err = f.createHere(ctx, path, o, a)
	}
	if err != nil {
		return FileInfo{}, fmt.Errorf("create %q: %w", path, err)
	}
	return i, nil
}

func (f Files) createHere(ctx context.Context, path string, o NewFile, a fileAttrs) (FileInfo, error) {
	p, err := f.newPlace(path)
	if err != nil {
		return FileInfo{}, err
	}
	key := p.key
	if a.kind == Directory {
		key = p.dir
	}
	at := found{place: p, isDir: a.kind == Directory}
	defer f.b.s.dirs.lock(f.b.id, dirUse{dir: p.up()})()
	err = f.write(ctx, []string{p.key, p.dir}, func(w *fileWrite) error {
		was, err := f.target(ctx, p)
		switch {
		case err != nil:
			return err
		case was != nil && o.Exclusive && !f.madeBy(was, o.Verifier), was != nil && was.isDir:
			return ErrFileExists
		case was != nil && was.isLoser():
			return ErrFileExists
		case was != nil:
			at = *was
			return errStop
		}
		a.mode, a.uid, a.gid, a.mtime, a.verifier = o.Mode&modeBits, o.UID, o.GID, f.b.s.cfg.Clock().UnixNano(), o.Verifier
		if a.id, err = f.newID(); err != nil {
			return err
		}
		at.version = w.put(key, Version{Attrs: Attrs{ETag: emptyETag, File: a.appendTo(nil)}})
		return nil
	})
	if err != nil {
		return FileInfo{}, err
	}
	return f.info(at), nil
}

// newPlace is a place where a file can be made.
func (f Files) newPlace(path string) (place, error) {
	p, err := parsePath(path)
	switch {
	case err != nil:
		return p, err
	case path == "":
		return p, ErrFileExists
	case p.goesOn || p.beside || isDirectoryKey(p.key): // names that only what S3 clients make can have
		return p, fmt.Errorf("the name %q is no file's: %w", p.name(), ErrInvalidArgument)
	case len(p.dir) > MaxKey:
		return p, ErrNameTooLong
	}
	return p, nil
}

// target is what is there where a file is to be made, nil for nothing; an error when the directory is not there. The latches of its directory, and of
// its key as a file and as a directory, are held.
func (f Files) target(ctx context.Context, p place) (*found, error) {
	s, err := f.opened()
	if err != nil {
		return nil, err
	}
	if err := f.within(ctx, s, p); err != nil {
		return nil, err
	}
	at, err := f.find(ctx, s, p)
	switch {
	case isMissing(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &at, nil
}

// within checks that there is the directory that a place is in.
func (f Files) within(ctx context.Context, s fileState, p place) error {
	dir, err := f.lookup(ctx, s, p.above())
	if err == nil && !dir.isDir {
		err = fmt.Errorf("%q: %w", dir.path, ErrNotDirectory)
	}
	return err
}

func (f Files) madeBy(at *found, verifier uint64) bool {
	if at.isDir || verifier == 0 {
		return false
	}
	a, err := f.b.fileAttrsOf(at.version)
	return err == nil && a.verifier == verifier
}

func (f Files) newID() (id FileID, err error) {
	return id, f.b.s.random(id[:])
}

// SetFile is what is to be changed of a file; nil leaves it as it is.
type SetFile struct {
	Mode, UID, GID *uint32
	Size           *int64 // of a regular file
	Atime, Mtime   *time.Time
	// ID, unless zero, is the file that is meant: ErrStaleFile, when the path leads to another.
	ID FileID
}

func (c SetFile) apply(a *fileAttrs) {
	if c.Mode != nil {
		a.mode = *c.Mode & modeBits
	}
	if c.UID != nil {
		a.uid = *c.UID
	}
	if c.GID != nil {
		a.gid = *c.GID
	}
	if c.Atime != nil {
		a.atime = c.Atime.UnixNano()
	}
	if c.Mtime != nil {
		a.mtime = c.Mtime.UnixNano()
	}
}

// SetAttr changes a file's attributes.
func (f Files) SetAttr(ctx context.Context, path string, c SetFile) (FileInfo, error) {
	if c.Size != nil {
		return f.setSize(ctx, path, c)
	}
	i, err := f.edit(ctx, &fileTask{what: fileSet, path: path, set: c}, func(a *fileAttrs) error {
		c.apply(a)
		return nil
	})
	if err == nil && c.Mtime != nil {
		f.b.open.timed(i.ID)
	}
	return i, err
}

// edit writes a file anew with other attributes, as the task says and change does. Its content stays where it is.
func (f Files) edit(ctx context.Context, t *fileTask, change func(*fileAttrs) error) (i FileInfo, err error) {
	if f.elsewhere() {
		i, err = f.forwardTold(ctx, t, t.path)
	} else {
		i, err = f.editHere(ctx, t.path, t.set.ID, change)
	}
	if err != nil {
		return FileInfo{}, fmt.Errorf("change %q: %w", t.path, err)
	}
	return i, nil
}

func (f Files) editHere(ctx context.Context, path string, id FileID, change func(*fileAttrs) error) (FileInfo, error) {
	p, err := parsePath(path)
	if err != nil {
		return FileInfo{}, err
	}
	var at found
	err = f.write(ctx, []string{p.key, p.dir}, func(w *fileWrite) error {
		s, err := f.opened()
		if err != nil {
			return err
		}
		if at, err = f.find(ctx, s, p); err != nil {
			return err
		}
		if p.goesOn {
			return ErrReadOnly
		}
		return f.rewrite(w, &at, id, change)
	})
	if err != nil {
		return FileInfo{}, err
	}
	return f.info(at), nil
}

// rewrite puts what was found with other attributes, under all its names; a directory of which there is only what is in it is made then.
func (f Files) rewrite(w *fileWrite, at *found, id FileID, change func(*fileAttrs) error) error {
	if at.isLoser() {
		return ErrReadOnly
	}
	key := at.key
	if at.isDir && at.path != "" {
		key = at.dir
	}
	a, m := f.b.bareDirectory(at.dir), Version{Attrs: Attrs{ETag: emptyETag}}
	v := w.content(key)
	if !at.isDir {
		v = at.links.newest
	}
	if v != nil {
		var err error
		if a, err = f.b.fileAttrsOf(v); err != nil {
			return err
		}
		a, m = a.clone(), *v
	}
	if id != (FileID{}) && a.id != id {
		return ErrStaleFile
	}
	a.verifier = 0
	if err := change(&a); err != nil {
		return err
	}
	m.Attrs.File = a.appendTo(nil)
	if at.isDir {
		at.version = w.put(key, m)
		return nil
	}
	if err := at.links.putAll(w, m, key); err != nil {
		return err
	}
	at.version = w.put(key, m)
	at.links.newest = at.version
	return nil
}

// Readlink is the target of a symbolic link.
func (f Files) Readlink(ctx context.Context, path string) (string, error) {
	s, err := f.opened()
	if err != nil {
		return "", err
	}
	at, err := f.lookup(ctx, s, path)
	if err != nil {
		return "", err
	}
	if at.isDir {
		return "", fmt.Errorf("%q is no symbolic link: %w", path, ErrInvalidArgument)
	}
	a, err := f.b.fileAttrsOf(at.version)
	if err != nil {
		return "", err
	}
	if a.kind != SymbolicLink {
		return "", fmt.Errorf("%q is no symbolic link: %w", path, ErrInvalidArgument)
	}
	return a.target, nil
}
