package main

import (
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/edgefs/edgefs/internal/finding"
	"github.com/edgefs/edgefs/internal/fsck"
)

// stopped is a segment with some files, whose process has ended.
func stopped(t *testing.T, sig os.Signal) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hawaii")
	p := serve(t, dir)
	good(t, "-e", dir, "bucket", "create", "photos")
	for i, size := range []int{10, 40_000, 300_000, 2 << 20} {
		goodWith(t, string(random(uint64(i), size)), "-e", dir, "put", "-", "photos/"+string(rune('a'+i)))
	}
	good(t, "-e", dir, "snapshot", "create", "photos@monday")
	goodWith(t, "new", "-e", dir, "put", "-", "photos/a")
	p.end(t, sig)
	return dir
}

func TestFsckOfASoundSegment(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		dir := stopped(t, sig)
		before := contentOf(t, dir)
		for _, flags := range [][]string{nil, {"--data"}} {
			r := jsonOf[fsck.Report](t, append([]string{"fsck", dir}, flags...)...)
			if r.Damage != 0 || r.Versions < 4 || r.Records < 30 || r.Devices != 1 {
				t.Errorf("%v, %v: %+v", sig, flags, r)
			}
		}
		if out := good(t, "fsck", dir); !strings.Contains(out, "no damage") {
			t.Errorf("%v: %s", sig, out)
		}
		if diff := cmp.Diff(before, contentOf(t, dir)); diff != "" {
			t.Errorf("%v: something was changed: %s", sig, diff)
		}
	}
}

func TestFsckOfASegmentThatRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	good(t, "-e", dir, "bucket", "create", "photos")
	goodWith(t, string(random(1, 300_000)), "-e", dir, "put", "-", "photos/a")
	for _, flags := range [][]string{nil, {"--data"}} {
		r := jsonOf[fsckOnline](t, append([]string{"-e", dir, "fsck"}, flags...)...)
		if r.Damage != 0 || r.Versions != 1 || r.Packs == 0 || !r.Done {
			t.Errorf("%v: %+v", flags, r)
		}
	}
	if out := good(t, "-e", dir, "fsck"); !strings.Contains(out, "no damage") {
		t.Error(out)
	}
	bad(t, exitUsage, "--repair is for", "-e", dir, "fsck", "--repair")
	bad(t, exitUnavailable, "in use by process", "fsck", dir)
	bad(t, exitNotFound, "not a data directory", "fsck", t.TempDir())
}

func TestFsckNamesWhatIsDamaged(t *testing.T) {
	dir := stopped(t, syscall.SIGTERM)
	packs, err := filepath.Glob(filepath.Join(dir, "data", "*", "device", "packs", "*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	damageAt(t, packs[0], 200_000)
	r := edgefs(t, "", "fsck", dir, "--data")
	if r.code != exitFailed || !strings.Contains(r.errs, "damage: "+packs[0]) || !strings.Contains(r.errs, "photos/") {
		t.Errorf("%d: %s%s", r.code, r.out, r.errs)
	}
	state, err := filepath.Glob(filepath.Join(dir, "data", "*", "segment", "state-*"))
	if err != nil || len(state) == 0 {
		t.Fatal(state, err)
	}
	damageAt(t, state[len(state)-1], 40)
	r = edgefs(t, "", "fsck", dir)
	if r.code != exitFailed || !strings.Contains(r.errs, state[len(state)-1]) {
		t.Errorf("%d: %s%s", r.code, r.out, r.errs)
	}
}

// contentOf are the checksums of all files but the lock, whose owner is written into it.
func contentOf(t *testing.T, dir string) map[string]uint32 {
	t.Helper()
	sums := map[string]uint32{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "lock" {
			return err
		}
		b, err := os.ReadFile(name)
		sums[name] = crc32.ChecksumIEEE(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func damageAt(t *testing.T, name string, off int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[off] ^= 0x20
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFsckRepairsWhatItAsksFor(t *testing.T) {
	dir := stopped(t, syscall.SIGTERM)
	packs, err := filepath.Glob(filepath.Join(dir, "data", "*", "device", "packs", "*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	damageAt(t, packs[0], 20)
	bad(t, exitUsage, "say --yes", "fsck", dir, "--repair")
	bad(t, exitFailed, "the header is damaged", "fsck", dir)
	r := edgefs(t, "", "fsck", dir, "--repair", "--yes")
	for _, want := range []string{"repairing: " + packs[0], "repaired: " + packs[0], "1 repair made", "no damage"} {
		if r.code != exitOK || !strings.Contains(r.errs+r.out, want) {
			t.Errorf("want %q: %d: %s%s", want, r.code, r.errs, r.out)
		}
	}
	good(t, "fsck", dir, "--data")
	out := filepath.Join(t.TempDir(), "out")
	good(t, "fsck", dir, "--salvage", out)
	got, err := os.ReadFile(filepath.Join(out, "current", "photos", "d"))
	if err != nil || string(got) != string(random(3, 2<<20)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := os.ReadFile(filepath.Join(out, "current", "photos", "a")); err != nil || string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
	bad(t, exitFailed, "empty folder", "fsck", dir, "--salvage", out)
}

func TestFindingsAreLines(t *testing.T) {
	for want, f := range map[string]finding.Finding{
		"damage: /d/x, offset 7: broken (a repair: mended)": {Grade: finding.Damage, File: "/d/x", Offset: 7, What: "broken", Repair: "mended"},
		"note: /d/x: left":               {Grade: finding.Note, File: "/d/x", What: "left"},
		"damage: b/k: gone":              {Grade: finding.Damage, Bucket: "b", Key: "k", What: "gone"},
		"damage: bucket b: not readable": {Grade: finding.Damage, Bucket: "b", What: "not readable"},
	} {
		if got := findingLine(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
