package isgw_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/identity/identitytest"
	"github.com/edgefs/edgefs/isgw/transport/memnet"
	"github.com/edgefs/edgefs/segment"
)

// chunks is a device in memory as a segment wants it.
type chunks struct{ *memory.Device }

func (c chunks) Hold(d chunk.Domain, cs []chunk.Chunk) {
	_ = c.Open(d, chunk.Data).Put(context.Background(), cs)
}
func (c chunks) Held() int64                  { return 0 }
func (c chunks) Settle(context.Context) error { return nil }

// world is a federation in one process, on a network in memory or, without one, over QUIC on loopback.
type world struct {
	t     testing.TB
	net   *memnet.Network
	sites map[string]*site
	eager int64
}

// site is one segment with its links.
type site struct {
	*segment.Segment
	w        *world
	id       *identity.Identity
	fs       *vfs.Crash
	dir      string
	store    *memory.Device
	lazy     *isgw.Lazy
	copies   *isgw.Copies
	patience time.Duration // of writes that wait for a second segment; 0: ten seconds
	links    *isgw.Links
	skew     atomic.Int64  // of the clock, in nanoseconds
	limit    time.Duration // of lazy reads
	log      int64         // bytes of log that are kept; 0: many
	answered func()        // called when the next answer of a home has come, which is lost then
}

// newWorld starts segments whose links are not made yet.
func newWorld(t testing.TB, net *memnet.Network, names ...string) *world {
	w := &world{t: t, net: net, sites: map[string]*site{}}
	for _, id := range identitytest.Federation(t, names...) {
		w.adopt(id)
	}
	return w
}

// adopt starts a segment of the world.
func (w *world) adopt(id *identity.Identity) *site {
	s := &site{w: w, id: id, fs: vfs.NewCrash(), dir: "/" + id.Name, store: memory.New(), limit: time.Second}
	w.sites[id.Name] = s
	s.start()
	w.t.Cleanup(s.stop)
	return s
}

func inMemory() *memnet.Network { return memnet.New(15 * time.Second) }

