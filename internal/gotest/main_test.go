package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const events = `{"Action":"run","Package":"a","Test":"TestGood"}
{"Action":"output","Package":"a","Test":"TestGood","Output":"quiet\n"}
{"Action":"pass","Package":"a","Test":"TestGood","Elapsed":0.1}
{"Action":"output","Package":"a","Test":"TestLater","Output":"no fuse\n"}
{"Action":"skip","Package":"a","Test":"TestLater","Elapsed":0}
{"Action":"pass","Package":"a","Elapsed":1.5}
{"Action":"skip","Package":"none","Elapsed":0}
`

func TestSkipsAreFailuresUnlessListed(t *testing.T) {
	for _, c := range []struct {
		name    string
		allowed []string
		strict  bool
		want    string
	}{
		{"listed", []string{"a TestLater"}, true, ""},
		{"not listed", nil, true, "a TestLater was skipped"},
		{"not strict", nil, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			r := newReport(&out)
			if err := r.read(strings.NewReader(events)); err != nil {
				t.Fatal(err)
			}
			err := r.judge(c.allowed, c.strict)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if s := out.String(); strings.Contains(s, "quiet") || !strings.Contains(s, "1 tests passed, 0 failed, 1 skipped") {
				t.Fatal(s)
			}
		})
	}
}

func TestFailuresShowTheirOutput(t *testing.T) {
	var out bytes.Buffer
	r := newReport(&out)
	text := `{"Action":"output","Package":"a","Test":"TestBad","Output":"got 1, want 2\n"}
{"Action":"fail","Package":"a","Test":"TestBad","Elapsed":0}
{"ImportPath":"b","Action":"build-output","Output":"b.go:1: undefined: x\n"}
not json
{"Action":"fail","Package":"a","Elapsed":0.2}
`
	if err := r.read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if err := r.judge(nil, false); err == nil || !strings.Contains(err.Error(), "a TestBad") {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"got 1, want 2", "undefined: x", "not json"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, &out)
		}
	}
}

func TestListOfSkipsHasComments(t *testing.T) {
	file := filepath.Join(t.TempDir(), "skips")
	if err := os.WriteFile(file, []byte("# why\n\na  TestLater # because\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readSkips(file)
	if err != nil || len(got) != 1 || got[0] != "a TestLater" {
		t.Fatal(got, err)
	}
}
