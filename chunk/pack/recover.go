package pack

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

// Notes in the index.
const (
	deviceNote = "device" // whose index it is
	cleanNote  = "clean"  // the figures of a device that was closed; absent while it is open
)

// recovery is what is found out while a device is opened.
type recovery struct {
	d        *Device
	noted    map[uint64]bool // packs all of which the index holds
	scanned  map[uint64]map[int64]bool
	unsealed []*pack
	doubt    bool // the index may lead to what is not there
}

// recover brings packs and index together and opens the lanes.
func (d *Device) recover(ctx context.Context) error {
	r := &recovery{d: d, noted: map[uint64]bool{}, scanned: map[uint64]map[int64]bool{}}
	if err := errors.Join(r.readNotes(), d.loadScrub()); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if err := r.findPacks(); err != nil {
		return err
	}
	var found []record
	all := r.generations()
	for i, generation := range all {
		d.opts.Opening(i, len(all))
		p := d.packs[generation]
		records, err := r.read(ctx, p)
		if err != nil {
			return fmt.Errorf("pack %s: %w", p.name, err)
		}
		found = append(found, records...)
		if len(found) > maxRecords {
			if err := r.apply(found); err != nil {
				return err
			}
			found = found[:0]
		}
	}
	if err := r.apply(found); err != nil {
		return err
	}
	if r.doubt {
		if err := r.reconcile(ctx); err != nil {
			return err
		}
	}
	if err := r.noteSealed(); err != nil {
		return err
	}
	return r.openLanes()
}

// readNotes empties an index of another device, and takes the figures of one that was closed properly.
func (r *recovery) readNotes() error {
	x := r.d.index
	owner, err := x.Note(deviceNote)
	if err != nil {
		return err
	}
	if !bytes.Equal(owner, r.d.id[:]) {
		if err := empty(x); err != nil {
			return err
		}
		if err := x.SetNote(deviceNote, r.d.id[:]); err != nil {
			return err
		}
	}
	err = x.Notes(packNotes, func(name string, _ []byte) error {
		var generation uint64
		if _, err := fmt.Sscanf(name[len(packNotes):], "%x", &generation); err != nil {
			return fmt.Errorf("note %q: %w", name, err)
		}
		r.noted[generation] = true
		return nil
	})
	if err != nil {
		return err
	}
	clean, err := x.Note(cleanNote)
	if err != nil {
		return err
	}
	r.doubt = !decodeCounts(clean, r.d.stats.Chunks)
	return nil
}

// empty removes everything from an index. Most are new: then it costs nothing.
func empty(x Index) error {
	used := errors.New("used")
	err := x.All(func(Key, Entry) error { return used })
	if err == nil {
		err = x.Notes("", func(string, []byte) error { return used })
	}
	if errors.Is(err, used) {
		return x.Reset()
	}
	return err
}

