package spread

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
)

// member is a device of the list, there or not.
type member struct {
	s      *Store
	folder string

	opened, packs atomic.Int64  // packs looked at, of how many, while it is being opened
	room          atomic.Int64  // as last asked for
	roomAsked     atomic.Int64  // when, in nanoseconds since 1970
	ended         chan struct{} // closed when nobody opens it any more

	ctx  context.Context // ends with the store, or when the device is removed
	stop context.CancelFunc

	mu      sync.Mutex
	entry   entry // its use changes
	device  *pack.Device
	why     error                 // of no device
	writing int                   // calls of write
	quiet   chan struct{}         // closed when there are none; nil while nobody waits for that
	unread  map[pack.Key]struct{} // that the disk did not give
	ill     bool                  // of these were too many
	drain   *drain                // nil: none was begun

	unscrubbed error // why the last scrub of it ended early
}

var errOpening = fmt.Errorf("%w: the device is being opened", chunk.ErrUnavailable)

func newMember(s *Store, e entry) *member {
	m := &member{s: s, folder: s.folder(e), entry: e, why: errOpening, ended: make(chan struct{})}
	m.ctx, m.stop = context.WithCancel(s.ctx)
	return m
}

// open opens the device, tells first how the first try ended, and goes on until it is open or the store ends: disks come late, and come back.
func (m *member) open(first chan<- *member) {
	defer close(m.ended)
	for try := 0; ; try++ {
		err := m.tryOpen()
		if try == 0 {
			first <- m
		}
		if err == nil || m.ctx.Err() != nil {
			return
		}
		if try == 0 {
			m.s.log.Error("a device cannot be opened; what it alone holds is not available", "dir", m.folder, "device", m.id(), "err", err)
		}
		if m.id() == (pack.ID{}) {
			return // a segment without its only device does not start
		}
		select {
		case <-time.After(m.s.opts.Patience):
		case <-m.ctx.Done():
			return
		}
	}
}

func (m *member) tryOpen() error {
	m.mu.Lock()
	o := m.s.deviceOptions(m.entry)
	m.mu.Unlock()
	if o.ID == (pack.ID{}) {
		// The only device of a segment says whose it is when there is a second one: until then older builds may have it.
		found, err := pack.Look(o.FS, o.Dir)
		if m.s.opts.Held && errors.Is(err, pack.ErrAbsent) {
			return m.absent(err)
		}
		if found.Owner == (pack.Owner{}) {
			o.Owner = pack.Owner{}
		}
	}
	o.Opening = m.opening()
	d, err := pack.Open(m.ctx, o)
	if err != nil {
		return m.absent(err)
	}
	m.enter(d)
	return nil
}

// tellEvery is how often the log says how far a device is that takes long to open.
const tellEvery = 5 * time.Second

// opening notes how far the device is opened, and has the log say so: until the segment serves, nobody else does.
func (m *member) opening() func(packs, of int) {
	told := time.Now()
	return func(packs, of int) {
		m.opened.Store(int64(packs))
		m.packs.Store(int64(of))
		if time.Since(told) >= tellEvery {
			told = time.Now()
			m.s.log.Info("the packs of a device are being looked at", "dir", m.folder, "packs", packs, "of", of)
		}
	}
}

func (m *member) absent(why error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.why = fmt.Errorf("%w: %w", chunk.ErrUnavailable, why)
	return why
}

// enter makes a device that is open part of the store.
func (m *member) enter(d *pack.Device) {
	m.askRoom(d)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.device, m.why = d, nil
	if m.entry.id == (pack.ID{}) {
		m.entry.id = d.ID()
	}
	if m.entry.use == draining {
		m.startDrain()
	}
}

func (m *member) id() pack.ID { m.mu.Lock(); defer m.mu.Unlock(); return m.entry.id }

// state is the device, or why there is none.
func (m *member) state() (*pack.Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.device, m.why
}

