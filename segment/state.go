package segment

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"

	"github.com/edgefs/edgefs/internal/vfs"
)

// state is the segment at one log position, but for the records that its buckets' overlays hold: those are replayed.
type state struct {
	pos     uint64
	inc     uint32
	hlc     HLC
	cursors []cursorItem
	buckets []bucketState
}

type bucketState struct {
	foldItem // prev is the log position that set the base
	doc      *bucketDoc
	clean    bool // nothing over the base: no log is needed
}

// need is the first log position that a start from the state replays.
func (st *state) need() uint64 {
	from := st.pos + 1
	for _, b := range st.buckets {
		if !b.clean {
			from = min(from, b.covers+1)
		}
	}
	return from
}

const (
	stateMagic  = "EDGEFSST"
	stateFormat = 1
	statePrefix = "state-"
	statesKept  = 2
)

func (st *state) appendTo(b []byte, id ID) []byte {
	b = putUint(b, 1, stateFormat)
	b = putFixed(b, 2, uint64(id))
	b = putUint(b, 3, st.pos)
	b = putUint(b, 4, uint64(st.inc))
	b = putFixed(b, 5, uint64(st.hlc))
	for _, c := range st.cursors {
		b = putPart(b, 6, c.appendTo)
	}
	for i := range st.buckets {
		s := &st.buckets[i]
		b = putPart(b, 7, func(b []byte) []byte {
			b = putPart(b, 1, s.foldItem.appendTo)
			b = putPart(b, 2, s.doc.appendTo)
			return putBool(b, 3, s.clean)
		})
	}
	return b
}

