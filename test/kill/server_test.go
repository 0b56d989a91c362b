package kill

import (
	"bufio"
	"bytes"
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
)

// build makes the binary, as it is shipped.
func build(t *testing.T) string {
	t.Helper()
	binary := t.TempDir() + "/edgefs"
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/edgefs").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// server is a running "edgefs serve".
type server struct {
	binary, dir string
	cmd         *exec.Cmd
	endpoint    string
	took        time.Duration // from the start until it said where it serves

	mu    sync.Mutex
	said  bytes.Buffer
	drain sync.WaitGroup
}

// launch starts a server and does not wait for it to serve: ready gets its endpoint, and is closed when it ends before.
func launch(binary, dir string) (s *server, ready chan string, err error) {
	s = &server{binary: binary, dir: dir}
	s.cmd = exec.Command(binary, "serve", dir, "--s3", "127.0.0.1:0", "--link", "off", "--metrics", "off", "--log-level", "warn")
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
func (s *server) listen(r io.ReadCloser, ready chan<- string) {
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

// serve starts a server and waits until it serves.
func serve(t *testing.T, binary, dir string) *server {
	t.Helper()
	began := time.Now()
	s, ready, err := launch(binary, dir)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case endpoint, ok := <-ready:
		if !ok {
			t.Fatalf("the server ended: %v\n%s", s.kill(), s.words())
		}
		s.endpoint, s.took = endpoint, time.Since(began)
	case <-time.After(2 * time.Minute):
		_ = s.kill()
		t.Fatalf("the server does not serve:\n%s", s.words())
	}
	return s
}

// kill ends the process, this one and no other, by SIGKILL.
func (s *server) kill() error {
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	s.drain.Wait()
	if err := s.cmd.Wait(); err != nil && !strings.Contains(err.Error(), "signal: killed") {
		return fmt.Errorf("it ended before it was killed: %w\n%s", err, s.words())
	}
	return nil
}

// words is what the server said.
func (s *server) words() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

// credentials are the same in all lives of the segment.
func (s *server) credentials(t *testing.T) (c admin.Credentials) {
	t.Helper()
	out, err := exec.Command(s.binary, "env", s.dir, "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &c)
	}
	if err != nil {
		t.Fatalf("env: %v", err)
	}
	return c
}
