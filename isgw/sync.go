package isgw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// resync compares what the peer has seen of every bucket with what this segment has, syncs what it lacks, and returns where the feed goes on.
func (s *session) resync(ctx context.Context) (segment.Cursor, error) {
	survey, err := s.survey(ctx)
	if err != nil {
		return segment.Cursor{}, fmt.Errorf("survey: %w", err)
	}
	for _, id := range inOrder(survey.Seen) {
		s.knowsAll(id, survey.Seen[id])
		b, err := s.k.l.seg.BucketByID(id)
		if err == nil && b.Seen().Covers(survey.Seen[id]) {
			continue
		}
		if err := s.syncOrStop(ctx, id); err != nil {
			return segment.Cursor{}, err
		}
	}
	c := segment.Cursor{Inc: survey.Inc, Pos: survey.Pos}
	return c, s.k.l.seg.SetCursor(ctx, s.k.id, c)
}

// inOrder are the buckets with the federation's first: it says what the others are.
func inOrder(b wire.Buckets) []segment.BucketID {
	ids := slices.SortedFunc(maps.Keys(b), func(a, b segment.BucketID) int { return bytes.Compare(a[:], b[:]) })
	if i := slices.Index(ids, segment.FederationBucket); i > 0 {
		ids = slices.Insert(slices.Delete(ids, i, i+1), 0, segment.FederationBucket)
	}
	return ids
}

func (s *session) survey(ctx context.Context) (*wire.Survey, error) {
	x, done, err := s.ask(ctx, &wire.Request{Survey: true}, syncBytes)
	if err != nil {
		return nil, err
	}
	defer done()
	m := new(wire.Survey)
	return m, x.in.Read(m, wire.MaxControl)
}

// serveSurvey says where the log ends before it says what was seen: all before that end is in it.
func (s *session) serveSurvey(x exchange) error {
	seg := s.k.l.seg
	m := &wire.Survey{Inc: seg.Origin().Inc, Pos: seg.LogEnd()}
	m.Seen = wire.Buckets(seg.LinkedBuckets())
	defer x.stream.CloseWrite()
	return x.out.Write(m)
}

// sync takes the peer's state of one bucket in.
func (s *session) sync(ctx context.Context, id segment.BucketID) error {
	for _, r := range s.k.l.seg.Beginnings(id) {
		if err := s.bring(ctx, r); err != nil && r.Bucket == id { // without its parent it costs more
			return fmt.Errorf("bring what branch %v begins with: %w", id, err)
		}
	}
	var seen segment.Vector
	err := s.syncTree(ctx, wire.Sync{Bucket: id}, func(o segment.Offer, r *remoteTree) error {
		seen = o.Seen
		return s.k.l.seg.Adopt(ctx, s.k.id, id, o, r)
	})
	if err == nil {
		s.k.traffic.syncs.Add(1)
		s.k.synced(id)
		s.knowsAll(id, seen)
	}
	return err
}

// syncTree hands what the peer offers to adopt, with its tree.
func (s *session) syncTree(ctx context.Context, m wire.Sync, adopt func(segment.Offer, *remoteTree) error) error {
	x, done, err := s.ask(ctx, &wire.Request{Sync: &m}, syncBytes)
	if err != nil {
		return err
	}
	defer done()
	var offer wire.Offer
	if err := x.in.Read(&offer, wire.MaxControl); err != nil {
		return fmt.Errorf("sync bucket %v: %w", m.Bucket, unexpected(err))
	}
	switch offer.Status {
	case wire.OK:
	case wire.Refused:
		return fmt.Errorf("sync bucket %v: the peer does not offer it: %w", m.Bucket, segment.ErrNoSuchBucket)
	default:
		return fmt.Errorf("sync bucket %v: the peer cannot offer it now: %w", m.Bucket, segment.ErrUnavailable)
	}
	z, err := newDecompressor(x.in.Rest())
	if err != nil {
		return err
	}
	defer z.Close()
	r := &remoteTree{x: x, in: wire.NewReader(z), domain: s.k.l.seg.Domain()}
	r.turn = sync.NewCond(&r.mu)
	return adopt(offer.Offer, r)
}

