package main

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

func TestFilesThroughTheCommandLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "photos", "--versioning", "enabled")
	file := fileWith(t, "cat.txt", "meow")

	t.Run("a name is taken from the file", func(t *testing.T) {
		good(t, "put", file, "photos/2026/")
		if got := good(t, "cat", "photos/2026/cat.txt"); got != "meow" {
			t.Errorf("%q", got)
		}
		if o := jsonOf[admin.Object](t, "stat", "photos/2026/cat.txt"); !strings.HasPrefix(o.Meta["content-type"], "text/plain") || o.Segment != "hawaii" {
			t.Errorf("%+v", o)
		}
	})
	t.Run("standard input", func(t *testing.T) {
		goodWith(t, "from a pipe", "put", "-", "photos/pipe", "--meta", "Color=blue", "--content-type", "text/plain")
		if o := jsonOf[admin.Object](t, "stat", "photos/pipe"); o.Meta["x-amz-meta-color"] != "blue" || o.Size != 11 {
			t.Errorf("%+v", o)
		}
	})
	t.Run("what is no header is no metadata", func(t *testing.T) {
		for _, flags := range [][]string{{"--meta", "a b=c"}, {"--meta", "a=b\nc"}, {"--content-type", "text/plain\r\nx: y"}} {
			bad(t, 1, "HTTP has no such", append([]string{"put", file, "photos/odd"}, flags...)...)
		}
		bad(t, 3, "no such key", "stat", "photos/odd")
	})
	t.Run("ranges", func(t *testing.T) {
		goodWith(t, "0123456789", "put", "-", "photos/digits")
		for span, want := range map[string]string{"0-3": "0123", "8-": "89", "-2": "89", "3-3": "3", "5-100": "56789"} {
			if got := good(t, "cat", "--range", span, "photos/digits"); got != want {
				t.Errorf("%s: %q, want %q", span, got, want)
			}
		}
		bad(t, 1, "the range begins at byte 10", "cat", "--range", "10-", "photos/digits")
	})
	t.Run("versions", func(t *testing.T) {
		goodWith(t, "old", "put", "-", "photos/v")
		old := jsonOf[admin.Object](t, "stat", "photos/v").Version
		goodWith(t, "new", "put", "-", "photos/v")
		if got := good(t, "cat", "--version", old, "photos/v"); got != "old" {
			t.Errorf("%q", got)
		}
		good(t, "rm", "photos/v")
		bad(t, 3, "deleted", "cat", "photos/v")
		if out := good(t, "ls", "--versions", "photos/v"); strings.Count(out, "\n") != 3 || !strings.Contains(out, "deleted") {
			t.Errorf("%s", out)
		}
		good(t, "rm", "--yes", "--version", old, "photos/v")
		bad(t, 3, "no such version", "cat", "--version", old, "photos/v")
	})
	t.Run("conditions", func(t *testing.T) {
		goodWith(t, "1", "put", "-", "photos/lock", "--if-absent")
		bad(t, 1, "precondition failed", "put", file, "photos/lock", "--if-absent")
	})
	t.Run("what is not there", func(t *testing.T) {
		bad(t, 3, "no such bucket", "ls", "none")
		bad(t, 3, "no such key", "cat", "photos/none")
		bad(t, 1, "bucket exists", "bucket", "create", "photos")
		bad(t, 1, "not empty", "bucket", "delete", "--yes", "photos")
		bad(t, 3, "no link with tokyo", "link", "status", "tokyo")
		bad(t, 3, "no link", "link", "remove", "--yes", "tokyo")
		bad(t, 1, "not an invitation", "link", "join", "nonsense")
	})
	t.Run("a local file is replaced only when that is wanted", func(t *testing.T) {
		to := fileWith(t, "there", "mine")
		bad(t, 1, "say --force", "get", "photos/digits", to)
		good(t, "get", "--force", "photos/digits", to)
		if b, _ := os.ReadFile(to); string(b) != "0123456789" {
			t.Errorf("%q", b)
		}
	})
}

func TestDirectoriesGoThereAndBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	from, to := t.TempDir(), t.TempDir()
	content := map[string]string{"a": "1", "b/c": strings.Repeat("x", 100<<10), "b/d/e": "", "big": rand.Text() + strings.Repeat("y", 3<<20)}
	for name, text := range content {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good(t, "bucket", "create", "trees")
	bad(t, 2, "say --recursive", "put", from, "trees/t/")
	good(t, "put", "-r", from, "trees/t")
	for _, args := range [][]string{{"ls", "--json", "trees"}, {"ls", "--json", "-r", "trees"}, {"ls", "--json", "trees/none"}} {
		var doc struct {
			Objects  []admin.Object
			Prefixes []string
		}
		if out := good(t, args...); json.Unmarshal([]byte(out), &doc) != nil || len(args) == 3 && (len(doc.Prefixes) == 0) == (args[2] == "trees") {
			t.Errorf("%q: %s", args, out)
		}
	}
	if out := good(t, "ls", "trees"); !strings.Contains(out, "t/") || strings.Contains(out, "t/a") {
		t.Errorf("folded: %s", out)
	}
	good(t, "get", "-r", "trees/t/", to)
	bad(t, 3, "nothing is below trees/none/", "get", "-r", "trees/none/", to)
	bad(t, 2, "would both be stored as trees/a", "put", "-r", from, from, "trees/")
	for name, text := range content {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if d := jsonOf[removalDoc](t, "rm", "-r", "--yes", "trees/t/"); len(d.Deleted) != len(content) {
		t.Errorf("deleted %v", d)
	}
	good(t, "bucket", "delete", "--yes", "trees")
	if out := good(t, "verify"); !strings.Contains(out, "0 versions read") {
		t.Errorf("%s", out)
	}
}

// A key that names a place outside of the target folder is no path.
func TestKeysCannotLeaveTheTargetDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "trap")
	goodWith(t, "x", "put", "-", "trap/t/../../escaped")
	to := filepath.Join(t.TempDir(), "deep")
	goodWith(t, "good", "put", "-", "trap/t/z")
	bad(t, 1, "no path below a directory", "get", "-r", "trap/t/", to)
	if _, err := os.Stat(filepath.Join(to, "..", "escaped")); err == nil {
		t.Error("it escaped")
	}
	if b, err := os.ReadFile(filepath.Join(to, "z")); string(b) != "good" {
		t.Errorf("what follows it: %q, %v", b, err)
	}
}
