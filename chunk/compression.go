package chunk

import (
	"context"
	"fmt"
)

// Compression is a wish of how payload is stored. It changes neither names nor what is read, so a place may do otherwise.
type Compression uint8

const (
	// Off stores payload as it is.
	Off Compression = iota
	// Fast stores payload as blocks of S2, where that saves a tenth.
	Fast
)

// String is "off" or "fast".
func (c Compression) String() string {
	if c == Fast {
		return "fast"
	}
	return "off"
}

// MarshalText writes what [Compression.String] says.
func (c Compression) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads "off" or "fast".
func (c *Compression) UnmarshalText(b []byte) error {
	for _, known := range []Compression{Off, Fast} {
		if known.String() == string(b) {
			*c = known
			return nil
		}
	}
	return fmt.Errorf("compression %q: want off or fast", b)
}

// Wishing is a store whose Put wishes, of each chunk, what wish says then.
func Wishing(s Store, wish func() Compression) Store { return wishing{s, wish} }

type wishing struct {
	Store
	wish func() Compression
}

// Put is [Store].
func (s wishing) Put(ctx context.Context, chunks []Chunk) error {
	w := s.wish()
	if w == Off {
		return s.Store.Put(ctx, chunks)
	}
	wished := make([]Chunk, len(chunks))
	for i, c := range chunks {
		wished[i] = c.Wishing(w)
	}
	return s.Store.Put(ctx, wished)
}
