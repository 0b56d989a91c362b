package s3

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	miniosigner "github.com/minio/minio-go/v7/pkg/signer"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/segment"
)

// raw signs a request with a body of another length than it says, sends as much as there is, and closes its side if that is less: a client
// that closes it behind a whole request has gone away.
func (s *site) raw(path, body string, length int, headers ...string) answer {
	s.t.Helper()
	r := s.newRequest("PUT", path, "", headers...)
	signed := miniosigner.SignV4(*r, awsKey, awsSecret, "", "us-east-1")
	conn, err := net.Dial("tcp", s.host())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	var b strings.Builder
	fmt.Fprintf(&b, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", path, s.host(), length)
	if err := signed.Header.Write(&b); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, b.String()+"\r\n"+body); err != nil {
		s.t.Fatal(err)
	}
	if len(body) < length {
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			s.t.Fatal(err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp, text}
}

func TestShortBodiesLeaveNothing(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	for _, n := range []int{1, 1000, smallBody + 1, 3 * blockSize} {
		body := randomText(1, n)
		for _, sent := range []int{0, n / 2, n - 1} {
			if a := s.raw("/photos/k", body[:sent], n); a.StatusCode != 400 || a.code() != "IncompleteBody" {
				t.Errorf("%d of %d bytes: %d %s", sent, n, a.StatusCode, a.code())
			}
		}
		s.want(404, "NoSuchKey", "GET", "/photos/k", "")
	}
	chunked := []string{"X-Amz-Content-Sha256", streamingUnsignedTrailer, "X-Amz-Decoded-Content-Length", "12", "X-Amz-Trailer", "x-amz-checksum-crc32"}
	body := "c\r\nhello, world\r\n0\r\nx-amz-checksum-crc32:" + sumText(crc32IEEE, "hello, world") + "\r\n\r\n"
	for sent := range len(body) {
		if a := s.raw("/photos/k", body[:sent], len(body), chunked...); a.code() != "IncompleteBody" {
			t.Errorf("%d of %d bytes in chunks: %d %s", sent, len(body), a.StatusCode, a.code())
		}
	}
	s.want(404, "NoSuchKey", "GET", "/photos/k", "")
	if a := s.raw("/photos/k", body, len(body), chunked...); a.StatusCode != 200 {
		t.Errorf("whole: %d %s", a.StatusCode, a.body)
	}
	s.get("/photos/k", "hello, world")
}

func TestLengthsMustBeGivenAndPossible(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	r := s.newRequest("PUT", "/photos/k", "x")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), -1
	if a := s.send(miniosigner.SignV4(*r, awsKey, awsSecret, "", "us-east-1")); a.StatusCode != 411 || a.code() != "MissingContentLength" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	s.want(411, "MissingContentLength", "PUT", "/photos/k", "x", "X-Amz-Content-Sha256", streamingUnsignedTrailer)
	s.want(400, "InvalidArgument", "PUT", "/photos/k", "x", "X-Amz-Content-Sha256", streamingUnsignedTrailer, "X-Amz-Decoded-Content-Length", "x")
	s.want(400, "EntityTooLarge", "PUT", "/photos/k", "x", "X-Amz-Content-Sha256", streamingUnsignedTrailer, "X-Amz-Decoded-Content-Length", fmt.Sprint(maxObject+1))
	s.want(400, "InvalidRequest", "PUT", "/photos/k", "x", "X-Amz-Trailer", "x-amz-checksum-crc32")
	if a := s.raw("/photos/k", "", maxObject+1); a.code() != "EntityTooLarge" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Clock = awsTime })
	s.bucket("photos", segment.Unversioned)
	a := s.send(s.newRequest("GET", "/photos/k", ""))
	if a.StatusCode != 403 || a.code() != "AccessDenied" {
		t.Errorf("anonymous: %d %s", a.StatusCode, a.body)
	}
	a = s.request("GET", "/photos/k", "")
	if a.StatusCode != 403 || a.code() != "RequestTimeTooSkewed" {
		t.Errorf("another time: %d %s", a.StatusCode, a.body)
	}
	s = newSite(t)
	s.bucket("photos", segment.Unversioned)
	a = s.send(miniosigner.SignV4(*s.newRequest("GET", "/photos/k", ""), awsKey, "wrong", "", "us-east-1"))
	if a.StatusCode != 403 || a.code() != "SignatureDoesNotMatch" {
		t.Errorf("wrong secret: %d %s", a.StatusCode, a.body)
	}
	a = s.send(miniosigner.SignV4(*s.newRequest("GET", "/photos/k", ""), "nobody", awsSecret, "", "us-east-1"))
	if a.StatusCode != 403 || a.code() != "InvalidAccessKeyId" {
		t.Errorf("unknown key: %d %s", a.StatusCode, a.body)
	}
	if a.Header.Get("X-Amz-Request-Id") == "" || a.text(t, "RequestId") != a.Header.Get("X-Amz-Request-Id") {
		t.Errorf("request ids %v %s", a.Header, a.body)
	}
	a = s.send(miniosigner.SignV4(*s.newRequest("GET", "/photos/k", ""), awsKey, awsSecret, "token", "us-east-1"))
	if a.code() != "InvalidToken" {
		t.Errorf("session token: %d %s", a.StatusCode, a.body)
	}
}

