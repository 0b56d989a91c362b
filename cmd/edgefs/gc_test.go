package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestCollection(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hawaii")
	serve(t, dir)
	t.Setenv("EDGEFS_ENDPOINT", dir)
	good(t, "bucket", "create", "photos")
	goodWith(t, strings.Repeat("stays ", 50_000), "put", "-", "photos/stays")
	if out := good(t, "gc", "status"); !strings.Contains(out, "it runs every 6h0m0s") || strings.Contains(out, "last") {
		t.Errorf("%q", out)
	}
	good(t, "gc", "run")
	goodWith(t, strings.Repeat("goes ", 100_000), "put", "-", "photos/goes")
	good(t, "rm", "photos/goes")
	type swept struct{ Chunks, Bytes int64 }
	r := jsonOf[struct {
		Reached int64
		Gone    swept
	}](t, "gc", "run", "--rate", "10MiB")
	if r.Gone.Chunks == 0 || r.Gone.Bytes < 100_000 || r.Reached == 0 {
		t.Errorf("%+v", r)
	}
	if out := good(t, "cat", "photos/stays"); out != strings.Repeat("stays ", 50_000) {
		t.Errorf("%d bytes", len(out))
	}
	st := jsonOf[struct {
		Runs       int
		GoneChunks int64
		Last       struct{ Gone swept }
	}](t, "gc", "status")
	if st.Runs != 2 || st.Last.Gone != r.Gone || st.GoneChunks < r.Gone.Chunks {
		t.Errorf("%+v", st)
	}
	if out := good(t, "gc", "status"); !strings.Contains(out, "chunks removed") {
		t.Errorf("%q", out)
	}
	if out := good(t, "gc", "explain", strings.Repeat("0", 64)); out != "nothing, and it is not here\n" {
		t.Errorf("%q", out)
	}
	bad(t, 1, "64 hexadecimal digits", "gc", "explain", "5e9f")
	bad(t, 1, "percentage", "gc", "run", "--dead", "101")
	bad(t, 2, "rate", "gc", "run", "--rate", "fast")
	bad(t, 2, "say --yes", "gc", "run", "--forget-history", "photos")
	bad(t, 3, "no such bucket", "gc", "run", "--yes", "--forget-history", "photos,other")
	good(t, "gc", "run", "--yes", "--forget-history", "photos")
}
