package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/edgefs/edgefs/internal/admin"
)

// The exit statuses, which docs/ops/cli.md and "edgefs help" list.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitUnavailable = 4
	exitInterrupted = 130 // what shells take Ctrl-C for
)

// The codes of failures: what scripts tell apart. They are stable; docs/ops/cli.md says what each means.
const (
	codeNotFound     = "not_found"
	codeExists       = "exists"
	codePrecondition = "precondition_failed"
	codeConflict     = "conflict"
	codeInvalid      = "invalid_argument"
	codeUnavailable  = "unavailable"
	codeUnreachable  = "unreachable"
	codeDenied       = "denied"
	codeFull         = "full"
	codeCorrupt      = "corrupt"
	codeInterrupted  = "interrupted"
	codeInternal     = "internal"
	codeFailed       = "failed" // none of the above: something of this machine
)

// failure is why a command did not do what it should, as --json tells it.
type failure struct {
	Code    string `json:"code"`
	Reason  string `json:"reason,omitempty"` // the admin API's own code, which tells more
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// explain classifies an error.
func explain(err error) failure {
	f := failure{Code: codeFailed, Message: err.Error()}
	var refused *admin.Error
	var unreachable *admin.Unreachable
	var told *toldError
	var partial *partialError
	switch {
	case errors.As(err, &partial):
		return partial.failure
	case errors.As(err, &told):
		f.Code, f.Hint = told.code, told.hint
	case errors.As(err, new(usageError)):
		f.Code = codeInvalid
	case errors.Is(err, context.Canceled):
		f.Code, f.Message = codeInterrupted, "interrupted"
		if errors.As(err, new(*admin.Undecided)) {
			f.Message, f.Hint = "interrupted: whether what was asked for was done is not known", "look, or ask again"
		}
	case errors.As(err, &refused):
		f.Code, f.Reason, f.Hint = refusalCode(refused.Code), string(refused.Code), refusalHint(refused.Code)
	case errors.Is(err, fs.ErrPermission):
		f.Code = codeDenied
	case errors.As(err, &unreachable):
		f.Code, f.Hint = codeUnreachable, unreachable.Hint
	case errors.Is(err, fs.ErrNotExist):
		f.Code = codeNotFound
	case errors.Is(err, fs.ErrExist):
		f.Code = codeExists
	}
	return f
}

// refusalCode is the code for what a segment refuses. It follows the status that each of the API's codes has, so that a new one is not
// told as a fault of the segment.
func refusalCode(c admin.Code) string {
	if c == admin.Corrupt || c == admin.BadStream {
		return codeCorrupt
	}
	switch c.Status() {
	case http.StatusNotFound:
		return codeNotFound
	case http.StatusConflict:
		if strings.HasSuffix(string(c), "_exists") {
			return codeExists
		}
		return codeConflict
	case http.StatusPreconditionFailed:
		return codePrecondition
	case http.StatusBadRequest, http.StatusRequestedRangeNotSatisfiable:
		return codeInvalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return codeDenied
	case http.StatusInsufficientStorage:
		return codeFull
	case http.StatusServiceUnavailable:
		return codeUnavailable
	}
	return codeInternal
}

// refusalHint is what may be done about a refusal, if there is anything to say.
func refusalHint(c admin.Code) string {
	switch c {
	case admin.NoSuchBucket:
		return "edgefs ls lists the buckets"
	case admin.NoSuchVersion:
		return "edgefs ls --versions lists the versions"
	case admin.NoSuchSnapshot:
		return "edgefs snapshot list lists the snapshots, edgefs log the states that are remembered"
	case admin.NoSuchLink:
		return "edgefs link list lists the links"
	case admin.NoSuchDevice:
		return "edgefs device list lists the devices"
	case admin.DeviceHolds:
		return "edgefs device drain moves it to the others; --lose loses it"
	case admin.BucketNotEmpty:
		return "edgefs rm -r deletes its files, with --all-versions their versions too, edgefs snapshot delete its snapshots"
	case admin.Unmerged:
		return "edgefs merge brings them into its parent, --force gives them up"
	case admin.MergeConflict:
		return "--dry-run lists them; --ours, --theirs, or neither, says what becomes of them"
	case admin.NotHome:
		return "ask that segment; edgefs bucket home moves the home"
	case admin.Locked:
		return "edgefs stat shows the lock"
	case admin.TargetExists:
		return "--force writes over it"
	case admin.BadStream:
		return "edgefs import --dry-run --keep-going says what of it is whole, --keep-going imports that"
	case admin.Full:
		return "free space on the file systems of the segment's devices, or add one: edgefs device add"
	case admin.Unavailable:
		return "try again; edgefs link status tells of the segments that may hold it"
	case admin.Internal:
		return "the segment's log says more"
	}
	return ""
}

// exit is the status for a failure.
func (f failure) exit() int {
	switch f.Code {
	case codeInvalid:
		if f.Reason != "" { // a segment has judged it
			return exitFailed
		}
		return exitUsage
	case codeNotFound:
		return exitNotFound
	case codeUnavailable, codeUnreachable:
		return exitUnavailable
	case codeInterrupted:
		return exitInterrupted
	}
	return exitFailed
}

// writeJSON writes a line {"error": ...}.
func (f failure) writeJSON(w io.Writer) {
	text, err := marshal(map[string]failure{"error": f})
	if err != nil {
		text = []byte(fmt.Sprintf(`{"error":{"code":%q}}`, f.Code))
	}
	fmt.Fprintf(w, "%s\n", text)
}

// write writes a line for people.
func (f failure) write(w io.Writer) {
	text := f.Message
	if f.Hint != "" {
		text += " (" + f.Hint + ")"
	}
	fmt.Fprintf(w, "edgefs: %s\n", printable(text))
}

// toldError is a failure that knows its code.
type toldError struct{ code, message, hint string }

func (e *toldError) Error() string { return e.message }

func failed(code, format string, args ...any) *toldError {
	return &toldError{code: code, message: fmt.Sprintf(format, args...)}
}

// usageError is a command line that cannot be meant.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// marshal is JSON that people can read too: < is written as <.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
