package pack

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

// strike takes damaged records off the footers of packs that list them, so that they do not come back as held where the index is made again. Those in packs that are not sealed yet are left for the next time: a
// pack that is read as a whole lists what is whole.
func (d *Device) strike(ctx context.Context) error {
	byPack := map[uint64]map[Key]int64{}
	d.mu.Lock()
	for k, c := range d.lost {
		if c.generation == 0 || c.struck {
			continue
		}
		if byPack[c.generation] == nil {
			byPack[c.generation] = map[Key]int64{}
		}
		byPack[c.generation][k] = c.offset
	}
	packs := d.packs
	var todo []*pack
	for generation := range byPack {
		if p := packs[generation]; p != nil {
			todo = append(todo, p)
		}
	}
	d.mu.Unlock()
	for _, p := range todo {
		if err := errors.Join(ctx.Err(), d.Err()); err != nil {
			return err
		}
		struck, err := d.strikeOff(p, byPack[p.generation])
		if err != nil {
			return fmt.Errorf("pack %s: %w", p.name, err)
		}
		if struck {
			d.struck(byPack[p.generation])
		}
	}
	return nil
}

// strikeLast does so before the device is closed: what readers found is not told otherwise.
func (d *Device) strikeLast() {
	if err := d.strike(context.Background()); err != nil {
		d.log.Warn("damaged chunks are not struck off the footers of their packs", "dir", d.opts.Dir, "err", err)
	}
}

// leaveOut leaves damaged records out of what a pack is going to list. It is for the one who seals.
func (d *Device) leaveOut(p *pack) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = slices.DeleteFunc(p.records, func(r record) bool {
		c, lost := d.lost[r.key]
		return lost && c.generation == p.generation && c.offset == r.offset
	})
}

func (d *Device) struck(keys map[Key]int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k := range keys {
		if c, ok := d.lost[k]; ok {
			c.struck = true
			d.lost[k] = c
		}
	}
}

// strikeOff writes a pack's footer anew, without some records, and then its seal: between the two the footer's checksum is wrong, and what is whole is looked for in the pack. It does nothing, and says so, where the
// pack is not sealed, or its footer is damaged.
func (d *Device) strikeOff(p *pack, off map[Key]int64) (struck bool, err error) {
	done := make(chan bool, 1)
	err = d.patiently(func() error {
		p.striking.Lock() // a pack that is given up may be another's file; until the disk has answered it is not
		defer p.striking.Unlock()
		struck, err := d.strikeNow(p, off)
		done <- struck
		return err
	}, func() {})
	if err != nil {
		return false, err
	}
	return <-done, nil
}

// strikeNow is strikeOff without a limit of time. It is called with the lock of striking.
func (d *Device) strikeNow(p *pack, off map[Key]int64) (struck bool, err error) {
	p.mu.Lock()
	sealed := p.sealed
	p.mu.Unlock()
	if !sealed || p.discarded {
		return false, nil
	}
	f, err := d.opts.FS.Open(p.name, vfs.Write|vfs.Direct)
	if err != nil {
		return false, unopened(err)
	}
	defer f.Close()
	read := &direct{File: f, d: d}
	s, sealed, err := readSeal(read, p.packInfo)
	if err != nil || !sealed {
		return false, err
	}
	records, err := readFooter(read, p.packInfo, s)
	if errors.Is(err, errFooter) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	rest := slices.DeleteFunc(slices.Clone(records), func(r record) bool {
		at, is := off[r.key]
		return is && at == r.offset
	})
	if len(rest) == len(records) {
		return true, nil
	}
	if err := writeFooter(f, p.packInfo, s.footer, rest); err != nil {
		return false, d.fail(err)
	}
	d.log.Warn("damaged chunks were struck off the footer of a pack", "file", p.name, "chunks", len(records)-len(rest))
	return true, nil
}

// writeFooter writes a footer where one was that is not shorter, and the seal that leads to it. When it returns nil both are durable.
func writeFooter(f vfs.File, i packInfo, at int64, records []record) error {
	footer := encodeFooter(i.device, records)
	if len(footer) == 0 { // so that there is something to write
		footer = vfs.Buffer(vfs.Align)
	}
	s := seal{generation: i.generation, footer: at, count: uint32(len(records))}
	s.sum = payloadSum(footer[:s.size()])
	if _, err := f.WriteAt(footer, at); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	b := vfs.Buffer(vfs.Align)
	s.encode(b)
	if _, err := f.WriteAt(b, sealStart); err != nil {
		return err
	}
	return f.Sync()
}

// discardable ends what strikes records off a pack, before its file is given up.
func (p *pack) discardable() {
	p.striking.Lock()
	defer p.striking.Unlock()
	p.discarded = true
}

// lostCopy is a durable chunk that was found damaged, and where; generation 0 where that is not known.
type lostCopy struct {
	class      chunk.Class
	generation uint64
	offset     int64
	struck     bool // no footer lists it
}
