package bare

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

// batchSize is how much may gather while the previous batch is being synced.
const batchSize = 8 << 20

// committer makes appends of many requests durable together. It never lingers: the next batch is what came during the last sync.
type committer struct {
	file *file

	mu      sync.Mutex
	changed sync.Cond // a batch has work, or has been taken, or closed was set
	filling *batch
	closed  bool
	done    sync.WaitGroup
}

// batch is written in one piece. err may be read after synced was closed.
type batch struct {
	buf    []byte
	synced chan struct{}
	err    error
}

func newCommitter(f *file) *committer {
	c := &committer{file: f, filling: newBatch(aligned(batchSize))}
	c.changed.L = &c.mu
	c.done.Go(c.run)
	return c
}

func newBatch(memory []byte) *batch { return &batch{buf: memory[:0], synced: make(chan struct{})} }

// append returns when data, at most batchSize bytes, is durable. It does not keep data.
func (c *committer) append(data []byte) error {
	if len(data) > batchSize {
		return fmt.Errorf("%d bytes are more than the %d of a group commit", len(data), batchSize)
	}
	c.mu.Lock()
	for len(c.filling.buf)+len(data) > batchSize {
		c.changed.Wait()
	}
	b := c.filling
	b.buf = append(b.buf, data...)
	if len(b.buf) == len(data) {
		c.changed.Broadcast()
	}
	c.mu.Unlock()
	<-b.synced
	return b.err
}

func (c *committer) run() {
	spare := aligned(batchSize)
	for {
		b, ok := c.take(spare)
		if !ok {
			return
		}
		b.err = c.write(b.buf)
		close(b.synced)
		spare = b.buf[:batchSize]
	}
}

// take waits for a batch with work and puts an empty one over spare in its place.
func (c *committer) take(spare []byte) (*batch, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.filling.buf) == 0 {
		if c.closed {
			return nil, false
		}
		c.changed.Wait()
	}
	b := c.filling
	c.filling = newBatch(spare)
	c.changed.Broadcast()
	return b, true
}

func (c *committer) write(buf []byte) error {
	off, err := c.file.reserve(int64(len(buf)))
	if err != nil {
		return err
	}
	if _, err := c.file.f.WriteAt(buf[:roundUp(int64(len(buf)))], off); err != nil {
		return err
	}
	return c.file.sync()
}

func (c *committer) close() error {
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	c.done.Wait()
	return nil
}

// groupCommit answers PUT when the body is durable.
type groupCommit struct{ committer *committer }

func (g groupCommit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !onlyPut(w, r) {
		return
	}
	if r.ContentLength > batchSize {
		http.Error(w, "larger than a group commit", http.StatusRequestEntityTooLarge)
		return
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := g.committer.append(body); err != nil {
		fail(w, err)
	}
}
