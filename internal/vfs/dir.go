package vfs

import (
	"errors"
	"io/fs"
	"path"
)

// MakeDir makes a folder and those above it, so that they survive a power cut. Folders that are there already are synced too: who made them may
// have been killed before. One above that this process may not read was not made by it.
func MakeDir(fsys FS, dir string) error {
	dir = path.Clean(dir)
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for parent := path.Dir(dir); ; parent = path.Dir(parent) {
		if err := fsys.SyncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		if parent == path.Dir(parent) {
			return nil
		}
	}
}
