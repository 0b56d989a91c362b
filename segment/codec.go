package segment

import (
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// The formats of the package are protocol buffers on the wire, written canonically: fields in ascending order, defaults left out,
// maps sorted. docs/format/bucket.md is their schema. Fields of later builds are kept and written back behind the known ones.

type fieldNum = protowire.Number

func putUint(b []byte, num fieldNum, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func putBool(b []byte, num fieldNum, v bool) []byte {
	if !v {
		return b
	}
	return putUint(b, num, 1)
}

func putFixed(b []byte, num fieldNum, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), v)
}

// putBytes leaves out what is empty; putMessage does not.
func putBytes[T ~[]byte | ~string](b []byte, num fieldNum, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return putMessage(b, num, v)
}

func putMessage[T ~[]byte | ~string](b []byte, num fieldNum, v T) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(v)))
	return append(b, v...)
}

// putPart is putMessage of what fill appends, in place.
func putPart(b []byte, num fieldNum, fill func([]byte) []byte) []byte {
	return appendSized(protowire.AppendTag(b, num, protowire.BytesType), fill)
}

// appendSized appends what fill does, behind its length, in place.
func appendSized(b []byte, fill func([]byte) []byte) []byte {
	at := len(b) + 1
	b = fill(append(b, 0))
	n := len(b) - at
	if more := protowire.SizeVarint(uint64(n)) - 1; more > 0 { // the length takes more than the one byte left for it
		b = append(b, make([]byte, more)...)
		copy(b[at+more:], b[at:at+n])
	}
	protowire.AppendVarint(b[:at-1], uint64(n))
	return b
}

// putSome is putPart that leaves out what is empty.
func putSome(b []byte, num fieldNum, fill func([]byte) []byte) []byte {
	whole := putPart(b, num, fill)
	if len(whole) == len(b)+protowire.SizeTag(num)+1 {
		return b
	}
	return whole
}

// field is one decoded field: n for numbers, b for bytes (aliasing the input), raw for all of it, tag included.
type field struct {
	num fieldNum
	typ protowire.Type
	n   uint64
	b   []byte
	raw []byte
}

// eachField walks a message.
func eachField(what string, b []byte, visit func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return badFormat(what)
		}
		f := field{num: num, typ: typ}
		m := 0
		switch typ {
		case protowire.VarintType:
			f.n, m = protowire.ConsumeVarint(b[n:])
		case protowire.Fixed64Type:
			f.n, m = protowire.ConsumeFixed64(b[n:])
		case protowire.BytesType:
			f.b, m = protowire.ConsumeBytes(b[n:])
		default:
			m = protowire.ConsumeFieldValue(num, typ, b[n:])
		}
		if m < 0 {
			return badFormat(what)
		}
		f.raw, b = b[:n+m], b[n+m:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

func badFormat(what string) error { return fmt.Errorf("decode %s: %w", what, ErrForeign) }

// appendTo writes segment (8 bytes), life and number as varints.
func (d Dot) appendTo(b []byte) []byte {
	b = appendOrigin(b, d.Origin)
	return binary.AppendUvarint(b, d.N)
}

func appendOrigin(b []byte, o Origin) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(o.Segment))
	return binary.AppendUvarint(b, uint64(o.Inc))
}

func takeOrigin(b []byte) (o Origin, rest []byte, ok bool) {
	if len(b) < 9 {
		return o, nil, false
	}
	o.Segment = ID(binary.BigEndian.Uint64(b))
	inc, n := binary.Uvarint(b[8:])
	if n <= 0 || inc > 1<<32-1 {
		return o, nil, false
	}
	o.Inc = uint32(inc)
	return o, b[8+n:], true
}

func takeDot(b []byte) (d Dot, rest []byte, ok bool) {
	if d.Origin, b, ok = takeOrigin(b); !ok {
		return d, nil, false
	}
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return d, nil, false
	}
	d.N = v
	return d, b[n:], true
}

func parseDot(b []byte) (Dot, error) {
	d, rest, ok := takeDot(b)
	if !ok || len(rest) > 0 {
		return d, badFormat("dot")
	}
	return d, nil
}

// appendTo writes origins in order, each with its number.
func (c Vector) appendTo(b []byte) []byte {
	var few [8]Origin
	all := few[:0]
	for o := range c {
		all = append(all, o)
	}
	slices.SortFunc(all, Origin.Compare)
	for _, o := range all {
		if n := c[o]; n > 0 {
			b = Dot{o, n}.appendTo(b)
		}
	}
	return b
}

func parseVector(b []byte) (Vector, error) {
	c := Vector{}
	var last Origin
	for len(b) > 0 {
		d, rest, ok := takeDot(b)
		if !ok || d.N == 0 || len(c) > 0 && d.Origin.Compare(last) <= 0 {
			return nil, badFormat("vector")
		}
		c[d.Origin], last, b = d.N, d.Origin, rest
	}
	return c, nil
}

func (v VersionID) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(v.HLC))
	b = v.Dot.appendTo(b)
	if v.Epoch != (Epoch{}) {
		b = Dot{v.Epoch.By, uint64(v.Epoch.N)}.appendTo(b)
	}
	return b
}

func parseVersionID(b []byte) (v VersionID, err error) {
	if len(b) < 8 {
		return v, badFormat("version id")
	}
	v.HLC = HLC(binary.BigEndian.Uint64(b))
	rest, ok := b[8:], false
	if v.Dot, rest, ok = takeDot(rest); !ok {
		return v, badFormat("version id")
	}
	if len(rest) == 0 {
		return v, nil
	}
	e, err := parseDot(rest)
	if err != nil || e.N > 1<<32-1 || e == (Dot{}) {
		return v, badFormat("version id")
	}
	v.Epoch = Epoch{uint32(e.N), e.Origin}
	return v, nil
}
