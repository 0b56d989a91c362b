package segment

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Policy says what becomes of writes that are made at two segments at once: who may make them, and what readers see. It never decides what is
// kept: the state is the same function of the writes under each.
type Policy uint8

const (
	// Newest shows the newest version of a key; the others are kept, and listed as conflicts.
	Newest Policy = iota
	// KeepBoth also shows each open loser as a file beside the key: see [LoserName].
	KeepBoth
	// Home lets the bucket's home make all writes, so that there are no conflicts: see [Settings.Home].
	Home
)

func policies() []Policy { return []Policy{Newest, KeepBoth, Home} }

// String is "newest", "keep-both" or "home".
func (p Policy) String() string {
	switch p {
	case KeepBoth:
		return "keep-both"
	case Home:
		return "home"
	}
	return "newest"
}

// MarshalText writes what [Policy.String] says.
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads "newest", "keep-both" or "home".
func (p *Policy) UnmarshalText(b []byte) error {
	for _, known := range policies() {
		if known.String() == string(b) {
			*p = known
			return nil
		}
	}
	return fmt.Errorf("policy %q: want newest, keep-both or home: %w", b, ErrInvalidArgument)
}

// Ack says when a write is acknowledged.
type Ack uint8

const (
	// Local acknowledges what is durable at the segment that was written to.
	Local Ack = iota
	// Copies acknowledges what a second segment holds durably, the record and its payload.
	Copies
)

// String is "local" or "copies".
func (a Ack) String() string {
	if a == Copies {
		return "copies"
	}
	return "local"
}

// MarshalText writes what [Ack.String] says.
func (a Ack) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads "local" or "copies".
func (a *Ack) UnmarshalText(b []byte) error {
	for _, known := range []Ack{Local, Copies} {
		if known.String() == string(b) {
			*a = known
			return nil
		}
	}
	return fmt.Errorf("ack %q: want local or copies: %w", b, ErrInvalidArgument)
}

// LoserBounds bound the open losers of each key. The bucket's home takes away what is beyond them; nothing else takes a loser away that
// nobody resolved. Zero is no bound.
type LoserBounds struct {
	Keep int `json:"keep"` // losers of a key, the newest
	Days int `json:"days"` // since the home first saw that a version lost
}

// The bounds of a bucket whose creator chose none. A bucket that an earlier build made has none: its users were told that losers stay.
const (
	DefaultKeepLosers = 16
	DefaultLoserDays  = 30
)

const maxLoserBound = 1 << 20

func (l LoserBounds) valid() bool {
	return l.Keep >= 0 && l.Keep <= maxLoserBound && l.Days >= 0 && l.Days <= maxLoserBound
}

func (l LoserBounds) appendTo(b []byte) []byte {
	return putUint(putUint(b, 1, uint64(l.Keep)), 2, uint64(l.Days))
}

func parseLoserBounds(b []byte) (l LoserBounds, err error) {
	err = eachField("bounds of losers", b, func(f field) error {
		if f.typ != protowire.VarintType || f.n == 0 || f.n > maxLoserBound {
			return badFormat("bounds of losers")
		}
		switch f.num {
		case 1:
			l.Keep = int(f.n)
		case 2:
			l.Days = int(f.n)
		default:
			return badFormat("bounds of losers")
		}
		return nil
	})
	return l, err
}
