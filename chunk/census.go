package chunk

import "context"

// Census is a place that tells all that it holds. Only accounting receives it: it is no part of [Store].
type Census interface {
	// Copies yields each copy that the place holds, in any order, from one goroutine: twice where two devices have it. What is put or removed meanwhile may be
	// left out, and so is what lies on devices that cannot be asked. An error of yield ends it, and is returned as it is.
	Copies(ctx context.Context, domains []Domain, yield func(Copy) error) error
}

// Copy is a chunk in one place.
type Copy struct {
	ID     ID
	Domain int // which of those that were given; -1: another
	Class  Class
	Size   int64 // of the chunk, in bytes
	Stored int64 // bytes that it takes of its file, with all that belongs to it
}
