package loadtest_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/crc64nvme"

	"github.com/edgefs/edgefs/loadtest"
)

// unchunk reads an unsigned aws-chunked body by its own rules and returns the content and the trailer.
func unchunk(body []byte) (content []byte, name, value string, err error) {
	r := bufio.NewReader(bytes.NewReader(body))
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, "", "", err
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(line, "\r\n"), 16, 64)
		if err != nil {
			return nil, "", "", err
		}
		if n == 0 {
			break
		}
		piece := make([]byte, n+2)
		if _, err := io.ReadFull(r, piece); err != nil {
			return nil, "", "", err
		}
		content = append(content, piece[:n]...)
	}
	trailer, err := io.ReadAll(r)
	if err != nil || !bytes.HasSuffix(trailer, []byte("\r\n\r\n")) {
		return nil, "", "", fmt.Errorf("trailer %q: %w", trailer, err)
	}
	name, value, _ = strings.Cut(strings.TrimSpace(string(trailer)), ":")
	return content, name, value, nil
}

func TestPayloadsProveTheBody(t *testing.T) {
	content := loadtest.NewContent(1, loadtest.Sizes{}, 0)
	for _, payload := range []loadtest.Payload{loadtest.Unsigned, loadtest.Signed, loadtest.Trailer} {
		for _, size := range []int64{0, 1, 100, 256 << 10, 256<<10 + 1, 1 << 20} {
			var header http.Header
			var length int64
			var body []byte
			client := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				header, length = r.Header, r.ContentLength
				body, _ = io.ReadAll(r.Body)
			}), func(c *loadtest.ClientConfig) { c.Payload = payload })
			session := client.Session()
			if err := session.Put(t.Context(), content.Sized("key", 1, size)); err != nil {
				t.Fatalf("%s, %d bytes: %v", payload, size, err)
			}
			session.Close()
			if int64(len(body)) != length {
				t.Errorf("%s: %d bytes, said %d", payload, len(body), length)
			}
			want := make([]byte, size)
			content.Sized("key", 1, size).Fill(want, 0)
			proof := header.Get("X-Amz-Content-Sha256")
			switch payload {
			case loadtest.Unsigned:
				if proof != "UNSIGNED-PAYLOAD" {
					t.Errorf("unsigned: %s", proof)
				}
			case loadtest.Signed:
				if sum := sha256.Sum256(want); proof != hex.EncodeToString(sum[:]) {
					t.Errorf("signed: %s", proof)
				}
			case loadtest.Trailer:
				decoded, name, value, err := unchunk(body)
				sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum(want)))
				if err != nil || name != "x-amz-checksum-crc64nvme" || name != header.Get("X-Amz-Trailer") || value != sum ||
					header.Get("X-Amz-Decoded-Content-Length") != fmt.Sprint(size) || header.Get("Content-Encoding") != "aws-chunked" {
					t.Errorf("trailer of %d bytes: %s %s, want %s, %v", size, name, value, sum, err)
				}
				body = decoded
			}
			if !bytes.Equal(body, want) {
				t.Errorf("%s: %d bytes differ from the object's %d", payload, len(body), size)
			}
		}
	}
}

// hangUp answers on each connection as often as told, then closes it without an answer.
func hangUp(t *testing.T, answers int) (endpoint string, dials *atomic.Int64) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dials = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			r := bufio.NewReader(conn)
			for range answers {
				req, err := http.ReadRequest(r)
				if err != nil {
					break
				}
				io.Copy(io.Discard, req.Body)
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return "http://" + listener.Addr().String(), dials
}

