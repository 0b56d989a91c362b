// Package sdk_test drives the current AWS SDK for Go at its defaults: trailing checksums on what it sends, checksums validated on what it
// gets. The tests in the folder above run it, and say where the segments are.
package sdk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

const largeSize = 17<<20 + 4321

// world is a bucket at one segment, and the other segment.
type world struct {
	*s3.Client
	peer   *s3.Client
	bucket string
}

func start(t *testing.T) world {
	t.Helper()
	w := world{connect(t, "AWS_"), connect(t, "PEER_"), "sdk-" + strings.ToLower(t.Name()[4:]) + fmt.Sprint(time.Now().UnixNano())}
	if _, err := w.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &w.bucket}); err != nil {
		t.Fatal(err)
	}
	return w
}

func connect(t *testing.T, prefix string) *s3.Client {
	t.Helper()
	endpoint := os.Getenv(prefix + "ENDPOINT_URL")
	if !strings.HasPrefix(endpoint, "http://127.0.0.1:") {
		t.Skip("run by the tests in the folder above")
	}
	key := credentials.NewStaticCredentialsProvider(os.Getenv(prefix+"ACCESS_KEY_ID"), os.Getenv(prefix+"SECRET_ACCESS_KEY"), "")
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithCredentialsProvider(key), config.WithRegion(os.Getenv(prefix+"REGION")))
	if err != nil {
		t.Fatal(err)
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.BaseEndpoint = &endpoint
		o.UsePathStyle = true
	})
}

func bytesOf(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

func (w world) put(t *testing.T, key string, body []byte) *s3.PutObjectOutput {
	t.Helper()
	out, err := w.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &w.bucket, Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return out
}

func (w world) get(t *testing.T, in s3.GetObjectInput) []byte {
	t.Helper()
	in.Bucket = &w.bucket
	out, err := w.GetObject(t.Context(), &in)
	if err != nil {
		t.Fatalf("get %q: %v", *in.Key, err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatalf("get %q: %v", *in.Key, err)
	}
	return b
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d, or others", len(got), len(want))
	}
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("want %s: %v", code, err)
	}
}

func TestSizes(t *testing.T) {
	w := start(t)
	for _, n := range []int{0, 1, 4 << 10, 32 << 10, 32<<10 + 1, 1<<20 + 7} {
		key := fmt.Sprint(n)
		if out := w.put(t, key, bytesOf(n)); out.ChecksumCRC32 == nil && out.ChecksumCRC64NVME == nil {
			t.Errorf("%d bytes: the checksum sent is not answered", n)
		}
		same(t, w.get(t, s3.GetObjectInput{Key: &key}), bytesOf(n))
	}
}

func TestNames(t *testing.T) {
	w := start(t)
	names := []string{
		"with space", "plus+and&", "percent%20%2F", "hash#", "question?a=b", "quote'\"", "ünïcödé", "日本語/ファイル", "emoji 😀", "a//b", "/leading", "trailing/", "./x", "tab\t", "nl\n",
		"cr\r", "\x01", "<&>", "~!*'()",
	}
	for _, name := range names {
		w.put(t, name, []byte(name))
		same(t, w.get(t, s3.GetObjectInput{Key: &name}), []byte(name))
	}
	slices.Sort(names)
	var got []string
	pages := s3.NewListObjectsV2Paginator(w.Client, &s3.ListObjectsV2Input{Bucket: &w.bucket, EncodingType: types.EncodingTypeUrl, MaxKeys: aws.Int32(5)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			got = append(got, unescape(t, *o.Key))
		}
	}
	if !slices.Equal(got, names) {
		t.Errorf("%q", got)
	}
	w.empty(t)
}

