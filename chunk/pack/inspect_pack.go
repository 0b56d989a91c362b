package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

// judged is what a look at one pack finds out: whatever a repair needs.
type judged struct {
	packInfo
	name    string
	size    int64
	headed  bool // the header is right
	sealed  bool
	seal    seal
	records []record
	listed  bool // by a footer that is right; else they were looked for
	foreign string
	unseal  string // what is wrong with the seal, if there seems to have been one
	foot    string // what is wrong with the footer
}

// judge looks at the pack that a file should be. It believes nothing but checksums, and takes no more memory than the records of a full pack.
func judge(ctx context.Context, sys vfs.FS, id deviceID, name string, generation uint64) (j judged, err error) {
	j = judged{packInfo: packInfo{id, generation, durableLane}, name: name}
	f, err := sys.Open(name, 0)
	if err != nil {
		return j, err
	}
	defer f.Close()
	if j.size, err = f.Size(); err != nil {
		return j, err
	}
	if err := j.head(f); err != nil || j.foreign != "" {
		return j, err
	}
	if err := j.readSeal(f); err != nil {
		return j, err
	}
	if j.sealed {
		if err := j.footer(f); err != nil {
			return j, err
		}
	}
	if !j.listed {
		j.records = nil
		err = scan(ctx, f, j.packInfo, func(r record) { j.records = append(j.records, r) })
		if !j.headed && len(j.records) > 0 && !j.records[0].class.Durable() {
			j.lane = cacheLane
		}
	}
	return j, err
}

func (j *judged) head(f vfs.File) error {
	b := make([]byte, infoSize)
	if err := readFull(f, b, 0); err != nil && !errors.Is(err, errShort) {
		return err
	}
	info, err := decodePackInfo(b)
	switch {
	case err != nil:
		return nil
	case info.device != j.device:
		j.foreign = "it belongs to another device"
	case info.generation != j.generation:
		j.foreign = fmt.Sprintf("it is the file of pack %016x", info.generation)
	default:
		j.packInfo, j.headed = info, true
	}
	return nil
}

func (j *judged) readSeal(f vfs.File) error {
	b := make([]byte, vfs.Align)
	if err := readFull(f, b, sealStart); err != nil && !errors.Is(err, errShort) {
		return err
	}
	j.seal, j.sealed = decodeSeal(j.packInfo, j.size, b)
	j.sealed = j.sealed && j.seal.count <= maxRecords
	if j.sealed || bytes.Count(b, []byte{0}) == len(b) {
		return nil
	}
	j.unseal = "the seal is damaged"
	if whole, ok := decodeSeal(j.packInfo, 1<<62, b); ok {
		j.unseal = fmt.Sprintf("the file ends early: its footer lies at %d", whole.footer)
	}
	return nil
}

func (j *judged) footer(f vfs.File) error {
	records, err := readFooter(f, j.packInfo, j.seal)
	if errors.Is(err, errFooter) {
		j.foot = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	last := int64(dataStart)
	for i, r := range records {
		if r.offset < last || r.end() > j.seal.footer {
			j.foot = fmt.Sprintf("the footer is damaged: entry %d is no place for a record", i)
			return nil
		}
		last = r.end()
	}
	j.records, j.listed = records, true
	return nil
}

// end is where a sealed file should end.
func (j *judged) end() int64 { return j.seal.footer + footerSpace(int(j.seal.count)) }

// pack looks at one pack, and takes its records into the catalog.
func (n *Inspection) pack(ctx context.Context, generation uint64) error {
	j, err := judge(ctx, n.opts.FS, n.ID, packName(n.opts.Dir, generation), generation)
	if err != nil {
		return err
	}
	n.Packs++
	if j.foreign != "" {
		n.tell.Repairable("pack.foreign", j.name, 0, j.foreign+"; the segment does not start with it", "it is put aside", func() error { return n.putAside(generation) })
		return nil
	}
	n.tellOf(&j, func() error { return n.mendPack(context.WithoutCancel(ctx), generation) })
	number := uint32(len(n.packs))
	n.packs = append(n.packs, j.packInfo)
	from := len(n.catalog.spots)
	for _, r := range j.records {
		n.catalog.add(number, r)
		n.Records++
		n.Bytes += int64(r.length)
	}
	if !n.opts.Data || !j.listed { // what was looked for was read
		if n.opts.Data {
			err = n.readAll(ctx, &j, n.catalog.spots[from:])
		}
		n.went(j.size)
		return err
	}
	return n.readAll(ctx, &j, n.catalog.spots[from:])
}

func (n *Inspection) tellOf(j *judged, mend func() error) {
	if !j.headed {
		n.tell.Repairable("pack.header", j.name, 0, "the header is damaged", "it is made again", mend)
	}
	if j.unseal != "" {
		n.tell.Repairable("pack.seal", j.name, sealStart, j.unseal, fmt.Sprintf("footer and seal are made again, of the %d records that are whole", len(j.records)), mend)
	}
	if j.foot != "" {
		n.tell.Repairable("pack.footer", j.name, j.seal.footer, j.foot, fmt.Sprintf("it is made again, of the %d records that are whole", len(j.records)), mend)
	}
	if j.listed && j.size != j.end() {
		n.tell.Repairable("pack.tail", j.name, min(j.size, j.end()), fmt.Sprintf("the file has %d bytes and should have %d", j.size, j.end()), "it gets its length", mend)
	}
}

// readAll reads the records of a pack, each in its place.
func (n *Inspection) readAll(ctx context.Context, j *judged, spots []spot) error {
	f, err := n.opts.FS.Open(j.name, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	domains := map[Tag]chunk.Domain{}
	for _, d := range n.opts.Domains {
		domains[TagOf(d)] = d
	}
	w := window{f: f, size: j.size}
	for i, r := range j.records {
		if err := ctx.Err(); err != nil {
			return err
		}
		why, err := n.readOne(&w, j, r, domains)
		if err != nil {
			why = err.Error() // a disk that does not give one sector may give the others
		}
		if why != "" {
			spots[i].flags |= spotBad
			n.Damaged++
			n.tell.Damage("pack.record", j.name, r.offset, fmt.Sprintf("the record of chunk %v: %s", r.key.ID, why))
		}
		n.went(recordSpace(int(r.length)))
	}
	return nil
}

// readOne says what is wrong with a record that lies where it should.
func (n *Inspection) readOne(w *window, j *judged, r record, domains map[Tag]chunk.Domain) (string, error) {
	b, err := w.bytes(r.offset, recordSpace(int(r.length)))
	if err != nil {
		return "", err
	}
	if int64(len(b)) < recordSize+int64(r.length) {
		return "the file ends before it does", nil
	}
	there, ok := decodeRecord(j.packInfo, b)
	switch {
	case !ok || there != r:
		return "its header is damaged", nil
	case payloadSum(b[recordSize:recordSize+int64(r.length)]) != r.sum:
		return "its content is damaged", nil
	case bytes.Count(b[recordSize+int64(r.length):], []byte{0}) != len(b)-recordSize-int(r.length):
		return "what fills it up is not zero", nil
	}
	d, known := domains[r.key.Tag]
	if !known || r.codec > S2 {
		return "", nil
	}
	data, lent, err := n.forms.open(r.entry(), b[recordSize:recordSize+int64(r.length)])
	if err != nil {
		return "its content cannot be unpacked", nil
	}
	defer n.forms.put(lent)
	if len(data) != int(r.size) || d.Name(data) != r.key.ID {
		return "its content has another name", nil
	}
	return "", nil
}
