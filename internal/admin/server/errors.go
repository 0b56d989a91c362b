package server

import (
	"errors"
	"fmt"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

// codes is the one table from the segment's errors to the API's; the first that matches counts.
func codes() []struct {
	err  error
	code admin.Code
} {
	return []struct {
		err  error
		code admin.Code
	}{
		{segment.ErrNoSuchBucket, admin.NoSuchBucket},
		{segment.ErrNoSuchSnapshot, admin.NoSuchSnapshot},
		{segment.ErrSnapshotExists, admin.SnapshotExists},
		{segment.ErrReadOnly, admin.ReadOnly},
		{segment.ErrLocked, admin.Locked},
		{segment.ErrNoLocks, admin.NoLocks},
		{segment.ErrUnmerged, admin.Unmerged},
		{segment.ErrMergeConflict, admin.MergeConflict},
		{segment.ErrTargetExists, admin.TargetExists},
		{segment.ErrBucketExists, admin.BucketExists},
		{segment.ErrBucketNotEmpty, admin.BucketNotEmpty},
		{segment.ErrNoSuchVersion, admin.NoSuchVersion},
		{segment.ErrNoSuchKey, admin.NoSuchKey},
		{segment.ErrPrecondition, admin.Precondition},
		{segment.ErrNotHome, admin.NotHome},
		{segment.ErrStream, admin.BadStream},
		{segment.ErrClockAhead, admin.Unavailable},
		{segment.ErrInvalidName, admin.Invalid},
		{segment.ErrInvalidArgument, admin.Invalid},
		{dedup.ErrParams, admin.Invalid},
		{chunk.ErrFull, admin.Full},
		{chunk.ErrUnavailable, admin.Unavailable},
		{chunk.ErrCorrupt, admin.Corrupt},
		{chunk.ErrNotFound, admin.Unavailable},
		{segment.ErrCollecting, admin.Unavailable},
		{segment.ErrUnavailable, admin.Unavailable},
		{segment.ErrClosed, admin.Unavailable},
	}
}

// refusal is err as the API says it.
func refusal(err error) *admin.Error {
	var known *admin.Error
	if errors.As(err, &known) {
		return known
	}
	for _, c := range codes() {
		if errors.Is(err, c.err) {
			return &admin.Error{Code: c.code, Message: err.Error()}
		}
	}
	return &admin.Error{Code: admin.Internal, Message: err.Error()}
}

func invalid(format string, args ...any) error {
	return &admin.Error{Code: admin.Invalid, Message: fmt.Sprintf(format, args...)}
}
