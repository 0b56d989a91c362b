package segment

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// head is what is known of a key without looking into its history: enough to read it, to list it and to write it. It is a function of
// the versions held, and a value: it is never changed, only replaced.
type head struct {
	// versions are, newest first, the current one, every other that no write has addressed (an open loser, or an open marker), and every
	// version without an id.
	versions []*Version
	count    int // versions of the key held, those of its history too
}

// current is the newest version held, whatever its flag: so removing a marker uncovers what it hid. Nil when there is none.
func (h head) current() *Version {
	if len(h.versions) == 0 {
		return nil
	}
	return h.versions[0]
}

// content is the current version if a reader gets it.
func (h head) content() *Version {
	if v := h.current(); v != nil && !v.Marker {
		return v
	}
	return nil
}

// open are the versions that no write has chosen between, but for the current one: content, neither superseded nor current.
func (h head) open() (out []*Version) {
	for i := range h.versions {
		if h.isOpen(i) {
			out = append(out, h.versions[i])
		}
	}
	return out
}

func (h head) isOpen(i int) bool { return i > 0 && !h.versions[i].Superseded && !h.versions[i].Marker }

// losers are the open versions that say something else than the current one: a key that has one is in conflict.
func (h head) losers() (out []*Version) {
	for i, v := range h.versions {
		if h.isOpen(i) && !h.twin(v) {
			out = append(out, v)
		}
	}
	return out
}

// twin says whether v is open and says what the current version says, content and attributes: whoever reads that one has read both. So it is shown to
// nobody, and goes with the current version when that is written over.
func (h head) twin(v *Version) bool {
	c := h.content()
	return c != nil && v.VersionID != c.VersionID && !v.Superseded && !v.Marker && alike(v, c)
}

// newestNull is the version that "null" names; nil when there is none.
func (h head) newestNull() *Version {
	i := slices.IndexFunc(h.versions, func(v *Version) bool { return v.Null })
	if i < 0 {
		return nil
	}
	return h.versions[i]
}

// told is v as it is handed out.
func (h head) told(v *Version) Version {
	out := *v
	out.Shadowed = v.Null && h.newestNull() != nil && h.newestNull().VersionID != v.VersionID
	return out
}

func (h head) conflicted() bool {
	for i, v := range h.versions {
		if h.isOpen(i) && !h.twin(v) {
			return true
		}
	}
	return false
}

// alike are v and, where it is current or a twin, all that says the same.
func (h head) alike(v *Version) []*Version {
	out := []*Version{v}
	if c := h.current(); c == nil || c.VersionID != v.VersionID && !h.twin(v) {
		return out
	}
	for i, w := range h.versions {
		if w.VersionID != v.VersionID && (i == 0 || h.twin(w)) {
			out = append(out, w)
		}
	}
	return out
}

// twinned says whether all that is open are twins.
func (h head) twinned() bool { return !h.conflicted() && len(h.open()) > 0 }

// openExactly says whether the current version and the losers are those of ids.
func (h head) openExactly(ids []VersionID) bool {
	open := h.losers()
	if v := h.current(); v != nil {
		open = append(open, v)
	}
	missing := func(v *Version) bool { return !slices.Contains(ids, v.VersionID) }
	return len(open) == len(ids) && !slices.ContainsFunc(open, missing)
}

// headOf makes the head of all versions of a key, newest first.
func headOf(all []*Version) head { return head{slices.Clone(all), len(all)}.settle() }

// settle leaves out what is history. It takes the versions for its own.
func (h head) settle() head {
	kept := h.versions[:min(1, len(h.versions))]
	for _, v := range h.versions[len(kept):] {
		if !v.Superseded || v.Null {
			kept = append(kept, v)
		}
	}
	return head{kept, h.count}
}

// address is what a plain write of the key does to what is there: the current version and its twins, which its client could read, and open delete
// markers, which bury nothing, are superseded, or taken away where they have no id and the mode keeps one such version. An open loser is
// left open unless the write resolves; a version with an id is never taken away.
func (h head) address(key string, mode Versioning, resolve bool) effect {
	return h.addressing(key, mode, func(v *Version) bool { return v.Marker || resolve || h.twin(v) })
}

