package segment

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"google.golang.org/protobuf/encoding/protowire"
)

// entry is one committed step of the segment's log: all of it happens, or nothing.
type entry struct {
	writes  []write
	folds   []foldItem
	merges  []mergeItem
	cursors []cursorItem
	life    uint32 // not 0: the segment begins this life
	seals   []sealItem

	cost int64 // memory that applying it took in overlays; never written
}

// write is one record of a bucket and, when its payload is small and new, that payload: durable with the record.
type write struct {
	bucket  BucketID
	record  *record
	raw     []byte // record, encoded
	payload [][]byte
	made    []chunk.Chunk // payload, where it was made here

	hint *hint // of the writer here, to save applying a lookup; never written
}

// chunks are the payload, with bytes of their own.
func (w *write) chunks(d chunk.Domain, wish chunk.Compression) []chunk.Chunk {
	if w.made == nil {
		for _, p := range w.payload {
			w.made = append(w.made, d.Make(bytes.Clone(p)))
		}
	}
	for i, c := range w.made {
		w.made[i] = c.Wishing(wish)
	}
	return w.made
}

// hint is what a local writer found when it planned its write.
type hint struct {
	key  string
	over *overlayKey // what the overlay held of the key, nil for nothing
	head head
	base uint64 // the base that head was read from, when over is nil

	heads []head // of a rename that was expanded: see expansion. Nothing of the bucket has changed since
}

// foldItem says that the records up to Covers are now in the tree of Root. It counts only while the bucket's base is the one it was made
// from: positions are compared, for a root may come again.
type foldItem struct {
	bucket BucketID
	prev   uint64 // log position that set the base it was made from; 0 for none
	covers uint64
	root   []byte // the root chunk's bytes
	stats  counters
}

// mergeItem says that a bucket's base is now what it was and what a peer had, together.
type mergeItem struct {
	foldItem
	theirs Vector // what the peer had seen: the mark that a feed passes on
	peer   ID
	newest HLC // of the versions that came in
}

type cursorItem struct {
	peer ID
	Cursor
	debts []Debt     // buckets of which what lies before the cursor need not be applied; in an entry, those that are new
	paid  []BucketID // in an entry: those that are no more
}

// after is c when the step of an entry was taken.
func (c cursorItem) after(step cursorItem) cursorItem {
	if len(step.debts) == 0 && len(step.paid) == 0 {
		step.debts = c.debts
		return step
	}
	step.debts = append(slices.Clone(c.debts), step.debts...)
	step.debts = slices.DeleteFunc(step.debts, func(d Debt) bool { return slices.Contains(step.paid, d.Bucket) })
	step.paid = nil
	return step
}

const (
	entryFormat = 1

	entryFieldFormat = 1
	entryFieldWrite  = 2
	entryFieldFold   = 3
	entryFieldMerge  = 4
	entryFieldCursor = 5
	entryFieldLife   = 6
	entryFieldSeal   = 7
)

// about is a size that the encoding seldom exceeds.
func (e *entry) about() int {
	n := 256
	for _, w := range e.writes {
		n += 512 + len(w.raw)
		for _, p := range w.payload {
			n += len(p)
		}
	}
	return n
}

func (e *entry) appendTo(b []byte) []byte {
	b = putUint(b, entryFieldFormat, entryFormat)
	for i := range e.writes {
		w := &e.writes[i]
		if w.raw == nil {
			w.raw = w.record.appendTo(make([]byte, 0, 256))
		}
		n := protowire.SizeTag(1) + protowire.SizeBytes(len(w.bucket)) + protowire.SizeTag(2) + protowire.SizeBytes(len(w.raw))
		for _, p := range w.payload {
			n += protowire.SizeTag(3) + protowire.SizeBytes(len(p))
		}
		b = protowire.AppendTag(b, entryFieldWrite, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(n))
		b = putMessage(b, 1, w.bucket[:])
		b = putMessage(b, 2, w.raw)
		for _, p := range w.payload {
			b = putMessage(b, 3, p)
		}
	}
	for i := range e.folds {
		b = putPart(b, entryFieldFold, e.folds[i].appendTo)
	}
	for i := range e.merges {
		b = putPart(b, entryFieldMerge, e.merges[i].appendTo)
	}
	for _, c := range e.cursors {
		b = putPart(b, entryFieldCursor, c.appendTo)
	}
	b = putUint(b, entryFieldLife, uint64(e.life))
	for i := range e.seals {
		b = putPart(b, entryFieldSeal, e.seals[i].appendTo)
	}
	return b
}

