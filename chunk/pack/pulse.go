package pack

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
)

// ErrStalled says that the disk has not answered in time. It comes with chunk.ErrUnavailable: the device goes on when the disk does, and what was
// to be written may then be written.
var ErrStalled = errors.New("the disk does not answer")

// pulse watches the operations of a disk that are under way. The kernel lets nobody give up an operation, so those who called for it stop waiting
// instead: a reader leaves the memory behind that is read to, a writer the batch.
type pulse struct {
	limit time.Duration
	log   *slog.Logger
	dir   string

	mu      sync.Mutex
	oldest  *beat // a list, in the order in which they began
	newest  *beat
	free    *beat
	stalled bool
	lost    chan struct{} // closed while stalled
}

// beat is an operation under way.
type beat struct {
	began      time.Time
	prev, next *beat
}

func newPulse(o Options) *pulse {
	return &pulse{limit: o.Stall, log: o.Logger, dir: o.Dir, lost: make(chan struct{})}
}

func (p *pulse) begin() *beat {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.free
	if b == nil {
		b = &beat{}
	} else {
		p.free = b.next
	}
	*b = beat{began: now, prev: p.newest}
	if p.newest != nil {
		p.newest.next = b
	} else {
		p.oldest = b
	}
	p.newest = b
	return b
}

// end is called once for each begin. The disk answers again when nothing of it is late any more.
func (p *pulse) end(b *beat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.prev != nil {
		b.prev.next = b.next
	} else {
		p.oldest = b.next
	}
	if b.next != nil {
		b.next.prev = b.prev
	} else {
		p.newest = b.prev
	}
	b.next, p.free = p.free, b
	if p.stalled && !p.late() {
		p.stalled, p.lost = false, make(chan struct{})
		p.log.Warn("the disk of a device answers again", "dir", p.dir)
	}
}

// late says whether an operation takes too long. Called with the lock.
func (p *pulse) late() bool { return p.oldest != nil && time.Since(p.oldest.began) >= p.limit }

// watch looks for late operations until stop is closed.
func (p *pulse) watch(stop <-chan struct{}) {
	t := time.NewTicker(p.limit / 4)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.check()
		case <-stop:
			return
		}
	}
}

func (p *pulse) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled || !p.late() {
		return
	}
	p.stalled = true
	close(p.lost)
	p.log.Error("the disk of a device does not answer", "dir", p.dir, "since", p.oldest.began)
}

// gone is closed as soon as the disk stalls.
func (p *pulse) gone() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// Stalled says whether the disk does not answer at present.
func (d *Device) Stalled() bool {
	d.pulse.mu.Lock()
	defer d.pulse.mu.Unlock()
	return d.pulse.stalled
}

func errStalled() error { return fmt.Errorf("%w: %w", chunk.ErrUnavailable, ErrStalled) }

// read reads len(s.data) bytes of a pack. What is not there any more is damage; a disk that does not answer is not. When it stalls, s stays with whoever
// still reads into it.
func (d *Device) read(generation uint64, s *span, off int64) error {
	s.Hold()
	return d.patiently(func() error {
		defer s.Release()
		return d.readNow(generation, s.data, off)
	}, s.Release)
}

// patiently waits for what do does, unless the disk stalls: do then goes on alone. Where the disk is stalled already it does without do, and calls undone
// instead: else each caller would leave one more operation waiting.
func (d *Device) patiently(do func() error, undone func()) error {
	gone := d.pulse.gone()
	select {
	case <-gone:
		undone()
		return errStalled()
	default:
	}
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-gone:
		return errStalled()
	}
}

// watched is a file system whose operations a pulse sees.
type watched struct {
	vfs.FS
	p *pulse
}

func (w watched) Open(name string, mode vfs.Mode) (vfs.File, error) {
	defer w.p.end(w.p.begin())
	f, err := w.FS.Open(name, mode)
	if err != nil {
		return nil, err
	}
	return watchedFile{f, w.p}, nil
}

func (w watched) Rename(from, to string) error {
	defer w.p.end(w.p.begin())
	return w.FS.Rename(from, to)
}

func (w watched) Remove(name string) error {
	defer w.p.end(w.p.begin())
	return w.FS.Remove(name)
}

func (w watched) SyncDir(name string) error {
	defer w.p.end(w.p.begin())
	return w.FS.SyncDir(name)
}

func (w watched) Free(name string) (int64, error) {
	defer w.p.end(w.p.begin())
	return w.FS.Free(name)
}

type watchedFile struct {
	vfs.File
	p *pulse
}

func (f watchedFile) ReadAt(b []byte, off int64) (int, error) {
	defer f.p.end(f.p.begin())
	return f.File.ReadAt(b, off)
}

func (f watchedFile) WriteAt(b []byte, off int64) (int, error) {
	defer f.p.end(f.p.begin())
	return f.File.WriteAt(b, off)
}

func (f watchedFile) Truncate(size int64) error {
	defer f.p.end(f.p.begin())
	return f.File.Truncate(size)
}

func (f watchedFile) Sync() error {
	defer f.p.end(f.p.begin())
	return f.File.Sync()
}

func (f watchedFile) Allocate(size int64) error {
	defer f.p.end(f.p.begin())
	return f.File.Allocate(size)
}
