package pack

import (
	"context"
	"errors"
	"slices"

	"github.com/edgefs/edgefs/chunk"
)

// Report is what a scrub has found so far.
type Report struct {
	Packs, AllPacks int   // done, of how many
	Chunks, Bytes   int64 // read
	Unnamed         int64 // chunks of which only the checksum was compared: their domain, or how they are stored, is not known
	Damaged         int64 // copies that were dropped from the index
	Footers         int   // of packs, that were damaged
}

// Verify reads every chunk that the index leads to, compares its header and checksum, and its name where the domain is among those given. A
// damaged copy is dropped from the index, as by Get; it then counts as missing and can be put again. progress is called after each pack.
// It stops, with the context's error, when ctx ends, and fails when the disk does not answer.
func (d *Device) Verify(ctx context.Context, domains []chunk.Domain, progress func(Report)) (Report, error) {
	if err := d.enter(ctx); err != nil {
		return Report{}, err
	}
	defer d.leave()
	s := scrub{d: d, domains: map[Tag]chunk.Domain{}}
	for _, domain := range domains {
		s.domains[TagOf(domain)] = domain
	}
	packs := d.allPacks()
	s.report.AllPacks = len(packs)
	for _, p := range packs {
		if err := s.pack(ctx, p); err != nil {
			return s.report, err
		}
		s.report.Packs++
		if progress != nil {
			progress(s.report)
		}
	}
	return s.report, nil
}

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

type scrub struct {
	d       *Device
	domains map[Tag]chunk.Domain
	report  Report
}

func (s *scrub) pack(ctx context.Context, p *pack) error {
	records, err := s.records(ctx, p)
	if err != nil {
		return err
	}
	live, err := s.live(records)
	if err != nil {
		return err
	}
	for len(live) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := spanOf(live)
		if err := s.span(p.packInfo, live[:n]); err != nil {
			return err
		}
		live = live[n:]
	}
	return nil
}

// records are those that a pack should hold; none of one that was compacted away.
func (s *scrub) records(ctx context.Context, p *pack) ([]record, error) {
	p.mu.Lock()
	sealed, records := p.sealed, slices.Clone(p.records)
	p.mu.Unlock()
	if !sealed {
		return records, nil
	}
	h, err := s.d.handles.get(s.d, p.generation)
	if err != nil && !s.d.hasPack(p.generation) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer s.d.handles.put(h)
	footer, sealed, err := readSeal(h.file, p.packInfo)
	if err != nil {
		return nil, err
	}
	if sealed {
		records, err = readFooter(h.file, p.packInfo, footer)
	}
	if sealed && !errors.Is(err, errFooter) {
		return records, err
	}
	s.report.Footers++
	s.d.log.Error("the footer of a pack is damaged", "file", p.name)
	return records, scan(ctx, h.file, p.packInfo, func(r record) { records = append(records, r) })
}

// live are the records that the index leads to, in the order in which they lie.
func (s *scrub) live(records []record) ([]found, error) {
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

// span reads chunks that lie together, and drops those that are damaged.
func (s *scrub) span(i packInfo, chunks []found) error {
	from := chunks[0].entry.Offset
	buf := s.d.buffers.get(int(chunks[len(chunks)-1].end() - from))
	defer buf.Release()
	err := s.d.read(i.generation, buf, from)
	if errors.Is(err, chunk.ErrCorrupt) && len(chunks) > 1 { // the file ends early: some may still be whole
		for n := range chunks {
			if err := s.span(i, chunks[n:n+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil && !errors.Is(err, chunk.ErrCorrupt) {
		return err
	}
	for _, f := range chunks {
		s.report.Chunks++
		s.report.Bytes += int64(f.entry.Length)
		if err == nil && s.whole(i, f, buf.data[f.entry.Offset-from:]) {
			continue
		}
		if err := s.drop(f); err != nil {
			return err
		}
	}
	return nil
}

func (s *scrub) drop(f found) error {
	_, dropped, err := s.d.forget(f)
	if dropped {
		s.report.Damaged++
	}
	return err
}

// whole says whether b begins with the record that an entry promises.
func (s *scrub) whole(i packInfo, f found, b []byte) bool {
	r, ok := decodeRecord(i, b)
	if !ok || r.key != f.key || r.entry() != f.entry {
		return false
	}
	payload := b[recordSize : recordSize+int64(r.length)]
	if payloadSum(payload) != r.sum {
		return false
	}
	domain, known := s.domains[f.key.Tag]
	if !known || !f.entry.Codec.known() {
		s.report.Unnamed++
		return true
	}
	data, lent, err := s.d.forms.open(f.entry, payload)
	if err != nil {
		return false
	}
	defer s.d.forms.put(lent)
	return domain.Name(data) == f.key.ID
}
