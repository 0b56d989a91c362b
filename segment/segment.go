package segment

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/internal/journal"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/segment/tree"
	"github.com/zeebo/blake3"
)

// Config is what a segment is made of. Zero limits stand for the defaults.
type Config struct {
	FS     vfs.FS // default: the operating system's
	Dir    string // holds the log and the state; chunks are the store's
	ID     ID
	Name   string
	Secret [32]byte // the federation's: the keys of dedup domains derive from it

	// Restored says that Dir was brought back from a backup: writes may have been acknowledged and sent to peers that it does not know
	// of. The segment then begins a new life, so that no name is given to two writes.
	Restored bool

	// Chunks are the durable chunks of this segment; the segment holds small payload in the stage while only its log has it.
	Chunks Chunks
	// Sweeper removes chunks from where Chunks keeps them, for [Segment.Collect]. Default: nothing is ever removed.
	Sweeper chunk.Sweeper
	// Census tells what there is on the devices where Chunks keeps chunks, for [Segment.CountSpace]. Default: nobody knows.
	Census chunk.Census
	// CollectEvery is how often chunks that nothing reaches are collected, where something was written meanwhile. Default: only when asked to.
	CollectEvery time.Duration
	// CollectRate bounds what that copies to give room back, in bytes a second. Default: nothing does.
	CollectRate int64
	// Usage tells the bytes of durable chunks, and whether a device is almost full: chunks are then collected sooner. Default: nothing is known of that.
	Usage func() (stored int64, scarce bool)

	// Scrubber reads the chunks that are here, and finds what is damaged. Default: nobody does.
	Scrubber chunk.Scrubber
	// ScrubEvery is how often each device is scrubbed. Default: only when asked to.
	ScrubEvery time.Duration
	// ScrubRate bounds what that reads of a device, in bytes a second. Default: nothing does.
	ScrubRate int64
	// Repair gets chunks that were durable here, and are lost, from elsewhere, on behalf of a version, and keeps them durably. Default: what is lost is lost.
	Repair func(context.Context, chunk.Domain, Reading, []chunk.ID) error

	// Read opens the store that payload is read from on behalf of a version. Default: what is here.
	Read func(chunk.Domain, Reading) chunk.Store
	// Copied waits until another segment holds a write durably, the record and its payload: see [Copies]. It bounds its waiting. Default: none does.
	Copied func(context.Context, Ref) error
	// Mend gets chunks of a linked bucket's trees that are lost or damaged here from elsewhere, and puts them back: see [tree.Mender]. Default:
	// what is lost is lost. It is never called by who serves a peer's Mend, nor while entries of the log are applied.
	Mend func(ctx context.Context, d chunk.Domain, l Lost, yield func(chunk.Chunk) error) error

	// Forward hands a write to the home of a bucket under the policy Home. Default: such writes are ErrNotHome.
	Forward ForwardFunc
	// ForwardPatience is how long a write waits for a home that does not answer, before its outcome is given up as unknown. Default:
	// [DefaultForwardPatience].
	ForwardPatience time.Duration

	Clock  func() time.Time // default: time.Now
	Rand   io.Reader        // of ids; one at a time reads it; default: crypto/rand
	Logger *slog.Logger

	LogFileSize  int64 // default 64 MiB
	LogKeep      int64 // log records kept for links beyond what a restart needs, default 4 files
	NodeCache    int64 // bytes of decoded tree nodes, default 48 MiB
	OverlayBytes int64 // memory of records not folded, of all buckets, default 192 MiB; a fold begins at five eighths of it
	RenameBytes  int64 // memory, beside it, of renames not folded, default 256 MiB; one that would take more than half of it is made in parts, in the trees
	StageBytes   int64 // payload kept in memory while only the log has it, default 16 MiB
	CheckpointAt int64 // log bytes after which the state is written and the log cut, default 128 MiB; a fold leaves at most three times as many
	StartWrites  int64 // writes after which the same is done: about what a start applies at the most, default 500000
	BufferBytes  int64 // memory lent to all uploads and downloads beyond the least each needs, default 96 MiB

	// RememberRoots is how often, at the most, what a bucket is is written down, so that it can be read as of then. Default: never.
	RememberRoots time.Duration
	// RememberFor is how long that can be read; what only such states have is not collected. Default: a year. Less than 0: what is remembered is forgotten.
	RememberFor time.Duration

	markMost int // chunks that a mark knows of at the most: for tests

	sealsWait bool // nobody folds a seal but who asks for its root, nor looks at schedules: for tests that must go the same way each time

	alone bool // nothing at all is done in the background, but for what fails: for tests that count operations of the file system

	// LosersEvery is how often the losers that are beyond their bounds are looked for. Default: a minute.
	LosersEvery time.Duration
}

