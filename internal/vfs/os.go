package vfs

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// OS is the file system of the machine.
type OS struct{}

// Open opens a file; a new one is readable by its owner only.
func (OS) Open(name string, mode Mode) (File, error) {
	flags := os.O_RDONLY
	if mode&(Write|Create) != 0 {
		flags = os.O_RDWR
	}
	if mode&Create != 0 {
		flags |= os.O_CREATE
	}
	if mode&Exclusive != 0 {
		flags |= os.O_EXCL
	}
	if mode&Direct == 0 {
		return openOS(name, flags, mode)
	}
	f, err := openOS(name, flags|unix.O_DIRECT, mode)
	if errors.Is(err, syscall.EINVAL) { // the file was made before the flag was refused
		return openOS(name, flags&^os.O_EXCL, mode)
	}
	return f, err
}

func openOS(name string, flags int, mode Mode) (File, error) {
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	if mode&Scattered != 0 {
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM) // advice: where it is not taken nothing is wrong
	}
	return osFile{f}, nil
}

func (OS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }
func (OS) Remove(name string) error             { return os.Remove(name) }
func (OS) RemoveAll(name string) error          { return os.RemoveAll(name) }
func (OS) MkdirAll(name string) error           { return os.MkdirAll(name, 0o700) }

func (OS) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (OS) Stat(name string) (Info, error) {
	i, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return Info{Size: i.Size(), Dir: i.IsDir()}, nil
}

func (OS) Free(name string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(name, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: name, Err: err}
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// Lock uses flock(2), which the kernel releases with the process, and leaves the owner's process id in the file for those who come second.
func (OS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner := lockOwner(f)
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &LockedError{Name: name, Owner: owner}
		}
		return nil, &os.PathError{Op: "flock", Path: name, Err: err}
	}
	if err := writeOwner(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func lockOwner(f *os.File) string {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	return strings.TrimSpace(string(b[:n]))
}

// writeOwner is informative only, so a full disk does not matter.
func writeOwner(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(ownPID()), 0)
	if IsFull(err) {
		return nil
	}
	return err
}

type osFile struct{ *os.File }

func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

func (f osFile) Allocate(size int64) error {
	for {
		switch err := unix.Fallocate(int(f.Fd()), 0, 0, size); err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EOPNOTSUPP:
			return f.grow(size)
		default:
			return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
		}
	}
}

// grow stands in for fallocate where there is none: the room is not promised, only the size.
func (f osFile) grow(size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	return f.Truncate(size)
}

func (f osFile) Size() (int64, error) {
	i, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return i.Size(), nil
}
