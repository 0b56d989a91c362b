package wire

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgefs/edgefs/segment"
)

// Protocol is the version of the link protocol that this build speaks. Peers speak the smaller of theirs, which must be at least MinProtocol.
// Since version 2 writes are handed to homes, since version 3 those that have arguments of their own.
const (
	Protocol    = 3
	MinProtocol = 1
)

// Buckets is a vector for each of some buckets.
type Buckets map[segment.BucketID]segment.Vector

func (m Buckets) append(b []byte, num protowire.Number) []byte {
	ids := slices.SortedFunc(maps.Keys(m), func(a, b segment.BucketID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		v := PutBytes(nil, 1, id[:])
		b = putMessage(b, num, PutBytes(v, 2, appendVector(nil, m[id])))
	}
	return b
}

func (m *Buckets) parse(b []byte) error {
	var id segment.BucketID
	c := segment.Vector{}
	err := Fields(b, func(f Field) (err error) {
		if f.Num == 2 {
			c, err = parseVector(f.Bytes)
			return err
		}
		return takeBucket(&id, f, 1)
	})
	if err != nil || id == (segment.BucketID{}) {
		return ErrMalformed
	}
	if *m == nil {
		*m = Buckets{}
	}
	(*m)[id] = c
	return nil
}

// Hello begins a control stream, from both sides.
type Hello struct {
	Protocol    uint64 // the newest version the side speaks
	MinProtocol uint64 // and the oldest
	Segment     segment.ID
	Inc         uint32
	Process     uint64   // random for each start: a connection of a new process takes the place of those of the old
	Addresses   []string // where the side can be dialled; none behind a NAT
	Clock       time.Time
	Seen        Buckets // what the side has seen of each linked bucket
}

const (
	helloFieldProtocol    = 1
	helloFieldMinProtocol = 2
	helloFieldSegment     = 3
	helloFieldInc         = 4
	helloFieldProcess     = 5
	helloFieldAddress     = 6
	helloFieldClock       = 7
	helloFieldSeen        = 8
)

// Append implements [Message].
func (m *Hello) Append(b []byte) []byte {
	b = PutUint(b, helloFieldProtocol, m.Protocol)
	b = PutUint(b, helloFieldMinProtocol, m.MinProtocol)
	b = PutFixed(b, helloFieldSegment, uint64(m.Segment))
	b = PutUint(b, helloFieldInc, uint64(m.Inc))
	b = PutFixed(b, helloFieldProcess, m.Process)
	for _, a := range m.Addresses {
		b = PutBytes(b, helloFieldAddress, a)
	}
	b = PutUint(b, helloFieldClock, nanos(m.Clock))
	return m.Seen.append(b, helloFieldSeen)
}

// Parse implements [Message].
func (m *Hello) Parse(b []byte) error {
	return Fields(b, func(f Field) error {
		switch f.Num {
		case helloFieldProtocol:
			m.Protocol = f.Uint
		case helloFieldMinProtocol:
			m.MinProtocol = f.Uint
		case helloFieldSegment:
			m.Segment = segment.ID(f.Uint)
		case helloFieldInc:
			m.Inc = uint32(f.Uint)
		case helloFieldProcess:
			m.Process = f.Uint
		case helloFieldAddress:
			m.Addresses = append(m.Addresses, string(f.Bytes))
		case helloFieldClock:
			m.Clock = moment(f.Uint)
		case helloFieldSeen:
			return m.Seen.parse(f.Bytes)
		}
		return nil
	})
}

// Heartbeat tells how a side is doing, every few seconds and when something of it changes.
type Heartbeat struct {
	Clock  time.Time     // of the side, when it was sent
	Echo   time.Time     // Clock of the last heartbeat it had
	Waited time.Duration // how long ago that was when this was sent
	LogEnd uint64        // the end of the side's log
	Held   Buckets       // up to where the side holds all payload durably, of buckets where that changed
	Behind Lag           // how far the other side is behind, as this one sees it
}

// Lag is how far a receiver is behind the sender's log.
type Lag struct {
	Positions uint64 // of the log
	Bytes     uint64 // sent and not acknowledged
	Since     time.Duration
}

const (
	beatFieldClock  = 1
	beatFieldEcho   = 2
	beatFieldWaited = 3
	beatFieldLogEnd = 4
	beatFieldHeld   = 5
	beatFieldBehind = 6
)

// Append implements [Message].
func (m *Heartbeat) Append(b []byte) []byte {
	b = PutUint(b, beatFieldClock, nanos(m.Clock))
	b = PutUint(b, beatFieldEcho, nanos(m.Echo))
	b = PutUint(b, beatFieldWaited, uint64(m.Waited))
	b = PutUint(b, beatFieldLogEnd, m.LogEnd)
	b = m.Held.append(b, beatFieldHeld)
	lag := PutUint(nil, 1, m.Behind.Positions)
	lag = PutUint(lag, 2, m.Behind.Bytes)
	return PutBytes(b, beatFieldBehind, PutUint(lag, 3, uint64(m.Behind.Since)))
}

// Parse implements [Message].
func (m *Heartbeat) Parse(b []byte) error {
	return Fields(b, func(f Field) error {
		switch f.Num {
		case beatFieldClock:
			m.Clock = moment(f.Uint)
		case beatFieldEcho:
			m.Echo = moment(f.Uint)
		case beatFieldWaited:
			m.Waited = time.Duration(f.Uint)
		case beatFieldLogEnd:
			m.LogEnd = f.Uint
		case beatFieldHeld:
			return m.Held.parse(f.Bytes)
		case beatFieldBehind:
			return m.Behind.parse(f.Bytes)
		}
		return nil
	})
}

func (l *Lag) parse(b []byte) error {
	return Fields(b, func(f Field) error {
		switch f.Num {
		case 1:
			l.Positions = f.Uint
		case 2:
			l.Bytes = f.Uint
		case 3:
			l.Since = time.Duration(f.Uint)
		}
		return nil
	})
}

// Survey answers what a segment has seen: all of its log before Pos is in Seen.
type Survey struct {
	Inc  uint32
	Pos  uint64
	Seen Buckets
}

// Append implements [Message].
func (m *Survey) Append(b []byte) []byte {
	return m.Seen.append(PutUint(PutUint(b, 1, uint64(m.Inc)), 2, m.Pos), 3)
}

// Parse implements [Message].
func (m *Survey) Parse(b []byte) error {
	return Fields(b, func(f Field) error {
		switch f.Num {
		case 1:
			m.Inc = uint32(f.Uint)
		case 2:
			m.Pos = f.Uint
		case 3:
			return m.Seen.parse(f.Bytes)
		}
		return nil
	})
}

func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

func moment(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n))
}
