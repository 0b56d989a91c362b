package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

// TestDevicesComeAndGo lives through what happens to the disks of a machine, with a real process and real folders.
func TestDevicesComeAndGo(t *testing.T) {
	dir, second, third := filepath.Join(t.TempDir(), "hawaii"), filepath.Join(t.TempDir(), "disk2"), filepath.Join(t.TempDir(), "disk3")
	p := serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "photos")
	var files []string
	put := func(n int) {
		t.Helper()
		for range n {
			name := fmt.Sprintf("photos/%d", len(files))
			files = append(files, string(random(uint64(len(files)), 50<<10)))
			goodWith(t, files[len(files)-1], "put", "-", name)
		}
	}
	wantAll := func() {
		t.Helper()
		for i, want := range files {
			if out := good(t, "cat", fmt.Sprintf("photos/%d", i)); out != want {
				t.Errorf("photos/%d: %d bytes, want %d", i, len(out), len(want))
			}
		}
	}
	put(3)
	first := jsonOf[admin.Devices](t, "device", "list").Devices[0]
	bad(t, 1, "the only device", "device", "remove", first.ID, "--lose", "--yes")
	bad(t, 1, "the only device", "device", "drain", first.ID)
	bad(t, 1, "cannot be added", "device", "add", filepath.Dir(first.Path))
	bad(t, 2, "name the folder from /", "device", "add", "relative")
	bad(t, 3, "no device", "device", "drain", "nonsense")

	good(t, "device", "add", second)
	bad(t, 1, "already", "device", "add", second)
	put(40)
	if on := jsonOf[admin.Devices](t, "device", "list").Devices[1]; on.Chunks == 0 || on.State != admin.DeviceServing || on.Path != second {
		t.Errorf("the second device: %+v", on)
	}
	bad(t, 1, "drain it first", "device", "remove", first.ID[:8])
	if out := good(t, "device", "drain", first.Path); !strings.Contains(out, "is drained") {
		t.Errorf("%q", out)
	}
	put(3)
	good(t, "device", "remove", first.Path)
	p.end(t, syscall.SIGKILL)
	if err := os.RemoveAll(first.Path); err != nil {
		t.Fatal(err)
	}
	p = serve(t, dir)
	wantAll()

	good(t, "device", "add", third)
	put(40)
	good(t, "device", "drain", second)
	good(t, "device", "drain", second, "--stop")
	p.end(t, syscall.SIGKILL)
	if err := os.Rename(third, third+"-unplugged"); err != nil {
		t.Fatal(err)
	}
	p = serve(t, dir)
	missing := jsonOf[admin.Devices](t, "device", "list").Devices[1]
	if missing.State != "missing" || missing.Why == "" {
		t.Errorf("the third device: %+v", missing)
	}
	if out := good(t, "status"); !strings.Contains(out, "MISSING at "+third) {
		t.Errorf("%s", out)
	}
	unavailable := 0
	for i := range files {
		r := edgefs(t, "", "cat", fmt.Sprintf("photos/%d", i))
		if r.code == 4 {
			unavailable++
		} else if r.code != 0 || r.out != files[i] {
			t.Errorf("photos/%d: exit %d: %s", i, r.code, r.errs)
		}
	}
	if unavailable == 0 {
		t.Error("nothing was on the third device")
	}
	bad(t, 1, "cannot be counted", "device", "remove", missing.ID)
	p.end(t, syscall.SIGTERM)
	if err := os.Rename(third+"-unplugged", third); err != nil {
		t.Fatal(err)
	}
	serve(t, dir)
	wantAll()
}

func random(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}
