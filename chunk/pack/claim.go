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
	if err := d.opts.FS.MkdirAll(d.opts.Dir); err != nil {
		return err
	}
	if err := d.refuseForeign(); err != nil {
		return err
	}
	lock, err := d.opts.FS.Lock(path.Join(d.opts.Dir, lockFile))
	if err != nil {
		return err
	}
	d.lock = lock
	d.id, err = readFormat(d.opts.FS, path.Join(d.opts.Dir, formatFile))
	if errors.Is(err, fs.ErrNotExist) {
		return d.make()
	}
	if err != nil {
		return err
	}
	return d.syncDirs() // what is seen may not be durable yet, when the process that made it was killed
}

// syncDirs makes the folder, and what it holds, survive a power cut.
func (d *Device) syncDirs() error {
	if err := vfs.MakeDir(d.opts.FS, d.opts.Dir); err != nil {
		return err
	}
	return d.opts.FS.SyncDir(d.opts.Dir)
}

// refuseForeign looks before anything is written.
func (d *Device) refuseForeign() error {
	names, err := d.opts.FS.ReadDir(d.opts.Dir)
	if err != nil {
		return err
	}
	foreign := ""
	for _, name := range names {
		switch name {
		case formatFile:
			return nil
		case lockFile, formatFile + ".tmp", packDir, "lost+found":
		default:
			foreign = name
		}
	}
	if foreign != "" {
		return fmt.Errorf("%w: the folder holds %q and no file %q", ErrForeign, foreign, formatFile)
	}
	return nil
}

// make makes the device. The format file comes last: without it there are no packs yet.
func (d *Device) make() error {
	sys, dir := d.opts.FS, d.opts.Dir
	if names, err := sys.ReadDir(path.Join(dir, packDir)); err == nil && len(names) > 0 {
		return fmt.Errorf("%w: there are packs, but no file %q", ErrForeign, formatFile)
	}
	if err := sys.MkdirAll(path.Join(dir, packDir)); err != nil {
		return err
	}
	if _, err := rand.Read(d.id[:]); err != nil {
		return err
	}
	name := path.Join(dir, formatFile)
	if err := writeFormat(sys, name+".tmp", d.id); err != nil {
		return err
	}
	if err := sys.Rename(name+".tmp", name); err != nil {
		return err
	}
	return d.syncDirs()
}

func writeFormat(sys vfs.FS, name string, id deviceID) error {
	f, err := sys.Open(name, vfs.Create)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(encodeDevice(id), 0); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

func readFormat(sys vfs.FS, name string) (deviceID, error) {
	f, err := sys.Open(name, 0)
	if err != nil {
		return deviceID{}, err
	}
	defer f.Close()
	b := make([]byte, infoSize)
	if err := readFull(f, b, 0); err != nil && !errors.Is(err, errShort) {
		return deviceID{}, err
	}
	id, err := decodeDevice(b)
	if err != nil {
		return deviceID{}, fmt.Errorf("%w: file %s: %w", ErrForeign, name, err)
	}
	return id, nil
}
