package journal

import (
	"crypto/rand"
	"encoding/binary"

	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/edgefs/edgefs/internal/vfs"
)

// recover finds what the journal holds, replays it and takes up writing after it.
func (j *Journal) recover(from uint64, replay func(Record) error) error {
	if err := vfs.MakeDir(j.opts.FS, j.opts.Dir); err != nil {
		return err
	}
	if err := binary.Read(rand.Reader, binary.LittleEndian, &j.life); err != nil {
		return err
	}
	names, err := j.opts.FS.ReadDir(j.opts.Dir)
	if err != nil {
		return err
	}
	if err := j.openFiles(names); err != nil {
		return err
	}
	if len(j.files) == 0 {
		err = j.create()
	} else {
		err = j.checkFiles()
	}
	if err != nil {
		return err
	}
	s, err := j.scan(from, replay)
	if err != nil {
		return err
	}
	return j.takeUp(s)
}

// openFiles opens the journal's files, in order, and notes the spares.
func (j *Journal) openFiles(names []string) error {
	for _, name := range names {
		full := path.Join(j.opts.Dir, name)
		if name == tempName {
			if err := j.removeTemp(); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		} else if _, ok := generationOf(name, spareSuffix); ok {
			info, err := j.opts.FS.Stat(full)
			if err != nil {
				return err
			}
			j.spares = append(j.spares, spare{full, info.Size})
		} else if _, ok := generationOf(name, logSuffix); ok {
			f, err := openFile(j.opts.FS, full)
			if err != nil {
				return err
			}
			j.files = append(j.files, f)
		}
	}
	return nil
}

// create makes the first file of a new journal.
func (j *Journal) create() error {
	if _, err := rand.Read(j.id[:]); err != nil {
		return err
	}
	f, err := prepare(j.opts.FS, j.opts.Dir, fileInfo{j.id, 1, j.firstSize()}, "")
	if err != nil {
		return err
	}
	j.files = []*file{f}
	return nil
}

// checkFiles checks that the files belong together. A file before a gap was cut, and its removal lost by a crash: it goes now.
func (j *Journal) checkFiles() error {
	slices.SortFunc(j.files, func(a, b *file) int { return int(int64(a.generation - b.generation)) })
	j.id = j.files[0].id
	for i, f := range j.files {
		if f.id != j.id {
			return &DamagedError{File: f.name, Reason: "it belongs to another journal than " + j.files[0].name}
		}
		if i > 0 && f.generation != j.files[i-1].generation+1 {
			j.cut = append(j.cut, j.files[:i]...)
			j.files = slices.Clone(j.files[i:])
			return j.checkFiles()
		}
	}
	return nil
}

// scanner walks over the batches. What it has passed is whole.
type scanner struct {
	files  []*file
	at     int    // index of the file
	offset int64  // of the next batch in it
	next   uint64 // position of the next record; 0 when not known yet
	prev   uint32 // sum of the batch before
	linked bool   // prev is known
	last   header // of the batch before, when prev is known
	buf    []byte
}

// scan replays the records from position from on, and stops where the journal ends.
func (j *Journal) scan(from uint64, replay func(Record) error) (*scanner, error) {
	s := &scanner{files: j.files, offset: dataStart}
	useless, err := s.begin(from)
	if err != nil {
		return nil, err
	}
	if s.next > from {
		return nil, fmt.Errorf("%w: records %d to %d, before those in %s", ErrMissing, from, s.next-1, s.files[s.at].name)
	}
	j.cut = append(j.cut, s.files[:useless]...)
	s.files, s.at = slices.Clone(s.files[useless:]), s.at-useless
	j.files = s.files
	for {
		h, payload, err := s.step()
		if errors.Is(err, errEnd) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := replayBatch(h, payload, from, replay); err != nil {
			return nil, err
		}
	}
	if s.next < from {
		return nil, fmt.Errorf("%w: it ends at record %d, and %d is expected next", ErrMissing, s.next-1, from)
	}
	return s, nil
}

func replayBatch(h header, payload []byte, from uint64, replay func(Record) error) error {
	if replay == nil || h.next() <= from {
		return nil
	}
	for r, err := range frames(payload, h.first, h.count) {
		if err != nil {
			return err
		}
		if r.Pos < from {
			continue
		}
		if err := replay(r); err != nil {
			return fmt.Errorf("replay record %d: %w", r.Pos, err)
		}
	}
	return nil
}

// begin goes to the file that holds from, or to the first that holds anything. It returns how many files before it are of no use.
func (s *scanner) begin(from uint64) (useless int, err error) {
	for i, f := range s.files {
		h, ok, err := f.readHeader(dataStart)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		f.first = h.first
		if s.next == 0 || h.first <= from {
			s.at, s.next = i, h.first
		}
	}
	for _, f := range s.files[s.at+1:] { // the walk will tell whether that was a batch, or what is left of a torn one
		f.first = 0
	}
	for useless = s.at; useless > 0 && s.files[useless-1].first != 0; {
		useless--
	}
	if s.next != 0 {
		return useless, nil
	}
	if s.files[0].generation > 1 { // a journal that went on to a second file has records
		return 0, &DamagedError{s.files[0].name, dataStart, "no batch is found in any file"}
	}
	s.next = 1
	return 0, nil
}

// errEnd says that the journal ends here.
var errEnd = errors.New("end of the journal")

