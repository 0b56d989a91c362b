package segment

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// FileType says what a file is. Others than these are not kept.
type FileType uint8

const (
	RegularFile FileType = 1 + iota
	Directory
	SymbolicLink
)

// FileID names a file in its bucket as long as it lives, whatever becomes of its name. Names with one id are one file.
type FileID [16]byte

// String is 32 hexadecimal digits.
func (id FileID) String() string { return hex.EncodeToString(id[:]) }

// fileAttrs is what a version keeps of a file beside its content: [Attrs.File]. Its time of change is the version's own.
type fileAttrs struct {
	kind         FileType
	mode         uint32 // the twelve bits of permissions
	uid, gid     uint32
	mtime, atime int64  // nanoseconds since 1970; atime only where somebody has set it
	id           FileID // zero: derived from the version
	verifier     uint64 // of the exclusive create that made it, until something else changes it
	target       string // of a symbolic link
	xattrs       map[string]string

	unknown []byte // fields of later builds
}

const (
	fileFormat = 1

	fileFieldFormat   = 1
	fileFieldType     = 2
	fileFieldMode     = 3
	fileFieldUID      = 4
	fileFieldGID      = 5
	fileFieldMtime    = 6
	fileFieldAtime    = 7
	fileFieldID       = 8
	fileFieldVerifier = 9
	fileFieldTarget   = 10
	fileFieldXattr    = 11

	modeBits = 0o7777
)

func (a *fileAttrs) appendTo(b []byte) []byte {
	b = putUint(b, fileFieldFormat, fileFormat)
	b = putUint(b, fileFieldType, uint64(a.kind))
	b = putUint(b, fileFieldMode, uint64(a.mode))
	b = putUint(b, fileFieldUID, uint64(a.uid))
	b = putUint(b, fileFieldGID, uint64(a.gid))
	b = putFixed(b, fileFieldMtime, uint64(a.mtime))
	b = putFixed(b, fileFieldAtime, uint64(a.atime))
	if a.id != (FileID{}) {
		b = putMessage(b, fileFieldID, a.id[:])
	}
	b = putFixed(b, fileFieldVerifier, a.verifier)
	b = putBytes(b, fileFieldTarget, a.target)
	b = putMap(b, fileFieldXattr, a.xattrs)
	return append(b, a.unknown...)
}

// parseFileAttrs reads what a version keeps of a file.
func parseFileAttrs(b []byte) (a fileAttrs, err error) {
	format := uint64(0)
	err = eachField("file attributes", b, func(f field) error {
		switch {
		case f.num == fileFieldFormat && f.typ == protowire.VarintType:
			format = f.n
		case f.num == fileFieldType && f.typ == protowire.VarintType && f.n <= uint64(SymbolicLink):
			a.kind = FileType(f.n)
		case f.num == fileFieldMode && f.typ == protowire.VarintType:
			a.mode = uint32(f.n & modeBits)
		case f.num == fileFieldUID && f.typ == protowire.VarintType && f.n <= math.MaxUint32:
			a.uid = uint32(f.n)
		case f.num == fileFieldGID && f.typ == protowire.VarintType && f.n <= math.MaxUint32:
			a.gid = uint32(f.n)
		case f.num == fileFieldMtime && f.typ == protowire.Fixed64Type:
			a.mtime = int64(f.n)
		case f.num == fileFieldAtime && f.typ == protowire.Fixed64Type:
			a.atime = int64(f.n)
		case f.num == fileFieldID && f.typ == protowire.BytesType && len(f.b) == len(a.id):
			a.id = FileID(f.b)
		case f.num == fileFieldVerifier && f.typ == protowire.Fixed64Type:
			a.verifier = f.n
		case f.num == fileFieldTarget && f.typ == protowire.BytesType:
			a.target = string(f.b)
		case f.num == fileFieldXattr && f.typ == protowire.BytesType:
			return takePair(&a.xattrs, f.b)
		case f.num <= fileFieldXattr: // not as this format has it
			return badFormat("file attributes")
		default:
			a.unknown = append(a.unknown, f.raw...)
		}
		return nil
	})
	if err == nil && (format != fileFormat || a.kind == 0) {
		err = fmt.Errorf("file attributes of format %d: %w", format, ErrForeign)
	}
	return a, err
}

// clone is a copy whose extended attributes may be changed.
func (a fileAttrs) clone() fileAttrs {
	a.xattrs = maps.Clone(a.xattrs)
	return a
}

// The modes of what no file client has made.
const (
	defaultFileMode      = 0o644
	defaultDirectoryMode = 0o755
)

// fileAttrsOf are a version's, with what S3 clients leave out made up: it is a regular file, or a directory where its key ends in a slash, of
// mode 0644 or 0755 and of user and group 0, of the version's time. Its id is derived from the version, so each that S3 writes is another file.
func (b *Bucket) fileAttrsOf(v *Version) (fileAttrs, error) {
	a := b.defaultAttrs(v)
	if len(v.Attrs.File) == 0 {
		return a, nil
	}
	kept, err := parseFileAttrs(v.Attrs.File)
	if err != nil {
		return a, fmt.Errorf("%q: %w", v.Key, err)
	}
	if (a.kind == Directory) != (kept.kind == Directory) { // an S3 client has copied it to where it is none
		kept.kind, kept.mode = a.kind, a.mode
	}
	if kept.id == (FileID{}) {
		kept.id = a.id
	}
	return kept, nil
}

// shownAttrs are fileAttrsOf for those who only look: attributes that this build cannot read, as a later one may write them, are the made-up ones.
func (b *Bucket) shownAttrs(v *Version) fileAttrs {
	a, err := b.fileAttrsOf(v)
	if err != nil {
		return b.defaultAttrs(v)
	}
	return a
}

func (b *Bucket) defaultAttrs(v *Version) fileAttrs {
	a := fileAttrs{kind: RegularFile, mode: defaultFileMode, mtime: v.Modified().UnixNano(), id: b.derivedID(v)}
	if isDirectoryKey(v.Key) {
		a.kind, a.mode = Directory, defaultDirectoryMode
	}
	return a
}

// derivedID is the id of a file that was given none: of the write that made it, or, of a directory, of its name.
func (b *Bucket) derivedID(v *Version) FileID {
	if isDirectoryKey(v.Key) {
		return b.namedID(v.Key)
	}
	sum := b.domain.Name(append(v.Dot.appendTo([]byte("file\x00")), v.Key...))
	return FileID(sum[:16])
}

// namedID is the id of a directory that nobody has made.
func (b *Bucket) namedID(key string) FileID {
	sum := b.domain.Name(append(append([]byte("directory\x00"), b.id[:]...), key...))
	return FileID(sum[:16])
}

func isDirectoryKey(key string) bool { return key == rootKey || key[len(key)-1] == '/' }

func fromNanos(n int64) time.Time { return time.Unix(0, n).UTC() }

// CopiedFile are the file attributes of what is a copy of o: all but the id, for it is another file.
func (o *Object) CopiedFile() []byte {
	a, err := parseFileAttrs(o.v.Attrs.File)
	if err != nil {
		return nil
	}
	a.id, a.verifier = FileID{}, 0
	return a.appendTo(nil)
}
