package clients_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commandTime is what a client's command may take. Most clients wait 60 s for an answer, and then try again unseen: that is a failure here.
const commandTime = 50 * time.Second

// tool is a client's command, in an environment where nothing is configured but what the test says.
type tool struct {
	path string
	dir  string // where it runs, and its home
	env  []string
	time time.Duration // what a run may take
}

// findTool finds an installed command, and skips the test if there is none. Debian's own comes first: PATH may have others of the name.
func findTool(t *testing.T, name string, env ...string) *tool {
	t.Helper()
	path, err := exec.LookPath(filepath.Join("/usr/bin", name))
	if err != nil {
		path, err = exec.LookPath(name)
	}
	if err != nil {
		t.Skipf("%s is not installed (make deps)", name)
	}
	return newTool(t, path, env...)
}

func newTool(t *testing.T, path string, env ...string) *tool {
	t.Helper()
	home := t.TempDir()
	base := []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + home, "TMPDIR=" + home, "LANG=C.UTF-8", "LC_ALL=C.UTF-8"}
	return &tool{path: path, dir: home, env: append(base, env...), time: commandTime}
}

// with is the same command with more in its environment.
func (c *tool) with(env ...string) *tool {
	d := *c
	d.env = append(append([]string(nil), c.env...), env...)
	return &d
}

// run runs the command, which must succeed, and returns what it wrote to its standard output.
func (c *tool) run(t *testing.T, args ...string) string {
	t.Helper()
	return c.feed(t, nil, args...)
}

// feed runs the command with a standard input.
func (c *tool) feed(t *testing.T, stdin io.Reader, args ...string) string {
	t.Helper()
	out, errs, err := c.try(t, stdin, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", c.line(args), err, tail(out), tail(errs))
	}
	return out
}

// refused runs the command, which must fail and say want.
func (c *tool) refused(t *testing.T, want string, args ...string) {
	t.Helper()
	out, errs, err := c.try(t, nil, args...)
	if err == nil {
		t.Errorf("%s: succeeded\n%s%s", c.line(args), tail(out), tail(errs))
	}
	if !strings.Contains(out+errs, want) {
		t.Errorf("%s: does not say %q\n%s%s", c.line(args), want, tail(out), tail(errs))
	}
}

func (c *tool) try(t *testing.T, stdin io.Reader, args ...string) (out, errs string, err error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), c.time)
	defer stop()
	var o, e bytes.Buffer
	cmd := exec.CommandContext(ctx, c.path, args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.dir, c.env, stdin, &o, &e
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // a client may have children
	cmd.WaitDelay = 5 * time.Second
	began := time.Now()
	err = cmd.Run()
	t.Logf("%.1fs %s", time.Since(began).Seconds(), tail(c.line(args)))
	return o.String(), e.String(), err
}

func (c *tool) line(args []string) string {
	return filepath.Base(c.path) + " " + strings.Join(args, " ")
}

func tail(s string) string { return s[max(0, len(s)-4<<10):] }

// lines are those of an output that say something.
func lines(out string) []string {
	var found []string
	for line := range strings.Lines(out) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			found = append(found, line)
		}
	}
	return found
}

// goTool is the Go command in a folder, with the modules that "make deps" has brought here and no others.
func goTool(t *testing.T, dir string) *tool {
	t.Helper()
	path, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no Go")
	}
	return &tool{path: path, dir: dir, env: append(os.Environ(), "GOPROXY=off", "GOWORK=off"), time: 5 * time.Minute}
}
