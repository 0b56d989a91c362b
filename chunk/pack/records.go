package pack

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

// allPacks are the packs there are now, oldest first.
func (d *Device) allPacks() []*pack {
	d.mu.Lock()
	defer d.mu.Unlock()
	packs := make([]*pack, 0, len(d.packs))
	for _, p := range d.packs {
		packs = append(packs, p)
	}
	slices.SortFunc(packs, func(a, b *pack) int { return int(int64(a.generation - b.generation)) })
	return packs
}

func (d *Device) hasPack(generation uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.packs[generation] != nil
}

// recordReader reads the records of packs, and compares them.
type recordReader struct {
	d       *Device
	domains map[Tag]chunk.Domain // whose names can be compared
	footers int64                // of packs, that were damaged
	dropped int64                // copies that were damaged
}

// records are those that a pack should hold; none of one that was compacted away. It does not wait for a disk that stalls.
func (s *recordReader) records(ctx context.Context, p *pack) ([]record, error) {
	f, err := s.d.openDirect(p.generation)
	if err != nil && !s.d.hasPack(p.generation) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return s.listed(ctx, f, p)
}

// listed are those that the pack lists whose file is open, or that are found in it where its footer is damaged.
func (s *recordReader) listed(ctx context.Context, f vfs.File, p *pack) ([]record, error) {
	records, err := s.footer(f, p)
	if !errors.Is(err, errFooter) {
		return records, err
	}
	s.footers++
	return records, scan(ctx, f, p.packInfo, func(r record) { records = append(records, r) })
}

// footer are the records that a pack lists; errFooter when the list is damaged.
func (s *recordReader) footer(f vfs.File, p *pack) ([]record, error) {
	p.mu.Lock()
	sealed, records := p.sealed, slices.Clone(p.records)
	p.mu.Unlock()
	if !sealed {
		return records, nil
	}
	footer, sealed, err := readSeal(f, p.packInfo)
	if err == nil && !sealed {
		err = fmt.Errorf("%w: there is no seal", errFooter)
	}
	if err == nil {
		records, err = readFooter(f, p.packInfo, footer)
	}
	if errors.Is(err, errFooter) {
		s.d.log.Error("the footer of a pack is damaged", "file", p.name, "err", err)
	}
	return records, err
}

// live are the records that the index leads to, in the order in which they lie.
func (s *recordReader) live(records []record) ([]found, error) {
	keys := make([]Key, len(records))
	for i, r := range records {
		keys[i] = r.key
	}
	var live []found
	err := s.d.index.Lookup(keys, func(i int, e Entry) {
		if e == records[i].entry() {
			live = append(live, found{keys[i], e})
		}
	})
	return live, err
}

// drop drops a damaged copy from the index.
func (s *recordReader) drop(f found) error {
	_, dropped, err := s.d.forget(f)
	if dropped {
		s.dropped++
	}
	return err
}

// verdict is what a look at a record says.
type verdict uint8

const (
	sound   verdict = iota
	unnamed         // its domain is not known, and its checksum is right
	unknown         // it is stored in a form that this build does not know, and its checksum is right
	damaged
)

// whole says whether b begins with the record that an entry promises, as far as this build can tell.
func (s *recordReader) whole(i packInfo, f found, b []byte) bool { return s.look(i, f, b) != damaged }

func (s *recordReader) look(i packInfo, f found, b []byte) verdict {
	r, ok := decodeRecord(i, b)
	if !ok || r.key != f.key || r.entry() != f.entry {
		return damaged
	}
	payload := b[recordSize : recordSize+int64(r.length)]
	if payloadSum(payload) != r.sum {
		return damaged
	}
	return s.name(f, payload)
}

// name compares a payload with the chunk's name.
func (s *recordReader) name(f found, payload []byte) verdict {
	domain, known := s.domains[f.key.Tag]
	if !known {
		return unnamed
	}
	if !f.entry.Codec.known() {
		return unknown
	}
	data, lent, err := s.d.forms.open(f.entry, payload)
	if err != nil {
		return damaged
	}
	defer s.d.forms.put(lent)
	if domain.Name(data) != f.key.ID {
		return damaged
	}
	return sound
}
