package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestConflictIsSettled makes two segments write one key without knowing of each other.
func TestConflictIsSettled(t *testing.T) {
	hawaii, tokyo := filepath.Join(t.TempDir(), "hawaii"), filepath.Join(t.TempDir(), "tokyo")
	h, k := serve(t, hawaii), serve(t, tokyo)
	good(t, "-e", tokyo, "link", "join", strings.TrimSpace(good(t, "-e", hawaii, "link", "invite")))
	t.Setenv("EDGEFS_ENDPOINT", hawaii)
	good(t, "bucket", "create", "photos")
	k.until(t, "the bucket is at tokyo", func() bool { return edgefs(t, "", "-e", tokyo, "ls", "photos").code == 0 })

	k.end(t, syscall.SIGTERM)
	goodWith(t, "hawaii's", "put", "-", "photos/k")
	if err := h.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	k = serve(t, tokyo)
	goodWith(t, "tokyo's", "-e", tokyo, "put", "-", "photos/k")
	if err := h.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	k.until(t, "hawaii knows of the conflict", func() bool { return good(t, "conflicts") != "no conflicts\n" })

	all := jsonOf[[]inConflict](t, "conflicts", "photos")
	if len(all) != 1 || all[0].Key != "k" || len(all[0].Losers) != 1 || all[0].Current.Segment != "tokyo" {
		t.Fatalf("%+v", all)
	}
	bad(t, 2, "--keep current", "conflicts", "resolve", "photos/k")
	bad(t, 2, "say --yes", "conflicts", "resolve", "photos/k", "--keep", "current")
	bad(t, 3, "not in conflict", "conflicts", "resolve", "photos/other", "--keep", "current", "--yes")
	bad(t, 1, "not a version id", "conflicts", "resolve", "photos/k", "--keep", "this", "--yes")
	good(t, "conflicts", "resolve", "photos/k", "--keep", all[0].Losers[0].Version, "--yes")
	if got := good(t, "cat", "photos/k"); got != "hawaii's" {
		t.Errorf("kept %q", got)
	}
	if got := good(t, "conflicts"); got != "no conflicts\n" {
		t.Errorf("%q", got)
	}
	k.until(t, "tokyo agrees", func() bool { return good(t, "-e", tokyo, "cat", "photos/k") == "hawaii's" })
	bad(t, 3, "not in conflict", "-e", tokyo, "conflicts", "resolve", "photos/k", "--keep", "current", "--yes")
}
