package segment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/edgefs/edgefs/chunk"
	"github.com/edgefs/edgefs/dedup"
)

// Under the policy Home a write at another segment is handed to the home as data (see [Request]), judged there, and answered here when all is
// seen here that the home had seen when it decided: so a client reads what it wrote, and why it was refused. A request that got no answer is
// asked again under the same name. Nothing else tells success from refusal: an outcome that stays unknown is ErrUnavailable.

// ErrNotAsked says that a request was not sent: nothing was done.
var ErrNotAsked = errors.New("the home cannot be asked")

// ErrHomeAway says that the bucket's home, which a write was to be made at, did not answer. It comes with ErrUnavailable, and says in words whether
// anything may have been written.
var ErrHomeAway = errors.New("the home does not answer")

// ForwardFunc hands a request to a segment and returns its answer. An error that is ErrNotAsked says that it was not sent; after any other
// nothing is known of the outcome. The request is not changed, and not used when it has returned.
type ForwardFunc func(ctx context.Context, home ID, r *Request) (*Answer, error)

// DefaultForwardPatience is how long a write waits for the home, beyond the time that its payload takes.
const DefaultForwardPatience = 10 * time.Second

const (
	maxForwards  = 64 // of one bucket, at one time
	forwardPause = 50 * time.Millisecond
)

// forwards are the requests that this segment makes for others' homes, and does for others.
type forwards struct {
	mu      sync.Mutex
	asked   map[RequestName]*asked
	serving map[RequestName]*serving
	answers map[BucketID][]RequestName // that came, and that the home does not know of yet
}

// asked is a request on its way.
type asked struct {
	home    ID
	content dedup.Manifest
	bucket  *Bucket
	open    func(path []chunk.ID) chunk.Store // of the content
}

// serving is a request that is being done.
type serving struct {
	done   chan struct{}
	answer *Answer
}

func (f *forwards) init() {
	f.asked, f.serving, f.answers = map[RequestName]*asked{}, map[RequestName]*serving{}, map[BucketID][]RequestName{}
}

// elsewhere says whether writes are another segment's, or another life's.
func (b *Bucket) elsewhere() bool {
	if b.frozen != "" {
		return false
	}
	set := b.settings.Load()
	return set.Policy == Home && !b.isHome(set.Settings)
}

// forward has a request done at the home, and returns its outcome when it is seen here. Its content is read from open; nil: from what is here.
func (b *Bucket) forward(ctx context.Context, r *Request, open func(path []chunk.ID) chunk.Store) (outcome, error) {
	return b.forwardFree(ctx, r, open, func() {})
}

