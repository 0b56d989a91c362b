package clients_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// largeSize is that of an object which clients send in parts and copy in parts: odd, and more than two of the usual 8 MiB.
const largeSize = 17<<20 + 4321

// bytesOf are n bytes that depend on the seed alone and that nothing compresses or deduplicates.
func bytesOf(seed string, n int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprintf("%s %d", seed, n))
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// file writes a file of n bytes below dir.
func file(t *testing.T, dir, name string, n int) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	write(t, path, bytesOf(t.Name()+name, n))
	return path
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// oddNames are those that signatures, encodings and listings get wrong.
func oddNames() []string {
	return []string{
		"plain.txt", "with space.txt", " begins with one", "ends with one ", "two  spaces", "plus+and&ampersand.txt", "percent%20literal%2F%zz",
		"hash#mark", "question?mark=x&y", "equals=comma,semicolon;colon:at@", "quote'single", `quote"double`, "paren(s)[brackets]{braces}", "star*bang!dollar$",
		"tilde~caret^backtick`", `back\slash`, "less<greater>pipe|", "ünïcödé.txt", "e\u0301 decomposed", "\u00e9 composed", "日本語/ファイル.txt", "emoji 😀.bin",
		".hidden", "..two dots", "dir/sub/deep/leaf", "dir.with.dots/x", "dir with space/y z", "dir+plus/a", "a-dir/x", "a-dir.txt", "a-dir0",
		strings.Repeat("long", 60),
	}
}

// plant makes a tree of files with odd names, and of all small sizes that matter, below dir.
func plant(t *testing.T, dir string) {
	t.Helper()
	for i, name := range oddNames() {
		file(t, dir, name, 100+i)
	}
	for _, n := range []int{0, 1, 4 << 10, 32 << 10, 32<<10 + 1, 1<<20 + 7} {
		file(t, dir, fmt.Sprintf("sizes/%d", n), n)
	}
}

// contents reads all files below dir.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		found[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// sameTree compares all files below two folders.
func sameTree(t *testing.T, got, want string) {
	t.Helper()
	g, w := contents(t, got), contents(t, want)
	for _, name := range slices.Sorted(maps.Keys(w)) {
		b, ok := g[name]
		switch {
		case !ok:
			t.Errorf("%q did not come back", name)
		case !bytes.Equal(b, w[name]):
			t.Errorf("%q came back other than it was: %d bytes of %d", name, len(b), len(w[name]))
		}
		delete(g, name)
	}
	for _, name := range slices.Sorted(maps.Keys(g)) {
		t.Errorf("%q came back, and never was", name)
	}
	if len(w) == 0 {
		t.Errorf("nothing to compare in %s", want)
	}
}

// sameFile compares a file with another.
func sameFile(t *testing.T, got, want string) {
	t.Helper()
	sameBytes(t, read(t, got), read(t, want))
}

func sameBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	t.Errorf("%d bytes, want %d; the first %d are the same", len(got), len(want), n)
}

// fetch reads a URL as a browser does, without credentials.
func fetch(t *testing.T, url string) []byte {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v %.400s", url, res.Status, err, b)
	}
	return b
}

// has fails unless a client's output has each of the words.
func has(t *testing.T, out string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in\n%s", w, tail(out))
		}
	}
}

// hasNot fails if a client's output has one of the words.
func hasNot(t *testing.T, out string, words ...string) {
	t.Helper()
	for _, w := range words {
		if strings.Contains(out, w) {
			t.Errorf("there is %q in\n%s", w, tail(out))
		}
	}
}

// soon waits until what one site wrote has come to the other.
func soon(t *testing.T, what string, reached func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !reached() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}

// bucketCount numbers buckets, as tests may run more than once against the same segments.
var bucketCount atomic.Int64

// bucketName is a name that no other test has.
func bucketName(t *testing.T) string {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(strings.TrimPrefix(t.Name(), "Test")))
	return fmt.Sprintf("%s-%d", name, bucketCount.Add(1))
}
