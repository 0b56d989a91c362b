package segment

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgefs/edgefs/dedup"
	"google.golang.org/protobuf/encoding/protowire"
)

// Version is one version of a key. It is a value: what it points to is never changed.
type Version struct {
	VersionID
	Key        string
	Null       bool  // shown without an id: written while versioning was off or suspended
	Marker     bool  // a delete marker
	Superseded bool  // a later write addressed it
	Holds      []Dot // the writes that keep it: its own, and one for each lock; sorted
	Content    dedup.Manifest
	Attrs      Attrs
	Data       []byte // a small document of the segment's own buckets; else empty

	// LoserOf is, of an open loser that was read or listed under the name that keep-both shows it under, which is then its Key, the key that it
	// is a version of. Empty of all other versions.
	LoserOf string

	// Shadowed says, of a Null version that was looked up or listed, that a newer one of the key is null: this one goes by its id.
	Shadowed bool

	locks     []heldLock // what the locks among the holds say, in the holds' order
	registers []register // attributes that were given to it since it was written, see register
	unknown   []byte     // fields of later builds
}

// Size is the content's length in bytes.
func (v *Version) Size() int64 { return v.Content.Size() }

// Modified is when the version was written, in milliseconds of its writer's clock.
func (v *Version) Modified() time.Time { return v.Time() }

// Ref is the version id that S3 clients see: "null", which is the newest without an id, or the id.
func (v *Version) Ref() string { return v.ref().String() }

func (v *Version) ref() VersionRef { return VersionRef{ID: v.VersionID, Null: v.Null && !v.Shadowed} }

// held says whether some write keeps the version; without its own, it is history.
func (v *Version) held() bool { return len(v.Holds) > 0 }

// Attrs is what the writer said of a version.
type Attrs struct {
	ETag      string            // without quotes: 32 hexadecimal digits, perhaps with -N
	Meta      map[string]string // by lower-case header name: content-type, x-amz-meta-color
	Tags      map[string]string // as the version was written: see [Version.Tags]
	Checksums []Checksum
	Parts     []int64 // sizes of the parts of what was uploaded in parts
	File      []byte  // reserved: file attributes
	Lock      Lock    // asked for as the version is written; then see [Version.Lock]

	unknown []byte
}

// Checksum is one that the writer sent and the gateway verified.
type Checksum struct {
	Algorithm string // CRC32, CRC32C, CRC64NVME, SHA1, SHA256
	Value     string // as sent: base64, with -N when composite
	Composite bool   // of the parts' checksums, not of the bytes
}

const (
	versionFormat        = 1
	versionFormatAmended = 2 // of one with locks that say something, or registers, which a build that does not know of them could not merge

	versionFieldFormat   = 1
	versionFieldKey      = 2
	versionFieldID       = 3
	versionFieldFlags    = 4
	versionFieldHolds    = 5
	versionFieldContent  = 6
	versionFieldAttrs    = 7
	versionFieldData     = 8
	versionFieldLock     = 9
	versionFieldRegister = 10

	flagNull       = 1
	flagMarker     = 2
	flagSuperseded = 4
	flagDetached   = 8 // its own dot is not among the holds
)

// appendOwn encodes the version inside the record of which it is the write: its id and hold are the record's.
func (v *Version) appendOwn(b []byte) []byte { return v.appendTo(b, true) }

// appendWhole encodes all of the version.
func (v *Version) appendWhole(b []byte) []byte { return v.appendTo(b, false) }

func (v *Version) appendTo(b []byte, own bool) []byte {
	b = putUint(b, versionFieldFormat, v.format())
	b = putBytes(b, versionFieldKey, v.Key)
	if !own {
		b = putPart(b, versionFieldID, v.VersionID.appendTo)
	}
	flags := uint64(0)
	for i, on := range []bool{v.Null, v.Marker, v.Superseded, !own && !slices.Contains(v.Holds, v.Dot)} {
		if on {
			flags |= 1 << i
		}
	}
	b = putUint(b, versionFieldFlags, flags)
	for _, d := range v.Holds {
		if d != v.Dot {
			b = putPart(b, versionFieldHolds, d.appendTo)
		}
	}
	if v.Content.Size() > 0 {
		b = putPart(b, versionFieldContent, v.Content.Append)
	}
	b = putSome(b, versionFieldAttrs, v.Attrs.appendTo)
	b = putBytes(b, versionFieldData, v.Data)
	for _, l := range v.locks {
		b = putPart(b, versionFieldLock, l.appendTo)
	}
	for _, g := range v.registers {
		b = putPart(b, versionFieldRegister, g.appendTo)
	}
	return append(b, v.unknown...)
}

