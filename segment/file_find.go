package segment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// FileInfo is what is known of a file.
type FileInfo struct {
	Name string // the last of its path; empty for the root
	Type FileType
	Mode uint32 // the twelve bits of permissions
	UID  uint32
	GID  uint32
	Size int64 // bytes; of a symbolic link those of its target
	// Links is how many names the file has in the bucket; 1 for a directory, which says nothing of what is in it.
	Links int
	ID    FileID
	// Mtime is when the content was last written, unless somebody has set it. Atime is the same until somebody sets it: reading is no write.
	// Ctime is when anything of the file was last written, in milliseconds.
	Mtime, Atime, Ctime time.Time
	// Change differs whenever anything of the file does, and only grows at one segment. A directory's grows with every write of the bucket.
	Change uint64

	Key     string    // that S3 knows it by; empty for a directory of which there is only what is in it
	Version VersionID // of that key, or of the name of the file that was written last; zero without
	ETag    string
}

// Files is a bucket as a tree of files: key a/b/c is file a/b/c. Paths are names with slashes between, from the bucket's root, which is the empty
// path; names are any bytes but zero and slash. What one side cannot say has another name on the other: see [PathOfKey]. No path leads through a
// symbolic link: following them is the client's.
//
// A directory is there as long as keys begin with its name and a slash. One that [Files.Mkdir] made is such a key itself, of no bytes, and so stays
// when it is emptied, until [Files.Rmdir]; so does any that a file client empties. One that an S3 client empties is gone, if no file client has made it.
//
// Each change is one write of the bucket, durable and to every reader at once when the call returns. Errors are those of the package's list; it is
// safe for concurrent use.
type Files struct {
	b       *Bucket
	request *answering // that a change is to do; nil for none
}

// Files shows the bucket as files.
func (b *Bucket) Files() Files { return Files{b: b} }

// found is what a path leads to: version is nil for a directory of which there is only what is in it.
type found struct {
	place
	version *Version
	isDir   bool
	links   linked // of a file: its names, this one among them
}

// fileState is a bucket at one moment, as files: under the policy keep-both with the losers of conflicts, which have names of their own. They can be read
// and removed, which ends them; else they are read-only.
type fileState struct {
	snapshot
	both bool
}

// loser is the open loser that is shown under a key that has no content; nil when there is none.
func (s fileState) loser(ctx context.Context, key string) (*Version, error) {
	of, dot, ok := ParseLoserName(key)
	if !ok || !s.both {
		return nil, nil
	}
	h, err := s.shownHead(ctx, of)
	if err != nil {
		return nil, err
	}
	for _, l := range h.losers() {
		if l.Dot == dot {
			shown := l.asLoser()
			return &shown, nil
		}
	}
	return nil, nil
}

// isLoser says whether it lost a conflict.
func (at *found) isLoser() bool { return at.version != nil && at.version.LoserOf != "" }

// find looks a place up in a state of the bucket.
func (f Files) find(ctx context.Context, s fileState, p place) (found, error) {
	at := found{place: p}
	var err error
	switch {
	case p.path == "":
		at.isDir = true
		at.version, err = s.content(ctx, rootKey)
		return at, err
	case p.goesOn:
		at.isDir, err = s.hasLonger(ctx, p)
		if err == nil && !at.isDir {
			err = f.lost(ctx, s, p)
		}
		return at, err
	}
	below, err := s.firstUnder(ctx, p.dir)
	if err != nil {
		return at, err
	}
	if below != nil && !p.beside {
		at.isDir = true
		if below.Key == p.dir {
			at.version = below
		}
		return at, nil
	}
	if at.version, err = s.content(ctx, p.key); err == nil && at.version == nil {
		at.version, err = s.loser(ctx, p.key)
	}
	if err == nil && (at.version == nil || p.beside && below == nil || isDirectoryKey(p.key) && at.version.Size() == 0) {
		err = f.lost(ctx, s, p)
	}
	if err != nil || at.isLoser() {
		return at, err
	}
	return at, f.findLinks(ctx, s, &at)
}

// findLinks finds all names of a file that was found by one.
func (f Files) findLinks(ctx context.Context, s fileState, at *found) error {
	var err error
	at.links, err = f.linked(ctx, s, f.b.shownAttrs(at.version).id, at.version.Key)
	return err
}

