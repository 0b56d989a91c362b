package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	miniosigner "github.com/minio/minio-go/v7/pkg/signer"

	"github.com/edgefs/edgefs/segment"
)

// site is a segment with a gateway in front, and a client.
type site struct {
	*segment.Segment
	t       testing.TB
	server  *httptest.Server
	client  *minio.Client
	samples chan Sample
}

func newSite(t testing.TB, change ...func(*Config)) *site {
	t.Helper()
	s := &site{t: t, Segment: newSegment(t), samples: make(chan Sample, 10_000)}
	c := Config{
		Segment:     s.Segment,
		Credentials: func(key string) (string, bool) { return awsSecret, key == awsKey },
		Observe: func(x Sample) {
			select {
			case s.samples <- x:
			default:
			}
		},
	}
	for _, f := range change {
		f(&c)
	}
	s.server = httptest.NewServer(New(c))
	t.Cleanup(s.server.Close)
	s.client = s.newClient(&minio.Options{})
	return s
}

func (s *site) newClient(o *minio.Options) *minio.Client {
	s.t.Helper()
	o.Creds = credentials.NewStaticV4(awsKey, awsSecret, "")
	c, err := minio.New(s.host(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *site) host() string { return strings.TrimPrefix(s.server.URL, "http://") }

func (s *site) bucket(name string, versioning segment.Versioning) *segment.Bucket {
	s.t.Helper()
	settings := segment.DefaultSettings()
	settings.Versioning = versioning
	b, err := s.CreateBucket(context.Background(), name, segment.BucketOptions{Settings: &settings})
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// answer is what came back.
type answer struct {
	*http.Response
	body []byte
}

// code is the error's, if the answer is one.
func (a answer) code() string {
	var e struct{ Code string }
	_ = xml.Unmarshal(a.body, &e)
	return e.Code
}

// request signs and sends. Headers are pairs of name and value; one that is empty is not sent.
func (s *site) request(method, path, body string, headers ...string) answer {
	s.t.Helper()
	r := s.newRequest(method, path, body, headers...)
	return s.send(miniosigner.SignV4(*r, awsKey, awsSecret, "", "us-east-1"))
}

func (s *site) newRequest(method, path, body string, headers ...string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequest(method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", unsignedSHA256)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (s *site) send(r *http.Request) answer {
	s.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp, b}
}

// want sends a request and checks its status, and its code when the status is one of failure.
func (s *site) want(status int, code, method, path, body string, headers ...string) answer {
	s.t.Helper()
	a := s.request(method, path, body, headers...)
	if a.StatusCode != status || a.code() != code && (method != http.MethodHead || len(a.body) > 0) {
		s.t.Errorf("%s %s %v: %d %s, want %d %s\n%s", method, path, headers, a.StatusCode, a.code(), status, code, bytes.TrimSpace(a.body))
	}
	return a
}

// put stores, and returns the version id.
func (s *site) put(path, body string, headers ...string) string {
	s.t.Helper()
	return s.want(200, "", "PUT", path, body, headers...).Header.Get("X-Amz-Version-Id")
}

// get checks what is stored.
func (s *site) get(path, want string) answer {
	s.t.Helper()
	a := s.want(200, "", "GET", path, "")
	if string(a.body) != want {
		s.t.Errorf("GET %s: %.100q, want %.100q", path, a.body, want)
	}
	return a
}

// text is the value of an element of a document, by its path.
func (a answer) text(t testing.TB, path string) string {
	t.Helper()
	texts := a.texts(t, path)
	if len(texts) == 0 {
		return ""
	}
	return texts[0]
}

// texts are the values of all elements at a path below the root: "Contents>Key".
func (a answer) texts(t testing.TB, path string) (out []string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(a.body))
	var at []string
	for {
		token, err := d.Token()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("%v in %s", err, a.body)
		}
		switch token := token.(type) {
		case xml.StartElement:
			at = append(at, token.Name.Local)
			if strings.Join(at[1:], ">") == path {
				out = append(out, "")
			}
		case xml.EndElement:
			at = at[:len(at)-1]
		case xml.CharData:
			if len(at) > 0 && strings.Join(at[1:], ">") == path {
				out[len(out)-1] += string(token)
			}
		}
	}
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(stop)
	return ctx
}
