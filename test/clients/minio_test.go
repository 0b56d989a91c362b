package clients_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

func TestMinioGo(t *testing.T) {
	hawaii, tokyo := sites(t)
	b := bucketName(t)
	makeBucket(t, hawaii, b)
	// The library is used both ways: a stranger to trailing checksums, as it is of itself, and with them.
	for name, trailing := range map[string]bool{"plain": false, "trailing": true} {
		c, err := minio.New(hawaii.host(), &minio.Options{Creds: credentials.NewStaticV4(hawaii.AccessKey, hawaii.SecretKey, ""), TrailingHeaders: trailing})
		if err != nil {
			t.Fatal(err)
		}
		m := minioCase{c, b, name + "/"}
		t.Run(name+" sizes", m.sizes)
		t.Run(name+" parts", m.parts)
		t.Run(name+" streams of unknown length", m.unknownLength)
		t.Run(name+" seeks", m.seeks)
	}
	m := minioCase{minioClient(t, hawaii), b, "more/"}
	t.Run("names", m.names)
	t.Run("copies and composes", m.copies)
	t.Run("conditions", m.conditions)
	t.Run("presigned", m.presigned)
	t.Run("metadata", m.metadata)
	t.Run("the other site", func(t *testing.T) { m.elsewhere(t, minioClient(t, tokyo)) })
	t.Run("removes", m.removes)
}

// minioCase is what the library's tests share: keys are below prefix.
type minioCase struct {
	c      *minio.Client
	bucket string
	prefix string
}

func (m minioCase) put(t *testing.T, key string, content []byte, o minio.PutObjectOptions) minio.UploadInfo {
	t.Helper()
	info, err := m.c.PutObject(t.Context(), m.bucket, m.prefix+key, bytes.NewReader(content), int64(len(content)), o)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return info
}

func (m minioCase) get(t *testing.T, key string, o minio.GetObjectOptions) []byte {
	t.Helper()
	r, err := m.c.GetObject(t.Context(), m.bucket, m.prefix+key, o)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	return b
}

func (m minioCase) sizes(t *testing.T) {
	for _, n := range []int{0, 1, 4 << 10, 32 << 10, 32<<10 + 1, 1<<20 + 7} {
		want := bytesOf(t.Name(), n)
		key := fmt.Sprint(n)
		m.put(t, key, want, minio.PutObjectOptions{})
		sameBytes(t, m.get(t, key, minio.GetObjectOptions{}), want)
		if info, err := m.c.StatObject(t.Context(), m.bucket, m.prefix+key, minio.StatObjectOptions{}); err != nil || info.Size != int64(n) {
			t.Errorf("%s: %+v %v", key, info, err)
		}
	}
}

func (m minioCase) parts(t *testing.T) {
	want := bytesOf(t.Name(), largeSize)
	info := m.put(t, "large", want, minio.PutObjectOptions{PartSize: 5 << 20, NumThreads: 3})
	if !strings.HasSuffix(info.ETag, "-4") {
		t.Errorf("ETag %s", info.ETag)
	}
	sameBytes(t, m.get(t, "large", minio.GetObjectOptions{}), want)
}

func (m minioCase) unknownLength(t *testing.T) {
	want := bytesOf(t.Name(), largeSize)
	r := struct{ io.Reader }{bytes.NewReader(want)}
	if _, err := m.c.PutObject(t.Context(), m.bucket, m.prefix+"stream", r, -1, minio.PutObjectOptions{PartSize: 8 << 20}); err != nil {
		t.Fatal(err)
	}
	sameBytes(t, m.get(t, "stream", minio.GetObjectOptions{}), want)
}

