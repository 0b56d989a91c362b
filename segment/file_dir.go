package segment

import (
	"context"
	"fmt"
	"strings"
)

// DirEntry is a file in a directory.
type DirEntry struct {
	FileInfo
	Cursor string // behind the entry: where a reading of the directory goes on
}

// ReadDir reads a directory from behind a cursor on, which is empty for its start: at most limit entries, and whether there are more. It costs what
// it returns, not what the directory holds. Entries are in the order of their keys, a directory's with its slash; no change of the directory makes a
// reading that goes on from a cursor miss an entry that was there all the time, or see it twice. There is no . and no .. among them.
func (f Files) ReadDir(ctx context.Context, path, after string, limit int) (entries []DirEntry, more bool, err error) {
	s, err := f.opened()
	if err != nil {
		return nil, false, err
	}
	dir, err := f.lookup(ctx, s, path)
	if err == nil && !dir.isDir {
		err = fmt.Errorf("%q: %w", path, ErrNotDirectory)
	}
	if err != nil {
		return nil, false, err
	}
	links, err := s.hasLinks(ctx)
	if err != nil {
		return nil, false, err
	}
	r := dirReader{s: s, dir: dir.place}
	if err := r.start(ctx, after); err != nil {
		return nil, false, err
	}
	for {
		e, err := r.next(ctx)
		switch {
		case err != nil:
			return nil, false, err
		case e.name == "":
			return entries, false, nil
		case len(entries) == limit:
			return entries, true, nil
		}
		at := found{place: place{path: e.name, dir: e.key}, version: e.version, isDir: e.isDir}
		if links && !e.isDir && !at.isLoser() {
			if err := f.findLinks(ctx, s, &at); err != nil {
				return nil, false, err
			}
		}
		entries = append(entries, DirEntry{f.info(at), e.cursor})
	}
}

// hasLinks says whether any file has more than one name, or had.
func (s fileState) hasLinks(ctx context.Context) (bool, error) {
	for v, err := range s.eachCurrent(ctx, linkPrefix) {
		return err == nil && strings.HasPrefix(v.Key, linkPrefix), err
	}
	return false, nil
}

// dirReader goes through a directory in a state of the bucket.
type dirReader struct {
	s    fileState
	dir  place
	walk *shownWalk

	key     string   // the key that comes next; empty at the end
	version *Version // its
	longer  string   // the last name that is only a part of longer ones
}

// dirStep is one name of a directory; version is nil for a directory of which there is only what is in it.
type dirStep struct {
	dirEntry
	version *Version
	cursor  string
}

// start goes to the first key behind a cursor, which is the key of a file, what the keys in a directory begin with, or, where a name is
// only a part of longer ones, a key that has one of them.
func (r *dirReader) start(ctx context.Context, after string) error {
	prefix := r.dir.dir
	from := firstListed(prefix)
	switch {
	case after == "":
	case !strings.HasPrefix(after, prefix) || reserved(after):
		return fmt.Errorf("%q is no cursor of %q: %w", after, r.dir.path, ErrInvalidArgument)
	case strings.HasSuffix(after, "/") && after != prefix:
		from, _ = successor(after)
	default:
		from = after + "\x00"
		if e, ok := r.dir.entryOf(after); ok && e.goesOn {
			r.longer = e.name
		}
	}
	return r.seek(ctx, from)
}

// seek goes to the first key from the given one on that is shown.
func (r *dirReader) seek(ctx context.Context, from string) (err error) {
	if r.walk == nil {
		if r.walk, err = r.s.shown(ctx, from, r.s.both); err != nil {
			return err
		}
	}
	r.key = ""
	if r.version, err = r.walk.from(ctx, from); err != nil || r.version == nil {
		return err
	}
	if strings.HasPrefix(r.version.Key, r.dir.dir) {
		v := *r.version // the walk's own
		r.key, r.version = v.Key, &v
	}
	return nil
}

// next is the next name; it has none at the end.
func (r *dirReader) next(ctx context.Context) (dirStep, error) {
	for r.key != "" {
		key, v := r.key, r.version
		e, ok := r.dir.entryOf(key)
		step := dirStep{dirEntry: e, cursor: key}
		var err error
		switch {
		case key == r.dir.dir && v.Size() == 0, !ok: // the directory itself, or what it does not show
			err = r.seek(ctx, key+"\x00")
			if err != nil {
				return step, err
			}
			continue
		case e.goesOn:
			again := e.name == r.longer
			r.longer = e.name
			if err = r.seek(ctx, pastLonger(key, len(e.key))); err != nil {
				return step, err
			}
			if again {
				continue
			}
		case e.isDir:
			if step.cursor = e.key; key == e.key {
				step.version = v
			}
			from, _ := successor(e.key)
			err = r.seek(ctx, from)
		default:
			step.version = v
			if err = r.seek(ctx, key+"\x00"); err != nil {
				return step, err
			}
			if err = r.setBeside(ctx, &step); step.name == "" && err == nil {
				continue
			}
		}
		return step, err
	}
	return dirStep{}, nil
}

// pastLonger is a key behind one that is shown as a part of longer names, which takes its first n bytes. All that begin as it does for some more
// bytes are shown so, too.
func pastLonger(key string, n int) string {
	const enough = 16
	if len(key) < n+enough || strings.Contains(key[n:n+enough], "/") {
		return key + "\x00"
	}
	from, _ := successor(key[:n+enough])
	return from
}

// setBeside gives a file that has the name of a directory its other one. The key behind it tells, except where there are some between the two.
func (r *dirReader) setBeside(ctx context.Context, step *dirStep) error {
	dir := step.key + "/"
	beside := strings.HasPrefix(r.key, dir)
	if !beside && r.key != "" && r.key < dir {
		v, err := r.s.firstUnder(ctx, dir)
		if err != nil {
			return err
		}
		beside = v != nil
	}
	if beside {
		if len(step.name)+suffixBytes > maxName { // no room: docs/format/names.md
			step.name = ""
			return nil
		}
		step.name += besideMark
	}
	return nil
}