// findPacks lists the packs and opens their headers.
func (r *recovery) findPacks() error {
	d := r.d
	dir := path.Join(d.opts.Dir, packDir)
	names, err := d.opts.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the folder %s is gone", chunk.ErrUnavailable, dir)
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if g, ok := generationOf(name, packSuffix); ok {
			if err := r.openPack(g); err != nil {
				return err
			}
			d.last = max(d.last, g)
		} else if g, ok := generationOf(name, spareSuffix); ok {
			d.spares = append(d.spares, path.Join(dir, name))
			d.last = max(d.last, g)
		} else if path.Ext(name) == ".tmp" {
			if err := d.opts.FS.Remove(path.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for g := range r.noted {
		if d.packs[g] == nil {
			r.doubt = true
		}
	}
	return d.opts.FS.SyncDir(dir) // what is here now is here after a power cut
}

// openPack reads a pack's header. When that is damaged the records still tell which pack they are of.
func (r *recovery) openPack(generation uint64) error {
	d := r.d
	p := &pack{packInfo: packInfo{d.id, generation, durableLane}, name: packName(d.opts.Dir, generation), settled: make(chan struct{})}
	f, err := d.opts.FS.Open(p.name, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, infoSize)
	if err := readFull(f, b, 0); err != nil && !errors.Is(err, errShort) {
		return err
	}
	info, err := decodePackInfo(b)
	switch {
	case err != nil:
		d.log.Error("the header of a pack is damaged; its records are looked for", "file", p.name, "err", err)
		d.stats.Corrupt++
		p.headless = true
		close(p.settled) // it is not sealed any more if it was not
	case info.device != d.id:
		return fmt.Errorf("%w: %s belongs to another device", ErrForeign, p.name)
	case info.generation != generation:
		return fmt.Errorf("%w: %s is the file of pack %016x", ErrForeign, p.name, info.generation)
	default:
		p.packInfo = info
	}
	d.packs[generation] = p
	return nil
}

func (r *recovery) generations() []uint64 {
	all := make([]uint64, 0, len(r.d.packs))
	for g := range r.d.packs {
		all = append(all, g)
	}
	slices.Sort(all)
	return all
}

// read returns the records of a pack that the index may lack: those a footer lists, or all that are found in a pack without.
func (r *recovery) read(ctx context.Context, p *pack) ([]record, error) {
	f, err := r.d.opts.FS.Open(p.name, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, sealed, err := readSeal(f, p.packInfo)
	if err != nil {
		return nil, err
	}
	p.sealed = sealed
	if sealed && r.noted[p.generation] {
		return nil, nil
	}
	if sealed {
		records, err := readFooter(f, p.packInfo, s)
		if err == nil || !errors.Is(err, errFooter) {
			return records, err
		}
		r.d.log.Error("the footer of a pack is damaged; its records are looked for", "file", p.name, "err", err)
	}
	if err := r.scan(ctx, f, p); err != nil {
		return nil, err
	}
	return p.records, nil
}

// scan finds the records of a pack that is not sealed, or whose footer is damaged.
func (r *recovery) scan(ctx context.Context, f vfs.File, p *pack) error {
	w, err := r.d.opts.FS.Open(p.name, vfs.Write|vfs.Direct)
	if err != nil {
		return err
	}
	p.w = w
	if p.capacity, err = f.Size(); err != nil {
		return err
	}
	p.capacity &^= vfs.Align - 1
	p.end = dataStart
	offsets := map[int64]bool{}
	err = scan(ctx, f, p.packInfo, func(rec record) {
		p.records = append(p.records, rec)
		p.end = vfs.AlignUp(rec.end())
		offsets[rec.offset] = true
	})
	p.next, p.taken = p.end, len(p.records)
	r.scanned[p.generation] = offsets
	if !p.sealed && !p.headless {
		r.unsealed = append(r.unsealed, p)
	}
	if err != nil {
		return err
	}
	return r.secure(f, p)
}

// secure makes durable what was found, before anything relies on it. What the index knows of was synced, but for cached chunks. The rest may be read only as
// long as the machine goes on: where its sync failed, a later one does not bring it to the disk, so it is written once more.
func (r *recovery) secure(f vfs.File, p *pack) error {
	first, err := r.firstUnknown(p.records)
	if err != nil {
		return err
	}
	if p.lane == cacheLane {
		first = 0
	}
	if first == len(p.records) || p.headless {
		return p.w.Sync()
	}
	buf := vfs.Buffer(1 << 20)
	for off := p.records[first].offset &^ (vfs.Align - 1); off < p.end; off += int64(len(buf)) {
		part := buf[:min(int64(len(buf)), p.end-off)]
		if err := readFull(f, part, off); err != nil && !errors.Is(err, errShort) {
			return err
		}
		if _, err := p.w.WriteAt(part, off); err != nil {
			return err
		}
	}
	return p.w.Sync()
}

// firstUnknown is the number of the first record that the index does not lead to.
func (r *recovery) firstUnknown(records []record) (int, error) {
	keys, known := make([]Key, len(records)), make([]bool, len(records))
	for i, rec := range records {
		keys[i] = rec.key
	}
	err := r.d.index.Lookup(keys, func(i int, e Entry) { known[i] = e == records[i].entry() })
	if i := slices.Index(known, false); i >= 0 {
		return i, err
	}
	return len(records), err
}

// apply brings records into the index that it lacks.
func (r *recovery) apply(records []record) error {
	keys := make([]Key, len(records))
	for i, rec := range records {
		keys[i] = rec.key
	}
	have := make([]Entry, len(records))
	if err := r.d.index.Lookup(keys, func(i int, e Entry) { have[i] = e }); err != nil {
		return err
	}
	var set []Pair
	oldest := ^uint64(0)   // pack that something comes back of
	now := map[Key]Entry{} // of keys that are in records twice
	for i, rec := range records {
		old, twice := now[rec.key]
		if !twice {
			old = have[i]
		}
		e := rec.entry()
		if old == e || r.there(old) && !e.replaces(old) {
			continue
		}
		now[rec.key] = e
		set = append(set, Pair{rec.key, e})
		r.d.count(e, old)
		oldest = min(oldest, e.Generation)
	}
	if err := r.d.revisit(oldest); err != nil {
		return err
	}
	return r.d.index.Apply(set, nil)
}

// replaces says which of two copies counts: a durable one, else the newer one, which would not have been written had the older been whole.
func (e Entry) replaces(old Entry) bool {
	if e.Class.Durable() != old.Class.Durable() {
		return e.Class.Durable()
	}
	return cmp.Or(cmp.Compare(e.Generation, old.Generation), cmp.Compare(e.Offset, old.Offset)) > 0
}

// there says whether the record that an entry leads to was found, or lies in a pack that need not be looked at.
func (r *recovery) there(e Entry) bool {
	if e.Class == 0 || r.d.packs[e.Generation] == nil {
		return false
	}
	offsets, scanned := r.scanned[e.Generation]
	return !scanned || offsets[e.Offset]
}

// reconcile drops entries that lead to nothing, and counts the others.
func (r *recovery) reconcile(ctx context.Context) error {
	var drop []Key
	clear(r.d.stats.Chunks)
	err := r.d.index.All(func(k Key, e Entry) error {
		if r.there(e) {
			r.d.count(e, Entry{})
			return ctx.Err()
		}
		drop = append(drop, k)
		if e.Class.Durable() {
			r.d.stats.Corrupt++
			r.d.log.Error("a chunk that was held is gone", "id", k.ID, "pack", packName(r.d.opts.Dir, e.Generation), "offset", e.Offset)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if err := r.d.index.Apply(nil, drop); err != nil {
		return err
	}
	for g := range r.noted {
		if r.d.packs[g] == nil {
			if err := r.d.index.SetNote(packNote(g), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteSealed makes the index durable, and notes which packs it holds all of. From here on it counts as open.
func (r *recovery) noteSealed() error {
	if err := r.d.index.SetNote(cleanNote, nil); err != nil {
		return err
	}
	if err := r.d.index.Sync(); err != nil {
		return err
	}
	for g, p := range r.d.packs {
		if p.sealed && !r.noted[g] && r.scanned[g] == nil {
			if err := r.d.index.SetNote(packNote(g), []byte{1}); err != nil {
				return err
			}
		}
	}
	return nil
}

// openLanes goes on with the newest pack of each lane that is not sealed, and has the others sealed.
func (r *recovery) openLanes() error {
	active := map[lane]*pack{}
	for _, p := range r.unsealed {
		if old := active[p.lane]; old != nil {
			if err := r.d.seal(old); err != nil && !isFull(err) {
				return err
			}
			close(old.settled)
		}
		active[p.lane] = p
	}
	r.d.lanes = map[lane]*writer{
		cacheLane:   newWriter(r.d, cacheLane, active[cacheLane]),
		durableLane: newWriter(r.d, durableLane, active[durableLane]),
	}
	return nil
}

// noteClean leaves the figures for the next time, once the index is durable, and cached chunks too: an index that counts as whole must not lead
// to what a power cut takes away.
func (d *Device) noteClean() error {
	for _, p := range d.packs {
		if p.w == nil || p.lane != cacheLane {
			continue
		}
		if err := p.w.Sync(); err != nil {
			return err
		}
	}
	if err := d.indexHasRoom(); err != nil {
		d.log.Warn("no space to note that the device was closed; it takes longer to open", "dir", d.opts.Dir, "err", err)
		return nil
	}
	if err := d.index.Sync(); err != nil {
		return err
	}
	if err := d.index.SetNote(cleanNote, encodeCounts(d.Stats().Chunks)); err != nil {
		return err
	}
	return d.index.Sync()
}

var classes = [...]chunk.Class{chunk.Cache, chunk.Data, chunk.Meta}

func encodeCounts(counts map[chunk.Class]Count) []byte {
	var b []byte
	for _, c := range classes {
		b = binary.LittleEndian.AppendUint64(b, uint64(counts[c].Chunks))
		b = binary.LittleEndian.AppendUint64(b, uint64(counts[c].Bytes))
	}
	return b
}

func decodeCounts(b []byte, counts map[chunk.Class]Count) bool {
	if len(b) != 16*len(classes) {
		return false
	}
	for i, c := range classes {
		counts[c] = Count{
			Chunks: int64(binary.LittleEndian.Uint64(b[16*i:])),
			Bytes:  int64(binary.LittleEndian.Uint64(b[16*i+8:])),
		}
	}
	return true
}
