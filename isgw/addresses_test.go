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

func TestDoubtsAboutAnInvitation(t *testing.T) {
	for _, c := range []struct {
		addresses []string
		doubts    int
	}{
		{[]string{"10.0.0.1:9001"}, 0},
		{[]string{"site-a.example.com:9001", "127.0.0.1:9001"}, 0},
		{[]string{"127.0.0.1:9001"}, 1},
		{[]string{"[::1]:9001", "localhost:9001"}, 1},
		{[]string{"0.0.0.0:9001"}, 1},
		{[]string{"[::]:9001", ":9001", "10.0.0.1:0"}, 3},
		{[]string{"0.0.0.0:9001", "127.0.0.1:9001"}, 2},
	} {
		if got := Doubts(c.addresses); len(got) != c.doubts {
			t.Errorf("%v: %q", c.addresses, got)
		}
	}
	for _, a := range []string{"", "10.0.0.1", "host", "::1:", "a:b:c"} {
		if _, err := reachOf(a); err == nil {
			t.Errorf("%q is taken", a)
		}
	}
}
