package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
)

func TestTagsAreReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "photos")
	goodWith(t, "x", "put", "-", "photos/k")
	before := jsonOf[admin.Object](t, "stat", "photos/k")
	if got := good(t, "tag", "photos/k", "animal=cat", "colour=a=b"); got != "photos/k has 2 tags\n" {
		t.Errorf("%q", got)
	}
	after := jsonOf[admin.Object](t, "stat", "photos/k")
	if after.Tags["colour"] != "a=b" || after.Version != before.Version || !after.Modified.Equal(before.Modified) || after.ETag != before.ETag {
		t.Errorf("%+v was %+v", after, before)
	}
	if got := good(t, "stat", "photos/k"); !strings.Contains(got, "animal: cat") {
		t.Errorf("%q", got)
	}
	good(t, "tag", "--clear", "photos/k")
	if o := jsonOf[admin.Object](t, "tag", "photos/k", "a="); len(o.Tags) != 1 {
		t.Errorf("%+v", o)
	}
	bad(t, 2, "--clear", "tag", "photos/k")
	bad(t, 2, "NAME=VALUE", "tag", "photos/k", "animal")
	bad(t, 2, "NAME=VALUE", "tag", "photos/k", "a=1", "a=2")
	bad(t, 1, "128", "tag", "photos/k", strings.Repeat("n", 129)+"=1")
	bad(t, 3, "no such key", "tag", "photos/none", "a=1")
}

func TestALockedVersionStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "ledger")
	goodWith(t, "x", "put", "-", "ledger/before")
	bad(t, 1, "locks are not enabled", "lock", "ledger/before", "--legal-hold")
	bad(t, 1, "versioning", "bucket", "set", "ledger", "--locks")
	if got := good(t, "bucket", "set", "ledger", "--versioning", "enabled", "--locks", "--retention", "governance:30d"); !strings.Contains(got, "locks, retention governance:30d") {
		t.Errorf("%q", got)
	}
	bad(t, 1, "stay enabled", "bucket", "set", "ledger", "--locks=false", "--retention", "none")
	bad(t, 1, "governance:30d", "bucket", "set", "ledger", "--retention", "governance:soon")
	goodWith(t, "x", "put", "-", "ledger/k")
	o := jsonOf[admin.Object](t, "stat", "ledger/k")
	if o.Lock == nil || o.Lock.Mode != "governance" || o.Lock.Until.Before(time.Now().AddDate(0, 0, 29)) {
		t.Fatalf("%+v", o.Lock)
	}
	bad(t, 1, "locked", "rm", "--yes", "--version", o.Version, "ledger/k")
	bad(t, 1, "locked", "lock", "ledger/k", "--mode", "none")
	good(t, "lock", "ledger/k", "--mode", "none", "--bypass-governance")
	if got := good(t, "lock", "ledger/k", "--legal-hold"); got != "ledger/k: legal hold\n" {
		t.Errorf("%q", got)
	}
	bad(t, 1, "locked", "rm", "--yes", "--version", o.Version, "--bypass-governance", "ledger/k")
	if got := good(t, "stat", "ledger/k"); !strings.Contains(got, "legal hold") {
		t.Errorf("%q", got)
	}
	if got := good(t, "lock", "ledger/k", "--legal-hold=false"); got != "ledger/k: not locked\n" {
		t.Errorf("%q", got)
	}
	good(t, "lock", "ledger/k", "--mode", "governance", "--until", "1h")
	good(t, "rm", "--yes", "--version", o.Version, "--bypass-governance", "ledger/k")
	bad(t, 2, "--until", "lock", "ledger/k", "--mode", "compliance")
	bad(t, 2, "--until", "lock", "ledger/k", "--mode", "compliance", "--until", "soon")
	bad(t, 2, "nothing to change", "lock", "ledger/k")
}