func (f *foldItem) appendTo(b []byte) []byte {
	b = putMessage(b, 1, f.bucket[:])
	b = putUint(b, 2, f.prev)
	b = putUint(b, 3, f.covers)
	b = putMessage(b, 4, f.root)
	return putSome(b, 5, f.stats.appendTo)
}

func (m *mergeItem) appendTo(b []byte) []byte {
	b = m.foldItem.appendTo(b)
	b = putSome(b, 6, m.theirs.appendTo)
	b = putFixed(b, 7, uint64(m.peer))
	return putFixed(b, 8, uint64(m.newest))
}

func (c cursorItem) appendTo(b []byte) []byte {
	b = putFixed(b, 1, uint64(c.peer))
	b = putUint(b, 2, uint64(c.Inc))
	b = putUint(b, 3, c.Pos)
	for _, d := range c.debts {
		b = putPart(b, 4, func(b []byte) []byte {
			return putFixed(putMessage(b, 1, d.Bucket[:]), 2, uint64(d.Since.UnixNano()))
		})
	}
	for _, id := range c.paid {
		b = putMessage(b, 5, id[:])
	}
	return b
}

// parseEntry reads an entry, which shares b. Records are parsed too.
func parseEntry(b []byte) (*entry, error) {
	e := new(entry)
	format := uint64(0)
	err := eachField("log entry", b, func(f field) (err error) {
		switch f.num {
		case entryFieldFormat:
			format = f.n
		case entryFieldWrite:
			var w write
			w, err = parseWrite(f.b)
			e.writes = append(e.writes, w)
		case entryFieldFold:
			var m mergeItem
			m, err = parseMerge(f.b)
			e.folds = append(e.folds, m.foldItem)
		case entryFieldMerge:
			var m mergeItem
			m, err = parseMerge(f.b)
			e.merges = append(e.merges, m)
		case entryFieldCursor:
			var c cursorItem
			c, err = parseCursor(f.b)
			e.cursors = append(e.cursors, c)
		case entryFieldLife:
			e.life = uint32(f.n)
		case entryFieldSeal:
			var q sealItem
			q, err = parseSeal(f.b)
			e.seals = append(e.seals, q)
		default: // what a later build decided cannot be skipped
			return fmt.Errorf("log entry field %d: %w", f.num, ErrForeign)
		}
		return err
	})
	if err == nil && format != entryFormat {
		err = fmt.Errorf("log entry format %d: %w", format, ErrForeign)
	}
	return e, err
}

func parseWrite(b []byte) (w write, err error) {
	err = eachField("write", b, func(f field) (err error) {
		switch f.num {
		case 1:
			w.bucket, err = bucketIDOf(f.b)
		case 2:
			w.raw = bytes.Clone(f.b) // the record outlives the log's buffer
			w.record, err = parseRecord(w.raw)
		case 3:
			if len(f.b) > chunk.MaxSize {
				return badFormat("write")
			}
			w.payload = append(w.payload, f.b)
		}
		return err
	})
	if err == nil && w.record == nil {
		err = badFormat("write")
	}
	return w, err
}

func parseMerge(b []byte) (m mergeItem, err error) {
	m.theirs = Vector{}
	err = eachField("fold", b, func(f field) (err error) {
		switch f.num {
		case 1:
			m.bucket, err = bucketIDOf(f.b)
		case 2:
			m.prev = f.n
		case 3:
			m.covers = f.n
		case 4:
			m.root = bytes.Clone(f.b)
		case 5:
			m.stats, err = parseCounters(f.b)
		case 6:
			m.theirs, err = parseVector(f.b)
		case 7:
			m.peer = ID(f.n)
		case 8:
			m.newest = HLC(f.n)
		}
		return err
	})
	return m, err
}

func parseCursor(b []byte) (c cursorItem, err error) {
	err = eachField("cursor", b, func(f field) error {
		switch f.num {
		case 1:
			c.peer = ID(f.n)
		case 2:
			c.Inc = uint32(f.n)
		case 3:
			c.Pos = f.n
		case 4:
			d, err := parseDebt(f.b)
			c.debts = append(c.debts, d)
			return err
		case 5:
			id, err := bucketIDOf(f.b)
			c.paid = append(c.paid, id)
			return err
		default: // what a later build owes cannot be forgotten
			return fmt.Errorf("cursor field %d: %w", f.num, ErrForeign)
		}
		return nil
	})
	return c, err
}

