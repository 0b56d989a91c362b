// Package process runs the real binary for tests: "edgefs serve", as it is shipped.
package process

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/loadtest"
)

// Build makes the binary and returns its path.
func Build(t *testing.T) string {
	t.Helper()
	binary := t.TempDir() + "/edgefs"
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/edgefs/edgefs/cmd/edgefs").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// Server is a running "edgefs serve". Whoever starts one ends it by [Server.Kill].
type Server struct {
	Endpoint string        // of S3
	Took     time.Duration // from the start until it said where it serves

	binary, dir string
	cmd         *exec.Cmd

	mu    sync.Mutex
	said  bytes.Buffer
	drain sync.WaitGroup
}

// Launch starts a server on a data directory and does not wait for it to serve: ready gets its endpoint, and is closed when it ends before. More arguments of
// "edgefs serve" may follow.
func Launch(binary, dir string, args ...string) (s *Server, ready chan string, err error) {
	s = &Server{binary: binary, dir: dir}
	args = append([]string{"serve", dir, "--s3", "127.0.0.1:0", "--link", "off", "--metrics", "off", "--log-level", "warn"}, args...)
	s.cmd = exec.Command(binary, args...)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		return nil, nil, err
	}
	ready = make(chan string, 1)
	s.drain.Go(func() { s.listen(r, ready) })
	return s, ready, nil
}

// listen keeps what the server says, and finds the endpoint in it.
func (s *Server) listen(r io.ReadCloser, ready chan<- string) {
	defer close(ready)
	defer r.Close()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		s.mu.Lock()
		fmt.Fprintln(&s.said, lines.Text())
		s.mu.Unlock()
		if _, rest, ok := strings.Cut(lines.Text(), "S3 is served at "); ok {
			endpoint, _, _ := strings.Cut(rest, " ")
			ready <- endpoint
		}
	}
}

// Serve starts a server and waits until it serves.
func Serve(t *testing.T, binary, dir string, args ...string) *Server {
	t.Helper()
	began := time.Now()
	s, ready, err := Launch(binary, dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case endpoint, ok := <-ready:
		if !ok {
			t.Fatalf("the server ended: %v\n%s", s.Kill(), s.Words())
		}
		s.Endpoint, s.Took = endpoint, time.Since(began)
	case <-time.After(2 * time.Minute):
		_ = s.Kill()
		t.Fatalf("the server does not serve:\n%s", s.Words())
	}
	return s
}

// Kill ends the process, this one and no other, by SIGKILL.
func (s *Server) Kill() error {
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	s.drain.Wait()
	if err := s.cmd.Wait(); err != nil && !strings.Contains(err.Error(), "signal: killed") {
		return fmt.Errorf("it ended before it was killed: %w\n%s", err, s.Words())
	}
	return nil
}

// Words is what the server said.
func (s *Server) Words() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

// Admin is a client of the server's socket. It ends with the test.
func (s *Server) Admin(t *testing.T) *admin.Client {
	t.Helper()
	c, err := admin.Dial(s.dir, admin.Options{Silence: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Client is a client of a bucket by S3, which is made when it is missing.
func (s *Server) Client(t *testing.T, bucket string) *loadtest.Client {
	t.Helper()
	out, err := exec.Command(s.binary, "env", s.dir, "--json").Output()
	var keys admin.Credentials
	if err == nil {
		err = json.Unmarshal(out, &keys)
	}
	if err != nil {
		t.Fatalf("env: %v", err)
	}
	access := loadtest.Credentials{AccessKey: keys.AccessKey, SecretKey: keys.SecretKey, Region: keys.Region}
	c, err := loadtest.NewClient(context.Background(), loadtest.ClientConfig{Endpoint: s.Endpoint, Bucket: bucket, Credentials: access})
	if err == nil {
		err = c.EnsureBucket(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}
