package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tree is a copy of the module that bugs are planted in.
type tree struct {
	dir   string
	limit time.Duration
	clean map[string]error // what the tests say without a bug, by their arguments
}

// copyTree copies what Go needs: all but what begins with a dot, and what was built.
func copyTree(from string, limit time.Duration) (*tree, error) {
	to, err := os.MkdirTemp("", "edgefs-mutants-")
	if err != nil {
		return nil, err
	}
	t := &tree{dir: to, limit: limit, clean: map[string]error{}}
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case name != "." && (strings.HasPrefix(d.Name(), ".") || name == "bin" || d.Name() == "node_modules"):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		return copyFile(path, filepath.Join(to, name))
	})
	if err != nil {
		return nil, errors.Join(err, t.remove())
	}
	return t, nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a file that somebody had for a moment
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

func (t *tree) remove() error { return os.RemoveAll(t.dir) }

// plantAll plants the mutants one after the other and says whether all were caught.
func (t *tree) plantAll(ctx context.Context, out io.Writer, all []mutant) (bool, error) {
	caught := 0
	for i := range all {
		began := time.Now()
		verdict, err := t.plant(ctx, &all[i])
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		took := time.Since(began).Round(100 * time.Millisecond)
		if err != nil {
			fmt.Fprintf(out, "FAIL %-32s %v (%v)\n", all[i].name, err, took)
			continue
		}
		caught++
		fmt.Fprintf(out, "ok   %-32s %s (%v)\n", all[i].name, verdict, took)
	}
	fmt.Fprintf(out, "%d of %d mutants are caught\n", caught, len(all))
	return caught == len(all), nil
}

// plant makes one bug, runs its test and takes the bug out again. The verdict says how it was caught; the error, why it was not.
func (t *tree) plant(ctx context.Context, m *mutant) (verdict string, err error) {
	path := filepath.Join(t.dir, m.file)
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	bug, err := m.apply(string(source))
	if err != nil {
		return "", err
	}
	if err := t.passes(ctx, m.test); err != nil {
		return "", fmt.Errorf("its test fails without it: %w", err)
	}
	if err := os.WriteFile(path, []byte(bug), 0o600); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, source, 0o600)) }()
	return t.judge(ctx, m)
}

// passes runs a test without a bug, once.
func (t *tree) passes(ctx context.Context, args string) error {
	err, known := t.clean[args]
	if !known {
		var said string
		said, err = t.goTest(ctx, args)
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, said)
		}
		t.clean[args] = err
	}
	return err
}

func (t *tree) judge(ctx context.Context, m *mutant) (string, error) {
	said, err := t.goTest(ctx, m.test)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "caught: its test hangs", nil
	case err == nil:
		return "", fmt.Errorf("survived: %s; go test %s", m.why, m.test)
	case strings.Contains(said, "[build failed]") || strings.Contains(said, "[setup failed]"):
		return "", fmt.Errorf("does not compile:\n%s", said)
	}
	return "caught by " + failure(said), nil
}

// failure is the first test that go test says has failed.
func failure(said string) string {
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			name, _, _ := strings.Cut(rest, " ")
			return name
		}
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return line
		}
	}
	return "its test"
}

// goTest runs go test, and returns what it said, the beginning of it.
func (t *tree) goTest(ctx context.Context, args string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, t.limit)
	defer stop()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-failfast"}, strings.Fields(args)...)...)
	cmd.Dir = t.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that a test that hangs ends with the command
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out := &head{limit: 64 << 10}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out.String(), err
}

// head keeps the beginning of what is written to it.
type head struct {
	bytes.Buffer
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	if room := h.limit - h.Len(); room > 0 {
		h.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
