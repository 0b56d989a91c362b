package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/edgefs/edgefs/segment"
)

func randomText(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestWhatIsPutIsGot(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	for _, n := range []int{0, 1, 4096, smallBody - 1, smallBody, smallBody + 1, blockSize, blockSize + 1, 3*blockSize + 17} {
		body := randomText(uint64(n), n)
		path := fmt.Sprintf("/photos/dir/%d.bin", n)
		a := s.want(200, "", "PUT", path, body, "Content-Type", "text/x", "X-Amz-Meta-Color", "blue", "Cache-Control", "no-cache")
		if want := `"` + md5Hex(body) + `"`; a.Header.Get("Etag") != want {
			t.Errorf("%d bytes: ETag %s, want %s", n, a.Header.Get("Etag"), want)
		}
		for _, method := range []string{"GET", "HEAD"} {
			a = s.want(200, "", method, path, "")
			if method == "GET" && string(a.body) != body {
				t.Errorf("%d bytes: other bytes", n)
			}
			for name, want := range map[string]string{
				"Etag": `"` + md5Hex(body) + `"`, "Content-Type": "text/x", "X-Amz-Meta-Color": "blue", "Cache-Control": "no-cache",
				"Content-Length": fmt.Sprint(n), "Accept-Ranges": "bytes", "X-Amz-Version-Id": "",
			} {
				if got := a.Header.Get(name); got != want {
					t.Errorf("%s %d bytes: %s %q, want %q", method, n, name, got, want)
				}
			}
			if at, err := http.ParseTime(a.Header.Get("Last-Modified")); err != nil || time.Since(at) > time.Minute {
				t.Errorf("Last-Modified %q", a.Header.Get("Last-Modified"))
			}
		}
	}
}

func TestOddKeysRoundTrip(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	ctx := within(t)
	for _, key := range []string{"a b+c%d&e=f;g?h#i", "ünï/字/🙂", "//x//", "dir/", ".", "~!*'()", strings.Repeat("k", maxKey)} {
		if _, err := s.client.PutObject(ctx, "photos", key, strings.NewReader(key), int64(len(key)), minio.PutObjectOptions{}); err != nil {
			t.Errorf("%q: %v", key, err)
			continue
		}
		i, err := s.client.StatObject(ctx, "photos", key, minio.StatObjectOptions{})
		if err != nil || i.Size != int64(len(key)) {
			t.Errorf("%q: %v, %d bytes", key, err, i.Size)
		}
	}
	listed := 0
	for o := range s.client.ListObjects(ctx, "photos", minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		listed++
		if err := s.client.RemoveObject(ctx, "photos", o.Key, minio.RemoveObjectOptions{}); err != nil {
			t.Errorf("%q: %v", o.Key, err)
		}
	}
	if listed != 7 {
		t.Errorf("%d keys listed", listed)
	}
	if err := s.client.RemoveBucket(ctx, "photos"); err != nil {
		t.Error(err)
	}
}

func TestRanges(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	body := randomText(1, 300_000)
	s.put("/photos/k", body)
	s.put("/photos/empty", "")
	for header, want := range map[string][2]int{
		"bytes=0-9": {0, 10}, "bytes=5-5": {5, 6}, "bytes=299999-": {299_999, 300_000}, "bytes=-7": {299_993, 300_000},
		"bytes=-999999": {0, 300_000}, "bytes=100000-999999": {100_000, 300_000}, "bytes=0-": {0, 300_000},
	} {
		a := s.want(206, "", "GET", "/photos/k", "", "Range", header)
		if string(a.body) != body[want[0]:want[1]] {
			t.Errorf("%s: other bytes, %d", header, len(a.body))
		}
		if got, want := a.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/300000", want[0], want[1]-1); got != want {
			t.Errorf("%s: %s, want %s", header, got, want)
		}
	}
	for _, header := range []string{"bytes=5-3", "bytes=a-b", "bytes=1-2,4-5", "lines=1-2", "bytes=", "bytes=-", "bytes= -1"} { // not ranges: ignored
		if a := s.want(200, "", "GET", "/photos/k", "", "Range", header); len(a.body) != len(body) {
			t.Errorf("%s: %d bytes", header, len(a.body))
		}
	}
	for _, header := range []string{"bytes=300000-", "bytes=300000-400000", "bytes=-0"} {
		a := s.want(416, "InvalidRange", "GET", "/photos/k", "", "Range", header)
		if got := a.Header.Get("Content-Range"); got != "bytes */300000" {
			t.Errorf("%s: Content-Range %q", header, got)
		}
	}
	s.want(416, "InvalidRange", "GET", "/photos/empty", "", "Range", "bytes=0-")
	if a := s.want(206, "", "HEAD", "/photos/k", "", "Range", "bytes=0-9"); a.ContentLength != 10 {
		t.Errorf("HEAD of a range: %d", a.ContentLength)
	}
	etag := s.want(200, "", "HEAD", "/photos/k", "").Header.Get("Etag")
	s.want(206, "", "GET", "/photos/k", "", "Range", "bytes=0-9", "If-Range", etag)
	s.want(200, "", "GET", "/photos/k", "", "Range", "bytes=0-9", "If-Range", `"other"`)
}

