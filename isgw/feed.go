package isgw

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/edgefs/edgefs/isgw/wire"
	"github.com/edgefs/edgefs/segment"
	"github.com/klauspost/compress/zstd"
)

const (
	batchBytes = 256 << 10
	// zstdWindow bounds the memory of both ends of a compressed stream, and is as far as it looks back for what keys, deps and types repeat.
	zstdWindow = 256 << 10
)

func newCompressor(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
}

func newDecompressor(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderLowmem(true))
}

// serveFeed sends the committed log to the peer, from a cursor on, without what the peer is known to have seen.
func (s *session) serveFeed(ctx context.Context, x exchange, from segment.Cursor) error {
	life := s.k.l.seg.Origin().Inc
	if from.Inc != life || from.Pos > s.k.l.seg.LogEnd() {
		defer x.stream.CloseWrite()
		return x.out.Write(&wire.Start{Resync: true, Inc: life})
	}
	if err := x.out.Write(&wire.Start{Inc: life}); err != nil {
		return err
	}
	z, err := newCompressor(x.stream)
	if err != nil {
		return err
	}
	f := &feeder{session: s, x: x, z: z, out: wire.NewWriter(z), life: life}
	s.k.gap.start(from.Pos)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var acks sync.WaitGroup
	acks.Go(func() { cancel(f.acks()) })
	err = f.run(ctx, from.Pos)
	x.stream.Abort()
	acks.Wait()
	return err
}

// feeder is one subscription of the peer.
type feeder struct {
	*session
	x    exchange
	z    *zstd.Encoder
	out  *wire.Writer
	life uint32
}

// run sends without waiting for more than there is: what comes while a batch is on its way is the next batch.
func (f *feeder) run(ctx context.Context, pos uint64) error {
	for {
		items, next, err := f.k.l.seg.FeedFrom(ctx, pos, batchBytes)
		if errors.Is(err, segment.ErrLogCut) || err == nil && f.k.l.seg.Origin().Inc != f.life {
			defer f.x.stream.CloseWrite()
			return errors.Join(f.send(&wire.Batch{Next: pos, End: true}), f.z.Close())
		}
		if err != nil {
			return err
		}
		before := f.x.stream.wrote
		if items = f.news(items); len(items) > 0 {
			if err := f.send(&wire.Batch{Items: items, Next: next}); err != nil {
				return err
			}
		}
		f.k.gap.passed(next, f.x.stream.wrote-before)
		pos = next
	}
}

func (f *feeder) send(b *wire.Batch) error {
	if err := f.out.Write(b); err != nil {
		return err
	}
	return f.z.Flush()
}

// news leaves out what the peer is known to have seen, above all what it sent itself.
func (f *feeder) news(items []segment.FeedItem) []segment.FeedItem {
	return slices.DeleteFunc(items, func(i segment.FeedItem) bool {
		seen := f.peerSeen(i.Bucket)
		if len(i.Record) == 0 {
			return seen.Covers(i.Mark)
		}
		return seen.Has(i.Dot)
	})
}

// acks takes what the peer acknowledges, until it ends the stream.
func (f *feeder) acks() error {
	for {
		var a wire.Ack
		if err := f.x.in.Read(&a, wire.MaxControl); err != nil {
			return err
		}
		f.k.gap.ack(a.Pos)
	}
}
