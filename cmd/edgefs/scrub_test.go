package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

// TestScrubRepairsAndReports spoils the files of a segment that serves, once while another has the content, and once while none does.
func TestScrubRepairsAndReports(t *testing.T) {
	hawaii, tokyo := filepath.Join(t.TempDir(), "hawaii"), filepath.Join(t.TempDir(), "tokyo")
	h, k := serve(t, hawaii), serve(t, tokyo)
	good(t, "-e", tokyo, "link", "join", strings.TrimSpace(good(t, "-e", hawaii, "link", "invite")))
	t.Setenv("EDGEFS_ENDPOINT", hawaii)
	good(t, "bucket", "create", "photos", "--data", "full")
	var files []string
	for i := range 4 {
		files = append(files, string(random(uint64(i), 300<<10)))
		goodWith(t, files[i], "put", "-", fmt.Sprintf("photos/%d", i))
	}
	k.until(t, "tokyo has all", func() bool { return jsonOf[admin.Status](t, "-e", tokyo, "status").Storage.Bytes > 1200<<10 })

	spoil(t, hawaii, files[1][200_000:200_016])
	spoil(t, hawaii, files[2][10:26])
	if out := good(t, "scrub", "run", "--rate", "0"); !strings.Contains(out, "2 damaged") || !strings.Contains(out, "2 chunks repaired") || strings.Contains(out, "LOST") {
		t.Errorf("%s", out)
	}
	for i, want := range files {
		if good(t, "cat", fmt.Sprintf("photos/%d", i)) != want {
			t.Errorf("photos/%d is not what it was", i)
		}
	}

	k.end(t, syscall.SIGTERM)
	spoil(t, hawaii, files[3][100_000:100_016])
	r := edgefs(t, "", "scrub", "run")
	if r.code != 1 || !strings.Contains(r.out, "photos/3 version") || !strings.Contains(r.errs, "1 chunk lost") {
		t.Errorf("exit %d: %s%s", r.code, r.out, r.errs)
	}
	if s := jsonOf[admin.Scrub](t, "scrub", "status"); s.Running || s.LostChunks != 1 || len(s.Lost) != 1 || s.Lost[0].Key != "3" || s.RepairedChunks != 2 {
		t.Errorf("%+v", s)
	}
	serve(t, tokyo)
	h.until(t, "it is repaired when tokyo is back", func() bool {
		return edgefs(t, "", "scrub", "run", "--rate", "0").code == 0
	})
	if good(t, "cat", "photos/3") != files[3] {
		t.Error("photos/3 is not what it was")
	}
	good(t, "scrub", "stop")
	bad(t, 2, "size", "scrub", "run", "--rate", "fast")
}

// spoil changes bytes wherever they lie in the packs of a segment.
func spoil(t *testing.T, dir, what string) {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(dir, "data", "*", "device", "packs", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range packs {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, []byte(what))
		if at < 0 {
			continue
		}
		found++
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{^what[3]}, int64(at)+3); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if found != 1 {
		t.Fatalf("it is in %d packs", found)
	}
}
