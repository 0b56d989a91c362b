package isgw

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/edgefs/edgefs/segment"
)

// maxAddresses bounds what is told of a machine with many interfaces.
const maxAddresses = 8

// dialable are the addresses at which others reach who listens at addr: those of the machine's interfaces, when it listens at all of them.
func dialable(addr string) []string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsUnspecified() {
		return []string{addr}
	}
	var out, own []string
	all, _ := net.InterfaceAddrs() // without any there is still this machine
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		switch {
		case !ok:
		case n.IP.IsGlobalUnicast():
			out = append(out, net.JoinHostPort(n.IP.String(), port))
		case n.IP.IsLoopback():
			own = append(own, net.JoinHostPort(n.IP.String(), port))
		}
	}
	if len(out) == 0 {
		out = own
	}
	return out[:min(len(out), maxAddresses)]
}

// reach is how far away an address can be dialled from.
type reach int

const (
	nowhere reach = iota // it is no address to dial
	sameMachine
	elsewhere // as far as the address itself tells
)

func reachOf(addr string) (reach, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" || host == "" && port == "0" {
		return nowhere, fmt.Errorf("address %q: want HOST:PORT: %w", addr, segment.ErrInvalidArgument)
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", port == "0", err == nil && ip.IsUnspecified():
		return nowhere, nil
	case err == nil && ip.IsLoopback(), host == "localhost", strings.HasSuffix(host, ".localhost"):
		return sameMachine, nil
	}
	return elsewhere, nil
}

// Doubts are what speaks against the addresses of an invitation, for people to read; none when another machine may reach one of them.
func Doubts(addresses []string) (doubts []string) {
	best := nowhere
	for _, a := range addresses {
		r, _ := reachOf(a)
		if r == nowhere {
			doubts = append(doubts, fmt.Sprintf("nobody can dial %s", a))
		}
		best = max(best, r)
	}
	if best == sameMachine {
		doubts = append(doubts, fmt.Sprintf("%s is this machine only: a segment on another one cannot join", strings.Join(addresses, ", ")))
	}
	return doubts
}