func TestPresignedRequests(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	put, err := s.client.PresignedPutObject(within(t), "photos", "k", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("PUT", put.String(), strings.NewReader("by a link"))
	if err != nil {
		t.Fatal(err)
	}
	if a := s.send(r); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	get, err := s.client.PresignedGetObject(within(t), "photos", "k", time.Minute, map[string][]string{"response-content-type": {"x/y"}})
	if err != nil {
		t.Fatal(err)
	}
	r, _ = http.NewRequest("GET", get.String(), nil)
	if a := s.send(r); string(a.body) != "by a link" || a.Header.Get("Content-Type") != "x/y" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	r, _ = http.NewRequest("DELETE", get.String(), nil)
	if a := s.send(r); a.code() != "SignatureDoesNotMatch" {
		t.Errorf("another method: %d %s", a.StatusCode, a.body)
	}
}

func TestWhatCannotBeReadIsUnavailableAndNeverShort(t *testing.T) {
	var reads, failAt atomic.Int64
	var failure error
	failAt.Store(math.MaxInt64)
	seg := newSegmentOn(t, faulty{memory.New(), func() error {
		if reads.Add(1) > failAt.Load() {
			return failure
		}
		return nil
	}})
	s := newSite(t, func(c *Config) { c.Segment = seg })
	if _, err := seg.CreateBucket(t.Context(), "photos", segment.BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	body := randomText(1, 40<<20)
	s.put("/photos/k", body, "X-Amz-Meta-A", "b")
	<-s.samples
	for _, failure = range []error{chunk.ErrUnavailable, chunk.ErrCorrupt, chunk.ErrNotFound} {
		failAt.Store(0)
		a := s.want(503, "ServiceUnavailable", "GET", "/photos/k", "")
		if a.Header.Get("Retry-After") == "" || a.Header.Get("Etag") != "" || a.Header.Get("X-Amz-Meta-A") != "" {
			t.Errorf("%v: %v", failure, a.Header)
		}
		<-s.samples
	}
	failure = chunk.ErrUnavailable
	failAt.Store(reads.Load() + 3)
	r := miniosigner.SignV4(*s.newRequest("GET", "/photos/k", ""), awsKey, awsSecret, "", "us-east-1")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != 200 || err == nil || n >= int64(len(body)) {
		t.Errorf("a read that broke off: %d, %d bytes, %v", resp.StatusCode, n, err)
	}
	if x := <-s.samples; !x.Aborted {
		t.Errorf("%+v", x)
	}
}

func TestSamplesNameTheOperation(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	s.put("/photos/k", "12345")
	if x := <-s.samples; x.Operation != "PutObject" || x.Status != 200 || x.Received != 5 || x.Duration <= 0 {
		t.Errorf("%+v", x)
	}
	s.get("/photos/k", "12345")
	if x := <-s.samples; x.Operation != "GetObject" || x.Sent != 5 {
		t.Errorf("%+v", x)
	}
	s.request("PUT", "/photos/copy", "", "X-Amz-Copy-Source", "/photos/none")
	if x := <-s.samples; x.Operation != "CopyObject" || x.Status != 404 {
		t.Errorf("%+v", x)
	}
}

func TestEveryErrorOfTheSegmentHasACode(t *testing.T) {
	for err, want := range map[error]string{
		segment.ErrNoSuchBucket: "NoSuchBucket", segment.ErrBucketExists: "BucketAlreadyOwnedByYou", segment.ErrBucketNotEmpty: "BucketNotEmpty",
		segment.ErrNoSuchKey: "NoSuchKey", segment.ErrNoSuchVersion: "NoSuchVersion", segment.ErrPrecondition: "PreconditionFailed",
		segment.ErrNoSuchUpload: "NoSuchUpload", segment.ErrInvalidPart: "InvalidPart", segment.ErrInvalidName: "InvalidArgument",
		segment.ErrInvalidArgument: "InvalidArgument", segment.ErrNotHome: "InvalidBucketState", segment.ErrUnavailable: "ServiceUnavailable",
		segment.ErrClosed: "ServiceUnavailable", context.DeadlineExceeded: "ServiceUnavailable", errors.New("x"): "InternalError",
		&segment.MarkerError{}: "NoSuchKey",
	} {
		f := faultOf(fmt.Errorf("put %q: %w", "k", err))
		if f.name != want {
			t.Errorf("%v: %s, want %s", err, f.name, want)
		}
		if f.status == 503 && f.header == nil {
			t.Errorf("%v: no Retry-After", err)
		}
	}
}