func TestConditionsOfReads(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	s.put("/photos/k", "x")
	a := s.want(200, "", "HEAD", "/photos/k", "")
	etag, at := a.Header.Get("Etag"), a.Header.Get("Last-Modified")
	modified, err := http.ParseTime(at)
	if err != nil {
		t.Fatal(err)
	}
	before, after := modified.Add(-time.Hour).Format(http.TimeFormat), modified.Add(time.Hour).Format(http.TimeFormat)
	cases := []struct {
		status  int
		headers []string
	}{
		{200, []string{"If-Match", etag}},
		{200, []string{"If-Match", strings.Trim(etag, `"`)}},
		{200, []string{"If-Match", `"x", ` + etag}},
		{200, []string{"If-Match", "*"}},
		{412, []string{"If-Match", `"x"`}},
		{200, []string{"If-None-Match", `"x"`}},
		{304, []string{"If-None-Match", etag}},
		{304, []string{"If-None-Match", "*"}},
		{304, []string{"If-Modified-Since", at}},
		{304, []string{"If-Modified-Since", after}},
		{200, []string{"If-Modified-Since", before}},
		{200, []string{"If-Modified-Since", "nonsense"}},
		{200, []string{"If-Unmodified-Since", at}},
		{412, []string{"If-Unmodified-Since", before}},
		{200, []string{"If-Match", etag, "If-Unmodified-Since", before}},
		{200, []string{"If-None-Match", `"x"`, "If-Modified-Since", after}},
		{304, []string{"If-None-Match", etag, "If-Modified-Since", before}},
	}
	for _, c := range cases {
		for _, method := range []string{"GET", "HEAD"} {
			a := s.request(method, "/photos/k", "", c.headers...)
			if a.StatusCode != c.status {
				t.Errorf("%s %v: %d, want %d", method, c.headers, a.StatusCode, c.status)
			}
			if c.status == 304 && (len(a.body) > 0 || a.Header.Get("Etag") != etag) {
				t.Errorf("%s %v: %q, ETag %s", method, c.headers, a.body, a.Header.Get("Etag"))
			}
		}
	}
}

func TestConditionsOfWrites(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	s.want(404, "NoSuchKey", "PUT", "/photos/k", "1", "If-Match", `"x"`)
	s.want(200, "", "PUT", "/photos/k", "1", "If-None-Match", "*")
	s.want(412, "PreconditionFailed", "PUT", "/photos/k", "2", "If-None-Match", "*")
	s.want(412, "PreconditionFailed", "PUT", "/photos/k", "2", "If-Match", `"x"`)
	s.get("/photos/k", "1")
	s.want(200, "", "PUT", "/photos/k", "2", "If-Match", `"`+md5Hex("1")+`"`)
	s.get("/photos/k", "2")
	s.want(501, "NotImplemented", "PUT", "/photos/k", "3", "If-None-Match", `"x"`)
	s.want(412, "PreconditionFailed", "DELETE", "/photos/k", "", "If-Match", `"x"`)
	s.want(204, "", "DELETE", "/photos/k", "", "If-Match", `"`+md5Hex("2")+`"`)
	s.want(404, "NoSuchKey", "GET", "/photos/k", "")
}

