package s3

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	miniosigner "github.com/minio/minio-go/v7/pkg/signer"
)

// The examples that AWS publishes:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, sigv4-query-string-auth.html, sigv4-streaming.html and
// sigv4-streaming-trailers.html.
const (
	awsKey    = "AKIAIOSFODNN7EXAMPLE"
	awsSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func awsTime() time.Time { return time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC) }

func awsGateway() *Gateway {
	return New(Config{
		Credentials: func(key string) (string, bool) { return awsSecret, key == awsKey },
		Clock:       awsTime,
		Region:      "us-east-1",
	})
}

func readRequest(t *testing.T, text string) (*http.Request, query) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	return r, q
}

const awsCredential = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"

func awsExamples() map[string]string {
	return map[string]string{
		"get with range": `GET /test.txt HTTP/1.1
Host: examplebucket.s3.amazonaws.com
Authorization: ` + awsCredential + `,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41
Range: bytes=0-9
x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
x-amz-date: 20130524T000000Z`,
		"put": `PUT /test$file.text HTTP/1.1
Host: examplebucket.s3.amazonaws.com
Date: Fri, 24 May 2013 00:00:00 GMT
Authorization: ` + awsCredential + `,SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd
x-amz-date: 20130524T000000Z
x-amz-storage-class: REDUCED_REDUNDANCY
x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072`,
		"sub-resource": `GET /?lifecycle HTTP/1.1
Host: examplebucket.s3.amazonaws.com
Authorization: ` + awsCredential + `,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543
x-amz-date: 20130524T000000Z
x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`,
		"query": `GET /?max-keys=2&prefix=J HTTP/1.1
Host: examplebucket.s3.amazonaws.com
Authorization: ` + awsCredential + `,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7
x-amz-date: 20130524T000000Z
x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`,
		"presigned": `GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1
Host: examplebucket.s3.amazonaws.com`,
	}
}

func TestPublishedExamplesAuthenticate(t *testing.T) {
	for name, text := range awsExamples() {
		t.Run(name, func(t *testing.T) {
			r, q := readRequest(t, text)
			s, err := awsGateway().authenticate(r, q)
			if err != nil {
				t.Fatal(err)
			}
			if s.accessKey != awsKey {
				t.Errorf("authenticated %q", s.accessKey)
			}
		})
	}
}

func TestAnyChangeOfASignedRequestIsFound(t *testing.T) {
	changes := map[string]func(*http.Request){
		"method": func(r *http.Request) { r.Method = "DELETE" },
		"path":   func(r *http.Request) { r.URL.Path = "/other.txt" },
		"host":   func(r *http.Request) { r.Host = "otherbucket.s3.amazonaws.com" },
		"range":  func(r *http.Request) { r.Header.Set("Range", "bytes=0-99") },
		"hash":   func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", unsignedSHA256) },
		"time":   func(r *http.Request) { r.Header.Set("X-Amz-Date", "20130524T000001Z") },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			r, q := readRequest(t, awsExamples()["get with range"])
			change(r)
			if _, err := awsGateway().authenticate(r, q); faultOf(err).name != "SignatureDoesNotMatch" {
				t.Errorf("got %v", err)
			}
		})
	}
	r, _ := readRequest(t, awsExamples()["query"])
	if _, err := awsGateway().authenticate(r, query{{"prefix", "K"}, {"max-keys", "2"}}); faultOf(err).name != "SignatureDoesNotMatch" {
		t.Errorf("another query: %v", err)
	}
}