// Chunks is where a segment's chunks are durable. Package chunk/stage has it.
type Chunks interface {
	chunk.Opener
	// Hold makes chunks that the log has made durable readable, and count as held, before they are in a pack. Their bytes are its own from then on.
	Hold(chunk.Domain, []chunk.Chunk)
	// Held is the memory that chunks take which only the log has made durable, in bytes.
	Held() int64
	// Settle puts what was held when it was called where it needs no log.
	Settle(context.Context) error
}

func (c *Config) setDefaults() {
	if c.FS == nil {
		c.FS = vfs.OS{}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		v *int64
		n int64
	}{{&c.LogFileSize, 64 << 20}, {&c.NodeCache, 48 << 20}, {&c.OverlayBytes, 192 << 20}, {&c.RenameBytes, 256 << 20}, {&c.StageBytes, 16 << 20}, {&c.CheckpointAt, 128 << 20}, {&c.StartWrites, 500_000}, {&c.BufferBytes, 96 << 20}} {
		if *d.v == 0 {
			*d.v = d.n
		}
	}
	if c.RememberFor == 0 {
		c.RememberFor = 365 * 24 * time.Hour
	}
	if c.LosersEvery == 0 {
		c.LosersEvery = time.Minute
	}
	if c.ForwardPatience == 0 {
		c.ForwardPatience = DefaultForwardPatience
	}
	if c.LogKeep == 0 {
		c.LogKeep = 4 * c.LogFileSize
	}
}

// Segment is a site. It is safe for concurrent use.
type Segment struct {
	cfg     Config
	log     *journal.Journal
	nodes   *tree.Cache
	clock   clock
	latches latches      // of keys; whoever holds one takes no other, see lockAll
	naming  sync.RWMutex // whoever names writes shares it; a new life excludes them
	outer   latches      // of bucket names and uploads, taken before a key's
	dirs    dirLatches   // of directories, taken before all else
	renames sync.Mutex   // one of a directory at a time, which bounds what they take
	news    news
	names   names
	bufs    *dedup.Buffers
	entries sync.Pool // of *[]byte, see entryBuffer

	forwards forwards

	randomness sync.Mutex // guards cfg.Rand

	federation, local *Bucket // those that every segment has

	mu      sync.RWMutex // guards what follows; taken before a bucket's mu, never after
	buckets map[BucketID]*Bucket
	cursors map[ID]cursorItem
	inboxes map[ID]*inbox
	pos     uint64        // last log position applied
	applied chan struct{} // closed when pos grows

	inc      atomic.Uint32 // this life
	applying sync.Mutex    // held while entries are applied: what is seen under it is the state at one position
	failure  failure
	keeper   keeper
	copying  chan struct{} // one for each write that waits for a second segment
	sealer   sealer
	sparing  sparing
	collects collects
	scrubs   scrubs
	bounding bounding
	frozen   frozenBases
	broke    chan struct{} // a bucket was broken off

	stop  context.CancelFunc
	work  sync.WaitGroup
	watch sync.WaitGroup // outlives work, which may wait for a log that fails
}

