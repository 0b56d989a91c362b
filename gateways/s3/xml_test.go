package s3

import (
	"encoding/xml"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTextSurvivesADocument(t *testing.T) {
	for _, s := range []string{"", "plain", `<&>"'`, "tab\tand\nline\r", "ünï 字 🙂", "a]]>b"} {
		var d document
		d.text("T", s)
		var back string
		if err := xml.Unmarshal(d.b, &back); err != nil {
			t.Fatalf("%q: %v", d.b, err)
		}
		if back != s {
			t.Errorf("%q came back as %q", s, back)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a<b")
	f.Add("\xff\x00")
	f.Fuzz(func(t *testing.T, s string) {
		b := appendText(nil, s)
		if !utf8.Valid(b) {
			t.Fatalf("%q: not UTF-8", b)
		}
		for _, c := range b {
			if c < ' ' || c == '<' || c == '>' || c == '"' {
				t.Fatalf("%q holds %q", b, c)
			}
		}
	})
}

func TestTimesAreWrittenAsTheLayoutSays(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(2024, 2, 29, 23, 59, 59, 999_999_999, time.FixedZone("", 3600)), time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got, want := string(appendTime(nil, at)), at.UTC().Format(timeFormat); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
