package segment

import (
	"context"
	"fmt"
	"strings"
)

// Remove takes a name away: of a file or a symbolic link. The directory stays, even if it is empty then.
func (f Files) Remove(ctx context.Context, path string) error {
	if err := f.remove(ctx, path); err != nil {
		return fmt.Errorf("remove %q: %w", path, err)
	}
	return nil
}

func (f Files) remove(ctx context.Context, path string) error {
	if f.elsewhere() {
		return f.forward(ctx, &fileTask{what: fileRemove, path: path})
	}
	p, err := parsePath(path)
	if err == nil && path == "" {
		err = ErrIsDirectory
	}
	if err != nil {
		return err
	}
	defer f.lockEmptying(ctx, p.up())()
	loser := false
	err = f.write(ctx, []string{p.key, p.dir, p.up()}, func(w *fileWrite) error {
		s, err := f.opened()
		if err != nil {
			return err
		}
		at, err := f.find(ctx, s, p)
		if err != nil {
			return err
		}
		if at.isDir {
			return ErrIsDirectory
		}
		if loser = at.isLoser(); loser { // which a delete of its key's name ends, behind this
			return f.keepDirectory(ctx, s, w, p.up(), p.key)
		}
		if p.key == p.up() { // the content of the directory's own key
			if err := at.links.drop(w, p.key); err != nil {
				return err
			}
			w.put(p.key, Version{Attrs: Attrs{ETag: emptyETag, File: at.version.Attrs.File}})
			return nil
		}
		if err := at.links.drop(w, p.key); err != nil {
			return err
		}
		w.remove(p.key)
		return f.keepDirectory(ctx, s, w, p.up(), p.key)
	})
	if err == nil && loser {
		_, err = f.b.Delete(ctx, p.key, Cond{request: f.request})
	}
	return err
}

// Rmdir takes an empty directory away. The one that it was in stays.
func (f Files) Rmdir(ctx context.Context, path string) error {
	if err := f.rmdir(ctx, path); err != nil {
		return fmt.Errorf("remove directory %q: %w", path, err)
	}
	return nil
}

func (f Files) rmdir(ctx context.Context, path string) error {
	if f.elsewhere() {
		return f.forward(ctx, &fileTask{what: fileRmdir, path: path})
	}
	p, err := parsePath(path)
	if err == nil && path == "" {
		err = ErrDirectoryInUse
	}
	if err != nil {
		return err
	}
	up := upOf(p.dir)
	explicit := f.hasMarker(ctx, up)
	defer f.b.s.dirs.lock(f.b.id, dirUse{p.dir, true}, dirUse{up, !explicit})()
	return f.write(ctx, []string{p.key, p.dir, up}, func(w *fileWrite) error {
		s, err := f.opened()
		if err != nil {
			return err
		}
		at, err := f.find(ctx, s, p)
		if err != nil {
			return err
		}
		if !at.isDir {
			return ErrNotDirectory
		}
		other, err := s.firstFrom(ctx, p.dir+"\x00", p.dir)
		if err != nil {
			return err
		}
		if other != nil || at.version == nil || at.version.Size() > 0 {
			return ErrDirectoryInUse
		}
		w.remove(p.dir)
		return f.keepDirectory(ctx, s, w, up, p.dir)
	})
}

// upOf is what the keys in the directory above begin with, of a directory's own key.
func upOf(dir string) string {
	return dir[:strings.LastIndexByte(strings.TrimSuffix(dir, "/"), '/')+1]
}

// hasMarker says whether a directory is a key itself, so that it stays when it is emptied.
func (f Files) hasMarker(ctx context.Context, dir string) bool {
	if dir == "" {
		return true
	}
	h, err := f.b.view(dir).head(ctx, dir)
	return err == nil && h.content() != nil
}

// lockEmptying shares a directory that stays when it is emptied, and takes one alone that must be made to stay with its last name's going.
func (f Files) lockEmptying(ctx context.Context, dir string) (unlock func()) {
	unlock = f.b.s.dirs.lock(f.b.id, dirUse{dir: dir})
	if f.hasMarker(ctx, dir) {
		return unlock
	}
	unlock()
	return f.b.s.dirs.lock(f.b.id, dirUse{dir, true})
}

// keepDirectory makes the directory a key, where going, a file's key of it or all that is in a directory of it, is its last. The caller has its latches.
func (f Files) keepDirectory(ctx context.Context, s fileState, w *fileWrite, dir, going string) error {
	if dir == "" || w.content(dir) != nil {
		return nil
	}
	other, err := s.firstUnder(ctx, dir)
	if err == nil && other != nil && strings.HasPrefix(other.Key, going) {
		behind := going + "\x00"
		if isDirectoryKey(going) {
			behind, _ = successor(going)
		}
		other, err = s.firstFrom(ctx, behind, dir)
	}
	if err != nil || other != nil {
		return err
	}
	a := f.b.bareDirectory(dir)
	a.mtime = f.b.s.cfg.Clock().UnixNano()
	w.put(dir, Version{Attrs: Attrs{ETag: emptyETag, File: a.appendTo(nil)}})
	return nil
}
