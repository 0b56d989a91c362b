package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/loadtest"
)

// PutOptions say how a round writes.
type PutOptions struct {
	State     string // path of the history, appended to
	Bucket    string
	Workers   int
	Keys      int // of each worker, to begin with
	Sizes     loadtest.Sizes
	Deletes   float64       // part of the writes that are deletes
	Duration  time.Duration // 0: until ctx ends
	UntilDown bool          // end when the server refuses connections
}

// PutReport is what a round did.
type PutReport struct {
	Acknowledged uint64 `json:"acknowledged"`
	Unknown      uint64 `json:"unknown"` // outcomes: no answer, or a status 5xx
	Refused      uint64 `json:"refused"` // by a status 4xx
	NotSent      uint64 `json:"not_sent"`
}

// round is one Put under way.
type round struct {
	opts    PutOptions
	client  *loadtest.Client
	content *loadtest.Content
	journal *journal
	prefix  string
	end     context.CancelCauseFunc

	acknowledged, unknown, refused, notSent atomic.Uint64
}

var (
	errOver = errors.New("round is over")
	errDown = errors.New("server refuses connections")
)

// Put writes until its time is over, and notes everything. Requests without an answer are what it is for and no error; an answer 4xx is one, and ends the round.
func Put(ctx context.Context, client *loadtest.Client, opts PutOptions) (PutReport, error) {
	if opts.Sizes.Min() < loadtest.StampSize {
		return PutReport{}, fmt.Errorf("objects under %d bytes do not tell their version", loadtest.StampSize)
	}
	seed := rand.Uint64()
	j, s, err := openJournal(opts.State, head{seed: seed, bucket: opts.Bucket, prefix: fmt.Sprintf("history-%x/", seed)})
	if err != nil {
		return PutReport{}, err
	}
	if s.head.bucket != opts.Bucket {
		return PutReport{}, errors.Join(fmt.Errorf("history is of bucket %s", s.head.bucket), j.close())
	}
	over, end := context.WithCancelCause(ctx)
	defer end(nil)
	r := &round{opts: opts, client: client, content: loadtest.NewContent(s.head.seed, opts.Sizes, 0), journal: j, prefix: s.head.prefix, end: end}
	if opts.Duration > 0 {
		timer := time.AfterFunc(opts.Duration, func() { end(errOver) })
		defer timer.Stop()
	}
	r.work(over, s)
	err = context.Cause(over)
	if errors.Is(err, errOver) || errors.Is(err, errDown) || ctx.Err() != nil {
		err = nil
	}
	return PutReport{r.acknowledged.Load(), r.unknown.Load(), r.refused.Load(), r.notSent.Load()}, errors.Join(err, j.close())
}

func (r *round) work(over context.Context, s *state) {
	var workers sync.WaitGroup
	for n := range r.opts.Workers {
		w := newWriter(r, n, s)
		workers.Go(func() {
			defer w.session.Close()
			for over.Err() == nil {
				w.write(over)
			}
		})
	}
	workers.Wait()
}

// writer owns the keys under its prefix.
type writer struct {
	round   *round
	session *loadtest.Session
	prefix  string
	keys    []ownKey
	next    int // number of the next new key
}

type ownKey struct {
	name string
	last uint64
}

// newWriter takes up the keys of the worker with the same number in earlier rounds.
func newWriter(r *round, number int, s *state) *writer {
	w := &writer{round: r, session: r.client.Session(), prefix: fmt.Sprintf("%sw%03d/", r.prefix, number)}
	w.session.Once = true // a second try would leave the first one lingering behind an acknowledgement
	for name, k := range s.keys {
		suffix, mine := strings.CutPrefix(name, w.prefix)
		if n, err := strconv.Atoi(suffix); mine && err == nil {
			w.keys = append(w.keys, ownKey{name, k.last})
			w.next = max(w.next, n)
		}
	}
	for len(w.keys) < r.opts.Keys {
		w.keys = append(w.keys, w.newKey())
	}
	return w
}

func (w *writer) newKey() ownKey {
	w.next++
	return ownKey{name: fmt.Sprintf("%s%06d", w.prefix, w.next)}
}

// write does one write and notes it. The request is not given up when the round ends: its answer is worth having.
func (w *writer) write(over context.Context) {
	r := w.round
	i := rand.IntN(len(w.keys))
	key := &w.keys[i]
	key.last++
	intent := record{verb: verbPut, key: key.name, version: key.last}
	if rand.Float64() < r.opts.Deletes {
		intent.verb = verbDelete
	} else {
		intent.size = r.opts.Sizes.Pick(rand.Uint64())
	}
	if err := r.journal.intend(intent); err != nil {
		r.end(err)
		return
	}
	err := w.send(context.WithoutCancel(over), intent)
	answer := record{verb: outcome(err), key: key.name, version: key.last}
	if answer.verb == verbLost {
		answer.reason = strings.Join(strings.Fields(err.Error()), " ")
		answer.reason = answer.reason[:min(len(answer.reason), maxLine/4)]
		w.keys[i] = w.newKey()
	}
	r.journal.add(answer)
	r.count(answer.verb, err)
	if err != nil {
		pause(over)
	}
}

func (w *writer) send(ctx context.Context, intent record) error {
	if intent.verb == verbDelete {
		return w.session.Delete(ctx, intent.key)
	}
	return w.session.Put(ctx, w.round.content.Sized(intent.key, intent.version, intent.size))
}

// outcome is what an answer proves of a write.
func outcome(err error) verb {
	var conn *loadtest.ConnError
	var answer *loadtest.ResponseError
	switch {
	case err == nil:
		return verbOK
	case errors.As(err, &conn) && !conn.Sent:
		return verbNo
	case errors.As(err, &answer) && answer.Status/100 == 4:
		return verbNo
	}
	return verbLost
}

func (r *round) count(v verb, err error) {
	var conn *loadtest.ConnError
	switch {
	case v == verbOK:
		r.acknowledged.Add(1)
	case v == verbLost:
		r.unknown.Add(1)
	case errors.As(err, &conn):
		r.notSent.Add(1)
		if r.opts.UntilDown {
			r.end(errDown)
		}
	default:
		r.refused.Add(1)
		r.end(fmt.Errorf("write refused: %w", err))
	}
}

// pause keeps a server that is down from being asked in a tight loop.
func pause(over context.Context) {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over.Done():
	}
}