// Open starts the segment in cfg.Dir, or makes a new one there. What was acknowledged before a crash is there again when it returns.
func Open(ctx context.Context, cfg Config) (*Segment, error) {
	cfg.setDefaults()
	if cfg.ID == 0 || cfg.Name == "" || cfg.Chunks == nil {
		return nil, fmt.Errorf("open segment: id, name and chunks are needed: %w", ErrInvalidArgument)
	}
	s := newSegment(cfg)
	if err := s.recover(ctx); err != nil {
		return nil, fmt.Errorf("open segment in %s: %w", cfg.Dir, err)
	}
	if err := s.wakeAll(ctx); err != nil {
		return nil, errors.Join(err, s.log.Close())
	}
	bg, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.work.Go(func() { s.housekeeping(bg) })
	s.work.Go(func() { s.reviving(bg) })
	s.work.Go(func() { s.sealing(bg) })
	s.work.Go(func() { s.remembering(bg) })
	s.work.Go(func() { s.scheduling(bg) })
	s.work.Go(func() { s.boundingLosers(bg) })
	s.work.Go(func() { s.collecting(bg) })
	s.work.Go(func() { s.scrubbing(bg) })
	s.watch.Go(s.watchLog)
	if cfg.Restored {
		err := s.newLife(s.inc.Load() + 1)
		if err != nil {
			return nil, errors.Join(err, s.Close(ctx))
		}
	}
	if err := s.introduce(ctx); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

// newSegment is a segment with the buckets that every one has.
func newSegment(cfg Config) *Segment {
	s := &Segment{cfg: cfg, nodes: tree.NewCache(cfg.NodeCache), buckets: map[BucketID]*Bucket{}, cursors: map[ID]cursorItem{}, inboxes: map[ID]*inbox{}, applied: make(chan struct{})}
	s.bufs = dedup.NewBuffers(cfg.BufferBytes)
	s.inc.Store(1)
	s.clock.wall = cfg.Clock
	s.failure.init()
	s.keeper.init()
	s.copying = make(chan struct{}, maxCopying)
	s.sealer.init()
	s.scrubs.init()
	s.forwards.init()
	s.broke = make(chan struct{}, 1)
	s.bounding.crowded = make(chan crowd, crowdedMax)
	s.names.init()
	s.addSystemBuckets()
	return s
}

// recover reads the last state and replays the log behind it.
func (s *Segment) recover(ctx context.Context) error {
	if err := vfs.MakeDir(s.cfg.FS, s.cfg.Dir); err != nil {
		return err
	}
	st, err := s.loadState()
	if err != nil {
		return err
	}
	from, err := s.restore(ctx, st)
	if err != nil {
		return err
	}
	opts := journal.Options{FS: s.cfg.FS, Dir: filepath.Join(s.cfg.Dir, "log"), FileSize: s.cfg.LogFileSize, Committed: s.committed, Logger: s.cfg.Logger, Alone: s.cfg.alone}
	r := replay{s: s, pos: st.pos, done: tally{said: time.Now()}}
	s.log, err = journal.Open(opts, from, func(rec journal.Record) error { return r.take(ctx, rec) })
	if err != nil {
		return err
	}
	if err := r.flush(ctx); err != nil {
		return errors.Join(err, s.log.Close())
	}
	if err := s.cfg.FS.SyncDir(s.cfg.Dir); err != nil {
		return errors.Join(err, s.log.Close())
	}
	if s.log.Last() < st.pos {
		_ = s.log.Close()
		return fmt.Errorf("the log ends at %d, before the state's %d: a part of the log is lost: %w", s.log.Last(), st.pos, ErrDamaged)
	}
	s.stateIn(st.need())
	return nil
}

// ID names the segment for ever.
func (s *Segment) ID() ID { return s.cfg.ID }

// Name is what people call the segment.
func (s *Segment) Name() string { return s.cfg.Name }

// Origin is this life of the segment.
func (s *Segment) Origin() Origin { return Origin{s.cfg.ID, s.inc.Load()} }

// random fills p.
func (s *Segment) random(p []byte) error {
	s.randomness.Lock()
	defer s.randomness.Unlock()
	if _, err := io.ReadFull(s.cfg.Rand, p); err != nil {
		return fmt.Errorf("random bytes: %w", err)
	}
	return nil
}

// Domain is the federation's dedup domain.
func (s *Segment) Domain() chunk.Domain { return s.domainOf("") }

// domainOf derives a dedup domain's key from the federation's secret.
func (s *Segment) domainOf(name string) chunk.Domain { return DomainOf(s.cfg.Secret, name) }

// DomainOf is the dedup domain of that name in the federation of a secret.
func DomainOf(secret [32]byte, name string) chunk.Domain {
	var key [32]byte
	blake3.DeriveKey("EdgeFS 2026-11 dedup domain", append(bytes.Clone(secret[:]), name...), key[:])
	return chunk.NewDomain(key)
}

// pending is an entry on its way through the log: the tag of its journal record.
type pending struct {
	entry *entry
	data  *[]byte       // the entry, encoded: the log's until it is applied
	done  chan struct{} // closed when it is applied
	err   error
}

// commit appends an entry and waits until it is durable and applied.
func (s *Segment) commit(e *entry) error {
	p, err := s.append(e)
	if err != nil {
		return err
	}
	return s.await(p)
}

func (s *Segment) append(e *entry) (*pending, error) {
	if err := s.failure.get(); err != nil {
		return nil, err
	}
	p := &pending{entry: e, data: s.entryBuffer(), done: make(chan struct{})}
	*p.data = e.appendTo(slices.Grow(*p.data, e.about()))
	_, err := s.log.Append(*p.data, p)
	switch {
	case errors.Is(err, journal.ErrFull): // nothing was written: who asked may be told so
		return nil, fmt.Errorf("%w: %w", ErrFull, err)
	case err != nil:
		return nil, fmt.Errorf("log: %w: %w", err, ErrUnavailable)
	}
	return p, nil
}

// entryBuffer is an empty buffer for an entry on its way to the log, which is recycled when the log has let go of it.
func (s *Segment) entryBuffer() *[]byte {
	if b, ok := s.entries.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

func (s *Segment) recycle(b *[]byte) {
	if cap(*b) > 64<<10 { // one large entry must not be kept for good
		return
	}
	*b = (*b)[:0]
	s.entries.Put(b)
}

// await does not heed a context: until the entry is applied or the segment has failed, nobody knows what became of it.
func (s *Segment) await(p *pending) error {
	select {
	case <-p.done:
		return p.err
	case <-s.failure.ch:
	}
	select {
	case <-p.done: // both: it was applied before
		return p.err
	default:
		return s.failure.get()
	}
}

// committed applies durable records, in order; it is the log's goroutine.
func (s *Segment) committed(records []journal.Record) {
	s.applying.Lock()
	defer s.applying.Unlock()
	for _, r := range records {
		if s.failure.get() != nil {
			return
		}
		p, _ := r.Tag.(*pending)
		if err := s.applyEntry(context.Background(), r.Pos, p.entry); err != nil {
			s.fail(fmt.Errorf("log position %d: %w", r.Pos, err))
			return
		}
		for i := range p.entry.writes {
			p.err = errors.Join(p.err, s.bucket(p.entry.writes[i].bucket).Err())
		}
		for i := range p.entry.seals {
			p.err = errors.Join(p.err, s.bucket(p.entry.seals[i].bucket).Err())
		}
		s.keeper.grown(p.entry, int64(len(*p.data)), r.Pos)
		s.recycle(p.data)
		p.data = nil
		close(p.done)
	}
	s.nudge()
}

// applyEntry makes an entry part of the state, live and in replay alike.
func (s *Segment) applyEntry(ctx context.Context, pos uint64, e *entry) error {
	if e.life != 0 {
		s.beginLife(e.life)
	}
	for _, m := range e.merges { // first: one may have the record that comes with it, see [aside.item]
		if err := s.onBucket(m.bucket, pos, func(b *Bucket) error { return b.applyMerge(ctx, pos, m) }); err != nil {
			return err
		}
		s.clock.observe(m.newest)
		if err := s.names.merged(ctx, s, m.bucket); err != nil {
			return err
		}
		s.news.lost(m.bucket)
	}
	for i := range e.writes {
		cost, err := s.applyWrite(ctx, pos, &e.writes[i])
		if err != nil {
			return err
		}
		e.cost += cost
	}
	for _, f := range e.folds {
		if err := s.onBucket(f.bucket, pos, func(b *Bucket) error { return b.applyFold(pos, f) }); err != nil {
			return err
		}
	}
	for i := range e.seals {
		if err := s.applySeal(pos, &e.seals[i]); err != nil {
			return err
		}
	}
	s.mu.Lock()
	for _, c := range e.cursors {
		s.cursors[c.peer] = s.cursors[c.peer].after(c)
	}
	s.pos = max(s.pos, pos)
	close(s.applied)
	s.applied = make(chan struct{})
	s.mu.Unlock()
	return nil
}

// onBucket runs apply under the bucket's lock, unless the bucket's base is of a later position: in a replay.
func (s *Segment) onBucket(id BucketID, pos uint64, apply func(*Bucket) error) error {
	b := s.bucket(id)
	if b == nil {
		return fmt.Errorf("bucket %v is not known: %w", id, ErrDamaged)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if pos <= b.base.at {
		return nil
	}
	if err := apply(b); err != nil {
		return s.contain(b, pos, err)
	}
	return nil
}

// contain keeps what went wrong in one bucket to that bucket. Without the federation's or the segment's own there is no segment. The caller
// holds the bucket's mu.
func (s *Segment) contain(b *Bucket, pos uint64, err error) error {
	err = b.breakOff(pos, err)
	if b.id == FederationBucket || b.id == localBucket {
		return err
	}
	select {
	case s.broke <- struct{}{}:
	default:
	}
	return nil
}

// applyWrite makes a write part of its bucket's state, and returns the memory that it takes there.
func (s *Segment) applyWrite(ctx context.Context, pos uint64, w *write) (cost int64, _ error) {
	b := s.bucket(w.bucket)
	if b == nil {
		return 0, fmt.Errorf("bucket %v is not known: %w", w.bucket, ErrDamaged)
	}
	if len(w.payload) > 0 {
		s.cfg.Chunks.Hold(b.domain, w.chunks(b.domain, b.compression()))
		w.payload, w.made = nil, nil
	}
	s.clock.observe(w.record.HLC)
	b.mu.Lock()
	skip := pos <= b.base.covers || b.broken != nil
	var err error
	cost, moved := -b.cost, -b.renamed
	if !skip {
		if err = b.apply(ctx, pos, w.record, w.hint, w.raw); err != nil {
			err = s.contain(b, pos, err)
		}
	}
	skip = skip || b.broken != nil
	cost, moved = cost+b.cost, moved+b.renamed
	b.mu.Unlock()
	if moved != 0 {
		s.keeper.moved(moved)
	}
	if err != nil || skip {
		return cost, err
	}
	if err := s.names.written(s, w.bucket, w.record); err != nil {
		return cost, err
	}
	s.news.tell(w, w.record.Dot.Segment == s.cfg.ID)
	return cost, nil
}

// beginLife makes all that this segment wrote so far the writes of an earlier life.
func (s *Segment) beginLife(inc uint32) {
	if inc <= s.inc.Load() {
		return
	}
	buckets := s.allBuckets()
	for _, b := range buckets {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.others, b.applied = b.seenLocked().Clone(), 0
	}
	s.inc.Store(inc)
	for _, b := range buckets {
		b.applied = b.others[s.Origin()]
		delete(b.others, s.Origin())
	}
}

func (s *Segment) bucket(id BucketID) *Bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.buckets[id]
}

func (s *Segment) allBuckets() []*Bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*Bucket, 0, len(s.buckets))
	for _, b := range s.buckets {
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b *Bucket) int { return bytes.Compare(a.id[:], b.id[:]) })
	return out
}

