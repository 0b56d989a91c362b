package tree_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/edgefs/edgefs/test/demo/tree"
)

// files makes a directory of n texts and a file that is none.
func files(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content []byte) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a/binary", []byte{1, 0, 2})
	for i := range n {
		var text bytes.Buffer
		for line := range i + 1 {
			fmt.Fprintf(&text, "file %d, line %d\n", i, line)
		}
		write(fmt.Sprintf("b/%d/text", i), text.Bytes())
	}
	return dir
}

func scan(t *testing.T, dir string) *tree.Tree {
	t.Helper()
	tr, err := tree.Scan(t.Context(), dir, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestScanKnowsNamesSizesAndETags(t *testing.T) {
	tr := scan(t, files(t, 3))
	var names []string
	var bytes int64
	for _, f := range tr.Files {
		content, err := f.Content()
		if err != nil {
			t.Fatal(err)
		}
		if f.Size != int64(len(content)) || f.ETag != tree.ETag(content) {
			t.Errorf("%s is %d bytes, %s, but holds %d, %s", f.Name, f.Size, f.ETag, len(content), tree.ETag(content))
		}
		names, bytes = append(names, f.Name), bytes+f.Size
	}
	if want := []string{"a/binary", "b/0/text", "b/1/text", "b/2/text"}; !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
	if tr.Bytes != bytes {
		t.Errorf("%d bytes in all, want %d", tr.Bytes, bytes)
	}
	if got := tr.Largest().Name; got != "b/2/text" {
		t.Errorf("the largest is %s", got)
	}
	if got := tree.ETag([]byte("hello")); got != "5d41402abc4b2a76b9719d911017c592" { // RFC 1321's md5 of it
		t.Errorf("ETag of hello is %s", got)
	}
}

func TestEditedChangesSomeFilesAlwaysTheSame(t *testing.T) {
	tr := scan(t, files(t, 200))
	next, names, err := tr.Edited(10, 7)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 20 {
		t.Errorf("%d files were edited, want 20", len(names))
	}
	var changed []string
	for i, f := range next.Files {
		if f.ETag != tr.Files[i].ETag {
			changed = append(changed, f.Name)
		}
		if content := mustContent(t, f); f.ETag != tree.ETag(content) || f.Size != int64(len(content)) {
			t.Errorf("%s is not what it holds", f.Name)
		}
	}
	slices.Sort(names)
	if !slices.Equal(changed, names) {
		t.Errorf("changed are %q, named %q", changed, names)
	}
	again, _, err := tr.Edited(10, 7)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range again.Files {
		if f.ETag != next.Files[i].ETag {
			t.Errorf("%s was edited in another way the second time", f.Name)
		}
	}
}

func mustContent(t *testing.T, f tree.File) []byte {
	t.Helper()
	b, err := f.Content()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTarHoldsTheTreeAndItsSizeIsKnown(t *testing.T) {
	tr, _, err := scan(t, files(t, 20)).Edited(5, 1)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tr.WriteTar(&b); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != tr.TarSize() {
		t.Errorf("the archive has %d bytes, announced %d", b.Len(), tr.TarSize())
	}
	archive := tar.NewReader(&b)
	for _, f := range tr.Files {
		h, err := archive.Next()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil || h.Name != f.Name || !bytes.Equal(content, mustContent(t, f)) {
			t.Errorf("%s is in the archive as %s with %d bytes, %v", f.Name, h.Name, len(content), err)
		}
	}
	if _, err := archive.Next(); err != io.EOF {
		t.Errorf("the archive goes on: %v", err)
	}
}
