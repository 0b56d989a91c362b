package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
)

// A command that reads as of a time says which state that is.
func TestReadingAsOfATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	p := serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "photos")
	for _, k := range []string{"a/1", "a/2", "b"} {
		goodWith(t, "first", "put", "-", "photos/"+k)
	}
	bad(t, 3, "nothing is remembered here yet", "ls", "photos@0s")
	good(t, "snapshot", "create", "photos@monday")
	made := jsonOf[[]struct{ Created time.Time }](t, "snapshot", "list")[0].Created
	goodWith(t, "second", "put", "-", "photos/b")
	state := "photos@" + made.Format("2006-01-02T15:04:05.000Z")
	at := "photos@" + made.Add(2*time.Hour).Format(time.RFC3339Nano)
	p.until(t, "the snapshot has its root", func() bool { return edgefs(t, "", "ls", at).code == 0 })

	note := at + ": as it was at " + stamp(made) + ", 2h0m0s before the time asked for (" + state + ")\n"
	for _, args := range [][]string{{"cat", at + "/b", at + "/a/1"}, {"ls", at}, {"stat", at + "/b"}, {"get", at + "/b", filepath.Join(t.TempDir(), "b")},
		{"get", "-r", at, filepath.Join(t.TempDir(), "all")}, {"log", at + "/b"}, {"diff", at, "photos"}, {"restore", at, "--yes"}} {
		r := edgefs(t, "", args...)
		if r.code != 0 || r.errs != note {
			t.Errorf("%q: exit %d, said %q, want %q", args, r.code, r.errs, note)
		}
	}
	if r := edgefs(t, "", "cat", state+"/b"); r.errs != state+": as it was at "+stamp(made)+"\n" || r.out != "first" {
		t.Errorf("%+v", r)
	}
	type answer struct {
		Put  int
		AsOf []admin.AsOf
	}
	want := admin.AsOf{Bucket: at, State: state, Time: made, Asked: made.Add(2 * time.Hour), Before: 7200}
	for _, args := range [][]string{{"ls", at}, {"stat", at + "/b"}, {"diff", at, "photos"}, {"get", "-f", at + "/b", filepath.Join(t.TempDir(), "b")}, {"restore", at, "--yes"}} {
		if a := jsonOf[answer](t, args...); len(a.AsOf) != 1 || a.AsOf[0] != want {
			t.Errorf("%q: %+v, want %+v", args, a.AsOf, want)
		}
	}
	var told answer
	if r := edgefs(t, "", "cat", "--json", at+"/b"); r.out != "first" || json.Unmarshal([]byte(r.errs), &told) != nil || len(told.AsOf) != 1 || told.AsOf[0] != want {
		t.Errorf("%+v", r)
	}
	bad(t, 3, "begins at "+made.Format("2006-01-02T15:04:05.000Z"), "cat", "photos@"+made.Add(-time.Hour).Format(time.RFC3339)+"/b")
	if r := edgefs(t, "", "ls", "photos@monday"); r.code != 0 || r.errs != "" {
		t.Errorf("a snapshot by its name: %+v", r)
	}
}

