package isgw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/edgefs/edgefs/isgw/transport"
	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
)

const (
	receiveRetry = time.Second
	clockRetry   = time.Second
)

// errResync says that the feed cannot serve: every bucket is compared, and synced where the peer has seen more.
var errResync = errors.New("the feed cannot go on from here")

// receive takes the peer's feed in, and syncs where the feed cannot serve, until the session ends.
func (s *session) receive(ctx context.Context) error {
	cursor, ok := s.k.l.seg.Cursor(s.k.id)
	for ctx.Err() == nil {
		var err error
		if !ok {
			cursor, err = s.resync(ctx)
		}
		if err == nil {
			ok = true
			err = s.follow(ctx, &cursor)
		}
		s.k.receiving(err)
		switch {
		case errors.Is(err, wire.ErrMalformed):
			return err
		case errors.Is(err, errResync):
			ok = false
		case errors.Is(err, segment.ErrClockAhead):
			wait(ctx, clockRetry)
		case isClosed(err): // the session ends
			wait(ctx, receiveRetry)
		case err != nil && ctx.Err() == nil:
			s.k.trouble(fmt.Errorf("receive: %w", err))
			wait(ctx, receiveRetry)
		}
	}
	return nil
}

// isClosed says whether the whole connection has ended.
func isClosed(err error) bool {
	var closed *transport.CloseError
	return errors.As(err, &closed) || errors.Is(err, transport.ErrLost)
}

// trouble keeps an error that did not end the session.
func (k *link) trouble(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.l.log.Warn("link", "peer", k.to.Name, "error", err)
	k.last = err
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// follow receives the feed from the cursor on, and moves it, until an error.
func (s *session) follow(ctx context.Context, cursor *segment.Cursor) error {
	x, done, err := s.ask(ctx, &wire.Request{Subscribe: &wire.Subscribe{From: *cursor}}, feedBytes)
	if err != nil {
		return err
	}
	defer done()
	var start wire.Start
	if err := x.in.Read(&start, wire.MaxControl); err != nil {
		return err
	}
	if start.Resync || start.Inc != cursor.Inc {
		return errResync
	}
	z, err := newDecompressor(x.in.Rest())
	if err != nil {
		return err
	}
	defer z.Close()
	in := wire.NewReader(z)
	for {
		var b wire.Batch
		if err := in.Read(&b, wire.MaxBatch); err != nil {
			return unexpected(err)
		}
		if b.End {
			return errResync
		}
		if err := s.take(ctx, b.Items, segment.Cursor{Inc: cursor.Inc, Pos: b.Next}); err != nil {
			return err
		}
		cursor.Pos = b.Next
		s.k.receiving(nil)
		if err := x.out.Write(&wire.Ack{Pos: b.Next}); err != nil {
			return err
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// take applies a batch. What is in doubt is synced; the feed is not read meanwhile.
func (s *session) take(ctx context.Context, items []segment.FeedItem, next segment.Cursor) error {
	for _, i := range items {
		// Before they are applied here, lest they are sent back.
		if len(i.Record) == 0 {
			s.knowsAll(i.Bucket, i.Mark)
		} else {
			s.knows(i.Bucket, i.Dot)
		}
	}
	s.taking.Lock()
	defer s.taking.Unlock()
	var last segment.BucketID
	for {
		done, err := s.k.l.seg.Receive(ctx, s.k.id, items, next)
		s.k.traffic.records.Add(uint64(done))
		items = items[done:]
		var doubt *segment.DoubtError
		var stop *segment.StopError
		switch {
		case errors.As(err, &stop):
			err = s.passOver(ctx, stop.Bucket, stop.Err)
		case errors.As(err, &doubt) && done == 0 && doubt.Bucket == last: // a sync did not help
			err = s.passOver(ctx, items[0].Bucket, err)
		case errors.As(err, &doubt):
			last = doubt.Bucket
			err = s.syncOrStop(ctx, last)
		default:
			return err
		}
		if err != nil {
			return err
		}
	}
}
