package wire

import (
	"slices"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment"
)

// Status says how a request fared. Its numbers are the protocol's.
type Status uint64

const (
	OK       Status = iota
	NotFound        // not held here
	Refused         // not granted; the same for what does not exist
	Failed          // the side's own failure: try again, or elsewhere
)

// Offer answers a [Sync]: the whole of a bucket at one moment.
type Offer struct {
	Status Status
	segment.Offer
}

const (
	offerFieldStatus = 1
	offerFieldRoot   = 2
	offerFieldSeen   = 3
	offerFieldPos    = 4
	offerFieldInc    = 5
)

// Append implements [Message].
func (m *Offer) Append(b []byte) []byte {
	b = PutUint(b, offerFieldStatus, uint64(m.Status))
	if !m.Root.IsZero() {
		b = PutBytes(b, offerFieldRoot, m.Root[:])
	}
	b = PutBytes(b, offerFieldSeen, appendVector(nil, m.Seen))
	b = PutUint(b, offerFieldPos, m.Pos)
	return PutUint(b, offerFieldInc, uint64(m.Inc))
}

// Parse implements [Message].
func (m *Offer) Parse(b []byte) error {
	m.Seen = segment.Vector{}
	return Fields(b, func(f Field) (err error) {
		switch {
		case f.Num == offerFieldStatus:
			m.Status = Status(f.Uint)
		case f.Is(offerFieldRoot, chunk.IDSize):
			m.Root = chunk.ID(f.Bytes)
		case f.Num == offerFieldSeen:
			m.Seen, err = parseVector(f.Bytes)
		case f.Num == offerFieldPos:
			m.Pos = f.Uint
		case f.Num == offerFieldInc:
			m.Inc = uint32(f.Uint)
		}
		return err
	})
}

// MaxWant bounds the ids of one message.
const MaxWant = 4096

// Want asks for nodes of the offered tree: its root, and children of nodes that this stream has brought.
type Want struct{ IDs []chunk.ID }

// Append implements [Message].
func (m *Want) Append(b []byte) []byte { return PutBytes(b, 1, appendIDs(nil, m.IDs)) }

// Parse implements [Message].
func (m *Want) Parse(b []byte) error {
	return Fields(b, func(f Field) (err error) {
		if f.Num == 1 {
			m.IDs, err = parseIDs(f.Bytes)
		}
		return err
	})
}

// Nodes brings chunks of one [Want] by their index in it, in as many messages as it takes. The last one ends the answer.
type Nodes struct {
	Pieces []Piece
	End    bool
	Status Status // with End
}

// Piece is the bytes of one chunk asked for, not verified.
type Piece struct {
	Group int // of the request; 0 in a sync
	Index int // in the group
	Data  []byte
}

const (
	nodesFieldPiece  = 1
	nodesFieldEnd    = 2
	nodesFieldStatus = 3

	pieceFieldGroup = 1
	pieceFieldIndex = 2
	pieceFieldData  = 3
)

func appendPiece(b []byte, p Piece) []byte {
	b = PutUint(b, pieceFieldGroup, uint64(p.Group))
	b = PutUint(b, pieceFieldIndex, uint64(p.Index))
	return PutBytes(b, pieceFieldData, p.Data)
}

func parsePiece(b []byte) (p Piece, err error) {
	err = Fields(b, func(f Field) error {
		switch f.Num {
		case pieceFieldGroup:
			p.Group = int(min(f.Uint, 1<<30))
		case pieceFieldIndex:
			p.Index = int(min(f.Uint, 1<<30))
		case pieceFieldData:
			p.Data = f.Bytes
		}
		return nil
	})
	return p, err
}

// Append implements [Message].
func (m *Nodes) Append(b []byte) []byte {
	for _, p := range m.Pieces {
		b = putMessage(b, nodesFieldPiece, appendPiece(nil, p))
	}
	if m.End {
		b = PutUint(b, nodesFieldEnd, 1)
	}
	return PutUint(b, nodesFieldStatus, uint64(m.Status))
}

// Parse implements [Message]. Pieces share b.
func (m *Nodes) Parse(b []byte) error {
	return Fields(b, func(f Field) error {
		switch f.Num {
		case nodesFieldPiece:
			p, err := parsePiece(f.Bytes)
			m.Pieces = append(m.Pieces, p)
			return err
		case nodesFieldEnd:
			m.End = f.Uint != 0
		case nodesFieldStatus:
			m.Status = Status(f.Uint)
		}
		return nil
	})
}

func appendIDs(b []byte, ids []chunk.ID) []byte {
	b = slices.Grow(b, len(ids)*chunk.IDSize)
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}

func parseIDs(b []byte) ([]chunk.ID, error) {
	if len(b)%chunk.IDSize != 0 || len(b) > MaxWant*chunk.IDSize {
		return nil, ErrMalformed
	}
	ids := make([]chunk.ID, 0, len(b)/chunk.IDSize)
	for ; len(b) > 0; b = b[chunk.IDSize:] {
		ids = append(ids, chunk.ID(b[:chunk.IDSize]))
	}
	return ids, nil
}
