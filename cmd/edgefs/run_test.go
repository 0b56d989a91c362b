package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

// freePorts finds a first port for run. Somebody else may take one of them meanwhile: then run says so, and the test tries others.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if port > 65535-12 {
			continue
		}
		sites := []site{{"hawaii", "", port}, {"tokyo", "", port + 10}}
		if checkPorts(sites) == nil {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

func TestTwoSitesThatAreKilledAndStopped(t *testing.T) {
	dir := t.TempDir()
	hawaii, tokyo := filepath.Join(dir, "hawaii"), filepath.Join(dir, "tokyo")
	port := strconv.Itoa(freePorts(t))
	p := start(t, "run", "--dir", dir, "--port", port)
	told := func() bool { return strings.Contains(p.log.String(), "Ctrl-C") }
	p.until(t, "tells how to try it", told)

	good(t, "-e", hawaii, "bucket", "create", "greetings")
	goodWith(t, "aloha", "put", "-e", hawaii, "-", "greetings/aloha")
	p.until(t, "what one site wrote is read at the other", func() bool {
		return edgefs(t, "", "-e", tokyo, "cat", "greetings/aloha").out == "aloha"
	})

	before := jsonOf[admin.Status](t, "-e", hawaii, "status").Started
	owner, err := os.ReadFile(filepath.Join(hawaii, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(owner)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.until(t, "the killed site is back", func() bool {
		r := edgefs(t, "", "-e", hawaii, "cat", "greetings/aloha")
		return r.out == "aloha"
	})
	if after := jsonOf[admin.Status](t, "-e", hawaii, "status").Started; !after.After(before) {
		t.Error("it was not killed")
	}
	if code := p.end(t, os.Interrupt); code != 0 {
		t.Errorf("Ctrl-C: exit %d", code)
	}

	// The next start finds the data, and the link.
	p = start(t, "run", "--dir", dir, "--port", port)
	p.until(t, "tells how to try it, again", func() bool { return strings.Contains(p.log.String(), "Ctrl-C") })
	if got := good(t, "-e", tokyo, "cat", "greetings/aloha"); got != "aloha" {
		t.Errorf("%q", got)
	}
	if l := jsonOf[[]admin.Link](t, "-e", tokyo, "link", "list"); len(l) != 1 || l[0].Name != "hawaii" {
		t.Errorf("%+v", l)
	}
	if code := p.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit %d", code)
	}
}

func TestRunNamesATakenPort(t *testing.T) {
	port := freePorts(t)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+10)))
	if err == nil { // else somebody else has taken it meanwhile, which is as good
		defer l.Close()
	}
	bad(t, 1, "for S3 of tokyo is taken: name other ports with --port", "run", "--dir", t.TempDir(), "--port", strconv.Itoa(port))
}

func TestOnlyASegmentWithoutBucketsCanJoin(t *testing.T) {
	hawaii, tokyo := filepath.Join(t.TempDir(), "hawaii"), filepath.Join(t.TempDir(), "tokyo")
	serve(t, hawaii)
	serve(t, tokyo)
	good(t, "-e", tokyo, "bucket", "create", "mine")
	invitation := strings.TrimSpace(good(t, "-e", hawaii, "link", "invite"))
	bad(t, 1, "holds buckets", "-e", tokyo, "link", "join", invitation)
	good(t, "-e", tokyo, "bucket", "delete", "--yes", "mine")
	good(t, "-e", tokyo, "link", "join", invitation)
	bad(t, 1, "only the segment that founded", "-e", tokyo, "link", "invite")
	good(t, "-e", hawaii, "link", "remove", "--yes", "tokyo")
}
