package main

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// removalDoc is what rm says in JSON, of whatever it removed.
type removalDoc struct {
	Deleted []removed
	Absent  []absent
	Failed  []undone
}

func (d removalDoc) keys() (deleted, missing []string) {
	for _, r := range d.Deleted {
		deleted = append(deleted, r.Bucket+"/"+r.Key)
	}
	for _, a := range d.Absent {
		missing = append(missing, a.Bucket+"/"+a.Key)
	}
	return deleted, missing
}

func TestRemovingSaysWhatWasThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "photos", "--versioning", "enabled")
	put := func(keys ...string) {
		t.Helper()
		for _, k := range keys {
			goodWith(t, "x", "put", "-", "photos/"+k)
		}
	}
	want := func(d removalDoc, deleted, missing []string) {
		t.Helper()
		gotDeleted, gotMissing := d.keys()
		if diff := cmp.Diff([][]string{deleted, missing}, [][]string{gotDeleted, gotMissing}); diff != "" {
			t.Error(diff)
		}
	}

	bad(t, 3, "rm photos/none: ", "rm", "photos/none")
	if out := good(t, "rm", "-f", "photos/none"); out != "" {
		t.Errorf("deleted nothing, and said %q", out)
	}
	if out := good(t, "ls", "--versions", "photos"); out != "" {
		t.Errorf("removing nothing left %q", out)
	}

	put("a", "b")
	want(jsonOf[removalDoc](t, "rm", "-f", "photos/a", "photos/none", "photos/b"), []string{"photos/a", "photos/b"}, []string{"photos/none"})
	put("a", "b")
	r := edgefs(t, "", "rm", "photos/none", "photos/a", "nobucket/x", "photos/b")
	if r.code != exitNotFound || r.out != "deleted photos/a\ndeleted photos/b\n" {
		t.Errorf("exit %d: %q; %s", r.code, r.out, r.errs)
	}
	bad(t, 3, "2 files could not be deleted", "rm", "photos/none", "photos/nor")

	put("d/1", "d/2", "e")
	want(jsonOf[removalDoc](t, "rm", "-ry", "photos/d/"), []string{"photos/d/1", "photos/d/2"}, nil)
	bad(t, 3, "nothing is below it", "rm", "-ry", "photos/d/")
	want(jsonOf[removalDoc](t, "rm", "-rf", "photos/d/"), nil, []string{"photos/d/"})
	want(jsonOf[removalDoc](t, "rm", "-ry", "photos"), []string{"photos/e"}, nil)
	want(jsonOf[removalDoc](t, "rm", "-ry", "photos"), nil, nil) // the bucket is there

	marker := jsonOf[listing](t, "ls", "--versions", "photos/e").Objects[0]
	good(t, "rm", "-y", "--version", marker.Version, "photos/e")
	bad(t, 3, "no such version", "rm", "-y", "--version", marker.Version, "photos/e")
	good(t, "cat", "photos/e")
	if d := jsonOf[removalDoc](t, "rm", "-rf", "--all-versions", "photos"); len(d.Deleted) == 0 || len(d.Absent)+len(d.Failed) > 0 {
		t.Errorf("%+v", d)
	}
	good(t, "bucket", "delete", "-y", "photos")
}
