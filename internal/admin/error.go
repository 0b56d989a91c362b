package admin

import "net/http"

// Code is what went wrong, for programs.
type Code string

// The codes, each with its one HTTP status.
const (
	NoSuchBucket   Code = "no_such_bucket"
	BucketExists   Code = "bucket_exists"
	BucketNotEmpty Code = "bucket_not_empty"
	NoSuchKey      Code = "no_such_key"
	NoSuchVersion  Code = "no_such_version"
	NoSuchLink     Code = "no_such_link"
	NoSuchDevice   Code = "no_such_device"
	DeviceHolds    Code = "device_holds" // chunks that no other device does
	DeviceTaken    Code = "device_taken" // by something that is not to be touched
	LastDevice     Code = "last_device"  // that takes writes
	NoSuchSnapshot Code = "no_such_snapshot"
	SnapshotExists Code = "snapshot_exists"
	ReadOnly       Code = "read_only"
	Locked         Code = "locked"
	NoLocks        Code = "no_locks"
	Unmerged       Code = "unmerged"
	MergeConflict  Code = "merge_conflict"
	TargetExists   Code = "target_exists"
	Precondition   Code = "precondition_failed"
	NotHome        Code = "not_home"
	Invalid        Code = "invalid"
	BadRange       Code = "bad_range"
	BadStream      Code = "bad_stream" // what was to be imported is damaged, or no stream
	Unauthorized   Code = "unauthorized"
	NotFound       Code = "not_found"
	Full           Code = "full"
	Corrupt        Code = "corrupt"
	Unavailable    Code = "unavailable"
	Internal       Code = "internal"
)

// Status is the HTTP status of an answer with the code.
func (c Code) Status() int {
	switch c {
	case NoSuchBucket, NoSuchKey, NoSuchVersion, NoSuchLink, NoSuchDevice, NoSuchSnapshot, NotFound:
		return http.StatusNotFound
	case BucketExists, BucketNotEmpty, NotHome, SnapshotExists, ReadOnly, Locked, NoLocks, Unmerged, MergeConflict, TargetExists, DeviceHolds, DeviceTaken, LastDevice:
		return http.StatusConflict
	case Precondition:
		return http.StatusPreconditionFailed
	case Invalid, BadStream:
		return http.StatusBadRequest
	case BadRange:
		return http.StatusRequestedRangeNotSatisfiable
	case Unauthorized:
		return http.StatusUnauthorized
	case Full:
		return http.StatusInsufficientStorage
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Error is an answer that is a refusal. Two errors of one code are the same to errors.Is.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"` // for people: what was wrong, with the names involved
}

func (e *Error) Error() string { return e.Message }

// Is says whether target is an Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// failure is the document that carries an Error.
type failure struct {
	Error Error `json:"error"`
}
