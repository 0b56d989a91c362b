package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgefs/edgefs/segment"
)

// Request is the first message of a stream, from the side that opened it: exactly one field is set. A side that knows none of the fields
// aborts the stream.
type Request struct {
	Hello     *Hello     // a control stream: heartbeats follow both ways
	Subscribe *Subscribe // a feed
	Survey    bool       // what the peer has seen of each bucket
	Sync      *Sync      // one bucket's tree
	Fetch     *Fetch     // payload
	Forward   []byte     // a write for the home of a bucket, as segment.Request encodes it: an [Answer] follows
	Copies    bool       // what the peer has durably
}

const (
	requestFieldHello     = 1
	requestFieldSubscribe = 2
	requestFieldSurvey    = 3
	requestFieldSync      = 4
	requestFieldFetch     = 5
	requestFieldForward   = 6
	requestFieldCopies    = 7
)

// Append implements [Message].
func (m *Request) Append(b []byte) []byte {
	switch {
	case m.Hello != nil:
		return putMessage(b, requestFieldHello, m.Hello.Append(nil))
	case m.Subscribe != nil:
		return putMessage(b, requestFieldSubscribe, m.Subscribe.append(nil))
	case m.Survey:
		return PutUint(b, requestFieldSurvey, 1)
	case m.Sync != nil:
		return putMessage(b, requestFieldSync, m.Sync.append(nil))
	case m.Fetch != nil:
		return putMessage(b, requestFieldFetch, m.Fetch.append(nil))
	case m.Forward != nil:
		return putMessage(b, requestFieldForward, m.Forward)
	case m.Copies:
		return PutUint(b, requestFieldCopies, 1)
	}
	return b
}

// Parse implements [Message].
func (m *Request) Parse(b []byte) error {
	return Fields(b, func(f Field) error {
		switch f.Num {
		case requestFieldHello:
			m.Hello = new(Hello)
			return m.Hello.Parse(f.Bytes)
		case requestFieldSubscribe:
			m.Subscribe = new(Subscribe)
			return m.Subscribe.parse(f.Bytes)
		case requestFieldSurvey:
			m.Survey = f.Uint != 0
		case requestFieldSync:
			m.Sync = new(Sync)
			return m.Sync.parse(f.Bytes)
		case requestFieldFetch:
			m.Fetch = new(Fetch)
			return m.Fetch.parse(f.Bytes)
		case requestFieldCopies:
			m.Copies = f.Uint != 0
		case requestFieldForward:
			m.Forward = append([]byte{}, f.Bytes...)
		}
		return nil
	})
}

// Answer is what became of a write that a home was handed, as segment.Answer encodes it.
type Answer struct{ Body []byte }

// Append implements [Message].
func (m *Answer) Append(b []byte) []byte { return PutBytes(b, 1, m.Body) }

// Parse implements [Message].
func (m *Answer) Parse(b []byte) error {
	return Fields(b, func(f Field) error {
		if f.Num == 1 {
			m.Body = append([]byte{}, f.Bytes...)
		}
		return nil
	})
}

// Sync asks for one bucket's tree, or that of a snapshot of it: an [Offer] answers, then [Want] and [Nodes] take turns until the asking side
// ends the stream. The offer of a snapshot has only a root.
type Sync struct {
	Bucket   segment.BucketID
	Snapshot segment.SnapshotID // zero for the bucket as it is now
}

func (m *Sync) append(b []byte) []byte {
	b = PutBytes(b, 1, m.Bucket[:])
	if m.Snapshot != (segment.SnapshotID{}) {
		b = PutBytes(b, 2, m.Snapshot[:])
	}
	return b
}

func (m *Sync) parse(b []byte) error {
	return Fields(b, func(f Field) error {
		if f.Num == 2 {
			if len(f.Bytes) != len(m.Snapshot) {
				return ErrMalformed
			}
			m.Snapshot = segment.SnapshotID(f.Bytes)
		}
		return takeBucket(&m.Bucket, f, 1)
	})
}

// takeBucket sets id when the field has that number.
func takeBucket(id *segment.BucketID, f Field, num protowire.Number) error {
	if f.Num != num {
		return nil
	}
	if len(f.Bytes) != len(id) {
		return ErrMalformed
	}
	*id = segment.BucketID(f.Bytes)
	return nil
}