func TestSnapshots(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "photos")
	put := func(key, body string) {
		t.Helper()
		goodWith(t, body, "put", "-", "photos/"+key)
	}
	for _, k := range []string{"a/1", "a/2", "b"} {
		put(k, "first")
	}
	if out := good(t, "snapshot", "list"); out != "no snapshots\n" {
		t.Errorf("%q", out)
	}
	if out := good(t, "snapshot", "create", "photos@monday"); out != "created photos@monday: 3 objects, 15 B\n" {
		t.Errorf("%q", out)
	}
	bad(t, 1, "snapshot exists", "snapshot", "create", "photos@monday")
	bad(t, 1, "invalid name", "snapshot", "create", "photos@-")
	bad(t, 2, "want BUCKET@NAME", "snapshot", "create", "photos")
	bad(t, 3, "no such bucket", "snapshot", "create", "none@monday")
	put("a/1", "second")
	good(t, "rm", "photos/a/2")
	put("new", "new")

	if out := good(t, "diff", "photos@monday", "photos"); out != "~ a/1\n- a/2\n+ new\n" {
		t.Errorf("%q", out)
	}
	if out := good(t, "diff", "photos", "photos@monday", "--prefix", "a/"); out != "~ a/1\n+ a/2\n" {
		t.Errorf("%q", out)
	}
	if d := jsonOf[struct{ Differences []struct{ Key string } }](t, "diff", "photos@monday", "photos"); len(d.Differences) != 3 || d.Differences[2].Key != "new" {
		t.Errorf("%+v", d)
	}
	bad(t, 3, "no such snapshot", "diff", "photos@tuesday", "photos")
	if out := good(t, "cat", "photos@monday/a/2"); out != "first" {
		t.Errorf("%q", out)
	}
	bad(t, 1, "a snapshot cannot be changed", "rm", "photos@monday/a/1")

	bad(t, 2, "say --yes", "restore", "photos@monday")
	if out := good(t, "restore", "photos@monday/a/", "--yes"); out != "2 keys put back, 0 deleted\n" {
		t.Errorf("%q", out)
	}
	if r := jsonOf[struct{ Put, Deleted, Skipped int }](t, "restore", "photos@monday", "--yes"); r.Put != 0 || r.Deleted != 1 || r.Skipped != 0 {
		t.Errorf("%+v", r)
	}
	if out := good(t, "diff", "photos@monday", "photos"); out != "" {
		t.Errorf("after going back: %q", out)
	}
	if all := jsonOf[[]struct{ Bucket, Name string }](t, "snapshot", "list"); len(all) != 1 || all[0].Bucket != "photos" || all[0].Name != "monday" {
		t.Errorf("%+v", all)
	}
	if out := good(t, "snapshot", "list", "photos"); !strings.Contains(out, "photos@monday") {
		t.Errorf("%q", out)
	}
	good(t, "verify", "photos@monday")
	bad(t, 1, "has snapshots", "bucket", "delete", "photos", "--yes")
	if out := good(t, "snapshot", "schedule", "photos"); out != "photos: no snapshots by themselves\n" {
		t.Errorf("%q", out)
	}
	if out := good(t, "snapshot", "schedule", "photos", "1d:30", "1h:24"); out != "photos: every 1h, the last 24 kept\nphotos: every 1d, the last 30 kept\n" {
		t.Errorf("%q", out)
	}
	bad(t, 1, "want EVERY:KEEP", "snapshot", "schedule", "photos", "hourly")
	if b := jsonOf[struct {
		Settings struct {
			Snapshots []struct {
				Every string
				Keep  int
			}
		}
	}](t, "bucket", "show", "photos"); len(b.Settings.Snapshots) != 2 || b.Settings.Snapshots[1].Every != "1d" || b.Settings.Snapshots[1].Keep != 30 {
		t.Errorf("%+v", b)
	}
	if out := good(t, "bucket", "set", "photos", "--snapshots", "off"); strings.Contains(out, "snapshots") {
		t.Errorf("%q", out)
	}
	if out := good(t, "snapshot", "schedule", "photos", "--off"); !strings.Contains(out, "no snapshots") {
		t.Errorf("%q", out)
	}
	good(t, "snapshot", "create", "photos@short", "--keep-for", "2w")
	bad(t, 1, "as 7d", "snapshot", "create", "photos@odd", "--keep-for", "soon")
	if out := good(t, "snapshot", "list", "photos"); !strings.Contains(out, "kept until") {
		t.Errorf("%q", out)
	}
	good(t, "snapshot", "delete", "photos@short", "--yes")
	bad(t, 2, "say --yes", "snapshot", "delete", "photos@monday")
	good(t, "snapshot", "delete", "photos@monday", "--yes")
	bad(t, 3, "no such snapshot", "snapshot", "delete", "photos@monday", "--yes")
}

// Whatever ends a restore that has begun, its failure says how the rest is done, of the same state.
func TestARestoreThatEndsEarlySaysHowTheRestIsDone(t *testing.T) {
	a := &app{states: []admin.AsOf{{Bucket: "photos@2h", State: "photos@2026-11-20T12:00:00.000Z"}}}
	at := admin.RestoreEvent{Put: 1, Differed: 3}
	const rest = "edgefs restore photos@2026-11-20T12:00:00.000Z/2026/ does the rest"
	for _, c := range []struct {
		err                 error
		code, message, hint string
	}{
		{context.Canceled, codeInterrupted, "interrupted: 1 of 3 keys done", rest},
		{&admin.Unreachable{Message: "gone"}, codeUnreachable, "1 of 3 keys done: gone", rest},
		{&admin.Error{Code: admin.Full, Message: "full"}, codeFull, "1 of 3 keys done: full", refusalHint(admin.Full) + "; " + rest},
	} {
		if f := explain(a.restoreEnded(at, "photos@2h", "2026/", c.err)); f.Code != c.code || f.Message != c.message || f.Hint != c.hint {
			t.Errorf("%v: %+v", c.err, f)
		}
	}
	if f := explain(a.restoreEnded(admin.RestoreEvent{}, "photos@2h", "", context.Canceled)); f.Hint != "" {
		t.Errorf("of one that had not begun: %+v", f)
	}
}