func parseState(b []byte, want ID) (*state, error) {
	st := new(state)
	format, id := uint64(0), ID(0)
	err := eachField("state", b, func(f field) (err error) {
		switch f.num {
		case 1:
			format = f.n
		case 2:
			id = ID(f.n)
		case 3:
			st.pos = f.n
		case 4:
			st.inc = uint32(f.n)
		case 5:
			st.hlc = HLC(f.n)
		case 6:
			var c cursorItem
			c, err = parseCursor(f.b)
			st.cursors = append(st.cursors, c)
		case 7:
			var bs bucketState
			bs, err = parseBucketState(f.b)
			st.buckets = append(st.buckets, bs)
		default:
			return fmt.Errorf("state field %d: %w", f.num, ErrForeign)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case format != stateFormat:
		return nil, fmt.Errorf("state format %d: %w", format, ErrForeign)
	case id != want:
		return nil, fmt.Errorf("state of segment %v, not of %v: %w", id, want, ErrForeign)
	}
	return st, nil
}

func parseBucketState(b []byte) (bs bucketState, err error) {
	err = eachField("bucket state", b, func(f field) (err error) {
		switch f.num {
		case 1:
			var m mergeItem
			m, err = parseMerge(f.b)
			bs.foldItem = m.foldItem
		case 2:
			bs.doc, err = parseBucketDoc(f.b)
		case 3:
			bs.clean = f.n == 1
		}
		return err
	})
	if err == nil && bs.doc == nil {
		err = badFormat("bucket state")
	}
	return bs, err
}

// capture is the state now.
func (s *Segment) capture() *state {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.RLock()
	st := &state{pos: s.pos, inc: s.inc.Load(), hlc: HLC(s.clock.last.Load())}
	for _, c := range s.cursors {
		st.cursors = append(st.cursors, c)
	}
	s.mu.RUnlock()
	slices.SortFunc(st.cursors, func(a, b cursorItem) int { return cmp.Compare(a.peer, b.peer) })
	for _, b := range s.allBuckets() {
		if b.pending() { // a start makes it of its parent
			continue
		}
		b.mu.Lock()
		clean := len(b.tail.records) == 0 && b.broken == nil && len(b.seals) == 0
		if clean {
			b.settled = st.pos
		} else if len(b.tail.records) > 0 {
			b.settled = b.tail.records[0].pos - 1
		}
		f := foldItem{b.id, b.base.at, max(b.base.covers, b.settled), b.base.bytes, b.base.stats}
		if len(b.seals) > 0 { // a start comes to what they hold only from where the oldest began
			f = b.oldestSeal().origin()
		}
		st.buckets = append(st.buckets, bucketState{f, b.doc.Load(), clean})
		b.mu.Unlock()
	}
	return st
}

// restore makes st the segment's and returns the log position to replay from.
func (s *Segment) restore(ctx context.Context, st *state) (uint64, error) {
	s.pos = st.pos
	s.inc.Store(max(1, st.inc))
	s.clock.observe(st.hlc)
	for _, c := range st.cursors {
		s.cursors[c.peer] = c
	}
	for _, bs := range st.buckets {
		b := s.buckets[bs.bucket]
		if b == nil {
			b = newBucket(s, bs.bucket, bs.doc)
			s.buckets[bs.bucket] = b
		}
		n, err := b.newBase(bs.prev, bs.foldItem)
		if err != nil {
			return 0, err
		}
		if bs.clean {
			n.covers = max(n.covers, st.pos)
		}
		b.setBase(n)
	}
	if err := s.names.loadMarks(ctx, s); err != nil {
		return 0, err
	}
	return st.need(), s.names.load(ctx, s)
}

func (s *Segment) stateFiles() ([]string, error) {
	all, err := s.cfg.FS.ReadDir(s.cfg.Dir)
	if err != nil {
		return nil, err
	}
	files := slices.DeleteFunc(all, func(n string) bool { return !strings.HasPrefix(n, statePrefix) || strings.HasSuffix(n, ".new") })
	slices.Sort(files)
	slices.Reverse(files)
	return files, nil
}

// loadState reads the newest state that is whole; a new segment's is empty.
func (s *Segment) loadState() (*state, error) {
	files, err := s.stateFiles()
	if err != nil {
		return nil, err
	}
	var damage error
	for _, name := range files {
		st, err := s.readState(filepath.Join(s.cfg.Dir, name))
		if err == nil {
			return st, nil
		}
		if errors.Is(err, ErrForeign) {
			return nil, err
		}
		s.cfg.Logger.Warn("state file is damaged, using the one before", "file", name, "error", err)
		damage = errors.Join(damage, err)
	}
	if damage != nil {
		return nil, damage
	}
	return new(state), nil
}

func (s *Segment) readState(name string) (*state, error) {
	raw, err := readFile(s.cfg.FS, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	head := len(stateMagic) + 8
	if len(raw) < head || string(raw[:len(stateMagic)]) != stateMagic {
		return nil, fmt.Errorf("%s is no state file: %w", name, ErrDamaged)
	}
	size, sum := binary.LittleEndian.Uint32(raw[len(stateMagic):]), binary.LittleEndian.Uint32(raw[len(stateMagic)+4:])
	if body := raw[head:]; uint32(len(body)) != size || crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("%s: checksum: %w", name, ErrDamaged)
	}
	st, err := parseState(raw[head:], s.cfg.ID)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return st, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writeState makes st durable before any older state goes.
func (s *Segment) writeState(st *state) error {
	body := st.appendTo(nil, s.cfg.ID)
	raw := append([]byte(stateMagic), binary.LittleEndian.AppendUint32(nil, uint32(len(body)))...)
	raw = binary.LittleEndian.AppendUint32(raw, crc32.Checksum(body, castagnoli))
	raw = append(raw, body...)
	name := filepath.Join(s.cfg.Dir, fmt.Sprintf("%s%016x", statePrefix, st.pos))
	if err := writeFile(s.cfg.FS, name, raw); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	files, err := s.stateFiles()
	if err != nil {
		return err
	}
	old := files[min(len(files), statesKept):]
	for _, name := range old {
		if err := s.cfg.FS.Remove(filepath.Join(s.cfg.Dir, name)); err != nil {
			return err
		}
	}
	if len(old) == 0 {
		return nil
	}
	return s.cfg.FS.SyncDir(s.cfg.Dir) // one that came back after a power cut would name trees that were collected
}

func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		return nil, err
	}
	raw := make([]byte, n)
	if _, err := f.ReadAt(raw, 0); n > 0 && err != nil {
		return nil, err
	}
	return raw, nil
}

// writeFile makes a file that is whole or not there, whatever happens.
func writeFile(fs vfs.FS, name string, raw []byte) error {
	f, err := fs.Open(name+".new", vfs.Create)
	if err != nil {
		return err
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(raw, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(name+".new", name); err != nil {
		return err
	}
	return fs.SyncDir(filepath.Dir(name))
}
