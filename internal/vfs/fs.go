package vfs

import (
	"errors"
	"io"
	"syscall"
)

// FS is what the stores ask of a file system. Names are slash-separated paths. Errors satisfy errors.Is with those of io/fs (ErrNotExist,
// ErrExist) and package syscall. Methods are safe for concurrent use.
//
// Creating, renaming and removing survive a power cut only after [FS.SyncDir] of the folder; what is in a file, only after [File.Sync].
type FS interface {
	Open(name string, mode Mode) (File, error)
	// Rename replaces what newname named.
	Rename(oldname, newname string) error
	Remove(name string) error
	// RemoveAll removes name and what is in it; nothing there is no error.
	RemoveAll(name string) error
	// ReadDir returns the base names in a folder, sorted.
	ReadDir(name string) ([]string, error)
	MkdirAll(name string) error
	SyncDir(name string) error
	Stat(name string) (Info, error)
	// Free is the number of bytes that the file system of the folder can still take.
	Free(name string) (int64, error)
	// Lock takes the file of that name, made when missing, for this process until the Closer is closed or the process ends. A file
	// that is taken gives an error that is [ErrLocked] and says by whom.
	Lock(name string) (io.Closer, error)
}

// File is an open file. Its methods are safe for concurrent use as far as their ranges do not overlap.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Sync makes what was written, and the size, survive a power cut (fdatasync). After an error what was written since the last
	// Sync may be lost though a later Sync succeeds: the caller has to give the file up.
	Sync() error
	// Allocate makes sure that the first size bytes can be written without ErrNoSpace, and grows the file to size. New bytes read as zero.
	Allocate(size int64) error
	Size() (int64, error)
}

// Mode says how a file is opened. The zero Mode reads a file that exists.
type Mode uint8

const (
	// Write allows changes.
	Write Mode = 1 << iota
	// Create makes the file when it is missing, and implies Write.
	Create
	// Exclusive, with Create, fails with fs.ErrExist when there is one.
	Exclusive
	// Direct passes the page cache by where the file system can. Offsets, lengths and the memory of all reads and writes must then be
	// multiples of [Align], whether it could or not.
	Direct
	// Scattered says that the file is read here and there: what was not asked for is not read ahead.
	Scattered
)

// Info is what Stat tells.
type Info struct {
	Size int64
	Dir  bool
}

var (
	// ErrLocked says that somebody else holds the lock.
	ErrLocked = errors.New("in use")
	// ErrNoSpace says that the disk is full.
	ErrNoSpace error = syscall.ENOSPC
)

// IsFull says whether err comes from a full disk or a spent quota.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
