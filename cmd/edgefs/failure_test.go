package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/edgefs/edgefs/internal/admin"
)

// failureOf reads what a command with --json says on standard error, which is one line.
func failureOf(t *testing.T, r result) failure {
	t.Helper()
	var doc struct{ Error failure }
	if err := json.Unmarshal([]byte(r.errs), &doc); err != nil || strings.Count(r.errs, "\n") != 1 || doc.Error.Code == "" || doc.Error.Message == "" {
		t.Fatalf("standard error is no failure in JSON: %v: %q", err, r.errs)
	}
	return doc.Error
}

func TestFailuresAreDataWithJSON(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "photos")
	goodWith(t, "x", "put", "-", "photos/k")
	file := fileWith(t, "there", "mine")
	for _, c := range []struct {
		code, reason string
		exit         int
		args         []string
	}{
		{codeNotFound, "no_such_key", 3, []string{"stat", "photos/none"}},
		{codeNotFound, "no_such_bucket", 3, []string{"ls", "none"}},
		{codeNotFound, "no_such_link", 3, []string{"link", "remove", "-y", "tokyo"}},
		{codeNotFound, "", 3, []string{"link", "status", "tokyo"}},
		{codeNotFound, "", 3, []string{"put", "/none", "photos/"}},
		{codeExists, "bucket_exists", 1, []string{"bucket", "create", "photos"}},
		{codeExists, "", 1, []string{"get", "photos/k", file}},
		{codePrecondition, "precondition_failed", 1, []string{"put", "--if-absent", file, "photos/k"}},
		{codeConflict, "bucket_not_empty", 1, []string{"bucket", "delete", "-y", "photos"}},
		{codeInvalid, "invalid", 1, []string{"stat", "--version", "new", "photos/k"}},
		{codeInvalid, "bad_range", 1, []string{"cat", "--range", "5-", "photos/k"}},
		{codeInvalid, "", 2, []string{"stat", "photos"}},
		{codeInvalid, "", 2, []string{"stat"}},
		{codeInvalid, "", 2, []string{"stat", "--frobnicate"}},
		{codeInvalid, "", 2, []string{"frobnicate"}},
		{codeInvalid, "", 2, []string{"serve", dir, "--s3", "nowhere"}},
		{codeUnreachable, "", 4, []string{"status", "-e", "nowhere"}},
	} {
		r := edgefs(t, "", append(c.args, "--json")...)
		f := failureOf(t, r)
		if f.Code != c.code || f.Reason != c.reason || r.code != c.exit || r.out != "" {
			t.Errorf("%q: exit %d and %+v, want %d, %s, %s; standard output has %q", c.args, r.code, f, c.exit, c.code, c.reason, r.out)
		}
	}
}

func TestWhatEachErrorIsCalled(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
		exit int
	}{
		{&admin.Error{Code: admin.Unavailable}, codeUnavailable, 4},
		{&admin.Error{Code: admin.Unauthorized}, codeDenied, 1},
		{&admin.Error{Code: admin.Full}, codeFull, 1},
		{&admin.Error{Code: admin.Corrupt}, codeCorrupt, 1},
		{&admin.Error{Code: admin.NotHome}, codeConflict, 1},
		{&admin.Error{Code: admin.NoSuchSnapshot}, codeNotFound, 3},
		{&admin.Error{Code: admin.SnapshotExists}, codeExists, 1},
		{&admin.Error{Code: admin.ReadOnly}, codeConflict, 1},
		{&admin.Error{Code: admin.Internal}, codeInternal, 1},
		{&admin.Error{Code: "of a newer segment"}, codeInternal, 1},
		{&fs.PathError{Op: "open", Path: "keys", Err: syscall.EACCES}, codeDenied, 1},
		{&admin.Unreachable{Message: "gone", Err: fs.ErrNotExist}, codeUnreachable, 4},
		{context.Canceled, codeInterrupted, 130},
		{&admin.Undecided{Err: context.Canceled}, codeInterrupted, 130},
		{&partialError{failure{Code: codeNotFound}}, codeNotFound, 3},
		{errors.New("anything else"), codeFailed, 1},
	} {
		f := explain(fmt.Errorf("put a/b: %w", c.err))
		if f.Code != c.code || f.exit() != c.exit {
			t.Errorf("%v: %s, exit %d; want %s, %d", c.err, f.Code, f.exit(), c.code, c.exit)
		}
	}
}

// The page that scripts are written by names every code and every status.
func TestCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/ops/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{
		codeNotFound, codeExists, codePrecondition, codeConflict, codeInvalid, codeUnavailable, codeUnreachable, codeDenied, codeFull,
		codeCorrupt, codeInterrupted, codeInternal, codeFailed,
	} {
		if !strings.Contains(string(page), "| `"+code+"` |") {
			t.Errorf("no row for %s", code)
		}
	}
	for _, status := range []int{exitOK, exitFailed, exitUsage, exitNotFound, exitUnavailable, exitInterrupted} {
		if !strings.Contains(string(page), "| "+strconv.Itoa(status)+" |") {
			t.Errorf("no row for %d", status)
		}
	}
}

// A segment whose process is stopped holds nobody for ever.
func TestAStoppedSegmentIsGivenUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	p := serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.until(t, "is stopped", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		_, state, _ := strings.Cut(string(stat), ") ")
		return err == nil && strings.HasPrefix(state, "T")
	})
	for _, args := range [][]string{{"status"}, {"ls"}, {"put", "-", "b/k"}} {
		r := edgefs(t, "x", append(args, "--timeout", "100ms", "--json")...)
		if f := failureOf(t, r); r.code != exitUnavailable || f.Code != codeUnreachable || f.Hint == "" || r.out != "" {
			t.Errorf("%q: exit %d, %+v", args, r.code, f)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	good(t, "status")
}

// What is refused for what there is says what can be done about that.
func TestRefusalsSayWhatToDo(t *testing.T) {
	for code, hint := range map[admin.Code]string{
		admin.BucketNotEmpty: "edgefs rm -r", admin.Unmerged: "edgefs merge", admin.MergeConflict: "--dry-run", admin.NotHome: "edgefs bucket home",
		admin.Locked: "edgefs stat", admin.TargetExists: "--force",
	} {
		if f := explain(fmt.Errorf("rm a/b: %w", &admin.Error{Code: code})); !strings.Contains(f.Hint, hint) {
			t.Errorf("%s: %q", code, f.Hint)
		}
	}
}

// Who interrupts a change is told that it may have been made.
func TestAnInterruptedChangeIsSaidToBeInDoubt(t *testing.T) {
	if f := explain(fmt.Errorf("mv a/b: %w", &admin.Undecided{Err: context.Canceled})); !strings.Contains(f.Message, "not known") {
		t.Errorf("%+v", f)
	}
	if f := explain(fmt.Errorf("ls a: %w", context.Canceled)); f.Message != "interrupted" || f.Hint != "" {
		t.Errorf("%+v", f)
	}
}
