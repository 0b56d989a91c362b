package isgw

import (
	"net"
	"net/netip"
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
