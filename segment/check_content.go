package segment

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
)

// checkAtOnce is how many chunks of content are looked for at once.
const checkAtOnce = 256

// version looks for the content of a version: its nodes are read, its chunks are asked for.
func (c *checking) version(ctx context.Context, b *Bucket, why string, v *Version) error {
	if b.id == localBucket && strings.HasPrefix(v.Key, docRoot) {
		if err := c.remembered(v); err != nil {
			c.damage("segment.remembered", b, v.Key, err.Error())
		}
		return ctx.Err()
	}
	if v.payload() == nil {
		return ctx.Err()
	}
	c.report.Versions++
	c.step()
	of := c.contentOf(b, v.Key)
	look := contentLook{nodes: of.chunks.Meta, here: c.s.cfg.Chunks.Open(of.domain, chunk.Cache)}
	err := look.walk(ctx, v.Content)
	c.report.Chunks += look.chunks
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
	case errors.Is(err, chunk.ErrNotFound) && !c.lone:
		c.report.Absent++
	case errors.Is(err, chunk.ErrNotFound):
		c.damage("content.missing", b, v.Key, fmt.Sprintf("%s: version %v: %v", why, v.Ref(), err))
	default:
		c.damage("content.damaged", b, v.Key, fmt.Sprintf("%s: version %v: %v", why, v.Ref(), err))
	}
	return nil
}

// contentOf is the bucket in whose domain the content of a key is: in the local bucket, that of the upload.
func (c *checking) contentOf(b *Bucket, key string) *Bucket {
	if b.id != localBucket {
		return b
	}
	name, _, _ := strings.Cut(key, "/")
	if id, err := ParseBucketID(name); err == nil && c.s.bucket(id) != nil {
		return c.s.bucket(id)
	}
	return b
}

// contentLook looks for what one manifest reaches.
type contentLook struct {
	nodes, here chunk.Store
	chunks      int64
	batch       []chunk.ID
	damaged     error
	absent      error
}

// walk returns why not all is here: what is damaged rather than what is absent.
func (l *contentLook) walk(ctx context.Context, m dedup.Manifest) error {
	for p, err := range dedup.NewReader(func([]chunk.ID) chunk.Store { return l.nodes }, m).Pieces(ctx) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			l.note(err)
		case p.Level == 0:
			if l.batch = append(l.batch, p.ID); len(l.batch) == checkAtOnce {
				l.flush(ctx)
			}
		}
		if err == nil {
			l.chunks++
		}
	}
	l.flush(ctx)
	if l.damaged != nil {
		return l.damaged
	}
	return l.absent
}

func (l *contentLook) flush(ctx context.Context) {
	missing, err := l.here.Missing(ctx, l.batch)
	l.batch = l.batch[:0]
	if err != nil {
		l.note(err)
	}
	for _, id := range missing { // whether it is absent, or damaged
		if err := l.here.Get(ctx, []chunk.ID{id}, func(chunk.Chunk) error { return nil }); err != nil {
			l.note(err)
		}
	}
}

func (l *contentLook) note(err error) {
	if errors.Is(err, chunk.ErrNotFound) {
		l.absent = err
		return
	}
	l.damaged = err
}
