package chunk

import (
	"context"
	"errors"
)

var (
	// ErrNotFound says that a chunk is not in the place that was asked, which knows it.
	ErrNotFound = errors.New("chunk not found")
	// ErrUnavailable says that a place could not be asked now. It is never reported as absence.
	ErrUnavailable = errors.New("chunk unavailable")
	// ErrCorrupt says that a place held other bytes than the name asks for. They were not served.
	ErrCorrupt = errors.New("chunk corrupt")
	// ErrFull says that a place has no room for all of what was put; none of it may be relied on.
	ErrFull = errors.New("no space left for chunks")
)

// Class is what a copy of a chunk is worth.
type Class uint8

const (
	// Cache may vanish at any time; it never counts as held.
	Cache Class = 1 + iota
	// Data is durable payload.
	Data
	// Meta is durable metadata: tree nodes, manifests, roots. Never coded, never evicted.
	Meta
)

// String is the class in words.
func (c Class) String() string {
	switch c {
	case Cache:
		return "cache"
	case Data:
		return "data"
	case Meta:
		return "meta"
	}
	return "unknown class"
}

// Durable says whether copies of the class survive a crash and are only given up by collection.
func (c Class) Durable() bool { return c == Data || c == Meta }

// Store keeps chunks of one [Domain] at one [Class]. Its methods are safe for concurrent use, take batches, and stop early, with the
// context's error, when the context ends. Package chunktest holds the contract as tests, for stores and wrappers alike.
type Store interface {
	// Get yields, once and in any order, each distinct chunk of ids that it can serve, whatever class it is kept at. The chunk's bytes are
	// valid only until yield returns. Calls of yield do not overlap. An error of yield ends Get, which returns it unwrapped.
	//
	// When some could not be served, Get still yields all others and then returns an error that is ErrUnavailable if some place could not
	// be asked, else ErrCorrupt if some copy was damaged, else ErrNotFound. A damaged copy is never yielded, is forgotten (it does not count for
	// Missing any more) and can be put again.
	Get(ctx context.Context, ids []ID, yield func(Chunk) error) error

	// Put keeps chunks. When it returns nil they are as durable as the class promises, a crash of the machine included. Putting what is
	// held is cheap and changes nothing. The store does not use the chunks' bytes after it has returned. After an error nothing is promised
	// of any chunk of the batch, except that none is served wrong.
	Put(ctx context.Context, chunks []Chunk) error

	// Missing returns those of ids, without repetition, in the order given, that are not held at this class or at a stronger one
	// (any durable class serves for Cache; Meta and Data serve for each other). A cached copy does not count for a durable class.
	Missing(ctx context.Context, ids []ID) ([]ID, error)
}

// Opener hands out the stores of one place: same bytes on disk, seen for a domain and a class.
type Opener interface {
	// Open makes a view; it is cheap, holds nothing and needs no closing.
	Open(Domain, Class) Store
}
