package pack

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/edgefs/edgefs/internal/vfs"
)

// ID names a device. It is chosen at random when the device is made.
type ID [16]byte

// String is 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Owner is whose a device is: the segment's id. The zero Owner is nobody.
type Owner [16]byte

// Identity is what a device's format file says.
type Identity struct {
	Device ID
	Owner  Owner // nobody, where the device is its segment's only one, and was from the first
}

var (
	// ErrForeign says that a folder holds something else than a device of this format.
	ErrForeign = errors.New("not a device of EdgeFS")
	// ErrOwned says that a device belongs to another segment.
	ErrOwned = errors.New("the device belongs to another segment")
	// ErrAbsent says that a folder holds no device, or not the one that was asked for.
	ErrAbsent = errors.New("the device is not there")
)

// Look says which device a folder holds, and changes nothing. An empty folder, or none, gives [ErrAbsent], one with something else [ErrForeign].
func Look(sys vfs.FS, dir string) (Identity, error) {
	names, err := sys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, fmt.Errorf("%w: there is no folder %s", ErrAbsent, dir)
	}
	if err != nil {
		return Identity{}, err
	}
	foreign := ""
	for _, name := range names {
		switch name {
		case formatFile:
			return readFormat(sys, path.Join(dir, formatFile))
		case lockFile, formatFile + ".tmp", packDir, "lost+found":
		default:
			foreign = name
		}
	}
	if foreign != "" {
		return Identity{}, fmt.Errorf("%w: the folder holds %q and no file %q", ErrForeign, foreign, formatFile)
	}
	return Identity{}, fmt.Errorf("%w: the folder %s is empty", ErrAbsent, dir)
}

// look refuses, before anything is written, a folder that does not hold what is to be opened, and makes it where a new device may begin.
func (d *Device) look() error {
	found, err := Look(d.opts.FS, d.opts.Dir)
	switch {
	case errors.Is(err, ErrAbsent) && d.opts.ID == ID{}:
		return d.opts.FS.MkdirAll(d.opts.Dir)
	case err != nil:
		return err
	}
	return d.opts.accepts(found)
}

// accepts says whether a device that is there is the one to be opened.
func (o Options) accepts(found Identity) error {
	if o.ID != (ID{}) && found.Device != o.ID {
		return fmt.Errorf("%w: the folder holds device %v instead of %v", ErrAbsent, found.Device, o.ID)
	}
	if found.Owner != (Owner{}) && o.Owner != (Owner{}) && found.Owner != o.Owner {
		return fmt.Errorf("%w: device %v", ErrOwned, found.Device)
	}
	return nil
}

// ID is the device's name.
func (d *Device) ID() ID { return d.id }

// Adopt says on the medium whose the device is, from now on. It does nothing where that is said already.
func (d *Device) Adopt(owner Owner) error {
	name := path.Join(d.opts.Dir, formatFile)
	was, err := readFormat(d.opts.FS, name)
	if err != nil || was.Owner == owner {
		return err
	}
	if was.Owner != (Owner{}) {
		return fmt.Errorf("%w: device %v", ErrOwned, d.id)
	}
	if err := writeFormat(d.opts.FS, name, Identity{d.id, owner}); err != nil {
		return err
	}
	return d.opts.FS.SyncDir(d.opts.Dir)
}

// writeFormat replaces the format file. Its folder is the caller's to sync.
func writeFormat(sys vfs.FS, name string, i Identity) error {
	f, err := sys.Open(name+".tmp", vfs.Create)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(encodeDevice(i), 0); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return sys.Rename(name+".tmp", name)
}

func readFormat(sys vfs.FS, name string) (Identity, error) {
	f, err := sys.Open(name, 0)
	if err != nil {
		return Identity{}, err
	}
	defer f.Close()
	b := make([]byte, infoSize)
	if err := readFull(f, b, 0); err != nil && !errors.Is(err, errShort) {
		return Identity{}, err
	}
	i, err := decodeDevice(b)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: file %s: %w", ErrForeign, name, err)
	}
	return i, nil
}
