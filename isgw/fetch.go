package isgw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

// serveFetch gives payload, of each group what the version reaches and what is here, and nodes of trees.
func (s *session) serveFetch(ctx context.Context, x exchange, f *wire.Fetch) error {
	o := &fetchOut{out: x.out, m: new(wire.Fetched)}
	for g := range f.Groups {
		status, err := s.serveGroup(ctx, o, f, g)
		if err != nil {
			return err
		}
		o.m.Ends = append(o.m.Ends, wire.End{Group: g, Status: status})
	}
	s.k.traffic.served.Add(uint64(o.chunks))
	defer x.stream.CloseWrite()
	return o.write()
}

// fetchOut gathers small chunks into messages.
type fetchOut struct {
	out    *wire.Writer
	m      *wire.Fetched
	size   int
	chunks int
}

func (o *fetchOut) add(p wire.Piece) error {
	o.m.Pieces = append(o.m.Pieces, p)
	o.chunks++
	if o.size += len(p.Data); o.size < batchBytes {
		return nil
	}
	return o.write()
}

func (o *fetchOut) write() error {
	m := o.m
	o.m, o.size = new(wire.Fetched), 0
	return o.out.Write(m)
}

func (s *session) serveGroup(ctx context.Context, o *fetchOut, f *wire.Fetch, g int) (wire.Status, error) {
	group := &f.Groups[g]
	if group.Tree != 0 {
		return s.serveNode(ctx, o, f.Bucket, g, group)
	}
	if group.Request != (segment.RequestName{}) {
		return s.serveRequested(ctx, o, g, group)
	}
	index := make(map[chunk.ID]int, len(group.IDs))
	for i, id := range group.IDs {
		index[id] = i
	}
	r := segment.Reading{Ref: segment.Ref{Bucket: f.Bucket, Key: group.Key, Version: group.Version}, Path: group.Path}
	var lost error
	err := s.k.l.seg.ServeFetch(ctx, r, group.IDs, func(c chunk.Chunk) error {
		lost = o.add(wire.Piece{Group: g, Index: index[c.ID()], Data: bytes.Clone(c.Data())})
		return lost
	})
	if lost != nil {
		return 0, lost
	}
	return s.served(ctx, group, err)
}

// serveRequested gives payload of a request that was sent to the peer.
func (s *session) serveRequested(ctx context.Context, o *fetchOut, g int, group *wire.Group) (wire.Status, error) {
	index := make(map[chunk.ID]int, len(group.IDs))
	for i, id := range group.IDs {
		index[id] = i
	}
	var lost error
	err := s.k.l.seg.ServeRequested(ctx, s.k.id, group.Request, group.Path, group.IDs, func(c chunk.Chunk) error {
		lost = o.add(wire.Piece{Group: g, Index: index[c.ID()], Data: bytes.Clone(c.Data())})
		return lost
	})
	if lost != nil {
		return 0, lost
	}
	return s.served(ctx, group, err)
}

// served is how a group fared of which err came.
func (s *session) served(ctx context.Context, group *wire.Group, err error) (wire.Status, error) {
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case err == nil:
		return wire.OK, nil
	case errors.Is(err, chunk.ErrNotFound), errors.Is(err, chunk.ErrCorrupt):
		return wire.NotFound, nil
	case errors.Is(err, segment.ErrRefused):
		return wire.Refused, nil
	}
	s.k.l.log.Warn("payload cannot be served", "peer", s.conn.Peer().Name, "key", group.Key, "error", err)
	return wire.Failed, nil
}

// fetch asks the peer for chunks. got is called for each message with what came, not verified, and valid during the call; an error of it
// ends the fetch. The statuses are those of the groups.
func (s *session) fetch(ctx context.Context, f *wire.Fetch, got func([]wire.Piece) error) ([]wire.Status, error) {
	x, done, err := s.ask(ctx, &wire.Request{Fetch: f}, payloadBytes)
	if err != nil {
		return nil, err
	}
	defer done()
	x.stream.CloseWrite()
	s.k.traffic.fetches.Add(1)
	statuses := make([]wire.Status, len(f.Groups))
	for i := range statuses {
		statuses[i] = wire.Failed
	}
	for {
		var m wire.Fetched
		err := x.in.Read(&m, wire.MaxPieces)
		if errors.Is(err, io.EOF) {
			return statuses, nil
		}
		if err != nil {
			return statuses, err
		}
		for _, p := range m.Pieces {
			if p.Group >= len(f.Groups) || p.Index >= len(f.Groups[p.Group].IDs) {
				return statuses, fmt.Errorf("a chunk that was not asked for: %w", wire.ErrMalformed)
			}
		}
		if err := got(m.Pieces); err != nil {
			return statuses, err
		}
		s.k.traffic.fetched.Add(uint64(len(m.Pieces)))
		for _, e := range m.Ends {
			if e.Group < len(statuses) {
				statuses[e.Group] = e.Status
			}
		}
	}
}
