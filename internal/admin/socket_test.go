package admin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketIsForItsOwnerAndReplacesALeftOne(t *testing.T) {
	for _, deep := range []string{".", strings.Repeat("long", 30)} {
		dir := filepath.Join(t.TempDir(), deep)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second finds the first one's socket, as after a crash
			l, err := ListenSocket(dir)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(filepath.Join(dir, SocketName))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Fatal(info, err)
			}
			c, err := DialSocket(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			l.Close()
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("left in the directory: %v, %v", entries, err)
		}
	}
}
