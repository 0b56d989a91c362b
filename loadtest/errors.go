package loadtest

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// ErrRemote says that an endpoint is not a loopback address and nobody allowed that.
var ErrRemote = errors.New("endpoint is not on this machine (allow it with --allow-remote)")

// ResponseError is an answer that says no.
type ResponseError struct {
	Status  int
	Code    string // of the XML body, "" where there is none
	Message string
}

func (e *ResponseError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("status %d", e.Status)
	}
	return fmt.Sprintf("status %d %s: %s", e.Status, e.Code, e.Message)
}

// ConnError is a request without an answer. Nothing is known of its outcome, unless it was not Sent.
type ConnError struct {
	Sent bool // some of the request may have reached the server
	Err  error
}

func (e *ConnError) Error() string {
	if !e.Sent {
		return "not sent: " + e.Err.Error()
	}
	return "no answer: " + e.Err.Error()
}

func (e *ConnError) Unwrap() error { return e.Err }

// WrongError is an answer that is false: bytes that were never written there, an old version, a length, a listing.
type WrongError struct {
	What   string // "corrupt", "stale", "missing", "length", "listing", "deleted"
	Key    string
	Offset int64 // of the first wrong byte, where there is one
	Detail string
}

func (e *WrongError) Error() string {
	if e.What == "corrupt" {
		return fmt.Sprintf("corrupt: %s at offset %d: %s", e.Key, e.Offset, e.Detail)
	}
	return fmt.Sprintf("%s: %s: %s", e.What, e.Key, e.Detail)
}

// codeOf is the name under which an error is counted.
func codeOf(err error) string {
	var wrong *WrongError
	var response *ResponseError
	var conn *ConnError
	var timeout net.Error
	switch {
	case errors.As(err, &wrong):
		return wrong.What
	case errors.As(err, &response) && response.Code != "":
		return response.Code
	case errors.As(err, &response):
		return strconv.Itoa(response.Status)
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &conn):
		return "connection"
	}
	return "other"
}
