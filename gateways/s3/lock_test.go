package s3

import (
	"strings"
	"testing"
	"time"
)

// inAnHour is a moment as clients write it.
func inAnHour(n int) string {
	return time.Now().Add(time.Duration(n) * time.Hour).UTC().Format(time.RFC3339)
}

func retention(mode, until string) string {
	return "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + until + "</RetainUntilDate></Retention>"
}

func legalHold(status string) string {
	return "<LegalHold><Status>" + status + "</Status></LegalHold>"
}

func newLockedSite(t *testing.T) *site {
	s := newSite(t)
	s.want(200, "", "PUT", "/photos", "", "X-Amz-Bucket-Object-Lock-Enabled", "true")
	return s
}

func TestObjectLockIsOfABucketThatKeepsVersions(t *testing.T) {
	s := newLockedSite(t)
	if got := s.want(200, "", "GET", "/photos?versioning", "").text(t, "Status"); got != "Enabled" {
		t.Errorf("versioning %q", got)
	}
	s.want(409, "InvalidBucketState", "PUT", "/photos?versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")
	s.want(200, "", "PUT", "/photos?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	if got := s.want(200, "", "GET", "/photos?object-lock", "").text(t, "ObjectLockEnabled"); got != "Enabled" {
		t.Errorf("object lock %q", got)
	}

	s.want(200, "", "PUT", "/plain", "")
	s.put("/plain/k", "x")
	configuration := "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
	s.want(404, "ObjectLockConfigurationNotFoundError", "GET", "/plain?object-lock", "")
	s.want(409, "InvalidBucketState", "PUT", "/plain?object-lock", configuration)
	for _, path := range []string{"/plain/k?retention", "/plain/k?legal-hold"} {
		s.want(400, "InvalidRequest", "GET", path, "")
	}
	s.want(400, "InvalidRequest", "PUT", "/plain/k?retention", retention("GOVERNANCE", inAnHour(1)))
	s.want(400, "InvalidRequest", "PUT", "/plain/k?legal-hold", legalHold("ON"))
	s.want(400, "InvalidRequest", "PUT", "/plain/l", "x", legalHoldHeader, "ON")
	s.want(400, "InvalidRequest", "POST", "/plain/l?uploads", "", legalHoldHeader, "ON")
	s.want(404, "NoSuchKey", "GET", "/plain/l", "")
	s.want(200, "", "PUT", "/plain?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	s.want(200, "", "PUT", "/plain?object-lock", configuration)
	s.want(200, "", "PUT", "/plain/k?legal-hold", legalHold("ON"))
	s.want(403, "AccessDenied", "DELETE", "/plain/k?versionId=null", "")
}

func TestARetentionKeepsAVersion(t *testing.T) {
	s := newLockedSite(t)
	v := s.put("/photos/k", "x")
	path := "/photos/k?retention&versionId=" + v
	s.want(404, "NoSuchObjectLockConfiguration", "GET", path, "")
	until := inAnHour(2)
	if got := s.want(200, "", "PUT", path, retention("GOVERNANCE", until)).Header.Get("X-Amz-Version-Id"); got != v {
		t.Errorf("version %q", got)
	}
	if got := s.want(200, "", "GET", path, ""); got.text(t, "Mode") != "GOVERNANCE" || !strings.HasPrefix(got.text(t, "RetainUntilDate"), strings.TrimSuffix(until, "Z")) {
		t.Errorf("%s", got.body)
	}
	for _, method := range []string{"GET", "HEAD"} {
		if h := s.want(200, "", method, "/photos/k", "").Header; h.Get(lockModeHeader) != "GOVERNANCE" || !strings.HasPrefix(h.Get(lockUntilHeader), strings.TrimSuffix(until, "Z")) || h.Get(legalHoldHeader) != "" {
			t.Errorf("%s: %v", method, h)
		}
	}
	s.want(403, "AccessDenied", "DELETE", "/photos/k?versionId="+v, "")
	many := "<Delete><Object><Key>k</Key><VersionId>" + v + "</VersionId></Object></Delete>"
	if a := s.want(200, "", "POST", "/photos?delete", many); !strings.Contains(string(a.body), "<Code>AccessDenied</Code>") {
		t.Errorf("%s", a.body)
	}
	s.want(403, "AccessDenied", "PUT", path, retention("GOVERNANCE", inAnHour(1)))
	s.want(403, "AccessDenied", "PUT", path, "<Retention/>")
	s.want(200, "", "PUT", path, retention("GOVERNANCE", inAnHour(1)), bypassHeader, "true")
	s.want(200, "", "PUT", path, "<Retention/>", bypassHeader, "true")
	s.want(404, "NoSuchObjectLockConfiguration", "GET", path, "")
	s.want(200, "", "PUT", path, retention("GOVERNANCE", inAnHour(1)))
	if a := s.want(200, "", "POST", "/photos?delete", many, bypassHeader, "true"); strings.Contains(string(a.body), "<Error>") {
		t.Errorf("%s", a.body)
	}
	s.want(404, "NoSuchVersion", "GET", "/photos/k?versionId="+v, "")

	v = s.put("/photos/k", "y")
	path = "/photos/k?retention&versionId=" + v
	s.want(200, "", "PUT", path, retention("COMPLIANCE", inAnHour(1)))
	for _, worse := range []string{retention("GOVERNANCE", inAnHour(2)), "<Retention/>", retention("COMPLIANCE", time.Now().Add(time.Minute).UTC().Format(time.RFC3339))} {
		s.want(403, "AccessDenied", "PUT", path, worse, bypassHeader, "true")
	}
	s.want(403, "AccessDenied", "DELETE", "/photos/k?versionId="+v, "", bypassHeader, "true")
	s.want(200, "", "PUT", path, retention("COMPLIANCE", inAnHour(2)))
	s.want(204, "", "DELETE", "/photos/k", "") // hides it
	s.get("/photos/k?versionId="+v, "y")
	s.want(409, "BucketNotEmpty", "DELETE", "/photos", "")
}

func TestALegalHoldIsBesideARetention(t *testing.T) {
	s := newLockedSite(t)
	v := s.put("/photos/k", "x")
	if got := s.want(200, "", "GET", "/photos/k?legal-hold", "").text(t, "Status"); got != "OFF" {
		t.Errorf("legal hold %q", got)
	}
	s.want(200, "", "PUT", "/photos/k?retention", retention("GOVERNANCE", inAnHour(1)))
	s.want(200, "", "PUT", "/photos/k?legal-hold", legalHold("ON"))
	if h := s.get("/photos/k", "x").Header; h.Get(legalHoldHeader) != "ON" || h.Get(lockModeHeader) != "GOVERNANCE" {
		t.Errorf("%v", h)
	}
	s.want(403, "AccessDenied", "DELETE", "/photos/k?versionId="+v, "", bypassHeader, "true")
	s.want(200, "", "PUT", "/photos/k?legal-hold", legalHold("OFF"))
	s.want(403, "AccessDenied", "DELETE", "/photos/k?versionId="+v, "")
	s.want(204, "", "DELETE", "/photos/k?versionId="+v, "", bypassHeader, "true")
	marker := s.want(204, "", "DELETE", "/photos/k", "").Header.Get("X-Amz-Version-Id")
	s.want(405, "MethodNotAllowed", "PUT", "/photos/k?legal-hold&versionId="+marker, legalHold("ON"))
	s.want(404, "NoSuchKey", "PUT", "/photos/k?legal-hold", legalHold("ON"))
}

func TestANewVersionIsLockedByHeadersOrByDefault(t *testing.T) {
	s := newLockedSite(t)
	until := inAnHour(3)
	locked := func(path, mode, hold string) {
		t.Helper()
		if h := s.want(200, "", "HEAD", path, "").Header; h.Get(lockModeHeader) != mode || h.Get(legalHoldHeader) != hold {
			t.Errorf("%s: %q, %q, want %q, %q", path, h.Get(lockModeHeader), h.Get(legalHoldHeader), mode, hold)
		}
	}
	s.put("/photos/put", "x", lockModeHeader, "COMPLIANCE", lockUntilHeader, until, legalHoldHeader, "ON")
	locked("/photos/put", "COMPLIANCE", "ON")
	s.want(200, "", "PUT", "/photos/copy", "", "X-Amz-Copy-Source", "/photos/put", legalHoldHeader, "ON")
	locked("/photos/copy", "", "ON")
	id := s.want(200, "", "POST", "/photos/parts?uploads", "", lockModeHeader, "GOVERNANCE", lockUntilHeader, until).text(t, "UploadId")
	tag := strings.Trim(s.want(200, "", "PUT", "/photos/parts?partNumber=1&uploadId="+id, "part").Header.Get("Etag"), `"`)
	s.want(200, "", "POST", "/photos/parts?uploadId="+id, complete(map[int]string{1: tag}))
	locked("/photos/parts", "GOVERNANCE", "")

	rule := func(inner string) string {
		return "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" + inner + "</DefaultRetention></Rule></ObjectLockConfiguration>"
	}
	for _, c := range []struct{ code, inner string }{
		{"MalformedXML", "<Mode>GOVERNANCE</Mode>"},
		{"MalformedXML", "<Days>1</Days>"},
		{"MalformedXML", "<Mode>FOREVER</Mode><Days>1</Days>"},
		{"MalformedXML", "<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"},
		{"InvalidArgument", "<Mode>GOVERNANCE</Mode><Days>0</Days>"},
		{"InvalidArgument", "<Mode>GOVERNANCE</Mode><Years>101</Years>"},
	} {
		s.want(400, c.code, "PUT", "/photos?object-lock", rule(c.inner))
	}
	s.want(200, "", "PUT", "/photos?object-lock", rule("<Mode>GOVERNANCE</Mode><Days>2</Days>"))
	if a := s.want(200, "", "GET", "/photos?object-lock", ""); !strings.Contains(string(a.body), "<Mode>GOVERNANCE</Mode><Days>2</Days>") {
		t.Errorf("%s", a.body)
	}
	s.put("/photos/default", "x")
	locked("/photos/default", "GOVERNANCE", "")
	s.put("/photos/stricter", "x", lockModeHeader, "COMPLIANCE", lockUntilHeader, until)
	locked("/photos/stricter", "COMPLIANCE", "")

	for _, c := range [][]string{
		{lockModeHeader, "GOVERNANCE"},
		{lockUntilHeader, until},
		{lockModeHeader, "FOREVER", lockUntilHeader, until},
		{lockModeHeader, "GOVERNANCE", lockUntilHeader, "tomorrow"},
		{lockModeHeader, "GOVERNANCE", lockUntilHeader, inAnHour(-1)},
		{legalHoldHeader, "PERHAPS"},
	} {
		s.want(400, "InvalidArgument", "PUT", "/photos/refused", "x", c...)
	}
	s.want(404, "NoSuchKey", "GET", "/photos/refused", "")
	for _, c := range []string{retention("GOVERNANCE", "tomorrow"), retention("FOREVER", until), "<Retention><Mode>GOVERNANCE</Mode></Retention>", "<Other/>"} {
		s.want(400, "MalformedXML", "PUT", "/photos/put?retention", c)
	}
	s.want(400, "InvalidArgument", "PUT", "/photos/put?retention", retention("GOVERNANCE", inAnHour(-1)))
	s.want(400, "MalformedXML", "PUT", "/photos/put?legal-hold", legalHold("PERHAPS"))
}
