package pack

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"

	"github.com/edgefs/edgefs/chunk"
)

// Chunks that a device held durably and found damaged are noted in its index, under lostNotes and their keys in hexadecimal digits, with their class and where they lay: so that they are looked for elsewhere, after a restart too. Where the index is lost the notes are, and so is the position of the scrub.
const (
	lostNotes = "lost/"
	maxLost   = 1 << 16 // notes; of more nothing is remembered but their number
)

func lostNote(k Key) string {
	return lostNotes + hex.EncodeToString(k.Tag[:]) + hex.EncodeToString(k.ID[:])
}

func parseLostNote(name string) (k Key, err error) {
	b, err := hex.DecodeString(strings.TrimPrefix(name, lostNotes))
	if err == nil && len(b) != len(k.Tag)+len(k.ID) {
		err = fmt.Errorf("%d bytes", len(b))
	}
	if err != nil {
		return k, fmt.Errorf("note %q: %w", name, err)
	}
	copy(k.ID[:], b[copy(k.Tag[:], b):])
	return k, nil
}

// loadScrub reads the notes when the device is opened.
func (d *Device) loadScrub() error {
	b, err := d.index.Note(passNote)
	if err != nil {
		return err
	}
	d.pass, _ = decodePass(b)
	d.lost = map[Key]lostCopy{}
	return d.index.Notes(lostNotes, func(name string, value []byte) error {
		k, err := parseLostNote(name)
		if c, ok := decodeLost(value); err == nil && ok {
			d.lost[k] = c
		}
		return err
	})
}

func (c lostCopy) encode() []byte {
	b := binary.LittleEndian.AppendUint64([]byte{byte(c.class)}, c.generation)
	return binary.LittleEndian.AppendUint64(b, uint64(c.offset))
}

func decodeLost(b []byte) (c lostCopy, ok bool) {
	if len(b) != 17 {
		return c, false
	}
	return lostCopy{class: chunk.Class(b[0]), generation: binary.LittleEndian.Uint64(b[1:]), offset: int64(binary.LittleEndian.Uint64(b[9:]))}, true
}

// noteLost notes a chunk before its entry is dropped.
func (d *Device) noteLost(f found) error {
	d.mu.Lock()
	_, twice := d.lost[f.key]
	full := len(d.lost) >= maxLost
	d.mu.Unlock()
	if !f.entry.Class.Durable() || full && !twice {
		return nil
	}
	c := lostCopy{class: f.entry.Class, generation: f.entry.Generation, offset: f.entry.Offset}
	if err := d.index.SetNote(lostNote(f.key), c.encode()); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost[f.key] = c
	return nil
}

// maxBad bounds the chunks that are noted as not readable.
const maxBad = 4096

// noteBad notes, until the device is closed, that the disk does not give a chunk where it lies: it does not count as held there, and is written elsewhere when it is put again. Its entry stays: a disk
// that is unplugged must not be forgotten.
func (d *Device) noteBad(f found) {
	d.mu.Lock()
	defer d.mu.Unlock()
	bad := map[Key]Entry{}
	if now := d.bad.Load(); now != nil {
		bad = maps.Clone(*now)
	}
	if len(bad) < maxBad {
		bad[f.key] = f.entry
		d.bad.Store(&bad)
	}
}

// clearBad notes that the disk gives a chunk again.
func (d *Device) clearBad(f found) {
	if !d.isBad(f.key, f.entry) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	bad := maps.Clone(*d.bad.Load())
	delete(bad, f.key)
	d.bad.Store(&bad)
}

func (d *Device) isBad(k Key, e Entry) bool {
	bad := d.bad.Load()
	if bad == nil {
		return false
	}
	at, ok := (*bad)[k]
	return ok && at == e
}

// Lost are the chunks that the device held durably, found damaged or not readable, and does not hold. It takes what is damaged off the footers of packs.
func (d *Device) Lost(ctx context.Context) (map[Key]chunk.Class, error) {
	if err := d.enter(ctx); err != nil {
		return nil, err
	}
	defer d.leave()
	if err := d.strike(ctx); err != nil {
		d.log.Warn("damaged chunks are not struck off the footers of their packs, trying again", "err", err)
	}
	lost := map[Key]chunk.Class{}
	d.mu.Lock()
	for k, c := range d.lost {
		lost[k] = c.class
	}
	d.mu.Unlock()
	if bad := d.bad.Load(); bad != nil {
		for k, e := range *bad {
			if e.Class.Durable() {
				lost[k] = e.Class
			}
		}
	}
	var back []Key
	keys := make([]Key, 0, len(lost))
	for k := range lost {
		keys = append(keys, k)
	}
	err := d.index.Lookup(keys, func(i int, e Entry) {
		if d.held(keys[i], e, chunk.Data, false) {
			back = append(back, keys[i])
			delete(lost, keys[i])
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", chunk.ErrUnavailable, err)
	}
	return lost, d.ForgetLost(ctx, back)
}

// ForgetLost forgets that chunks were lost.
func (d *Device) ForgetLost(ctx context.Context, keys []Key) error {
	if len(keys) == 0 {
		return nil
	}
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.leave()
	if err := d.indexHasRoom(); err != nil {
		return err
	}
	for _, k := range keys {
		d.mu.Lock()
		_, noted := d.lost[k]
		d.mu.Unlock()
		if !noted {
			continue
		}
		if err := d.index.SetNote(lostNote(k), nil); err != nil {
			return err
		}
		d.mu.Lock()
		delete(d.lost, k)
		d.mu.Unlock()
	}
	return nil
}
