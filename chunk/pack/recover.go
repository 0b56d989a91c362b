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
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

// Notes in the index.
const (
	deviceNote  = "device"  // whose index it is
	cleanNote   = "clean"   // the figures of a device that was closed, and its drafts; absent while it is open
	figuresNote = "figures" // as of the last pack that was sealed
)

// recovery is what is found out while a device is opened.
type recovery struct {
	d        *Device
	fresh    bool            // the index is empty, and told of all that is found
	noted    map[uint64]bool // packs all of which the index holds
	drafts   map[uint64]seal // of packs that were not sealed when the device was closed
	seals    map[uint64]seal // of packs that are sealed
	scanned  map[uint64]map[int64]bool
	unsealed []*pack
	doubt    bool // the index may lead to what is not there
}

// recover brings packs and index together and opens the lanes.
func (d *Device) recover(ctx context.Context) error {
	r := &recovery{d: d, noted: map[uint64]bool{}, seals: map[uint64]seal{}, scanned: map[uint64]map[int64]bool{}}
	if err := errors.Join(r.readNotes(), d.loadScrub()); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	d.layer(d.stats.chunks())
	if r.fresh {
		d.front.seen.complete()
	}
	missing, err := r.findPacks(ctx)
	if err != nil {
		return err
	}
	if err := r.readPacks(ctx); err != nil {
		return err
	}
	r.doubt = (r.doubt || len(missing) > 0) && !r.fresh
	if err := r.noteSealed(); err != nil {
		return err
	}
	if err := r.openLanes(); err != nil {
		return err
	}
	if r.doubt {
		d.doubted.doubt.Store(r.doubts(missing))
	}
	return nil
}

// lostUnknown is more than the packs that may be lost without a note of them in the index: those that were being written and sealed.
const lostUnknown = 16

