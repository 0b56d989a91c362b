package history

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// journal appends records to a history. Writers share its syncs: one goroutine writes and syncs what gathered during the last sync.
// Records of one goroutine reach the file in its order. Safe for concurrent use.
type journal struct {
	file *os.File

	mu      sync.Mutex
	work    sync.Cond
	filling *group
	closed  bool
	done    sync.WaitGroup
}

// group is what one sync makes durable; err may be read after synced was closed.
type group struct {
	lines  []byte
	synced chan struct{}
	err    error
}

// openJournal opens or begins the history at path and returns what it holds. A line cut off by a crash of the writer is removed.
func openJournal(path string, begin head) (*journal, *state, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	s, err := resume(f, begin)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("history %s: %w", path, err), f.Close())
	}
	j := &journal{file: f, filling: newGroup()}
	j.work.L = &j.mu
	j.done.Go(j.run)
	return j, s, nil
}

func resume(f *os.File, begin head) (*state, error) {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("in use by another process: %w", err)
	}
	s, whole, err := readState(f)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(whole); err != nil {
		return nil, err
	}
	if whole > 0 {
		return s, nil
	}
	s.head = begin
	if _, err := f.Write(appendLine(nil, begin.String())); err != nil {
		return nil, err
	}
	return s, f.Sync()
}

func newGroup() *group { return &group{synced: make(chan struct{})} }

// intend returns when the record is durable: only then may its request be sent.
func (j *journal) intend(r record) error {
	g := j.add(r)
	<-g.synced
	return g.err
}

// add hands a record over and does not wait. Records still in memory when this process dies are answers, without which the check only asks for less.
func (j *journal) add(r record) *group {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.filling.lines = appendLine(j.filling.lines, r.String())
	j.work.Signal()
	return j.filling
}

func (j *journal) run() {
	var err error
	for {
		g, ok := j.take()
		if !ok {
			return
		}
		if err == nil { // after a failed write nothing may follow it
			err = writeSync(j.file, g.lines)
		}
		g.err = err
		close(g.synced)
	}
}

func (j *journal) take() (*group, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.filling.lines) == 0 {
		if j.closed {
			return nil, false
		}
		j.work.Wait()
	}
	g := j.filling
	j.filling = newGroup()
	return g, true
}

func writeSync(f *os.File, lines []byte) error {
	if _, err := f.Write(lines); err != nil {
		return err
	}
	return f.Sync()
}

// close writes what was added and closes the file.
func (j *journal) close() error {
	j.mu.Lock()
	j.closed = true
	last := j.filling
	pending := len(last.lines) > 0
	j.work.Signal()
	j.mu.Unlock()
	j.done.Wait()
	if pending {
		return errors.Join(last.err, j.file.Close())
	}
	return j.file.Close()
}

// load reads a history without changing it.
func load(path string) (*state, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, whole, err := readState(f)
	if err == nil && whole == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("history %s: %w", path, err)
	}
	return s, nil
}
