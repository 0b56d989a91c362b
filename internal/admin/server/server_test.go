package server

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
)

func TestContentComesBackWholeAndInRanges(t *testing.T) {
	c, ctx := onSocket(t), t.Context()
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	content := make([]byte, 3<<20)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(content)
	sum := md5.Sum(content)
	const key = "a//b/../ç ?#&+%2f\n.bin"
	meta := map[string]string{"content-type": "image/raw", "x-amz-meta-color": "blue"}
	put := must(c.Put(ctx, "photos", admin.PutRequest{Key: key, Meta: meta, Size: int64(len(content))}, bytes.NewReader(content)))(t)
	if put.ETag != hex.EncodeToString(sum[:]) || put.Size != int64(len(content)) || put.Segment != "hawaii" {
		t.Errorf("put says %+v", put)
	}
	for _, g := range []struct {
		off, n int64
		want   []byte
	}{
		{0, 0, content}, {10, 5, content[10:15]}, {1 << 20, 0, content[1<<20:]}, {-7, 0, content[len(content)-7:]},
		{-1 << 40, 0, content}, {int64(len(content)) - 1, 100, content[len(content)-1:]},
	} {
		o, body, err := c.Get(ctx, "photos", admin.GetRequest{Key: key, Offset: g.off, Length: g.n})
		if err != nil {
			t.Fatal(g.off, g.n, err)
		}
		got := must(io.ReadAll(body))(t)
		body.Close()
		if !bytes.Equal(got, g.want) {
			t.Errorf("from %d, %d bytes: got %d bytes, not the right ones", g.off, g.n, len(got))
		}
		if o.Key != key || o.Size != int64(len(content)) || o.Meta["x-amz-meta-color"] != "blue" {
			t.Errorf("get says %+v", o)
		}
	}
	_, _, err := c.Get(ctx, "photos", admin.GetRequest{Key: key, Offset: int64(len(content)), Length: 1})
	wantCode(t, err, admin.BadRange)
	if got := must(c.Stat(ctx, "photos", key, ""))(t); got.Meta["content-type"] != "image/raw" || got.Version != put.Version {
		t.Errorf("stat says %+v", got)
	}
}

