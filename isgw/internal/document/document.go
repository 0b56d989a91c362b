// Package document keeps small pieces of state on disk, each a file that is replaced as a whole or not at all.
package document

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"

	"github.com/edgefs/edgefs/internal/vfs"
)

// MaxSize bounds a document, so that a wrong file is not read into memory.
const MaxSize = 64 << 20

// ErrDamaged says that a file is not a whole document of the kind asked for.
var ErrDamaged = errors.New("document damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kind begins a file: what it is, and in which format.
type Kind struct {
	Name    string // at most 15 bytes
	Version byte
}

func (k Kind) header() []byte {
	h := make([]byte, 16)
	copy(h[:15], k.Name)
	h[15] = k.Version
	return h
}

// Save replaces the document at name: after a crash at any moment the old one or the new one is there, and after Save has returned nil the
// new one. The folder is made when it is missing.
func Save(fsys vfs.FS, name string, kind Kind, body []byte) error {
	b := append(kind.header(), body...)
	return Replace(fsys, name, binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)))
}

// Load reads what Save wrote. A missing file is fs.ErrNotExist.
func Load(fsys vfs.FS, name string, kind Kind) ([]byte, error) {
	b, err := Read(fsys, name)
	if err != nil {
		return nil, err
	}
	if len(b) < 20 || string(b[:15]) != string(kind.header()[:15]) {
		return nil, fmt.Errorf("%s: not a %s: %w", name, kind.Name, ErrDamaged)
	}
	if b[15] != kind.Version {
		return nil, fmt.Errorf("%s: format %d is not known to this build: %w", name, b[15], ErrDamaged)
	}
	sum := b[len(b)-4:]
	b = b[:len(b)-4]
	if binary.LittleEndian.Uint32(sum) != crc32.Checksum(b, castagnoli) {
		return nil, fmt.Errorf("%s: checksum: %w", name, ErrDamaged)
	}
	return b[16:], nil
}

// Replace is Save for a file that has a form of its own.
func Replace(fsys vfs.FS, name string, b []byte) error {
	dir := path.Dir(name)
	if err := makeDir(fsys, dir); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	if err := replace(fsys, dir, name, b); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	return nil
}

func makeDir(fsys vfs.FS, dir string) error {
	if _, err := fsys.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	return fsys.SyncDir(path.Dir(dir))
}

func replace(fsys vfs.FS, dir, name string, b []byte) error {
	next := name + ".new"
	f, err := fsys.Open(next, vfs.Create)
	if err != nil {
		return err
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(next))
	}
	if err := fsys.Rename(next, name); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// Read reads a whole file of at most MaxSize.
func Read(fsys vfs.FS, name string) (_ []byte, err error) {
	f, err := fsys.Open(name, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > MaxSize {
		return nil, fmt.Errorf("%s: %d bytes: %w", name, size, ErrDamaged)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}
