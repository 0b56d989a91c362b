package migrate

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/crc64nvme"
)

// etagOf is that of an upload in parts, as S3 makes it.
func etagOf(content string, part int) string {
	var sums []byte
	n := 0
	for p := range slices.Chunk([]byte(content), part) {
		sum := md5.Sum(p)
		sums, n = append(sums, sum[:]...), n+1
	}
	return fmt.Sprintf("%x-%d", md5.Sum(sums), n)
}

func TestContentIsCheckedAgainstWhatItsStoreSays(t *testing.T) {
	content := strings.Repeat("some content, ", 1000)
	whole := fmt.Sprintf("%x", md5.Sum([]byte(content)))
	other := fmt.Sprintf("%x", md5.Sum([]byte("other")))
	sum32 := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(content))))
	sum64 := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum([]byte(content))))
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	for name, c := range map[string]struct {
		header http.Header
		tag    string
		part   int64
		size   int
		want   Proof
		bad    bool
	}{
		"the MD5":                           {header(), whole, 0, 0, ByETag, false},
		"another MD5":                       {header(), other, 0, 0, "", true},
		"another MD5, that is none":         {header("x-amz-server-side-encryption", "aws:kms"), other, 0, 0, Unverified, false},
		"another MD5, of a customer's key":  {header("x-amz-server-side-encryption-customer-algorithm", "AES256"), other, 0, 0, Unverified, false},
		"another MD5, encrypted plainly":    {header("x-amz-server-side-encryption", "AES256"), other, 0, 0, "", true},
		"no MD5 at all":                     {header(), "0x8D9", 0, 0, Unverified, false},
		"parts":                             {header(), etagOf(content, 5000), 5000, 0, ByETag, false},
		"parts, all of one length":          {header(), etagOf(content, 7000), 7000, 0, ByETag, false},
		"one part":                          {header(), etagOf(content, 1<<20), 1 << 20, 0, ByETag, false},
		"parts of a length nobody knows":    {header(), etagOf(content, 5000), 0, 0, Unverified, false},
		"parts of another length":           {header(), etagOf(content, 5000), 6000, 0, Unverified, false},
		"parts and a checksum":              {header("x-amz-checksum-crc32", sum32), etagOf(content, 5000), 0, 0, ByChecksum, false},
		"a checksum of the whole":           {header("x-amz-checksum-crc64nvme", sum64, "x-amz-checksum-type", "FULL_OBJECT"), "odd", 0, 0, ByChecksum, false},
		"another checksum":                  {header("x-amz-checksum-crc64nvme", sum32), whole, 0, 0, "", true},
		"a checksum of checksums":           {header("x-amz-checksum-crc32", sum64, "x-amz-checksum-type", "COMPOSITE"), "odd", 0, 0, Unverified, false},
		"a checksum of checksums, numbered": {header("x-amz-checksum-crc32", sum32+"-3"), "odd", 0, 0, Unverified, false},
		"too short":                         {header(), "odd", 0, len(content) + 1, "", true},
	} {
		k := newCheck(c.header, c.tag, int64(max(c.size, len(content))), c.part)
		for p := range slices.Chunk([]byte(content), 999) {
			if _, err := k.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		got, err := k.verdict()
		if c.bad != errors.Is(err, errDiffers) || err == nil && got != c.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestMetadataComesAlong(t *testing.T) {
	h := http.Header{
		"Content-Type": {"text/plain"}, "Content-Length": {"5"}, "Etag": {`"x"`}, "Content-Encoding": {"aws-chunked,gzip"}, "Last-Modified": {"Fri, 20 Nov 2026 12:00:00 GMT"},
		"X-Amz-Meta-Colour": {"blue"}, "X-Amz-Meta-Source-Etag": {"of before"}, "X-Amz-Storage-Class": {"GLACIER"}, "Expires": {"0"},
	}
	want := map[string]string{"content-type": "text/plain", "content-encoding": "gzip", "expires": "0", "x-amz-meta-colour": "blue",
		MetaETag: "tag", MetaModified: "2026-11-20T12:00:00Z"}
	if diff := cmp.Diff(want, metaOf(h, "tag")); diff != "" {
		t.Error(diff)
	}
}

func TestKeysAreLookedForAndEndpointsRead(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	if _, err := Dial(Source{}); !errors.Is(err, ErrNoKeys) {
		t.Errorf("without keys: %v", err)
	}
	c, err := Dial(Source{Anonymous: true})
	if err != nil || c.EndpointURL().String() != "https://s3.amazonaws.com" {
		t.Errorf("%v, %v", c, err)
	}
	t.Setenv("AWS_ENDPOINT_URL", "http://one:9000")
	t.Setenv("AWS_ENDPOINT_URL_S3", "http://two:9000/")
	if c, err = Dial(Source{Anonymous: true}); err != nil || c.EndpointURL().Host != "two:9000" {
		t.Errorf("%v", err)
	}
	for _, at := range []string{"one:9000", "ftp://one", "https://", "http://one/path"} {
		if _, err := Dial(Source{Endpoint: at, Anonymous: true}); err == nil {
			t.Errorf("%s is taken", at)
		}
	}
	t.Setenv("AWS_CA_BUNDLE", "/nowhere")
	if _, err := Dial(Source{Endpoint: "https://one", Anonymous: true}); err == nil {
		t.Error("a bundle that is not there is taken")
	}
}