// lost says why there is nothing: the file, or a directory on the way to it, is not there, or is none.
func (f Files) lost(ctx context.Context, s fileState, p place) error {
	for i, c := range p.path {
		if c != '/' {
			continue
		}
		at, err := f.lookup(ctx, s, p.path[:i])
		if err == nil && !at.isDir {
			return fmt.Errorf("%q: %w", at.path, ErrNotDirectory)
		}
		if err != nil && !errors.Is(err, ErrNoSuchKey) {
			return err
		}
	}
	return fmt.Errorf("%q: %w", p.path, ErrNoSuchKey)
}

func (f Files) lookup(ctx context.Context, s fileState, path string) (found, error) {
	p, err := parsePath(path)
	if err != nil {
		return found{place: p}, err
	}
	return f.find(ctx, s, p)
}

// content is what a reader of the key gets; nil when it is not there.
func (s fileState) content(ctx context.Context, key string) (*Version, error) {
	over, _ := s.overlay.Get(key)
	h, err := keyView{base: s.base, over: over}.head(ctx, key)
	return h.content(), err
}

// firstUnder is the first key that begins with prefix; nil when none does.
func (s fileState) firstUnder(ctx context.Context, prefix string) (*Version, error) {
	return s.firstFrom(ctx, prefix, prefix)
}

// firstFrom is firstUnder of the keys from one on.
func (s fileState) firstFrom(ctx context.Context, from, prefix string) (*Version, error) {
	w, err := s.shown(ctx, firstListed(from), s.both)
	if err != nil {
		return nil, err
	}
	v, err := w.from(ctx, firstListed(from))
	if err != nil || v == nil || !strings.HasPrefix(v.Key, prefix) {
		return nil, err
	}
	return v, nil
}

// hasLonger says whether there are names so long that a part of them is shown as this directory.
func (s fileState) hasLonger(ctx context.Context, p place) (bool, error) {
	for v, err := range s.eachCurrent(ctx, p.dir) {
		if err != nil || !strings.HasPrefix(v.Key, p.dir) {
			return false, err
		}
		if _, ok := p.entryOf(v.Key); ok {
			return true, nil
		}
	}
	return false, nil
}

// info is what is told of what was found.
func (f Files) info(at found) FileInfo {
	a, i := f.b.bareDirectory(at.dir), FileInfo{Name: at.name(), Links: 1, Change: f.b.lastPosition()}
	v := at.version
	if at.links.newest != nil {
		v = at.links.newest
	}
	if v != nil {
		a = f.b.shownAttrs(v)
		i.Key, i.Version, i.ETag, i.Ctime = at.version.Key, v.VersionID, v.Attrs.ETag, v.Modified()
		if !at.isDir {
			i.Size, i.Links, i.Change = v.Size(), max(len(at.links.names), 1), uint64(max(v.HLC, at.links.change))
			i.Ctime = HLC(i.Change).Time()
		}
	}
	i.Type, i.Mode, i.UID, i.GID, i.ID, i.Mtime, i.Atime = a.kind, a.mode, a.uid, a.gid, a.id, fromNanos(a.mtime), fromNanos(a.mtime)
	if a.atime != 0 {
		i.Atime = fromNanos(a.atime)
	}
	switch {
	case at.isDir:
		i.Type = Directory
	case at.isLoser(): // it may have the id of what won
		i.ID = f.b.derivedID(at.version)
	case a.kind == Directory: // the content of a key that ends in a slash
		i.Type, i.Mode = RegularFile, a.mode&0o666
	case a.kind == SymbolicLink:
		i.Size = int64(len(a.target))
	}
	if at.version == nil {
		i.Ctime = i.Mtime
	}
	return i
}

// bareDirectory are the attributes of a directory of which there is only what is in it.
func (b *Bucket) bareDirectory(key string) fileAttrs {
	return fileAttrs{kind: Directory, mode: defaultDirectoryMode, mtime: b.doc.Load().created.Time().UnixNano(), id: b.namedID(key)}
}

func (b *Bucket) lastPosition() uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.last
}

// opened is the bucket now, if it can be read at all.
func (f Files) opened() (fileState, error) {
	b := f.b
	if err := b.Err(); err != nil {
		return fileState{}, err
	}
	if b.gone() {
		return fileState{}, fmt.Errorf("bucket %q: %w", b.doc.Load().name, ErrNoSuchBucket)
	}
	b.mu.Lock() // Copy marks the map's nodes as shared
	defer b.mu.Unlock()
	return fileState{snapshot{b.base, b.overlay.Copy()}, b.settings.Load().Policy == KeepBoth && b.stats.open > 0}, nil
}
