package crash

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/pack"
	"github.com/edgefs/edgefs/chunk/spread"
	"github.com/edgefs/edgefs/chunk/stage"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/segment"
)

// disk is all that survives a process.
type disk struct {
	fs *vfs.Crash

	mu      sync.Mutex // for indexes
	indexes map[string]*pack.MemoryIndex

	collected int64 // chunks that collections took away
}

func newDisk() *disk { return &disk{fs: vfs.NewCrash(), indexes: map[string]*pack.MemoryIndex{}} }

// index is that of the device in a folder.
func (d *disk) index(dir string) *pack.MemoryIndex {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.indexes[dir] == nil {
		d.indexes[dir] = pack.NewMemoryIndex()
	}
	return d.indexes[dir]
}

// powerCut is what is found after one; the index of a device is a file of its own to it, and sometimes all of it is lost. It leaves d as it is.
func (d *disk) powerCut(rng *rand.Rand) *disk {
	after := newDisk()
	after.fs = d.fs.Crash(rng)
	for _, dir := range slices.Sorted(maps.Keys(d.indexes)) {
		if rng.IntN(5) > 0 {
			after.indexes[dir] = d.indexes[dir].Crash(rng)
		}
	}
	return after
}

// isCut is vfs.ErrCut once the power is.
func (d *disk) isCut() error {
	if _, err := d.fs.Stat("/"); errors.Is(err, vfs.ErrCut) {
		return err
	}
	return nil
}

// clock is the same at every run of the script: what is written carries the same stamps.
type clock struct {
	mu   sync.Mutex
	step int
	used int // random blocks given out in the step
}

var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func (c *clock) at(step int) { c.mu.Lock(); defer c.mu.Unlock(); c.step, c.used = step, 0 }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return start.Add(time.Duration(c.step) * time.Second)
}

// Read makes ids that depend on the step alone.
func (c *clock) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for done := 0; done < len(p); c.used++ {
		block := sha256.Sum256(binary.AppendVarint(binary.AppendVarint(nil, int64(c.step)), int64(c.used)))
		done += copy(p[done:], block[:])
	}
	return len(p), nil
}

// site is a segment on a disk, with limits so small that folds, moves of payload to packs, checkpoints and cuts of the log happen all the time.
type site struct {
	*segment.Segment
	disk    *disk
	clock   *clock
	peer    *peer
	devices *spread.Store
	chunks  *stage.Stage
	closed  bool
}

var secret = [32]byte{7}

const firstDevice = "/site/device"

var owner = pack.Owner{1}

func openSite(d *disk, c *clock, p *peer) (*site, error) {
	ctx := context.Background()
	s := &site{disk: d, clock: c, peer: p}
	var err error
	if s.devices, err = openDevices(ctx, d); err != nil {
		return nil, err
	}
	s.chunks = stage.New(s.devices)
	s.Segment, err = segment.Open(ctx, segment.Config{
		FS: d.fs, Dir: "/site/segment", ID: 1, Name: "site", Secret: secret, Chunks: s.chunks, Sweeper: s.devices, Read: s.lazy, Clock: c.now, Rand: c,
		LogFileSize: 32 << 10, LogKeep: 16 << 10, NodeCache: 1 << 20, OverlayBytes: 40 << 10, StageBytes: 24 << 10, CheckpointAt: 48 << 10, BufferBytes: 4 << 20,
	})
	if err != nil {
		return nil, errors.Join(err, s.devices.Close())
	}
	return s, nil
}

// openDevices waits until all are there: what a client asks for then is.
func openDevices(ctx context.Context, d *disk) (*spread.Store, error) {
	if err := d.fs.MkdirAll("/site"); err != nil {
		return nil, err
	}
	s, err := spread.Open(ctx, spread.Options{
		FS: d.fs, Dir: "/site", First: firstDevice, Owner: owner, Rate: -1, Patience: 20 * time.Millisecond,
		Each: pack.Options{PackSize: 64 << 10, Reserve: 1, Recent: 64},
		Tune: func(o *pack.Options) { o.FS, o.Index = d.fs, d.index(o.Dir) },
	})
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for slices.ContainsFunc(s.Devices(), func(st spread.Status) bool { return st.State == spread.Missing || st.State == spread.Opening }) {
		if err := d.isCut(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		<-tick.C
	}
	return s, nil
}

// close ends as the daemon does.
func (s *site) close() error {
	s.closed = true
	ctx := context.Background()
	return errors.Join(s.Segment.Close(ctx), s.chunks.Settle(ctx), s.devices.Close())
}

// lazy reads payload here, else at the peer; it keeps what it got from there.
func (s *site) lazy(d chunk.Domain, _ segment.Reading) chunk.Store {
	return lazy{s.chunks.Open(d, chunk.Data), s.chunks.Open(d, chunk.Cache), s.peer.chunks.Open(d, chunk.Data)}
}

type lazy struct{ durable, cache, remote chunk.Store }

// Get reads what is here. The rest, and cached copies that were damaged, it fetches.
func (l lazy) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	missing, err := l.cache.Missing(ctx, ids)
	if err != nil {
		return err
	}
	held := without(ids, missing)
	got := map[chunk.ID]bool{}
	if len(held) > 0 {
		err = l.cache.Get(ctx, held, func(c chunk.Chunk) error { got[c.ID()] = true; return yield(c) })
	}
	if errors.Is(err, chunk.ErrCorrupt) {
		damaged := slices.DeleteFunc(slices.Clone(held), func(id chunk.ID) bool { return got[id] })
		cached, missErr := l.durable.Missing(ctx, damaged)
		if len(cached) == len(damaged) {
			missing, err = append(missing, damaged...), missErr
		}
	}
	if err != nil {
		return err
	}
	return l.fetch(ctx, missing, yield)
}

func (l lazy) fetch(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	var got []chunk.Chunk
	if err := l.remote.Get(ctx, ids, func(c chunk.Chunk) error { got = append(got, c.Clone()); return nil }); err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	_ = l.cache.Put(ctx, got) // a full disk keeps nobody from reading
	for _, c := range got {
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

func (l lazy) Put(ctx context.Context, chunks []chunk.Chunk) error { return l.durable.Put(ctx, chunks) }

func (l lazy) Missing(ctx context.Context, ids []chunk.ID) ([]chunk.ID, error) {
	return l.durable.Missing(ctx, ids)
}

func without(ids, missing []chunk.ID) (held []chunk.ID) {
	gone := map[chunk.ID]bool{}
	for _, id := range missing {
		gone[id] = true
	}
	for _, id := range ids {
		if !gone[id] {
			held = append(held, id)
		}
	}
	return held
}
