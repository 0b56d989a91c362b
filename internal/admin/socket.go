package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
)

// SocketName is the unix socket in a data directory.
const SocketName = "admin.sock"

// maxSocketPath is what fits into a socket address on all systems.
const maxSocketPath = 100

// DialSocket connects to the socket of a data directory.
func DialSocket(ctx context.Context, dir string) (net.Conn, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	return new(net.Dialer).DialContext(ctx, "unix", path)
}

// ListenSocket makes the socket of a data directory, which its caller has locked: a socket that is there belongs to nobody. Only the user
// who owns it can connect, from the first moment: it gets its mode in a folder that is closed to others.
func ListenSocket(dir string) (*net.UnixListener, error) {
	closed := filepath.Join(dir, ".admin")
	if err := os.RemoveAll(closed); err != nil {
		return nil, err
	}
	if err := os.Mkdir(closed, 0o700); err != nil {
		return nil, err
	}
	defer os.Remove(closed)
	path, done, err := socketPath(closed)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it moves
	err = os.Chmod(path, 0o600)
	if err == nil {
		err = os.Rename(filepath.Join(closed, SocketName), filepath.Join(dir, SocketName))
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// socketPath is a path to the socket that is short enough for the system, valid until done.
func socketPath(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, SocketName)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("the path %s is too long for a socket: use a directory with a shorter name", path)
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), SocketName), func() { d.Close() }, nil
}
