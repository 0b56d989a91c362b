package s3

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"

	miniosigner "github.com/minio/minio-go/v7/pkg/signer"

	"github.com/edgefs/edgefs/segment"
)

// wire is a connection whose answers are seen as they are sent.
type wire struct {
	*site
	conn net.Conn
	from *bufio.Reader
}

func (s *site) dial() wire {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.host())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return wire{s, conn, bufio.NewReader(conn)}
}

func (w wire) ask(r *http.Request) {
	w.t.Helper()
	if err := miniosigner.SignV4(*r, awsKey, awsSecret, "", "us-east-1").Write(w.conn); err != nil {
		w.t.Fatal(err)
	}
}

// head reads the status line and the headers of the next answer.
func (w wire) head() string {
	w.t.Helper()
	var head strings.Builder
	for {
		line, err := w.from.ReadString('\n')
		if err != nil {
			w.t.Fatalf("%v after %q", err, head.String())
		}
		if head.WriteString(line); line == "\r\n" {
			return head.String()
		}
	}
}

func (w wire) want(words ...string) {
	w.t.Helper()
	head := w.head()
	for _, word := range words {
		if !strings.Contains(head, word) {
			w.t.Errorf("no %q in\n%s", word, head)
		}
	}
}

func TestNamesOfMetadataAreAnsweredInLowerCase(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	s.want(200, "", "PUT", "/photos/k", "body", "X-Amz-Meta-Mixed-Case", "As Is", "Cache-Control", "no-store")
	w := s.dial()
	w.ask(s.newRequest("HEAD", "/photos/k", ""))
	w.want("HTTP/1.1 200 OK\r\n", "\r\nx-amz-meta-mixed-case: As Is\r\n", "\r\nCache-Control: no-store\r\n")
}

func TestAnEmptyBodyIsAskedForToo(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	w := s.dial()
	w.ask(s.newRequest("PUT", "/photos/empty", "", "Expect", "100-continue"))
	w.want("HTTP/1.1 100 Continue\r\n")
	w.want("HTTP/1.1 200 OK\r\n", "\r\nContent-Length: 0\r\n")
	w.ask(s.newRequest("PUT", "/nowhere/empty", "", "Expect", "100-continue"))
	w.want("HTTP/1.1 100 Continue\r\n")
	w.want("HTTP/1.1 404 Not Found\r\n")
}
