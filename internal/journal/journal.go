package journal

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/edgefs/edgefs/internal/vfs"
)

// Options say where a journal is and how it behaves. Zero fields get the defaults.
type Options struct {
	FS  vfs.FS // the machine's by default
	Dir string // the journal's own folder, made when missing
	// FileSize is the size of a file, in bytes; 64 MiB. The first files are smaller: each is twice the one before.
	FileSize int64
	// MaxBatch bounds what is written and synced at once, in bytes; 4 MiB. A larger record is a batch of its own. Twice as much is queued.
	MaxBatch int64
	// Committed is called with the records of each batch, in order, by one goroutine, after they are durable, while the next batch is being
	// synced. The slice is valid during the call. It must not call Append, which may wait for it.
	Committed func([]Record)
	Logger    *slog.Logger
	// Alone leaves it all to who commits: files are prepared and retired before a batch, not beside, and nothing is written that nobody appended.
	// It is for tests in which the file system's operations must come in the same order each time. A full disk is an error then.
	Alone bool

	idle  time.Duration // after which the last batch is confirmed by a mark
	retry time.Duration // after which a full disk is tried again
}

// Record is an entry of the journal.
type Record struct {
	Pos  uint64 // counts from 1 without holes
	Data []byte
	Tag  any // what was given to Append, for Committed; it is not stored
}

// Journal is an open journal. Its methods are safe for concurrent use.
type Journal struct {
	opts Options
	id   identity
	life uint64

	log *slog.Logger

	mu       sync.Mutex
	room     sync.Cond // the queue got shorter, or the state changed
	queue    []Record
	queued   int64 // bytes of data in the queue
	reserved int64 // bytes of file that the queue and the running batch may take at most
	next     uint64
	first    uint64
	last     uint64 // committed
	left     int64  // bytes left in the current file
	full     bool   // the disk has no room for another file
	stuck    bool   // the running batch waits for room on the disk
	closing  bool
	err      error
	news     chan struct{} // closed at the next commit; nil when nobody waits
	files    []*file       // in order; the last one takes the batches
	ready    []*file       // the files after those, without a batch
	cut      []*file       // given up, to be retired
	spares   []spare

	recent  recent
	buffers sync.Pool // of *[]byte, for Read

	// Of the goroutine that commits.
	active *file // the last of files
	out    writer
	prev   uint32 // sum of the last batch
	sealed bool   // the last batch is a mark
	idle   *time.Timer

	kick    chan struct{} // the queue is not empty, or the journal closes
	tend    chan struct{} // files are to be prepared or retired
	tended  chan struct{} // files were prepared, or could not be
	batches chan []Record
	free    chan []Record // slices to be used again
	failed  chan struct{}
	closed  chan struct{} // Close was called
	done    chan struct{} // nothing more is committed
	running sync.WaitGroup
}

// spare is a file to be recycled.
type spare struct {
	name string
	size int64
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.FileSize == 0 {
		o.FileSize = 64 << 20
	}
	o.FileSize = max(vfs.AlignUp(o.FileSize), 4*vfs.Align)
	if o.MaxBatch == 0 {
		o.MaxBatch = 4 << 20
	}
	o.MaxBatch = min(o.MaxBatch, o.FileSize/2)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.idle == 0 {
		o.idle = 20 * time.Millisecond
	}
	if o.Alone {
		o.idle = math.MaxInt64
	}
	if o.retry == 0 {
		o.retry = time.Second
	}
	return o
}

// Open opens the journal in opts.Dir, or makes it, and hands its committed records from position from on to replay, in order. The data is valid
// during the call. What a crash left of a batch that was never acknowledged is cut off. Records in between that are missing or damaged are an
// error, [ErrMissing] or [ErrDamaged], as is an error of replay.
func Open(opts Options, from uint64, replay func(Record) error) (*Journal, error) {
	opts = opts.withDefaults()
	j := &Journal{
		opts:    opts,
		log:     opts.Logger,
		kick:    make(chan struct{}, 1),
		tend:    make(chan struct{}, 1),
		tended:  make(chan struct{}, 1),
		batches: make(chan []Record, 1),
		free:    make(chan []Record, 4),
		failed:  make(chan struct{}),
		closed:  make(chan struct{}),
		done:    make(chan struct{}),
	}
	j.room.L = &j.mu
	j.buffers.New = func() any { b := make([]byte, 0, recentRead); return &b }
	j.recent.limit = recentBytes
	if err := j.recover(max(from, 1), replay); err != nil {
		j.closeFiles()
		return nil, fmt.Errorf("open journal %s: %w", opts.Dir, err)
	}
	j.idle = time.NewTimer(j.opts.idle)
	j.running.Go(j.commitAll)
	j.running.Go(j.applyAll)
	if !opts.Alone {
		j.running.Go(j.tendFiles)
		signal(j.tend)
	}
	return j, nil
}

