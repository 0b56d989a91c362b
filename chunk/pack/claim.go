package pack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/edgefs/edgefs/internal/vfs"
)

// What lies in a device's folder.
const (
	formatFile = "format"
	lockFile   = "lock"
	packDir    = "packs"
	indexDir   = "index"
)

// claim takes the folder for this process and sees to it that it is a device.
func (d *Device) claim() error {
	if err := d.look(); err != nil {
		return err
	}
	lock, err := d.opts.FS.Lock(path.Join(d.opts.Dir, lockFile))
	if err != nil {
		return err
	}
	d.lock = lock
	found, err := readFormat(d.opts.FS, path.Join(d.opts.Dir, formatFile))
	if errors.Is(err, fs.ErrNotExist) {
		return d.make()
	}
	if err != nil {
		return err
	}
	if err := d.opts.accepts(found); err != nil {
		return err
	}
	d.id = found.Device
	return d.syncDirs() // what is seen may not be durable yet, when the process that made it was killed
}

// syncDirs makes the folder, and what it holds, survive a power cut.
func (d *Device) syncDirs() error {
	if err := vfs.MakeDir(d.opts.FS, d.opts.Dir); err != nil {
		return err
	}
	return d.opts.FS.SyncDir(d.opts.Dir)
}

// make makes the device. The format file comes last, after a power cut too: without it there are no packs yet, with it they have a folder.
func (d *Device) make() error {
	sys, dir := d.opts.FS, d.opts.Dir
	if names, err := sys.ReadDir(path.Join(dir, packDir)); err == nil && len(names) > 0 {
		return fmt.Errorf("%w: there are packs, but no file %q", ErrForeign, formatFile)
	}
	if err := vfs.MakeDir(sys, path.Join(dir, packDir)); err != nil {
		return err
	}
	if _, err := rand.Read(d.id[:]); err != nil {
		return err
	}
	name := path.Join(dir, formatFile)
	if err := writeFormat(sys, name, Identity{d.id, d.opts.Owner}); err != nil {
		return err
	}
	return d.syncDirs()
}
