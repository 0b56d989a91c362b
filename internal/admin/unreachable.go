package admin

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"
)

// Unreachable is a call that got no answer, or not all of it. What a call without an answer asked for may have been done, unless Unsent.
type Unreachable struct {
	Message string // for people: who did not answer, and how that showed
	Hint    string // what they can do about it; may be empty
	Unsent  bool   // nobody took the call
	Err     error  // what the system said; nil when time went by and nothing was said
}

func (u *Unreachable) Error() string {
	if u.Err != nil {
		return fmt.Sprintf("%s: %v", u.Message, u.Err)
	}
	return u.Message
}

// Unwrap is what the system said.
func (u *Unreachable) Unwrap() error { return u.Err }

// errSilent ends a call that waited for too long.
var errSilent = errors.New("no answer")

// unreachable explains why there was no answer.
func (c *Client) unreachable(method string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	local := c.token == ""
	switch {
	case local && (errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)):
		return &Unreachable{Message: "no segment runs in " + c.where, Hint: "start it with: edgefs serve " + c.where, Unsent: true}
	case local && errors.Is(err, syscall.EAGAIN): // the queue of connections that wait is full
		return &Unreachable{Message: "the segment in " + c.where + " takes no more connections: its process is stopped or hangs", Hint: hungHint, Unsent: true}
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: %w", c.where, err)
	}
	if method == http.MethodGet && errors.Is(err, io.ErrUnexpectedEOF) { // of an answer that had begun: what was sent until then is right
		return &Unreachable{Message: "the answer of " + c.where + " breaks off: it could not read the rest, or has ended", Hint: "its log says why; edgefs verify looks for damage", Err: err}
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		return &Unreachable{Message: c.where, Hint: "is the address right, and does the segment run?", Unsent: true, Err: err}
	}
	return &Unreachable{Message: c.where + outcome(method), Err: err}
}

const hungHint = "look at its log, continue or restart it; --timeout says how long to wait"

// silent says that nothing came for too long.
func (c *Client) silent(method string, limit time.Duration) error {
	return &Unreachable{
		Message: fmt.Sprintf("no word from the segment at %s for %v: its process is stopped or hangs%s", c.where, limit, outcome(method)),
		Hint:    hungHint,
	}
}

// outcome is what a caller must know of a call without an answer that would have changed something.
func outcome(method string) string {
	if method == http.MethodGet {
		return ""
	}
	return " (whether it did what it was asked is not known)"
}

// Undecided is a call that its caller gave up on, by its context, after it had asked for a change and before there was an answer: whether that was made is not known.
type Undecided struct{ Err error }

func (u *Undecided) Error() string { return u.Err.Error() + outcome(http.MethodPost) }

// Unwrap is why the caller gave up.
func (u *Undecided) Unwrap() error { return u.Err }
