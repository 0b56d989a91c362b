package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

var (
	errDiffers = errors.New("it is not what its store says")
	errChanged = errors.New("it was changed while it was copied")
)

// reader reads one object of the source, of one ETag, to its end: where a connection breaks it asks for the rest. What was read is checked before the last of it is given out.
type reader struct {
	ctx    context.Context
	j      *Job
	key    string
	tag    string
	size   int64
	body   io.ReadCloser
	cancel context.CancelFunc // ends the request of body
	at     int64
	header http.Header

	check *check // made by whoever has seen the header
	proof Proof
	tries int // since the last byte
}

// openAt asks for the object from a byte on.
func (r *reader) openAt(from int64) error {
	var o minio.GetObjectOptions
	if err := o.SetMatchETag(r.tag); err != nil {
		return err
	}
	if from > 0 {
		if err := o.SetRange(from, 0); err != nil {
			return err
		}
	} else {
		o.Checksum = true
	}
	ctx, cancel := context.WithCancel(r.ctx)
	body, info, header, err := minio.Core{Client: r.j.From}.GetObject(ctx, r.j.Bucket, r.key, o)
	if err != nil {
		cancel()
		if s := minio.ToErrorResponse(err).StatusCode; s == http.StatusPreconditionFailed || s == http.StatusNotFound {
			return fmt.Errorf("%w (%s)", errChanged, minio.ToErrorResponse(err).Code)
		}
		return err
	}
	if from > 0 && header.Get("Content-Range") == "" {
		defer cancel()
		return errors.Join(errors.New("the source does not answer ranges"), body.Close())
	}
	if r.body, r.cancel = body, cancel; from == 0 {
		r.header, r.size = header, info.Size
	}
	return nil
}

// defaultSilence is how long a source may send nothing of content.
const defaultSilence = time.Minute

// readTries is how often it is asked for the rest without getting a byte of it.
const readTries = 5

func (r *reader) Read(p []byte) (int, error) {
	for {
		if r.at == r.size {
			return 0, io.EOF
		}
		silent := time.AfterFunc(cmp.Or(r.j.Silence, defaultSilence), r.cancel)
		n, err := r.body.Read(p[:min(int64(len(p)), r.size-r.at)])
		silent.Stop()
		if n > 0 {
			return r.take(p[:n])
		}
		if err == nil {
			continue
		}
		if err := r.again(err); err != nil {
			return 0, err
		}
	}
}

// take gives bytes out. The last ones are held back until all is found right: with them it would be there.
func (r *reader) take(p []byte) (int, error) {
	r.at += int64(len(p))
	r.tries = 0
	_, _ = r.check.Write(p)
	r.j.count(int64(len(p)))
	if r.at == r.size {
		var err error
		if r.proof, err = r.check.verdict(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// again asks for the rest, behind what broke it off.
func (r *reader) again(why error) error {
	r.Close()
	for r.tries < readTries {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if err := r.j.wait(r.ctx, r.tries); err != nil {
			return err
		}
		r.tries++
		err := r.openAt(r.at)
		if err == nil || errors.Is(err, errChanged) {
			return err
		}
		why = err
	}
	return fmt.Errorf("read %s: %w", r.key, why)
}

// Close ends reading.
func (r *reader) Close() error {
	r.cancel()
	return r.body.Close()
}
