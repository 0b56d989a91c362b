package segment

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// record is one write of a bucket, made at one segment and applied at all, wholly or not at all, where C covers deps. What it does never
// depends on settings where it is applied.
type record struct {
	VersionID        // the dot it takes, of several the first, and the stamp it bears
	deps      Vector // what its writer had seen of other origins; of its own, all before it
	effects   []effect
	settings  *settingsRecord
	rename    *rename   // of a rename; its effects are those that it was expanded to, where that was done
	request   *answered // that another segment made, or nil
	unknown   []byte
}

// effect is what a record does to one key. It first takes holds away, then adds one.
type effect struct {
	key  string
	hold *Version // a version put (by its own write), or locked
	lock lock     // of a locked one: what the lock says
	gone []goneHold
	over []VersionID // versions superseded
	set  []setAttribute
}

// goneHold is one hold taken away from a version.
type goneHold struct {
	version VersionID
	hold    Dot
}

// setAttribute gives an attribute of a version another value.
type setAttribute struct {
	version     VersionID
	name, value string
}

// own says whether the effect puts a version of the record's own.
func (r *record) own(e *effect) bool {
	return e.hold != nil && e.hold.Dot.Origin == r.Dot.Origin && r.Dot.N <= e.hold.Dot.N && e.hold.Dot.N <= r.last().N
}

// The formats of a record. It bears the lowest that says all it says: a build that does not know a format refuses the record.
const (
	recordFormat       = 1
	recordFormatHomed  = 2 // settings with a home or its policy, an answered request
	recordFormatRename = 3 // several dots
	recordFormatLast   = recordFormatRename
)

// format is the lowest that the record can bear.
func (r *record) format() uint64 {
	if r.rename != nil {
		return recordFormatRename
	}
	if r.request != nil || r.settings != nil && r.settings.homed() {
		return recordFormatHomed
	}
	return recordFormat
}

const (
	recordFieldFormat   = 1
	recordFieldID       = 2
	recordFieldDeps     = 3
	recordFieldEffect   = 4
	recordFieldSettings = 5
	recordFieldRename   = 6
	recordFieldRequest  = 7

	effectFieldKey      = 1 // when nothing is held
	effectFieldPut      = 2 // the record's own version, without id
	effectFieldLock     = 3 // another version, held by the record's dot
	effectFieldGone     = 4 // version id; its own hold
	effectFieldFree     = 5 // version id and another hold
	effectFieldOver     = 6
	effectFieldSet      = 7 // version id, name and value of an attribute
	effectFieldLockSays = 8
)

func (r *record) appendTo(b []byte) []byte {
	b = putUint(b, recordFieldFormat, r.format())
	b = putPart(b, recordFieldID, r.VersionID.appendTo)
	b = putSome(b, recordFieldDeps, r.deps.appendTo)
	if !r.expands() {
		for i := range r.effects {
			b = putPart(b, recordFieldEffect, func(b []byte) []byte { return r.appendEffect(b, &r.effects[i]) })
		}
	}
	if r.settings != nil {
		b = putPart(b, recordFieldSettings, r.settings.Settings.appendTo)
	}
	if r.rename != nil {
		b = putPart(b, recordFieldRename, r.rename.appendTo)
	}
	if r.request != nil {
		b = putPart(b, recordFieldRequest, r.request.appendTo)
	}
	return append(b, r.unknown...)
}

const (
	maxFederatedKey  = 4000    // of any bucket, in bytes: the trees' keys have a bound
	maxFederatedSize = 1 << 46 // of an object, in bytes
	maxHolds         = 1000    // of a version: a segment's lock takes the place of those that it has seen
)

// check refuses what no segment writes, before it is in the log.
func (r *record) check() error {
	if r.rename != nil {
		if err := r.rename.check(); err != nil {
			return fmt.Errorf("record %v: %w", r.Dot, err)
		}
	}
	put := map[string]bool{}
	for i := range r.effects {
		e := &r.effects[i]
		err := checkFederated(e.key, e.hold)
		if err == nil {
			err = r.checkHold(e)
		}
		if err == nil {
			err = r.checkAmends(e)
		}
		if err == nil && r.rename == nil && r.own(e) { // of a rename each has a name of its own
			if put[e.key] {
				err = fmt.Errorf("it puts a version of %q twice: %w", e.key, ErrRefused)
			}
			put[e.key] = true
		}
		if err != nil {
			return fmt.Errorf("record %v: %w", r.Dot, err)
		}
	}
	return nil
}

