package segment

import (
	"encoding/binary"
	"slices"

	"github.com/tidwall/btree"
)

// overlay is what the records since the base made of the keys that they touch. Half a million keys may lie in it, so they are encoded: a key
// is decoded when it is read, as one of the base is.
type overlay = btree.Map[string, *overlayKey]

func newOverlay() *overlay { return btree.NewMap[string, *overlayKey](0) }

// overlayKey is one key of the overlay. It is immutable: each record that touches the key makes another.
type overlayKey struct {
	data    []byte    // the head, as the heads tree has it, and behind it the delta if its versions are few
	many    *deltaMap // else the delta
	size    int64     // of the content that a reader gets
	headLen int32     // 0: nothing of the key is held
	hidden  bool      // the head's region
}

// deltaMap has the versions of a delta that are many: the inverted id leads to the version as the history tree has it, or to nothing when it is
// not held any more. One in use is never changed.
type deltaMap = btree.Map[string, []byte]

// fewVersions bounds what each write of a key copies of its delta; of a map it copies a path.
const fewVersions = 8

// How a version among few is encoded: a kind and a number.
const (
	deltaGone   = 0 // the length of its id, which follows
	deltaStored = 1 // the length of the version, which follows as the history tree has it
	deltaHead   = 2 // its place in the head
)

// packKey makes a key of an overlay. It uses room, which stays the caller's, while it works.
func packKey(room []byte, h head, d delta) *overlayKey {
	o := &overlayKey{many: d.many}
	b := room[:0]
	if h.count > 0 {
		b = h.appendTo(b)
		o.hidden = h.region() == regionHidden
		if v := h.content(); v != nil {
			o.size = v.Size()
		}
	}
	o.headLen = int32(len(b))
	for _, v := range d.few {
		b = v.appendTo(b, h)
	}
	o.data = slices.Clone(b)
	return o
}

func (v deltaVersion) appendTo(b []byte, h head) []byte {
	place := slices.IndexFunc(h.versions, func(w *Version) bool { return w.VersionID == v.id })
	switch {
	case v.now == nil:
		return appendSized(append(b, deltaGone), v.id.appendTo)
	case place >= 0:
		return binary.AppendUvarint(append(b, deltaHead), uint64(place))
	}
	return appendSized(append(b, deltaStored), v.now.appendStored)
}

// memory is what the key takes in an overlay, in bytes, about. It is measured: see TestTheOverlaysMemoryIsCounted.
func (o *overlayKey) memory(key string) int64 {
	if o == nil {
		return 0
	}
	const each, perVersion = 48 + 48, 256
	n := int64(each + len(key) + cap(o.data))
	if o.many != nil {
		n += int64(o.many.Len()) * perVersion
	}
	return n
}

// head decodes the key's head; an empty one when nothing is held.
func (o *overlayKey) head(key string) (head, error) {
	if o.headLen == 0 {
		return head{}, nil
	}
	return parseHead(key, o.data[:o.headLen])
}

// in says whether the key's head is in a region of the heads tree.
func (o *overlayKey) in(region byte) bool {
	return o.headLen > 0 && o.hidden == (region == regionHidden)
}

// delta is where a key's versions differ from the base. It is a value.
type delta struct {
	few  []deltaVersion // newest first
	many *deltaMap      // nil, or all of it
}

type deltaVersion struct {
	id  VersionID
	now *Version // nil: not held any more
}

// delta decodes where the key's versions differ from the base. A nil overlayKey has none.
func (o *overlayKey) delta(key string) (delta, error) {
	if o == nil || o.many != nil {
		return o.deltaOf(key, head{})
	}
	h, err := o.head(key)
	if err != nil {
		return delta{}, err
	}
	return o.deltaOf(key, h)
}

// deltaOf is delta of a key whose head was decoded, or a head equal to it.
func (o *overlayKey) deltaOf(key string, h head) (d delta, err error) {
	switch {
	case o == nil:
		return delta{}, nil
	case o.many != nil:
		return delta{many: o.many}, nil
	}
	for b := o.data[o.headLen:]; len(b) > 0; {
		var v deltaVersion
		if v, b, err = takeDelta(key, b, h); err != nil {
			return delta{}, err
		}
		d.few = append(d.few, v)
	}
	return d, nil
}

func takeDelta(key string, b []byte, h head) (v deltaVersion, rest []byte, err error) {
	kind := b[0]
	n, used := binary.Uvarint(b[1:])
	rest = b[1+used:]
	switch kind {
	case deltaHead:
		v.now = h.versions[n]
	case deltaGone:
		v.id, err = parseVersionID(rest[:n])
		return v, rest[n:], err
	default:
		if v.now, err = parseStored(key, rest[:n:n]); err != nil {
			return v, nil, err
		}
		rest = rest[n:]
	}
	v.id = v.now.VersionID
	return v, rest, nil
}

