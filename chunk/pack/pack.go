package pack

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

const (
	packSuffix  = ".pack"  // a pack, named by its generation
	spareSuffix = ".spare" // a file to be recycled
	maxRecords  = 1 << 16  // in a pack, so that its footer is bounded
	firstSize   = 8 << 20  // of a pack at first, in bytes; it doubles with every two

)

// pack is a file of records. It is written by its lane, then by the one who seals.
type pack struct {
	packInfo
	name     string
	capacity int64
	w        vfs.File
	headless bool // its header is damaged: it is read, and not written to
	suspect  bool // its footer is damaged: it is read whole at each start

	written  int64          // up to where the file's blocks were written to before, in this life or an earlier one: of the one who writes
	next     int64          // where the next batch begins: of the one who writes
	taken    int            // records that were written: of the same
	searched int64          // where the records that were searched for ended, of a pack that was read whole
	draft    seal           // of the footer that lies at its end, if there is one
	underway sync.WaitGroup // batches that were written and are not durable yet

	settled chan struct{} // closed when it was sealed, or could not be

	striking  sync.Mutex // held to change what is sealed
	discarded bool       // its file is given up; under striking

	mu      sync.Mutex // of what follows; who seals reads it without, when nothing is under way any more
	end     int64      // of what is durable
	records []record   // for the footer; none once it is sealed
	sealed  bool
}

func packName(dir string, generation uint64) string {
	return path.Join(packFolder(dir), fmt.Sprintf("%016x%s", generation, packSuffix))
}

func packFolder(dir string) string { return path.Join(dir, packDir) }

func spareName(dir string, generation uint64) string {
	return path.Join(dir, packDir, fmt.Sprintf("%016x%s", generation, spareSuffix))
}

func generationOf(name, suffix string) (uint64, bool) {
	hex, ok := strings.CutSuffix(path.Base(name), suffix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	g, err := strconv.ParseUint(hex, 16, 64)
	return g, err == nil
}

// room says whether a batch and then the footer fit.
func (p *pack) room(size int64, records int) bool {
	return p.taken+records <= maxRecords && p.next+size+footerSpace(p.taken+records) <= p.capacity
}

func footerSpace(records int) int64 { return vfs.AlignUp(int64(records) * recordSize) }

func (p *pack) closeWrite() error {
	if p.w == nil {
		return nil
	}
	w := p.w
	p.w = nil
	return w.Close()
}

// createPack makes a pack with room for a batch of the given size and number of records, or more. It has its name, and is synced with its
// folder, before it is used. A full disk gives chunk.ErrFull and leaves nothing behind.
func (d *Device) createPack(l lane, size int64, records int) (*pack, error) {
	capacity, err := d.grant(dataStart + size + footerSpace(records))
	if err != nil {
		return nil, err
	}
	temp, generation := d.nextFile(l)
	p := &pack{
		packInfo: packInfo{d.id, generation, l},
		name:     packName(d.opts.Dir, generation),
		capacity: capacity,
		next:     dataStart,
		end:      dataStart,
		settled:  make(chan struct{}),
	}
	if p.w, err = d.opts.FS.Open(temp, vfs.Create|vfs.Direct); err != nil {
		return nil, err
	}
	if p.written, err = p.w.Size(); err == nil {
		err = p.begin()
	}
	if err != nil {
		return nil, errors.Join(fullOr(err), p.closeWrite(), d.opts.FS.Remove(temp))
	}
	if err := publish(d.opts.FS, temp, p.name); err != nil {
		return nil, errors.Join(err, p.closeWrite())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.packs[generation] = p
	return p, nil
}

// grant decides how large a new pack may be: less than usual when the disk gets full.
func (d *Device) grant(need int64) (int64, error) {
	reserve := d.reserve()
	free, err := d.freeBeyond(reserve)
	if err == nil && free < need && d.shrinkSpares() {
		free, err = d.freeBeyond(reserve)
	}
	if err != nil {
		return 0, err
	}
	if free < need {
		return 0, fmt.Errorf("%w: %d bytes wanted beyond a reserve of %d", chunk.ErrFull, need, reserve)
	}
	return max(need, min(free, d.usualSize())), nil
}

func (d *Device) freeBeyond(reserve int64) (int64, error) {
	free, err := d.opts.FS.Free(d.opts.Dir)
	return (free - reserve) &^ (vfs.Align - 1), err
}

// shrinkSpares gives the room of files that are kept to be recycled back, and says whether there may have been any.
func (d *Device) shrinkSpares() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range d.spares {
		if err := shrink(d.opts.FS, name); err != nil {
			d.log.Warn("the room of a spare file cannot be given back", "file", name, "err", err)
		}
	}
	return len(d.spares) > 0
}

// usualSize is small for the first packs, so that a device takes little room before it holds much.
func (d *Device) usualSize() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return min(d.opts.PackSize, firstSize<<min(len(d.packs)/2, 20))
}