// A client that is refused learns why, and not that its connection broke.
func TestLargeContentIsRefusedBeforeItIsSent(t *testing.T) {
	c, ctx := onSocket(t), t.Context()
	sent := &counter{r: io.LimitReader(zeros{}, 64<<20)}
	_, err := c.Put(ctx, "none", admin.PutRequest{Key: "k", Size: 64 << 20}, sent)
	wantCode(t, err, admin.NoSuchBucket)
	if sent.n > 1<<20 {
		t.Errorf("%d bytes were read to be sent", sent.n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestEmptyContent(t *testing.T) {
	c, ctx := onSocket(t), t.Context()
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	must(c.Put(ctx, "photos", admin.PutRequest{Key: "empty"}, strings.NewReader("")))(t)
	o, body, err := c.Get(ctx, "photos", admin.GetRequest{Key: "empty"})
	if err != nil || o.Size != 0 {
		t.Fatal(o, err)
	}
	defer body.Close()
	if got := must(io.ReadAll(body))(t); len(got) != 0 {
		t.Fatalf("%q", got)
	}
}

func TestVersionsAreListedReadAndRemoved(t *testing.T) {
	c, ctx := onSocket(t), t.Context()
	enabled := "enabled"
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos", Settings: admin.SettingsChange{Versioning: &enabled}}))(t)
	old := must(c.Put(ctx, "photos", admin.PutRequest{Key: "k"}, strings.NewReader("old")))(t)
	must(c.Put(ctx, "photos", admin.PutRequest{Key: "k"}, strings.NewReader("new")))(t)
	if d := must(c.Delete(ctx, "photos", admin.DeleteRequest{Key: "k"}))(t); !d.Marker || d.Version == "" {
		t.Errorf("delete says %+v", d)
	}
	_, err := c.Stat(ctx, "photos", "k", "")
	wantCode(t, err, admin.NoSuchKey)
	l := must(c.List(ctx, "photos", admin.ListRequest{Versions: true}))(t)
	if len(l.Objects) != 3 || !l.Objects[0].Marker || !l.Objects[0].Latest || l.Objects[2].Version != old.Version {
		t.Fatalf("versions %+v", l.Objects)
	}
	var paged []string // the same, a page at a time
	for r := (admin.ListRequest{Versions: true, Limit: 1}); ; {
		p := must(c.List(ctx, "photos", r))(t)
		for _, o := range p.Objects {
			paged = append(paged, o.Version)
		}
		if !p.Truncated {
			break
		}
		r.After = p.Next
	}
	if len(paged) != 3 || paged[0] != l.Objects[0].Version || paged[2] != old.Version {
		t.Errorf("page by page %v", paged)
	}
	_, body, err := c.Get(ctx, "photos", admin.GetRequest{Key: "k", Version: old.Version})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got := must(io.ReadAll(body))(t); string(got) != "old" {
		t.Errorf("old is %q", got)
	}
	must(c.Delete(ctx, "photos", admin.DeleteRequest{Key: "k", Version: old.Version}))(t)
	_, err = c.Stat(ctx, "photos", "k", old.Version)
	wantCode(t, err, admin.NoSuchVersion)
	_, err = c.Stat(ctx, "photos", "k", "nonsense")
	wantCode(t, err, admin.Invalid)
}

// Whoever asks to remove what is there learns when it is not, and leaves no marker then.
func TestRemovingWhatIsNotThere(t *testing.T) {
	c, ctx := onSocket(t), t.Context()
	enabled := "enabled"
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos", Settings: admin.SettingsChange{Versioning: &enabled}}))(t)
	removal := func(key, version string, want admin.Code) admin.Deleted {
		t.Helper()
		d, err := c.Delete(ctx, "photos", admin.DeleteRequest{Key: key, Version: version, IfThere: true})
		if want == "" {
			return must(d, err)(t)
		}
		wantCode(t, err, want)
		return d
	}
	versions := func(want int) {
		t.Helper()
		if l := must(c.List(ctx, "photos", admin.ListRequest{Versions: true}))(t); len(l.Objects) != want {
			t.Errorf("%d versions, want %d", len(l.Objects), want)
		}
	}
	removal("none", "", admin.NoSuchKey)
	versions(0)
	old := must(c.Put(ctx, "photos", admin.PutRequest{Key: "k"}, strings.NewReader("old")))(t)
	marker := removal("k", "", "")
	removal("k", "", admin.NoSuchKey)
	versions(2)
	if d := removal("k", marker.Version, ""); !d.Marker {
		t.Errorf("the marker went as %+v", d)
	}
	removal("k", marker.Version, admin.NoSuchVersion)
	removal("k", old.Version, "")
	versions(0)
	must(c.Delete(ctx, "photos", admin.DeleteRequest{Key: "none"}))(t) // as S3 does
	versions(1)
}

func TestListingFoldsAndPages(t *testing.T) {
	c, ctx := onSocket(t), t.Context()
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	for _, k := range []string{"a", "d/1", "d/2", "e"} {
		must(c.Put(ctx, "photos", admin.PutRequest{Key: k}, strings.NewReader(k)))(t)
	}
	var got []string
	for r := (admin.ListRequest{Delimiter: "/", Limit: 1}); ; {
		l := must(c.List(ctx, "photos", r))(t)
		for _, o := range l.Objects {
			got = append(got, o.Key)
		}
		got = append(got, l.Prefixes...)
		if !l.Truncated {
			break
		}
		r.After = l.Next
	}
	if s := strings.Join(got, " "); s != "a d/ e" {
		t.Errorf("listed %s", s)
	}
}

func TestConditions(t *testing.T) {
	c, ctx := onSocket(t), t.Context()
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	one := must(c.Put(ctx, "photos", admin.PutRequest{Key: "k", IfAbsent: true}, strings.NewReader("1")))(t)
	_, err := c.Put(ctx, "photos", admin.PutRequest{Key: "k", IfAbsent: true}, strings.NewReader("2"))
	wantCode(t, err, admin.Precondition)
	must(c.Put(ctx, "photos", admin.PutRequest{Key: "k", IfMatch: one.ETag}, strings.NewReader("3")))(t)
	_, err = c.Put(ctx, "photos", admin.PutRequest{Key: "k", IfMatch: one.ETag}, strings.NewReader("4"))
	wantCode(t, err, admin.Precondition)
}

func TestBuckets(t *testing.T) {
	c, ctx := onSocket(t), t.Context()
	full, eager := "full", int64(0)
	b := must(c.CreateBucket(ctx, admin.NewBucket{Name: "media", Chunks: "1MiB", Settings: admin.SettingsChange{Data: &full, EagerBytes: &eager}}))(t)
	if b.Chunks != "content:1MiB" || b.Settings.Data != "full" || b.Settings.EagerBytes != 0 || b.HomeName != "hawaii" {
		t.Errorf("created %+v", b)
	}
	for code, n := range map[admin.Code]admin.NewBucket{
		admin.BucketExists: {Name: "media"}, admin.Invalid: {Name: "Media!"},
	} {
		_, err := c.CreateBucket(ctx, n)
		wantCode(t, err, code)
	}
	for _, chunks := range []string{"3KiB", "much", "torn:64KiB"} {
		_, err := c.CreateBucket(ctx, admin.NewBucket{Name: "other", Chunks: chunks})
		wantCode(t, err, admin.Invalid)
	}
	lazy, odd := "lazy", "sometimes"
	if b := must(c.SetBucket(ctx, "media", admin.SettingsChange{Data: &lazy}))(t); b.Settings.Data != "lazy" {
		t.Errorf("set %+v", b.Settings)
	}
	_, err := c.SetBucket(ctx, "media", admin.SettingsChange{Versioning: &odd})
	wantCode(t, err, admin.Invalid)
	must(c.Put(ctx, "media", admin.PutRequest{Key: "k"}, strings.NewReader("12345")))(t)
	shown := must(c.Bucket(ctx, "media", true))(t)
	if s := shown.Stats; s == nil || s.Objects != 1 || s.Bytes != 5 || s.Versions != 1 || s.Pending != 0 || strings.Trim(s.Root, "0") == "" || len(s.Seen) != 1 {
		t.Errorf("stats %+v", s)
	}
	wantCode(t, c.DeleteBucket(ctx, "media"), admin.BucketNotEmpty)
	must(c.Delete(ctx, "media", admin.DeleteRequest{Key: "k"}))(t)
	if err := c.DeleteBucket(ctx, "media"); err != nil {
		t.Error(err)
	}
	_, err = c.Bucket(ctx, "media", false)
	wantCode(t, err, admin.NoSuchBucket)
	if all := must(c.Buckets(ctx))(t); len(all) != 0 {
		t.Errorf("left: %+v", all)
	}
}

func TestSegmentDocuments(t *testing.T) {
	c, ctx := onSocket(t), t.Context()
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	must(c.Put(ctx, "photos", admin.PutRequest{Key: "k"}, strings.NewReader("12345")))(t)
	if s := must(c.Status(ctx))(t); s.Name != "hawaii" || s.Buckets != 1 || s.Objects != 1 || s.Bytes != 5 || s.Storage.ExposedBytes != 42 {
		t.Errorf("status %+v", s)
	}
	if h := must(c.Health(ctx))(t); !h.Ready {
		t.Errorf("health %+v", h)
	}
	if m := must(c.Metrics(ctx))(t); !bytes.Contains(m, []byte("edgefs_ready 1")) {
		t.Errorf("metrics %s", m)
	}
	if k := must(c.Credentials(ctx))(t); k.SecretKey != "secret" {
		t.Errorf("credentials %+v", k)
	}
	if p := must(c.Conflicts(ctx, "photos", "", ""))(t); len(p.Conflicts) != 0 || p.Next != "" {
		t.Errorf("conflicts %+v", p)
	}
	i := must(c.Invite(ctx, admin.InvitationRequest{Valid: "10m", Addresses: []string{"h:1"}}))(t)
	if i.Invitation != "from h:1" || i.Expires != time.Unix(600, 0).UTC() {
		t.Errorf("invitation %+v", i)
	}
	_, err := c.Invite(ctx, admin.InvitationRequest{Valid: "soon"})
	wantCode(t, err, admin.Invalid)
	_, err = c.Join(ctx, "x")
	wantCode(t, err, admin.Invalid)
	wantCode(t, c.RemoveLink(ctx, "to/ky o"), admin.NoSuchLink)
}

func TestVerifyTellsWhatItRead(t *testing.T) {
	c, ctx := onSocket(t), t.Context()
	must(c.CreateBucket(ctx, admin.NewBucket{Name: "photos"}))(t)
	for i := range 3 {
		must(c.Put(ctx, "photos", admin.PutRequest{Key: fmt.Sprint(i)}, bytes.NewReader(make([]byte, 200<<10+i))))(t)
	}
	var last admin.VerifyEvent
	if err := c.Verify(ctx, admin.VerifyRequest{}, func(e admin.VerifyEvent) error { last = e; return nil }); err != nil {
		t.Fatal(err)
	}
	if !last.Done || last.Versions != 3 || last.Total != 3 || last.Damaged != 0 || last.BrokenOff != "" || last.Bytes != 3*200<<10+3 {
		t.Errorf("the end is %+v", last)
	}
	wantCode(t, c.Verify(ctx, admin.VerifyRequest{Bucket: "none"}, nil), admin.NoSuchBucket)
}

func TestRemoteNeedsTheCredential(t *testing.T) {
	s := httptest.NewTLSServer(Guard("right", newServer(t)))
	t.Cleanup(s.Close)
	certificate := pemOf(s.Certificate().Raw)
	for _, c := range []struct {
		name       string
		credential string
		ok         bool
	}{
		{"right", `{"token":"right","certificate":` + quote(certificate) + `}`, true},
		{"wrong token", `{"token":"wrong","certificate":` + quote(certificate) + `}`, false},
		{"another server", `{"token":"right","certificate":` + quote(pemOf([]byte("other"))) + `}`, false},
		{"no certificate", `{"token":"right"}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "admin.json")
			if err := os.WriteFile(file, []byte(c.credential), 0o600); err != nil {
				t.Fatal(err)
			}
			client := dial(t, s.URL, admin.Options{Credential: file})
			if _, err := client.Buckets(t.Context()); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, endpoint := range []string{"http://h:1", "https://h:1"} {
		if _, err := admin.Dial(endpoint, admin.Options{}); err == nil {
			t.Errorf("%s without a credential", endpoint)
		}
	}
}

func TestUnknownCallsAndDocumentsAreRefused(t *testing.T) {
	s := newServer(t)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/nothing", "", 404},
		{"GET", "/", "", 404},
		{"POST", "/v1/buckets", `{"name":"photos","colour":"blue"}`, 400},
		{"POST", "/v1/buckets", `{`, 400},
		{"GET", "/v1/buckets/none/object", "", 400},
		{"GET", "/v1/buckets/none/object?key=k", "", 404},
		{"GET", "/v1/buckets/none/objects?limit=0", "", 404},
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if w.Code != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	dir := t.TempDir()
	_, err := dial(t, dir, admin.Options{}).Status(t.Context())
	var u *admin.Unreachable
	if !errors.As(err, &u) || !u.Unsent || !strings.Contains(u.Hint, "edgefs serve "+dir) {
		t.Errorf("got %v", err)
	}
}
