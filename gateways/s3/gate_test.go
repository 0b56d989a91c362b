package s3

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	miniosigner "github.com/minio/minio-go/v7/pkg/signer"

	"github.com/edgefs/edgefs/segment"
)

func TestAFullGateTellsToSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate, 1)
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if f := faultOf(g.enter(t.Context())); f.name != "SlowDown" || f.status != 503 || time.Since(start) != gateWait {
			t.Errorf("%v after %v", f, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		go func() {
			time.Sleep(time.Second)
			g.leave(1)
		}()
		if err := g.enter(t.Context()); err != nil {
			t.Errorf("when one leaves: %v", err)
		}
	})
}

func TestLargeBodiesAreStoredWithoutBlocksToo(t *testing.T) {
	s := newSite(t)
	s.bucket("photos", segment.Unversioned)
	g := s.server.Config.Handler.(*Gateway)
	body := randomText(1, 3*blockSize+5)
	before := len(g.bufs.blocks)
	if !g.bufs.blocks.tryEnter(maxBlocks - blocksEach + 1) {
		t.Fatal("no room")
	}
	s.put("/photos/k", body)
	a := s.get("/photos/k", body)
	if a.Header.Get("Etag") != `"`+md5Hex(body)+`"` {
		t.Errorf("%v", a.Header)
	}
	s.want(400, "BadDigest", "PUT", "/photos/k", body, "Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")
	g.bufs.blocks.leave(maxBlocks - blocksEach + 1)
	s.put("/photos/k", body)
	if len(g.bufs.blocks) != before || len(g.bodies) != 0 || len(g.heavy) != 0 {
		t.Errorf("%d blocks, %d bodies, %d documents still taken", len(g.bufs.blocks), len(g.bodies), len(g.heavy))
	}
}

func TestClientsThatStallAreGivenUp(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Stall = 100 * time.Millisecond })
	s.bucket("photos", segment.Unversioned)
	s.put("/photos/large", randomText(1, 32<<20))
	<-s.samples
	conn, err := net.Dial("tcp", s.host())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func(method, path string, length int, body string) {
		r := miniosigner.SignV4(*s.newRequest(method, path, ""), awsKey, awsSecret, "", "us-east-1")
		_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, path, s.host(), length)
		_ = r.Header.Write(conn)
		_, _ = io.WriteString(conn, "\r\n"+body)
	}
	send("PUT", "/photos/k", 1000, "half of it")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if a := (answer{resp, b}); a.StatusCode != 400 || a.code() != "RequestTimeout" {
		t.Errorf("a body that stalls: %d %s", a.StatusCode, a.body)
	}
	<-s.samples
	if conn, err = net.Dial("tcp", s.host()); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send("GET", "/photos/large", 0, "")
	if x := <-s.samples; !x.Aborted { // nothing is read of the answer
		t.Errorf("an answer that nobody takes: %+v", x)
	}
}