func TestRequestsThatDoNotAuthenticate(t *testing.T) {
	good := awsExamples()["get with range"]
	signed := awsExamples()["presigned"]
	cases := []struct {
		name, text string
		now        time.Time
		want       string
	}{
		{"anonymous", "GET / HTTP/1.1\nHost: h", awsTime(), "AccessDenied"},
		{"signature version 2", "GET / HTTP/1.1\nHost: h\nAuthorization: AWS AKID:c2ln", awsTime(), "InvalidRequest"},
		{"presigned version 2", "GET /?AWSAccessKeyId=A&Expires=1&Signature=s HTTP/1.1\nHost: h", awsTime(), "InvalidRequest"},
		{"another mechanism", "GET / HTTP/1.1\nHost: h\nAuthorization: Basic eDp5", awsTime(), "InvalidArgument"},
		{"both ways", strings.Replace(signed, "\nHost", "\nAuthorization: "+awsCredential+"\nHost", 1), awsTime(), "InvalidArgument"},
		{"a quarter of an hour late", good, awsTime().Add(maxSkew), ""},
		{"later than that", good, awsTime().Add(maxSkew + time.Second), "RequestTimeTooSkewed"},
		{"of the future", good, awsTime().Add(-maxSkew - time.Second), "RequestTimeTooSkewed"},
		{"unknown key", strings.Replace(good, awsKey, "AKIAIOSFODNN7EXAMPLF", 1), awsTime(), "InvalidAccessKeyId"},
		{"no signature", strings.Replace(good, "Signature=", "Sign=", 1), awsTime(), "AuthorizationHeaderMalformed"},
		{"no credential", strings.Replace(good, "Credential=", "Cred=", 1), awsTime(), "AuthorizationHeaderMalformed"},
		{"another service", strings.Replace(good, "/s3/", "/ec2/", 1), awsTime(), "AuthorizationHeaderMalformed"},
		{"another region", strings.Replace(good, "us-east-1", "eu-west-1", 1), awsTime(), "AuthorizationHeaderMalformed"},
		{"another day", strings.Replace(good, "/20130524/", "/20130523/", 1), awsTime(), "AuthorizationHeaderMalformed"},
		{"no such day", strings.Replace(good, "/20130524/", "/20131324/", 1), awsTime(), "AuthorizationHeaderMalformed"},
		{"no date", strings.Replace(good, "\nx-amz-date: 20130524T000000Z", "", 1), awsTime(), "AccessDenied"},
		{"no hash", strings.Replace(good, "\nx-amz-content-sha256: "+emptySHA256, "", 1), awsTime(), "InvalidRequest"},
		{"host not signed", strings.Replace(good, "host;", "", 1), awsTime(), "AccessDenied"},
		{"unsigned header", good + "\nx-amz-acl: private", awsTime(), "AccessDenied"},
		{"presigned, just in time", signed, awsTime().Add(86400 * time.Second), ""},
		{"presigned, expired", signed, awsTime().Add(86401 * time.Second), "AccessDenied"},
		{"presigned, of the future", signed, awsTime().Add(-maxSkew - time.Second), "AccessDenied"},
		{"presigned for too long", strings.Replace(signed, "86400", "604801", 1), awsTime(), "AuthorizationQueryParametersError"},
		{"presigned for less than nothing", strings.Replace(signed, "86400", "-1", 1), awsTime(), "AuthorizationQueryParametersError"},
		{"presigned, no number", strings.Replace(signed, "86400", "x", 1), awsTime(), "AuthorizationQueryParametersError"},
		{"presigned, no signature", strings.Replace(signed, "X-Amz-Signature=", "Y=", 1), awsTime(), "AuthorizationQueryParametersError"},
		{"presigned, another algorithm", strings.Replace(signed, "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", 1), awsTime(), "AuthorizationQueryParametersError"},
		{"presigned, changed", strings.Replace(signed, "/test.txt", "/test.doc", 1), awsTime(), "SignatureDoesNotMatch"},
		{"presigned, unsigned header", signed + "\nx-amz-copy-source: /a/b", awsTime(), "AccessDenied"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, q := readRequest(t, c.text)
			g := awsGateway()
			g.now = func() time.Time { return c.now }
			_, err := g.authenticate(r, q)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || faultOf(err).name != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

const chunkedHead = `PUT /examplebucket/chunkObject.txt HTTP/1.1
Host: s3.amazonaws.com
x-amz-date: 20130524T000000Z
x-amz-storage-class: REDUCED_REDUNDANCY
`

func chunkedExample() (head, body string) {
	head = chunkedHead + `Authorization: ` + awsCredential + `,SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9
x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD
Content-Encoding: aws-chunked
x-amz-decoded-content-length: 66560
Content-Length: 66824`
	body = "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) +
		"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) +
		"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
	return head, body
}

// trailerExample is the published one but for the signature of the trailer: the page prints another than its own string to sign gives, which
// is this, as other implementations found.
func trailerExample() (head, body string) {
	head = chunkedHead + `Authorization: ` + awsCredential + `,SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer,Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e
x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
Content-Encoding: aws-chunked
x-amz-decoded-content-length: 66560
x-amz-trailer: x-amz-checksum-crc32c
Content-Length: 66824`
	body = "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + strings.Repeat("a", 65536) +
		"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + strings.Repeat("a", 1024) +
		"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
		"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
	return head, body
}

// openExample authenticates a request and gives it a body, in pieces of at most so many bytes.
func openExample(t *testing.T, head, body string, piece int) (*payload, error) {
	t.Helper()
	r, q := readRequest(t, head)
	s, err := awsGateway().authenticate(r, q)
	if err != nil {
		t.Fatal(err)
	}
	r.Body = io.NopCloser(&pieces{[]byte(body), piece})
	c, err := parseClaim(r.Header)
	if err != nil {
		t.Fatal(err)
	}
	return openPayload(r, &s, c, newBuffers())
}

// pieces gives its bytes a few at a time.
type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.b)
	p.b = p.b[n:]
	return n, nil
}

func TestPublishedChunkedExamplesDecode(t *testing.T) {
	examples := map[string]func() (string, string){"signed": chunkedExample, "signed with trailer": trailerExample}
	for name, example := range examples {
		for _, piece := range []int{1, 7, 4096, 1 << 20} {
			head, body := example()
			p, err := openExample(t, head, body, piece)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(p)
			if err != nil {
				t.Fatalf("%s in pieces of %d: %v", name, piece, err)
			}
			if !bytes.Equal(got, bytes.Repeat([]byte{'a'}, 66560)) {
				t.Errorf("%s in pieces of %d: decoded another text", name, piece)
			}
		}
	}
}

func TestEveryFlippedByteOfASignedChunkedBodyIsFound(t *testing.T) {
	head, body := trailerExample()
	for at := range len(body) {
		if 100 < at && at < 65500 && at%1009 != 0 { // payload: samples
			continue
		}
		b := []byte(body)
		b[at] ^= 1
		p, err := openExample(t, head, string(b), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(p)
		if err != nil {
			continue
		}
		if body[at] > ' ' || !bytes.Equal(got, bytes.Repeat([]byte{'a'}, 66560)) { // white space around a value is not of it
			t.Errorf("byte %d (behind %q) flipped: not found", at, body[max(0, at-20):at])
		}
	}
}

func TestEveryPrefixOfAChunkedBodyIsShort(t *testing.T) {
	head, body := trailerExample()
	whole := len(strings.TrimRight(body, "\r\n"))
	for n := range len(body) {
		if 100 < n && n < 65500 && n%1009 != 0 {
			continue
		}
		p, err := openExample(t, head, body[:n], 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(p)
		if n < whole && err == nil {
			t.Fatalf("%d of %d bytes: taken for whole", n, len(body))
		}
	}
}

func TestOtherSignersAgree(t *testing.T) {
	g := New(Config{Credentials: func(string) (string, bool) { return awsSecret, true }})
	paths := []string{"/bucket/key", "/bucket/a b+c%d&e=f;g", "/bucket/ünï/字.txt", "/bucket//x//", "/bucket/~._-!*'()"}
	for _, path := range paths {
		for _, query := range []string{"", "list-type=2&prefix=a%2Fb&delimiter=%2F", "acl", "x=1&b=0&a=%20%2B&y"} {
			req, err := http.NewRequest(http.MethodGet, "http://localhost:9000/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.URL.Path, req.URL.RawQuery = path, query
			req.Header.Set("X-Amz-Content-Sha256", emptySHA256)
			req.Header.Set("X-Amz-Meta-Odd", "  a   b  ")
			checkSigner(t, g, miniosigner.SignV4(*req, awsKey, awsSecret, "", "eu-west-1"))
			req.Header = http.Header{}
			checkSigner(t, g, miniosigner.PreSignV4(*req, awsKey, awsSecret, "", "eu-west-1", 60))
		}
	}
}

func checkSigner(t *testing.T, g *Gateway, signed *http.Request) {
	t.Helper()
	var wire bytes.Buffer
	if err := signed.Write(&wire); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.authenticate(r, q); err != nil {
		var f *fault
		errors.As(err, &f)
		t.Errorf("%s: %v\n%v", r.RequestURI, err, f.detail)
	}
}

func TestAChangedSecretIsNotServedFromTheCache(t *testing.T) {
	var c keyCache
	s := scope{"AKID", "20130524", "us-east-1"}
	one, two := c.get(s, "one"), c.get(s, "two")
	if one.key == two.key || one.key != s.signingKey("one") || two.key != s.signingKey("two") || c.get(s, "one").key != one.key {
		t.Error("the cache answers for another secret")
	}
}

func TestSigningKeyIsThePublishedOne(t *testing.T) {
	// The example of the general reference is of the service iam; that of S3 shows in every signature above. Here only the chain's shape.
	key := scope{awsKey, "20130524", "us-east-1"}.signingKey(awsSecret)
	if got := hex.EncodeToString(key[:]); got != "dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378" {
		t.Errorf("signing key %s", got)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(awsExamples()["get with range"], "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		b.Fatal(err)
	}
	g := awsGateway()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.authenticate(r, nil); err != nil {
			b.Fatal(err)
		}
	}
}
