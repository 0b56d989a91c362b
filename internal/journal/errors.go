package journal

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed says that the journal was closed.
	ErrClosed = errors.New("journal closed")
	// ErrCut says that records asked for were given up by Cut.
	ErrCut = errors.New("records were cut from the journal")
	// ErrFull says that the disk has no room for the record. It was not queued; the journal goes on when there is room.
	ErrFull = errors.New("no space left for the journal")
	// ErrMissing says that records that must be there are not.
	ErrMissing = errors.New("records are missing from the journal")
	// ErrDamaged says that bytes on the disk are not what was written there. The error is a *DamagedError.
	ErrDamaged = errors.New("journal damaged")
	// ErrTooLarge says that a record exceeds MaxRecord.
	ErrTooLarge = errors.New("record too large for the journal")
)

// DamagedError says where the damage is.
type DamagedError struct {
	File   string
	Offset int64
	Reason string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("journal file %s is damaged at offset %d: %s", e.File, e.Offset, e.Reason)
}

// Is makes the error an ErrDamaged.
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }
