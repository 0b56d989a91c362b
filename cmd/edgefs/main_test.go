package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/edgefs/edgefs/internal/admin"
)

// beEdgefs in the environment makes the test binary the command itself, so that tests can start real processes of it.
const beEdgefs = "EDGEFS_TEST_BE_EDGEFS"

func TestMain(m *testing.M) {
	if os.Getenv(beEdgefs) != "" {
		main()
	}
	os.Exit(m.Run())
}

// result is what a command said.
type result struct {
	out, errs string
	code      int
}

// edgefs runs a command in this process.
func edgefs(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return result{out.String(), errs.String(), code}
}

// good runs a command that must succeed, and returns its output.
func good(t *testing.T, args ...string) string {
	t.Helper()
	return goodWith(t, "", args...)
}

func goodWith(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	r := edgefs(t, stdin, args...)
	if r.code != 0 {
		t.Fatalf("edgefs %s: exit %d: %s", strings.Join(args, " "), r.code, r.errs)
	}
	return r.out
}

// bad runs a command that must fail with the exit code and say want.
func bad(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	r := edgefs(t, "", args...)
	if r.code != code || !strings.Contains(r.errs, want) {
		t.Errorf("edgefs %s: exit %d, want %d and %q: %s", strings.Join(args, " "), r.code, code, want, r.errs)
	}
}

// jsonOf runs a command with --json and reads its answer.
func jsonOf[T any](t *testing.T, args ...string) (v T) {
	t.Helper()
	out := good(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("edgefs %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return v
}

// process is a running edgefs.
type process struct {
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{} // closed when it has ended
	err  error
}

// lockedBuffer is a buffer that is written and read at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs edgefs as a process of its own, which the test's end kills if nothing else has ended it.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0], args...), log: new(lockedBuffer), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), beEdgefs+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("edgefs %s said:\n%s", strings.Join(args, " "), p.log)
		}
	})
	return p
}

// serve runs a segment in dir, on free ports, and waits until it serves.
func serve(t *testing.T, dir string, flags ...string) *process {
	t.Helper()
	p := start(t, append([]string{"serve", dir, "--s3", "127.0.0.1:0", "--link", "127.0.0.1:0", "--metrics", "off"}, flags...)...)
	p.ready(t, dir)
	return p
}

// ready waits until the segment in dir serves.
func (p *process) ready(t *testing.T, dir string) {
	t.Helper()
	client, err := admin.Dial(dir, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p.until(t, dir+" serves", func() bool {
		h, err := client.Health(t.Context())
		return err == nil && h.Ready
	})
}

// until waits for a condition, as long as the process lives.
func (p *process) until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for !reached() {
		select {
		case <-tick.C:
		case <-p.done:
			t.Fatalf("ended before %s: %v", what, p.err)
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// end signals the process and returns its exit code.
func (p *process) end(t *testing.T, sig os.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	return p.wait(t)
}

func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(60 * time.Second):
		t.Fatal("does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// fileWith makes a file in a folder of the test's.
func fileWith(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// background is a context for what outlives the test's own, such as clients in cleanups.
func background() context.Context { return context.Background() }

// readAll reads what is there, or fails.
func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
