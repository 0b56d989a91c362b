// Package transport is how two segments reach each other: connections of many streams, between members whose certificates were verified.
//
// Package quicnet is the real one. Package memnet is one in memory whose connections a test can cut and heal, under real or virtual time.
package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/segment"
)

var (
	// ErrRefused says that one side does not accept the other: a certificate of another federation, another segment than was dialled,
	// or a peer that was removed.
	ErrRefused = errors.New("peer refused")
	// ErrVersion says that the two sides have no version of the protocol in common.
	ErrVersion = errors.New("no common version of the link protocol")
	// ErrUnreached says that nobody answered, or not who was wanted, at any address.
	ErrUnreached = errors.New("peer not reached")
	// ErrLost says that a connection ended because the other side was not heard of any more.
	ErrLost = errors.New("peer not heard of")
	// ErrClosed says that this side has closed.
	ErrClosed = errors.New("transport closed")
)

// Net opens connections and takes those of others. Its methods are safe for concurrent use.
type Net interface {
	// Dial connects to the segment want at an address. It fails with ErrRefused when another one answers there.
	Dial(ctx context.Context, addr string, want segment.ID) (Conn, error)
	// Accept waits for the next connection of a member.
	Accept(ctx context.Context) (Conn, error)
	// Addr is where others can dial; empty when nothing listens.
	Addr() string
	// Close ends all connections and waits for what the Net has started.
	Close() error
}

// Conn is a connection to one peer. Its methods are safe for concurrent use.
type Conn interface {
	// Peer is who is at the other end, by its certificate.
	Peer() identity.Member
	// Addr is the other end's address.
	Addr() string
	// Dialed says whether this side dialled.
	Dialed() bool
	Open(ctx context.Context) (Stream, error)
	Accept(ctx context.Context) (Stream, error)
	// Close ends the connection and all its streams and tells the peer why. Only the first one counts.
	Close(code Code, why string)
	// Context ends with the connection; its cause is a [CloseError], or ErrLost.
	Context() context.Context
	Stats() Stats
}

// Stream is a pair of byte streams, one each way. One goroutine may read while another writes.
type Stream interface {
	io.Reader
	io.Writer
	// CloseWrite says that nothing more will be written. It does not wait, and is harmless after the peer has given up reading.
	CloseWrite()
	// Abort gives up both directions: pending and later calls here and there fail. What was written before CloseWrite and received is not
	// taken back. Every stream must be aborted in the end, after a complete exchange too.
	Abort()
}

// Stats count a connection.
type Stats struct {
	Sent, Received uint64        // bytes, all included that the transport counts
	RTT            time.Duration // smoothed; 0 when not known
}

// Code is why a side closed a connection. Its numbers are the protocol's.
type Code uint64

const (
	Leaving   Code = iota // the side stops, or the link was removed there
	Duplicate             // another connection to the same peer is kept
	Refused               // the peer is not wanted
	Version               // no common version
	Protocol              // the peer broke the protocol
	Lost                  // the peer was not heard of
)

// CloseError is how a connection ended.
type CloseError struct {
	Code   Code
	Why    string
	Remote bool // the other side closed
}

func (e *CloseError) Error() string {
	who := "closed here"
	if e.Remote {
		who = "closed by the peer"
	}
	return fmt.Sprintf("%s: %s", who, e.Why)
}

// Is maps codes to the errors of the package.
func (e *CloseError) Is(target error) bool {
	switch target {
	case ErrRefused:
		return e.Code == Refused
	case ErrVersion:
		return e.Code == Version
	case ErrLost:
		return e.Code == Lost
	case ErrClosed:
		return e.Code == Leaving && !e.Remote
	}
	return false
}
