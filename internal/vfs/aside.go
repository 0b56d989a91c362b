package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Aside moves a file into the folder "aside" of the folder into, under its name or, where that is taken, one with a number. It survives a power cut when Aside returns.
func Aside(sys FS, name, into string) (moved string, err error) {
	dir := path.Join(into, "aside")
	if err := sys.MkdirAll(dir); err != nil {
		return "", err
	}
	moved = path.Join(dir, path.Base(name))
	for n := 1; ; n++ {
		_, err := sys.Stat(moved)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
		moved = path.Join(dir, fmt.Sprintf("%s.%d", path.Base(name), n))
	}
	if err := sys.Rename(name, moved); err != nil {
		return "", err
	}
	return moved, errors.Join(sys.SyncDir(dir), sys.SyncDir(into), sys.SyncDir(path.Dir(name)))
}
