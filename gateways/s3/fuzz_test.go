package s3

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzHeaders feeds every reader of a header or parameter: none panics, and what is taken is in bounds.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{
		"", "bytes=0-9", "bytes=-5", "bytes=9223372036854775807-9223372036854775808", "bytes=5-", `"etag", W/"x", *`, "/bucket/key?versionId=null",
		"bucket/k%2", "a=b&c=%zz", "k==", "aGVsbG8", "gzip, aws-chunked", "AWS4-HMAC-SHA256 Credential=a/b/20130524/r/s3/aws4_request, SignedHeaders=host, Signature=0",
		"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1", "x-amz-checksum-crc32", "10000", "\xff",
	} {
		f.Add(s, int64(100))
	}
	g := awsGateway()
	f.Fuzz(func(t *testing.T, s string, size int64) {
		size = max(size, 0)
		if x, ok, err := parseSpan(s, size); ok && (err != nil || x.off < 0 || x.n <= 0 || x.off+x.n > size) {
			t.Fatalf("%q of %d: %+v, %v", s, size, x, err)
		}
		if x, err := parseSourceSpan(s, size); err == nil && (x.off < 0 || x.n <= 0 || x.off+x.n > size) {
			t.Fatalf("%q of %d: %+v", s, size, x)
		}
		if x, err := parseSource(s); err == nil && (x.bucket == "" || x.key == "" || !utf8.ValidString(x.key)) {
			t.Fatalf("%q: %+v", s, x)
		}
		if tags, err := parseTagHeader(s); err == nil && len(tags) > maxTags {
			t.Fatalf("%q: %d tags", s, len(tags))
		}
		if n, err := parsePartNumber(s); err == nil && (n < 1 || n > maxParts) {
			t.Fatalf("%q: part %d", s, n)
		}
		if next, err := parseToken(formatToken(s)); err != nil || next != s {
			t.Fatalf("%q: %q, %v", s, next, err)
		}
		_, _ = parseToken(s)
		_ = matches(s, "etag")
		if strings.Contains(withoutChunked(s), "aws-chunked,") {
			t.Fatalf("%q: %q", s, withoutChunked(s))
		}
		for _, a := range algorithms() {
			if sum, err := a.parse(s); err == nil && len(sum) != a.new().Size() {
				t.Fatalf("%q: %d bytes", s, len(sum))
			}
		}
		q, err := parseQuery(s)
		if err != nil {
			return
		}
		if n, err := q.limit("max-keys", maxPage); err == nil && (n < 0 || n > maxPage) {
			t.Fatalf("%q: limit %d", s, n)
		}
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/" + s}, Header: http.Header{"Authorization": {s}, "X-Amz-Date": {s}, "Range": {s}}}
		if _, err := g.authenticate(r, nil); err == nil {
			t.Fatalf("%q: authenticated", s)
		}
		r.Header.Del("Authorization")
		if _, err := g.authenticate(r, q); err == nil {
			t.Fatalf("%q: authenticated", s)
		}
	})
}

// FuzzDocuments feeds the readers of documents.
func FuzzDocuments(f *testing.F) {
	f.Add([]byte("<Delete><Object><Key>k</Key><VersionId>v</VersionId></Object></Delete>"))
	f.Add([]byte("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag><ChecksumCRC32>y</ChecksumCRC32></Part></CompleteMultipartUpload>"))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "b">]><Delete>&a;</Delete>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var del deleteRequest
		_ = parseXML(b, &del)
		var done completeRequest
		if parseXML(b, &done) == nil {
			refs, err := partRefs(done.Parts)
			for i := range refs {
				if err == nil && (refs[i].Number < 1 || i > 0 && refs[i].Number <= refs[i-1].Number) {
					t.Fatalf("%q: %v", b, refs)
				}
			}
			_ = namedETag(done.Parts)
		}
		var acl accessControlPolicy
		if parseXML(b, &acl) == nil && acl.ownersOnly() && len(acl.Grants) == 0 {
			t.Fatalf("%q: taken", b)
		}
	})
}