// Close folds nothing and waits for nobody: what is durable is enough. It writes the state, so that the next start is quick.
func (s *Segment) Close(ctx context.Context) error {
	s.stop()
	s.work.Wait()
	var err error
	if s.failure.get() == nil {
		err = s.checkpoint(ctx)
	}
	err = errors.Join(err, s.log.Close())
	s.fail(ErrClosed)
	s.watch.Wait()
	return err
}

// failure is why the segment can do nothing more, once.
type failure struct {
	once sync.Once
	ch   chan struct{}
	err  error
}

func (f *failure) init() { f.ch = make(chan struct{}) }

func (f *failure) get() error {
	select {
	case <-f.ch:
		return f.err
	default:
		return nil
	}
}

// fail ends the segment: whoever waits gets ErrUnavailable and the reason.
func (s *Segment) fail(err error) {
	s.failure.once.Do(func() {
		if !errors.Is(err, ErrClosed) {
			s.cfg.Logger.Error("segment stops", "error", err)
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		s.failure.err = err
		close(s.failure.ch)
	})
}

// Failed is closed when the segment can do nothing more; Err says why.
func (s *Segment) Failed() <-chan struct{} { return s.failure.ch }

// Err is why the segment stopped, or nil.
func (s *Segment) Err() error { return s.failure.get() }

func (s *Segment) watchLog() {
	select {
	case <-s.failure.ch:
	case <-s.log.Failed():
		s.fail(s.log.Err())
	}
}
