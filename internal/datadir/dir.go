package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/edgefs/edgefs/internal/vfs"
)

var (
	// ErrForeign says that a directory holds something that is not EdgeFS's. Nothing was written to it.
	ErrForeign = errors.New("not a data directory of EdgeFS")
	// ErrNewer says that a newer build has written the directory in a form that this one does not know.
	ErrNewer = errors.New("written by a newer build")
)

const (
	markerName = "EDGEFS"
	marker     = "EdgeFS data directory, format 1\n"
	markerAny  = "EdgeFS data directory, format "
	lockName   = "lock"
)

// Dir is a data directory that this process has locked.
type Dir struct {
	path string
	lock io.Closer
}

// Open locks the data directory at path, and makes it when there is nothing there or an empty directory. Anything else it leaves as it was,
// and fails. When another process has it the error is [vfs.ErrLocked].
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := check(path); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := makeDir(path); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := vfs.OS{}.Lock(filepath.Join(path, lockName))
	if err != nil {
		return nil, fmt.Errorf("data directory: %w: a directory is for one edgefs at a time, stop that one first", err)
	}
	d := &Dir{path, lock}
	if err := d.make(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), d.Close())
	}
	return d, nil
}

// check reads only. A directory with nothing but a lock is one whose making was interrupted.
func check(path string) error {
	text, err := os.ReadFile(filepath.Join(path, markerName))
	switch {
	case err == nil:
		return checkMarker(string(text))
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != lockName && e.Name() != markerName+partSuffix {
			return fmt.Errorf("%w (it holds %q): name an empty or a new directory", ErrForeign, e.Name())
		}
	}
	return nil
}

func checkMarker(text string) error {
	switch {
	case text == marker:
		return nil
	case strings.HasPrefix(text, markerAny):
		return fmt.Errorf("%w: %s says %q", ErrNewer, markerName, strings.TrimSpace(text))
	}
	return fmt.Errorf("%w: its file %s says something else", ErrForeign, markerName)
}

// make completes a directory whose lock is held. The marker comes first: with it, whatever else is missing after a crash is made again.
func (d *Dir) make() error {
	path := d.Path(markerName)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = writeFile(path, []byte(marker), 0o644)
	}
	if err != nil {
		return err
	}
	return makeDir(d.Keys())
}

// makeDir makes a folder that only its owner can enter, and that survives a power cut.
func makeDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return vfs.MakeDir(vfs.OS{}, path)
}

// Close lets other processes have the directory.
func (d *Dir) Close() error { return d.lock.Close() }

// Path is where something in the directory is.
func (d *Dir) Path(name ...string) string { return filepath.Join(append([]string{d.path}, name...)...) }

// Keys is the folder of secrets.
func (d *Dir) Keys() string { return d.Path("keys") }

const partSuffix = ".part"

// writeFile makes a file whole and durable, or not at all.
func writeFile(path string, text []byte, mode fs.FileMode) error {
	part := path + partSuffix
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return err
	}
	return vfs.OS{}.SyncDir(filepath.Dir(path))
}
