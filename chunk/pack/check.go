package pack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/edgefs/edgefs/internal/finding"
)

// Check looks at what the device has on its disk while it is used: head, seal and footer of each pack that is sealed, and whether the index leads to records that are there. It tells of
// what is wrong, reads no content, and takes 24 bytes of memory for each record. progress is told how many packs were looked at, of how many; it may be nil.
func (d *Device) Check(ctx context.Context, tell finding.Tell, progress func(done, of int64)) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.leave()
	if progress == nil {
		progress = func(int64, int64) {}
	}
	n := &Inspection{ID: d.id, opts: InspectOptions{FS: d.opts.FS, Dir: d.opts.Dir, IndexDir: d.opts.IndexDir, Progress: func(int64, int64) {}}}
	found := func(f finding.Finding) {
		f.Repair, f.Mend = "", nil // nobody else may write here
		tell(f)
	}
	looked := map[uint64]bool{}
	packs := d.allPacks()
	for i, p := range packs {
		progress(int64(i), int64(len(packs)))
		p.mu.Lock()
		sealed := p.sealed
		p.mu.Unlock()
		if !sealed {
			continue
		}
		var of []finding.Finding
		n.tell = func(f finding.Finding) { of = append(of, f) }
		err := n.pack(ctx, p.generation)
		switch {
		case !d.hasPack(p.generation): // it was compacted away, and its file is used again perhaps
			continue
		case errors.Is(err, fs.ErrNotExist):
			n.tell.Damage("pack.gone", p.name, 0, "the file is not there")
		case err != nil:
			return fmt.Errorf("check device %s: %w", d.opts.Dir, err)
		}
		looked[p.generation] = true
		for _, f := range of {
			found(f)
		}
	}
	n.tell = found
	n.catalog.sort()
	return d.checkIndex(ctx, n, looked)
}

// checkIndex goes through the index once. What it says of packs that were not looked at is not judged.
func (d *Device) checkIndex(ctx context.Context, n *Inspection, looked map[uint64]bool) error {
	var doubted []found
	err := d.index.All(func(k Key, e Entry) error {
		if looked[e.Generation] && !n.leads(k, e) && len(doubted) < maxRecords {
			doubted = append(doubted, found{k, e})
		}
		return ctx.Err()
	})
	if errors.Is(err, errIndexDamaged) {
		n.tell.Damage("index", n.indexDir(), 0, err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("check device %s: %w", d.opts.Dir, err)
	}
	keys := make([]Key, len(doubted))
	for i, f := range doubted {
		keys[i] = f.key
	}
	return d.index.Lookup(keys, func(i int, now Entry) {
		if was := doubted[i].entry; now == was && d.hasPack(was.Generation) { // not moved meanwhile
			n.tell.Damage("index.entry", packName(d.opts.Dir, was.Generation), was.Offset, fmt.Sprintf("chunk %v should be there, and no whole record of it is", keys[i].ID))
		}
	})
}
