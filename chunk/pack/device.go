package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/idset"
	"github.com/edgefs/edgefs/internal/vfs"
)

// Options say where a device is and how it behaves. Zero fields get the defaults.
type Options struct {
	FS       vfs.FS // the machine's by default
	Dir      string // the device's own folder, made when missing
	PackSize int64  // in bytes; 128 MiB
	Index    Index  // Badger in a folder of Dir by default; the device closes it
	// Reserve is what is left free of the file system, in bytes, for the index and for others; 64 MiB.
	Reserve int64
	Logger  *slog.Logger

	// ID is the device that the folder must hold: where it does not, Open fails with [ErrAbsent] and makes nothing. Zero: any, or a new one.
	ID ID
	// Owner is whose the device must be, unless it is nobody's, and whose a new one is.
	Owner Owner
	// IndexDir is the folder for the index in Badger, one of the device's name in it, on another disk than Dir's where one exists: Badger reads through memory maps, and
	// an error of the disk below them kills the process, as a disk that hangs stops it. Empty: a folder of Dir. An index in Dir is else removed.
	IndexDir string
	// Recent is for how many chunks that were read it is remembered where they lie, at 72 bytes each; 65,536.
	Recent int
	// Stall is how long the disk may take for an operation before the device counts as stalled; 30 s.
	Stall time.Duration
	// Opening is told, while the device is opened, how many of its packs were looked at, of how many; it may be nil.
	Opening func(packs, of int)
}

var (
	// ErrClosed says that the device was closed.
	ErrClosed = errors.New("device closed")
	// ErrFailed says that an error of the disk ended writing; what is there can be read. It comes with chunk.ErrUnavailable.
	ErrFailed = errors.New("device failed: nothing more is written to it")
)

// Device is an open device. It is safe for concurrent use.
type Device struct {
	opts    Options
	id      deviceID
	log     *slog.Logger
	index   Index
	front   *front // the index, from the outside in, once the device is open
	behind  *behind
	doubted *doubted
	lock    io.Closer
	buffers buffers
	forms   forms
	flights flights
	lanes   map[lane]*writer
	sealing chan *pack     // from the lanes to the one who seals
	users   sync.WaitGroup // calls of the views' methods
	writing sync.WaitGroup
	sealer  sync.WaitGroup
	pulse   *pulse
	pulsing sync.WaitGroup
	closing chan struct{} // closed by Close
	ending  chan struct{} // closed when Close begins
	learnt  chan struct{} // closed when the front has learnt the index, or will not
	unlearn func()        // ends that

	mu      sync.Mutex
	packs   map[uint64]*pack
	last    uint64   // highest generation ever used
	spares  []string // files to be recycled
	stats   Stats
	err     error // ended writing
	closed  bool
	handles handles
	pass    pass             // of the scrub, as it is noted
	lost    map[Key]lostCopy // durable chunks that were found damaged

	indexing sync.Mutex // held to change an entry that depends on what it was

	sweeping  sync.Mutex                // held by the cycle of collection that there is
	condemned atomic.Pointer[idset.Set] // by it; nil for nothing

	scrubbing sync.Mutex                    // held by the scrub that there is
	bad       atomic.Pointer[map[Key]Entry] // that the disk did not give to a scrub; nil for none
}

// Stats are the figures of a device.
type Stats struct {
	Chunks  map[chunk.Class]Count
	Packs   int
	Corrupt int64 // copies found damaged since the device was opened
	Failed  bool  // nothing more is written
	Stalled bool  // the disk does not answer at present
}

// Count is a number of chunks, and of bytes.
type Count struct {
	Chunks int64
	Bytes  int64 // as they are stored
	Plain  int64 // as they are read
	Space  int64 // that they take of packs, with the headers and the padding of their records
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.PackSize == 0 {
		o.PackSize = 128 << 20
	}
	o.PackSize = max(vfs.AlignUp(o.PackSize), 16*vfs.Align)
	if o.Reserve == 0 {
		o.Reserve = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Recent == 0 {
		o.Recent = recentPlaces
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
	if o.Opening == nil {
		o.Opening = func(int, int) {}
	}
	return o
}

// Open opens the device in opts.Dir, or makes it where the folder is empty or missing. It recovers what a crash left, and what is lost of the
// index. A folder with something else gives [ErrForeign], one that is open already, in this process or another, vfs.ErrLocked.
func Open(ctx context.Context, opts Options) (*Device, error) {
	opts = opts.withDefaults()
	d, err := openDevice(ctx, opts)
	if errors.Is(err, errIndexDamaged) { // once more, with an index that is made again
		d, err = openDevice(ctx, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("open device %s: %w", opts.Dir, err)
	}
	d.start()
	return d, nil
}

func openDevice(ctx context.Context, opts Options) (*Device, error) {
	d := &Device{
		opts:    opts,
		log:     opts.Logger,
		packs:   map[uint64]*pack{},
		sealing: make(chan *pack, 2),
		closing: make(chan struct{}),
		ending:  make(chan struct{}),
		pulse:   newPulse(opts),
		stats:   Stats{Chunks: map[chunk.Class]Count{}},
	}
	d.opts.FS = watched{opts.FS, d.pulse}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.release())
	}
	return d, nil
}

func (d *Device) open(ctx context.Context) error {
	if err := d.claim(); err != nil {
		return err
	}
	if err := d.openIndex(); err != nil {
		return err
	}
	return d.recover(ctx)
}

func (d *Device) openIndex() (err error) {
	d.index = d.opts.Index
	if d.index == nil {
		if _, err := os.Stat(d.opts.Dir); err != nil {
			return fmt.Errorf("an index is needed on a file system that is not the machine's: %w", err)
		}
		if err := os.MkdirAll(d.indexDir(), 0o700); err != nil {
			return fmt.Errorf("index: %w", err)
		}
		if err := d.indexHasRoom(); err != nil {
			return err
		}
		d.index, err = OpenBadger(d.indexDir(), d.log)
		if err == nil && d.opts.IndexDir != "" {
			err = d.opts.FS.RemoveAll(path.Join(d.opts.Dir, indexDir)) // of what is kept elsewhere nothing may be taken up again
		}
	}
	return err
}

func (d *Device) indexDir() string {
	if d.opts.IndexDir != "" {
		return path.Join(d.opts.IndexDir, d.id.String())
	}
	return path.Join(d.opts.Dir, indexDir)
}

// layer puts memory before the index, of about that many chunks.
func (d *Device) layer(chunks int64) {
	d.doubted = &doubted{Index: d.index}
	d.behind = newBehind(d.doubted, d.indexHasRoom)
	d.front = newFront(d.behind, chunks, d.opts.Recent)
	d.index = d.front
}

func (d *Device) start() {
	ctx, cancel := context.WithCancel(context.Background())
	begun, learnt := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(learnt)
		d.goThrough(ctx, func() { close(begun) })
	}()
	d.learnt, d.unlearn = learnt, func() { cancel(); <-learnt }
	<-begun
	for _, w := range d.lanes {
		d.writing.Go(w.commitAll)
	}
	d.sealer.Go(d.sealAll)
	d.pulsing.Go(func() { d.pulse.watch(d.closing) })
}

