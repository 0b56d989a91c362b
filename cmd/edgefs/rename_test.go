package main

import (
	"path/filepath"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

func TestFilesAndDirectoriesAreRenamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "photos")
	for _, key := range []string{"2026/cat.jpg", "2026/may/dog.jpg", "cat.jpg", "pets/felix.jpg"} {
		goodWith(t, key, "put", "-", "photos/"+key)
	}
	for _, c := range []struct {
		status int
		said   string
		args   []string
	}{
		{2, "BUCKET/KEY", []string{"photos", "photos/x"}},
		{2, "two buckets", []string{"photos/cat.jpg", "films/cat.jpg"}},
		{2, "ends in a slash too", []string{"photos/2026/", "photos/archive"}},
		{2, "ends in a slash too", []string{"photos/2026/", "photos"}},
		{3, "no such key", []string{"photos/nothing/", "photos/x/"}},
		{3, "no such key", []string{"photos/nothing", "photos/x"}},
		{1, "--force", []string{"photos/2026/", "photos/pets/"}},
		{1, "--force", []string{"photos/cat.jpg", "photos/2026/"}},
		{1, "holds the other", []string{"photos/2026/", "photos/2026/may/"}},
	} {
		bad(t, c.status, c.said, append([]string{"mv"}, c.args...)...)
	}
	if got := good(t, "mv", "photos/2026/", "photos/archive/"); got != "photos: 2 files moved below archive/\n" {
		t.Errorf("%q", got)
	}
	if got := good(t, "mv", "photos/cat.jpg", "photos/pets/"); got != "photos: cat.jpg is now pets/cat.jpg\n" {
		t.Errorf("%q", got)
	}
	d := jsonOf[renameDoc](t, "mv", "--force", "photos/archive/", "photos/pets/")
	if d != (renameDoc{"photos", admin.Renamed{From: "archive/", To: "pets/", Keys: 2, Versions: 2}}) {
		t.Errorf("%+v", d)
	}
	for key, want := range map[string]string{"pets/cat.jpg": "2026/cat.jpg", "pets/may/dog.jpg": "2026/may/dog.jpg", "pets/felix.jpg": "pets/felix.jpg"} {
		if got := good(t, "cat", "photos/"+key); got != want {
			t.Errorf("%s holds %q", key, got)
		}
	}
}
