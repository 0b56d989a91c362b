package main

import (
	"os"
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

	list := jsonOf[struct {
		Conflicts      []inConflict
		Total, Dropped int64
	}](t, "conflicts", "list", "photos/k")
	all := list.Conflicts
	if list.Total != 1 || list.Dropped != 0 {
		t.Errorf("totals %+v", list)
	}
	if got := good(t, "conflicts", "photos/other"); got != "0 of 1 conflict\n" {
		t.Errorf("below another prefix %q", got)
	}
	if len(all) != 1 || all[0].Key != "k" || len(all[0].Losers) != 1 || all[0].Current.Segment != "tokyo" {
		t.Fatalf("%+v", all)
	}
	bad(t, 2, "--keep current", "conflicts", "resolve", "photos/k")
	bad(t, 2, "say --yes", "conflicts", "resolve", "photos/k", "--keep", "current")
	bad(t, 3, "not in conflict", "conflicts", "resolve", "photos/other", "--keep", "current", "--yes")
	bad(t, 1, "not a version id", "conflicts", "resolve", "photos/k", "--keep", "this", "--yes")
	shown := jsonOf[shownConflict](t, "conflicts", "show", "photos/k")
	if len(shown.Versions) != 2 || !shown.Versions[0].Current || *shown.Versions[1].Here != int64(len("hawaii's")) || shown.Versions[1].Segment != "hawaii" {
		t.Errorf("shown %+v", shown)
	}
	text := good(t, "conflicts", "show", "photos/k")
	for i, v := range shown.Versions {
		to := filepath.Join(t.TempDir(), "out")
		for _, want := range []string{v.Get, v.Keep, v.ETag, shown.Merge} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
		args := strings.Fields(v.Get)
		good(t, append(args[1:len(args)-1], to)...)
		if got, err := os.ReadFile(to); string(got) != []string{"tokyo's", "hawaii's"}[i] {
			t.Errorf("%s reads %q, %v", v.Get, got, err)
		}
	}
	bad(t, 3, "not in conflict", "conflicts", "show", "photos/other")
	bad(t, 2, "say --keep newest", "conflicts", "resolve", "photos", "--all", "--yes")
	bad(t, 2, "say --yes", "conflicts", "resolve", "photos", "--all", "--keep", "newest")
	if got := good(t, "conflicts", "resolve", "photos/other", "--all", "--keep", "newest"); got != "0 conflicts settled\n" {
		t.Errorf("below another prefix %q", got)
	}
	good(t, strings.Fields(shown.Versions[1].Keep + " --yes")[1:]...)
	if got := good(t, "cat", "photos/k"); got != "hawaii's" {
		t.Errorf("kept %q", got)
	}
	if got := good(t, "conflicts"); got != "no conflicts\n" {
		t.Errorf("%q", got)
	}
	k.until(t, "tokyo agrees", func() bool { return good(t, "-e", tokyo, "cat", "photos/k") == "hawaii's" })
	k.end(t, syscall.SIGTERM)
	goodWith(t, "hawaii's", "put", "-", "photos/l")
	if err := h.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	k = serve(t, tokyo)
	goodWith(t, "tokyo's", "-e", tokyo, "put", "-", "photos/l")
	if err := h.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	k.until(t, "hawaii knows of the next conflict", func() bool { return good(t, "conflicts") != "no conflicts\n" })
	if got := good(t, "conflicts", "resolve", "photos", "--all", "--keep", "newest", "--yes"); got != "1 conflict settled\n" {
		t.Errorf("all: %q", got)
	}
	if got := good(t, "conflicts") + good(t, "cat", "photos/l"); got != "no conflicts\ntokyo's" {
		t.Errorf("after all were settled: %q", got)
	}
	bad(t, 3, "not in conflict", "-e", tokyo, "conflicts", "resolve", "photos/k", "--keep", "current", "--yes")
}
