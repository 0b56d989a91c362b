package isgw

import (
	"net"
	"slices"
	"testing"
)

func TestDialableAddresses(t *testing.T) {
	if got := dialable("127.0.0.1:5"); !slices.Equal(got, []string{"127.0.0.1:5"}) {
		t.Errorf("one address: %v", got)
	}
	if got := dialable(""); len(got) != 0 {
		t.Errorf("no listener: %v", got)
	}
	for _, all := range []string{"[::]:5", "0.0.0.0:5"} {
		got := dialable(all)
		if len(got) == 0 {
			t.Errorf("%s: none", all)
		}
		for _, a := range got {
			if host, port, err := net.SplitHostPort(a); err != nil || port != "5" || net.ParseIP(host).IsUnspecified() {
				t.Errorf("%s: %v", all, got)
			}
		}
	}
}
