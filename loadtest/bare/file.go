package bare

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"unsafe"
)

// align is what O_DIRECT wants of offsets, lengths and memory.
const align = 4 << 10

// errFull says that a GET mode's file has no room for another object.
var errFull = errors.New("the bare server's file is full (give it a larger --file-size)")

// file is one file whose every block was written and synced before it is served, so that a later fdatasync writes no metadata.
type file struct {
	f    *os.File
	size int64

	mu   sync.Mutex
	next int64
}

func openFile(dir string, size int64, direct bool) (*file, error) {
	size = max(roundUp(size), align)
	path := filepath.Join(dir, "bare.data")
	if err := prewrite(path, size); err != nil {
		return nil, err
	}
	flags := os.O_RDWR
	if direct {
		flags |= syscall.O_DIRECT
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, err
	}
	return &file{f: f, size: size}, nil
}

func prewrite(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	zeros := make([]byte, 4<<20)
	for off := int64(0); off < size && err == nil; off += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// reserve gives out room for n bytes, rounded up to align; the end of the file is followed by its beginning.
func (f *file) reserve(n int64) (int64, error) {
	n = roundUp(n)
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > f.size {
		return 0, errFull
	}
	if f.next+n > f.size {
		f.next = 0
	}
	off := f.next
	f.next += n
	return off, nil
}

// reserveOnce is reserve without starting over.
func (f *file) reserveOnce(n int64) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next+n > f.size {
		return 0, errFull
	}
	off := f.next
	f.next += n
	return off, nil
}

func (f *file) sync() error { return syscall.Fdatasync(int(f.f.Fd())) }

func (f *file) close() error { return errors.Join(os.Remove(f.f.Name()), f.f.Close()) }

// aligned is memory that O_DIRECT takes.
func aligned(size int) []byte {
	b := make([]byte, size+align)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (align - 1)
	return b[skip : skip+size : skip+size]
}

func roundUp(n int64) int64 { return (n + align - 1) &^ (align - 1) }
