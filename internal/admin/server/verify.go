package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
	"github.com/edgefs/edgefs/internal/admin"
	"github.com/edgefs/edgefs/segment"
)

const (
	verifyBatch = 64                     // chunks that are read at once
	verifyTell  = 200 * time.Millisecond // how often a check says where it stands
)

func (s *Server) verify(w http.ResponseWriter, r *http.Request) error {
	buckets, err := s.toVerify(param(r, "bucket"))
	if err != nil {
		return err
	}
	ctx, done := s.whileServing(r.Context())
	defer done()
	w.Header().Set("Content-Type", "application/x-ndjson")
	c := check{Server: s, w: w, lines: json.NewEncoder(w)}
	for _, b := range buckets {
		c.at.Total += b.Stats().Versions
	}
	for _, b := range buckets {
		if err := c.bucket(ctx, b); err != nil {
			c.at.BrokenOff = cmp.Or(context.Cause(ctx), err).Error()
			break
		}
	}
	c.at.Done = true
	c.tell()
	return nil
}

// whileServing is a context for long work, which ends when the segment does too. done is to be called.
func (s *Server) whileServing(ctx context.Context) (_ context.Context, done func()) {
	ctx, stop := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.Stopping:
			stop(errors.New("the segment is ending"))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { stop(nil) }
}

// toVerify are the bucket or snapshot of that name, or all buckets.
func (s *Server) toVerify(name string) ([]*segment.Bucket, error) {
	names := []string{name}
	if name == "" {
		names = nil
		for _, b := range s.Segment.Buckets() {
			names = append(names, b.Name)
		}
	}
	var all []*segment.Bucket
	for _, name := range names {
		b, err := s.Segment.Bucket(name)
		if errors.Is(err, segment.ErrNoSuchBucket) && len(names) > 1 {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		if len(names) > 1 && len(s.Segment.Beginnings(b.ID())) > 0 {
			continue // a branch that is on its way
		}
		all = append(all, b)
	}
	return all, nil
}

// check is one run of verify.
type check struct {
	*Server
	w     http.ResponseWriter
	lines *json.Encoder
	at    admin.VerifyEvent
	told  time.Time
}

// tell writes where the check stands. A client that is gone has ended the request's context too.
func (c *check) tell() {
	_ = c.lines.Encode(c.at)
	_ = http.NewResponseController(c.w).Flush()
	c.at.Fault, c.told = nil, time.Now()
}

// bucket checks all that a bucket holds, and then what only its snapshots do.
func (c *check) bucket(ctx context.Context, bucket *segment.Bucket) error {
	b := bucket.Info()
	c.at.Bucket = b.Name
	if err := bucket.Scrub(ctx); err != nil {
		return err
	}
	for v, err := range bucket.Payload(ctx) {
		if err == nil {
			err = c.next(ctx, b, v)
		}
		if err != nil {
			return err
		}
	}
	name := b.Name
	for k, err := range bucket.OnlyInSnapshots(ctx) {
		if err == nil {
			c.at.Total++
			b.Name = name + "@" + k.Snapshot
			c.at.Bucket = b.Name
			err = c.next(ctx, b, k.Version)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// next checks a version and tells from time to time.
func (c *check) next(ctx context.Context, b segment.BucketInfo, v segment.Version) error {
	if err := c.version(ctx, b, v); err != nil {
		return err
	}
	if c.at.Versions++; time.Since(c.told) > verifyTell {
		c.tell()
	}
	return nil
}

// version checks what is here of one version. An error is the check's; what is wrong with the version is told.
func (c *check) version(ctx context.Context, b segment.BucketInfo, v segment.Version) error {
	object, err := c.Segment.Object(b.ID, v)
	if err != nil {
		return err
	}
	vc := versionCheck{check: c, object: object, here: true, own: v.Dot.Segment == c.Segment.ID()}
	vc.walk(ctx, dedup.NewReader(func([]chunk.ID) chunk.Store { return c.Local }, v.Content))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !vc.here {
		c.at.NotHere++
	}
	if vc.fault != nil {
		c.at.Damaged++
		c.at.Fault = &admin.VerifyFault{Bucket: b.Name, Key: v.Key, Version: v.Ref(), Why: vc.fault.Error()}
		c.tell()
	}
	return nil
}

// versionCheck is the check of one version.
type versionCheck struct {
	*check
	object *segment.Object
	here   bool  // all of it is
	own    bool  // it was written here, so what is missing was lost here
	fault  error // why some of it cannot be read

	batch []chunk.ID // of payload that follows on one another
	off   int64      // of the first
	size  int64      // of all
}

// walk reads what is here, by reader, which knows nothing of other segments.
func (v *versionCheck) walk(ctx context.Context, reader *dedup.Reader) {
	for p, err := range reader.Pieces(ctx) {
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, chunk.ErrNotFound) && !v.own:
			v.here = false
		case err != nil:
			v.flush(ctx)
			v.heal(ctx, p.Offset, p.Size)
		case p.Level == 0:
			v.add(ctx, p)
		}
	}
	v.flush(ctx)
}

func (v *versionCheck) add(ctx context.Context, p dedup.Piece) {
	if len(v.batch) == verifyBatch || v.off+v.size != p.Offset {
		v.flush(ctx)
	}
	if len(v.batch) == 0 {
		v.off = p.Offset
	}
	v.batch = append(v.batch, p.ID)
	v.size += p.Size
}

// flush reads the batch.
func (v *versionCheck) flush(ctx context.Context) {
	batch, off, size := v.batch, v.off, v.size
	v.batch, v.off, v.size = v.batch[:0], v.off+v.size, 0
	missing, err := v.Local.Missing(ctx, batch)
	if len(missing) > 0 && v.own {
		v.heal(ctx, off, size)
		return
	}
	if len(missing) > 0 {
		v.here = false
		batch = slices.DeleteFunc(slices.Clone(batch), func(id chunk.ID) bool { return slices.Contains(missing, id) })
	}
	if err == nil && len(batch) > 0 {
		err = v.Local.Get(ctx, batch, func(c chunk.Chunk) error { v.at.Bytes += int64(c.Size()); return nil })
	}
	if err != nil && ctx.Err() == nil {
		v.heal(ctx, off, size)
	}
}

// heal reads a damaged or lost stretch as a client would, which repairs it when another segment has it.
func (v *versionCheck) heal(ctx context.Context, off, size int64) {
	if _, err := v.object.ReadRange(ctx, io.Discard, off, size); err != nil {
		v.fault = err
		return
	}
	v.at.Repaired++
}