// step passes over the next batch, in this file or at the start of the following one.
func (s *scanner) step() (header, []byte, error) {
	h, payload, ok, err := s.batchAt(s.at, s.offset)
	if !ok && err == nil && s.at+1 < len(s.files) {
		h, payload, ok, err = s.batchAt(s.at+1, dataStart)
		if ok {
			s.at++
		}
	}
	if err != nil {
		return header{}, nil, err
	}
	if !ok {
		return header{}, nil, s.end()
	}
	f := s.files[s.at]
	if f.first == 0 {
		f.first = h.first
	}
	f.addMark(h)
	s.offset, s.next, s.prev, s.linked, s.last = h.end(), h.next(), h.sum, true, h
	return h, payload, nil
}

// batchAt reads the batch at a place if it is whole and the one that has to follow.
func (s *scanner) batchAt(file int, offset int64) (header, []byte, bool, error) {
	f := s.files[file]
	h, ok, err := f.readHeader(offset)
	if !ok || err != nil || !s.follows(h) {
		return header{}, nil, false, err
	}
	payload, ok, err := f.readPayload(h, s.buf)
	s.buf = payload
	return h, payload, ok, err
}

// follows says whether h continues what was passed.
func (s *scanner) follows(h header) bool {
	return h.first == s.next && (!s.linked || h.prev == s.prev)
}

// end decides what it means that no whole batch follows: that the journal ends, and what may lie here is a batch that was never acknowledged; or,
// when a later batch exists, that something acknowledged is broken, for a batch is only begun when the one before it is synced.
func (s *scanner) end() error {
	for i := s.at; i < len(s.files); i++ {
		from := int64(dataStart)
		if i == s.at {
			from = s.offset
		}
		off, found, err := s.laterBatch(i, from)
		if err != nil {
			return err
		}
		if found {
			return &DamagedError{s.files[s.at].name, s.offset, fmt.Sprintf("the batch with record %d is broken, and a later one was found at offset %d of %s",
				s.next, off, s.files[i].name)}
		}
	}
	return errEnd
}

// laterBatch looks from offset from on for a batch that shows that the missing one was synced.
func (s *scanner) laterBatch(file int, from int64) (int64, bool, error) {
	f := s.files[file]
	buf := make([]byte, min(1<<20, vfs.AlignUp(f.size)))
	for base := from; base < f.size; base += int64(len(buf)) {
		part := buf[:min(int64(len(buf)), f.size-base)]
		if err := readFull(f.r, part, base); err != nil && !errors.Is(err, errShort) {
			return 0, false, err
		}
		for i := 0; i < len(part); i += vfs.Align {
			h, ok := decodeHeader(f.fileInfo, base+int64(i), part[i:])
			if !ok {
				continue
			}
			if proof, err := s.proves(h, file); proof || err != nil {
				return h.offset, proof, err
			}
		}
	}
	return 0, false, nil
}

// proves says whether the header of a batch shows that the missing batch was synced. One of an earlier position is left of an attempt before
// the last crash. One of the same position, in either of the two places where the missing batch may have begun, is that batch, torn; were it
// whole it would have been taken, unless it follows another batch than the last that was found.
func (s *scanner) proves(h header, file int) (bool, error) {
	if h.first < s.next {
		return false, nil
	}
	here := file == s.at && h.offset == s.offset
	next := file == s.at+1 && h.offset == dataStart
	if h.first > s.next || !here && !next {
		return true, nil
	}
	_, whole, err := s.files[file].readPayload(h, nil)
	return whole, err
}

// takeUp makes what was found durable, for it may only have been in memory when the last process ended, and continues after it. The first thing
// written is a mark, which confirms the last batch.
func (j *Journal) takeUp(s *scanner) error {
	f := s.files[s.at]
	if err := j.openWrite(f); err != nil {
		return err
	}
	if s.linked {
		if err := j.rewrite(f, s.last); err != nil {
			return err
		}
	}
	if err := f.w.Sync(); err != nil {
		return err
	}
	if err := j.opts.FS.SyncDir(j.opts.Dir); err != nil {
		return err
	}
	for _, r := range s.files[s.at+1:] {
		if err := j.openWrite(r); err != nil {
			return err
		}
	}
	j.files, j.ready = slices.Clone(s.files[:s.at+1]), slices.Clone(s.files[s.at+1:])
	j.first, j.last, j.next, j.prev = s.files[0].first, s.next-1, s.next, s.prev
	if j.first == 0 {
		j.first = s.next
	}
	j.active, j.left = f, f.size-s.offset
	j.out = writer{f: f.w, off: s.offset, buf: vfs.Buffer(int(vfs.AlignUp(batchHeader + j.opts.MaxBatch)))}
	return j.mark()
}

// rewrite writes the last batch once more. Where its sync failed, it can be read as long as the machine goes on, but a later sync does not bring
// it to the disk.
func (j *Journal) rewrite(f *file, h header) error {
	payload, whole, err := f.readPayload(h, nil)
	if err != nil || !whole {
		return errors.Join(err, errShort)
	}
	var b [batchHeader]byte
	h.encode(j.id, b[:])
	out := writer{f: f.w, off: h.offset, buf: vfs.Buffer(int(vfs.AlignUp(batchHeader + min(h.length, j.opts.MaxBatch))))}
	if err := out.put(b[:]); err != nil {
		return err
	}
	if err := out.put(payload); err != nil {
		return err
	}
	return out.finish()
}

func (j *Journal) openWrite(f *file) error {
	if f.w != nil {
		return nil
	}
	w, err := j.opts.FS.Open(f.name, vfs.Write|vfs.Direct)
	f.w = w
	return err
}
