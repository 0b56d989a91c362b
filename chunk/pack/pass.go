package pack

import (
	"encoding/binary"
	"time"

	"github.com/edgefs/edgefs/chunk"
)

// pass is how far a scrub of the device is. It is kept in a note of the index: where that is lost, and entries of damaged copies may come back with the footers of packs, the scrub begins anew.
type pass struct {
	began, ended time.Time // to the millisecond; zero for not yet
	next, upTo   uint64    // generations: of the pack that is read next, and of the last one that there was when the pass began
	files, all   uint32    // packs that are done, and were there
	chunk.ScrubCount
}

const (
	passNote    = "scrub"
	passVersion = 1
	passSize    = 1 + 4*8 + 2*4 + 8*8
)

func counts(n *chunk.ScrubCount) []*int64 {
	return []*int64{&n.Chunks, &n.Bytes, &n.Damaged, &n.Rewritten, &n.Unreadable, &n.Unknown, &n.Unnamed, &n.Footers}
}

func (p *pass) encode() []byte {
	b := make([]byte, 0, passSize)
	b = append(b, passVersion)
	b = binary.LittleEndian.AppendUint64(b, millis(p.began))
	b = binary.LittleEndian.AppendUint64(b, millis(p.ended))
	b = binary.LittleEndian.AppendUint64(b, p.next)
	b = binary.LittleEndian.AppendUint64(b, p.upTo)
	b = binary.LittleEndian.AppendUint32(b, p.files)
	b = binary.LittleEndian.AppendUint32(b, p.all)
	for _, n := range counts(&p.ScrubCount) {
		b = binary.LittleEndian.AppendUint64(b, uint64(*n))
	}
	return b
}

// decodePass reads a note. One that this build does not know is none: the scrub begins anew.
func decodePass(b []byte) (p pass, ok bool) {
	if len(b) != passSize || b[0] != passVersion {
		return p, false
	}
	p.began, p.ended = timeOf(binary.LittleEndian.Uint64(b[1:])), timeOf(binary.LittleEndian.Uint64(b[9:]))
	p.next, p.upTo = binary.LittleEndian.Uint64(b[17:]), binary.LittleEndian.Uint64(b[25:])
	p.files, p.all = binary.LittleEndian.Uint32(b[33:]), binary.LittleEndian.Uint32(b[37:])
	for i, n := range counts(&p.ScrubCount) {
		*n = int64(binary.LittleEndian.Uint64(b[41+8*i:]))
	}
	return p, true
}

func millis(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMilli())
}

func timeOf(millis uint64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(millis)).UTC()
}

// underWay says whether there is more to read.
func (p *pass) underWay() bool { return !p.began.IsZero() && p.ended.IsZero() }

// revisit has the scrub read a pack once more, if it is past it, before entries of that pack come back: they may lead to what was found damaged.
func (d *Device) revisit(generation uint64) error {
	p := &d.pass
	if p.began.IsZero() || generation >= p.next {
		return nil
	}
	p.next, p.ended = generation, time.Time{}
	if err := d.index.SetNote(passNote, p.encode()); err != nil {
		return err
	}
	return d.index.Sync()
}