// forwardFree is forward by one who holds what the write itself needs where this segment has become the home meanwhile: free lets go of it, before
// the request is done here.
func (b *Bucket) forwardFree(ctx context.Context, r *Request, open func(path []chunk.ID) chunk.Store, free func()) (outcome, error) {
	if b.s.cfg.Forward == nil {
		return outcome{}, b.notHome(b.Settings())
	}
	select {
	case b.forwarding <- struct{}{}:
		defer func() { <-b.forwarding }()
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
	r.Bucket = b.id
	if r.Name == (RequestName{}) {
		if err := b.s.random(r.Name[:]); err != nil {
			return outcome{}, err
		}
	}
	if open == nil {
		open = func([]chunk.ID) chunk.Store { return b.stores.Data }
	}
	a := &asked{bucket: b, open: open}
	if r.put != nil {
		a.content = r.put.Content
	}
	f := &b.s.forwards
	f.ask(r.Name, a)
	defer f.forget(r.Name)
	out, err := b.persist(ctx, r, a, free)
	if err != nil {
		return out, fmt.Errorf("at the home of bucket %q: %w", b.doc.Load().name, err)
	}
	return out, nil
}

// persist asks until there is an answer, or no use in asking.
func (b *Bucket) persist(ctx context.Context, r *Request, a *asked, free func()) (outcome, error) {
	var unknown error // why the outcome of what was asked is not known
	began := time.Now()
	for pause := time.Duration(0); ; pause = min(max(2*pause, forwardPause), time.Second) {
		set := b.settingsNow()
		if set.Policy != Home || b.isHome(set.Settings) { // by now
			free()
			return b.perform(ctx, r)
		}
		answer, err := b.ask(ctx, set, r, a)
		wait := false
		switch {
		case err == nil && answer.code == refusalOf(ErrNotHome): // this segment knows of another by now, or that one will soon
			err, wait = fmt.Errorf("%s is not the home, as it says", b.homeName(set.Settings)), true
		case err == nil && answer.code == unavailable: // it may have begun
			unknown = answer.refused()
		case err == nil:
			return answer.outcome, answer.refused()
		case !errors.Is(err, ErrNotAsked):
			unknown = err
		}
		switch late := pause > 0 && time.Since(began)+pause > b.s.cfg.ForwardPatience; {
		case unknown != nil && (late || ctx.Err() != nil):
			return outcome{}, fmt.Errorf("whether it was written is not known: %w: %w: %w", unknown, ErrHomeAway, ErrUnavailable)
		case unknown == nil && (late || ctx.Err() != nil || !wait):
			return outcome{}, fmt.Errorf("nothing was written: %w: %w: %w", err, ErrHomeAway, ErrUnavailable)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		case <-b.s.failure.ch:
			return outcome{}, b.s.failure.get()
		}
	}
}

// ask asks the home once, and waits until all is seen here that the home had seen.
func (b *Bucket) ask(ctx context.Context, set settingsRecord, r *Request, a *asked) (*Answer, error) {
	f := &b.s.forwards
	home := b.homeOf(set.Settings).Segment
	if home == b.s.cfg.ID {
		return nil, fmt.Errorf("it is this segment, %w: %w", b.notHome(set.Settings), ErrNotAsked)
	}
	acks := f.sending(r.Name, a, home, b.id)
	sent := *r
	sent.acks = acks
	answer, err := b.s.cfg.Forward(ctx, home, &sent)
	if err != nil {
		return nil, err
	}
	if answer.acked {
		f.acknowledged(b.id, acks)
	}
	if err := b.awaitSeen(ctx, answer.seen); err != nil {
		return nil, err
	}
	if answer.code == 0 {
		f.answered(b.id, r.Name)
	}
	return answer, nil
}

// awaitSeen waits until this segment has seen as much of the bucket.
func (b *Bucket) awaitSeen(ctx context.Context, seen Vector) error {
	t := time.NewTimer(b.s.cfg.ForwardPatience)
	defer t.Stop()
	for {
		b.s.mu.RLock()
		news := b.s.applied
		b.s.mu.RUnlock()
		if b.Seen().Covers(seen) {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return errors.New("it was decided, and what the home had seen does not come here")
		case <-b.s.failure.ch:
			return b.s.failure.get()
		}
	}
}

func (f *forwards) ask(name RequestName, a *asked) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[name] = a
}

func (f *forwards) forget(name RequestName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.asked, name)
}

// sending lets a home read the request's content, and returns what it is to be told of earlier answers.
func (f *forwards) sending(name RequestName, a *asked, home ID, bucket BucketID) []RequestName {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[name] = &asked{home, a.content, a.bucket, a.open}
	return slices.Clone(f.answers[bucket])
}

// answered notes that an answer came; the oldest notes are given up where there are too many: the home forgets by itself.
func (f *forwards) answered(bucket BucketID, name RequestName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := append(f.answers[bucket], name)
	f.answers[bucket] = all[max(0, len(all)-maxAcks):]
}

func (f *forwards) acknowledged(bucket BucketID, names []RequestName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[bucket] = slices.DeleteFunc(f.answers[bucket], func(n RequestName) bool { return slices.Contains(names, n) })
}

// ServeRequested yields chunks of a request's content to the home that it was sent to: only what the content reaches, else ErrRefused.
func (s *Segment) ServeRequested(ctx context.Context, home ID, name RequestName, path, ids []chunk.ID, yield func(chunk.Chunk) error) error {
	s.forwards.mu.Lock()
	a := s.forwards.asked[name]
	s.forwards.mu.Unlock()
	if a == nil || a.home != home {
		return fmt.Errorf("payload of a request: %w", ErrRefused)
	}
	for i := range path { // where a node is elsewhere yet, reading it on behalf of those above it brings it
		if err := a.open(path[:i]).Get(ctx, path[i:i+1], func(chunk.Chunk) error { return nil }); err != nil {
			return fmt.Errorf("payload of a request: %w", err)
		}
	}
	if err := dedup.Reaches(ctx, a.bucket.stores.Data, a.content, path, ids); err != nil {
		return fmt.Errorf("payload of a request: %w: %w", ErrRefused, err)
	}
	return a.open(path).Get(ctx, ids, yield)
}