func unescape(t *testing.T, key string) string {
	t.Helper()
	plain, err := url.QueryUnescape(key)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// empty deletes all keys, in batches where documents can name them.
func (w world) empty(t *testing.T) {
	t.Helper()
	out, err := w.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &w.bucket, EncodingType: types.EncodingTypeUrl})
	if err != nil {
		t.Fatal(err)
	}
	var ids []types.ObjectIdentifier
	for _, o := range out.Contents {
		key := unescape(t, *o.Key)
		if key != "\x01" {
			ids = append(ids, types.ObjectIdentifier{Key: &key})
		} else if _, err := w.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &w.bucket, Key: &key}); err != nil {
			t.Error(err)
		}
	}
	gone, err := w.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &w.bucket, Delete: &types.Delete{Objects: ids}})
	if err != nil || len(gone.Errors) > 0 || len(gone.Deleted) != len(ids) {
		t.Fatalf("%+v %v", gone, err)
	}
	if _, err := w.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &w.bucket}); err != nil {
		t.Error(err)
	}
}

func TestTransferManager(t *testing.T) {
	w := start(t)
	want := bytesOf(largeSize)
	up := manager.NewUploader(w.Client)
	// A reader of unknown length, in parts.
	out, err := up.Upload(t.Context(), &s3.PutObjectInput{Bucket: &w.bucket, Key: aws.String("large"), Body: struct{ io.Reader }{bytes.NewReader(want)}})
	if err != nil {
		t.Fatal(err)
	}
	if out.ETag == nil || !strings.HasSuffix(strings.Trim(*out.ETag, `"`), "-4") {
		t.Errorf("ETag %v", out.ETag)
	}
	got := manager.NewWriteAtBuffer(nil)
	if _, err := manager.NewDownloader(w.Client).Download(t.Context(), got, &s3.GetObjectInput{Bucket: &w.bucket, Key: aws.String("large")}); err != nil {
		t.Fatal(err)
	}
	same(t, got.Bytes(), want)
	same(t, w.get(t, s3.GetObjectInput{Key: aws.String("large"), PartNumber: aws.Int32(2)}), want[5<<20:10<<20])
	w.partCopy(t, want)

	far := w
	far.Client = w.peer
	if err := s3.NewObjectExistsWaiter(far.Client).Wait(t.Context(), &s3.HeadObjectInput{Bucket: &w.bucket, Key: aws.String("copy")}, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	same(t, far.get(t, s3.GetObjectInput{Key: aws.String("copy")}), want)
}

// partCopy copies in the server, in two parts.
func (w world) partCopy(t *testing.T, want []byte) {
	t.Helper()
	key := aws.String("copy")
	up, err := w.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &w.bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	for i, span := range []string{"bytes=0-9999999", fmt.Sprintf("bytes=10000000-%d", len(want)-1)} {
		out, err := w.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{
			Bucket: &w.bucket, Key: key, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), CopySource: aws.String(w.bucket + "/large"), CopySourceRange: &span,
		})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{ETag: out.CopyPartResult.ETag, PartNumber: aws.Int32(int32(i + 1))})
	}
	if _, err := w.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &w.bucket, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}); err != nil {
		t.Fatal(err)
	}
	same(t, w.get(t, s3.GetObjectInput{Key: key}), want)
}

func TestChecksums(t *testing.T) {
	w := start(t)
	body := bytesOf(100_000)
	for _, algorithm := range []types.ChecksumAlgorithm{
		types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256,
	} {
		// A body that cannot be read twice is sent with its checksum behind it.
		if _, err := w.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &w.bucket, Key: aws.String("sum"), Body: bytes.NewReader(body), ChecksumAlgorithm: algorithm}); err != nil {
			t.Errorf("%s: %v", algorithm, err)
			continue
		}
		a, err := w.GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{
			Bucket: &w.bucket, Key: aws.String("sum"), ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesChecksum, types.ObjectAttributesObjectSize},
		})
		if err != nil || a.Checksum == nil || a.Checksum.ChecksumType != types.ChecksumTypeFullObject || *a.ObjectSize != int64(len(body)) {
			t.Errorf("%s: %+v %v", algorithm, a, err)
		}
		same(t, w.get(t, s3.GetObjectInput{Key: aws.String("sum"), ChecksumMode: types.ChecksumModeEnabled}), body)
	}
	_, err := w.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &w.bucket, Key: aws.String("wrong"), Body: bytes.NewReader(body), ChecksumSHA256: aws.String("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")})
	refused(t, err, "BadDigest")
}

