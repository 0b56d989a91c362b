package isgw

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/internal/vfs"
	"github.com/edgefs/edgefs/isgw/identity"
	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/transport/quicnet"
	"github.com/edgefs/edgefs/segment"
)

var (
	// ErrNoLink says that there is no link to that peer.
	ErrNoLink = errors.New("no link to that segment")
	// ErrNotEmpty says that a segment that is to join holds buckets.
	ErrNotEmpty = errors.New("the segment holds buckets: join with an empty segment")
)

// DefaultEagerBytes is the size up to which payload is fetched as soon as it is known of, where bucket and link do not say less.
const DefaultEagerBytes = 4096

// Config says how to open [Links].
type Config struct {
	Segment  *segment.Segment
	Identity *identity.Identity
	// Chunks are the durable chunks of the segment, the ones it writes to.
	Chunks chunk.Opener
	// Lazy gets its peers from the links. It is needed for prefetching.
	Lazy *Lazy
	// Copies, when set, lets writes wait for peers from now on.
	Copies *Copies

	FS  vfs.FS
	Dir string // the segment's: links are remembered in DIR/links, members in DIR/keys

	// Listen is HOST:PORT for UDP; empty only dials out.
	Listen string
	// Advertise is where peers and invitations are told to dial; empty: the address listened on, or those of the machine.
	Advertise []string
	// Net, when set, is used instead of QUIC on Listen, and closed with the links. It knows no joining.
	Net transport.Net

	// EagerBytes is the size up to which the payload of versions is fetched before it is read; a bucket may say less. 0: metadata only.
	EagerBytes int64

	Clock  func() time.Time // default: time.Now
	Rand   io.Reader
	Logger *slog.Logger
}