// with is the delta and what changes did.
func (d delta) with(changes []change) delta {
	if d.many == nil && len(d.few)+len(changes) <= fewVersions {
		out := slices.Clone(d.few)
		for _, c := range changes {
			i, found := slices.BinarySearchFunc(out, c.id(), compareDelta)
			if v := (deltaVersion{c.id(), c.now}); found {
				out[i] = v
			} else {
				out = slices.Insert(out, i, v)
			}
		}
		return delta{few: out}
	}
	out := new(deltaMap)
	if d.many != nil {
		out = d.many.Copy()
	}
	for _, v := range d.few {
		out.Set(v.entry())
	}
	for _, c := range changes {
		out.Set(deltaVersion{c.id(), c.now}.entry())
	}
	return delta{many: out}
}

func compareDelta(d deltaVersion, id VersionID) int { return id.Compare(d.id) }

func (v deltaVersion) entry() (id string, stored []byte) {
	if v.now != nil {
		stored = v.now.appendStored(nil)
	}
	return invertedID(v.id), stored
}

func invertedID(id VersionID) string {
	return string(id.appendInverted(make([]byte, 0, longVersionID)))
}

func decodeDelta(key, id string, stored []byte) (v deltaVersion, err error) {
	if v.id, err = parseInverted([]byte(id)); err == nil && stored != nil {
		v.now, err = parseStored(key, stored)
	}
	return v, err
}

// find looks a version up.
func (d delta) find(key string, id VersionID) (v deltaVersion, found bool, err error) {
	if d.many == nil {
		i, found := slices.BinarySearchFunc(d.few, id, compareDelta)
		if found {
			v = d.few[i]
		}
		return v, found, nil
	}
	stored, found := d.many.Get(invertedID(id))
	if found {
		v, err = decodeDelta(key, invertedID(id), stored)
	}
	return v, found, err
}

// deltaWalk goes through a delta, newest first.
type deltaWalk struct {
	key  string
	few  []deltaVersion
	many *btree.MapIter[string, []byte]

	v  deltaVersion // where it stands
	ok bool         // it stands somewhere
}

// from begins a walk at a version; nil: at the newest.
func (d delta) from(key string, at *VersionID) (*deltaWalk, error) {
	w := &deltaWalk{key: key, few: d.few}
	if d.many == nil {
		for at != nil && len(w.few) > 0 && w.few[0].id.Compare(*at) > 0 {
			w.few = w.few[1:]
		}
		return w, w.next()
	}
	seek := ""
	if at != nil {
		seek = invertedID(*at)
	}
	it := d.many.Iter()
	w.many = &it
	w.ok = it.Seek(seek)
	return w, w.decode()
}

func (w *deltaWalk) next() error {
	if w.many == nil {
		if w.ok = len(w.few) > 0; w.ok {
			w.v, w.few = w.few[0], w.few[1:]
		}
		return nil
	}
	w.ok = w.many.Next()
	return w.decode()
}

func (w *deltaWalk) decode() (err error) {
	if w.ok {
		w.v, err = decodeDelta(w.key, w.many.Key(), w.many.Value())
	}
	return err
}

// tail is the records since the base, as they are in the log: to be applied once more when a merge gives the bucket another base.
type tail struct {
	records []tailRecord
	gone    uint64 // records that were in it before these
	block   []byte // what the newest lie in
}

type tailRecord struct {
	pos    uint64
	raw    []byte
	weight int64 // of a rename: what it takes in the overlay
}

// seq counts the records that ever were in the tail.
func (t *tail) seq() uint64 { return t.gone + uint64(len(t.records)) }

// weight is what renames take in the overlay, in bytes, about.
func (t *tail) weight() (sum int64) {
	for i := range t.records {
		sum += t.records[i].weight
	}
	return sum
}

const (
	firstTailBlock = 512
	mostTailBlock  = 32 << 10
)

// add keeps a copy of raw.
func (t *tail) add(pos uint64, raw []byte, weight int64) {
	if cap(t.block)-len(t.block) < len(raw) {
		t.block = make([]byte, 0, max(len(raw), min(2*cap(t.block), mostTailBlock), firstTailBlock))
	}
	n := len(t.block)
	t.block = append(t.block, raw...)
	t.records = append(t.records, tailRecord{pos, t.block[n:len(t.block):len(t.block)], weight})
}
