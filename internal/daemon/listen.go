package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/edgefs/edgefs/internal/config"
)

// port is an address that the configuration names, and the flag that changes it.
type port struct {
	purpose string
	flag    string
	address string
}

// listen takes the port, or returns nil when it is off.
func (p port) listen(ctx context.Context) (net.Listener, error) {
	if p.address == config.Off {
		return nil, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", p.address)
	if err != nil {
		return nil, p.fault(err)
	}
	return l, nil
}

// fault says what to do about an address that cannot be listened on.
func (p port) fault(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s for %s is taken by another process: name another address with %s HOST:PORT, or end that process", p.address, p.purpose, p.flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s for %s needs rights that this process does not have: name a port from 1024 on with %s HOST:PORT", p.address, p.purpose, p.flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s for %s is not an address of this machine: name another with %s HOST:PORT", p.address, p.purpose, p.flag)
	}
	return fmt.Errorf("listen for %s: %w (%s changes the address)", p.purpose, err, p.flag)
}

// reachable is an address that a client on this machine can dial, for a listener on all addresses too.
func reachable(address string) string {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, p)
}