func TestConditions(t *testing.T) {
	w := start(t)
	put := func(body string, set func(*s3.PutObjectInput)) (*s3.PutObjectOutput, error) {
		in := &s3.PutObjectInput{Bucket: &w.bucket, Key: aws.String("once"), Body: strings.NewReader(body)}
		set(in)
		return w.PutObject(t.Context(), in)
	}
	create := func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }
	first, err := put("1", create)
	if err != nil {
		t.Fatal(err)
	}
	_, err = put("2", create)
	refused(t, err, "PreconditionFailed")
	replace := func(in *s3.PutObjectInput) { in.IfMatch = first.ETag }
	if _, err = put("3", replace); err != nil {
		t.Error(err)
	}
	_, err = put("4", replace)
	refused(t, err, "PreconditionFailed")
	same(t, w.get(t, s3.GetObjectInput{Key: aws.String("once")}), []byte("3"))
	_, err = w.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &w.bucket, Key: aws.String("nothing")})
	refused(t, err, "NoSuchKey")
}

func TestMetadataRangesAndURLs(t *testing.T) {
	w := start(t)
	body := bytesOf(50_000)
	key := aws.String("a key+1")
	if _, err := w.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &w.bucket, Key: key, Body: bytes.NewReader(body), ContentType: aws.String("text/x-odd"), CacheControl: aws.String("max-age=60"),
		Metadata: map[string]string{"colour": "dark blue", "mixed-case": "As Is"}, Tagging: aws.String("a=b%20c"),
	}); err != nil {
		t.Fatal(err)
	}
	h, err := w.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &w.bucket, Key: key})
	if err != nil || *h.ContentType != "text/x-odd" || *h.CacheControl != "max-age=60" || h.Metadata["colour"] != "dark blue" || h.Metadata["mixed-case"] != "As Is" {
		t.Errorf("%+v %v", h, err)
	}
	same(t, w.get(t, s3.GetObjectInput{Key: key, Range: aws.String("bytes=100-199")}), body[100:200])
	same(t, w.get(t, s3.GetObjectInput{Key: key, Range: aws.String("bytes=-9")}), body[len(body)-9:])
	u, err := s3.NewPresignClient(w.Client).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &w.bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(u.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%s %v", res.Status, err)
	}
	same(t, got, body)
}

func TestVersions(t *testing.T) {
	w := start(t)
	if _, err := w.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: &w.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	}); err != nil {
		t.Fatal(err)
	}
	key := aws.String("k")
	first, second := w.put(t, "k", []byte("1")), w.put(t, "k", []byte("2"))
	gone, err := w.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &w.bucket, Key: key})
	if err != nil || gone.DeleteMarker == nil || !*gone.DeleteMarker {
		t.Fatalf("%+v %v", gone, err)
	}
	same(t, w.get(t, s3.GetObjectInput{Key: key, VersionId: first.VersionId}), []byte("1"))
	same(t, w.get(t, s3.GetObjectInput{Key: key, VersionId: second.VersionId}), []byte("2"))
	list, err := w.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &w.bucket})
	if err != nil || len(list.Versions) != 2 || len(list.DeleteMarkers) != 1 || !*list.DeleteMarkers[0].IsLatest {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := w.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &w.bucket, Key: key, VersionId: gone.VersionId}); err != nil {
		t.Error(err)
	}
	same(t, w.get(t, s3.GetObjectInput{Key: key}), []byte("2"))
}
