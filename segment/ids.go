package segment

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ID names a segment for ever. It is random and not zero.
type ID uint64

// String is 16 hexadecimal digits.
func (id ID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// ParseID reads what [ID.String] writes.
func ParseID(s string) (ID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 8 {
		return 0, fmt.Errorf("segment id %q: want 16 hexadecimal digits: %w", s, ErrInvalidArgument)
	}
	return ID(binary.BigEndian.Uint64(b)), nil
}

// MarshalText writes 16 hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads 16 hexadecimal digits.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// Origin is one life of a segment. A recovery other than replaying the log begins a new one.
type Origin struct {
	Segment ID
	Inc     uint32
}

// Compare orders origins.
func (o Origin) Compare(p Origin) int {
	return cmp.Or(cmp.Compare(o.Segment, p.Segment), cmp.Compare(o.Inc, p.Inc))
}

// String is the segment and the life.
func (o Origin) String() string { return fmt.Sprintf("%v.%d", o.Segment, o.Inc) }

// Dot names one write of a bucket for ever. N counts an origin's writes of the bucket from 1 without holes.
type Dot struct {
	Origin
	N uint64
}

// Compare orders dots.
func (d Dot) Compare(e Dot) int { return cmp.Or(d.Origin.Compare(e.Origin), cmp.Compare(d.N, e.N)) }

// String is the origin and the number.
func (d Dot) String() string { return fmt.Sprintf("%v/%d", d.Origin, d.N) }

// Vector is what has been seen of a bucket: for each origin a prefix of its writes. A Vector in use is never changed: see [Vector.With].
type Vector map[Origin]uint64

// Has says whether the write d has been seen.
func (c Vector) Has(d Dot) bool { return d.N <= c[d.Origin] }

// Covers says whether all that o has seen has been seen.
func (c Vector) Covers(o Vector) bool {
	for k, n := range o {
		if c[k] < n {
			return false
		}
	}
	return true
}

// Join is what both have seen together.
func (c Vector) Join(o Vector) Vector {
	out := c.Clone()
	for k, n := range o {
		out[k] = max(out[k], n)
	}
	return out
}

// With is c and the write d.
func (c Vector) With(d Dot) Vector {
	out := c.Clone()
	out[d.Origin] = max(out[d.Origin], d.N)
	return out
}

// Equal says whether both have seen the same.
func (c Vector) Equal(o Vector) bool { return maps.Equal(c, o) }

// Clone is a copy, never nil.
func (c Vector) Clone() Vector {
	out := make(Vector, len(c)+1)
	maps.Copy(out, c)
	return out
}

// Origins are the origins seen, in order.
func (c Vector) Origins() []Origin { return slices.SortedFunc(maps.Keys(c), Origin.Compare) }

// BucketID names a bucket for ever: a deleted and recreated bucket has another.
type BucketID [16]byte

// String is 32 hexadecimal digits.
func (b BucketID) String() string { return hex.EncodeToString(b[:]) }

// ParseBucketID reads what [BucketID.String] writes.
func ParseBucketID(s string) (id BucketID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("bucket id %q: want 32 hexadecimal digits: %w", s, ErrInvalidArgument)
	}
	return BucketID(b), nil
}

// MarshalText writes 32 hexadecimal digits.
func (b BucketID) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads 32 hexadecimal digits.
func (b *BucketID) UnmarshalText(t []byte) (err error) {
	*b, err = ParseBucketID(string(t))
	return err
}

// HLC is a hybrid logical clock: milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
// Kulkarni et al., "Logical Physical Clocks" (2014).
type HLC uint64

// hlcAt is the first stamp of a moment.
func hlcAt(t time.Time) HLC { return HLC(t.UnixMilli()) << 16 }

// Time is the clock's physical part.
func (h HLC) Time() time.Time { return time.UnixMilli(int64(h >> 16)).UTC() }

// Epoch orders writes before any clock: it begins anew when a bucket's home or policy changes. The zero Epoch is the first.
type Epoch struct {
	N  uint32
	By Origin
}