// checkHold refuses a version that is not as its writer, or its lock's, has it. Applied, it would be one that nothing holds, or that is held by what
// nobody has seen, and could not be read again.
func (r *record) checkHold(e *effect) error {
	if e.hold == nil {
		return nil
	}
	v := e.hold
	ok := v.Key == e.key && (!r.own(e) || slices.Equal(v.Holds, []Dot{v.Dot}) && len(v.locks) == 0)
	for i, g := range v.registers {
		ok = ok && g.on == nil && (i == 0 || v.registers[i-1].name != g.name)
	}
	if !ok {
		return fmt.Errorf("a version of %q with holds or attributes that no segment gives it: %w", e.key, ErrRefused)
	}
	return nil
}

// checkAmends refuses a lock, or a change of an attribute, of what its writer cannot have seen: a version, or an attribute of it, that would come
// to be by this record alone, and have any stamp.
func (r *record) checkAmends(e *effect) error {
	before := func(id VersionID) bool { return r.sees(id.Dot) && id.Compare(r.VersionID) < 0 }
	own := r.own(e) && e.hold.Stamp == r.Stamp
	ok := e.hold == nil || own || before(e.hold.VersionID)
	if e.hold != nil {
		for _, g := range e.hold.registers {
			ok = ok && (g.by.IsZero() || before(g.by) && !own)
		}
	}
	for i, s := range e.set {
		twice := slices.ContainsFunc(e.set[:i], func(t setAttribute) bool { return s.version == t.version && s.name == t.name })
		ok = ok && before(s.version) && !twice && Attribute(s.name).check(s.value) == nil
	}
	if !ok {
		return fmt.Errorf("it changes what it has not seen, or as nobody does, of %q: %w", e.key, ErrRefused)
	}
	return nil
}

// checkFederated refuses a key, or a version where there is one, that no segment writes: by a feed as by a sync.
func checkFederated(key string, v *Version) error {
	switch {
	case key == "" || len(key) > maxFederatedKey:
		return fmt.Errorf("a key of %d bytes: %w", len(key), ErrRefused)
	case v != nil && (v.Size() > maxFederatedSize || v.Dot.N == 0):
		return fmt.Errorf("%d bytes of %q: %w", v.Size(), key, ErrRefused)
	case v != nil && v.Attrs.Lock != (Lock{}):
		return fmt.Errorf("%q asks for a lock, which a version has or has not: %w", key, ErrRefused)
	case v != nil && len(v.Holds) > maxHolds:
		return fmt.Errorf("%d locks of %q: %w", len(v.Holds), key, ErrRefused)
	}
	if v == nil {
		return nil
	}
	for _, g := range v.registers {
		if err := Attribute(g.name).check(g.value); err != nil {
			return fmt.Errorf("an attribute of %q: %w: %w", key, ErrRefused, err)
		}
	}
	return nil
}

func (r *record) appendEffect(b []byte, e *effect) []byte {
	switch {
	case e.hold == nil:
		b = putBytes(b, effectFieldKey, e.key)
	case r.own(e):
		b = putPart(b, effectFieldPut, e.hold.appendOwn)
	default:
		b = putPart(b, effectFieldLock, e.hold.appendWhole)
	}
	for _, g := range e.gone {
		if g.hold == g.version.Dot {
			b = putPart(b, effectFieldGone, g.version.appendTo)
		}
	}
	for _, g := range e.gone {
		if g.hold != g.version.Dot {
			b = putPart(b, effectFieldFree, func(b []byte) []byte {
				return putPart(putPart(b, 1, g.version.appendTo), 2, g.hold.appendTo)
			})
		}
	}
	for _, v := range e.over {
		b = putPart(b, effectFieldOver, v.appendTo)
	}
	for _, s := range e.set {
		b = putPart(b, effectFieldSet, s.appendTo)
	}
	return putSome(b, effectFieldLockSays, e.lock.appendTo)
}

