package wire

import (
	"github.com/edgefs/edgefs/segment"
)

// Subscribe asks for the sender's committed log from a place on. [Start] answers; then, unless it says to resync, all that the sender
// writes is one zstd stream (RFC 8878) of [Batch] frames, flushed behind each, and the receiver writes [Ack] frames.
type Subscribe struct{ From segment.Cursor }

func (m *Subscribe) append(b []byte) []byte {
	return PutUint(PutUint(b, 1, uint64(m.From.Inc)), 2, m.From.Pos)
}

func (m *Subscribe) parse(b []byte) error {
	return Fields(b, func(f Field) error {
		switch f.Num {
		case 1:
			m.From.Inc = uint32(f.Uint)
		case 2:
			m.From.Pos = f.Uint
		}
		return nil
	})
}

// Start answers a subscription.
type Start struct {
	Resync bool   // the place is of another life, or cut: sync first
	Inc    uint32 // the sender's life
}

// Append implements [Message].
func (m *Start) Append(b []byte) []byte {
	if m.Resync {
		b = PutUint(b, 1, 1)
	}
	return PutUint(b, 2, uint64(m.Inc))
}

// Parse implements [Message].
func (m *Start) Parse(b []byte) error {
	return Fields(b, func(f Field) error {
		switch f.Num {
		case 1:
			m.Resync = f.Uint != 0
		case 2:
			m.Inc = uint32(f.Uint)
		}
		return nil
	})
}

// Batch is a piece of the feed. Of an item is written what does not follow from the one before it: the same bucket, the next position, the
// next write of the same origin.
type Batch struct {
	Items []segment.FeedItem
	Next  uint64 // where the feed goes on
	End   bool   // the feed cannot go on: subscribe anew
}

const (
	batchFieldItem  = 1
	batchFieldFirst = 2 // position of the first item
	batchFieldNext  = 3 // minus the last item's position
	batchFieldEnd   = 4

	itemFieldBucket = 1
	itemFieldStep   = 2 // position minus that of the item before; absent for the same
	itemFieldRecord = 3
	itemFieldMark   = 4
	itemFieldDot    = 5 // of the record
)

// Append implements [Message].
func (m *Batch) Append(b []byte) []byte {
	var before segment.FeedItem
	if len(m.Items) > 0 {
		before.Pos = m.Items[0].Pos
		b = PutUint(b, batchFieldFirst, before.Pos)
	}
	for _, i := range m.Items {
		b = putMessage(b, batchFieldItem, appendItem(nil, i, before))
		if len(i.Record) == 0 {
			i.Dot = before.Dot
		}
		before = i
	}
	b = PutUint(b, batchFieldNext, m.Next-before.Pos)
	if m.End {
		b = PutUint(b, batchFieldEnd, 1)
	}
	return b
}

func appendItem(b []byte, i, before segment.FeedItem) []byte {
	if i.Bucket != before.Bucket {
		b = PutBytes(b, itemFieldBucket, i.Bucket[:])
	}
	b = PutUint(b, itemFieldStep, i.Pos-before.Pos)
	if len(i.Record) == 0 {
		return putMessage(b, itemFieldMark, appendVector(nil, i.Mark))
	}
	if i.Dot != follower(before.Dot) {
		b = PutBytes(b, itemFieldDot, appendDot(nil, i.Dot))
	}
	return putMessage(b, itemFieldRecord, i.Record)
}

func follower(d segment.Dot) segment.Dot { return segment.Dot{Origin: d.Origin, N: d.N + 1} }

// Parse implements [Message]. Records share b.
func (m *Batch) Parse(b []byte) error {
	var before segment.FeedItem
	err := Fields(b, func(f Field) (err error) {
		switch f.Num {
		case batchFieldFirst:
			before.Pos = f.Uint
		case batchFieldItem:
			i := segment.FeedItem{Pos: before.Pos, Bucket: before.Bucket, Dot: follower(before.Dot)}
			if err = parseItem(&i, f.Bytes); err != nil {
				return err
			}
			m.Items = append(m.Items, i)
			if i.Mark != nil {
				m.Items[len(m.Items)-1].Dot, i.Dot = segment.Dot{}, before.Dot
			}
			before = i
		case batchFieldNext:
			m.Next = f.Uint
		case batchFieldEnd:
			m.End = f.Uint != 0
		}
		return nil
	})
	m.Next += before.Pos
	return err
}

func parseItem(i *segment.FeedItem, b []byte) error {
	err := Fields(b, func(f Field) (err error) {
		switch f.Num {
		case itemFieldBucket:
			return takeBucket(&i.Bucket, f, itemFieldBucket)
		case itemFieldStep:
			i.Pos += f.Uint
		case itemFieldRecord:
			i.Record = f.Bytes
		case itemFieldMark:
			i.Mark, err = parseVector(f.Bytes)
		case itemFieldDot:
			i.Dot, err = parseDot(f.Bytes)
		}
		return err
	})
	if err == nil && (len(i.Record) == 0) == (i.Mark == nil) || i.Bucket == (segment.BucketID{}) {
		return ErrMalformed
	}
	return err
}

// Ack says up to where a receiver has applied the feed, durably.
type Ack struct{ Pos uint64 }

// Append implements [Message].
func (m *Ack) Append(b []byte) []byte { return PutUint(b, 1, m.Pos) }

// Parse implements [Message].
func (m *Ack) Parse(b []byte) error {
	return Fields(b, func(f Field) error {
		if f.Num == 1 {
			m.Pos = f.Uint
		}
		return nil
	})
}