func TestResponseOverrides(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	s.put("/photos/k", "x", "Content-Type", "text/plain")
	a := s.want(200, "", "GET", "/photos/k?response-content-type=text%2Fhtml&response-content-disposition=attachment&response-expires=x", "")
	if a.Header.Get("Content-Type") != "text/html" || a.Header.Get("Content-Disposition") != "attachment" || a.Header.Get("Expires") != "x" {
		t.Errorf("%v", a.Header)
	}
	s.want(400, "InvalidArgument", "GET", "/photos/k?response-etag=x", "")
}

func TestDigestsAreVerifiedAndNothingIsKeptOfAWrongBody(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	for _, n := range []int{10, smallBody, 2 * blockSize} {
		body := randomText(3, n)
		sum := md5.Sum([]byte(body))
		good := base64.StdEncoding.EncodeToString(sum[:])
		wrong := base64.StdEncoding.EncodeToString(make([]byte, 16))
		s.want(400, "BadDigest", "PUT", "/photos/k", body, "Content-MD5", wrong)
		s.want(400, "InvalidDigest", "PUT", "/photos/k", body, "Content-MD5", "x")
		s.want(400, "InvalidDigest", "PUT", "/photos/k", body, "Content-MD5", "")
		s.want(400, "XAmzContentSHA256Mismatch", "PUT", "/photos/k", body, "X-Amz-Content-Sha256", emptySHA256)
		s.want(400, "InvalidArgument", "PUT", "/photos/k", body, "X-Amz-Content-Sha256", "nonsense")
		s.want(501, "NotImplemented", "PUT", "/photos/k", body, "X-Amz-Content-Sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")
		for _, a := range algorithms() {
			s.want(400, "BadDigest", "PUT", "/photos/k", body, a.header(), sumText(a, "another"))
			s.want(400, "InvalidRequest", "PUT", "/photos/k", body, a.header(), "x")
		}
		s.want(400, "InvalidRequest", "PUT", "/photos/k", body, crc32C.header(), sumText(crc32C, body), sha1Sum.header(), sumText(sha1Sum, body))
		s.want(400, "InvalidRequest", "PUT", "/photos/k", body, "X-Amz-Sdk-Checksum-Algorithm", "CRC32")
		s.want(404, "NoSuchKey", "GET", "/photos/k", "")
		s.want(200, "", "PUT", "/photos/good", body, "Content-MD5", good)
	}
}

func TestChecksumsAreKeptAndAnswered(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	body := randomText(4, 200_000)
	for _, a := range algorithms() {
		sum := sumText(a, body)
		got := s.want(200, "", "PUT", "/photos/k", body, a.header(), sum, "X-Amz-Sdk-Checksum-Algorithm", string(a))
		if got.Header.Get(a.header()) != sum || got.Header.Get("X-Amz-Checksum-Type") != fullObject {
			t.Errorf("%s: PUT answers %v", a, got.Header)
		}
		for _, method := range []string{"GET", "HEAD"} {
			got = s.want(200, "", method, "/photos/k", "", "X-Amz-Checksum-Mode", "ENABLED")
			if got.Header.Get(a.header()) != sum || got.Header.Get("X-Amz-Checksum-Type") != fullObject {
				t.Errorf("%s: %s answers %v", a, method, got.Header)
			}
		}
		if got := s.want(200, "", "GET", "/photos/k", ""); got.Header.Get(a.header()) != "" {
			t.Errorf("%s: answered unasked", a)
		}
		if got := s.want(206, "", "GET", "/photos/k", "", "X-Amz-Checksum-Mode", "ENABLED", "Range", "bytes=1-2"); got.Header.Get(a.header()) != "" {
			t.Errorf("%s: answered for a range", a)
		}
		attrs := s.want(200, "", "GET", "/photos/k?attributes", "", "X-Amz-Object-Attributes", "Checksum,ObjectSize,ETag,StorageClass")
		if attrs.text(t, "Checksum>"+a.element()) != sum || attrs.text(t, "ObjectSize") != "200000" || attrs.text(t, "ETag") != md5Hex(body) {
			t.Errorf("%s: attributes %s", a, attrs.body)
		}
	}
}