// doubts are what the index is compared with. It also sees to it that no new pack gets the number of one that is lost.
func (r *recovery) doubts(missing []uint64) *doubt {
	d := r.d
	q := &doubt{packs: map[uint64]bool{}, scanned: r.scanned, missing: missing}
	for g, p := range d.packs {
		q.packs[g] = true
		if p.sealed && !r.noted[g] && !p.suspect {
			q.unnoted = append(q.unnoted, g)
		}
	}
	d.last = max(d.last, slices.Max(append(missing, 0))) + lostUnknown
	q.newest = d.last
	return q
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
		r.fresh = true
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
	var ok bool
	if r.drafts, ok = decodeClean(clean, r.d.stats.Chunks); ok {
		return nil
	}
	r.doubt = true
	figures, err := x.Note(figuresNote) // about what the index holds, until that is counted
	decodeCounts(figures, r.d.stats.Chunks)
	return err
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

// findPacks lists the packs, looks at their headers and seals, and returns those that are missing.
func (r *recovery) findPacks(ctx context.Context) (missing []uint64, err error) {
	d := r.d
	dir := path.Join(d.opts.Dir, packDir)
	names, err := d.opts.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the folder %s is gone", chunk.ErrUnavailable, dir)
	}
	if err != nil {
		return nil, err
	}
	var packs []uint64
	for _, name := range names {
		if g, ok := generationOf(name, packSuffix); ok {
			packs = append(packs, g)
			d.last = max(d.last, g)
		} else if g, ok := generationOf(name, spareSuffix); ok {
			d.spares = append(d.spares, path.Join(dir, name))
			d.last = max(d.last, g)
		} else if path.Ext(name) == ".tmp" {
			if err := d.opts.FS.Remove(path.Join(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	if err := r.openPacks(ctx, packs); err != nil {
		return nil, err
	}
	for g := range r.noted {
		if d.packs[g] == nil {
			missing = append(missing, g)
		}
	}
	return missing, d.opts.FS.SyncDir(dir) // what is here now is here after a power cut
}

// looksAtOnce is how many packs are looked at at a time: each look is two small reads.
const looksAtOnce = 16

func (r *recovery) openPacks(ctx context.Context, packs []uint64) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(looksAtOnce)
	var mu sync.Mutex
	for _, g := range packs {
		all.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			p, s, err := r.d.openPack(g)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			r.d.packs[g] = p
			if p.headless {
				r.d.stats.Corrupt++
			}
			if p.sealed {
				r.seals[g] = s
			}
			return nil
		})
	}
	return all.Wait()
}

// openPack reads a pack's header and seal. When the header is damaged the records still tell which pack they are of.
func (d *Device) openPack(generation uint64) (*pack, seal, error) {
	p := &pack{packInfo: packInfo{d.id, generation, durableLane}, name: packName(d.opts.Dir, generation), settled: make(chan struct{})}
	f, err := d.opts.FS.Open(p.name, 0)
	if err != nil {
		return nil, seal{}, err
	}
	defer f.Close()
	b := make([]byte, infoSize)
	if err := readFull(f, b, 0); err != nil && !errors.Is(err, errShort) {
		return nil, seal{}, err
	}
	info, err := decodePackInfo(b)
	switch {
	case err != nil:
		d.log.Error("the header of a pack is damaged; its records are looked for", "file", p.name, "err", err)
		p.headless = true
		close(p.settled) // it is not sealed any more if it was not
	case info.device != d.id:
		return nil, seal{}, fmt.Errorf("%w: %s belongs to another device", ErrForeign, p.name)
	case info.generation != generation:
		return nil, seal{}, fmt.Errorf("%w: %s is the file of pack %016x", ErrForeign, p.name, info.generation)
	default:
		p.packInfo = info
	}
	s, sealed, err := readSeal(f, p.packInfo)
	if err != nil {
		return nil, seal{}, fmt.Errorf("pack %s: %w", p.name, err)
	}
	p.sealed = sealed
	return p, s, nil
}

func (r *recovery) generations() []uint64 {
	all := make([]uint64, 0, len(r.d.packs))
	for g := range r.d.packs {
		all = append(all, g)
	}
	slices.Sort(all)
	return all
}

// readPacks tells the index of all records that it may lack. Packs without a seal come first, one at a time: what others list is compared with what they
// hold.
func (r *recovery) readPacks(ctx context.Context) error {
	var listed []*pack
	all := r.generations()
	done := 0
	for _, g := range all {
		p := r.d.packs[g]
		switch s, drafted := r.drafts[g]; {
		case p.sealed && !r.noted[g]:
			listed = append(listed, p)
			continue
		case p.sealed:
		case drafted && !p.headless:
			if taken, err := r.takeUp(p, s); err != nil {
				return fmt.Errorf("pack %s: %w", p.name, err)
			} else if taken {
				break
			}
			fallthrough
		default:
			if err := r.readWhole(ctx, p); err != nil {
				return fmt.Errorf("pack %s: %w", p.name, err)
			}
		}
		r.d.opts.Opening(done, len(all))
		done++
	}
	return r.readFooters(ctx, listed, done)
}

// readWhole tells the index of the records that are found in a pack.
func (r *recovery) readWhole(ctx context.Context, p *pack) error {
	f, err := r.d.opts.FS.Open(p.name, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := r.scan(ctx, f, p); err != nil {
		return err
	}
	return r.apply(p.records)
}

// footersAtOnce bounds the memory of footers that are read ahead, of some 6 MiB each.
const footersAtOnce = 3

// readFooters tells the index of what sealed packs list. The footers are read side by side.
func (r *recovery) readFooters(ctx context.Context, packs []*pack, done int) error {
	type footer struct {
		p       *pack
		records []record
		damaged bool
	}
	read := make(chan footer)
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		defer close(read)
		readers, ctx := errgroup.WithContext(ctx)
		readers.SetLimit(footersAtOnce)
		for _, p := range packs {
			readers.Go(func() error {
				records, err := r.readFooter(p)
				damaged := errors.Is(err, errFooter)
				if err != nil && !damaged {
					return fmt.Errorf("pack %s: %w", p.name, err)
				}
				select {
				case read <- footer{p, records, damaged}:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		}
		return readers.Wait()
	})
	all.Go(func() error {
		for f := range read {
			r.d.opts.Opening(done, done+len(packs))
			done++
			if err := ctx.Err(); err != nil {
				return err
			}
			if f.damaged {
				f.p.suspect = true
				r.d.log.Error("the footer of a pack is damaged; its records are looked for", "file", f.p.name)
				if err := r.readWhole(ctx, f.p); err != nil {
					return fmt.Errorf("pack %s: %w", f.p.name, err)
				}
			} else if err := r.applyListed(f.p, f.records); err != nil {
				return err
			}
		}
		return nil
	})
	return all.Wait()
}

// applyListed is apply of what a footer lists. Where the index is in doubt, that is all that it may lead to in the pack.
func (r *recovery) applyListed(p *pack, records []record) error {
	if r.doubt && !r.fresh {
		offsets := make(map[int64]bool, len(records))
		for _, rec := range records {
			offsets[rec.offset] = true
		}
		r.scanned[p.generation] = offsets
	}
	return r.apply(records)
}

func (r *recovery) readFooter(p *pack) ([]record, error) {
	f, err := r.d.opts.FS.Open(p.name, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readFooter(f, p.packInfo, r.seals[p.generation])
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
	p.next, p.taken, p.searched = p.end, len(p.records), p.end
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

// noteSealed makes the index durable, and notes which packs it holds all of. From here on it counts as open.
func (r *recovery) noteSealed() error {
	if err := r.d.index.SetNote(cleanNote, nil); err != nil {
		return err
	}
	if err := r.d.index.Sync(); err != nil {
		return err
	}
	for g, p := range r.d.packs {
		if p.sealed && !r.noted[g] && !p.suspect && !r.doubt {
			if err := r.d.index.SetNote(packNote(g), []byte{1}); err != nil {
				return err
			}
		}
	}
	return nil
}

// openLanes goes on with the newest pack of each lane that is not sealed, and has the others sealed. With an index in doubt it has all of them sealed: what comes to
// lie in a place that the index led to before must not be taken for that.
func (r *recovery) openLanes() error {
	active := map[lane]*pack{}
	for _, p := range r.unsealed {
		if r.doubt {
			if err := r.end(p, r.d.finish); err != nil { // the index is not said to hold it before it was gone through
				return err
			}
			continue
		}
		if old := active[p.lane]; old != nil {
			if err := r.end(old, r.d.seal); err != nil {
				return err
			}
		}
		active[p.lane] = p
	}
	r.d.lanes = map[lane]*writer{
		cacheLane:   newWriter(r.d, cacheLane, active[cacheLane]),
		durableLane: newWriter(r.d, durableLane, active[durableLane]),
	}
	return nil
}

// end seals a pack that takes no more, if there is room for that.
func (r *recovery) end(p *pack, seal func(*pack) error) error {
	defer close(p.settled)
	if err := seal(p); err != nil && !isFull(err) {
		return err
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
	drafts, err := d.writeDrafts()
	if err != nil {
		return err
	}
	if err := d.index.SetNote(cleanNote, append(encodeCounts(d.Stats().Chunks), drafts...)); err != nil {
		return err
	}
	return d.index.Sync()
}

var classes = [...]chunk.Class{chunk.Cache, chunk.Data, chunk.Meta}

// decodeClean reads the note of a device that was closed. Builds before counted less, without a version: what they left is never as long as a note of this one.
func decodeClean(note []byte, counts map[chunk.Class]Count) (drafts map[uint64]seal, ok bool) {
	if len(note) < countsSize {
		return nil, false
	}
	if drafts, ok = decodeDrafts(note[countsSize:]); ok {
		ok = decodeCounts(note[:countsSize], counts)
	}
	return drafts, ok
}

const (
	countsVersion = 2
	countsEach    = 4 * 8
	countsSize    = 1 + countsEach*len(classes)
)

func encodeCounts(counts map[chunk.Class]Count) []byte {
	b := []byte{countsVersion}
	for _, c := range classes {
		for _, n := range []int64{counts[c].Chunks, counts[c].Bytes, counts[c].Plain, counts[c].Space} {
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		}
	}
	return b
}

func decodeCounts(b []byte, counts map[chunk.Class]Count) bool {
	if len(b) != countsSize || b[0] != countsVersion {
		return false
	}
	for i, c := range classes {
		at := func(n int) int64 { return int64(binary.LittleEndian.Uint64(b[1+countsEach*i+8*n:])) }
		counts[c] = Count{Chunks: at(0), Bytes: at(1), Plain: at(2), Space: at(3)}
	}
	return true
}
