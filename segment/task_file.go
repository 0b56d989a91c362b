package segment

import (
	"context"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// fileTask is a change of a file that is named by its path, whose content stays: all of [Files] but [FileHandle.Flush].
type fileTask struct {
	what fileVerb
	path string
	to   string // another path; of a symbolic link, its target

	kind FileType // of a file that is made
	NewFile

	set   SetFile // but for the size
	name  string  // of an extended attribute
	value string
	how   SetXattr

	attrs []byte // Attrs of a reserved key that is made what it was: path is the key
}

type fileVerb uint8

const (
	fileCreate fileVerb = iota + 1
	fileSet
	fileSetXattr
	fileRemoveXattr
	fileLink
	fileRemove
	fileRmdir
	fileRename
	fileReserve   // makes a reserved key what it was
	fileUnreserve // takes it away
)

const (
	fileTaskWhat      = 1
	fileTaskPath      = 2
	fileTaskTo        = 3
	fileTaskKind      = 4
	fileTaskMode      = 5
	fileTaskUID       = 6
	fileTaskGID       = 7
	fileTaskExclusive = 8
	fileTaskVerifier  = 9
	fileTaskSet       = 10
	fileTaskName      = 11
	fileTaskValue     = 12
	fileTaskHow       = 13
	fileTaskAttrs     = 14
)

func (*fileTask) verb() verb { return verbFile }

func (t *fileTask) appendTo(b []byte) []byte {
	b = putUint(b, fileTaskWhat, uint64(t.what))
	b = putBytes(b, fileTaskPath, t.path)
	b = putBytes(b, fileTaskTo, t.to)
	b = putUint(b, fileTaskKind, uint64(t.kind))
	b = putUint(b, fileTaskMode, uint64(t.Mode))
	b = putUint(b, fileTaskUID, uint64(t.UID))
	b = putUint(b, fileTaskGID, uint64(t.GID))
	b = putBool(b, fileTaskExclusive, t.Exclusive)
	b = putFixed(b, fileTaskVerifier, t.Verifier)
	b = putSome(b, fileTaskSet, t.set.appendTo)
	b = putBytes(b, fileTaskName, t.name)
	b = putBytes(b, fileTaskValue, t.value)
	b = putUint(b, fileTaskHow, uint64(t.how))
	return putBytes(b, fileTaskAttrs, t.attrs)
}

func (t *fileTask) take(f field) (err error) {
	small := f.typ == protowire.VarintType && f.n <= math.MaxUint32
	text := f.typ == protowire.BytesType
	switch {
	case f.num == fileTaskWhat && small && f.n <= uint64(fileUnreserve):
		t.what = fileVerb(f.n)
	case f.num == fileTaskPath && text:
		t.path = string(f.b)
	case f.num == fileTaskTo && text:
		t.to = string(f.b)
	case f.num == fileTaskKind && small && known(f.n, RegularFile, Directory, SymbolicLink):
		t.kind = FileType(f.n)
	case f.num == fileTaskMode && small:
		t.Mode = uint32(f.n)
	case f.num == fileTaskUID && small:
		t.UID = uint32(f.n)
	case f.num == fileTaskGID && small:
		t.GID = uint32(f.n)
	case f.num == fileTaskExclusive && f.n == 1:
		t.Exclusive = true
	case f.num == fileTaskVerifier && f.typ == protowire.Fixed64Type:
		t.Verifier = f.n
	case f.num == fileTaskSet && text:
		t.set, err = parseSetFile(f.b)
	case f.num == fileTaskName && text:
		t.name = string(f.b)
	case f.num == fileTaskValue && text:
		t.value = string(f.b)
	case f.num == fileTaskHow && small && known(f.n, CreateXattr, ReplaceXattr):
		t.how = SetXattr(f.n)
	case f.num == fileTaskAttrs && text:
		t.attrs = f.b
	default:
		err = badFormat("change of a file")
	}
	return err
}

// check leaves paths and names to the methods that do the task: they judge those of clients.
func (t *fileTask) check(*Request) error {
	switch t.what {
	case fileReserve, fileUnreserve:
		a, err := parseAttrs(t.attrs)
		if err != nil || a.Lock != (Lock{}) || !reserved(t.path) || len(t.path) > maxFederatedKey {
			return fmt.Errorf("a reserved key of %d bytes: %w", len(t.path), ErrRefused)
		}
	case fileCreate:
		if t.kind == 0 {
			return fmt.Errorf("a file of no kind: %w", ErrRefused)
		}
	case 0:
		return fmt.Errorf("no change of a file: %w", ErrRefused)
	}
	return nil
}

func (t *fileTask) do(ctx context.Context, b *Bucket, _ *Request, c Cond) (out outcome, err error) {
	f := Files{b, c.request}
	switch t.what {
	case fileCreate:
		switch t.kind {
		case Directory:
			_, err = f.Mkdir(ctx, t.path, t.NewFile)
		case SymbolicLink:
			_, err = f.Symlink(ctx, t.to, t.path, t.NewFile)
		default:
			_, err = f.Create(ctx, t.path, t.NewFile)
		}
	case fileSet:
		_, err = f.SetAttr(ctx, t.path, t.set)
	case fileSetXattr:
		err = f.SetXattr(ctx, t.path, t.name, t.value, t.how)
	case fileRemoveXattr:
		err = f.RemoveXattr(ctx, t.path, t.name)
	case fileLink:
		_, err = f.Link(ctx, t.path, t.to)
	case fileRemove:
		err = f.Remove(ctx, t.path)
	case fileRmdir:
		err = f.Rmdir(ctx, t.path)
	case fileRename:
		err = f.Rename(ctx, t.path, t.to)
	case fileReserve, fileUnreserve:
		err = f.reserve(ctx, t)
	}
	return out, err
}

// reserve makes a reserved key what it was.
func (f Files) reserve(ctx context.Context, t *fileTask) error {
	return f.write(ctx, []string{t.path}, func(w *fileWrite) error {
		if t.what == fileUnreserve {
			w.remove(t.path)
			return nil
		}
		a, err := parseAttrs(t.attrs)
		w.put(t.path, Version{Attrs: a})
		return err
	})
}

// maxPaths is more than the bytes of any two paths of keys.
const maxPaths = 64 << 10

// elsewhere says whether changes of files are another segment's to make.
func (f Files) elsewhere() bool { return f.request == nil && f.b.elsewhere() }

// forward has a change made at the home.
func (f Files) forward(ctx context.Context, t *fileTask) error {
	return f.forwardFree(ctx, t, func() {})
}

// forwardFree is that of the bucket.
func (f Files) forwardFree(ctx context.Context, t *fileTask, free func()) error {
	if len(t.path)+len(t.to) > maxPaths {
		return ErrNameTooLong
	}
	_, err := f.b.forwardFree(ctx, &Request{verb: verbFile, task: t}, nil, free)
	return err
}

// forwardTold is forward that tells what is then known of the file at a path: ErrStaleFile where it went again at once.
func (f Files) forwardTold(ctx context.Context, t *fileTask, path string) (FileInfo, error) {
	if err := f.forward(ctx, t); err != nil {
		return FileInfo{}, err
	}
	i, err := f.GetAttr(ctx, path)
	if isMissing(err) {
		err = fmt.Errorf("%q was removed meanwhile: %w", path, ErrStaleFile)
	}
	return i, err
}

const (
	setFileMode  = 1
	setFileUID   = 2
	setFileGID   = 3
	setFileAtime = 4
	setFileMtime = 5
	setFileID    = 6
)

// appendTo writes all but the size; a value that is there is one more than itself, for zero is left out.
func (c SetFile) appendTo(b []byte) []byte {
	for i, v := range []*uint32{c.Mode, c.UID, c.GID} {
		if v != nil {
			b = putUint(b, fieldNum(setFileMode+i), uint64(*v)+1)
		}
	}
	for i, v := range []*time.Time{c.Atime, c.Mtime} {
		if v != nil {
			b = putPart(b, fieldNum(setFileAtime+i), func(b []byte) []byte { return putFixed(b, 1, uint64(v.UnixNano())) })
		}
	}
	if c.ID != (FileID{}) {
		b = putMessage(b, setFileID, c.ID[:])
	}
	return b
}

func parseSetFile(b []byte) (c SetFile, err error) {
	err = eachField("attributes of a file", b, func(f field) (err error) {
		number := f.typ == protowire.VarintType && f.n > 0 && f.n-1 <= math.MaxUint32
		v := uint32(f.n - 1)
		switch {
		case f.num == setFileMode && number:
			c.Mode = &v
		case f.num == setFileUID && number:
			c.UID = &v
		case f.num == setFileGID && number:
			c.GID = &v
		case f.num == setFileAtime && f.typ == protowire.BytesType:
			c.Atime, err = parseFileTime(f.b)
		case f.num == setFileMtime && f.typ == protowire.BytesType:
			c.Mtime, err = parseFileTime(f.b)
		case f.num == setFileID && len(f.b) == len(c.ID):
			c.ID = FileID(f.b)
		default:
			err = badFormat("attributes of a file")
		}
		return err
	})
	return c, err
}

func parseFileTime(b []byte) (*time.Time, error) {
	t := fromNanos(0)
	err := eachField("time of a file", b, func(f field) error {
		if f.num != 1 || f.typ != protowire.Fixed64Type {
			return badFormat("time of a file")
		}
		t = fromNanos(int64(f.n))
		return nil
	})
	return &t, err
}