func TestConnectionThatWasIdleIsTriedAgainOnce(t *testing.T) {
	endpoint, dials := hangUp(t, 2)
	client, err := loadtest.NewClient(t.Context(), loadtest.ClientConfig{Endpoint: endpoint, Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	session := client.Session()
	defer session.Close()
	for i := range 6 {
		if err := session.Delete(t.Context(), "key"); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if dials.Load() != 3 {
		t.Errorf("%d connections for 6 requests, 2 on each", dials.Load())
	}
	once := client.Session()
	defer once.Close()
	once.Once = true
	var failed []int
	for i := range 6 {
		err := once.Delete(t.Context(), "key")
		var conn *loadtest.ConnError
		if errors.As(err, &conn) && conn.Sent {
			failed = append(failed, i)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(failed) != "[2 5]" {
		t.Errorf("requests %v failed of a session that tries once, want 2 and 5", failed)
	}
}

func TestServerThatNeverAnswersIsNotTriedAgain(t *testing.T) {
	endpoint, dials := hangUp(t, 0)
	client, err := loadtest.NewClient(t.Context(), loadtest.ClientConfig{Endpoint: endpoint, Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	session := client.Session()
	defer session.Close()
	var conn *loadtest.ConnError
	if err := session.Delete(t.Context(), "key"); !errors.As(err, &conn) || !conn.Sent || dials.Load() != 1 {
		t.Errorf("%v after %d connections", err, dials.Load())
	}
}

func TestRefusalInTheMiddleOfABodyIsToldAsSuch(t *testing.T) {
	client := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>")
	}))
	session := client.Session()
	defer session.Close()
	o := loadtest.NewContent(1, loadtest.Sizes{}, 0).Sized("key", 1, 200<<10)
	var answer *loadtest.ResponseError
	if err := session.Put(t.Context(), o); !errors.As(err, &answer) || answer.Code != "SignatureDoesNotMatch" {
		t.Errorf("put: %v", err)
	}
}

func TestTimeoutIsCountedAsOne(t *testing.T) {
	release := make(chan struct{})
	s := newS3()
	s.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			<-release
		}
		return false
	}
	server := httptest.NewServer(s)
	defer server.Close()
	defer close(release)
	client, err := loadtest.NewClient(t.Context(), loadtest.ClientConfig{Endpoint: server.URL, Bucket: "b", Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	report := run(t, client, options(t, loadtest.Put, 2))
	if report.Errors["timeout"] != 2 {
		t.Errorf("errors %v", report.Errors)
	}
}

// answerer serves fixed answers with as little work as possible, so that a benchmark sees the client.
func answerer(b *testing.B, size int64) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	put := []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: \"0123456789abcdef0123456789abcdef\"\r\n\r\n")
	get := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: \"0123456789abcdef0123456789abcdef\"\r\n\r\n", size)
	o := loadtest.NewContent(1, loadtest.Sizes{}, 0).Sized("key", 1, size)
	body := make([]byte, size)
	o.Fill(body, 0)
	get = append(get, body...)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(conn, put, get, size)
		}
	}()
	b.Cleanup(func() { listener.Close() })
	return "http://" + listener.Addr().String()
}

func answer(conn net.Conn, put, get []byte, size int64) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	for {
		isPut := false
		for first := true; ; first = false {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			isPut = isPut || first && line[0] == 'P'
			if len(line) == 2 {
				break
			}
		}
		reply := get
		if isPut {
			reply = put
			if _, err := r.Discard(int(size)); err != nil {
				return
			}
		}
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}

// BenchmarkClient reports CPU per request of both sides; the answering side is the same, bare, in all.
func BenchmarkClient(b *testing.B) {
	for _, size := range []int64{4 << 10, 1 << 20} {
		endpoint := answerer(b, size)
		cfg := loadtest.ClientConfig{Endpoint: endpoint, Bucket: "b", Credentials: loadtest.Credentials{AccessKey: "a", SecretKey: "b"}}
		client, err := loadtest.NewClient(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		o := loadtest.NewContent(1, loadtest.Sizes{}, 0).Sized("key", 1, size)
		session := client.Session()
		b.Run(fmt.Sprintf("put-%dKiB", size>>10), func(b *testing.B) {
			measureCPU(b, size, func() error { return session.Put(b.Context(), o) })
		})
		b.Run(fmt.Sprintf("get-%dKiB", size>>10), func(b *testing.B) {
			measureCPU(b, size, func() error {
				_, err := session.Get(b.Context(), "key", func(_, off int64, piece []byte) error { return session.Check(o, off, piece) })
				return err
			})
		})
		session.Close()
		body := make([]byte, size)
		transport := &http.Client{Transport: &http.Transport{}}
		b.Run(fmt.Sprintf("put-%dKiB-transport", size>>10), func(b *testing.B) {
			measureCPU(b, size, func() error { return putByTransport(transport, endpoint, body) })
		})
		transport.CloseIdleConnections()
	}
}

// putByTransport is the least that http.Client can do: no signature, no content.
func putByTransport(client *http.Client, endpoint string, body []byte) error {
	req, err := http.NewRequest(http.MethodPut, endpoint+"/b/key", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

func measureCPU(b *testing.B, size int64, f func() error) {
	b.SetBytes(size)
	b.ReportAllocs()
	runtime.GC()
	before := cpu(b)
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

func cpu(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