// remoteTree reads nodes of the offered tree from the peer. Requests of several callers are under way at once; answers come in their order.
type remoteTree struct {
	x      exchange
	in     *wire.Reader
	domain chunk.Domain

	sending sync.Mutex
	mu      sync.Mutex
	turn    *sync.Cond
	asked   int   // requests sent
	served  int   // answers read
	broken  error // the stream cannot be used any more
}

var _ chunk.Store = (*remoteTree)(nil)

var errReadOnly = errors.New("a peer's tree is read only")

func (r *remoteTree) Put(context.Context, []chunk.Chunk) error { return errReadOnly }

func (r *remoteTree) Missing(context.Context, []chunk.ID) ([]chunk.ID, error) {
	return nil, errReadOnly
}

func (r *remoteTree) Get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	ids = distinct(ids)
	for part := range slices.Chunk(ids, wire.MaxWant) {
		if err := r.get(ctx, part, yield); err != nil {
			return err
		}
	}
	return nil
}

func distinct(ids []chunk.ID) []chunk.ID {
	if len(ids) < 2 {
		return ids
	}
	seen := make(map[chunk.ID]struct{}, len(ids))
	out := make([]chunk.ID, 0, len(ids))
	for _, id := range ids {
		if _, ok := seen[id]; !ok {
			seen[id] = struct{}{}
			out = append(out, id)
		}
	}
	return out
}

func (r *remoteTree) get(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	turn, err := r.send(ids)
	if err != nil {
		return err
	}
	r.mu.Lock()
	for r.served != turn && r.broken == nil {
		r.turn.Wait()
	}
	err = r.broken
	r.mu.Unlock()
	if err != nil {
		return err
	}
	// An answer is read to its end, whatever becomes of it: others wait behind it.
	status, failed, err := r.receive(ctx, ids, yield)
	r.mu.Lock()
	r.served++
	if err != nil {
		r.broken = fmt.Errorf("read a peer's tree: %w: %w", err, chunk.ErrUnavailable)
		failed = r.broken
	}
	r.turn.Broadcast()
	r.mu.Unlock()
	switch {
	case failed != nil:
		return failed
	case status == wire.NotFound:
		return chunk.ErrNotFound
	case status != wire.OK:
		return fmt.Errorf("the peer refuses nodes of its tree: %w", chunk.ErrUnavailable)
	}
	return nil
}

