package rot_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/edgefs/edgefs/test/demo/rot"
)

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestSpoilFlipsOneBitInEachCopyAndNothingElse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	one, two, absent, short := random(r, 1000), random(r, rot.Window), random(r, 2*rot.Window), random(r, rot.Window-1)
	// A copy lies across the place where two reads of a large file meet.
	large := random(r, 9<<20)
	copy(large[100:], one)
	copy(large[4<<20-500:], one)
	copy(large[len(large)-len(two):], two)
	small := append(bytes.Clone(two), short...)

	dir := t.TempDir()
	files := map[string][]byte{"large": large, "sub/small": small, "sub/empty": nil}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	copies, err := rot.Spoil(t.Context(), dir, []rot.Target{{"one", one}, {"two", two}, {"absent", absent}, {"short", short}})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"one": 2, "two": 2}; !maps.Equal(copies, want) {
		t.Errorf("damaged %v, want %v", copies, want)
	}
	for name, want := range map[string]int{"large": 3, "sub/small": 1, "sub/empty": 0} {
		after, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := different(files[name], after); got != want {
			t.Errorf("%s differs in %d bytes, want %d", name, got, want)
		}
	}
	again, err := rot.Spoil(t.Context(), dir, []rot.Target{{"one", one}, {"two", two}})
	if err != nil || len(again) != 0 {
		t.Errorf("damaged again: %v, %v", again, err)
	}
}

func different(a, b []byte) (n int) {
	if len(a) != len(b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
