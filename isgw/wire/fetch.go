package wire

import (
	"math"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/segment"
)

// Bounds of one fetch.
const (
	MaxGroups = 1024
	MaxPath   = 16
)

// Fetch asks for payload on behalf of versions of one bucket. [Fetched] messages answer.
type Fetch struct {
	Bucket segment.BucketID
	Groups []Group
}

// Group is chunks that one version reaches, with the nodes above them (as segment.Reading); or, with Tree, the one chunk that a tree of the
// bucket names at the level and the key (as segment.Place), and neither version nor path.
type Group struct {
	Key     string
	Version segment.VersionID
	Path    []chunk.ID
	IDs     []chunk.ID
	Tree    segment.TreeID // 0: none
	Level   int            // without Tree: 0
	// Snapshot is the one whose tree it is; zero for the bucket as it is now, and without Tree.
	Snapshot segment.SnapshotID
	// Request, unless zero, names a write that the asking side was handed: the chunks are of its content, and neither key nor version is said.
	Request segment.RequestName
}

const (
	fetchFieldBucket = 1
	fetchFieldGroup  = 2

	groupFieldKey     = 1
	groupFieldVersion = 2
	groupFieldPath    = 3
	groupFieldIDs     = 4
	groupFieldTree    = 5
	groupFieldLevel   = 6 // and 2 more, so that it is never negative
	groupFieldSnap    = 7
	groupFieldRequest = 8

	levelsBelow = 2
)

func (m *Fetch) append(b []byte) []byte {
	b = PutBytes(b, fetchFieldBucket, m.Bucket[:])
	for i := range m.Groups {
		b = putMessage(b, fetchFieldGroup, m.Groups[i].append(nil))
	}
	return b
}

func (g *Group) append(b []byte) []byte {
	b = PutBytes(b, groupFieldKey, g.Key)
	if g.Tree != 0 {
		b = PutBytes(b, groupFieldIDs, appendIDs(nil, g.IDs))
		b = PutUint(b, groupFieldTree, uint64(g.Tree))
		b = PutUint(b, groupFieldLevel, uint64(g.Level+levelsBelow))
		if g.Snapshot != (segment.SnapshotID{}) {
			b = PutBytes(b, groupFieldSnap, g.Snapshot[:])
		}
		return b
	}
	if g.Request != (segment.RequestName{}) {
		b = PutBytes(b, groupFieldPath, appendIDs(nil, g.Path))
		b = PutBytes(b, groupFieldIDs, appendIDs(nil, g.IDs))
		return PutBytes(b, groupFieldRequest, g.Request[:])
	}
	b = PutBytes(b, groupFieldVersion, g.Version.String())
	b = PutBytes(b, groupFieldPath, appendIDs(nil, g.Path))
	return PutBytes(b, groupFieldIDs, appendIDs(nil, g.IDs))
}

func (m *Fetch) parse(b []byte) error {
	ids := 0
	return Fields(b, func(f Field) error {
		if f.Num != fetchFieldGroup {
			return takeBucket(&m.Bucket, f, fetchFieldBucket)
		}
		var g Group
		if err := g.parse(f.Bytes); err != nil {
			return err
		}
		if ids += len(g.IDs); ids > MaxWant || len(m.Groups) >= MaxGroups {
			return ErrMalformed
		}
		m.Groups = append(m.Groups, g)
		return nil
	})
}

func (g *Group) parse(b []byte) error {
	level := 0
	err := Fields(b, func(f Field) (err error) {
		switch f.Num {
		case groupFieldKey:
			g.Key = string(f.Bytes)
		case groupFieldVersion:
			if g.Version, err = segment.ParseVersionID(string(f.Bytes)); err != nil {
				return ErrMalformed
			}
		case groupFieldPath:
			if g.Path, err = parseIDs(f.Bytes); len(g.Path) > MaxPath {
				return ErrMalformed
			}
		case groupFieldIDs:
			g.IDs, err = parseIDs(f.Bytes)
		case groupFieldTree:
			g.Tree = segment.TreeID(min(f.Uint, math.MaxUint8))
		case groupFieldLevel:
			level = int(min(f.Uint, math.MaxUint8))
		case groupFieldSnap:
			if len(f.Bytes) != len(g.Snapshot) {
				return ErrMalformed
			}
			g.Snapshot = segment.SnapshotID(f.Bytes)
		case groupFieldRequest:
			if len(f.Bytes) != len(g.Request) {
				return ErrMalformed
			}
			g.Request = segment.RequestName(f.Bytes)
		}
		return err
	})
	if err != nil {
		return err
	}
	if g.Request != (segment.RequestName{}) && (g.Tree != 0 || g.Key != "" || g.Version != (segment.VersionID{})) {
		return ErrMalformed
	}
	if g.Tree == 0 {
		g.Snapshot = segment.SnapshotID{}
		return nil
	}
	if g.Version != (segment.VersionID{}) || len(g.Path) > 0 || len(g.IDs) != 1 {
		return ErrMalformed
	}
	g.Level = level - levelsBelow
	return nil
}

// Fetched brings chunks, and says of each group how it ended; a group's chunks come before its end, groups in any order.
type Fetched struct {
	Pieces []Piece
	Ends   []End
}

// End says how a group fared. Unless it is OK, some of its chunks did not come.
type End struct {
	Group  int
	Status Status
}

// Append implements [Message].
func (m *Fetched) Append(b []byte) []byte {
	for _, p := range m.Pieces {
		b = putMessage(b, 1, appendPiece(nil, p))
	}
	for _, e := range m.Ends {
		b = putMessage(b, 2, PutUint(PutUint(nil, 1, uint64(e.Group)), 2, uint64(e.Status)))
	}
	return b
}

// Parse implements [Message]. Pieces share b.
func (m *Fetched) Parse(b []byte) error {
	return Fields(b, func(f Field) error {
		switch f.Num {
		case 1:
			p, err := parsePiece(f.Bytes)
			m.Pieces = append(m.Pieces, p)
			return err
		case 2:
			var e End
			err := Fields(f.Bytes, func(f Field) error {
				switch f.Num {
				case 1:
					e.Group = int(min(f.Uint, 1<<30))
				case 2:
					e.Status = Status(f.Uint)
				}
				return nil
			})
			m.Ends = append(m.Ends, e)
			return err
		}
		return nil
	})
}
