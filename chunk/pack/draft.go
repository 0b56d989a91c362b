package pack

import (
	"encoding/binary"
	"errors"

	"github.com/edgefs/edgefs/internal/vfs"
)

// A device that is closed leaves in each pack that is not sealed a footer without a seal, where the next batch will be written. The note that says that the
// device was closed has what the seal would say, so that these packs need not be read when it is opened. The next batch overwrites the footer, when the note
// is gone for good.

const draftSize = 8 + 8 + 4 + 4

// writeDrafts leaves the footers, and returns what the note says of them.
func (d *Device) writeDrafts() (note []byte, err error) {
	for _, w := range d.lanes {
		p := w.active
		if p == nil || len(p.records) == 0 || !p.room(0, 0) {
			continue
		}
		if p.end == p.searched { // what lies there was not written by this process, and is not known to be nothing
			continue
		}
		s := p.draft
		if s.footer != p.end {
			if s, err = p.writeDraft(); err != nil {
				return nil, err
			}
		}
		note = binary.LittleEndian.AppendUint64(note, s.generation)
		note = binary.LittleEndian.AppendUint64(note, uint64(s.footer))
		note = binary.LittleEndian.AppendUint32(note, s.count)
		note = binary.LittleEndian.AppendUint32(note, s.sum)
	}
	return note, nil
}

func (p *pack) writeDraft() (seal, error) {
	footer, s := p.footer()
	if _, err := p.w.WriteAt(footer, p.end); err != nil {
		return seal{}, err
	}
	return s, p.w.Sync()
}

// decodeDrafts reads the part of the note that writeDrafts returned.
func decodeDrafts(b []byte) (map[uint64]seal, bool) {
	if len(b)%draftSize != 0 {
		return nil, false
	}
	drafts := map[uint64]seal{}
	for ; len(b) > 0; b = b[draftSize:] {
		s := seal{
			generation: binary.LittleEndian.Uint64(b),
			footer:     int64(binary.LittleEndian.Uint64(b[8:])),
			count:      binary.LittleEndian.Uint32(b[16:]),
			sum:        binary.LittleEndian.Uint32(b[20:]),
		}
		drafts[s.generation] = s
	}
	return drafts, true
}

// takeUp goes on with a pack as it was when the device was closed. It says false where its draft is not what was noted.
func (r *recovery) takeUp(p *pack, s seal) (bool, error) {
	f, err := r.d.opts.FS.Open(p.name, vfs.Write|vfs.Direct)
	if err != nil {
		return false, err
	}
	size, err := f.Size()
	if err != nil {
		return false, errors.Join(err, f.Close())
	}
	var records []record
	if s.count > maxRecords || s.footer < dataStart || s.footer%vfs.Align != 0 || s.footer+footerSpace(int(s.count)) > size {
		err = errFooter
	} else {
		records, err = r.readDraft(p, s)
	}
	if err != nil {
		err = errors.Join(err, f.Close())
	}
	if errors.Is(err, errFooter) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p.w, p.capacity, p.records = f, size&^(vfs.Align-1), records
	p.end, p.next, p.taken, p.draft = s.footer, s.footer, len(records), s
	r.unsealed = append(r.unsealed, p)
	return true, nil
}

func (r *recovery) readDraft(p *pack, s seal) ([]record, error) {
	f, err := r.d.opts.FS.Open(p.name, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readFooter(f, p.packInfo, s)
}
