package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestBranches(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "photos")
	goodWith(t, "first", "put", "-", "photos/k")
	good(t, "snapshot", "create", "photos@monday")
	goodWith(t, "second", "put", "-", "photos/k")
	if out := good(t, "branch", "list"); out != "no branches\n" {
		t.Errorf("%q", out)
	}
	if out := good(t, "branch", "create", "photos", "work"); out != "created work, a branch of photos\n" {
		t.Errorf("%q", out)
	}
	good(t, "branch", "create", "photos@monday", "past")
	bad(t, 1, "bucket exists", "branch", "create", "photos", "work")
	bad(t, 3, "no such snapshot", "branch", "create", "photos@tuesday", "tuesday")
	goodWith(t, "work", "put", "-", "work/l")
	for name, want := range map[string]string{"photos/k": "second", "work/k": "second", "past/k": "first", "work/l": "work"} {
		if out := good(t, "cat", name); out != want {
			t.Errorf("%s: %q", name, out)
		}
	}
	bad(t, 3, "no such key", "cat", "photos/l")
	if out := good(t, "diff", "photos", "work"); out != "+ l\n" {
		t.Errorf("%q", out)
	}
	good(t, "bucket", "create", "other")
	bad(t, 1, "two buckets", "diff", "photos", "other")
	all := jsonOf[[]struct {
		Name, Parent string
		Writes       int
	}](t, "branch", "list", "photos")
	if len(all) != 2 || all[0].Name != "work" || all[0].Parent != "photos" || all[0].Writes != 1 {
		t.Errorf("%+v", all)
	}
	if out := good(t, "branch", "list"); !strings.Contains(out, "of photos, 1 write since") {
		t.Errorf("%q", out)
	}
	if out := good(t, "branch", "list"); !strings.Contains(out, "of photos@monday, 0 writes since") {
		t.Errorf("%q", out)
	}
	bad(t, 1, `merge "photos@monday" into "work": only buckets are merged`, "merge", "photos@monday", "work")
	goodWith(t, "parent", "put", "-", "photos/k")
	goodWith(t, "branch", "put", "-", "work/k")
	if out := good(t, "merge", "work", "photos", "--dry-run"); out != "! k\n+ l\n1 key would be put, 0 deleted, 1 changed on both sides\n" && out != "+ l\n! k\n1 key would be put, 0 deleted, 1 changed on both sides\n" {
		t.Errorf("%q", out)
	}
	bad(t, 1, "merge conflict", "merge", "work", "photos", "--fail")
	bad(t, 2, "one of them", "merge", "work", "photos", "--fail", "--ours")
	bad(t, 1, "branch of the other", "merge", "other", "photos")
	m := jsonOf[struct {
		Keys           []struct{ Key, Action string }
		Put, Conflicts int
	}](t, "merge", "work", "photos")
	if m.Put != 1 || m.Conflicts != 1 || len(m.Keys) != 1 || m.Keys[0].Key != "k" || m.Keys[0].Action != "conflict" {
		t.Errorf("%+v", m)
	}
	if out := good(t, "cat", "photos/k"); out != "branch" {
		t.Errorf("%q", out)
	}
	if out := good(t, "merge", "work", "photos"); out != "0 keys put, 0 deleted\n" {
		t.Errorf("%q", out)
	}
	for _, want := range []string{"created at hawaii", "snapshot monday made at hawaii", "branch work made at hawaii", "work merged into it at hawaii: 1 key put"} {
		if out := good(t, "log", "photos"); !strings.Contains(out, want) {
			t.Errorf("the log lacks %q:\n%s", want, out)
		}
	}
	if l := jsonOf[struct{ Events []struct{ Kind string } }](t, "log", "photos", "-n", "2"); len(l.Events) != 2 || l.Events[0].Kind != "merged" {
		t.Errorf("%+v", l)
	}
	if out := good(t, "log", "photos/k"); !strings.Contains(out, "(current)") || !strings.Contains(out, "(in conflict)") {
		t.Errorf("%q", out)
	}
	if l := jsonOf[struct {
		Versions []struct{ Current, Open bool }
	}](t, "log", "photos/k"); len(l.Versions) != 2 || !l.Versions[0].Current || !l.Versions[1].Open {
		t.Errorf("%+v", l)
	}
	bad(t, 3, "no such key", "log", "photos/none")
	bad(t, 2, "at least 1", "log", "photos", "-n", "0")
	bad(t, 3, "what is remembered here begins at", "ls", "photos@1w")
	if out := good(t, "ls", "photos@0s"); !strings.Contains(out, "k") { // the snapshot is remembered, too
		t.Errorf("%q", out)
	}
	goodWith(t, "m", "put", "-", "work/m")
	good(t, "verify", "work")
	bad(t, 2, "say --yes", "branch", "delete", "work")
	bad(t, 1, "not merged", "branch", "delete", "work", "--yes")
	bad(t, 1, "no branch", "branch", "delete", "photos", "--yes")
	good(t, "branch", "delete", "work", "--yes", "--force")
	good(t, "branch", "delete", "past", "--yes")
	bad(t, 3, "no such bucket", "cat", "work/k")
	if out := good(t, "cat", "photos/k"); out != "branch" {
		t.Errorf("%q", out)
	}
}