// Links are the links of one segment to its peers. They are safe for concurrent use.
type Links struct {
	cfg       Config
	seg       *segment.Segment
	net       transport.Net
	log       *slog.Logger
	process   uint64 // of this start
	authority *identity.Authority
	timeline  timeline
	prefetch  *prefetcher
	exposures exposures
	snapshots chan struct{} // of one: there may be some to bring here

	mu      sync.Mutex // guards what follows, and the file of peers
	links   map[segment.ID]*link
	removed []segment.ID

	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

// Open begins to listen and to dial the peers that are remembered.
func Open(ctx context.Context, c Config) (*Links, error) {
	if c.FS == nil {
		c.FS = vfs.OS{}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Links{cfg: c, seg: c.Segment, log: c.Logger, links: map[segment.ID]*link{}, snapshots: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if c.Lazy != nil {
		l.prefetch = newPrefetcher(l)
	}
	l.mu.Lock() // who joins at once waits
	if err := l.open(); err != nil {
		l.mu.Unlock()
		l.cancel(err)
		return nil, fmt.Errorf("open links: %w", err)
	}
	for _, k := range l.links {
		l.wg.Go(k.run)
	}
	l.mu.Unlock()
	l.wg.Go(l.acceptAll)
	l.wg.Go(func() { l.timeline.run(l.ctx, l.seg) })
	if c.Copies != nil {
		c.Copies.attach(l)
	}
	if c.Lazy != nil {
		c.Lazy.attach(l)
		l.wg.Go(func() { l.prefetch.run(l.ctx) })
		l.wg.Go(func() { l.bringSnapshots(l.ctx) })
	}
	return l, nil
}

func (l *Links) open() (err error) {
	var process [8]byte
	if _, err := io.ReadFull(l.cfg.Rand, process[:]); err != nil {
		return err
	}
	l.process = binary.BigEndian.Uint64(process[:]) | 1
	if l.authority, err = identity.OpenAuthority(l.cfg.FS, path.Join(l.cfg.Dir, "keys"), l.cfg.Identity, l.cfg.Clock, l.cfg.Rand); err != nil {
		return err
	}
	if err := l.loadPeers(); err != nil {
		return err
	}
	if l.net = l.cfg.Net; l.net != nil {
		return nil
	}
	l.net, err = quicnet.Open(quicnet.Config{Identity: l.cfg.Identity, Listen: l.cfg.Listen, Join: l.serveJoin, Log: l.log})
	return err
}

// Close ends all links and waits for everything that was started. The segment stays open.
func (l *Links) Close() error {
	if l.cfg.Copies != nil {
		l.cfg.Copies.attach(nil)
	}
	if l.cfg.Lazy != nil {
		l.cfg.Lazy.attach(nil)
	}
	l.cancel(transport.ErrClosed)
	for _, k := range l.all() {
		k.leave()
	}
	err := l.net.Close()
	l.wg.Wait()
	return err
}

// Addresses is where peers can dial this segment.
func (l *Links) Addresses() []string {
	if len(l.cfg.Advertise) > 0 {
		return l.cfg.Advertise
	}
	if l.cfg.Net != nil && l.net.Addr() != "" {
		return []string{l.net.Addr()}
	}
	return dialable(l.net.Addr())
}

// Invite makes an invitation, to be used once within ttl, that names the addresses, or those of [Links.Addresses]. Whether another machine
// can reach them is for [Doubts].
func (l *Links) Invite(ttl time.Duration, addresses []string) (identity.Token, error) {
	if len(addresses) == 0 {
		addresses = l.Addresses()
	}
	if len(addresses) == 0 {
		return identity.Token{}, fmt.Errorf("invite: the segment listens at no address: %w", segment.ErrInvalidArgument)
	}
	for _, a := range addresses {
		if _, err := reachOf(a); err != nil {
			return identity.Token{}, fmt.Errorf("invite: %w", err)
		}
	}
	return l.authority.Invite(ttl, addresses)
}

// serveJoin admits a segment and links with it.
func (l *Links) serveJoin(from string, rw io.ReadWriter) {
	m, addresses, err := l.authority.Serve(from, rw)
	if err != nil {
		l.log.Warn("a segment was not admitted", "from", from, "name", m.Name, "error", err)
		return
	}
	l.log.Info("a segment joined the federation", "name", m.Name, "segment", m.Segment, "from", from)
	if err := l.add(Peer{Segment: m.Segment, Name: m.Name, Addresses: addresses}, true); err != nil {
		l.log.Error("the link to a new segment cannot be remembered", "name", m.Name, "error", err)
	}
}

// acceptAll takes the connections of peers.
func (l *Links) acceptAll() {
	for {
		c, err := l.net.Accept(l.ctx)
		if err != nil {
			return // only when closed
		}
		l.wg.Go(func() { l.arrived(c) })
	}
}

// arrived makes a session of a peer's connection and hands it to the peer's link.
func (l *Links) arrived(c transport.Conn) {
	k, err := l.linkOf(c.Peer(), c)
	if err != nil {
		c.Close(transport.Refused, err.Error())
		return
	}
	if k == nil {
		return
	}
	s, err := k.handshake(l.ctx, c)
	if err != nil {
		l.log.Info("a connection came to nothing", "peer", c.Peer().Name, "error", err)
		return
	}
	k.offer(s)
}

// linkOf is the link to a member that dialled. A member that is not known becomes a peer: the certificate says that it may; one that was
// removed does not come back by itself.
func (l *Links) linkOf(m identity.Member, c transport.Conn) (*link, error) {
	l.mu.Lock()
	k, removed := l.links[m.Segment], slices.Contains(l.removed, m.Segment)
	l.mu.Unlock()
	switch {
	case k != nil:
		return k, nil
	case removed:
		return nil, fmt.Errorf("the link was removed at %s", l.cfg.Identity.Name)
	}
	l.log.Info("a member that was not known dialled", "peer", m.Name, "segment", m.Segment, "from", c.Addr())
	if err := l.Add(Peer{Segment: m.Segment, Name: m.Name}); err != nil {
		return nil, fmt.Errorf("the link cannot be remembered at %s", l.cfg.Identity.Name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.links[m.Segment], nil
}

// linkTo is the link to a peer; nil when there is none.
func (l *Links) linkTo(peer segment.ID) *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.links[peer]
}

// linked says whether there is any link, up or not.
func (l *Links) linked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.links) > 0
}

// all are the links, by name.
func (l *Links) all() []*link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.allLocked()
}

func (l *Links) allLocked() []*link {
	out := make([]*link, 0, len(l.links))
	for _, k := range l.links {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b *link) int { return a.peer().compare(b.peer()) })
	return out
}
