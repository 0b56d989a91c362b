package pack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/vfs"
)

// InspectOptions say which device is looked at, and how closely. Zero fields get the defaults.
type InspectOptions struct {
	FS       vfs.FS // the machine's by default
	Dir      string // the device's folder
	IndexDir string // as in [Options]
	Index    Index  // instead of Badger; it is not closed
	ID       ID     // that the folder must hold; zero: any
	Owner    Owner  // whose the device must be, unless it is nobody's
	// Data says that every record is read, and compared with its checksum and, where its domain is among Domains, with its name.
	Data    bool
	Domains []chunk.Domain
	// Progress is told how many bytes were looked at, of how many; it may be nil.
	Progress func(done, of int64)
}

// Inspection is a device as its packs say, which nothing changes. It reads chunks ([chunk.Opener]) whatever the index says, and takes none. It is safe for concurrent
// use. It takes 24 bytes of memory for each record.
type Inspection struct {
	ID      ID
	Packs   int
	Records int64 // whole as far as was looked
	Bytes   int64 // of their payloads
	Damaged int64 // records that were found damaged, but for those that reading finds later

	opts    InspectOptions
	tell    finding.Tell
	packs   []packInfo // by the catalog's numbers
	noted   []bool     // the index says that it holds all of the pack
	indexed bool       // there is an index that can be relied on
	clean   bool       // the device was closed
	catalog catalog
	forms   forms
	done    int64
	all     int64
	files   readFiles
}

// Inspect looks at the device in o.Dir, tells of all that is wrong with it, and changes nothing. Nobody may have the device open. An error is the context's, or that of a
// disk that does not give a folder's content; what can be looked at of a damaged device is.
func Inspect(ctx context.Context, o InspectOptions, tell finding.Tell) (*Inspection, error) {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	n := &Inspection{opts: o, tell: tell}
	n.files.sys = o.FS
	if err := n.inspect(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("look at device %s: %w", o.Dir, err), n.Close())
	}
	return n, nil
}

func (n *Inspection) inspect(ctx context.Context) error {
	generations, err := n.list()
	if err != nil {
		return err
	}
	if err := n.identify(generations); err != nil {
		return err
	}
	for _, g := range generations {
		if info, err := n.opts.FS.Stat(packName(n.opts.Dir, g)); err == nil {
			n.all += info.Size
		}
	}
	for _, g := range generations {
		if err := n.pack(ctx, g); err != nil {
			return fmt.Errorf("pack %s: %w", packName(n.opts.Dir, g), err)
		}
	}
	n.catalog.sort()
	n.noted = make([]bool, len(n.packs))
	return n.index(ctx)
}

// list are the generations of the packs, in order.
func (n *Inspection) list() ([]uint64, error) {
	dir := packFolder(n.opts.Dir)
	names, err := n.opts.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		n.tell.Damage("device.packs", dir, 0, "the folder of the packs is not there")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, name := range names {
		g, ok := generationOf(name, packSuffix)
		_, spare := generationOf(name, spareSuffix)
		switch {
		case ok:
			all = append(all, g)
		case path.Ext(name) == ".tmp":
			n.tell.Note("pack.left", path.Join(dir, name), "a file that was being made; the next start removes it")
		case !spare:
			n.tell.Note("pack.foreign", path.Join(dir, name), "no pack")
		}
	}
	slices.Sort(all)
	return all, nil
}

// identify finds out which device it is: if its file does not say so any more, its packs do.
func (n *Inspection) identify(generations []uint64) error {
	name := path.Join(n.opts.Dir, formatFile)
	found, err := readFormat(n.opts.FS, name)
	switch {
	case err == nil && n.opts.ID != (ID{}) && found.Device != n.opts.ID:
		n.tell.Damage("device.other", name, 0, fmt.Sprintf("the folder holds device %v instead of %v", found.Device, n.opts.ID))
	case err == nil && found.Owner != (Owner{}) && n.opts.Owner != (Owner{}) && found.Owner != n.opts.Owner:
		n.tell.Damage("device.other", name, 0, "the device belongs to another segment")
	case err == nil:
	case !errors.Is(err, ErrForeign) && !errors.Is(err, fs.ErrNotExist):
		return err
	default:
		found.Device = n.opts.ID
		for _, g := range generations {
			if id, ok := n.deviceOf(g); ok && found.Device == (ID{}) {
				found.Device = id
			}
		}
		if found.Device == (ID{}) {
			n.tell.Damage("device.format", name, 0, err.Error()+"; no pack tells which device it was")
			break
		}
		n.tell.Repairable("device.format", name, 0, err.Error(), "it is made again: the packs say that this is device "+found.Device.String(), n.mendFormat)
	}
	n.ID = found.Device
	return nil
}

// deviceOf is the device that a pack says it is of.
func (n *Inspection) deviceOf(generation uint64) (ID, bool) {
	f, err := n.opts.FS.Open(packName(n.opts.Dir, generation), 0)
	if err != nil {
		return ID{}, false
	}
	defer f.Close()
	b := make([]byte, infoSize)
	if err := readFull(f, b, 0); err != nil {
		return ID{}, false
	}
	info, err := decodePackInfo(b)
	return info.device, err == nil && info.generation == generation
}

// went notes that bytes were looked at.
func (n *Inspection) went(bytes int64) {
	n.done += bytes
	n.opts.Progress(min(n.done, n.all), n.all)
}

// Close lets go of the files. What was read stays.
func (n *Inspection) Close() error { return n.files.close() }