func parseDebt(b []byte) (d Debt, err error) {
	err = eachField("debt", b, func(f field) (err error) {
		switch f.num {
		case 1:
			d.Bucket, err = bucketIDOf(f.b)
		case 2:
			d.Since = time.Unix(0, int64(f.n)).UTC()
		}
		return err
	})
	return d, err
}

func bucketIDOf(b []byte) (id BucketID, err error) {
	if len(b) != len(id) {
		return id, badFormat("bucket id")
	}
	return BucketID(b), nil
}

// counters are sums over a bucket's keys but the reserved ones. They are a function of its state, kept beside it.
type counters struct {
	objects  int64 // keys whose current version is content
	bytes    int64 // their sizes
	versions int64 // versions held, markers too
	open     int64 // keys with an open version
	twinned  int64 // those of them that are not in conflict: all that is open is twins
}

// conflicts is how many keys are in conflict. Keys that an earlier build counted as open, which knew of no twins, are among them until they are settled.
func (c counters) conflicts() int64 { return c.open - max(c.twinned, 0) }

// agree says whether both may count one state. An earlier build counted no twins, and whatever began as it counted has too few of them for ever.
func (c counters) agree(o counters) bool {
	if c.twinned > c.open {
		return false
	}
	c.twinned = o.twinned
	return c == o
}

func (c *counters) add(h head, sign int64) {
	if len(h.versions) > 0 && reserved(h.versions[0].Key) {
		return
	}
	if v := h.content(); v != nil {
		c.objects += sign
		c.bytes += sign * v.Size()
	}
	c.versions += sign * int64(h.count)
	if len(h.open()) > 0 {
		c.open += sign
	}
	if h.twinned() {
		c.twinned += sign
	}
}

// moved accounts for a key whose head was and is now.
func (c *counters) moved(was, now head) {
	c.add(was, -1)
	c.add(now, 1)
}

func (c counters) appendTo(b []byte) []byte {
	for i, n := range []int64{c.objects, c.bytes, c.versions, c.open, c.twinned} {
		b = putUint(b, fieldNum(i+1), uint64(n))
	}
	return b
}

func parseCounters(b []byte) (c counters, err error) {
	err = eachField("counters", b, func(f field) error {
		switch f.num {
		case 1:
			c.objects = int64(f.n)
		case 2:
			c.bytes = int64(f.n)
		case 3:
			c.versions = int64(f.n)
		case 4:
			c.open = int64(f.n)
		case 5:
			c.twinned = int64(f.n)
		}
		return nil
	})
	return c, err
}

// root is the root chunk of a bucket's state: the hash of its bytes is what sites compare.
type root struct {
	heads, history chunk.ID
	seen           Vector
	settings       settingsRecord
	done           doneList
}

const rootFormat = 1

func (r root) appendTo(b []byte) []byte {
	b = putUint(b, 1, rootFormat)
	if !r.heads.IsZero() {
		b = putMessage(b, 2, r.heads[:])
	}
	if !r.history.IsZero() {
		b = putMessage(b, 3, r.history[:])
	}
	b = putSome(b, 4, r.seen.appendTo)
	b = putPart(b, 5, r.settings.appendTo)
	if r.settings.Policy == Home || len(r.done) > 0 { // there even when it is empty: a build that does not know it must not merge it
		b = putPart(b, 6, r.done.appendTo)
	}
	return b
}

func parseRoot(b []byte) (r root, err error) {
	format := uint64(0)
	r.seen = Vector{}
	err = eachField("root", b, func(f field) (err error) {
		switch f.num {
		case 1:
			format = f.n
		case 2:
			r.heads, err = chunkIDOf(f.b)
		case 3:
			r.history, err = chunkIDOf(f.b)
		case 4:
			r.seen, err = parseVector(f.b)
		case 5:
			r.settings, err = parseSettingsRecord(f.b)
		case 6:
			r.done, err = parseDoneList(f.b)
		default: // a state that this build cannot merge
			return fmt.Errorf("root field %d: %w", f.num, ErrForeign)
		}
		return err
	})
	if err == nil && format != rootFormat {
		err = fmt.Errorf("root format %d: %w", format, ErrForeign)
	}
	return r, err
}

func chunkIDOf(b []byte) (id chunk.ID, err error) {
	if len(b) != len(id) {
		return id, badFormat("chunk id")
	}
	return chunk.ID(b), nil
}