func (s *site) start() {
	t := s.w.t
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() && os.Getenv("ISGW_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", s.id.Name)
	}
	clock := func() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }
	s.copies = isgw.NewCopies(cmp.Or(s.patience, 10*time.Second))
	s.lazy = isgw.NewLazy(isgw.LazyConfig{Chunks: s.store, Timeout: s.limit, Logger: log})
	var err error
	s.Segment, err = segment.Open(context.Background(), segment.Config{
		FS: s.fs, Dir: s.dir, ID: s.id.Segment, Name: s.id.Name, Secret: s.id.Secret, Chunks: chunks{s.store},
		Read: s.lazy.Store, Mend: s.lazy.Mend, Forward: s.forward, Copied: s.copies.Await, Clock: clock, Logger: log, LogFileSize: 1 << 20, BufferBytes: 8 << 20,
		LogKeep: s.log, CheckpointAt: s.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := isgw.Config{
		Segment: s.Segment, Identity: s.id, Chunks: s.store, Lazy: s.lazy, Copies: s.copies, FS: s.fs, Dir: s.dir,
		EagerBytes: s.w.eager, Clock: clock, Rand: rand.Reader, Logger: log, Listen: "127.0.0.1:0",
	}
	if s.w.net != nil {
		if c.Net, err = s.w.net.Join(s.id, s.id.Name); err != nil {
			t.Fatal(err)
		}
	}
	if s.links, err = isgw.Open(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

func (s *site) forward(ctx context.Context, home segment.ID, r *segment.Request) (*segment.Answer, error) {
	a, err := s.lazy.Forward(ctx, home, r)
	if f := s.answered; f != nil && err == nil {
		s.answered = nil
		f()
		return nil, errors.New("the answer is lost")
	}
	return a, err
}

func (s *site) stop() {
	if s.links == nil {
		return
	}
	if err := errors.Join(s.links.Close(), s.Close(context.Background())); err != nil {
		s.w.t.Errorf("stop %s: %v", s.id.Name, err)
	}
	s.links = nil
}

func (w *world) at(name string) *site { return w.sites[name] }

// link makes a dial b.
func (w *world) link(a, b string) {
	w.t.Helper()
	to := w.at(b)
	if err := w.at(a).links.Add(isgw.Peer{Segment: to.id.Segment, Name: b, Addresses: to.links.Addresses()}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) cut(a, b string)  { w.net.Cut(w.at(a).id.Segment, w.at(b).id.Segment) }
func (w *world) heal(a, b string) { w.net.Heal(w.at(a).id.Segment, w.at(b).id.Segment) }

// eventually waits until check gives nil. It polls: what it waits for is told in many ways.
func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-limit.C:
			for _, s := range w.sites {
				for _, l := range s.links.Status() {
					w.t.Logf("%s -> %s: %+v", s.id.Name, l.Peer.Name, l)
				}
			}
			w.t.Fatalf("%s: %v", what, err)
		}
	}
}

func (w *world) up(a, b string) {
	w.t.Helper()
	w.eventually(a+" linked with "+b, func() error {
		for _, l := range w.at(a).links.Status() {
			if l.Peer.Name == b && l.State == isgw.Up {
				return nil
			}
		}
		return errors.New("not up")
	})
}

func (s *site) create(name string, settings segment.Settings) *segment.Bucket {
	s.w.t.Helper()
	b, err := s.CreateBucket(s.w.t.Context(), name, segment.BucketOptions{Settings: &settings})
	if err != nil {
		s.w.t.Fatal(err)
	}
	return b
}

func (s *site) bucket(name string) *segment.Bucket {
	s.w.t.Helper()
	var b *segment.Bucket
	s.w.eventually("bucket "+name+" at "+s.id.Name, func() (err error) {
		b, err = s.Bucket(name)
		return err
	})
	return b
}

func (s *site) put(bucket, key, body string) segment.Version {
	s.w.t.Helper()
	v, err := s.bucket(bucket).Put(s.w.t.Context(), key, segment.Attrs{}, segment.Cond{}, strings.NewReader(body))
	if err != nil {
		s.w.t.Fatal(err)
	}
	return v
}

// read reads the whole object.
func (s *site) read(bucket, key string) (string, error) {
	b, err := s.Bucket(bucket)
	if err != nil {
		return "", err
	}
	o, err := b.Open(s.w.t.Context(), key, segment.VersionRef{})
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	v := o.Version()
	_, err = o.ReadRange(s.w.t.Context(), &out, 0, v.Size())
	return out.String(), err
}

// lists waits until the site shows the key with that many bytes.
func (s *site) lists(bucket, key string, size int) {
	s.w.t.Helper()
	s.w.eventually(fmt.Sprintf("%s/%s at %s", bucket, key, s.id.Name), func() error {
		b, err := s.Bucket(bucket)
		if err != nil {
			return err
		}
		v, err := b.Stat(s.w.t.Context(), key, segment.VersionRef{})
		if err == nil && v.Size() != int64(size) {
			err = fmt.Errorf("%d bytes", v.Size())
		}
		return err
	})
}

// reads wants the object to have that content.
func (s *site) reads(bucket, key, want string) {
	s.w.t.Helper()
	got, err := s.read(bucket, key)
	if err != nil || got != want {
		s.w.t.Fatalf("%s reads %s/%s: %d bytes, %v; want %d bytes", s.id.Name, bucket, key, len(got), err, len(want))
	}
}

// converge waits until the sites have equal roots of the bucket and have seen the same.
func (w *world) converge(bucket string, names ...string) chunk.ID {
	w.t.Helper()
	var root chunk.ID
	w.eventually("equal roots of "+bucket, func() error {
		for i, name := range names {
			b, err := w.at(name).Bucket(bucket)
			if err != nil {
				return err
			}
			r, err := b.Fold(w.t.Context())
			if err != nil {
				return err
			}
			if i > 0 && r != root {
				first, _ := w.at(names[0]).Bucket(bucket)
				return fmt.Errorf("%s has %v, not %v: seen %v and %v", name, r, root, b.Seen(), first.Seen())
			}
			root = r
		}
		return nil
	})
	return root
}

func (s *site) link(peer string) isgw.LinkStatus {
	for _, l := range s.links.Status() {
		if l.Peer.Name == peer {
			return l
		}
	}
	return isgw.LinkStatus{}
}

func text(n int) string {
	b := make([]byte, n)
	_, _ = io.ReadFull(rand.Reader, b)
	return string(b)
}
