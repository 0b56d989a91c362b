package spread

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/internal/vfs"
)

// Options say where a segment's devices are. Zero fields get the defaults.
type Options struct {
	FS    vfs.FS // of Dir; the machine's by default
	Dir   string // where the list of devices is kept, and the indexes of those that were added
	First string // folder of the device that the segment began with
	// Held says that the segment holds data: then First is not made. It must be there where there is no list, and is looked for where there is one.
	Held  bool
	Owner pack.Owner // the segment
	// Each is how every device is opened, but for its folder and its identity.
	Each pack.Options
	// Tune may change how one device is opened; for tests, which give each a disk of its own.
	Tune func(*pack.Options)
	// Patience is how long Open waits for devices once one is open, and how long a device that is not there waits to be looked for again; 10 s.
	Patience time.Duration
	// Rate bounds what a drain moves, in bytes a second; 100 MiB. Less than 0: nothing does.
	Rate int64
	// Unread is how many chunks a disk may fail to give before nothing on it counts as held; 4096.
	Unread int
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	if o.Rate == 0 {
		o.Rate = 100 << 20
	}
	if o.Unread == 0 {
		o.Unread = 4096
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Tune == nil {
		o.Tune = func(*pack.Options) {}
	}
	return o
}

var (
	// ErrNoDevice says that the segment has no device of that name.
	ErrNoDevice = errors.New("no such device")
	// ErrHolds says that a device may hold what no other one does.
	ErrHolds = errors.New("the device is not empty")
	// ErrLast says that no other device would be left to write to.
	ErrLast = errors.New("it is the only device that takes writes")
	// ErrTaken says that a folder cannot be made a device.
	ErrTaken = errors.New("the folder cannot be added")
)

// Store is the devices of a segment as one place. It is safe for concurrent use.
//
// A device that fails, stalls, is not there or is still being opened keeps the others from nothing. What it alone holds is chunk.ErrUnavailable to
// Get, and missing to Missing and Put, so that nobody relies on it: what is put again is written to another device.
type Store struct {
	opts Options
	log  *slog.Logger

	ctx     context.Context // ends with the store
	stop    context.CancelFunc
	begun   chan struct{} // closed when Open is done
	changes sync.Mutex    // held to change the list

	members atomic.Pointer[[]*member] // in the list's order; the slice never changes
	listed  bool                      // there is a file; under changes
}

// Open opens the devices of the list, at the same time, or where there is none the first device alone. It returns as soon as all are open or, once one is, when Patience has
// passed; the others then follow. It fails when no device can be opened.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	entries, err := readList(opts.FS, opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("open devices: %s: %w", path.Join(opts.Dir, listFile), err)
	}
	s := &Store{opts: opts, log: opts.Logger, listed: entries != nil, begun: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if entries == nil {
		entries = []entry{{use: serving}}
	}
	members := make([]*member, len(entries))
	for i, e := range entries {
		members[i] = newMember(s, e)
	}
	s.members.Store(&members)
	if err := s.openAll(ctx, members); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.sweepIndexes()
	close(s.begun)
	return s, nil
}

// openAll has all members opened, and waits as Open says.
func (s *Store) openAll(ctx context.Context, members []*member) error {
	opened := make(chan *member, len(members))
	for _, m := range members {
		go m.open(opened) // Close waits for it
	}
	var patience <-chan time.Time
	var failed error
	open := 0
	for range members {
		select {
		case m := <-opened:
			if d, err := m.state(); d != nil {
				open++
			} else {
				failed = errors.Join(failed, err)
			}
			if open > 0 && patience == nil {
				patience = time.After(s.opts.Patience)
			}
		case <-patience:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if open == 0 {
		return failed
	}
	return nil
}

// folder is where a listed device lies.
func (s *Store) folder(e entry) string {
	if e.path == "" {
		return s.opts.First
	}
	return e.path
}

const indexesDir = "indexes"

// deviceOptions are those of a device. The index of the first stays with it: where the first one is, metadata is.
func (s *Store) deviceOptions(e entry) pack.Options {
	o := s.opts.Each
	o.Dir, o.ID, o.Owner = s.folder(e), e.id, s.opts.Owner
	if o.Logger == nil {
		o.Logger = s.log
	}
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if e.path != "" {
		o.IndexDir = path.Join(s.opts.Dir, indexesDir)
	}
	s.opts.Tune(&o)
	return o
}

// sweepIndexes removes the indexes of devices that are not of the list any more: they can be made again.
func (s *Store) sweepIndexes() {
	names, err := s.opts.FS.ReadDir(path.Join(s.opts.Dir, indexesDir))
	if err != nil {
		return // there are none
	}
	for _, name := range names {
		if slices.ContainsFunc(*s.members.Load(), func(m *member) bool { return m.id().String() == name }) {
			continue
		}
		if err := s.opts.FS.RemoveAll(path.Join(s.opts.Dir, indexesDir, name)); err != nil {
			s.log.Warn("the index of a device that was removed is left", "device", name, "err", err)
		}
	}
}

// Close ends drains and closes the devices, at the same time. It returns the errors that ended writing.
func (s *Store) Close() error {
	s.changes.Lock() // what is changing the list is done with it
	s.stop()
	s.changes.Unlock()
	members := *s.members.Load()
	errs := make([]error, len(members))
	var closing sync.WaitGroup
	for i, m := range members {
		closing.Go(func() { errs[i] = m.close() })
	}
	closing.Wait()
	return errors.Join(errs...)
}

// Err is why nothing can be written, or nil when a device takes writes.
func (s *Store) Err() error {
	var all error
	for _, m := range *s.members.Load() {
		d, err := m.writable()
		if d != nil {
			return nil
		}
		all = errors.Join(all, fmt.Errorf("device %s: %w", m.folder, err))
	}
	return all
}

// Open is [chunk.Opener].
func (s *Store) Open(domain chunk.Domain, class chunk.Class) chunk.Store {
	return &view{s: s, domain: domain, tag: pack.TagOf(domain), class: class}
}
