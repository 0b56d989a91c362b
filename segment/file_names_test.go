package segment

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// oddPieces are what names and components are made of in tests: whatever means something, and something that does not.
var oddPieces = []string{"", "a", "b", ".", "..", "%~", "%~@", "%~!", "%~=", "%~+", "%~&", "=", "@", "!", "%", "%00", "%25", "%E9", "%2E", "\x00", "é", "日本", "\xe9", "\xff\xfe", "\xc3", "\xa9",
	strings.Repeat("x", 100), strings.Repeat("é", 120), strings.Repeat("日", 85), strings.Repeat("%", 90), strings.Repeat("\xe9", 60), strings.Repeat("\x00", 30)}

func oddText(rng *rand.Rand) string {
	var b strings.Builder
	for range 1 + rng.IntN(5) {
		b.WriteString(oddPieces[rng.IntN(len(oddPieces))])
	}
	return b.String()
}

// TestNamesAndKeysAreInverse: each key has one path, which leads back to it; each path has one key, which leads back to it, or is refused.
func TestNamesAndKeysAreInverse(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		checkKeyComesBack(t, strings.ToValidUTF8(oddText(rng)+strings.Repeat("/", rng.IntN(3))+oddText(rng), "?"))
		checkPathComesBack(t, oddText(rng)+"/"+oddText(rng))
	}
}

func FuzzNames(f *testing.F) {
	for _, p := range oddPieces {
		f.Add(p + "/" + p)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkKeyComesBack(t, strings.ToValidUTF8(s, "?"))
		checkPathComesBack(t, s)
	})
}

func checkKeyComesBack(t *testing.T, key string) {
	t.Helper()
	if key == "" || len(key) > MaxKey || reserved(key) {
		return
	}
	for _, beside := range []bool{false, true} {
		path := PathOfKey(key, beside)
		for _, name := range strings.Split(path, "/") {
			if name == "" || name == "." || name == ".." || len(name) > maxName || strings.Contains(name, "\x00") {
				t.Fatalf("key %q is shown as %q, of which %q is no file name", key, path, name)
			}
		}
		p, err := parsePath(path)
		if err != nil || p.key != key || p.beside != beside || p.goesOn {
			t.Fatalf("key %q is shown as %q, and that is %+v, %v", key, path, p, err)
		}
	}
}

func checkPathComesBack(t *testing.T, path string) {
	t.Helper()
	p, err := parsePath(path)
	if err != nil || p.key == rootKey || p.goesOn {
		return
	}
	if !utf8.ValidString(p.key) || len(p.key) > MaxKey {
		t.Fatalf("path %q is key %q", path, p.key)
	}
	if again := PathOfKey(p.key, p.beside); again != path {
		t.Fatalf("path %q is key %q, and that is shown as %q", path, p.key, again)
	}
}

func TestOddKeysHaveNames(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ key, path string }{
		{"a/b.txt", "a/b.txt"},
		{"50%25 off~", "50%25 off~"},
		{"a//b", "a/%~@/b"},
		{"/a", "%~@/a"},
		{"a/", "a/%~@"},
		{"a/../b/.", "a/%~@../b/%~@."},
		{"a\x00b", "%~@a%00b"},
		{"%~!caf%E9", "caf\xe9"},
		{"%~=!caf%E9", "%~!caf%E9"},
		{"%~@.", "%~=@."},
		{"%~@", "%~=@"},
		{"%~@x", "%~@x"},
		{"x%~+", "%~@x%25~+"},
		{"x%~&/y", "%~@x%25~&/y"},
		{long + "/y", long[:252] + "%~+/" + long[252:] + "/y"},
	} {
		if got := PathOfKey(c.key, false); got != c.path {
			t.Errorf("%q is shown as %q, want %q", c.key, got, c.path)
		}
		checkKeyComesBack(t, c.key)
		checkPathComesBack(t, c.path)
	}
	if got := PathOfKey("d/a", true); got != "d/a%~&" {
		t.Errorf("an object beside a directory is %q", got)
	}
}

func TestPathsThatAreNone(t *testing.T) {
	for _, path := range []string{"/a", "a/", "a//b", ".", "a/..", "a\x00", "a%~&/b", "x%~+/y"} {
		if p, err := parsePath(path); err == nil {
			t.Errorf("%q is %+v", path, p)
		}
	}
	for _, path := range []string{strings.Repeat("x", 256), strings.Repeat("\xe9", 255) + "/" + strings.Repeat("\xe9", 100), strings.Repeat(strings.Repeat("x", 200)+"/", 6) + "x"} {
		if p, err := parsePath(path); !errors.Is(err, ErrNameTooLong) {
			t.Errorf("%d bytes are the path of %d, %v", len(path), len(p.key), err)
		}
	}
}