func (r *remoteTree) send(ids []chunk.ID) (turn int, err error) {
	r.sending.Lock()
	defer r.sending.Unlock()
	if err := r.x.out.Write(&wire.Want{IDs: ids}); err != nil {
		return 0, fmt.Errorf("ask for a peer's tree: %w: %w", err, chunk.ErrUnavailable)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return r.asked - 1, nil
}

// receive reads one answer. failed is the caller's own trouble with it; err that of the stream.
func (r *remoteTree) receive(ctx context.Context, ids []chunk.ID, yield func(chunk.Chunk) error) (status wire.Status, failed, err error) {
	for {
		var m wire.Nodes
		if err := r.in.Read(&m, wire.MaxNodes); err != nil {
			return 0, nil, unexpected(err)
		}
		for _, p := range m.Pieces {
			if failed = errors.Join(failed, ctx.Err()); failed != nil {
				break
			}
			if p.Index >= len(ids) {
				return 0, nil, wire.ErrMalformed
			}
			c, err := r.domain.Verify(ids[p.Index], p.Data)
			if err != nil {
				return 0, nil, err
			}
			failed = yield(c)
		}
		if m.End {
			return m.Status, failed, nil
		}
	}
}

// maxSyncs bounds the syncs that one peer is served at one time, and so their memory. It makes four: for its feed, of
// what it is owed, to heal a bucket, and of snapshots.
const maxSyncs = 6

// serveSync offers a bucket and serves the nodes of its tree. What it serves is remembered by the ids that it names: nothing else can be
// asked for.
func (s *session) serveSync(ctx context.Context, x exchange, m *wire.Sync) error {
	select {
	case s.syncing <- struct{}{}:
		defer func() { <-s.syncing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	offer, err := s.offer(ctx, m)
	if err != nil {
		status := wire.Failed // a peer goes on with other buckets
		if errors.Is(err, segment.ErrNoSuchBucket) || errors.Is(err, segment.ErrNoSuchSnapshot) {
			status = wire.Refused
		}
		defer x.stream.CloseWrite()
		return errors.Join(err, x.out.Write(&wire.Offer{Status: status}))
	}
	if err := x.out.Write(&wire.Offer{Offer: offer}); err != nil {
		return err
	}
	z, err := newCompressor(x.stream)
	if err != nil {
		return err
	}
	t := &offeredTree{seg: s.k.l.seg, of: m, root: offer.Root, grants: newGrants(offer.Root, grantsBehind, maxGranted), out: wire.NewWriter(z), flush: z.Flush}
	for {
		var w wire.Want
		if err := x.in.Read(&w, wire.MaxControl); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			defer x.stream.CloseWrite()
			return errors.Join(err, z.Close())
		}
		if err := t.serve(ctx, w.IDs); err != nil {
			return err
		}
	}
}

func (s *session) offer(ctx context.Context, m *wire.Sync) (segment.Offer, error) {
	if m.Snapshot == (segment.SnapshotID{}) {
		return s.k.l.seg.Offer(ctx, m.Bucket)
	}
	root, err := s.k.l.seg.OfferSnapshot(ctx, segment.SnapshotRef{Bucket: m.Bucket, ID: m.Snapshot})
	return segment.Offer{Root: root, Seen: segment.Vector{}}, err
}

// offeredTree is what one sync stream may read.
type offeredTree struct {
	seg    *segment.Segment
	of     *wire.Sync
	root   chunk.ID
	grants *grants
	out    *wire.Writer
	flush  func() error
}

// named is what one chunk names, and its level.
type named struct {
	depth int
	ids   []chunk.ID
}

func (t *offeredTree) serve(ctx context.Context, ids []chunk.ID) error {
	index := make(map[chunk.ID]int, len(ids))
	asked := make([]named, len(ids)) // in the order of the request: the store has another
	for i, id := range ids {
		depth, ok := t.grants.use(id)
		if !ok {
			return t.end(&wire.Nodes{End: true, Status: wire.Refused})
		}
		index[id], asked[i].depth = i, depth+1
	}
	m, size := new(wire.Nodes), 0
	err := t.seg.ReadMeta(ctx, ids, func(c chunk.Chunk) (err error) {
		i := index[c.ID()]
		if asked[i].ids, err = children(c, c.ID() == t.root); err != nil {
			return err
		}
		m.Pieces = append(m.Pieces, wire.Piece{Index: i, Data: bytes.Clone(c.Data())})
		if size += c.Size(); size < batchBytes {
			return nil
		}
		full := m
		m, size = new(wire.Nodes), 0
		return t.out.Write(full)
	})
	for _, n := range asked {
		if !t.grants.name(n.depth, n.ids) {
			return fmt.Errorf("more nodes of one tree than a sync has open: %w", wire.ErrMalformed)
		}
	}
	m.End = true
	switch {
	case errors.Is(err, chunk.ErrNotFound), errors.Is(err, chunk.ErrCorrupt):
		m.Status = wire.NotFound
		if t.of.Snapshot == (segment.SnapshotID{}) {
			t.seg.Suspect(t.of.Bucket)
		}
	case err != nil:
		return err
	}
	return t.end(m)
}

func (t *offeredTree) end(m *wire.Nodes) error {
	if err := t.out.Write(m); err != nil {
		return err
	}
	return t.flush()
}

// children are the ids that a chunk of an offered state names: a root names two trees, a node nodes and values.
func children(c chunk.Chunk, root bool) ([]chunk.ID, error) {
	if root {
		return segment.RootChildren(c.Data())
	}
	return segment.NodeChildren(c.Data())
}