func TestMetadataLimits(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	s.want(200, "", "PUT", "/photos/k", "", "X-Amz-Meta-A", strings.Repeat("x", maxUserMeta-1))
	s.want(400, "MetadataTooLarge", "PUT", "/photos/k", "", "X-Amz-Meta-A", strings.Repeat("x", maxUserMeta))
	s.want(400, "KeyTooLongError", "PUT", "/photos/"+strings.Repeat("k", maxKey+1), "")
	if err := checkKey("\xff"); err == nil || faultOf(err).name != "InvalidURI" {
		t.Errorf("a key that is not UTF-8: %v", err)
	}
	s.want(400, "InvalidStorageClass", "PUT", "/photos/k", "", "X-Amz-Storage-Class", "GLACIER")
	s.want(400, "AccessControlListNotSupported", "PUT", "/photos/k", "", "X-Amz-Acl", "public-read")
	s.want(200, "", "PUT", "/photos/k", "", "X-Amz-Acl", "private")
	s.want(501, "NotImplemented", "PUT", "/photos/k", "", "X-Amz-Server-Side-Encryption", "AES256")
	s.want(400, "InvalidRequest", "PUT", "/photos/k", "", "X-Amz-Object-Lock-Legal-Hold", "ON")
	s.want(400, "InvalidArgument", "PUT", "/photos/k?partNumber=1", "x")
}

func TestContentEncodingLosesTheTransfersOwn(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	for given, want := range map[string]string{"gzip": "gzip", "aws-chunked": "", "aws-chunked,gzip": "gzip", "gzip, aws-chunked": "gzip"} {
		s.put("/photos/k", "x", "Content-Encoding", given)
		a := s.want(200, "", "HEAD", "/photos/k", "", "Accept-Encoding", "identity")
		if got := a.Header.Get("Content-Encoding"); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}

func TestTheMinioClientsWaysOfUploading(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	trailing := s.newClient(&minio.Options{TrailingHeaders: true})
	body := []byte(randomText(5, 300_000))
	ctx := within(t)
	upload := func(name string, c *minio.Client, o minio.PutObjectOptions) {
		t.Run(name, func(t *testing.T) {
			if _, err := c.PutObject(ctx, "photos", name, bytes.NewReader(body), int64(len(body)), o); err != nil {
				t.Fatal(err)
			}
			o, err := c.GetObject(ctx, "photos", name, minio.GetObjectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if _, err := got.ReadFrom(o); err != nil || !bytes.Equal(got.Bytes(), body) {
				t.Errorf("%v, %d bytes", err, got.Len())
			}
		})
	}
	upload("signed chunks", s.client, minio.PutObjectOptions{})
	upload("md5", s.client, minio.PutObjectOptions{SendContentMd5: true})
	upload("unsigned", s.client, minio.PutObjectOptions{DisableContentSha256: true})
	for _, c := range []minio.ChecksumType{minio.ChecksumCRC32, minio.ChecksumCRC32C, minio.ChecksumCRC64NVME, minio.ChecksumSHA1, minio.ChecksumSHA256} {
		upload("trailing "+c.String(), trailing, minio.PutObjectOptions{Checksum: c})
		upload("unsigned trailing "+c.String(), trailing, minio.PutObjectOptions{Checksum: c, DisableContentSha256: true})
	}
}
