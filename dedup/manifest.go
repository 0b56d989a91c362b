package dedup

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/edgefs/edgefs/chunk"
)

// MaxInline is how many entries a manifest holds itself.
const MaxInline = 4

// Manifest describes an object's content. It holds up to [MaxInline] entries: the pieces of a small object, else the roots of a tree of
// nodes, all of one height. Nodes are chunks of class Meta whose entries carry the length of what is below them, so that an offset is
// found by reading one node per level, and whole subtrees are shared between objects, versions and the parts of an upload.
//
// A manifest is a value; it is never changed. The zero Manifest is an object of no bytes.
type Manifest struct {
	top list
}

// Size is the object's length in bytes.
func (m Manifest) Size() int64 { return m.top.size() }

// Level is the height of the tree: 0 when the entries are pieces, else the number of nodes between the manifest and each piece.
func (m Manifest) Level() int { return m.top.level }

// Entries are the manifest's own children, to be read only: pieces when [Manifest.Level] is 0, else nodes.
func (m Manifest) Entries() []Entry { return m.top.entries }

// Equal says whether both have one encoding. Equal manifests have equal content; equal content that was assembled in different ways
// ([Concat], [Slice]) may have different manifests.
func (m Manifest) Equal(o Manifest) bool {
	return m.top.level == o.top.level && slices.Equal(m.top.entries, o.top.entries) && bytes.Equal(m.top.unknown, o.top.unknown)
}

// Append appends the canonical encoding (docs/format/manifest.md): 39 to 41 bytes for an object of one piece.
func (m Manifest) Append(b []byte) []byte { return m.top.append(b) }

// ParseManifest reads what [Manifest.Append] writes, all of b and nothing else, or fails with [ErrMalformed]. It keeps nothing of b.
func ParseManifest(b []byte) (Manifest, error) {
	top, err := parseList(b, MaxInline)
	if err != nil {
		return Manifest{}, fmt.Errorf("parse manifest: %w", err)
	}
	return Manifest{top}, nil
}

// parseNode reads the node that e names, whose entries are of the level given.
func parseNode(c chunk.Chunk, e Entry, level int) (list, error) {
	l, err := parseList(c.Data(), maxFan)
	if err != nil {
		return list{}, fmt.Errorf("node %v: %w", e.ID, err)
	}
	if l.level != level || l.size() != e.Size {
		return list{}, fmt.Errorf("node %v of level %d and %d bytes, want %d and %d: %w", e.ID, l.level, l.size(), level, e.Size, ErrMalformed)
	}
	return l, nil
}