// readable is the device if it can be asked, or why not.
func (m *member) readable() (*pack.Device, error) {
	d, err := m.state()
	if d != nil && d.Stalled() {
		return nil, fmt.Errorf("%w: %w", chunk.ErrUnavailable, pack.ErrStalled)
	}
	return d, err
}

var errIll = errors.New("too much of the device cannot be read")

// sound is the device if what it holds can be relied on, or why not.
func (m *member) sound() (*pack.Device, error) {
	d, err := m.readable()
	if d == nil {
		return nil, err
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ill {
		return nil, errIll
	}
	return d, nil
}

var errDraining = errors.New("the device is being drained")

// writable is the device if new chunks may be put there, or why not.
func (m *member) writable() (*pack.Device, error) {
	d, err := m.sound()
	if d == nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entry.use != serving {
		return nil, errDraining
	}
	return d, nil
}

// write does what puts chunks on the device, unless it takes none any more. Who begins to drain it waits until do has returned.
func (m *member) write(do func(*pack.Device) error) error {
	m.mu.Lock()
	if m.entry.use != serving || m.device == nil {
		m.mu.Unlock()
		return errDraining
	}
	d := m.device
	m.writing++
	m.mu.Unlock()
	defer m.wrote()
	return do(d)
}

func (m *member) wrote() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.writing--; m.writing == 0 && m.quiet != nil {
		close(m.quiet)
		m.quiet = nil
	}
}

// roomAge is how old the word of a device's room may be.
const roomAge = time.Second

// candidate is the device as order wants it. One of those who write asks the disk, now and then.
func (m *member) candidate(d *pack.Device) candidate {
	now, asked := time.Now().UnixNano(), m.roomAsked.Load()
	if now-asked > int64(roomAge) && m.roomAsked.CompareAndSwap(asked, now) {
		m.askRoom(d)
	}
	return candidate{d.ID(), m.room.Load()}
}

func (m *member) askRoom(d *pack.Device) {
	room, err := d.Room()
	if err != nil {
		room = 0 // it is still asked, after the others
	}
	m.room.Store(room)
	m.roomAsked.Store(time.Now().UnixNano())
}

// noteUnread notes chunks that the device should have, and did not give.
func (m *member) noteUnread(keys []pack.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unread == nil {
		m.unread = map[pack.Key]struct{}{}
	}
	for _, k := range keys {
		m.unread[k] = struct{}{}
	}
	if len(m.unread) > m.s.opts.Unread && !m.ill {
		m.ill, m.unread = true, nil
		m.s.log.Error("too much of a device cannot be read: nothing on it counts as held any more", "dir", m.folder)
	}
}

// isUnread says whether one of the chunks is known not to be readable.
func (m *member) isUnread(tag pack.Tag, id chunk.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, unread := m.unread[pack.Key{Tag: tag, ID: id}]
	return unread
}

func (m *member) hasUnread() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.unread) > 0 }

// close ends what goes on with the device, and closes it. Of one that is still being opened it waits until that is over, unless the disk stalls.
func (m *member) close() error {
	m.stop()
	m.endDrain()
	select {
	case <-m.ended:
	case <-m.late():
		m.s.log.Error("a device that is still being opened is left behind", "dir", m.folder)
		return nil
	}
	d, _ := m.state()
	if d == nil {
		return nil
	}
	return d.Close()
}

func (m *member) late() <-chan time.Time {
	limit := m.s.opts.Each.Stall
	if limit == 0 {
		limit = 30 * time.Second
	}
	return time.After(limit)
}

// await waits until nothing that began before writes to the device, which takes no writes any more, or ctx ends.
func (m *member) await(ctx context.Context) error {
	m.mu.Lock()
	if m.writing == 0 {
		m.mu.Unlock()
		return nil
	}
	if m.quiet == nil {
		m.quiet = make(chan struct{})
	}
	quiet := m.quiet
	m.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
