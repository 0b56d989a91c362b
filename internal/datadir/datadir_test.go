package datadir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/internal/vfs"
)

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestNewDirectoryIsClosedToOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := open(t, path)
	for _, p := range []string{path, d.Keys()} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", p, info.Mode(), err)
		}
	}
}

func TestSecondOpenIsRefusedUntilTheFirstCloses(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	if _, err := Open(path); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("got %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestForeignDirectoryIsLeftAlone(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		want             error
	}{
		{"other files", "thesis.tex", "words", ErrForeign},
		{"another marker", markerName, "something else\n", ErrForeign},
		{"a newer format", markerName, markerAny + "2\n", ErrNewer},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := t.TempDir()
			if err := os.WriteFile(filepath.Join(path, c.file), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if entries, err := os.ReadDir(path); err != nil || len(entries) != 1 {
				t.Fatalf("the directory now holds %v, %v", entries, err)
			}
		})
	}
}

func TestInterruptedMakingIsCompleted(t *testing.T) {
	for _, left := range []map[string]string{
		{lockName: ""},
		{lockName: "", markerName + partSuffix: "half"},
		{lockName: "", markerName: marker},
	} {
		path := t.TempDir()
		for name, text := range left {
			if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d := open(t, path)
		if text, err := os.ReadFile(d.Path(markerName)); err != nil || string(text) != marker {
			t.Errorf("%v: %q, %v", left, text, err)
		}
		if _, err := d.S3Key(); err != nil {
			t.Errorf("%v: %v", left, err)
		}
	}
}

func TestFileInPlaceOfTheDirectoryIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil {
		t.Fatal("opened")
	}
}

func TestKeysAreMadeOnceAndForTheOwnerOnly(t *testing.T) {
	d := open(t, t.TempDir())
	one, err := d.S3Key()
	if err != nil {
		t.Fatal(err)
	}
	if two, err := d.S3Key(); err != nil || one != two || len(one.AccessKey) != 18 || len(one.SecretKey) != 40 {
		t.Fatalf("%d and %d characters, the same: %v, %v", len(one.AccessKey), len(one.SecretKey), one == two, err)
	}
	if _, certificate, err := d.AdminCertificate("hawaii"); err != nil {
		t.Fatal(err)
	} else if key, err := d.AdminKey(certificate); err != nil || key.Certificate != certificate {
		t.Fatal(key.Certificate, err)
	} else if other, err := d.AdminKey(""); err != nil || other.Token != key.Token || other.Certificate != "" {
		t.Fatal("another certificate made another token", err)
	}
	files, err := filepath.Glob(filepath.Join(d.Keys(), "*"))
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
}

func TestDamagedKeysAreNeverReplaced(t *testing.T) {
	d := open(t, t.TempDir())
	path := filepath.Join(d.Keys(), "s3.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.S3Key(); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "{" {
		t.Fatalf("now %q", text)
	}
}