// Open is [chunk.Opener].
func (d *Device) Open(domain chunk.Domain, class chunk.Class) chunk.Store {
	return view{d, domain, TagOf(domain), class}
}

// OpenTagged is Open for who has the domain's tag at hand.
func (d *Device) OpenTagged(domain chunk.Domain, tag Tag, class chunk.Class) chunk.Store {
	return view{d, domain, tag, class}
}

// Stats is cheap to ask for.
func (d *Device) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Chunks = make(map[chunk.Class]Count, len(d.stats.Chunks))
	for class, n := range d.stats.Chunks {
		s.Chunks[class] = n
	}
	s.Packs, s.Failed, s.Stalled = len(d.packs), d.err != nil, d.Stalled()
	return s
}

// Err is the error that ended writing, or nil.
func (d *Device) Err() error { d.mu.Lock(); defer d.mu.Unlock(); return d.err }

// Close writes what is underway and closes the device. It returns the error that ended writing, if any. Of a disk that stalls it does not wait for
// the answer: it fails with [ErrStalled], and what the device holds of the machine stays with it until the disk answers or the process ends.
func (d *Device) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	close(d.ending)
	d.mu.Unlock()
	done := make(chan error, 1)
	go func() { done <- d.end() }()
	var err error
	select {
	case err = <-done:
	case <-d.pulse.gone():
		err = errStalled()
	}
	close(d.closing)
	d.pulsing.Wait()
	return err
}

// end is what Close waits for.
func (d *Device) end() error {
	for _, w := range d.lanes {
		w.close()
	}
	d.writing.Wait()
	close(d.sealing)
	d.sealer.Wait()
	d.users.Wait()
	d.unlearn()
	d.strikeLast()
	err := d.Err()
	if err == nil && d.doubted.doubt.Load() == nil { // else it is gone through the next time
		err = d.noteClean()
	}
	return errors.Join(err, d.release())
}

// release gives back what the device holds of the machine.
func (d *Device) release() error {
	d.handles.close()
	var err error
	for _, p := range d.packs {
		err = errors.Join(err, p.closeWrite())
	}
	if d.index != nil {
		err = errors.Join(err, d.closeIndex())
	}
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}

// closeIndex leaves the index open to the end of the process rather than let it write to a full disk.
func (d *Device) closeIndex() error {
	if err := d.indexHasRoom(); err != nil {
		d.log.Warn("no space to close the index", "dir", d.opts.Dir, "err", err)
		if d.behind != nil {
			d.behind.abandon()
		}
		return nil
	}
	return d.index.Close()
}

// fail ends writing: after a failed sync nobody knows what is on the disk, so nothing more is promised.
func (d *Device) fail(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = fmt.Errorf("%w: %w: %w", chunk.ErrUnavailable, ErrFailed, err)
		d.log.Error("device failed", "dir", d.opts.Dir, "err", err)
	}
	return d.err
}

// usable says why the device cannot be written to.
func (d *Device) usable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return ErrClosed
	case d.err == nil && d.Stalled():
		return errStalled()
	}
	return d.err
}

// count changes the figures by an entry that comes and one that goes; either may be the zero Entry.
func (d *Device) count(comes, goes Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.add(comes, 1)
	d.stats.add(goes, -1)
}

func (s *Stats) add(e Entry, n int64) {
	if e.Class == 0 {
		return
	}
	s.Chunks[e.Class] = s.Chunks[e.Class].with(e, n)
}

// with counts n chunks more, stored as an entry says.
func (c Count) with(e Entry, n int64) Count {
	return c.plus(Count{1, int64(e.Length), int64(e.Size), recordSpace(int(e.Length))}, n)
}

// plus adds n times o.
func (c Count) plus(o Count, n int64) Count {
	return Count{c.Chunks + n*o.Chunks, c.Bytes + n*o.Bytes, c.Plain + n*o.Plain, c.Space + n*o.Space}
}
