// Package clients_test drives S3 clients as their users do, with their default settings, against two linked segments that run as processes
// of their own, and compares what comes back, byte by byte. A client that is not installed is skipped ("make deps" installs all).
package clients_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// both are the segments that all tests share. They are there before the first test, or the tests are skipped.
var both *pair

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	// A segment dies with the thread that started it, so that none outlives a test that was killed. This thread lives to the end.
	runtime.LockOSThread()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "clients")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(dir)
	if both, err = startPair(dir); err != nil {
		return failed(err)
	}
	code := m.Run()
	if err := both.stop(); err != nil {
		code = failed(err)
	}
	if code != 0 {
		both.tellLogs(os.Stderr)
	}
	return code
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "clients:", err)
	return 1
}

// sites are the two segments, for a test that runs beside others.
func sites(t *testing.T) (hawaii, tokyo *site) {
	t.Helper()
	if both == nil {
		t.Skip("real clients take minutes: left out of short runs")
	}
	t.Parallel()
	return both.hawaii, both.tokyo
}

// root is the folder of the module.
func root() string { return filepath.Join("..", "..") }