func (v *Version) format() uint64 {
	if len(v.locks) > 0 || len(v.registers) > 0 {
		return versionFormatAmended
	}
	return versionFormat
}

// parseVersion reads a version, which shares b.
func parseVersion(b []byte) (*Version, error) {
	v := new(Version)
	flags, format := uint64(0), uint64(0)
	err := eachField("version", b, func(f field) (err error) {
		switch {
		case f.num == versionFieldFormat && f.typ == protowire.VarintType:
			format = f.n
		case f.num == versionFieldKey && f.typ == protowire.BytesType:
			v.Key = string(f.b)
		case f.num == versionFieldID && f.typ == protowire.BytesType:
			v.VersionID, err = parseVersionID(f.b)
		case f.num == versionFieldFlags && f.typ == protowire.VarintType:
			flags = f.n
		case f.num == versionFieldHolds && f.typ == protowire.BytesType:
			var d Dot
			d, err = parseDot(f.b)
			v.Holds = append(v.Holds, d)
		case f.num == versionFieldContent && f.typ == protowire.BytesType:
			v.Content, err = dedup.ParseManifest(f.b)
		case f.num == versionFieldAttrs && f.typ == protowire.BytesType:
			v.Attrs, err = parseAttrs(f.b)
		case f.num == versionFieldData && f.typ == protowire.BytesType:
			v.Data = f.b
		case f.num == versionFieldLock && f.typ == protowire.BytesType:
			var l heldLock
			l, err = parseLock(f.b)
			v.locks = append(v.locks, l)
		case f.num == versionFieldRegister && f.typ == protowire.BytesType:
			var g register
			g, err = parseRegister(f.b)
			v.registers = append(v.registers, g)
		default:
			v.unknown = append(v.unknown, f.raw...)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if format != v.format() {
		return nil, fmt.Errorf("version format %d: %w", format, ErrForeign)
	}
	v.Null, v.Marker, v.Superseded = flags&flagNull != 0, flags&flagMarker != 0, flags&flagSuperseded != 0
	if flags&flagDetached == 0 && v.Dot != (Dot{}) {
		v.Holds = withDot(v.Holds, v.Dot)
	}
	if err := v.checkHolds(); err != nil {
		return nil, err
	}
	return v, nil
}

// checkHolds refuses what holds a version in another order than it is written, or goes with what does not hold it.
func (v *Version) checkHolds() error {
	ok := sorted(v.Holds) && slices.IsSortedFunc(v.registers, register.order)
	for i, l := range v.locks {
		ok = ok && l.hold != v.Dot && slices.Contains(v.Holds, l.hold) && (i == 0 || v.locks[i-1].order(l) < 0)
	}
	for _, g := range v.registers {
		for _, d := range g.on {
			ok = ok && slices.Contains(v.Holds, d)
		}
	}
	if !ok {
		return badFormat("version")
	}
	return nil
}

const (
	attrFieldMD5      = 1 // the 16 bytes of an ETag of 32 digits
	attrFieldMD5Parts = 2 // its -N
	attrFieldETag     = 3 // any other ETag
	attrFieldMeta     = 4
	attrFieldTag      = 5
	attrFieldChecksum = 6
	attrFieldPart     = 7
	attrFieldFile     = 8
	attrFieldLock     = 9 // of an upload's document alone
)

func (a *Attrs) appendTo(b []byte) []byte {
	if sum, parts, ok := md5Tag(a.ETag); ok {
		b = putMessage(b, attrFieldMD5, sum[:])
		b = putUint(b, attrFieldMD5Parts, parts)
	} else {
		b = putBytes(b, attrFieldETag, a.ETag)
	}
	b = putMap(b, attrFieldMeta, a.Meta)
	b = putMap(b, attrFieldTag, a.Tags)
	for _, c := range a.Checksums {
		b = putPart(b, attrFieldChecksum, func(b []byte) []byte {
			b = putBytes(b, 1, c.Algorithm)
			b = putBytes(b, 2, c.Value)
			return putBool(b, 3, c.Composite)
		})
	}
	for _, n := range a.Parts {
		b = protowire.AppendTag(b, attrFieldPart, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(n))
	}
	b = putBytes(b, attrFieldFile, a.File)
	b = putSome(b, attrFieldLock, a.Lock.lock().appendTo)
	return append(b, a.unknown...)
}

func parseAttrs(b []byte) (a Attrs, err error) {
	var sum []byte
	parts := uint64(0)
	err = eachField("attributes", b, func(f field) error {
		switch {
		case f.num == attrFieldMD5 && f.typ == protowire.BytesType && len(f.b) == 16:
			sum = f.b
		case f.num == attrFieldMD5Parts && f.typ == protowire.VarintType:
			parts = f.n
		case f.num == attrFieldETag && f.typ == protowire.BytesType:
			a.ETag = string(f.b)
		case f.num == attrFieldMeta && f.typ == protowire.BytesType:
			return takePair(&a.Meta, f.b)
		case f.num == attrFieldTag && f.typ == protowire.BytesType:
			return takePair(&a.Tags, f.b)
		case f.num == attrFieldChecksum && f.typ == protowire.BytesType:
			c, err := parseChecksum(f.b)
			a.Checksums = append(a.Checksums, c)
			return err
		case f.num == attrFieldPart && f.typ == protowire.VarintType && f.n < 1<<63:
			a.Parts = append(a.Parts, int64(f.n))
		case f.num == attrFieldFile && f.typ == protowire.BytesType:
			a.File = f.b
		case f.num == attrFieldLock && f.typ == protowire.BytesType:
			l, err := parseLock(f.b)
			a.Lock = l.shown()
			return err
		default:
			a.unknown = append(a.unknown, f.raw...)
		}
		return nil
	})
	if sum != nil {
		a.ETag = hex.EncodeToString(sum)
		if parts > 0 {
			a.ETag = fmt.Sprintf("%s-%d", a.ETag, parts)
		}
	}
	return a, err
}

func parseChecksum(b []byte) (c Checksum, err error) {
	err = eachField("checksum", b, func(f field) error {
		switch f.num {
		case 1:
			c.Algorithm = string(f.b)
		case 2:
			c.Value = string(f.b)
		case 3:
			c.Composite = f.n == 1
		}
		return nil
	})
	return c, err
}

// md5Tag takes apart an ETag that can be kept in 16 bytes and a number.
func md5Tag(tag string) (sum [16]byte, parts uint64, ok bool) {
	digits, suffix, dashed := strings.Cut(tag, "-")
	if len(digits) != 32 || strings.ContainsFunc(digits, func(r rune) bool { return 'A' <= r && r <= 'F' }) {
		return sum, 0, false
	}
	var text [2 * len(sum)]byte
	copy(text[:], digits)
	if _, err := hex.Decode(sum[:], text[:]); err != nil {
		return sum, 0, false
	}
	if dashed {
		var err error
		if parts, err = strconv.ParseUint(suffix, 10, 64); err != nil || parts == 0 || suffix[0] == '0' {
			return sum, 0, false
		}
	}
	return sum, parts, true
}

func putMap(b []byte, num fieldNum, m map[string]string) []byte {
	var room [8]string
	keys := room[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		b = putPart(b, num, func(b []byte) []byte { return putBytes(putBytes(b, 1, k), 2, m[k]) })
	}
	return b
}

func takePair(m *map[string]string, b []byte) error {
	var k, v string
	err := eachField("pair", b, func(f field) error {
		switch f.num {
		case 1:
			k = string(f.b)
		case 2:
			v = string(f.b)
		}
		return nil
	})
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[k] = v
	return err
}

// withDot and withoutDot treat a sorted set of dots as a value.
func withDot(s []Dot, d Dot) []Dot {
	i, found := slices.BinarySearchFunc(s, d, Dot.Compare)
	if found {
		return s
	}
	return slices.Insert(slices.Clone(s), i, d)
}

func withoutDot(s []Dot, d Dot) []Dot {
	i, found := slices.BinarySearchFunc(s, d, Dot.Compare)
	if !found {
		return s
	}
	return slices.Delete(slices.Clone(s), i, i+1)
}
