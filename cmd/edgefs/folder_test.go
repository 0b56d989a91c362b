package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/edgefs/edgefs/internal/admin"
)

// listing is what ls says in JSON.
type listing struct {
	Objects  []admin.Object
	Prefixes []string
	Error    *failure
}

// all runs steps that must not fail.
func all(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNoFileIsPassedOverAndNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "trees")
	at := t.TempDir()
	in := func(name string) string { return filepath.Join(at, name) }
	all(t,
		os.WriteFile(in("file"), []byte("1"), 0o600), os.Mkdir(in("empty"), 0o700), os.Mkdir(in("sub"), 0o700),
		os.WriteFile(in("sub/deep"), []byte("2"), 0o600), unix.Mkfifo(in("fifo"), 0o600),
		os.Symlink("file", in("link")), os.Symlink("sub", in("sublink")), os.Symlink("..", in("loop")),
	)
	t.Chdir(at) // the address of a socket is short
	l, err := net.Listen("unix", "socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	var doc struct {
		Stored  []stored
		Skipped []passed
		Failed  []undone
	}
	all(t, json.Unmarshal([]byte(good(t, "put", "-r", "--json", ".", "trees/t")), &doc))
	want := []passed{
		{"empty", "empty folder"}, {"fifo", "FIFO"}, {"link", "symbolic link"}, {"loop", "symbolic link"}, {"socket", "socket"},
		{"sublink", "symbolic link"},
	}
	if diff := cmp.Diff(want, doc.Skipped); diff != "" || len(doc.Stored) != 2 || doc.Stored[1].Key != "t/sub/deep" || len(doc.Failed) > 0 {
		t.Errorf("%s%+v", diff, doc)
	}
	r := edgefs(t, "", "put", "-r", ".", "trees/t")
	if r.code != 0 || !strings.Contains(r.errs, "passed over 6 entries") || !strings.Contains(r.errs, "  sublink: symbolic link\n") {
		t.Errorf("exit %d: %s", r.code, r.errs)
	}
	bad(t, 2, "is a socket", "put", "socket", "trees/s")

	// What is named is followed: a link to a folder is that folder.
	all(t, json.Unmarshal([]byte(good(t, "put", "-r", "--json", "sublink", "trees/l/")), &doc))
	if len(doc.Stored) != 1 || doc.Stored[0].Key != "l/deep" {
		t.Errorf("%+v", doc)
	}
}

func TestOneFileThatCannotBeStoredDoesNotStopTheOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "trees")
	at := t.TempDir()
	for _, name := range []string{"a", "b\xff", "c"} { // the second is no UTF-8, and no key
		all(t, os.WriteFile(filepath.Join(at, name), []byte("1"), 0o600))
	}
	r := edgefs(t, "", "put", "-r", "--json", at, "trees")
	var doc struct {
		Stored []stored
		Failed []undone
		Error  failure
	}
	all(t, json.Unmarshal([]byte(r.out), &doc))
	if r.code != 1 || len(doc.Stored) != 2 || len(doc.Failed) != 1 || doc.Failed[0].Error.Reason != "invalid" || doc.Error != failureOf(t, r) {
		t.Errorf("exit %d: %+v", r.code, doc)
	}
	bad(t, 1, "1 of 3 files could not be stored", "put", "-r", at, "trees")
}

// A FIFO that is named is read to its end; Ctrl-C ends the wait for its writer, and for its next byte.
func TestAFifoIsReadAndItsWaitEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "pipes")
	fifo := filepath.Join(t.TempDir(), "fifo")
	all(t, unix.Mkfifo(fifo, 0o600))

	p := start(t, "put", fifo, "pipes/k")
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.WriteString("through a pipe")
	all(t, err, w.Close())
	if code := p.wait(t); code != 0 || good(t, "cat", "pipes/k") != "through a pipe" {
		t.Errorf("exit %d: %s", code, p.log)
	}

	p = start(t, "put", fifo, "pipes/never")
	w, err = os.OpenFile(fifo, os.O_WRONLY, 0) // returns when the other side has opened it
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if code := p.end(t, syscall.SIGINT); code != exitInterrupted {
		t.Errorf("exit %d: %s", code, p.log)
	}
	bad(t, 3, "no such key", "stat", "pipes/never")
}

func TestOddKeysDoNotStopTheOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "odd")
	client, err := admin.Dial(dir, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	put := func(key, content string) {
		t.Helper()
		_, err := client.Put(t.Context(), "odd", admin.PutRequest{Key: key}, strings.NewReader(content))
		all(t, err)
	}
	odd := []string{"../up", "a//b", "c\x1b[31m", "d/..", "e/./f", "trail/", "//two", strings.Repeat("l", 256)}
	for _, key := range append(odd, "good", "z/good", "file", "file/below") {
		put("t/"+key, "x")
	}
	put("t/drawn/by/a/client/", "")
	to := filepath.Join(t.TempDir(), "deep", "er")
	r := edgefs(t, "", "get", "-r", "--json", "odd/t/", to)
	var doc struct {
		Read   []got
		Failed []undone
		Error  failure
	}
	all(t, json.Unmarshal([]byte(r.out), &doc))
	failedKeys := map[string]bool{}
	for _, u := range doc.Failed {
		failedKeys[strings.TrimPrefix(u.Key, "t/")] = true
	}
	for _, key := range append(odd, "file/below") {
		if !failedKeys[key] {
			t.Errorf("%q did not fail", key)
		}
	}
	if r.code != 1 || len(doc.Read) != 3 || len(failedKeys) != len(odd)+1 || doc.Error != failureOf(t, r) {
		t.Errorf("exit %d: %+v", r.code, doc)
	}
	if entries, err := os.ReadDir(filepath.Dir(to)); err != nil || len(entries) != 1 {
		t.Errorf("beside the folder: %v, %v", entries, err)
	}
	if info, err := os.Stat(filepath.Join(to, "drawn/by/a/client")); err != nil || !info.IsDir() {
		t.Errorf("%v, %v", info, err)
	}
	bad(t, 1, "12 of 12 files could not be read", "get", "-r", "odd/t/", to)
	if out := good(t, "get", "-r", "odd/t/z/", filepath.Join(to, "again")); out != "1 file\n" {
		t.Errorf("%q", out)
	}
}

// Links in the target folder lead nowhere else.
func TestLinksInTheTargetAreNoWayOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "trap")
	for _, key := range []string{"out/file", "name", "within/file"} {
		goodWith(t, "x", "put", "-", "trap/"+key)
	}
	to, outside := t.TempDir(), t.TempDir()
	mine := fileWith(t, "mine", "mine")
	all(t, os.Symlink(outside, filepath.Join(to, "out")), os.Symlink(mine, filepath.Join(to, "name")),
		os.Mkdir(filepath.Join(to, "real"), 0o700), os.Symlink("real", filepath.Join(to, "within")))
	bad(t, 1, "1 of 3 files", "get", "-r", "--force", "trap", to)
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside: %v, %v", entries, err)
	}
	if b, err := os.ReadFile(mine); err != nil || string(b) != "mine" {
		t.Errorf("what the link named: %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(to, "real", "file")); err != nil {
		t.Error(err)
	}
	bad(t, 2, "which is not replaced", "get", "--force", "trap/name", "/dev/null")
}
