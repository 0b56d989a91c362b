package document_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/internal/document"
)

var kind = document.Kind{Name: "test document", Version: 1}

func TestSavedDocumentIsLoaded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "new", "doc")
	if _, err := document.Load(vfs.OS{}, name, kind); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("missing: %v", err)
	}
	for _, body := range []string{"first, which is longer", "second", ""} {
		if err := document.Save(vfs.OS{}, name, kind, []byte(body)); err != nil {
			t.Fatal(err)
		}
		got, err := document.Load(vfs.OS{}, name, kind)
		if err != nil || string(got) != body {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestAnyChangedByteIsNoticed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "doc")
	if err := document.Save(vfs.OS{}, name, kind, []byte("body")); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 4
		check(t, name, bad)
		check(t, name, good[:i])
	}
}

func check(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := document.Load(vfs.OS{}, name, kind); !errors.Is(err, document.ErrDamaged) {
		t.Fatalf("%q: %v", content, err)
	}
}
