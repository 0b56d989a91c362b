package s3

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edgefs/edgefs/segment"
)

func TestVersionsOfAKey(t *testing.T) {
	s := newSite(t)
	s.want(200, "", "PUT", "/photos", "")
	if a := s.want(200, "", "GET", "/photos?versioning", ""); a.text(t, "Status") != "" {
		t.Errorf("a new bucket: %s", a.body)
	}
	if id := s.put("/photos/k", "0"); id != "" {
		t.Errorf("version id %q without versioning", id)
	}
	configure := func(status string) {
		s.want(200, "", "PUT", "/photos?versioning", "<VersioningConfiguration><Status>"+status+"</Status></VersioningConfiguration>")
		if got := s.want(200, "", "GET", "/photos?versioning", "").text(t, "Status"); got != status {
			t.Errorf("status %q, want %q", got, status)
		}
	}
	configure("Enabled")
	v1, v2 := s.put("/photos/k", "1"), s.put("/photos/k", "2")
	s.get("/photos/k", "2")
	s.get("/photos/k?versionId="+v1, "1")
	s.get("/photos/k?versionId=null", "0")
	if got := s.get("/photos/k?versionId="+v1, "1").Header.Get("X-Amz-Version-Id"); got != v1 {
		t.Errorf("version id %q, want %q", got, v1)
	}

	d := s.want(204, "", "DELETE", "/photos/k", "")
	marker := d.Header.Get("X-Amz-Version-Id")
	if d.Header.Get("X-Amz-Delete-Marker") != "true" || marker == "" {
		t.Errorf("delete: %v", d.Header)
	}
	for _, method := range []string{"GET", "HEAD"} {
		code := "NoSuchKey"
		if method == "HEAD" {
			code = ""
		}
		a := s.want(404, code, method, "/photos/k", "")
		if a.Header.Get("X-Amz-Delete-Marker") != "true" || a.Header.Get("X-Amz-Version-Id") != marker {
			t.Errorf("%s of what is deleted: %v", method, a.Header)
		}
	}
	if a := s.want(405, "MethodNotAllowed", "GET", "/photos/k?versionId="+marker, ""); a.Header.Get("X-Amz-Delete-Marker") != "true" {
		t.Errorf("GET of the marker: %v", a.Header)
	}
	s.get("/photos/k?versionId="+v2, "2")

	a := s.want(204, "", "DELETE", "/photos/k?versionId="+marker, "")
	if a.Header.Get("X-Amz-Delete-Marker") != "true" || a.Header.Get("X-Amz-Version-Id") != marker {
		t.Errorf("removing the marker: %v", a.Header)
	}
	s.get("/photos/k", "2")
	a = s.want(204, "", "DELETE", "/photos/k?versionId="+v2, "")
	if a.Header.Get("X-Amz-Delete-Marker") != "" || a.Header.Get("X-Amz-Version-Id") != v2 {
		t.Errorf("removing a version: %v", a.Header)
	}
	s.get("/photos/k", "1")
	s.want(404, "NoSuchVersion", "GET", "/photos/k?versionId="+v2, "")
	s.want(204, "", "DELETE", "/photos/k?versionId="+v2, "")
	s.want(400, "InvalidArgument", "GET", "/photos/k?versionId=x", "")
	s.want(400, "InvalidArgument", "GET", "/photos/k?versionId=", "")

	configure("Suspended")
	if id := s.put("/photos/k", "3"); id != "" {
		t.Errorf("version id %q while suspended", id)
	}
	s.get("/photos/k?versionId=null", "3")
	s.get("/photos/k?versionId="+v1, "1")
	if d := s.want(204, "", "DELETE", "/photos/k", ""); d.Header.Get("X-Amz-Version-Id") != "null" || d.Header.Get("X-Amz-Delete-Marker") != "true" {
		t.Errorf("delete while suspended: %v", d.Header)
	}
	s.want(501, "NotImplemented", "DELETE", "/photos/k", "", "X-Amz-If-Match-Size", "1")
	s.want(409, "BucketNotEmpty", "DELETE", "/photos", "")
	s.want(400, "MalformedXML", "PUT", "/photos?versioning", "<VersioningConfiguration><Status>On</Status></VersioningConfiguration>")
	s.want(400, "MalformedXML", "PUT", "/photos?versioning", "")
}

func TestManyDeletes(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	s.bucket("kept", segment.Versioned)
	for _, k := range []string{"a", "b", "c&d"} {
		s.put("/photos/"+k, "x")
	}
	del := func(bucket, inner string) answer {
		return s.want(200, "", "POST", "/"+bucket+"?delete", "<Delete>"+inner+"</Delete>")
	}
	a := del("photos", "<Object><Key>a</Key></Object><Object><Key>missing</Key></Object><Object><Key>c&amp;d</Key></Object>")
	if got := a.texts(t, "Deleted>Key"); fmt.Sprint(got) != "[a missing c&d]" {
		t.Errorf("deleted %q", got)
	}
	wantKeys(t, s.want(200, "", "GET", "/photos", ""), "b")
	a = del("photos", "<Quiet>true</Quiet><Object><Key>b</Key></Object><Object><Key></Key></Object>")
	if len(a.texts(t, "Deleted>Key")) != 0 || a.text(t, "Error>Code") != "InvalidArgument" {
		t.Errorf("quiet: %s", a.body)
	}
	wantKeys(t, s.want(200, "", "GET", "/photos", ""))

	id := s.put("/kept/k", "1")
	a = del("kept", "<Object><Key>k</Key></Object>")
	marker := a.text(t, "Deleted>DeleteMarkerVersionId")
	if a.text(t, "Deleted>DeleteMarker") != "true" || marker == "" {
		t.Errorf("a marker: %s", a.body)
	}
	a = del("kept", "<Object><Key>k</Key><VersionId>"+marker+"</VersionId></Object><Object><Key>k</Key><VersionId>"+id+"</VersionId></Object><Object><Key>k</Key><VersionId>x</VersionId></Object>")
	if fmt.Sprint(a.texts(t, "Deleted>VersionId")) != fmt.Sprint([]string{marker, id}) || a.text(t, "Error>Code") != "NoSuchVersion" {
		t.Errorf("versions: %s", a.body)
	}
	s.want(204, "", "DELETE", "/kept", "")

	s.want(400, "MalformedXML", "POST", "/photos?delete", "<Delete></Delete>")
	s.want(400, "MalformedXML", "POST", "/photos?delete", "<Delete>"+strings.Repeat("<Object><Key>k</Key></Object>", maxDeletes+1)+"</Delete>")
	s.want(400, "MaxMessageLengthExceeded", "POST", "/photos?delete", "<Delete>"+strings.Repeat(" ", maxDeleteDocument)+"</Delete>")
	s.want(400, "BadDigest", "POST", "/photos?delete", "<Delete><Object><Key>k</Key></Object></Delete>", "Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")
}

