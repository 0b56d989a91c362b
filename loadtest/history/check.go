package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgefs/edgefs/loadtest"
)

// maxExamples is how many failures a report tells in full.
const maxExamples = 50

// CheckOptions say what is checked.
type CheckOptions struct {
	State   string
	Bucket  string
	Workers int
	Wait    time.Duration // for a server that is still starting
}

// CheckReport is what a check found.
type CheckReport struct {
	Keys     int      `json:"keys"`
	Acked    uint64   `json:"acknowledged_found"` // keys that show their last acknowledged write, also a delete
	InFlight uint64   `json:"in_flight_found"`    // keys that show a later one
	Listed   int      `json:"listed"`
	Failures int      `json:"failures"`
	Examples []string `json:"examples,omitempty"`
}

// OK says that nothing was lost, stale, wrong or falsely listed.
func (r *CheckReport) OK() bool { return r.Failures == 0 }

// check is a Check under way.
type check struct {
	client  *loadtest.Client
	content *loadtest.Content
	state   *state

	acked, inFlight atomic.Uint64

	mu     sync.Mutex
	found  map[string]int64 // size of each key that is there
	failed []error
}

// Check reads every key of the history back, and the listing. Nothing may write under the history's prefix meanwhile. The error is of what kept it from
// checking; what it found is in the report.
func Check(ctx context.Context, client *loadtest.Client, opts CheckOptions) (*CheckReport, error) {
	s, err := load(opts.State)
	if err != nil {
		return nil, err
	}
	if s.head.bucket != opts.Bucket {
		return nil, fmt.Errorf("history is of bucket %s", s.head.bucket)
	}
	c := &check{client: client, content: loadtest.NewContent(s.head.seed, loadtest.Sizes{}, 0), state: s, found: map[string]int64{}}
	if err := c.awaitServer(ctx, opts.Wait); err != nil {
		return nil, err
	}
	c.readAll(ctx, opts.Workers)
	listed, err := c.list(ctx)
	if err != nil {
		c.fail(fmt.Errorf("list %s: %w", s.head.prefix, err))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.report(listed), nil
}

// awaitServer waits until the server accepts connections and does not ask for patience.
func (c *check) awaitServer(ctx context.Context, wait time.Duration) error {
	session := c.client.Session()
	defer session.Close()
	for deadline := time.Now().Add(wait); ; pause(ctx) {
		_, err := session.Head(ctx, c.state.head.prefix)
		var answer *loadtest.ResponseError
		if err == nil || errors.As(err, &answer) && answer.Status < 500 {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return fmt.Errorf("server is not there: %w", err)
		}
	}
}

func (c *check) readAll(ctx context.Context, workers int) {
	names := make(chan string)
	var readers sync.WaitGroup
	for range max(workers, 1) {
		readers.Go(func() {
			session := c.client.Session()
			defer session.Close()
			for name := range names {
				if err := c.read(ctx, session, name); err != nil {
					c.fail(err)
				}
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(c.state.keys)) {
		names <- name
	}
	close(names)
	readers.Wait()
}

// read compares one key with its history.
func (c *check) read(ctx context.Context, session *loadtest.Session, name string) error {
	k := c.state.keys[name]
	var o loadtest.Object
	var told bool
	size, err := session.Get(ctx, name, func(size, off int64, piece []byte) error {
		if off == 0 {
			o, told = c.content.Identify(name, size, piece, k.acked.version)
		}
		return session.Check(o, off, piece)
	})
	if loadtest.IsAbsent(err) {
		return c.absent(name, k)
	}
	var wrong *loadtest.WrongError
	if errors.As(err, &wrong) {
		return wrong
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if !told {
		return &loadtest.WrongError{What: "corrupt", Key: name, Detail: fmt.Sprintf("%d bytes that tell no version", size)}
	}
	return c.present(name, k, o.Version, size)
}

func (c *check) absent(name string, k *keyState) error {
	for i, w := range k.allowed() {
		if w.deletes {
			c.count(i)
			return nil
		}
	}
	return &loadtest.WrongError{What: "missing", Key: name, Detail: fmt.Sprintf("acknowledged was %v", k.acked)}
}

func (c *check) present(name string, k *keyState, version uint64, size int64) error {
	c.mu.Lock()
	c.found[name] = size
	c.mu.Unlock()
	for i, w := range k.allowed() {
		if w.deletes || w.version != version {
			continue
		}
		if w.size != size {
			return &loadtest.WrongError{What: "length", Key: name, Detail: fmt.Sprintf("%d bytes of %v", size, w)}
		}
		c.count(i)
		return nil
	}
	if version < k.acked.version {
		return &loadtest.WrongError{What: "stale", Key: name, Detail: fmt.Sprintf("shows version %d, acknowledged was %v", version, k.acked)}
	}
	return &loadtest.WrongError{What: "corrupt", Key: name, Detail: fmt.Sprintf("shows version %d, which was refused or never sent", version)}
}

// count takes the index of the write among the allowed ones.
func (c *check) count(i int) {
	if i == 0 {
		c.acked.Add(1)
		return
	}
	c.inFlight.Add(1)
}

// list walks the listing and compares it with what the reads have found.
func (c *check) list(ctx context.Context) (listed int, err error) {
	session := c.client.Session()
	defer session.Close()
	missing := maps.Clone(c.found)
	last, token := "", ""
	for {
		token, err = session.Page(ctx, c.state.head.prefix, "", token, func(e loadtest.Entry) error {
			name := string(e.Key)
			c.compareEntry(last, name, e.Size)
			delete(missing, name)
			last = name
			listed++
			return nil
		})
		if err != nil {
			return listed, err
		}
		if token == "" {
			break
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		c.fail(&loadtest.WrongError{What: "listing", Key: name, Detail: "can be read, but is not listed"})
	}
	return listed, nil
}

func (c *check) compareEntry(last, name string, size int64) {
	want, there := c.found[name]
	switch {
	case name <= last:
		c.fail(&loadtest.WrongError{What: "listing", Key: name, Detail: fmt.Sprintf("comes after %s", last)})
	case !there:
		c.fail(&loadtest.WrongError{What: "listing", Key: name, Detail: "is listed, but was not read"})
	case size != want:
		c.fail(&loadtest.WrongError{What: "listing", Key: name, Detail: fmt.Sprintf("is listed with %d bytes, has %d", size, want)})
	}
}

func (c *check) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = append(c.failed, err)
}

func (c *check) report(listed int) *CheckReport {
	r := &CheckReport{Keys: len(c.state.keys), Acked: c.acked.Load(), InFlight: c.inFlight.Load(), Listed: listed, Failures: len(c.failed)}
	for _, err := range c.failed[:min(len(c.failed), maxExamples)] {
		r.Examples = append(r.Examples, err.Error())
	}
	return r
}
