package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgefs/edgefs/segment"
)

// MaxCopies bounds the writes of one stream that are asked for and not answered.
const MaxCopies = 4096

// Copy is a write whose record, and the payload that must survive with it, are to be durable at the peer.
type Copy struct {
	Number uint64 // by which it is answered, of the stream
	segment.Ref
}

// CopyAsk asks for copies, on a stream that a request for them began. What is dropped is not waited for any more; it is taken first.
type CopyAsk struct {
	Dropped []uint64
	Copies  []Copy
}

const (
	askFieldDropped = 1
	askFieldCopy    = 2

	copyFieldNumber  = 1
	copyFieldBucket  = 2
	copyFieldKey     = 3
	copyFieldVersion = 4
)

// Append implements [Message].
func (m *CopyAsk) Append(b []byte) []byte {
	b = putNumbers(b, askFieldDropped, m.Dropped)
	for i := range m.Copies {
		c := &m.Copies[i]
		part := PutUint(nil, copyFieldNumber, c.Number)
		part = PutBytes(part, copyFieldBucket, c.Bucket[:])
		part = PutBytes(part, copyFieldKey, c.Key)
		b = putMessage(b, askFieldCopy, PutBytes(part, copyFieldVersion, c.Version.String()))
	}
	return b
}

// Parse implements [Message].
func (m *CopyAsk) Parse(b []byte) error {
	return Fields(b, func(f Field) (err error) {
		switch f.Num {
		case askFieldDropped:
			m.Dropped, err = parseNumbers(f.Bytes)
		case askFieldCopy:
			if len(m.Copies) == MaxCopies {
				return ErrMalformed
			}
			var c Copy
			err = c.parse(f.Bytes)
			m.Copies = append(m.Copies, c)
		}
		return err
	})
}

func (c *Copy) parse(b []byte) error {
	err := Fields(b, func(f Field) (err error) {
		switch f.Num {
		case copyFieldNumber:
			c.Number = f.Uint
		case copyFieldKey:
			c.Key = string(f.Bytes)
		case copyFieldVersion:
			if c.Version, err = segment.ParseVersionID(string(f.Bytes)); err != nil {
				return ErrMalformed
			}
		default:
			err = takeBucket(&c.Bucket, f, copyFieldBucket)
		}
		return err
	})
	if err == nil && (c.Number == 0 || c.Version.IsZero()) {
		err = ErrMalformed
	}
	return err
}

// Copied answers: what is durable at this side, and, so that nobody gives up, what this side has begun to fetch.
type Copied struct {
	Done    []uint64
	Working []uint64
}

// Append implements [Message].
func (m *Copied) Append(b []byte) []byte {
	return putNumbers(putNumbers(b, 1, m.Done), 2, m.Working)
}

// Parse implements [Message].
func (m *Copied) Parse(b []byte) error {
	return Fields(b, func(f Field) (err error) {
		switch f.Num {
		case 1:
			m.Done, err = parseNumbers(f.Bytes)
		case 2:
			m.Working, err = parseNumbers(f.Bytes)
		}
		return err
	})
}

// putNumbers writes varints back to back, or nothing.
func putNumbers(b []byte, num protowire.Number, all []uint64) []byte {
	var part []byte
	for _, n := range all {
		part = protowire.AppendVarint(part, n)
	}
	return PutBytes(b, num, part)
}

func parseNumbers(b []byte) (all []uint64, err error) {
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 || len(all) == MaxCopies {
			return nil, ErrMalformed
		}
		all, b = append(all, v), b[n:]
	}
	return all, nil
}
