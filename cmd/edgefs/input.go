package main

import (
	"context"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// input reads a file of any kind so that the end of ctx ends it, at once, also where the next byte may never come: a pipe, a terminal, a
// device. done frees what that takes; the file remains its owner's.
func input(ctx context.Context, r io.Reader) (in io.Reader, done func(), err error) {
	f, ok := r.(*os.File)
	if !ok {
		return r, func() {}, nil
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return r, func() {}, nil
	}
	wake, stop, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	p := &pollReader{ctx: ctx, fd: int(f.Fd()), wake: int(wake.Fd())}
	watch := context.AfterFunc(ctx, func() { stop.Close() }) // which makes wake readable
	done = func() {
		watch()
		stop.Close()
		p.end()
		wake.Close()
	}
	return p, done, nil
}

// pollReader waits for the file and for the end of ctx at the same time.
type pollReader struct {
	ctx      context.Context // of the one command that it reads for
	fd, wake int

	mu    sync.Mutex // held while reading: who sends a request may still read for it when the answer is there
	ended bool
}

// end waits for a Read that goes on, which has been woken. There is none after it.
func (p *pollReader) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}

func (p *pollReader) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended {
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}, {Fd: int32(p.wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return 0, os.NewSyscallError("poll", err)
		}
		if err := p.ctx.Err(); err != nil {
			return 0, err
		}
		if fds[1].Revents != 0 {
			break
		}
		if fds[0].Revents == 0 {
			continue
		}
		switch n, err := unix.Read(p.fd, b); {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
	return 0, os.ErrClosed
}

// open opens a file to be stored. It never waits for a FIFO's writer: reading does.
func open(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
}