func (s setAttribute) appendTo(b []byte) []byte {
	return putBytes(putBytes(putPart(b, 1, s.version.appendTo), 2, s.name), 3, s.value)
}

// parseRecord reads a record, which shares b.
func parseRecord(b []byte) (*record, error) {
	r := new(record)
	format := uint64(0)
	err := eachField("record", b, func(f field) (err error) {
		switch {
		case f.num == recordFieldFormat && f.typ == protowire.VarintType:
			format = f.n
		case f.num == recordFieldID && f.typ == protowire.BytesType:
			r.VersionID, err = parseVersionID(f.b)
		case f.num == recordFieldDeps && f.typ == protowire.BytesType:
			r.deps, err = parseVector(f.b)
		case f.num == recordFieldEffect && f.typ == protowire.BytesType:
			var e effect
			e, err = r.parseEffect(f.b)
			r.effects = append(r.effects, e)
		case f.num == recordFieldSettings && f.typ == protowire.BytesType:
			var s Settings
			s, err = parseSettings(f.b)
			r.settings = &settingsRecord{s, r.VersionID}
		case f.num == recordFieldRename && f.typ == protowire.BytesType:
			r.rename, err = parseRename(f.b)
		case f.num == recordFieldRequest && f.typ == protowire.BytesType:
			r.request, err = parseAnswered(f.b)
		default:
			r.unknown = append(r.unknown, f.raw...)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if format < r.format() || format > recordFormatLast || r.Dot.N == 0 {
		return nil, fmt.Errorf("record format %d, dot %v: %w", format, r.Dot, ErrForeign)
	}
	return r, r.number()
}

func (r *record) parseEffect(b []byte) (e effect, err error) {
	err = eachField("effect", b, func(f field) (err error) {
		if f.typ != protowire.BytesType {
			return badFormat("effect")
		}
		switch f.num {
		case effectFieldKey:
			e.key = string(f.b)
		case effectFieldPut:
			if e.hold, err = parseVersion(f.b); err == nil {
				e.hold.VersionID, e.hold.Holds, e.key = r.VersionID, []Dot{r.Dot}, e.hold.Key
			}
		case effectFieldLock:
			if e.hold, err = parseVersion(f.b); err == nil {
				e.key = e.hold.Key
			}
		case effectFieldGone:
			g := goneHold{}
			g.version, err = parseVersionID(f.b)
			g.hold = g.version.Dot
			e.gone = append(e.gone, g)
		case effectFieldFree:
			var g goneHold
			g, err = parseFree(f.b)
			e.gone = append(e.gone, g)
		case effectFieldOver:
			var v VersionID
			v, err = parseVersionID(f.b)
			e.over = append(e.over, v)
		case effectFieldSet:
			var s setAttribute
			s, err = parseSet(f.b)
			e.set = append(e.set, s)
		case effectFieldLockSays:
			var l heldLock
			if l, err = parseLock(f.b); err == nil && l.hold != (Dot{}) {
				err = badFormat("effect")
			}
			e.lock = l.lock
		default: // an effect that this build does not know cannot be applied in part
			return badFormat("effect")
		}
		return err
	})
	return e, err
}

func parseSet(b []byte) (s setAttribute, err error) {
	err = eachField("effect", b, func(f field) (err error) {
		switch {
		case f.num == 1 && f.typ == protowire.BytesType:
			s.version, err = parseVersionID(f.b)
		case f.num == 2 && f.typ == protowire.BytesType:
			s.name = string(f.b)
		case f.num == 3 && f.typ == protowire.BytesType:
			s.value = string(f.b)
		default:
			return badFormat("effect")
		}
		return err
	})
	return s, err
}

func parseFree(b []byte) (g goneHold, err error) {
	err = eachField("effect", b, func(f field) (err error) {
		switch f.num {
		case 1:
			g.version, err = parseVersionID(f.b)
		case 2:
			g.hold, err = parseDot(f.b)
		}
		return err
	})
	return g, err
}
