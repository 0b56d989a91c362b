package s3

import (
	"strings"
	"testing"
)

func tagging(pairs ...string) string {
	var b strings.Builder
	b.WriteString("<Tagging><TagSet>")
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("<Tag><Key>" + pairs[i] + "</Key><Value>" + pairs[i+1] + "</Value></Tag>")
	}
	b.WriteString("</TagSet></Tagging>")
	return b.String()
}

func TestTagsOfAStoredObjectChange(t *testing.T) {
	s := newSite(t)
	s.want(200, "", "PUT", "/photos", "")
	s.put("/photos/k", "x", "X-Amz-Tagging", "a=1&b=2")
	before := s.get("/photos/k", "x").Header
	tags := func(path, want string) {
		t.Helper()
		if a := s.want(200, "", "GET", path, ""); !strings.Contains(string(a.body), want) {
			t.Errorf("%s is %s, want %s", path, a.body, want)
		}
	}
	tags("/photos/k?tagging", "<Key>a</Key><Value>1</Value>")
	a := s.want(200, "", "PUT", "/photos/k?tagging", tagging("c", "3"))
	if id := a.Header.Get("X-Amz-Version-Id"); id != "" {
		t.Errorf("a version id without versioning: %s", id)
	}
	tags("/photos/k?tagging", "<TagSet><Tag><Key>c</Key><Value>3</Value></Tag></TagSet>")
	after := s.get("/photos/k", "x").Header
	for _, name := range []string{"Etag", "Last-Modified"} {
		if before.Get(name) != after.Get(name) {
			t.Errorf("%s was %q and is %q", name, before.Get(name), after.Get(name))
		}
	}
	if n := after.Get("X-Amz-Tagging-Count"); n != "1" {
		t.Errorf("%q tags are counted", n)
	}
	s.want(200, "", "PUT", "/photos/copy", "", "X-Amz-Copy-Source", "/photos/k")
	tags("/photos/copy?tagging", "<Key>c</Key>")
	s.want(204, "", "DELETE", "/photos/k?tagging", "")
	tags("/photos/k?tagging", "<TagSet></TagSet>")
	if n := s.get("/photos/k", "x").Header.Get("X-Amz-Tagging-Count"); n != "" {
		t.Errorf("%q tags are counted", n)
	}
	tags("/photos/copy?tagging", "<Key>c</Key>")
}

func TestTagsAreOfAVersion(t *testing.T) {
	s := newSite(t)
	s.want(200, "", "PUT", "/photos", "")
	s.want(200, "", "PUT", "/photos?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	v1, v2 := s.put("/photos/k", "1"), s.put("/photos/k", "2")
	for id, value := range map[string]string{v1: "one", v2: "two"} {
		if a := s.want(200, "", "PUT", "/photos/k?tagging&versionId="+id, tagging("is", value)); a.Header.Get("X-Amz-Version-Id") != id {
			t.Errorf("tagged version %s, want %s", a.Header.Get("X-Amz-Version-Id"), id)
		}
	}
	for path, value := range map[string]string{"/photos/k?tagging&versionId=" + v1: "one", "/photos/k?tagging": "two"} {
		if a := s.want(200, "", "GET", path, ""); !strings.Contains(string(a.body), "<Value>"+value+"</Value>") {
			t.Errorf("%s is %s, want %s", path, a.body, value)
		}
	}
	marker := s.want(204, "", "DELETE", "/photos/k", "").Header.Get("X-Amz-Version-Id")
	s.want(404, "NoSuchKey", "PUT", "/photos/k?tagging", tagging("a", "1"))
	s.want(405, "MethodNotAllowed", "PUT", "/photos/k?tagging&versionId="+marker, tagging("a", "1"))
	s.want(405, "MethodNotAllowed", "DELETE", "/photos/k?tagging&versionId="+marker, "")
	s.want(204, "", "DELETE", "/photos/k?tagging&versionId="+v1, "")
	s.get("/photos/k?versionId="+v1, "1")
}

func TestTagsThatAreRefused(t *testing.T) {
	s := newSite(t)
	s.want(200, "", "PUT", "/photos", "")
	s.put("/photos/k", "x", "X-Amz-Tagging", "a=1")
	eleven := make([]string, 0, 22)
	for _, c := range "abcdefghijk" {
		eleven = append(eleven, string(c), "1")
	}
	for _, c := range []struct{ code, body string }{
		{"InvalidTag", tagging("", "1")},
		{"InvalidTag", tagging("a", "1", "a", "2")},
		{"InvalidTag", tagging(strings.Repeat("k", 129), "1")},
		{"InvalidTag", tagging("a", strings.Repeat("v", 257))},
		{"BadRequest", tagging(eleven...)},
		{"MalformedXML", "<Tagging>"},
		{"MalformedXML", "<Other/>"},
	} {
		s.want(400, c.code, "PUT", "/photos/k?tagging", c.body)
	}
	s.want(404, "NoSuchKey", "PUT", "/photos/none?tagging", tagging("a", "1"))
	s.want(404, "NoSuchBucket", "PUT", "/none/k?tagging", tagging("a", "1"))
	if a := s.want(200, "", "GET", "/photos/k?tagging", ""); !strings.Contains(string(a.body), "<Key>a</Key><Value>1</Value>") {
		t.Errorf("the tags are %s", a.body)
	}
	s.want(200, "", "PUT", "/photos/k?tagging", tagging(eleven[:20]...))
	widest := make([]string, 0, 20)
	for _, c := range "abcdefghij" {
		widest = append(widest, string(c)+strings.Repeat("\U0001F600", 127), strings.Repeat("\U0001F600", 256))
	}
	s.want(200, "", "PUT", "/photos/k?tagging", tagging(widest...))
}
