package segment

import (
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
)

// The errors of the package, to be tested with errors.Is. Those of package chunk (ErrFull, ErrUnavailable, ErrCorrupt) pass through.
var (
	ErrNoSuchBucket    = errors.New("no such bucket")
	ErrBucketExists    = errors.New("bucket exists")
	ErrBucketNotEmpty  = errors.New("bucket is not empty")
	ErrNoSuchKey       = errors.New("no such key")
	ErrNoSuchVersion   = errors.New("no such version")
	ErrPrecondition    = errors.New("precondition failed")
	ErrNoSuchUpload    = errors.New("no such upload")
	ErrInvalidPart     = errors.New("invalid part")
	ErrInvalidName     = errors.New("invalid name")
	ErrInvalidArgument = errors.New("invalid argument")
	ErrNotHome         = errors.New("only the bucket's home does that")
	ErrNoSuchSnapshot  = errors.New("no such snapshot")
	ErrSnapshotExists  = errors.New("snapshot exists")
	ErrReadOnly        = errors.New("a snapshot cannot be changed")
	ErrUnmerged        = errors.New("branch is not merged")
	ErrMergeConflict   = errors.New("merge conflict")
	ErrTargetExists    = errors.New("the target exists")
	// ErrLocked says that a version is kept: by a retention that is not over, or a legal hold.
	ErrLocked = errors.New("locked")
	// ErrNoLocks says that a bucket's settings allow no locks.
	ErrNoLocks         = errors.New("locks are not enabled")
	ErrNotEmptySegment = errors.New("segment holds buckets")
	// ErrNotCopied says that a write is durable at this segment and may show, and that no second segment was heard to have it. Doing it again is
	// right. It comes with ErrUnavailable.
	ErrNotCopied = errors.New("durable here, but no second segment has it yet")
	// ErrUnavailable says that the segment cannot answer now; nothing is known of the outcome of a write.
	ErrUnavailable = errors.New("unavailable")
	ErrClosed      = errors.New("segment is closed")
	// ErrLogCut says that the log no longer holds what a feed asks for: the bucket must be synced.
	ErrLogCut = errors.New("the log is cut there")
	// ErrClockAhead says that a stamp is further ahead of the local clock than the bound allows.
	ErrClockAhead = errors.New("clock too far ahead")
	// ErrQuarantine says that one dot names two writes: merging would lose one of them, so it is refused.
	ErrQuarantine = errors.New("two writes of one name")
	// ErrRefused says that a peer asked for what it was not granted.
	ErrRefused = errors.New("refused")
	// ErrNobody says, of a repair, that no other segment answers at present.
	ErrNobody = errors.New("no other segment answers")
	// ErrForeign says that a directory or file is not what was expected, or of a newer format.
	ErrForeign = errors.New("unknown format")
	// ErrDamaged says that the segment's own state cannot be read as it was written.
	ErrDamaged = errors.New("state damaged")
)

// The errors of chunks, for those who stand on segments and know nothing of chunks.
var (
	ErrFull             = chunk.ErrFull        // no space left
	ErrChunkUnavailable = chunk.ErrUnavailable // payload is elsewhere, and nobody who has it can be asked
	ErrCorrupt          = chunk.ErrCorrupt
)

// MarkerError says that the version asked for is a delete marker. It is ErrNoSuchKey.
type MarkerError struct{ Version Version }

func (e *MarkerError) Error() string { return fmt.Sprintf("%q is deleted", e.Version.Key) }

// Is makes a marker a missing key.
func (e *MarkerError) Is(target error) bool { return target == ErrNoSuchKey }

// DoubtError says that a record cannot be applied before its bucket is synced: something that its writer had seen is missing here.
type DoubtError struct {
	Bucket BucketID
	Item   int // index of the item; those before it are committed
}

func (e *DoubtError) Error() string {
	return fmt.Sprintf("bucket %v must be synced before item %d applies", e.Bucket, e.Item)
}

// StopError says that a record cannot be taken in: a later build wrote it, no segment writes such, or the bucket is damaged here. Nothing
// is the matter with other buckets.
type StopError struct {
	Bucket BucketID
	Item   int // index of the item; those before it are committed
	Err    error
}

func (e *StopError) Error() string {
	return fmt.Sprintf("item %d of bucket %v cannot be taken in: %v", e.Item, e.Bucket, e.Err)
}

// Unwrap gives the reason.
func (e *StopError) Unwrap() error { return e.Err }
