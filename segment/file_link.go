package segment

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A file of several names is as many versions with one file id: each name is an object of its own, that S3 reads, copies and deletes as any other. A
// write by one of the names writes all of them, as one record. Which they are is told by marks, reserved keys of one name each:
//
//	00 "link/" <file id, 32 hexadecimal digits> "/" <key>
//
// A mark is a hint: a name counts when its current version has the id, so what S3 clients do to names needs no care. Whatever becomes of marks and
// names by a merge, no content goes that a write of an object would not lose; where names have come to differ, the newest is what file clients read,
// and the next write makes all alike.

// MaxLinks is how many names a file has at the most: each is written by each write.
const MaxLinks = 512

const linkPrefix = reservedPrefix + "link/"

func linkMarks(id FileID) string { return linkPrefix + id.String() + "/" }

func linkMark(id FileID, key string) string { return linkMarks(id) + key }

// parseLinkMark reads what linkMark writes.
func parseLinkMark(mark string) (id FileID, key string, ok bool) {
	digits, key, ok := strings.Cut(strings.TrimPrefix(mark, linkPrefix), "/")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != len(id) || !strings.HasPrefix(mark, linkPrefix) {
		return id, "", false
	}
	return FileID(raw), key, true
}

// linked is a file's names in a state of the bucket.
type linked struct {
	id     FileID
	names  []*Version // the current versions, by key
	marked []string   // the marks there are, of names that count and of others
	newest *Version   // of names
	change HLC        // when a name came or went, or was written
}

// linked finds the names of a file, of which key is one, if it has the id.
func (f Files) linked(ctx context.Context, s fileState, id FileID, key string) (linked, error) {
	l := linked{id: id}
	keys := []string{key}
	prefix := linkMarks(id)
	for v, err := range s.eachCurrent(ctx, prefix) {
		if err != nil {
			return l, err
		}
		name, ok := strings.CutPrefix(v.Key, prefix)
		if !ok {
			break
		}
		l.marked = append(l.marked, v.Key)
		l.change = max(l.change, v.HLC)
		keys = append(keys, name)
	}
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		v, err := s.content(ctx, k)
		if err != nil {
			return l, err
		}
		if v == nil {
			continue
		}
		if f.b.shownAttrs(v).id != id {
			continue // of another file
		}
		l.names = append(l.names, v)
		l.change = max(l.change, v.HLC)
		if l.newest == nil || v.Compare(l.newest.VersionID) > 0 {
			l.newest = v
		}
	}
	return l, nil
}

// keys are those of the names.
func (l linked) keys() (keys []string) {
	for _, v := range l.names {
		keys = append(keys, v.Key)
	}
	return keys
}

// needKeys says that a write concerns keys whose latches it has not got.
type needKeys struct{ keys []string }

func (e *needKeys) Error() string { return fmt.Sprintf("%d more keys are to be written", len(e.keys)) }

// need is an error where the write has not got the latches of all the keys: it is then begun anew with them.
func (w *fileWrite) need(keys ...string) error {
	missing := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { _, ok := w.heads[k]; return ok })
	if len(missing) > 0 {
		return &needKeys{missing}
	}
	return nil
}

// writeFiles is writing, with the latches of all keys that turn out to be concerned.
func (b *Bucket) writeFiles(ctx context.Context, keys []string, decide func(*fileWrite) error) error {
	for {
		err := b.writeKeys(ctx, keys, decide)
		var more *needKeys
		if !errors.As(err, &more) {
			return err
		}
		keys = append(slices.Clone(keys), more.keys...)
	}
}

// write is [Bucket.writeFiles] of a change that may do a request.
func (f Files) write(ctx context.Context, keys []string, decide func(*fileWrite) error) error {
	return f.b.writeFiles(ctx, keys, func(w *fileWrite) error {
		err := decide(w)
		if err == nil && len(w.plan.r.effects) > 0 {
			Cond{request: f.request}.note(w.plan.r, outcome{}, true)
		}
		return err
	})
}

// putAll makes m the version of all names of a file but one.
func (l linked) putAll(w *fileWrite, m Version, but string) error {
	if err := w.need(l.keys()...); err != nil {
		return err
	}
	for _, v := range l.names {
		if v.Key != but {
			w.put(v.Key, m)
		}
	}
	return nil
}

// drop takes one of a file's names, and its mark, away. The others get what it had, if they have anything else; one is marked anew, so that the file's
// change is seen.
func (l linked) drop(w *fileWrite, key string) error {
	mark, again := linkMark(l.id, key), ""
	needed := append(l.keys(), mark)
	for _, v := range l.names {
		if v.Key != key {
			again = linkMark(l.id, v.Key)
			needed = append(needed, again)
			break
		}
	}
	if err := w.need(needed...); err != nil {
		return err
	}
	for _, v := range l.names {
		if v.Key != key && !sameFile(v, l.newest) {
			w.put(v.Key, *l.newest)
		}
	}
	if w.content(mark) != nil {
		w.remove(mark)
	}
	if again != "" {
		w.put(again, Version{})
	}
	return nil
}

func sameFile(a, b *Version) bool {
	return a.Content.Equal(b.Content) && a.sameAttributes(b)
}

// Link gives a file one more name.
func (f Files) Link(ctx context.Context, from, to string) (FileInfo, error) {
	i, err := f.link(ctx, from, to)
	if err != nil {
		return FileInfo{}, fmt.Errorf("link %q to %q: %w", from, to, err)
	}
	return i, nil
}

func (f Files) link(ctx context.Context, from, to string) (FileInfo, error) {
	if f.elsewhere() {
		return f.forwardTold(ctx, &fileTask{what: fileLink, path: from, to: to}, from)
	}
	src, err := parsePath(from)
	if err != nil {
		return FileInfo{}, err
	}
	dst, err := f.newPlace(to)
	if err != nil {
		return FileInfo{}, err
	}
	var at found
	defer f.b.s.dirs.lock(f.b.id, dirUse{dir: dst.up()})()
	f.b.open.moving.RLock()
	defer f.b.open.moving.RUnlock()
	err = f.write(ctx, []string{src.key, src.dir, dst.key, dst.dir}, func(w *fileWrite) error {
		s, err := f.opened()
		if err != nil {
			return err
		}
		if at, err = f.find(ctx, s, src); err != nil {
			return err
		}
		was, err := f.target(ctx, dst)
		switch {
		case err != nil:
			return err
		case was != nil:
			return ErrFileExists
		case at.isDir:
			return ErrIsDirectory
		case at.isLoser():
			return ErrReadOnly
		case len(at.links.names) >= MaxLinks:
			return ErrTooManyLinks
		}
		return f.addName(w, &at, dst.key)
	})
	return f.info(at), err
}

// addName writes what was found under one more key, with its id written down and marks for both.
func (f Files) addName(w *fileWrite, at *found, key string) error {
	l := &at.links
	old, mark := linkMark(l.id, at.key), linkMark(l.id, key)
	if err := w.need(append(l.keys(), old, mark)...); err != nil {
		return err
	}
	m, err := f.identified(l.newest)
	if err != nil {
		return err
	}
	for _, v := range l.names {
		if !sameFile(v, &m) {
			w.put(v.Key, m)
		}
	}
	l.names = append(l.names, w.put(key, m))
	w.put(old, Version{})
	w.put(mark, Version{})
	return nil
}

// identified is a version with its file's id in it.
func (f Files) identified(v *Version) (Version, error) {
	a, err := f.b.fileAttrsOf(v)
	if err != nil {
		return Version{}, err
	}
	if a.kind == Directory { // the content of a key that ends in a slash
		a.kind, a.mode = RegularFile, a.mode&0o666
	}
	m := *v
	m.Attrs.File = a.appendTo(nil)
	return m, nil
}

// marksBelow makes marks for the names below one directory under another too, before they move there; or takes them away, when they have moved.
func (f Files) marksBelow(ctx context.Context, src, dst string, gone bool) error {
	s, err := f.opened()
	if err != nil {
		return err
	}
	var batch []string
	flush := func() error {
		err := f.b.writeFiles(ctx, batch, func(w *fileWrite) error {
			for _, mark := range batch {
				switch there := w.content(mark) != nil; {
				case gone && there:
					w.remove(mark)
				case !gone && !there:
					w.put(mark, Version{})
				}
			}
			return nil
		})
		batch = batch[:0:0]
		return err
	}
	for v, err := range s.eachCurrent(ctx, linkPrefix) {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(v.Key, linkPrefix) {
			break
		}
		id, key, ok := parseLinkMark(v.Key)
		rest, below := strings.CutPrefix(key, src)
		if !ok || !below {
			continue
		}
		if there, err := s.content(ctx, key); err != nil {
			return err
		} else if gone && there != nil {
			continue // it stayed
		}
		if batch = append(batch, linkMark(id, dst+rest)); len(batch) == MaxLinks {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return flush()
}
