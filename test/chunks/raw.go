package main

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/edgefs/edgefs/internal/vfs"
)

// rawFile is one file whose every block was written and synced before, so that a later fdatasync writes no metadata; it is opened with O_DIRECT.
// What is written begins anew at its end.
type rawFile struct {
	*os.File
	size, next int64
}

func newRawFile(dir string, size int64) (*rawFile, error) {
	f, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_DIRECT, 0o600)
	if err != nil {
		return nil, err
	}
	r := &rawFile{File: f, size: size}
	random := vfs.Buffer(4 << 20)
	fillRandom(random, 1)
	for off := int64(0); off < size && err == nil; off += int64(len(random)) {
		_, err = f.WriteAt(random[:min(int64(len(random)), size-off)], off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, r.remove())
	}
	return r, nil
}

func (r *rawFile) remove() error { return errors.Join(r.Close(), os.Remove(r.Name())) }

// append writes b, of aligned memory and length, behind what was written last.
func (r *rawFile) append(b []byte) error {
	if r.next+int64(len(b)) > r.size {
		r.next = 0
	}
	_, err := r.WriteAt(b, r.next)
	r.next += int64(len(b))
	return err
}

func (r *rawFile) sync() error { return syscall.Fdatasync(int(r.Fd())) }

// rawCommit makes records of many writers durable together, and does nothing else: while one batch is written and synced, the next one fills.
type rawCommit struct {
	file *rawFile

	mu      sync.Mutex
	work    sync.Cond
	filling *rawBatch
	spare   []byte
	closed  bool
	done    sync.WaitGroup
}

type rawBatch struct {
	buf    []byte
	synced chan struct{}
	err    error
}

const rawBatchSize = 8 << 20

func newRawCommit(f *rawFile) *rawCommit {
	c := &rawCommit{file: f, filling: newRawBatch(vfs.Buffer(rawBatchSize)), spare: vfs.Buffer(rawBatchSize)}
	c.work.L = &c.mu
	c.done.Go(c.run)
	return c
}

func newRawBatch(buf []byte) *rawBatch {
	return &rawBatch{buf: buf[:0], synced: make(chan struct{})}
}

// put returns when data is durable. All writers' data must fit one batch.
func (c *rawCommit) put(data []byte) error {
	c.mu.Lock()
	b := c.filling
	b.buf = append(b.buf, data...)
	c.mu.Unlock()
	c.work.Signal()
	<-b.synced
	return b.err
}

func (c *rawCommit) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for len(c.filling.buf) == 0 && !c.closed {
			c.work.Wait()
		}
		b := c.filling
		if len(b.buf) == 0 {
			return
		}
		c.filling = newRawBatch(c.spare)
		c.mu.Unlock()
		b.err = c.file.append(b.buf[:vfs.AlignUp(int64(len(b.buf)))])
		if b.err == nil {
			b.err = c.file.sync()
		}
		close(b.synced)
		c.mu.Lock()
		c.spare = b.buf[:rawBatchSize]
	}
}

func (c *rawCommit) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.work.Signal()
	c.done.Wait()
}