func (m minioCase) seeks(t *testing.T) {
	want := bytesOf(t.Name(), 300_001)
	m.put(t, "seek", want, minio.PutObjectOptions{})
	r, err := m.c.GetObject(t.Context(), m.bucket, m.prefix+"seek", minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	part := make([]byte, 1000)
	if _, err := r.ReadAt(part, 123_456); err != nil {
		t.Fatal(err)
	}
	sameBytes(t, part, want[123_456:124_456])
	if _, err := r.Seek(-500, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	sameBytes(t, rest, want[len(want)-500:])
	var o minio.GetObjectOptions
	if err := o.SetRange(100, 199); err != nil {
		t.Fatal(err)
	}
	sameBytes(t, m.get(t, "seek", o), want[100:200])
}

func (m minioCase) names(t *testing.T) {
	var want []string
	for _, name := range append(oddNames(), "a//b", "/begins", "ends/", "tab\there", "newline\nhere") {
		m.put(t, "names/"+name, []byte(name), minio.PutObjectOptions{})
		sameBytes(t, m.get(t, "names/"+name, minio.GetObjectOptions{}), []byte(name))
		want = append(want, m.prefix+"names/"+name)
	}
	slices.Sort(want)
	for _, v1 := range []bool{false, true} {
		var got []string
		for o := range m.c.ListObjects(t.Context(), m.bucket, minio.ListObjectsOptions{Prefix: m.prefix + "names/", Recursive: true, UseV1: v1, MaxKeys: 7}) {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			got = append(got, o.Key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("listed %q\nwant %q", got, want)
		}
	}
}

func (m minioCase) copies(t *testing.T) {
	want := bytesOf(t.Name(), largeSize)
	m.put(t, "from", want, minio.PutObjectOptions{UserMetadata: map[string]string{"Colour": "blue"}})
	from := minio.CopySrcOptions{Bucket: m.bucket, Object: m.prefix + "from"}
	if _, err := m.c.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: m.bucket, Object: m.prefix + "copy"}, from); err != nil {
		t.Fatal(err)
	}
	sameBytes(t, m.get(t, "copy", minio.GetObjectOptions{}), want)
	first, last := from, from
	first.MatchRange, first.Start, first.End = true, 0, 6<<20
	last.MatchRange, last.Start, last.End = true, 9_000_000, largeSize-1
	if _, err := m.c.ComposeObject(t.Context(), minio.CopyDestOptions{Bucket: m.bucket, Object: m.prefix + "composed"}, first, last); err != nil {
		t.Fatal(err)
	}
	sameBytes(t, m.get(t, "composed", minio.GetObjectOptions{}), append(slices.Clone(want[:6<<20+1]), want[9_000_000:]...))
	info, err := m.c.StatObject(t.Context(), m.bucket, m.prefix+"copy", minio.StatObjectOptions{})
	if err != nil || info.UserMetadata["Colour"] != "blue" {
		t.Errorf("%+v %v", info, err)
	}
}

func (m minioCase) conditions(t *testing.T) {
	try := func(body string, set func(*minio.PutObjectOptions)) (minio.UploadInfo, error) {
		var o minio.PutObjectOptions
		set(&o)
		return m.c.PutObject(t.Context(), m.bucket, m.prefix+"once", strings.NewReader(body), int64(len(body)), o)
	}
	none := func(o *minio.PutObjectOptions) { o.SetMatchETagExcept("*") }
	first, err := try("1", none)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := try("2", none); minio.ToErrorResponse(err).Code != minio.PreconditionFailed {
		t.Errorf("created twice: %v", err)
	}
	match := func(o *minio.PutObjectOptions) { o.SetMatchETag(first.ETag) }
	if _, err := try("3", match); err != nil {
		t.Error(err)
	}
	if _, err := try("4", match); minio.ToErrorResponse(err).Code != minio.PreconditionFailed {
		t.Errorf("replaced what had changed: %v", err)
	}
	sameBytes(t, m.get(t, "once", minio.GetObjectOptions{}), []byte("3"))
}

func (m minioCase) presigned(t *testing.T) {
	u, err := m.c.PresignedPutObject(t.Context(), m.bucket, m.prefix+"signed url", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, u.String(), strings.NewReader("by url"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("put: %s", res.Status)
	}
	if u, err = m.c.PresignedGetObject(t.Context(), m.bucket, m.prefix+"signed url", time.Minute, url.Values{"response-content-type": {"a/b"}}); err != nil {
		t.Fatal(err)
	}
	sameBytes(t, fetch(t, u.String()), []byte("by url"))
}

func (m minioCase) metadata(t *testing.T) {
	m.put(t, "meta", []byte("x"), minio.PutObjectOptions{
		ContentType: "text/x-odd", CacheControl: "max-age=60", UserMetadata: map[string]string{"Colour": "dark blue"}, UserTags: map[string]string{"a b": "c+d"},
	})
	info, err := m.c.StatObject(t.Context(), m.bucket, m.prefix+"meta", minio.StatObjectOptions{})
	if err != nil || info.ContentType != "text/x-odd" || info.Metadata.Get("Cache-Control") != "max-age=60" || info.UserMetadata["Colour"] != "dark blue" {
		t.Errorf("%+v %v", info, err)
	}
	tags, err := m.c.GetObjectTagging(t.Context(), m.bucket, m.prefix+"meta", minio.GetObjectTaggingOptions{})
	if err != nil || tags.ToMap()["a b"] != "c+d" {
		t.Errorf("%v %v", tags, err)
	}
}

func (m minioCase) elsewhere(t *testing.T, far *minio.Client) {
	soon(t, "tokyo has the copy", func() bool {
		_, err := far.StatObject(t.Context(), m.bucket, m.prefix+"composed", minio.StatObjectOptions{})
		return err == nil
	})
	there := m
	there.c = far
	sameBytes(t, there.get(t, "composed", minio.GetObjectOptions{}), m.get(t, "composed", minio.GetObjectOptions{}))
	there.put(t, "from tokyo", []byte("konnichiwa"), minio.PutObjectOptions{})
	soon(t, "hawaii has what tokyo wrote", func() bool {
		_, err := m.c.StatObject(t.Context(), m.bucket, m.prefix+"from tokyo", minio.StatObjectOptions{})
		return err == nil
	})
	sameBytes(t, m.get(t, "from tokyo", minio.GetObjectOptions{}), []byte("konnichiwa"))
}

func (m minioCase) removes(t *testing.T) {
	list := m.c.ListObjects(t.Context(), m.bucket, minio.ListObjectsOptions{Recursive: true})
	for r := range m.c.RemoveObjects(t.Context(), m.bucket, list, minio.RemoveObjectsOptions{}) {
		t.Error(r.ObjectName, r.Err)
	}
	if err := m.c.RemoveBucket(t.Context(), m.bucket); err != nil {
		t.Error(err)
	}
	if ok, err := m.c.BucketExists(t.Context(), m.bucket); ok || err != nil {
		t.Errorf("exists: %v %v", ok, err)
	}
}