// Append queues a record and returns the position it will have; positions are in the order of calls. It does not wait for the disk unless that
// is behind by more than two batches. data must stay as it is until Committed was called with it, or [Journal.Wait] has returned.
//
// It fails with [ErrClosed], [ErrFull], [ErrTooLarge] or, after an error of the disk, with that.
func (j *Journal) Append(data []byte, tag any) (uint64, error) {
	if len(data) > MaxRecord {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), MaxRecord)
	}
	j.mu.Lock()
	for j.err == nil && !j.closing && !j.lacksRoom(data) && j.queued >= 2*j.opts.MaxBatch {
		j.room.Wait()
	}
	if err := j.refuse(data); err != nil {
		j.mu.Unlock()
		return 0, err
	}
	pos := j.next
	j.next++
	j.queue = append(j.queue, Record{Pos: pos, Data: data, Tag: tag})
	j.queued += int64(len(data)) + frameHeader
	j.reserved += ownBatch(data)
	j.mu.Unlock()
	signal(j.kick)
	return pos, nil
}

// refuse says why data cannot be queued. Called with the lock.
func (j *Journal) refuse(data []byte) error {
	switch {
	case j.err != nil:
		return j.err
	case j.closing:
		return ErrClosed
	case j.lacksRoom(data):
		signal(j.tend)
		return ErrFull
	}
	return nil
}

// lacksRoom says whether data may not fit into what the disk has given so far, and gives no more. Called with the lock.
func (j *Journal) lacksRoom(data []byte) bool {
	return j.stuck || j.full && j.reserved+ownBatch(data) > j.left
}

// ownBatch is what data takes of a file at most: when it is alone in its batch.
func ownBatch(data []byte) int64 { return batchSize(frameHeader + int64(len(data))) }

// First is the position of the oldest record that is still there; one more than Last when there is none.
func (j *Journal) First() uint64 { j.mu.Lock(); defer j.mu.Unlock(); return j.first }

// Last is the position of the newest committed record; 0 before the first.
func (j *Journal) Last() uint64 { j.mu.Lock(); defer j.mu.Unlock(); return j.last }

// Err is the error of the disk that ended the journal, or nil.
func (j *Journal) Err() error { j.mu.Lock(); defer j.mu.Unlock(); return j.err }

// Failed is closed when an error of the disk has ended the journal: what was not committed will not be, and whether the running batch is on the
// disk is known only after it is opened again.
func (j *Journal) Failed() <-chan struct{} { return j.failed }

// Wait returns when the record at pos is committed. It may not be handed to Committed yet.
func (j *Journal) Wait(ctx context.Context, pos uint64) error {
	for {
		j.mu.Lock()
		if j.last >= pos {
			j.mu.Unlock()
			return nil
		}
		if j.news == nil {
			j.news = make(chan struct{})
		}
		news := j.news
		j.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-j.done:
			return j.waitEnded(pos)
		}
	}
}

// waitEnded is Wait when nothing more will be committed.
func (j *Journal) waitEnded(pos uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.last >= pos:
		return nil
	case j.err != nil:
		return j.err
	}
	return ErrClosed
}

// Cut gives up the records before the given position. The space of whole files is used again.
func (j *Journal) Cut(before uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	if j.closing {
		return ErrClosed
	}
	for len(j.files) > 1 && j.files[1].first != 0 && j.files[1].first <= before {
		j.cut = append(j.cut, j.files[0])
		j.files = j.files[1:]
		j.first = j.files[0].first
	}
	if len(j.cut) > 0 {
		signal(j.tend)
	}
	return nil
}

// Close commits what is queued and closes the journal. It returns the error that ended it, if any.
func (j *Journal) Close() error {
	j.mu.Lock()
	if !j.closing {
		j.closing = true
		close(j.closed)
	}
	j.room.Broadcast()
	j.mu.Unlock()
	j.running.Wait()
	j.closeFiles()
	return j.Err()
}

// fail ends the journal.
func (j *Journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return
	}
	j.err = fmt.Errorf("journal %s: %w", j.opts.Dir, err)
	j.log.Error("journal failed", "dir", j.opts.Dir, "err", err)
	close(j.failed)
	j.room.Broadcast()
}

func (j *Journal) closeFiles() {
	for _, f := range slices.Concat(j.files, j.ready, j.cut) {
		if err := f.close(ErrClosed); err != nil {
			j.log.Warn("close of a journal file", "file", f.name, "err", err)
		}
	}
}

// signal wakes the receiver of c, once however often it is called.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
