package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/internal/migrate"
)

// source is a segment that plays another store, with a bucket "old", and one to copy into.
func source(t *testing.T) (from *minio.Client, endpoint, into string) {
	t.Helper()
	base := t.TempDir()
	there := filepath.Join(base, "there")
	into = filepath.Join(base, "here")
	serve(t, there)
	serve(t, into)
	keys := jsonOf[admin.Credentials](t, "env", there)
	for name, value := range map[string]string{
		"EDGEFS_ENDPOINT": into, "AWS_ACCESS_KEY_ID": keys.AccessKey, "AWS_SECRET_ACCESS_KEY": keys.SecretKey, "AWS_ENDPOINT_URL": keys.Endpoint,
		"AWS_ENDPOINT_URL_S3": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": keys.Region, "AWS_PROFILE": "", "AWS_CA_BUNDLE": "", "AWS_SESSION_TOKEN": "",
		"AWS_CONFIG_FILE": "", "AWS_SHARED_CREDENTIALS_FILE": "", "HOME": base,
	} {
		t.Setenv(name, value)
	}
	from = s3Client(t, there, nil)
	if err := from.MakeBucket(t.Context(), "old", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return from, keys.Endpoint, into
}

func store(t *testing.T, to *minio.Client, key, content string, o minio.PutObjectOptions) {
	t.Helper()
	if _, err := to.PutObject(t.Context(), "old", key, strings.NewReader(content), int64(len(content)), o); err != nil {
		t.Fatal(err)
	}
}

func noise(seed byte, n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

type migration struct {
	Objects []migrated
	Report  migrate.Report
	Error   *failure
}

func TestABucketOfAnotherStoreIsCopied(t *testing.T) {
	from, _, into := source(t)
	store(t, from, "a/plain", "plain", minio.PutObjectOptions{ContentType: "text/plain", CacheControl: "no-cache", UserMetadata: map[string]string{"Colour": "blue"}, UserTags: map[string]string{"t": "v"}})
	store(t, from, "a/empty", "", minio.PutObjectOptions{})
	store(t, from, "a/b c/ü+%", "odd name", minio.PutObjectOptions{ContentEncoding: "gzip"})
	store(t, from, "folder/", "", minio.PutObjectOptions{})
	large := noise(1, 12<<20)
	store(t, from, "large", large, minio.PutObjectOptions{PartSize: 5 << 20})

	dry := jsonOf[migration](t, "import", "s3://old", "new", "--dry-run")
	if dry.Report.Copied != 5 || len(dry.Objects) != 5 {
		t.Errorf("%+v", dry)
	}
	bad(t, 3, "no such bucket", "ls", "new")
	if out := good(t, "import", "s3://old", "new", "--tags"); !strings.Contains(out, "5 objects of 12 MiB: 5 copied (12 MiB)") || !strings.Contains(out, "verified: 5 by ETag") {
		t.Errorf("%s", out)
	}
	to := s3Client(t, into, nil)
	same := func(key string) {
		t.Helper()
		look := func(c *minio.Client, bucket string) (minio.ObjectInfo, string) {
			o, err := c.GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			content, err := io.ReadAll(o)
			if err != nil {
				t.Fatalf("%s/%s: %v", bucket, key, err)
			}
			info, err := o.Stat()
			if err != nil {
				t.Fatal(err)
			}
			return info, string(content)
		}
		was, wants := look(from, "old")
		now, content := look(to, "new")
		if content != wants || was.ETag != now.ETag || was.ContentType != now.ContentType || was.UserTagCount != now.UserTagCount {
			t.Errorf("%q: %d bytes, %+v; want %d, %+v", key, len(content), now, len(wants), was)
		}
		if at := now.UserMetadata["Source-Last-Modified"]; at != was.LastModified.UTC().Format(time.RFC3339) {
			t.Errorf("%q is of %q, want %v", key, at, was.LastModified)
		}
		for _, h := range []string{"Cache-Control", "Content-Encoding", "X-Amz-Meta-Colour"} {
			if was.Metadata.Get(h) != now.Metadata.Get(h) {
				t.Errorf("%q: %s is %q, want %q", key, h, now.Metadata.Get(h), was.Metadata.Get(h))
			}
		}
	}
	for _, key := range []string{"a/plain", "a/empty", "a/b c/ü+%", "folder/", "large"} {
		same(key)
	}
	if m := jsonOf[migration](t, "import", "s3://old/", "new/"); m.Report.Unchanged != 5 || m.Report.Copied != 0 || len(m.Objects) != 0 {
		t.Errorf("again: %+v", m)
	}

	// What changed at the source comes again. What somebody wrote here does not go.
	store(t, from, "a/plain", "changed", minio.PutObjectOptions{})
	goodWith(t, "mine", "put", "-", "new/large")
	r := edgefs(t, "", "import", "s3://old", "new")
	if r.code != 1 || !strings.Contains(r.out, "new/large  left alone") || !strings.Contains(r.out, "1 copied") || !strings.Contains(r.errs, "--overwrite") {
		t.Errorf("%+v", r)
	}
	same("a/plain")
	if got := good(t, "cat", "new/large"); got != "mine" {
		t.Errorf("%d bytes", len(got))
	}
	good(t, "import", "s3://old", "new", "--overwrite")
	same("large")

	if m := jsonOf[migration](t, "import", "s3://old/a/b", "new/copy/"); m.Report.Copied != 1 || m.Objects[0].Key != "copy/b c/ü+%" || m.Objects[0].Proof != migrate.ByETag {
		t.Errorf("%+v", m)
	}
	bad(t, 3, "does not exist", "import", "s3://nothing", "new")
	bad(t, 2, "with a slash at its end", "import", "s3://old", "new/x")
	bad(t, 2, "into which bucket", "import", "s3://old")
	bad(t, 2, "--parallel 0", "import", "s3://old", "new", "--parallel", "0")
	bad(t, 2, "of the source", "import", "s3://old", "new", "--s3-endpoint", "localhost:9000")

	keys := os.Getenv("AWS_ACCESS_KEY_ID") + "\naws_secret_access_key = " + os.Getenv("AWS_SECRET_ACCESS_KEY") + "\n"
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	bad(t, 1, "signature", "import", "s3://old", "new")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	bad(t, 2, "no keys for the source", "import", "s3://old", "new")
	bad(t, 1, "Anonymous requests", "import", "s3://old", "new", "--s3-anonymous")
	if err := os.Mkdir(filepath.Join(os.Getenv("HOME"), ".aws"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".aws", "credentials"), []byte("[other]\naws_access_key_id = "+keys), 0o666); err != nil {
		t.Fatal(err)
	}
	if m := jsonOf[migration](t, "import", "s3://old", "new", "--s3-profile", "other"); m.Report.Unchanged != 5 {
		t.Errorf("%+v", m)
	}
}

// faulty is a way to a store on which things go wrong: fault is asked of each request for an object, with how often that was asked for before.
type faulty struct {
	next  http.Handler
	fault func(w http.ResponseWriter, r *http.Request, next http.Handler, times int) bool

	mu    sync.Mutex
	times map[string]int
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if key, ok := strings.CutPrefix(r.URL.Path, "/old/"); ok && key != "" && r.Method == http.MethodGet {
		f.mu.Lock()
		n := f.times[key]
		f.times[key]++
		f.mu.Unlock()
		if f.fault(w, r, f.next, n) {
			return
		}
	}
	f.next.ServeHTTP(w, r)
}

// recorded is the answer of next, whole.
func recorded(next http.Handler, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	return rec
}

func repeat(w http.ResponseWriter, rec *httptest.ResponseRecorder, body []byte) {
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body)
}

func TestACopyOutlivesTheFaultsOfItsWay(t *testing.T) {
	from, endpoint, into := source(t)
	content := map[string]string{}
	for i, key := range []string{"cut", "busy", "rotten", "rots once", "changes", "goes", "calm"} {
		content[key] = noise(byte(i), 1<<20+i)
		store(t, from, key, content[key], minio.PutObjectOptions{})
	}
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var ranges []string
	var mu sync.Mutex
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // which is signed
	}}
	way := &faulty{next: proxy, times: map[string]int{}, fault: func(w http.ResponseWriter, r *http.Request, next http.Handler, times int) bool {
		switch key := strings.TrimPrefix(r.URL.Path, "/old/"); {
		case key == "cut" && times < 3:
			mu.Lock()
			ranges = append(ranges, r.Header.Get("Range"))
			mu.Unlock()
			rec := recorded(next, r)
			repeat(w, rec, rec.Body.Bytes()[:rec.Body.Len()/3])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case key == "hangs" && times == 0:
			rec := recorded(next, r)
			repeat(w, rec, rec.Body.Bytes()[:rec.Body.Len()/2])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case key == "busy" && times < 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
		case key == "rotten", key == "rots once" && times == 0:
			rec := recorded(next, r)
			body := bytes.Clone(rec.Body.Bytes())
			body[len(body)/2] ^= 1
			repeat(w, rec, body)
		case key == "changes" && times == 0:
			if _, err := from.PutObject(t.Context(), "old", key, strings.NewReader("changed"), 7, minio.PutObjectOptions{}); err != nil {
				t.Error(err)
			}
			return false
		case key == "goes" && times == 0:
			if err := from.RemoveObject(t.Context(), "old", key, minio.RemoveObjectOptions{}); err != nil {
				t.Error(err)
			}
			return false
		default:
			return false
		}
		return true
	}}
	server := httptest.NewServer(way)
	defer server.Close()
	s3, err := migrate.Dial(migrate.Source{Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	client, err := admin.Dial(into, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	good(t, "bucket", "create", "new")
	got := map[string]string{}
	j := &migrate.Job{From: s3, Bucket: "old", To: client, ToBucket: "new", Backoff: func(int) time.Duration { return 0 },
		Each: func(o migrate.Outcome) {
			got[o.Key] = fmt.Sprint(o.Action, " ", o.Proof)
			if o.Err != nil && !strings.Contains(o.Err.Error(), "its MD5 is") {
				t.Errorf("%s: %v", o.Key, o.Err)
			}
		}}
	report, err := j.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"cut": "copied etag", "busy": "copied etag", "rotten": "failed ", "rots once": "copied etag", "changes": "copied etag", "goes": "gone ", "calm": "copied etag"}
	if diff := cmp.Diff(want, got); diff != "" || report.Copied != 5 || report.Failed != 1 || report.Gone != 1 {
		t.Errorf("%+v\n%s", report, diff)
	}
	if len(ranges) != 3 || ranges[0] != "" || !strings.HasPrefix(ranges[1], "bytes=") || ranges[1] == ranges[2] {
		t.Errorf("asked for %q", ranges)
	}
	content["changes"] = "changed"
	for key, want := range content {
		r := edgefs(t, "", "cat", "new/"+key)
		if key == "rotten" || key == "goes" {
			if r.code != 3 {
				t.Errorf("%s is there: exit %d", key, r.code)
			}
		} else if r.out != want {
			t.Errorf("%s: %d bytes, want %d: %s", key, len(r.out), len(want), r.errs)
		}
	}

	content["hangs"] = noise(9, 1<<20)
	store(t, from, "hangs", content["hangs"], minio.PutObjectOptions{})
	silent := &migrate.Job{From: s3, Bucket: "old", Prefix: "hangs", To: client, ToBucket: "new", Silence: time.Second, Backoff: func(int) time.Duration { return 0 }}
	if r, err := silent.Run(t.Context()); err != nil || r.ByETag != 1 {
		t.Errorf("a source that is silent: %+v, %v", r, err)
	}

	// One that is interrupted goes on where it was.
	ctx, stop := context.WithCancel(t.Context())
	j2 := &migrate.Job{From: s3, Bucket: "old", To: client, ToBucket: "new", ToPrefix: "again/", Parallel: 1, Each: func(migrate.Outcome) { stop() }}
	if r, err := j2.Run(ctx); err != context.Canceled || r.Objects == 0 || r.Objects > 2 {
		t.Errorf("interrupted: %+v, %v", r, err)
	}
	j3 := &migrate.Job{From: s3, Bucket: "old", To: client, ToBucket: "new", ToPrefix: "again/", Backoff: func(int) time.Duration { return 0 }}
	if r, err := j3.Run(t.Context()); err != nil || r.Unchanged == 0 || r.Copied+r.Unchanged != 6 {
		t.Errorf("again: %+v, %v", r, err)
	}
}