func TestCopies(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Versioned)
	s.bucket("other", segment.Unversioned)
	body := randomText(7, 300_000)
	v1 := s.put("/photos/a+b c", "old", "X-Amz-Meta-N", "1")
	v2 := s.put("/photos/a+b c", body, "Content-Type", "text/x", "X-Amz-Meta-N", "2", "X-Amz-Tagging", "t=1", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY")
	const source = "/photos/a+b%20c"
	a := s.want(200, "", "PUT", "/other/copy", "", "X-Amz-Copy-Source", source)
	if a.text(t, "ETag") != `"`+md5Hex(body)+`"` || a.Header.Get("X-Amz-Copy-Source-Version-Id") != v2 || a.Header.Get("X-Amz-Version-Id") != "" {
		t.Errorf("%v %s", a.Header, a.body)
	}
	got := s.get("/other/copy", body)
	if got.Header.Get("X-Amz-Meta-N") != "2" || got.Header.Get("Content-Type") != "text/x" || got.Header.Get("X-Amz-Tagging-Count") != "1" || got.Header.Get("X-Amz-Storage-Class") != "" {
		t.Errorf("the copy's headers: %v", got.Header)
	}
	s.want(200, "", "PUT", "/other/copy", "", "X-Amz-Copy-Source", source[1:], "X-Amz-Metadata-Directive", "REPLACE", "X-Amz-Tagging-Directive", "REPLACE", "X-Amz-Meta-M", "3")
	got = s.get("/other/copy", body)
	if got.Header.Get("X-Amz-Meta-N") != "" || got.Header.Get("X-Amz-Meta-M") != "3" || got.Header.Get("Content-Type") != defaultType || got.Header.Get("X-Amz-Tagging-Count") != "" {
		t.Errorf("replaced: %v", got.Header)
	}
	s.want(200, "", "PUT", "/other/copy", "", "X-Amz-Copy-Source", source+"?versionId="+v1)
	s.get("/other/copy", "old")
	a = s.want(200, "", "PUT", "/other/copy", "", "X-Amz-Copy-Source", source, "X-Amz-Checksum-Algorithm", "SHA256")
	if a.text(t, "ChecksumSHA256") != sumText(sha256Sum, body) {
		t.Errorf("%s", a.body)
	}

	etag := md5Hex(body)
	for _, c := range []struct {
		status  int
		code    string
		headers []string
	}{
		{200, "", []string{"X-Amz-Copy-Source-If-Match", etag}},
		{412, "PreconditionFailed", []string{"X-Amz-Copy-Source-If-Match", "x"}},
		{412, "PreconditionFailed", []string{"X-Amz-Copy-Source-If-None-Match", etag}},
		{412, "PreconditionFailed", []string{"X-Amz-Copy-Source-If-Unmodified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"}},
		{200, "", []string{"X-Amz-Copy-Source-If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"}},
		{412, "PreconditionFailed", []string{"If-None-Match", "*"}},
		{400, "InvalidArgument", []string{"X-Amz-Metadata-Directive", "MERGE"}},
	} {
		s.want(c.status, c.code, "PUT", "/other/copy", "", append([]string{"X-Amz-Copy-Source", source}, c.headers...)...)
	}
	s.want(404, "NoSuchKey", "PUT", "/other/x", "", "X-Amz-Copy-Source", "/photos/none")
	s.want(404, "NoSuchBucket", "PUT", "/other/x", "", "X-Amz-Copy-Source", "/none/k")
	s.want(403, "AccessDenied", "PUT", "/other/x", "", "X-Amz-Copy-Source", source, "X-Amz-Source-Expected-Bucket-Owner", "somebody")
	s.want(400, "InvalidArgument", "PUT", "/other/x", "", "X-Amz-Copy-Source", "photos")
	s.want(400, "InvalidArgument", "PUT", "/other/x", "", "X-Amz-Copy-Source", "/photos/k?versionId=x")
	s.want(400, "InvalidRequest", "PUT", "/other/copy", "", "X-Amz-Copy-Source", "/other/copy")
	s.want(200, "", "PUT", "/other/copy", "", "X-Amz-Copy-Source", "/other/copy", "X-Amz-Metadata-Directive", "REPLACE")
	marker := s.want(204, "", "DELETE", "/photos/a+b%20c", "").Header.Get("X-Amz-Version-Id")
	s.want(400, "InvalidRequest", "PUT", "/other/x", "", "X-Amz-Copy-Source", source+"?versionId="+marker)
	s.want(404, "NoSuchKey", "PUT", "/other/x", "", "X-Amz-Copy-Source", source)
}
