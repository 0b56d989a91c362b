package segment

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgefs/edgefs/chunk"
)

// Versioning says what becomes of the versions that a write replaces.
type Versioning uint8

const (
	// Unversioned buckets keep one version of a key; it has no id.
	Unversioned Versioning = iota
	// Versioned buckets keep all; each has an id.
	Versioned
	// Suspended buckets keep those that have an id, and one without.
	Suspended
)

// String is "off", "enabled" or "suspended".
func (v Versioning) String() string {
	switch v {
	case Versioned:
		return "enabled"
	case Suspended:
		return "suspended"
	}
	return "off"
}

// MarshalText writes what [Versioning.String] says.
func (v Versioning) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads "off", "enabled" or "suspended".
func (v *Versioning) UnmarshalText(b []byte) error {
	for _, known := range []Versioning{Unversioned, Versioned, Suspended} {
		if known.String() == string(b) {
			*v = known
			return nil
		}
	}
	return fmt.Errorf("versioning %q: want off, enabled or suspended: %w", b, ErrInvalidArgument)
}

// Settings is a bucket's one document. Its home alone changes it; it travels in the bucket's own causal order.
type Settings struct {
	Versioning Versioning `json:"versioning"`
	// Full makes every segment keep all payload durably; else it comes when it is read.
	Full bool `json:"full"`
	// EagerBytes is the size up to which payload is fetched as soon as it is known of. 0: when it is read.
	EagerBytes int64 `json:"eagerBytes"`
	// Policy is what readers see of a conflict.
	Policy Policy `json:"policy"`
	// Ack is when a write is acknowledged.
	Ack Ack `json:"ack"`
	// Losers bound what conflicts keep.
	Losers LoserBounds `json:"conflicts"`
	// Home is the one life of a segment that changes the settings and, under the policy Home, makes all writes. Zero: any life of the segment
	// that made the bucket. [Bucket.MoveHome] and [Bucket.TakeHome] alone change it.
	Home Origin `json:"-"`
	// Locks allow to lock versions: see [Bucket.Lock].
	Locks LockSettings `json:"locks,omitzero"`

	// Compression is how content that is written from now on is stored, where it is not held already.
	Compression chunk.Compression `json:"compression"`

	// Snapshots are taken by themselves, at the bucket's home.
	Snapshots Schedule `json:"snapshots,omitempty"`

	unknown string // fields of later builds; a string, so that settings compare with ==
}

// DefaultEagerBytes is the eager size of a bucket whose creator chose none.
const DefaultEagerBytes = 4096

// DefaultSettings are those of a bucket whose creator chose none.
func DefaultSettings() Settings {
	return Settings{EagerBytes: DefaultEagerBytes, Losers: LoserBounds{Keep: DefaultKeepLosers, Days: DefaultLoserDays}}
}

func (s Settings) validate() error {
	switch {
	case s.Versioning > Suspended, s.Policy > Home, s.Ack > Copies, s.Compression > chunk.Fast:
		return fmt.Errorf("settings that this build does not know: %w", ErrInvalidArgument)
	case s.EagerBytes < 0:
		return fmt.Errorf("%d eager bytes: %w", s.EagerBytes, ErrInvalidArgument)
	case !s.Losers.valid():
		return fmt.Errorf("%d losers of a key kept for %d days: each is 0, for no bound, to %d: %w", s.Losers.Keep, s.Losers.Days, maxLoserBound, ErrInvalidArgument)
	}
	return s.Locks.validate(s.Versioning)
}

// homed says whether a build that knows of no homes but the bucket's first would get the settings wrong.
func (s Settings) homed() bool { return s.Policy == Home || s.Home != (Origin{}) }

// settingsRecord is a register: the newest write counts.
type settingsRecord struct {
	Settings
	by VersionID
}

func (s settingsRecord) newer(t settingsRecord) settingsRecord {
	if s.by.Compare(t.by) >= 0 {
		return s
	}
	return t
}

func (s Settings) appendTo(b []byte) []byte {
	b = putUint(b, 1, uint64(s.Versioning))
	b = putBool(b, 2, s.Full)
	b = putUint(b, 3, uint64(s.EagerBytes))
	b = putUint(b, 4, uint64(s.Policy))
	if s.Home != (Origin{}) {
		b = putPart(b, 5, func(b []byte) []byte { return appendOrigin(b, s.Home) })
	}
	b = putUint(b, 7, uint64(s.Ack))
	b = putSome(b, 8, s.Losers.appendTo)
	b = putSome(b, 9, s.Snapshots.appendTo)
	b = putSome(b, settingsFieldLocks, s.Locks.appendTo)
	b = putUint(b, settingsFieldCompression, uint64(s.Compression))
	return append(b, s.unknown...)
}

const (
	settingsFieldLocks       = 10
	settingsFieldCompression = 11
)

func parseSettings(b []byte) (s Settings, err error) {
	err = eachField("settings", b, func(f field) error {
		switch {
		case f.num == 1 && f.typ == protowire.VarintType && f.n <= uint64(Suspended):
			s.Versioning = Versioning(f.n)
		case f.num == 2 && f.typ == protowire.VarintType:
			s.Full = f.n == 1
		case f.num == 3 && f.typ == protowire.VarintType && f.n < 1<<62:
			s.EagerBytes = int64(f.n)
		case f.num == 4 && f.typ == protowire.VarintType && f.n <= uint64(Home):
			s.Policy = Policy(f.n)
		case f.num == 5 && f.typ == protowire.BytesType:
			o, rest, ok := takeOrigin(f.b)
			if !ok || len(rest) > 0 || o.Segment == 0 {
				s.unknown += string(f.raw)
				return nil
			}
			s.Home = o
		case f.num == 7 && f.typ == protowire.VarintType && f.n <= uint64(Copies):
			s.Ack = Ack(f.n)
		case f.num == 8 && f.typ == protowire.BytesType:
			losers, err := parseLoserBounds(f.b)
			if err != nil { // of a later build: kept, as any field that is not understood
				s.unknown += string(f.raw)
				return nil
			}
			s.Losers = losers
		case f.num == 9 && f.typ == protowire.BytesType:
			schedule, err := parseScheduleField(f.b)
			if err != nil {
				s.unknown += string(f.raw)
				return nil
			}
			s.Snapshots = schedule
		case f.num == settingsFieldLocks && f.typ == protowire.BytesType:
			locks, err := parseLockSettings(f.b)
			if err != nil {
				s.unknown += string(f.raw)
				return nil
			}
			s.Locks = locks
		case f.num == settingsFieldCompression && f.typ == protowire.VarintType && f.n <= uint64(chunk.Fast):
			s.Compression = chunk.Compression(f.n)
		default:
			s.unknown += string(f.raw)
		}
		return nil
	})
	return s, err
}

func (s settingsRecord) appendTo(b []byte) []byte {
	b = putPart(b, 1, s.Settings.appendTo)
	return putPart(b, 2, s.by.appendTo)
}

func parseSettingsRecord(b []byte) (s settingsRecord, err error) {
	err = eachField("settings", b, func(f field) (err error) {
		switch f.num {
		case 1:
			s.Settings, err = parseSettings(f.b)
		case 2:
			s.by, err = parseVersionID(f.b)
		}
		return err
	})
	return s, err
}
