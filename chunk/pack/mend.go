package pack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/edgefs/edgefs/internal/vfs"
)

// mendPack makes header, footer, seal and length of a pack what its whole records say. It overwrites none of what may be left of others: a footer that is made again comes
// behind all that the file has.
func (n *Inspection) mendPack(ctx context.Context, generation uint64) error {
	sys := n.opts.FS
	j, err := judge(ctx, sys, n.ID, packName(n.opts.Dir, generation), generation)
	if err != nil || j.foreign != "" {
		return err
	}
	w, err := sys.Open(j.name, vfs.Write)
	if err != nil {
		return err
	}
	p := &pack{packInfo: j.packInfo, name: j.name, w: w, records: j.records, end: vfs.AlignUp(j.size)}
	if !j.headed {
		err = p.writeHead()
	}
	switch {
	case err != nil:
	case j.unseal == "" && j.foot == "" && j.listed && j.size != j.end():
		err = w.Truncate(j.end())
	case j.unseal == "" && j.foot == "":
	case len(j.records) == 0:
		_, err = vfs.Aside(sys, j.name, n.opts.Dir)
	case len(j.records) > maxRecords:
		err = fmt.Errorf("%s has %d records, more than a pack can", j.name, len(j.records))
	default:
		err = p.writeSeal()
	}
	return errors.Join(err, w.Sync(), p.closeWrite())
}

// writeHead writes the header alone: what the file has behind it stays.
func (p *pack) writeHead() error {
	b := make([]byte, infoSize)
	p.encode(b)
	_, err := p.w.WriteAt(b, 0)
	return err
}

// putAside takes a file that is no pack of the device from among its packs.
func (n *Inspection) putAside(generation uint64) error {
	_, err := vfs.Aside(n.opts.FS, packName(n.opts.Dir, generation), n.opts.Dir)
	return err
}

// dropIndex removes the index. It holds nothing that the packs do not.
func (n *Inspection) dropIndex() error {
	if n.opts.Index != nil {
		return n.opts.Index.Reset()
	}
	dir := n.indexDir()
	return errors.Join(os.RemoveAll(dir), os.RemoveAll(dir+damagedSuffix))
}

// mendFormat says again which device it is. Whose it is it says where it is one of several: those of a list.
func (n *Inspection) mendFormat() error {
	name, i := path.Join(n.opts.Dir, formatFile), Identity{Device: n.ID}
	if n.opts.ID != (ID{}) {
		i.Owner = n.opts.Owner
	}
	if _, err := n.opts.FS.Stat(name); err == nil {
		if _, err := vfs.Aside(n.opts.FS, name, n.opts.Dir); err != nil {
			return err
		}
	}
	return errors.Join(writeFormat(n.opts.FS, name, i), n.opts.FS.SyncDir(n.opts.Dir))
}
