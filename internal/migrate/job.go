package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/edgefs/edgefs/internal/admin"
)

// Job copies what begins with a prefix from a bucket of a source into a bucket of a segment.
type Job struct {
	From   *minio.Client
	Bucket string
	Prefix string // keys keep what is behind its last slash

	To       *admin.Client
	ToBucket string
	ToPrefix string

	Tags      bool // copy tags, too: a question more for each object
	Overwrite bool // also objects that were not copied from there
	DryRun    bool // only say what would be done
	Parallel  int  // objects at a time; 0: 8

	// Each is told of each object, by one at a time. It may be nil.
	Each func(Outcome)
	// Count is told of bytes as they come. It is safe for concurrent use, and may be nil.
	Count func(int64)
	// Backoff is the time to wait before a try, counted from 0; nil: half a second, and twice as long each time, up to 15 seconds.
	Backoff func(try int) time.Duration

	// Silence is how long the source may send nothing before it is asked for the rest; 0: a minute.
	Silence time.Duration

	mu   sync.Mutex
	done Report
}

// Action is what became of an object.
type Action string

// The actions.
const (
	Copied    Action = "copied"    // or with DryRun: it would be
	Unchanged Action = "unchanged" // it was copied before
	Left      Action = "left"      // there is another object of the key, which was not copied from there: it is left alone
	Gone      Action = "gone"      // it was removed at the source since it was listed
	Failed    Action = "failed"
)

// Outcome is what became of one object.
type Outcome struct {
	Key    string // at the segment
	Source string // key at the source
	Size   int64
	Action Action
	Proof  Proof // of one that was copied
	Err    error // of one that failed
}

// Report counts outcomes.
type Report struct {
	Objects    int64 `json:"objects"` // that the source has
	Bytes      int64 `json:"bytes"`
	Copied     int64 `json:"copied"`
	CopiedSize int64 `json:"copiedBytes"`
	Unchanged  int64 `json:"unchanged"`
	Left       int64 `json:"left"`
	Gone       int64 `json:"gone"`
	Failed     int64 `json:"failed"`
	ByETag     int64 `json:"verifiedByETag"`
	ByChecksum int64 `json:"verifiedByChecksum"`
	Unverified int64 `json:"unverified"`
}

// Run copies. An object that cannot be copied does not stop the others, unless that is true of all. When ctx ends, or it fails, it has done what the report says, and can be run again:
// it goes on where it was.
func (j *Job) Run(ctx context.Context) (Report, error) {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(cmp.Or(j.Parallel, defaultParallel))
	var failed error
	for o := range j.From.ListObjects(inner, j.Bucket, minio.ListObjectsOptions{Prefix: j.Prefix, Recursive: true}) {
		if o.Err != nil {
			failed = fmt.Errorf("list s3://%s/%s: %w", j.Bucket, j.Prefix, o.Err)
			break
		}
		group.Go(func() error { return j.one(inner, o) })
	}
	err := group.Wait()
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil:
		err = failed
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.done, err
}

const defaultParallel = 8

// one does what is to be done with an object. An error is one that all others would meet.
func (j *Job) one(ctx context.Context, o minio.ObjectInfo) error {
	out := Outcome{Key: j.ToPrefix + strings.TrimPrefix(o.Key, j.Prefix[:strings.LastIndexByte(j.Prefix, '/')+1]), Source: o.Key, Size: o.Size}
	err := j.copy(ctx, &out, o)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		out.Action, out.Err = Failed, fmt.Errorf("copy s3://%s/%s: %w", j.Bucket, o.Key, err)
	}
	j.tell(out)
	if err != nil && hopeless(err) {
		return out.Err
	}
	return nil
}

// hopeless says whether an error is one that the next object would meet, too.
func hopeless(err error) bool {
	for _, code := range []admin.Code{admin.NoSuchBucket, admin.Full, admin.Unauthorized, admin.ReadOnly} {
		if errors.Is(err, &admin.Error{Code: code}) {
			return true
		}
	}
	return errors.As(err, new(*admin.Unreachable)) || minio.ToErrorResponse(err).Code == "InvalidAccessKeyId"
}

func (j *Job) tell(o Outcome) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := &j.done
	d.Objects++
	d.Bytes += o.Size
	switch o.Action {
	case Copied:
		d.Copied++
		d.CopiedSize += o.Size
	case Unchanged:
		d.Unchanged++
	case Left:
		d.Left++
	case Gone:
		d.Gone++
	case Failed:
		d.Failed++
	}
	switch o.Proof {
	case ByETag:
		d.ByETag++
	case ByChecksum:
		d.ByChecksum++
	case Unverified:
		d.Unverified++
	}
	if j.Each != nil {
		j.Each(o)
	}
}

func (j *Job) count(n int64) {
	if j.Count != nil {
		j.Count(n)
	}
}

// wait waits before a try.
func (j *Job) wait(ctx context.Context, try int) error {
	d := min(time.Second/2<<min(try, 10), 15*time.Second)
	d = d/2 + rand.N(d/2)
	if j.Backoff != nil {
		d = j.Backoff(try)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