// addressing is address of the current version and those open ones that also says.
func (h head) addressing(key string, mode Versioning, also func(*Version) bool) effect {
	e := effect{key: key}
	for i, v := range h.versions {
		addressed := i == 0 || !v.Superseded && also(v)
		switch {
		case mode != Versioned && v.Null && !v.locked() && (addressed || v.Superseded):
			for _, d := range v.Holds {
				e.gone = append(e.gone, goneHold{v.VersionID, d})
			}
		case addressed: // also one that was superseded: a rename names it wherever it is expanded
			e.over = append(e.over, v.VersionID)
		}
	}
	return e
}

// leaving is e without what it does to a version.
func (e effect) leaving(id VersionID) effect {
	e.gone = slices.DeleteFunc(e.gone, func(g goneHold) bool { return g.version == id })
	e.over = slices.DeleteFunc(e.over, func(v VersionID) bool { return v == id })
	return e
}

// remains says whether the key would still have versions after e: then a delete must leave a marker, or it would uncover them.
func (h head) remains(e effect) bool {
	left := h.count
	for _, v := range h.versions {
		holds := v.Holds
		for _, g := range e.gone {
			if g.version == v.VersionID {
				holds = withoutDot(holds, g.hold)
			}
		}
		if len(holds) == 0 {
			left--
		}
	}
	return left > 0
}

// change is what became of one version: now is nil when it is held no more, was when it is new.
type change struct{ was, now *Version }

func (c change) id() VersionID {
	if c.now != nil {
		return c.now.VersionID
	}
	return c.was.VersionID
}

// changes works out what e, of record r, does to the versions of its key. find looks a held version up, nil when it is not held.
func (e *effect) changes(r *record, find func(VersionID) (*Version, error)) ([]change, error) {
	var out []change
	touch := func(id VersionID, edit func(*Version)) error {
		for i := range out {
			if out[i].id() == id && out[i].now != nil {
				edit(out[i].now)
				return nil
			}
		}
		was, err := find(id)
		if err != nil || was == nil {
			return err
		}
		now := *was
		edit(&now)
		out = append(out, change{was, &now})
		return nil
	}
	if v, err := e.soleGone(find); v != nil || err != nil {
		return []change{{was: v}}, err
	}
	for _, g := range e.gone {
		if err := touch(g.version, func(v *Version) { v.release(g.hold) }); err != nil {
			return nil, err
		}
	}
	for _, id := range e.over {
		if err := touch(id, func(v *Version) { v.Superseded = true }); err != nil {
			return nil, err
		}
	}
	for _, s := range e.set {
		if err := touch(s.version, func(v *Version) { v.set(r, s.name, s.value) }); err != nil {
			return nil, err
		}
	}
	if e.hold != nil {
		if err := e.keep(r, &out, touch, find); err != nil {
			return nil, err
		}
	}
	for i := range out {
		out[i].now = settled(out[i].now)
	}
	return out, nil
}

// soleGone is the version, held by its own write alone, that the effect takes away where that is all it does; else nil. It saves copying
// what nobody looks at again: see BenchmarkRename.
func (e *effect) soleGone(find func(VersionID) (*Version, error)) (*Version, error) {
	if len(e.gone) != 1 || len(e.over)+len(e.set) > 0 || e.hold != nil {
		return nil, nil
	}
	v, err := find(e.gone[0].version)
	if v == nil || err != nil || len(v.Holds) != 1 || v.Holds[0] != e.gone[0].hold {
		return nil, err
	}
	return v, nil
}

// keep adds the record's hold to the version that it puts or locks.
func (e *effect) keep(r *record, out *[]change, touch func(VersionID, func(*Version)) error, find func(VersionID) (*Version, error)) error {
	if r.own(e) { // it cannot be there yet
		*out = append(*out, change{nil, e.hold})
		return nil
	}
	was, err := find(e.hold.VersionID)
	if err != nil {
		return err
	}
	if was != nil {
		return touch(was.VersionID, func(v *Version) { v.hold(r.Dot, e.lock, e.hold.registers) })
	}
	now := *e.hold
	now.Holds = []Dot{r.Dot}
	now.locks = locksOn(now.Holds, []heldLock{{r.Dot, e.lock}})
	*out = append(*out, change{nil, &now})
	return nil
}

// settled: a version that nothing holds is gone; one that lives by a lock alone was removed by somebody who had seen it: history.
func settled(v *Version) *Version {
	if !v.held() {
		return nil
	}
	if !slices.Contains(v.Holds, v.Dot) {
		v.Superseded = true
	}
	return v
}

