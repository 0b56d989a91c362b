package pack

import (
	"encoding/binary"

	"github.com/edgefs/edgefs/chunk"
)

// Index finds records by their keys. It is a cache of what the packs say: whatever is lost of it, up to all, is found again when the device is
// opened. Its methods are safe for concurrent use.
type Index interface {
	// Lookup calls found, in order, for those of keys that have an entry.
	Lookup(keys []Key, found func(i int, e Entry)) error
	// Apply sets entries and removes others, visible to all when it returns.
	Apply(set []Pair, remove []Key) error
	// All yields every entry, in any order. Where the index is damaged it may leave some out before it fails.
	All(yield func(Key, Entry) error) error
	// Note returns what SetNote set, or nil. Notes yields those whose names begin with prefix.
	Note(name string) ([]byte, error)
	Notes(prefix string, yield func(name string, value []byte) error) error
	// SetNote sets a note, or removes it when value is nil.
	SetNote(name string, value []byte) error
	// Sync makes all that was applied and noted before survive a crash.
	Sync() error
	// Reset removes everything.
	Reset() error
	Close() error
}

// Entry is where a chunk lies.
type Entry struct {
	Generation uint64 // of the pack
	Offset     int64  // of the record's header
	Length     uint32 // of the payload
	Size       uint32 // of the chunk
	Class      chunk.Class
	Codec      Codec
}

// Pair is a key with its entry.
type Pair struct {
	Key   Key
	Entry Entry
}

func (r record) entry() Entry {
	return Entry{r.generation, r.offset, r.length, r.size, r.class, r.codec}
}

// serves says whether the entry counts as held at the class.
func (e Entry) serves(c chunk.Class) bool { return e.Class.Durable() || !c.Durable() }

const entrySize = 26

func (e Entry) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, e.Generation)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Offset))
	b = binary.LittleEndian.AppendUint32(b, e.Length)
	b = binary.LittleEndian.AppendUint32(b, e.Size)
	return append(b, byte(e.Class), byte(e.Codec))
}

func decodeEntry(b []byte) (Entry, bool) {
	if len(b) != entrySize {
		return Entry{}, false
	}
	return Entry{
		Generation: binary.LittleEndian.Uint64(b),
		Offset:     int64(binary.LittleEndian.Uint64(b[8:])),
		Length:     binary.LittleEndian.Uint32(b[16:]),
		Size:       binary.LittleEndian.Uint32(b[20:]),
		Class:      chunk.Class(b[24]),
		Codec:      Codec(b[25]),
	}, true
}
