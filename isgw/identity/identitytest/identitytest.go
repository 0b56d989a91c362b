// Package identitytest makes federations for tests.
package identitytest

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/segment"
)

// Federation makes one segment for each name; the first is the founder.
func Federation(t testing.TB, names ...string) []*identity.Identity {
	t.Helper()
	founder, err := identity.Found(names[0], rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := identity.OpenAuthority(vfs.OS{}, t.TempDir(), founder, time.Now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := []*identity.Identity{founder}
	for _, name := range names[1:] {
		all = append(all, join(t, a, name))
	}
	return all
}

func join(t testing.TB, a *identity.Authority, name string) *identity.Identity {
	t.Helper()
	token, err := a.Invite(time.Hour, []string{"unused:1"})
	if err != nil {
		t.Fatal(err)
	}
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	here, there := Pipe()
	done := make(chan error, 1)
	go func() {
		_, _, err := a.Serve("", there)
		done <- err
	}()
	id, err := token.Join(here, name, segment.ID(binary.BigEndian.Uint64(b[:])), nil, rand.Reader)
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	return id
}

// Pipe is a connection in memory.
func Pipe() (a, b io.ReadWriter) {
	ar, bw := io.Pipe()
	br, aw := io.Pipe()
	return readWriter{ar, aw}, readWriter{br, bw}
}

type readWriter struct {
	io.Reader
	io.Writer
}
