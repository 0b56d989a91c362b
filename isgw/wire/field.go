package wire

import (
	"encoding/binary"
	"errors"

	"github.com/edgefs/edgefs/segment"
	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed says that a peer sent what is not a message of the protocol.
var ErrMalformed = errors.New("malformed message")

// Field is one field of a message. Bytes alias the message.
type Field struct {
	Num   protowire.Number
	Uint  uint64 // of a varint or a fixed number
	Bytes []byte
}

// Is says whether the field has the number and exactly size bytes.
func (f Field) Is(num protowire.Number, size int) bool { return f.Num == num && len(f.Bytes) == size }

// Fields calls visit for each field of a message.
func Fields(b []byte, visit func(Field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return ErrMalformed
		}
		b = b[n:]
		f := Field{Num: num}
		switch typ {
		case protowire.VarintType:
			f.Uint, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			f.Uint, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.Bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return ErrMalformed
		}
		b = b[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// PutUint appends a number, unless it is zero.
func PutUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

// PutFixed appends a number that is not small, unless it is zero.
func PutFixed(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), v)
}

// PutBytes appends bytes or text, unless they are empty.
func PutBytes[T ~[]byte | ~string](b []byte, num protowire.Number, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return putMessage(b, num, v)
}

// putMessage appends bytes, empty ones too.
func putMessage[T ~[]byte | ~string](b []byte, num protowire.Number, v T) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(v)))
	return append(b, v...)
}

// appendVector writes each origin, in order, with its number.
func appendVector(b []byte, c segment.Vector) []byte {
	for _, o := range c.Origins() {
		b = appendDot(b, segment.Dot{Origin: o, N: c[o]})
	}
	return b
}

func parseVector(b []byte) (segment.Vector, error) {
	c := segment.Vector{}
	for len(b) > 0 {
		d, rest, err := takeDot(b)
		if err != nil {
			return nil, err
		}
		c[d.Origin], b = d.N, rest
	}
	return c, nil
}

// appendDot writes the segment in 8 bytes, then life and number as varints.
func appendDot(b []byte, d segment.Dot) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(d.Segment))
	b = binary.AppendUvarint(b, uint64(d.Inc))
	return binary.AppendUvarint(b, d.N)
}

func takeDot(b []byte) (d segment.Dot, rest []byte, err error) {
	if len(b) < 8 {
		return d, nil, ErrMalformed
	}
	d.Segment = segment.ID(binary.BigEndian.Uint64(b))
	b = b[8:]
	inc, n := binary.Uvarint(b)
	if n <= 0 || inc > 1<<32-1 {
		return d, nil, ErrMalformed
	}
	d.Inc, b = uint32(inc), b[n:]
	if d.N, n = binary.Uvarint(b); n <= 0 {
		return d, nil, ErrMalformed
	}
	return d, b[n:], nil
}

func parseDot(b []byte) (segment.Dot, error) {
	d, rest, err := takeDot(b)
	if err == nil && len(rest) > 0 {
		err = ErrMalformed
	}
	return d, err
}
