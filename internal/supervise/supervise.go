// Package supervise runs child processes: it starts again what was killed, and ends them with their parent.
package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// Grace is how long a child may take to end before it is killed.
	Grace = 20 * time.Second
	// pause before a child that was killed is started again.
	pause = 500 * time.Millisecond
)

// Child is a process to keep running.
type Child struct {
	Name string
	Path string
	Args []string
	Out  io.Writer // what the child says on standard error, line by line, with the name in front
}

// Run keeps the child running until the context ends, and then ends it. A child that a signal killed is started again; one that ends by
// itself has a reason, which is the error.
func (c Child) Run(ctx context.Context) error {
	// The kernel ends a child whose parent thread is gone: this thread stays as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		err := c.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		how, killed := killedBy(err)
		if !killed {
			return fmt.Errorf("%s ended, its messages say why: %w", c.Name, ended(err))
		}
		fmt.Fprintf(c.Out, "%s: %v; starting again\n", c.Name, how)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (c Child) once(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = Grace
	// In a process group of its own, a Ctrl-C at the terminal reaches the parent only, which then ends the children.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	out := &prefixed{prefix: c.Name + ": ", w: c.Out}
	cmd.Stderr = out
	defer out.flush()
	return cmd.Run()
}

// ErrEnded says that a child ended by itself, without a failure.
var ErrEnded = errors.New("exit status 0")

func ended(err error) error {
	if err == nil {
		return ErrEnded
	}
	return err
}

// killedBy says which signal ended a process, if one did.
func killedBy(err error) (how error, killed bool) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return nil, false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return exit, ok && status.Signaled()
}

// Lines makes a writer that many children can share: each write, a line, goes out whole.
func Lines(w io.Writer) io.Writer { return &lines{w: w} }

type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// maxLine bounds what is kept of a line that does not end.
const maxLine = 64 << 10

// prefixed passes whole lines on, each with a prefix.
type prefixed struct {
	prefix string
	w      io.Writer
	part   []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	p.part = append(p.part, b...)
	for {
		i := bytes.IndexByte(p.part, '\n')
		if i < 0 && len(p.part) < maxLine {
			return len(b), nil
		}
		if i < 0 {
			i = len(p.part) - 1
		}
		p.line(p.part[:i+1])
		p.part = p.part[i+1:]
	}
}

func (p *prefixed) flush() {
	if len(p.part) > 0 {
		p.line(append(p.part, '\n'))
		p.part = nil
	}
}

// line does not heed the writer's error: a parent whose output is closed must not stop its children.
func (p *prefixed) line(b []byte) { _, _ = p.w.Write(append([]byte(p.prefix), b...)) }