// nextFile picks the file that becomes the next pack, a recycled one if there is any, and the generation.
func (d *Device) nextFile(l lane) (temp string, generation uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	if n := len(d.spares); n > 0 {
		temp = d.spares[n-1]
		d.spares = d.spares[:n-1]
		return temp, d.last
	}
	return path.Join(d.opts.Dir, packDir, fmt.Sprintf("new-%d.tmp", l)), d.last
}

// begin reserves the space and writes the header, which from then on decides what the file's bytes mean.
func (p *pack) begin() error {
	if err := p.w.Allocate(p.capacity); err != nil {
		return err
	}
	b := vfs.Buffer(2 * vfs.Align) // and no seal
	p.encode(b)
	if _, err := p.w.WriteAt(b, 0); err != nil {
		return err
	}
	return p.w.Sync()
}

// publish gives a file its name for good.
func publish(sys vfs.FS, temp, name string) error {
	if err := sys.Rename(temp, name); err != nil {
		return err
	}
	return sys.SyncDir(path.Dir(name))
}

// fullOr makes a full disk chunk.ErrFull.
func fullOr(err error) error {
	if vfs.IsFull(err) {
		return fmt.Errorf("%w: %w", chunk.ErrFull, err)
	}
	return err
}

// writeSeal ends a pack: the footer is on the disk before the seal says so. What the file has beyond is given back.
func (p *pack) writeSeal() error {
	footer, s := p.footer()
	if _, err := p.w.WriteAt(footer, p.end); err != nil {
		return err
	}
	if err := p.w.Truncate(p.end + int64(len(footer))); err != nil {
		return err
	}
	if err := p.w.Sync(); err != nil {
		return err
	}
	b := vfs.Buffer(vfs.Align)
	s.encode(b)
	if _, err := p.w.WriteAt(b, sealStart); err != nil {
		return err
	}
	return p.w.Sync()
}

// footer lists the records, in an aligned buffer that belongs behind them, and is what the seal says of it.
func (p *pack) footer() ([]byte, seal) {
	b := encodeFooter(p.device, p.records)
	s := seal{generation: p.generation, footer: p.end, count: uint32(len(p.records))}
	s.sum = payloadSum(b[:s.size()])
	return b, s
}

// encodeFooter lists records, in an aligned buffer.
func encodeFooter(id deviceID, records []record) []byte {
	b := vfs.Buffer(int(footerSpace(len(records))))
	for i, r := range records {
		r.encode(&id, b[i*recordSize:])
	}
	return b
}

// sealAll seals the packs that the lanes have filled, so that they need not wait for it.
func (d *Device) sealAll() {
	for p := range d.sealing {
		err := d.seal(p)
		if isFull(err) {
			d.log.Warn("no space to seal a pack; it is read again when the device is opened", "file", p.name, "err", err)
		} else if err != nil {
			_ = d.fail(fmt.Errorf("seal %s: %w", p.name, err))
		}
		close(p.settled)
	}
}

func (d *Device) seal(p *pack) error {
	p.underway.Wait()
	if d.Err() != nil {
		return nil // it is found unsealed when the device is opened
	}
	if err := d.finish(p); err != nil || !d.hasPack(p.generation) {
		return err
	}
	return d.checkpoint(p)
}

// finish writes the seal of a pack, or removes one that nothing was written to.
func (d *Device) finish(p *pack) error {
	if len(p.records) == 0 {
		return d.removePack(p)
	}
	d.leaveOut(p)
	if err := p.writeSeal(); err != nil {
		return err
	}
	if err := p.closeWrite(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sealed, p.records = true, nil
	return nil
}

// checkpoint notes that the index holds all of a sealed pack, so that it need not be read when the device is opened. The entries are durable
// before the note says so.
func (d *Device) checkpoint(p *pack) error {
	if err := d.indexHasRoom(); err != nil {
		return err
	}
	if err := d.index.Sync(); err != nil {
		return err
	}
	if err := d.index.SetNote(figuresNote, encodeCounts(d.Stats().Chunks)); err != nil {
		return err
	}
	return d.index.SetNote(packNote(p.generation), []byte{1})
}

const packNotes = "pack/"

func packNote(generation uint64) string { return fmt.Sprintf("%s%016x", packNotes, generation) }

var errShort = errors.New("file ends early")

// readFull reads len(b) bytes; a file that ends before gives errShort and zeros.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	clear(b[n:])
	if errors.Is(err, io.EOF) {
		return errShort
	}
	return err
}

// removePack removes a pack that nothing was written to.
func (d *Device) removePack(p *pack) error {
	d.mu.Lock()
	delete(d.packs, p.generation)
	d.mu.Unlock()
	return errors.Join(p.closeWrite(), d.opts.FS.Remove(p.name))
}

func isFull(err error) bool { return errors.Is(err, chunk.ErrFull) || vfs.IsFull(err) }

// take notes that a batch was written.
func (p *pack) take(b *batch) {
	p.underway.Add(1)
	p.next, p.taken = b.end, p.taken+len(b.items)
}

// add notes that a batch is durable.
func (p *pack) add(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = b.end
	for i := range b.items {
		p.records = append(p.records, b.items[i].record)
	}
}