// after is the head when changes have been made. newest finds the newest version held after them: it is only asked when the current
// one went while history remains.
func (h head) after(changes []change, newest func() (*Version, error)) (head, error) {
	c := h.changing()
	for _, ch := range changes {
		c.take(ch)
	}
	return c.done(newest)
}

// changing is a head on its way to another.
type changing struct {
	was, now    head
	lostCurrent bool
}

func (h head) changing() *changing {
	return &changing{was: h, now: head{slices.Clone(h.versions), h.count}}
}

func (c *changing) take(ch change) {
	now := &c.now
	i, found := slices.BinarySearchFunc(now.versions, ch.id(), func(v *Version, id VersionID) int { return id.Compare(v.VersionID) })
	switch {
	case ch.was == nil:
		now.count++
	case ch.now == nil:
		now.count--
		c.lostCurrent = c.lostCurrent || c.was.current() != nil && ch.id() == c.was.current().VersionID
	}
	switch {
	case found && ch.now == nil:
		now.versions = slices.Delete(now.versions, i, i+1)
	case found:
		now.versions[i] = ch.now
	case ch.now != nil:
		now.versions = slices.Insert(now.versions, i, ch.now)
	}
}

// takeNext is take of changes that come newest first, however many they are: what can no longer become current is let go of.
func (c *changing) takeNext(ch change) {
	c.take(ch)
	if v := ch.now; v != nil && v.Superseded && !v.Null && c.now.current().VersionID != v.VersionID {
		c.now.versions = slices.DeleteFunc(c.now.versions, func(w *Version) bool { return w == v })
	}
}

func (c *changing) done(newest func() (*Version, error)) (head, error) {
	if c.lostCurrent && c.now.count > len(c.now.versions) && !c.now.newerThan(c.was) {
		v, err := newest()
		if err != nil {
			return head{}, err
		}
		if v != nil && (len(c.now.versions) == 0 || v.Compare(c.now.versions[0].VersionID) > 0) {
			c.now.versions = slices.Insert(c.now.versions, 0, v)
		}
	}
	return c.now.settle(), nil
}

// newerThan says whether the current version is newer than all that was: there is no need to look for a newer one in history.
func (h head) newerThan(was head) bool {
	return len(h.versions) > 0 && h.versions[0].Compare(was.current().VersionID) > 0
}

const (
	headFormat = 1

	headFieldFormat  = 1
	headFieldVersion = 2
	headFieldCount   = 3 // left out when all versions are here
)

// appendTo encodes the head; the key is the tree's.
func (h head) appendTo(b []byte) []byte {
	b = putUint(b, headFieldFormat, headFormat)
	for _, v := range h.versions {
		b = putPart(b, headFieldVersion, v.appendStored)
	}
	if h.count != len(h.versions) {
		b = putUint(b, headFieldCount, uint64(h.count))
	}
	return b
}

// appendStored encodes the version without its key, which the tree has.
func (v *Version) appendStored(b []byte) []byte {
	w := *v
	w.Key = ""
	return w.appendTo(b, false)
}

func parseStored(key string, b []byte) (*Version, error) {
	v, err := parseVersion(b)
	if err != nil {
		return nil, err
	}
	if !v.held() {
		return nil, badFormat("version")
	}
	v.Key = key
	return v, nil
}

func parseHead(key string, b []byte) (h head, err error) {
	format := uint64(0)
	err = eachField("head", b, func(f field) error {
		switch {
		case f.num == headFieldFormat && f.typ == protowire.VarintType:
			format = f.n
		case f.num == headFieldVersion && f.typ == protowire.BytesType:
			v, err := parseStored(key, f.b)
			if err != nil {
				return err
			}
			if n := len(h.versions); n > 0 && v.Compare(h.versions[n-1].VersionID) >= 0 {
				return badFormat("head")
			}
			h.versions = append(h.versions, v)
		case f.num == headFieldCount && f.typ == protowire.VarintType:
			h.count = int(f.n)
		}
		return nil
	})
	if err == nil && (format != headFormat || len(h.versions) == 0) {
		err = fmt.Errorf("head format %d: %w", format, ErrForeign)
	}
	if h.count == 0 {
		h.count = len(h.versions)
	}
	return h, err
}
