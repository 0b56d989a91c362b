package isgw_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/edgefs/edgefs/chunk/memory"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/segment"
	"github.com/prometheus/client_golang/prometheus"
)

// alone starts a segment that is a federation of its own, its keys on its disk.
func (w *world) alone(name string) *site {
	w.t.Helper()
	fs := vfs.NewCrash()
	id, err := identity.Open(fs, path.Join("/"+name, "keys"), name, rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &site{w: w, id: id, fs: fs, dir: "/" + name, store: memory.New(), limit: time.Second}
	w.sites[name] = s
	s.start()
	w.t.Cleanup(s.stop)
	return s
}

func (s *site) join(ctx context.Context, token identity.Token) error {
	_, _, err := isgw.Join(ctx, token.String(), isgw.JoinConfig{
		Segment: s.Segment, Identity: s.id, FS: s.fs, Dir: s.dir, Advertise: s.links.Addresses(), Rand: rand.Reader,
	})
	return err
}

// rejoin opens the segment again as what its keys now say, with an empty state.
func (s *site) rejoin() {
	s.w.t.Helper()
	s.stop()
	id, err := identity.Load(s.fs, path.Join(s.dir, "keys"))
	if err != nil {
		s.w.t.Fatal(err)
	}
	for _, name := range []string{"log"} {
		if err := s.fs.RemoveAll(path.Join(s.dir, name)); err != nil {
			s.w.t.Fatal(err)
		}
	}
	states, err := s.fs.ReadDir(s.dir)
	if err != nil {
		s.w.t.Fatal(err)
	}
	for _, name := range states {
		if strings.HasPrefix(name, "state-") {
			if err := s.fs.Remove(path.Join(s.dir, name)); err != nil {
				s.w.t.Fatal(err)
			}
		}
	}
	s.id, s.store = id, memory.New()
	s.start()
}

func TestJoinLinksBothSides(t *testing.T) {
	w := &world{t: t, sites: map[string]*site{}}
	hawaii, tokyo, oslo := w.alone("hawaii"), w.alone("tokyo"), w.alone("oslo")
	hawaii.create("bkt", segment.Settings{})
	hawaii.put("bkt", "k", "aloha")

	token, err := hawaii.links.Invite(time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	tokyo.create("data", segment.Settings{})
	if err := tokyo.join(t.Context(), token); !errors.Is(err, isgw.ErrNotEmpty) {
		t.Fatalf("a segment with data: %v", err)
	}
	if err := tokyo.DeleteBucket(t.Context(), "data"); err != nil {
		t.Fatal(err)
	}
	if err := tokyo.join(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if err := oslo.join(t.Context(), token); !errors.Is(err, identity.ErrInvitationUsed) {
		t.Errorf("second use: %v", err)
	}
	tokyo.rejoin()
	if tokyo.id.Secret != hawaii.id.Secret || tokyo.id.Founder() {
		t.Error("tokyo is not a member")
	}
	w.up("tokyo", "hawaii")
	w.up("hawaii", "tokyo")
	tokyo.lists("bkt", "k", 5)
	tokyo.reads("bkt", "k", "aloha")
	if _, err := tokyo.links.Invite(time.Hour, nil); !errors.Is(err, identity.ErrNotFounder) {
		t.Errorf("tokyo invites: %v", err)
	}
	if err := tokyo.join(t.Context(), token); !errors.Is(err, isgw.ErrNotEmpty) && !errors.Is(err, segment.ErrInvalidArgument) {
		t.Errorf("joining again: %v", err)
	}
	// Another federation's peers are not dialled, also when their file is still there.
	if got := oslo.links.Peers(); len(got) != 0 {
		t.Errorf("oslo's peers: %v", got)
	}
}

func TestJoinWhereNobodyAnswers(t *testing.T) {
	w := &world{t: t, sites: map[string]*site{}}
	hawaii, tokyo := w.alone("hawaii"), w.alone("tokyo")
	token, err := hawaii.links.Invite(time.Hour, []string{"127.0.0.1:1", "[::1]:2", "not.a.name.invalid:3"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err = tokyo.join(ctx, token)
	if !errors.Is(err, transport.ErrUnreached) {
		t.Fatal(err)
	}
	for _, part := range []string{"hawaii", "127.0.0.1:1: no answer", "[::1]:2: ", "not.a.name.invalid:3: "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %q", part, err)
		}
	}
	if id, err := identity.Load(tokyo.fs, "/tokyo/keys"); err != nil || id.Federation != tokyo.id.Federation {
		t.Errorf("identity after a failed join: %v, %v", id, err)
	}
}

// One address that nobody answers does not keep a segment from another that the inviter does.
func TestJoinAtTheAddressThatAnswers(t *testing.T) {
	w := &world{t: t, sites: map[string]*site{}}
	hawaii, tokyo := w.alone("hawaii"), w.alone("tokyo")
	addresses := []string{"not.a.name.invalid:3"}
	for port := range 13 {
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", port+1))
	}
	addresses = append(addresses, hawaii.links.Addresses()...)
	token, err := hawaii.links.Invite(time.Hour, append(addresses, hawaii.links.Addresses()...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // less than all who are silent take, one after the other
	defer cancel()
	if err := tokyo.join(ctx, token); err != nil {
		t.Error(err)
	}
}

func TestAnInvitationNamesAddressesOnly(t *testing.T) {
	w := &world{t: t, sites: map[string]*site{}}
	hawaii := w.alone("hawaii")
	if _, err := hawaii.links.Invite(time.Hour, []string{"site-a.example.com"}); !errors.Is(err, segment.ErrInvalidArgument) {
		t.Errorf("without a port: %v", err)
	}
}

// Whatever is under way: nothing that the links have started runs after they are closed.
func TestNothingRunsAfterClose(t *testing.T) {
	w := newWorld(t, nil, "a", "b", "c")
	a, b := pair(t, w, fullBucket())
	w.link("c", "a")
	for i := range 50 {
		a.put("bkt", fmt.Sprint("k", i), text(1000))
	}
	go func() { _, _ = b.read("bkt", "x") }()
	for _, s := range w.sites {
		if err := s.links.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, s := range w.sites {
		if err := s.Segment.Close(t.Context()); err != nil {
			t.Error(err)
		}
		s.links = nil
	}
	w.eventually("no goroutine of ours", func() error {
		buf := make([]byte, 1<<20)
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "edgefs/isgw.") || strings.Contains(g, "isgw/transport") || strings.Contains(g, "quic-go") {
				return errors.New(g)
			}
		}
		return nil
	})
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, inMemory(), "a", "b")
	a, b := pair(t, w, lazyBucket())
	a.put("bkt", "k", "body")
	b.lists("bkt", "k", 4)
	b.reads("bkt", "k", "body")
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(b.links.Collector()); err != nil {
		t.Fatal(err)
	}
	w.eventually("all is counted", func() error { // after it was done, and with the bucket's documents
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				got[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		if got["edgefs_link_up"] != 1 || got["edgefs_link_fetched_chunks_total"] != 1 || got["edgefs_link_records_total"] == 0 || got["edgefs_link_received_bytes_total"] == 0 || len(families) != 24 {
			return fmt.Errorf("%d families: %v", len(families), got)
		}
		return nil
	})
}
