package segment

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// Rename gives a file another name, as one write; a file that has the name is replaced by it. A directory may replace an empty one; all that is in it
// moves as [Bucket.RenamePrefix] says. Between two names of one file, and from a name to itself, it does nothing.
func (f Files) Rename(ctx context.Context, from, to string) error {
	do := f.rename
	if f.elsewhere() {
		do = f.renameElsewhere
	}
	if err := do(ctx, from, to); err != nil {
		return fmt.Errorf("rename %q to %q: %w", from, to, err)
	}
	return nil
}

func (f Files) rename(ctx context.Context, from, to string) error {
	src, err := parsePath(from)
	if err != nil {
		return err
	}
	dst, err := f.newPlace(to)
	if err != nil {
		return err
	}
	if from == "" || src.goesOn {
		return ErrInvalidArgument
	}
	s, err := f.opened()
	if err != nil {
		return err
	}
	for _, p := range []place{src, dst} { // what is wrong with a directory on the way is said first, as by POSIX systems
		if err := f.within(ctx, s, p); err != nil {
			return err
		}
	}
	at, err := f.find(ctx, s, src)
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(src.key, dst.dir):
		return ErrDirectoryInUse
	case at.isDir:
		return f.renameDirectory(ctx, src, dst)
	}
	return f.renameFile(ctx, src, dst)
}

// renameElsewhere has the home rename a file or directory, which this segment's handles follow: none writes meanwhile.
func (f Files) renameElsewhere(ctx context.Context, from, to string) error {
	s, err := f.opened()
	if err != nil {
		return err
	}
	at, _ := f.lookup(ctx, s, from) // what is not here yet no handle has
	f.b.open.moving.Lock()
	here, unlock := false, sync.OnceFunc(f.b.open.moving.Unlock)
	defer unlock()
	err = f.forwardFree(ctx, &fileTask{what: fileRename, path: from, to: to}, func() { here = true; unlock() })
	if err != nil || here { // a rename here tells the handles itself
		return err
	}
	dst, err := parsePath(to)
	switch {
	case err != nil:
		return err
	case at.isDir:
		f.b.open.movedBelow(at.dir, dst.dir)
	case at.version != nil:
		f.b.open.moved(at.links.id, at.key, dst.key)
	}
	return nil
}

func (f Files) renameFile(ctx context.Context, src, dst place) error {
	defer f.lockMoving(ctx, src.up(), dst.up())()
	f.b.open.moving.RLock()
	defer f.b.open.moving.RUnlock()
	return f.write(ctx, []string{src.key, src.dir, src.up(), dst.key, dst.dir}, func(w *fileWrite) error {
		s, err := f.opened()
		if err != nil {
			return err
		}
		at, err := f.find(ctx, s, src)
		if err != nil {
			return err
		}
		was, err := f.target(ctx, dst)
		switch {
		case err != nil:
			return err
		case at.isDir || was != nil && was.isDir:
			return ErrIsDirectory
		case at.isLoser() || was != nil && was.isLoser():
			return ErrReadOnly
		case src.key == dst.key, was != nil && was.links.id == at.links.id:
			return errStop
		case was != nil:
			if err := was.links.drop(w, dst.key); err != nil {
				return err
			}
		}
		if err := f.move(w, &at, dst.key); err != nil {
			return err
		}
		return f.keepDirectory(ctx, s, w, src.up(), src.key)
	})
}

// move puts a file under another key, with its id, and takes away the old one; the mark goes with it, where it has one.
func (f Files) move(w *fileWrite, at *found, key string) error {
	l, mark := at.links, linkMark(at.links.id, key)
	if err := w.need(append(l.keys(), mark)...); err != nil {
		return err
	}
	m, err := f.identified(l.newest)
	if err != nil {
		return err
	}
	w.put(key, m)
	if len(l.marked) > 0 {
		w.put(mark, Version{})
	}
	if err := l.drop(w, at.key); err != nil {
		return err
	}
	w.remove(at.key)
	w.done = func() { f.b.open.moved(l.id, at.key, key) }
	return nil
}

// lockMoving shares the directory that a name goes to, and takes the one that it comes from as [Files.lockEmptying] does.
func (f Files) lockMoving(ctx context.Context, from, to string) (unlock func()) {
	unlock = f.b.s.dirs.lock(f.b.id, dirUse{dir: from}, dirUse{dir: to})
	if f.hasMarker(ctx, from) {
		return unlock
	}
	unlock()
	return f.b.s.dirs.lock(f.b.id, dirUse{from, true}, dirUse{dir: to})
}

func (f Files) renameDirectory(ctx context.Context, src, dst place) error {
	switch {
	case src.key == dst.key:
		return nil
	case strings.HasPrefix(dst.dir, src.dir):
		return fmt.Errorf("into itself: %w", ErrInvalidArgument)
	}
	up := upOf(src.dir)
	defer f.b.s.dirs.lock(f.b.id, dirUse{src.dir, true}, dirUse{up, true}, dirUse{dst.dir, true}, dirUse{dir: dst.up()})()
	if err := f.prepareMove(ctx, src, dst, up); err != nil { // it does no request: the rename itself does
		return err
	}
	f.b.open.moving.Lock()
	defer f.b.open.moving.Unlock()
	if err := f.marksBelow(ctx, src.dir, dst.dir, false); err != nil {
		return err
	}
	if _, err := f.b.renameDirectory(ctx, src.dir, dst.dir, RenameOptions{Replace: true}, Cond{request: f.request}); err != nil {
		return err
	}
	f.b.open.movedBelow(src.dir, dst.dir)
	return f.marksBelow(ctx, src.dir, src.dir, true)
}

// prepareMove checks that a directory can move, and makes it a key where it is none, so that it keeps its id and attributes; and so the one
// that it leaves, which stays even if it was the last in it.
func (f Files) prepareMove(ctx context.Context, src, dst place, up string) error {
	return f.b.writeFiles(ctx, []string{src.key, src.dir, up, dst.key, dst.dir}, func(w *fileWrite) error {
		s, err := f.opened()
		if err != nil {
			return err
		}
		at, err := f.find(ctx, s, src)
		if err != nil {
			return err
		}
		was, err := f.target(ctx, dst)
		switch {
		case err != nil:
			return err
		case !at.isDir || was != nil && !was.isDir:
			return ErrNotDirectory
		case was != nil:
			other, err := s.firstFrom(ctx, dst.dir+"\x00", dst.dir)
			if err != nil {
				return err
			}
			if other != nil || was.version.Size() > 0 {
				return ErrDirectoryInUse
			}
		}
		if at.version == nil || len(at.version.Attrs.File) == 0 {
			if err := f.rewrite(w, &at, FileID{}, func(*fileAttrs) error { return nil }); err != nil {
				return err
			}
		}
		return f.keepDirectory(ctx, s, w, up, src.dir)
	})
}
