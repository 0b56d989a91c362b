package s3

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/edgefs/edgefs/segment"
)

// TestAnswers holds whole answers, to be read as a client reads them. Rewrite with -rewrite and review the difference.
//
//	bucket NAME [versioned]     makes a bucket
//	METHOD PATH [HEADER=VALUE]  sends a request; the input is its body
//
// $upload and $etag in a path or body are the last upload's id and the last ETag.
func TestAnswers(t *testing.T) {
	datadriven.Walk(t, "testdata/answers", func(t *testing.T, path string) {
		s := newSite(t)
		var upload, etag string
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			if d.Cmd == "bucket" {
				mode := segment.Unversioned
				if d.HasArg("versioned") {
					mode = segment.Versioned
				}
				s.bucket(d.CmdArgs[0].Key, mode)
				return ""
			}
			fill := strings.NewReplacer("$upload", upload, "$etag", etag).Replace
			var headers []string
			for _, a := range d.CmdArgs[1:] {
				headers = append(headers, a.Key, a.Vals[0])
			}
			a := s.request(d.Cmd, fill(d.CmdArgs[0].String()), fill(d.Input), headers...)
			if len(a.body) > 0 && a.Header.Get("Content-Type") == "application/xml" {
				upload = cmp.Or(a.text(t, "UploadId"), upload)
			}
			if v := a.Header.Get("Etag"); v != "" {
				etag = v
			}
			return show(a, upload)
		})
	})
}

// show is an answer without what differs from run to run, an element a line.
func show(a answer, upload string) string {
	var b strings.Builder
	fmt.Fprintln(&b, a.StatusCode)
	names := make([]string, 0, len(a.Header))
	for name := range a.Header {
		if !slices.Contains([]string{"Date", "Server", "X-Amz-Request-Id", "Content-Length", "Connection"}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\n", name, a.Header.Get(name))
	}
	b.WriteString(strings.ReplaceAll(string(a.body), "><", ">\n<"))
	out := b.String()
	if upload != "" {
		out = strings.ReplaceAll(out, upload, "UPLOAD")
	}
	for mask, with := range map[string]string{
		`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`:             "TIME",
		`\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT`:         "TIME",
		`<RequestId>\w+</RequestId>`:                         "<RequestId>ID</RequestId>",
		`(VersionId>|Version-Id: |Marker>)[A-Za-z0-9_-]{38}`: "${1}VERSION",
		`http://127\.0\.0\.1:\d+/`:                           "http://HOST/",
	} {
		out = regexp.MustCompile(mask).ReplaceAllString(out, with)
	}
	return strings.TrimRight(out, "\n") + "\n"
}
