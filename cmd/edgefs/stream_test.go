package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/edgefs/edgefs/internal/admin"
)

// versionsOf are a bucket's versions, but for who wrote them: that has a name only in the federation that it was written in.
func versionsOf(t *testing.T, bucket string) []admin.Object {
	t.Helper()
	all := jsonOf[struct{ Objects []admin.Object }](t, "ls", "--versions", "--recursive", bucket).Objects
	for i := range all {
		all[i].Segment = ""
	}
	return all
}

// A bucket goes to a segment of another federation as a file, and is there what it was.
func TestABucketIsCarriedAsAFile(t *testing.T) {
	base := t.TempDir()
	here, there := filepath.Join(base, "hawaii"), filepath.Join(base, "maui")
	serve(t, here)
	serve(t, there)
	t.Setenv("EDGEFS_ENDPOINT", here)
	good(t, "bucket", "create", "photos", "--versioning", "enabled", "--locks")
	noise := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	goodWith(t, string(noise), "put", "-", "photos/large")
	goodWith(t, string(noise)+"more", "put", "--meta", "colour=blue", "-", "photos/large")
	goodWith(t, "small", "put", "-", "photos/small")
	good(t, "tag", "photos/small", "a=b")
	good(t, "lock", "--legal-hold", "photos/small")
	good(t, "rm", "photos/large")

	file := filepath.Join(base, "photos.edgefs")
	if out := good(t, "export", "photos", file); !strings.Contains(out, "4 versions of 6.0 MiB") {
		t.Errorf("export says %q", out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if r := edgefs(t, "", "export", "photos"); r.out != string(text) || !strings.HasPrefix(r.errs, "3.0 MiB: 4 versions") {
		t.Errorf("%d bytes on standard output, %d in the file; it says %q", len(r.out), len(text), r.errs)
	}
	bad(t, 1, "exists", "export", "photos", file)
	bad(t, 3, "no such bucket", "export", "nothing", filepath.Join(base, "nothing"))
	bad(t, 2, "a part of one", "export", "photos/large", filepath.Join(base, "nothing"))
	said := jsonOf[exported](t, "export", "photos", "-f", file)
	if said.Size != int64(len(text)) || said.Versions != 4 || said.Logical < said.Bytes || len(said.Hash) != 64 {
		t.Errorf("%+v", said)
	}
	want := versionsOf(t, "photos")
	if len(want) != 4 {
		t.Fatalf("%+v", want)
	}

	t.Setenv("EDGEFS_ENDPOINT", there)
	if c := jsonOf[checkedStream](t, "import", "--dry-run", file); c.Versions != 4 || c.Chunks != said.Chunks || c.Current {
		t.Errorf("%+v", c)
	}
	bad(t, 2, "into which bucket", "import", file)
	bad(t, 3, "no such file", "import", file+"x", "copied")
	bad(t, 2, "has no / or @", "import", file, "copied/x")
	i := jsonOf[admin.Imported](t, "import", file, "copied")
	if i.Versions != 4 || i.NewChunks != i.Chunks || i.Bucket.Name != "copied" || !i.Bucket.HomeHere || !i.Bucket.Settings.Locks {
		t.Errorf("%+v", i)
	}
	home := jsonOf[[]admin.Bucket](t, "bucket", "list")
	if len(home) != 1 || home[0].Settings.Versioning != "enabled" {
		t.Errorf("%+v", home)
	}
	if diff := cmp.Diff(want, versionsOf(t, "copied")); diff != "" {
		t.Error(diff)
	}
	if got := good(t, "cat", "copied/small"); got != "small" {
		t.Errorf("%q", got)
	}
	if r := edgefs(t, "", "export", "copied"); r.out != string(text) {
		t.Errorf("%d bytes of what was imported, %d before", len(r.out), len(text))
	}
	bad(t, 1, "bucket exists", "import", file, "copied")
	if r := edgefs(t, string(text), "import", "-", "again", "--json"); r.code != 0 || !strings.Contains(r.out, `"newChunks": 0`) {
		t.Errorf("%+v", r)
	}

	text[len(text)/2] ^= 1
	if err := os.WriteFile(file, text, 0o666); err != nil {
		t.Fatal(err)
	}
	bad(t, 1, "the stream is damaged", "import", file, "broken")
	bad(t, 1, "checksum of frame", "import", "--dry-run", file)
	bad(t, 1, "left out: large", "import", "--keep-going", file, "broken")
	if got := good(t, "cat", "broken/small"); got != "small" {
		t.Errorf("%q", got)
	}
	bad(t, 1, "not a stream", "import", os.Args[0], "program")
	if names, err := filepath.Glob(filepath.Join(base, ".edgefs-*")); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}