// Compare orders epochs.
func (e Epoch) Compare(f Epoch) int { return cmp.Or(cmp.Compare(e.N, f.N), e.By.Compare(f.By)) }

// Stamp is the moment of a write.
type Stamp struct {
	Epoch Epoch
	HLC   HLC
}

// Compare orders stamps.
func (s Stamp) Compare(t Stamp) int {
	return cmp.Or(s.Epoch.Compare(t.Epoch), cmp.Compare(s.HLC, t.HLC))
}

// VersionID names a version and orders it among the versions of its key, everywhere alike.
type VersionID struct {
	Stamp
	Dot Dot
}

// IsZero says whether v names nothing.
func (v VersionID) IsZero() bool { return v == VersionID{} }

// Compare orders versions, the older first.
func (v VersionID) Compare(w VersionID) int {
	return cmp.Or(v.Stamp.Compare(w.Stamp), v.Dot.Compare(w.Dot))
}

// Time is when the version was written, by its writer's clock.
func (v VersionID) Time() time.Time { return v.HLC.Time() }

const (
	shortVersionID = 8 + 8 + 4 + 8
	longVersionID  = 4 + 8 + 4 + shortVersionID
)

// appendOrdered appends the id so that byte order is version order.
func (v VersionID) appendOrdered(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, v.Epoch.N)
	b = binary.BigEndian.AppendUint64(b, uint64(v.Epoch.By.Segment))
	b = binary.BigEndian.AppendUint32(b, v.Epoch.By.Inc)
	b = binary.BigEndian.AppendUint64(b, uint64(v.HLC))
	b = binary.BigEndian.AppendUint64(b, uint64(v.Dot.Segment))
	b = binary.BigEndian.AppendUint32(b, v.Dot.Inc)
	return binary.BigEndian.AppendUint64(b, v.Dot.N)
}

func orderedVersionID(b []byte) (v VersionID, ok bool) {
	if len(b) != longVersionID {
		return v, false
	}
	v.Epoch.N = binary.BigEndian.Uint32(b)
	v.Epoch.By.Segment = ID(binary.BigEndian.Uint64(b[4:]))
	v.Epoch.By.Inc = binary.BigEndian.Uint32(b[12:])
	v.HLC = HLC(binary.BigEndian.Uint64(b[16:]))
	v.Dot.Segment = ID(binary.BigEndian.Uint64(b[24:]))
	v.Dot.Inc = binary.BigEndian.Uint32(b[32:])
	v.Dot.N = binary.BigEndian.Uint64(b[36:])
	return v, true
}

// String is the version id as S3 clients see it: URL-safe, 38 characters in the first epoch, 60 later.
func (v VersionID) String() string {
	b := v.appendOrdered(make([]byte, 0, longVersionID))
	if v.Epoch == (Epoch{}) {
		b = b[longVersionID-shortVersionID:]
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseVersionID reads what [VersionID.String] writes.
func ParseVersionID(s string) (VersionID, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err == nil && len(b) == shortVersionID {
		b = append(make([]byte, longVersionID-shortVersionID), b...)
	}
	v, ok := orderedVersionID(b)
	if err != nil || !ok || v.String() != s {
		return VersionID{}, fmt.Errorf("version id %q: %w", s, ErrInvalidArgument)
	}
	return v, nil
}

// VersionRef says which version of a key is meant. The zero VersionRef is the current one.
type VersionRef struct {
	ID   VersionID
	Null bool // the newest version without an id
}

// Current says whether the current version is meant.
func (r VersionRef) Current() bool { return !r.Null && r.ID.IsZero() }

// String is what [ParseVersionRef] reads.
func (r VersionRef) String() string {
	switch {
	case r.Null:
		return "null"
	case r.ID.IsZero():
		return ""
	}
	return r.ID.String()
}

// ParseVersionRef reads a version id as S3 writes it: empty (current), "null", or an id.
func ParseVersionRef(s string) (VersionRef, error) {
	switch s {
	case "":
		return VersionRef{}, nil
	case "null":
		return VersionRef{Null: true}, nil
	}
	id, err := ParseVersionID(s)
	return VersionRef{ID: id}, err
}
